"""Rates that runs measured on this cache's machine, kept in `rates.json` beside the cache's entries.

A stage names the work that it times (images, neurons, directions); rates are kept by device and precision,
so that one is used for the same work only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

#: Version of the names; rates under other versions are ignored.
NAMES = "3"


def read_rates(cache_dir: Path, device: str, precision: str) -> dict[str, float]:
    """Name -> seconds of one unit of work, as measured by earlier runs on this device in this precision."""
    try:
        content = json.loads((cache_dir / "rates.json").read_text())
        rates = content[NAMES][f"{device} {precision}"]
        return {str(name): float(seconds) for name, seconds in rates.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_rates(
    cache_dir: Path, device: str, precision: str, measured: Mapping[str, float]
) -> None:
    """Adds a run's rates to those of earlier runs; newer ones replace older ones of their name."""
    path = cache_dir / "rates.json"
    rates = read_rates(cache_dir, device, precision) | dict(measured)
    try:
        others = json.loads(path.read_text()).get(NAMES, {})
    except (OSError, ValueError, AttributeError):
        others = {}
    content = {NAMES: {**others, f"{device} {precision}": rates}}
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=1, sort_keys=True))
    temporary.replace(path)
