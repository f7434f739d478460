"""The largest memory that this process has had so far."""

from __future__ import annotations

import re
import sys
from pathlib import Path

#: Where Linux tells the largest resident memory of this process (`VmHWM`).
STATUS = Path("/proc/self/status")
#: Memory of a process that has imported what a run needs, where the system does not tell.
USUAL = 700 << 20


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
