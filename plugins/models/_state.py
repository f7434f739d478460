"""State dicts from files that a user names, read without running any code that is in them."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from iibench import AssetError

if TYPE_CHECKING:
    from pathlib import Path

    import torch


def read_state(
    path: Path, entry: str | None = None, *, required: bool = False
) -> dict[str, torch.Tensor]:
    """Name -> tensor from a .safetensors file or a plain PyTorch state dict.

    `entry`: the key below which the state dict lies in a training checkpoint, where the file is one;
    `required`: a file without it is refused. Raises `AssetError` where the file is missing, of another
    kind, or holds anything but tensors.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise AssetError(f"weights {str(path)!r}: no such file")
    state: Any
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise AssetError(
            f"weights {str(path)!r}: not a .safetensors file or a PyTorch state dict ({_why(error)})"
        ) from error
    inside = _entries(state)
    if entry is not None and entry in inside:
        state = state[entry]
    elif required and entry is not None:
        raise AssetError(
            f"weights {str(path)!r}: there is no entry {entry!r} with a state dict; entries that "
            f"are mappings: {', '.join(inside) or 'none'}"
        )
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        hint = f"; entries that may be one: {', '.join(inside)}" if inside else ""
        raise AssetError(
            f"weights {str(path)!r}: expected a state dict, a mapping name -> tensor{hint}"
        )
    return state


def _entries(state: Any) -> list[str]:
    """The keys of a checkpoint below which mappings lie."""
    if not isinstance(state, dict):
        return []
    return [k for k, v in state.items() if isinstance(k, str) and isinstance(v, dict)]


def _why(error: Exception) -> str:
    """What torch refused, without its advice to load the file unsafely."""
    text = " ".join(str(error).split()) or type(error).__name__
    _, found, refused = text.partition("WeightsUnpickler error:")
    if found:
        return refused.partition(". Please")[0].partition(" Check the doc")[0].strip()
    advice = text.startswith("Weights only load failed")
    return "it holds more than tensors" if advice else text
