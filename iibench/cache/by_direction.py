"""Arrays (n, K) on disk, direction by direction, for what does not fit in memory.

All n values of a direction lie side by side, so that one direction is read without the others. A file is
written under a temporary name and gets its place when it is complete; every direction has a checksum,
looked at when the file is opened.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.cache.mapped import release

if TYPE_CHECKING:
    import numpy.typing as npt

#: Kinds of cache entry that are such files: responses, and images by descending response.
RESPONSES, ORDERS = "responses_by_direction", "orders_by_direction"
VALUES, ABOUT = "values.bin", "entry.json"
#: Bytes of directions whose checksums are made before their pages are let go of.
BLOCK_BYTES = 64 << 20


def load_by_direction(
    folder: Path, dtype: npt.DTypeLike, damaged: Callable[[], None]
) -> npt.NDArray[Any] | None:
    """The memory-mapped (n, K) array of `folder`, or None where there is none.

    A damaged one is removed, and `damaged` called.
    """
    try:
        about = json.loads((folder / ABOUT).read_bytes())
        values = _mapped(folder / VALUES, dtype, about["n"], about["k"], "r")
        if _checksums(values) == about["sums"]:
            return values
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        pass
    damaged()
    shutil.rmtree(folder, ignore_errors=True)
    return None


def make_by_direction(
    folder: Path,
    dtype: npt.DTypeLike,
    n: int,
    k: int,
    fill: Callable[[npt.NDArray[Any]], None],
) -> npt.NDArray[Any]:
    """The memory-mapped (n, K) array that `fill` writes into an empty one; kept in `folder`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        values = _mapped(temporary / VALUES, dtype, n, k, "w+")
        fill(values)
        about = {"n": n, "k": k, "sums": _checksums(values)}
        (temporary / ABOUT).write_text(json.dumps(about))
        _put(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return _mapped(folder / VALUES, dtype, n, k, "r")


def _put(temporary: Path, folder: Path) -> None:
    """Gives a complete array its place; another process that put the same there first wins."""
    if not (folder / ABOUT).is_file():
        shutil.rmtree(folder, ignore_errors=True)
    try:
        temporary.rename(folder)
    except OSError:
        if not (folder / ABOUT).is_file():
            raise
        shutil.rmtree(temporary, ignore_errors=True)  # what is mapped stays readable


def _mapped(path: Path, dtype: npt.DTypeLike, n: int, k: int, mode: Any) -> npt.NDArray[Any]:
    return np.memmap(path, dtype, mode, shape=(n, k), order="F")


def _checksums(values: npt.NDArray[Any]) -> list[int]:
    """CRC-32 of each direction's bytes."""
    n, k = values.shape
    step = max(1, BLOCK_BYTES // max(1, n * values.itemsize))
    sums = []
    for start in range(0, k, step):
        sums += [zlib.crc32(column) for column in values.T[start : start + step]]
        release(values)
    return sums
