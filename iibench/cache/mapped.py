"""Giving back the memory that a mapped file takes."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


#: Bytes of a mapped file that are read or written one after the other before its pages are let go of.
RELEASE_BYTES = 256 << 20


def release(array: np.ndarray[Any, Any]) -> None:
    """Lets go of the pages of a memory-mapped file that `array` looks at; other arrays are left alone.

    What was written stays in the file, and is read from it when it is looked at again.
    """
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        # a read-only array looks at another one's memory through a memoryview
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    if base is not None and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
