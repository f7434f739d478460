"""Metrics beside each other on the same units: which metric finds a method's directions easiest?

Only for evaluations whose scores mean the same under every metric (they have a chance level, as the
accuracy of psychophysics has). A table holds the cases of one dataset, model, layer, evaluation and
finder. All metrics score the same units, and evaluations draw the same trials for all of them, so that
comparisons are paired: over the units that every metric of the table scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.statistics.scores import holm, paired_intervals, ranks_left_open, tie_letters
from iibench.statistics.sign_flips import sign_flip_p

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd

    from iibench.contract.arrays import DoubleArray, IntArray
    from iibench.contract.reports import CaseReport

COLUMNS = (
    *(
        "dataset",
        "model",
        "layer",
        "evaluation",
        "finder",
        "metric",
        "units",
        "mean",
        "low",
        "high",
    ),
    *("diff_to_best", "diff_low", "diff_high", "p_value", "p_holm"),
    *("rank_low", "rank_high", "tie_group", "case"),
)
ALPHA = 0.05


def metric_leaderboard(cases: Sequence[CaseReport], evaluations: Collection[str]) -> pd.DataFrame:
    """One row per case of `evaluations` (labels) on a whole metric; in each table the best mean first.

    Columns: `dataset, model, layer, evaluation, finder` (the table), `metric`; `units`, scored under
    every metric of the table, with their `mean` and its 95 % interval `low, high` (bootstrap over
    units); `diff_to_best` (mean minus the best mean, over the same units) with `diff_low, diff_high`
    (paired bootstrap), `p_value` (two-sided paired sign-flip test over units) and `p_holm` (Holm over
    all pairs of the table); `rank_low, rank_high, tie_group` as in `leaderboard`, from these tests.
    Tables of fewer than two metrics are left out.
    """
    import pandas as pd

    rows = [row for table in _tables(cases, evaluations) for row in _rows(table)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    counts = ("units", "rank_low", "rank_high")
    numbers = COLUMNS[COLUMNS.index("mean") : COLUMNS.index("rank_low")]
    return frame.astype(
        {name: "Int64" if name in counts else "float64" for name in counts + numbers}
    )


def _tables(cases: Sequence[CaseReport], evaluations: Collection[str]) -> list[list[CaseReport]]:
    found: dict[tuple[str, ...], list[CaseReport]] = {}
    for case in cases:
        if not case.scored or case.metric is None or case.metric.part is not None:
            continue
        if case.evaluation.label in evaluations:
            key = (case.dataset, case.model.label, case.layer, case.evaluation.label)
            found.setdefault((*key, case.finder.label), []).append(case)
    return [table for table in found.values() if len(table) > 1]


def _rows(table: Sequence[CaseReport]) -> list[dict[str, Any]]:
    scores = np.array(
        [[np.nan if s is None else s for s in case.scores] for case in table], np.float64
    ).T
    scores = scores[~np.isnan(scores).any(axis=1)]
    if not len(scores):
        return []
    order = np.argsort(-scores.mean(axis=0), kind="stable")
    scores, table = scores[:, order], [table[i] for i in order]
    pairs = list(combinations(range(len(table)), 2))
    differences = scores[:, [a for a, _ in pairs]] - scores[:, [b for _, b in pairs]]
    p = sign_flip_p(differences)
    adjusted = holm(p)
    separated = _separated(len(table), pairs, differences.mean(axis=0), adjusted)
    ranks = ranks_left_open(separated)
    letters = tie_letters(separated, range(len(table)))
    intervals = paired_intervals(np.hstack([scores, scores - scores[:, :1]]))
    rows = []
    for i, case in enumerate(table):
        rank, to_best = ranks[i], pairs.index((0, i)) if i else None
        row: dict[str, Any] = {
            "dataset": case.dataset,
            "model": case.model.label,
            "layer": case.layer,
            "evaluation": case.evaluation.label,
            "finder": case.finder.label,
            "metric": case.metric.label if case.metric else None,
            "units": len(scores),
            "mean": float(scores[:, i].mean()),
            "low": intervals[i][0],
            "high": intervals[i][1],
            "rank_low": rank[0],
            "rank_high": rank[1],
            "tie_group": letters[i],
            "case": case.id,
        }
        if to_best is not None:
            low, high = intervals[len(table) + i]
            row |= {
                "diff_to_best": -float(differences[:, to_best].mean()),
                "diff_low": low,
                "diff_high": high,
                "p_value": float(p[to_best]),
                "p_holm": float(adjusted[to_best]),
            }
        rows.append(row)
    return rows


def _separated(
    m: int, pairs: Sequence[tuple[int, int]], means: DoubleArray, adjusted: DoubleArray
) -> IntArray:
    found = np.zeros((m, m), np.int64)
    for (a, b), mean, p in zip(pairs, means, adjusted, strict=True):
        if p < ALPHA:
            found[a, b] = 1 if mean > 0 else -1
            found[b, a] = -found[a, b]
    return found
