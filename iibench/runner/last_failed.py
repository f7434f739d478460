"""Which cases failed last time, and what was expected of them, for --lf."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iibench.contract.config import RunConfig
from iibench.contract.reports import Report, Verdict
from iibench.suite.cases import AnyCase
from iibench.suite.counterparts import with_counterparts

if TYPE_CHECKING:
    from iibench.suite.schema import Suite

#: Id of a case -> the expectations that it did not meet; none where the case itself ended in an error.
Failed = dict[str, list[str]]


def _last_failed_file(config: RunConfig, suite: Suite) -> Path:
    return config.cache_dir / "last_failed" / f"{suite.sha256[:16]}.json"


def read_last_failed(config: RunConfig, suite: Suite) -> Failed:
    """The cases of the suite that failed when they last ran."""
    try:
        found = json.loads(_last_failed_file(config, suite).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {case: [] for case in found}


def choose_failed(
    cases: Sequence[AnyCase],
    everything: Sequence[AnyCase],
    failed: Mapping[str, object],
    suite: Suite,
) -> tuple[list[AnyCase], str]:
    """Those of `cases` that failed, with what their expectations need of `everything`; else all, and why."""
    chosen = [case for case in cases if case.id in failed]
    if chosen:
        return with_counterparts(chosen, everything, suite.expectations), ""
    why = "no case is known to have failed"
    if failed:
        why = f"{len(failed)} known to have failed are not among the cases selected"
    return list(cases), f"--lf: {why}; all {len(cases)} are run"


def write_last_failed(
    config: RunConfig, suite: Suite, reports: Sequence[Report], verdicts: Sequence[Verdict]
) -> list[str]:
    """Replaces what this run decided; ids of the cases that failed before and of which it decided nothing.

    What was not run, was skipped, or is the subject of an expectation that was skipped keeps its mark.
    """
    before = read_last_failed(config, suite)
    failed, undecided = dict(before), []
    for report in reports:
        known = failed.pop(report.id, None)
        own = [verdict for verdict in verdicts if verdict.case == report.id]
        unmet = [verdict.text for verdict in own if verdict.status == "failed"]
        skipped = [verdict.text for verdict in own if verdict.status == "skipped"]
        open_ = [text for text in known or () if any(_same(text, other) for other in skipped)]
        if report.status in {"failed", "error"} or open_:
            failed[report.id] = [*unmet, *open_]
        elif report.status == "skipped" and known is not None:
            failed[report.id] = known
        if report.id in failed and report.status not in {"failed", "error"}:
            undecided.append(report.id)
    path = _last_failed_file(config, suite)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(failed, sort_keys=True))
    return undecided


def _same(text: str, other: str) -> bool:
    """Where an expectation speaks of several places, their names stand behind its text."""
    return text.startswith(other) or other.startswith(text)
