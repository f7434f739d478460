"""The leaderboard of a run on trials: a row per case, metrics compared within an evaluation.

Metrics of one evaluation see the same stimuli and the same resamples of units, so they are compared in
pairs: the difference of the headline measure, its interval over the resamples, and a two-sided p from
the normal approximation with the deviation over the resamples, Holm-corrected over all pairs of a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.statistics.resampling import paired_difference
from iibench.statistics.scores import holm

if TYPE_CHECKING:
    import pandas as pd

    from iibench.contract.arrays import DoubleArray
    from iibench.contract.reports import TrialReport
    from iibench.statistics.resampling import PairedDifference

COLUMNS = (
    *("dataset", "evaluation", "metric", "status", "measure", "value", "low", "high"),
    *("n", "stimuli", "units", "diff_to_best", "diff_low", "diff_high", "p_value", "p_holm"),
    *("rank_low", "rank_high", "seconds", "reason", "case"),
)


def trial_leaderboard(reports: Sequence[TrialReport]) -> pd.DataFrame:
    """One row per case: evaluations in their order, in each the best first.

    Columns: `dataset, evaluation, metric, status`; `measure` (the headline) with its `value`, 95 %
    interval `low, high`, answers `n`, `stimuli` and `units`; `diff_to_best` (value minus the best value
    of the table, paired) with `diff_low, diff_high`, `p_value` and `p_holm`; `rank_low, rank_high` (best
    and worst rank that the comparisons of all pairs, Holm-corrected at 0.05, leave open); then one column
    for every other measure of all answers; `seconds`, `reason`, `case`.
    """
    import pandas as pd

    rows = [row for table in trial_tables(reports).values() for row in _rows(table)]
    others = dict.fromkeys(name for row in rows for name in row if name not in COLUMNS)
    last = COLUMNS.index("seconds")
    frame = pd.DataFrame(rows, columns=[*COLUMNS[:last], *others, *COLUMNS[last:]])
    counts = ("n", "stimuli", "units", "rank_low", "rank_high")
    numbers = ("value", "low", "high", "diff_to_best", "diff_low", "diff_high", "p_value", "p_holm")
    return frame.astype(
        {name: "Int64" if name in counts else "float64" for name in (*counts, *numbers, *others)}
    )


def trial_tables(reports: Sequence[TrialReport]) -> dict[tuple[str, str], list[TrialReport]]:
    """Cases by (dataset, evaluation), in order of appearance."""
    found: dict[tuple[str, str], list[TrialReport]] = {}
    for report in reports:
        found.setdefault((report.dataset, report.evaluation.label), []).append(report)
    return found


def _rows(table: Sequence[TrialReport]) -> list[dict[str, Any]]:
    scored = [report for report in table if report.scored]
    scored.sort(key=lambda report: -_value(report))
    rows = [_numbers(report) for report in scored]
    pairs = [(a, b) for a in range(len(scored)) for b in range(a + 1, len(scored))]
    # value of the better minus that of the worse: never negative
    compared = [_compare(scored[a], scored[b]) for a, b in pairs]
    adjusted = holm([np.nan if c is None or c.p is None else c.p for c in compared])
    above, below = np.zeros(len(scored), int), np.zeros(len(scored), int)
    for (a, b), comparison, p in zip(pairs, compared, adjusted, strict=True):
        if comparison is None or comparison.p is None:
            continue
        if p < 0.05:
            above[b] += 1
            below[a] += 1
        if a == 0:
            ends = {"diff_low": comparison.high, "diff_high": comparison.low}
            rows[b] |= {
                "diff_to_best": -comparison.difference,
                **{name: None if end is None else -end for name, end in ends.items()},
                "p_value": comparison.p,
                "p_holm": float(p),
            }
    for i, row in enumerate(rows):
        row |= {"rank_low": 1 + int(above[i]), "rank_high": len(scored) - int(below[i])}
    return rows + [_identity(report) for report in table if not report.scored]


def _compare(a: TrialReport, b: TrialReport) -> PairedDifference | None:
    """The paired comparison of two cases; None where one has no resamples."""
    if not a.resampled or len(a.resampled) != len(b.resampled) or a.summary is None:
        return None
    return paired_difference(_value(a), _value(b), _drawn(a), _drawn(b), a.summary.n)


def _value(report: TrialReport) -> float:
    mean = None if report.summary is None else report.summary.mean
    return np.nan if mean is None else mean


def _drawn(report: TrialReport) -> DoubleArray:
    return np.array([np.nan if v is None else v for v in report.resampled], np.float64)


def _numbers(report: TrialReport) -> dict[str, Any]:
    row = _identity(report)
    for measure in report.measures:
        if measure.group:
            continue
        if measure.name == report.headline:
            row |= {"value": measure.value, "low": measure.low, "high": measure.high}
            row |= {"n": measure.n, "stimuli": measure.stimuli, "units": measure.units}
        else:
            row[measure.name] = measure.value
    return row


def _identity(report: TrialReport) -> dict[str, Any]:
    return {
        "dataset": report.dataset,
        "evaluation": report.evaluation.label,
        "metric": report.metric.label if report.metric else None,
        "status": report.status,
        "measure": report.headline,
        "seconds": sum(report.seconds.values(), 0.0),
        "reason": report.reason,
        "case": report.id,
    }
