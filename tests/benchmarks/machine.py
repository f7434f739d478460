"""The machine that a benchmark ran on, in words that mean something elsewhere."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "numpy", "scikit-learn", "lpips")


def machine(threads: int) -> dict[str, Any]:
    """Processor, cores, threads used, memory (GiB), system, versions; stays the same between runs."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": f"{_system()} {platform.machine()}",
        "versions": {"python": platform.python_version()} | {n: _version(n) for n in LIBRARIES},
    }


def moment() -> dict[str, Any]:
    """When it was (UTC), and the load average of the last minute then."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": round(os.getloadavg()[0], 2),
    }


def described(content: dict[str, Any]) -> str:
    """`machine` in one line."""
    versions = ", ".join(f"{name} {value}" for name, value in content["versions"].items())
    return (
        f"{content['processor']}, {content['cores']} cores, {content['threads']} threads used, "
        f"{content['memory_gib']} GiB, {content['system']}; {versions}"
    )


def _system() -> str:
    """The distribution where it says its name, else the kind of system."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _processor() -> str:
    """The model's name and, where the system tells, its family and model number."""
    file = Path("/proc/cpuinfo")
    if not file.exists():
        return platform.processor() or platform.machine()
    first = file.read_text().partition("\n\n")[0]
    lines = (line.partition(":") for line in first.splitlines())
    facts = {key.strip(): value.strip() for key, _, value in lines}
    name = facts.get("model name", platform.machine())
    if "cpu family" not in facts:
        return name
    return f"{name} (family {facts['cpu family']}, model {facts.get('model', '?')})"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
