"""How a case ended, as a report."""

from __future__ import annotations

import dataclasses
import traceback
from typing import TYPE_CHECKING

import numpy as np

from iibench.contract.errors import AssetError, IibenchError, Skip
from iibench.contract.executors import TaskError
from iibench.contract.reports import CaseReport, Named, Summary, TrialReport
from iibench.results.trial_tables import _plain
from iibench.stages.case_stages import Scores
from iibench.statistics.scores import summarise
from iibench.suite.cases import Choice
from iibench.suite.params import to_json

if TYPE_CHECKING:
    from iibench.stages.trials import TrialResult


def _with_scores(report: CaseReport, result: Scores) -> CaseReport:
    """The report with a score per direction; skipped where there is none."""
    scores, details = result.scores, result.scores.details
    summary: Summary = summarise(scores.values)
    if details is not None:
        report = dataclasses.replace(
            report, headline=details.headline, measures=details.measures, details=details
        )
    elif not summary.scored:
        report = dataclasses.replace(
            report, status="skipped", reason=f"no direction could be scored: {scores.reasons[0]}"
        )
    return dataclasses.replace(
        report,
        notes=result.notes,
        cached=result.cached,
        summary=summary,
        trials=scores.trials,
        scores=tuple(None if np.isnan(v) else float(v) for v in scores.values),
        reasons=scores.reasons,
    )


def _named(choice: Choice) -> Named:
    return Named(choice.name, choice.label, to_json(choice.params), choice.part)


def task_error(error: Exception) -> TaskError:
    """What a report says of an error that ended a case."""
    if isinstance(error, Skip | AssetError):
        return TaskError(str(error), skips=True)
    if isinstance(error, IibenchError):
        return TaskError(str(error))
    trace = "".join(traceback.format_exception(error))
    return TaskError(f"{type(error).__name__}: {error}", trace)


def with_trial_scores(report: TrialReport, result: TrialResult) -> TrialReport:
    """The report with what its case found; skipped where its headline measure is undefined."""
    scores = result.scores
    headline = next((m for m in scores.measures if m.name == report.headline and not m.group), None)
    value = headline.value if headline else None
    report = dataclasses.replace(
        report,
        notes=scores.notes,
        cached=result.cached,
        measures=scores.measures,
        curves=scores.curves,
        margins=_plain(scores.margins),
        per_unit={name: _plain(values) for name, values in scores.per_unit.items()},
        resampled=_plain(scores.resampled),
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
        return dataclasses.replace(report, status="skipped", reason=reason)
    return report
