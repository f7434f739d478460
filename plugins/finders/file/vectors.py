"""Arrays of directions from files that a user names, read without running any code that is in them."""

from __future__ import annotations

import functools
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench import FileError, unknown_name

from ..._shared.files import nearest_files
from ..._shared.tensors import NoTensors, read_tensors

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench import FloatArray


def read_vectors(path: Path, key: str | None) -> FloatArray:
    """(K, N) float32 array of a .npy file, or the array named `key` of a .npz, .safetensors or .pt file.

    `key` may be None where the file holds one array. Read-only. Raises `FileError` with what was found and
    what was expected: no such file or array, another format, not two-dimensional, not real numbers,
    empty, entries that are not finite, nothing but zeros.
    """
    if not path.is_file():
        raise FileError(f"directions {str(path)!r}: no such file{nearest_files(path)}")
    stat = path.stat()
    return _vectors(path, key, (stat.st_size, stat.st_mtime_ns))


@functools.lru_cache(maxsize=2)
def _vectors(path: Path, key: str | None, stamp: tuple[int, int]) -> FloatArray:
    """Remembered while the file stays the same: every case of a finder asks for it."""
    import numpy as np

    where = f"directions {str(path)!r}"
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise FileError(
            f"{where}: found a file with the ending {path.suffix!r}; expected {', '.join(_READERS)}"
        )
    found = read(path, key, where)
    where += f", array {key!r}" if key is not None else ""
    if found.dtype.kind not in "fiu":
        raise FileError(f"{where}: found entries of type {found.dtype}; expected real numbers")
    if found.ndim != 2:
        raise FileError(
            f"{where}: found {found.ndim} dimensions, shape {found.shape}; expected 2, (K, N): one "
            "direction a row"
        )
    if not found.size:
        raise FileError(f"{where}: found shape {found.shape}; expected at least one direction")
    with np.errstate(over="ignore"):
        vectors: FloatArray = np.array(found, dtype=np.float32, order="C")
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise FileError(
            f"{where}: {len(broken)} of {len(vectors)} rows hold entries that are not finite as "
            f"32-bit numbers, row {broken[0]} (from 0) the first of them"
        )
    if not vectors.any():
        raise FileError(f"{where}: all {len(vectors)} rows are zero; such rows are no directions")
    vectors.setflags(write=False)
    return vectors


def _from_npy(path: Path, key: str | None, where: str) -> npt.NDArray[Any]:
    import numpy as np

    if key is not None:
        raise FileError(f"{where}: found key {key!r}; a .npy file holds one array without a name")
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise FileError(f"{where}: not an array of numbers as numpy.save writes it") from error
    if not isinstance(found, np.ndarray):
        raise FileError(f"{where}: found an archive of arrays; expected one array")
    return found


def _from_npz(path: Path, key: str | None, where: str) -> npt.NDArray[Any]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as stored:
            array: npt.NDArray[Any] = stored[_chosen(stored.files, key, where)]
            return array
    except (ValueError, OSError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise FileError(f"{where}: not arrays of numbers as numpy.savez writes them") from error


def _from_safetensors(path: Path, key: str | None, where: str) -> npt.NDArray[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stored:
            return _as_numpy(stored.get_tensor(_chosen(sorted(stored.keys()), key, where)))
    except (SafetensorError, OSError) as error:
        raise FileError(f"{where}: not a .safetensors file") from error


def _from_torch(path: Path, key: str | None, where: str) -> npt.NDArray[Any]:
    """A tensor, or one of those in mappings, by its keys joined with dots."""
    import torch

    try:
        found = read_tensors(path)
    except NoTensors as error:
        raise FileError(f"{where}: not tensors as torch.save writes them ({error})") from error
    if isinstance(found, torch.Tensor):
        if key is not None:
            raise FileError(f"{where}: found key {key!r}; the file holds one tensor without a name")
        return _as_numpy(found)
    named = dict(_named(found, ""))
    return _as_numpy(named[_chosen(sorted(named), key, where)])


def _named(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    import torch

    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _named(inner, f"{name}.{key}" if name else str(key))


def _chosen(names: list[str], key: str | None, where: str) -> str:
    """`key`, or the only name; raises `FileError` where there is no such array, or are several."""
    if key is None and len(names) != 1:
        listed = f" ({', '.join(names[:12])})" if names else ""
        raise FileError(f"{where}: found {len(names)} arrays{listed}; expected one, or key: NAME")
    if key is not None and key not in names:
        raise FileError(f"{where}: {unknown_name('array', key, names)}")
    return names[0] if key is None else key


def _as_numpy(tensor: Any) -> npt.NDArray[Any]:
    import torch

    plain = tensor.detach()
    if plain.is_floating_point() and plain.dtype not in (torch.float32, torch.float64):
        plain = plain.float()  # half precision and 8-bit types that NumPy may not have
    array: npt.NDArray[Any] = plain.numpy()
    return array


_READERS: dict[str, Callable[[Path, str | None, str], npt.NDArray[Any]]] = {
    ".npy": _from_npy,
    ".npz": _from_npz,
    ".safetensors": _from_safetensors,
    ".pt": _from_torch,
    ".pth": _from_torch,
}
