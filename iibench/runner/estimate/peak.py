"""The largest memory of a process, estimated from the arrays that it will hold at the same time."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

#: Where Linux tells the largest resident memory of this process (`VmHWM`).
STATUS = Path("/proc/self/status")
#: Memory of a process that has imported what a run needs, where the system does not tell.
USUAL = 700 << 20


@dataclass
class Arrays:
    """Bytes of arrays: kept to the end, kept between cases up to `limit`, and needed for a while."""

    limit: int = 0
    _kept: int = 0
    _between: int = 0
    _needed: int = 0

    def keep(self, size: int) -> None:
        """An array that is held, or mapped from disk and read, until the run ends."""
        self._kept += size

    def keep_between(self, size: int) -> None:
        """An array that is let go where there is no room for it."""
        self._between += size

    def need(self, size: int) -> None:
        """Arrays that one stage holds at the same time and lets go."""
        self._needed = max(self._needed, size)

    def peak(self) -> int:
        """Bytes of all that is held when most is."""
        return self._kept + min(self._between, self.limit) + self._needed


def resident() -> int:
    """Bytes that this process had at its largest: programs, networks, metrics and their batches.

    Linux counts the peak of `getrusage` on from the process that started this one; its `VmHWM` does not.
    """
    if STATUS.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
        if found:
            return int(found[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return USUAL
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
