"""What a report says of what a case found."""

from __future__ import annotations

import dataclasses
from functools import singledispatch
from typing import Any

import numpy as np

from iibench.contract.reports import CaseReport, Summary, TrialReport
from iibench.results.trial_tables import plain_numbers
from iibench.stages.scores import Scores
from iibench.stages.trials import TrialResult
from iibench.statistics.scores import summarise


@singledispatch
def reported(result: Any, report: Any) -> Any:
    """The report of a case with what it found; raises `TypeError` for what no stage gives."""
    raise TypeError(f"no case gives a {type(result).__name__}")


@reported.register
def _(result: Scores, report: CaseReport) -> CaseReport:
    """With a score per direction; skipped where there is none."""
    scores, details = result.scores, result.scores.details
    summary = summarise(scores.values)
    if details is not None:
        report = dataclasses.replace(
            report, headline=details.headline, measures=details.measures, details=details
        )
    elif not summary.scored:
        reason = f"no direction could be scored: {scores.reasons[0]}"
        report = dataclasses.replace(report, status="skipped", reason=reason)
    return dataclasses.replace(
        report,
        notes=result.notes,
        summary=summary,
        trials=scores.trials,
        scores=tuple(None if np.isnan(v) else float(v) for v in scores.values),
        reasons=scores.reasons,
    )


@reported.register
def _(result: TrialResult, report: TrialReport) -> TrialReport:
    """With measures, curves and margins; skipped where its headline measure is undefined."""
    scores = result.scores
    headline = next((m for m in scores.measures if m.name == report.headline and not m.group), None)
    value = headline.value if headline else None
    report = dataclasses.replace(
        report,
        notes=scores.notes,
        measures=scores.measures,
        curves=scores.curves,
        margins=plain_numbers(scores.margins),
        per_unit={name: plain_numbers(values) for name, values in scores.per_unit.items()},
        resampled=plain_numbers(scores.resampled),
        summary=Summary(
            n=headline.units if headline else 0,
            scored=headline.units if headline and value is not None else 0,
            mean=value,
            low=headline.low if headline else None,
            high=headline.high if headline else None,
        ),
    )
    if value is None:
        reason = headline.reason if headline else f"it gave no {report.headline}"
        report = dataclasses.replace(report, status="skipped", reason=reason)
    return report
