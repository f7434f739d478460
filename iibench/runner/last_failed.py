"""Which cases failed last time, for --lf."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iibench.contract.config import RunConfig
from iibench.contract.reports import Report

if TYPE_CHECKING:
    from iibench.suite.schema import Suite


def _last_failed_file(config: RunConfig, suite: Suite) -> Path:
    return config.cache_dir / "last_failed" / f"{suite.sha256[:16]}.json"


def read_last_failed(config: RunConfig, suite: Suite) -> set[str]:
    """Ids of the cases of the suite that failed when they last ran."""
    try:
        return set(json.loads(_last_failed_file(config, suite).read_text()))
    except (OSError, ValueError):
        return set()


def write_last_failed(config: RunConfig, suite: Suite, reports: Sequence[Report]) -> None:
    """Replaces what this run decided; cases that were not run keep their mark."""
    failed = read_last_failed(config, suite) - {report.id for report in reports}
    failed |= {report.id for report in reports if report.status in {"failed", "error"}}
    path = _last_failed_file(config, suite)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(sorted(failed)))
