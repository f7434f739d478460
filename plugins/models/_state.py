"""State dicts from files that a user names, read without running any code that is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iibench import FileError, UsageError

from .._shared.files import nearest_files
from .._shared.tensors import NoTensors, read_tensors

if TYPE_CHECKING:
    from pathlib import Path

    import torch


def read_state(
    path: Path,
    entry: str | None = None,
    *,
    required: bool = False,
    error: type[UsageError] = FileError,
) -> dict[str, torch.Tensor]:
    """Name -> tensor from a .safetensors file or a plain PyTorch state dict.

    `entry`: the key below which the state dict lies in a training checkpoint, where the file is one;
    `required`: a file without it is refused. Raises `error` (`AssetError` for files that no user named)
    where the file is missing, of another kind, or holds anything but tensors.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise error(f"weights {str(path)!r}: no such file{nearest_files(path)}")
    state: Any
    try:
        state = load_file(path) if path.suffix == ".safetensors" else read_tensors(path)
    except (SafetensorError, NoTensors, OSError) as refused:
        raise error(
            f"weights {str(path)!r}: not a .safetensors file or a PyTorch state dict ({refused})"
        ) from refused
    inside = _entries(state)
    if entry is not None and entry in inside:
        state = state[entry]
    elif required and entry is not None:
        raise error(
            f"weights {str(path)!r}: there is no entry {entry!r} with a state dict; entries that "
            f"are mappings: {', '.join(inside) or 'none'}"
        )
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        hint = f"; entries that may be one: {', '.join(inside)}" if inside else ""
        raise error(f"weights {str(path)!r}: expected a state dict, a mapping name -> tensor{hint}")
    return state


def _entries(state: Any) -> list[str]:
    """The keys of a checkpoint below which mappings lie."""
    if not isinstance(state, dict):
        return []
    return [k for k, v in state.items() if isinstance(k, str) and isinstance(v, dict)]
