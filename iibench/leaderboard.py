"""The leaderboard of a run: a row per case, methods compared within a table.

A table holds the cases of one dataset, model, layer, evaluation and metric; nothing is ever compared
across tables. The baseline is the finder `neurons`. Larger scores are better, always.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.statistics import compare_many, holm, rank_intervals, summarise

if TYPE_CHECKING:
    import pandas as pd

    from iibench.records import CaseReport
    from iibench.specs import DoubleArray

#: Name of the finder that the others are compared with.
BASELINE = "neurons"

Key = tuple[str, str, str, str, str | None]

COLUMNS = (
    "dataset",
    "model",
    "layer",
    "evaluation",
    "metric",
    "finder",
    "status",
    "k",
    "n_scored",
    "mean",
    "low",
    "high",
    "sd",
    "median",
    "diff_to_neurons",
    "diff_low",
    "diff_high",
    "p_value",
    "p_holm",
    "effect",
    "rank_low",
    "rank_high",
    "seconds",
    "reason",
    "case",
)


def leaderboard(cases: Sequence[CaseReport]) -> pd.DataFrame:
    """One row per case: tables in the order of the cases, in each the best mean first.

    Columns: `dataset, model, layer, evaluation, metric` (the table; no metric where the evaluation
    needs none), `finder`, `status`; `k` units and `n_scored` of them; `mean` with its 95 % interval
    `low, high`, `sd`, `median`; `diff_to_neurons` (mean minus the neurons' mean) with its interval
    `diff_low, diff_high`, `p_value` (two-sided Mann-Whitney), `p_holm` (Holm over the table's
    comparisons with neurons) and `effect` (chance that a unit of this finder scores above a neuron,
    ties one half); `rank_low, rank_high` (best and worst rank that Mann-Whitney tests of all pairs,
    Holm-corrected at 0.05, leave open); `seconds` of computation; `reason`; `case` (its id).
    Cases that did not pass stand last, with status and reason and without numbers.
    """
    import pandas as pd

    rows = [row for table in tables(cases).values() for row in _rows(table)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    counts = ("k", "n_scored", "rank_low", "rank_high")
    numbers = COLUMNS[COLUMNS.index("mean") : COLUMNS.index("rank_low")]
    return frame.astype(
        {name: "Int64" if name in counts else "float64" for name in counts + numbers}
    )


def tables(cases: Sequence[CaseReport]) -> dict[Key, list[CaseReport]]:
    """Cases by (dataset, model, layer, evaluation, metric), in order of appearance."""
    found: dict[Key, list[CaseReport]] = {}
    for case in cases:
        metric = case.metric.label if case.metric else None
        key = (case.dataset, case.model.label, case.layer, case.evaluation.label, metric)
        found.setdefault(key, []).append(case)
    return found


def _rows(table: Sequence[CaseReport]) -> list[dict[str, Any]]:
    passed = [case for case in table if case.scored]
    samples = [_values(case) for case in passed]
    ranks = rank_intervals(samples)
    rows = [
        _numbers(case, values, rank)
        for case, values, rank in zip(passed, samples, ranks, strict=True)
    ]
    _compare_with_baseline(passed, samples, rows)
    rows.sort(key=lambda row: np.inf if row["mean"] is None else -row["mean"])
    return rows + [_identity(case) for case in table if not case.scored]


def _compare_with_baseline(
    passed: Sequence[CaseReport], samples: Sequence[DoubleArray], rows: Sequence[dict[str, Any]]
) -> None:
    """Adds the comparison with neurons to each row but their own, where the table has them."""
    baseline = next((i for i, case in enumerate(passed) if case.finder.name == BASELINE), None)
    if baseline is None:
        return
    others = [i for i in range(len(passed)) if i != baseline]
    compared = compare_many([samples[i] for i in others], samples[baseline])
    adjusted = holm([np.nan if c.p is None else c.p for c in compared])
    for i, comparison, p in zip(others, compared, adjusted, strict=True):
        rows[i].update(
            diff_to_neurons=comparison.difference,
            diff_low=comparison.low,
            diff_high=comparison.high,
            p_value=comparison.p,
            p_holm=None if np.isnan(p) else float(p),
            effect=comparison.effect,
        )


def _numbers(case: CaseReport, values: DoubleArray, rank: tuple[int, int] | None) -> dict[str, Any]:
    summary = case.summary or summarise(values)
    return {
        **_identity(case),
        "k": summary.n,
        "n_scored": summary.scored,
        "mean": summary.mean,
        "low": summary.low,
        "high": summary.high,
        "sd": summary.sd,
        "median": summary.median,
        "rank_low": rank[0] if rank else None,
        "rank_high": rank[1] if rank else None,
    }


def _identity(case: CaseReport) -> dict[str, Any]:
    return {
        "dataset": case.dataset,
        "model": case.model.label,
        "layer": case.layer,
        "evaluation": case.evaluation.label,
        "metric": case.metric.label if case.metric else None,
        "finder": case.finder.label,
        "status": case.status,
        "seconds": sum(case.seconds.values(), 0.0),
        "reason": case.reason,
        "case": case.id,
    }


def _values(case: CaseReport) -> DoubleArray:
    return np.array([np.nan if s is None else s for s in case.scores], np.float64)
