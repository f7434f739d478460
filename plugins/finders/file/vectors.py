"""Arrays of directions from files that a user names, read without running any code that is in them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench import AssetError, unknown_name

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench import FloatArray


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes; raises `AssetError` where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise AssetError(f"directions {str(path)!r}: {_why(error)}") from error


def read_vectors(path: Path, key: str | None) -> FloatArray:
    """(K, N) float32 array from a .npy file, or the array named `key` of a .safetensors file.

    `key` may be None where the file holds one array. Raises `AssetError` with what was found and what
    was expected: no such file or array, another format, not two-dimensional, not real numbers, empty,
    entries that are not finite, rows of zeros, which point nowhere.
    """
    import numpy as np

    where = f"directions {str(path)!r}"
    if not path.is_file():
        raise AssetError(f"{where}: no such file")
    if path.suffix == ".npy":
        if key is not None:
            raise AssetError(
                f"{where}: found key {key!r}; a .npy file holds one array without a name"
            )
        found = _from_npy(path, where)
    elif path.suffix == ".safetensors":
        found = _from_safetensors(path, key, where)
        where += f", array {key!r}" if key is not None else ""
    else:
        raise AssetError(
            f"{where}: found a file with the ending {path.suffix!r}; expected .npy or .safetensors"
        )
    if found.dtype.kind not in "fiu":
        raise AssetError(f"{where}: found entries of type {found.dtype}; expected real numbers")
    if found.ndim != 2:
        raise AssetError(
            f"{where}: found {found.ndim} dimensions, shape {found.shape}; expected 2, (K, N): one "
            "direction a row"
        )
    if not found.size:
        raise AssetError(f"{where}: found shape {found.shape}; expected at least one direction")
    with np.errstate(over="ignore"):
        vectors: FloatArray = np.ascontiguousarray(found, dtype=np.float32)
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise AssetError(
            f"{where}: {len(broken)} of {len(vectors)} rows hold entries that are not finite as "
            f"32-bit numbers, row {broken[0]} (from 0) the first of them"
        )
    empty = np.flatnonzero(~vectors.any(axis=1))
    if len(empty):
        raise AssetError(
            f"{where}: {len(empty)} of {len(vectors)} rows are all zero, row {empty[0]} (from 0) the "
            "first of them; such a row is no direction"
        )
    return vectors


def _from_npy(path: Path, where: str) -> npt.NDArray[Any]:
    import numpy as np

    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise AssetError(f"{where}: not an array of numbers as numpy.save writes it") from error
    if not isinstance(found, np.ndarray):
        raise AssetError(f"{where}: found an archive of arrays; expected one array")
    return found


def _from_safetensors(path: Path, key: str | None, where: str) -> npt.NDArray[Any]:
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stored:
            names = sorted(stored.keys())
            if key is None and len(names) != 1:
                raise AssetError(
                    f"{where}: found {len(names)} arrays ({', '.join(names[:12])}); expected one, or "
                    "key: NAME"
                )
            if key is not None and key not in names:
                raise AssetError(f"{where}: {unknown_name('array', key, names)}")
            tensor = stored.get_tensor(names[0] if key is None else key)
    except (SafetensorError, OSError) as error:
        raise AssetError(f"{where}: not a .safetensors file") from error
    if tensor.is_floating_point() and tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()  # half precision and 8-bit types that NumPy may not have
    array: npt.NDArray[Any] = tensor.numpy()
    return array


def _why(error: OSError) -> str:
    return "no such file" if isinstance(error, FileNotFoundError) else str(error.strerror)
