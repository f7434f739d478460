"""Files of PyTorch, read without running any code that is in them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

_POINTER = b"version https://git-lfs"


class NoTensors(Exception):  # noqa: N818 - what is wrong with a file, not an error of the program
    """Why a file holds no tensors that can be read, in one line."""


def read_tensors(path: Path) -> Any:
    """What `torch.save` wrote to a file, of tensors and plain values alone; raises `NoTensors`."""
    import torch

    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise NoTensors("it is a pointer of Git LFS, not the file itself: git lfs pull")
    if _is_script(path):
        raise NoTensors(
            "it is a TorchScript archive, a network with its code; save its tensors alone: "
            "torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE)"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is anything else fails in any way
        raise NoTensors(_why(error)) from error


def _is_script(path: Path) -> bool:
    """Whether it is an archive with code, as `torch.jit.save` writes it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _why(error: Exception) -> str:
    """What torch refused, without its advice to load the file unsafely."""
    text = " ".join(str(error).split()) or type(error).__name__
    _, found, refused = text.partition("WeightsUnpickler error:")
    if found:
        return refused.partition(". Please")[0].partition(" Check the doc")[0].strip()
    return "it holds more than tensors" if "weights_only" in text else text
