"""How much memory a run's large arrays may take, and giving back what a mapped file takes."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Literal

from iibench.contract.errors import UsageError

#: Bytes by unit, as people write them; a number alone is bytes.
UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
#: Less than this leaves no room for a batch of images and one direction's responses.
LEAST = 64 * 2**20
Share = Literal["arrays", "embeddings", "responses", "matrix", "answers", "portion"]
#: What may take how much of `--memory`: this fraction of it, one over the number. Not all are there at
#: the same time: a question about similarities comes when activations have been let go of.
SHARES: dict[Share, int] = {
    "arrays": 2,  # activations and responses that are kept between cases
    "embeddings": 2,  # of one metric, held while a question is answered
    "responses": 4,  # of one case with their order; what takes more is a mapped file
    "matrix": 4,  # similarities of all pairs of images
    "answers": 8,  # similarities computed for one part of a metric and kept for the others
    "portion": 8,  # responses that are written to a mapped file in one go
}
#: What a container may take at most, by version of control groups.
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def parse_size(text: str, option: str = "--memory") -> int:
    """Bytes of a size such as `4GiB`, `500 MB` or `1073741824`.

    Raises `UsageError`, which names the option, for anything else and for less than 64 MiB.
    """
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    unit = found.group(2).upper() if found else ""
    if found is None or unit not in UNITS:
        raise UsageError(f"{option} {text}: expected a size such as 4GiB or 500MB")
    size = int(float(found.group(1)) * UNITS[unit])
    if size < LEAST:
        raise UsageError(f"{option} {text}: expected at least 64MiB")
    return size


def in_gib(size: int) -> str:
    """Bytes as text, in GiB."""
    return f"{size / 2**30:.2f} GiB"


def default_budget() -> int:
    """Half of the memory that this process may use, in bytes; 2 GiB where the system does not tell."""
    if not hasattr(os, "sysconf"):
        return 2 << 30
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            there = min(there, int(Path(limit).read_text()))
    return max(LEAST, there // 2)


def share(memory: int, of: Share) -> int:
    """Bytes of `memory` that one kind of array may take.

    >>> share(1 << 30, "matrix") == 1 << 28
    True
    """
    return memory // SHARES[of]


def are_mapped(n: int, k: int, memory: int) -> bool:
    """Whether responses (n, K) and their order are mapped files, for want of room in memory."""
    return 8 * n * k > share(memory, "responses")
