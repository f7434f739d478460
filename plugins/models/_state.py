"""State dicts from files that a user names, read without running any code that is in them."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from iibench.errors import AssetError

if TYPE_CHECKING:
    from pathlib import Path

    import torch


def read_state(path: Path, entry: str | None = None) -> dict[str, torch.Tensor]:
    """Name -> tensor from a .safetensors file or a plain PyTorch state dict.

    `entry`: the key below which the state dict lies in a training checkpoint, where the file is one.
    Raises `AssetError` where the file is missing, of another kind, or holds anything but tensors.
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
            f"weights {str(path)!r}: not a .safetensors file or a PyTorch state dict ({error})"
        ) from error
    if isinstance(state, dict) and entry is not None and isinstance(state.get(entry), dict):
        state = state[entry]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise AssetError(f"weights {str(path)!r}: expected a state dict, a mapping name -> tensor")
    return state
