"""The leaderboard of a run: a row per case, methods compared within a table.

A table holds the cases of one dataset, model, layer, evaluation and metric; nothing is ever compared
across tables. Every method is compared with the first baseline and with the first control of its table
(`FinderSpec.role`). Larger scores are better, always.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.statistics.scores import (
    Comparison,
    compare_pairs,
    holm,
    ranks_left_open,
    separations,
    tie_letters,
)

if TYPE_CHECKING:
    import pandas as pd

    from iibench.contract.arrays import DoubleArray
    from iibench.contract.reports import CaseReport

#: Roles of the finders that the others are compared with.
ROLES = ("baseline", "control")

Key = tuple[str, str, str, str, str | None]
#: Labels of a finder's directions: dataset, model, layer, finder.
Stem = tuple[str, str, str, str]
#: Of a table: role -> place of a case -> what comparing it with the finder of that role gave.
Compared = dict[str, dict[int, Comparison]]

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
    "diff_to_baseline",
    "diff_low",
    "diff_high",
    "p_value",
    "p_holm",
    "effect",
    "diff_to_control",
    "control_low",
    "control_high",
    "control_p_value",
    "control_p_holm",
    "sparseness",
    "rank_low",
    "rank_high",
    "tie_group",
    "baseline",
    "control",
    "dead",
    "seconds",
    "reason",
    "case",
)


def leaderboard(
    cases: Sequence[CaseReport], sparseness: Mapping[Stem, float] | None = None
) -> pd.DataFrame:
    """One row per case: tables in the order of the cases, in each the best mean first.

    Columns: `dataset, model, layer, evaluation, metric` (the table; no metric where the evaluation
    needs none), `finder`, `status`; `k` units, `n_scored` of them, and `dead` ones, which have no
    score; `mean` with its 95 % interval `low, high`, `sd`, `median`; `diff_to_baseline` (mean minus the
    baseline's mean) with its interval `diff_low, diff_high`, `p_value` (two-sided Mann-Whitney), `p_holm`
    (Holm over the table's comparisons with the baseline) and `effect` (chance that a unit of this finder
    scores above one of the baseline, ties one half); `diff_to_control` with `control_low, control_high`,
    `control_p_value`, `control_p_holm`, the same against the control; `baseline`, `control` (labels of
    the finders that it is compared with); `sparseness` (mean lifetime sparseness of the finder's
    directions, from the argument); `rank_low, rank_high` (best and worst rank that Mann-Whitney tests of
    all pairs, Holm-corrected at 0.05, leave open) and `tie_group` (two methods of a table share a letter
    where these tests do not separate them; `a` is the best mean); `seconds` of computation; `reason`;
    `case` (its id). Cases that did not pass stand last, with status
    and reason and without numbers.
    """
    import pandas as pd

    found = list(tables(cases).values())
    passed = [[case for case in table if case.scored] for table in found]
    samples = [[_values(case) for case in table] for table in passed]
    compared = _comparisons(passed, samples)
    rows = [
        row
        for table, scored, values, against in zip(found, passed, samples, compared, strict=True)
        for row in _rows(table, scored, values, against, sparseness or {})
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    counts = ("k", "n_scored", "rank_low", "rank_high", "dead")
    numbers = COLUMNS[COLUMNS.index("mean") : COLUMNS.index("rank_low")]
    return frame.astype(
        {name: "Int64" if name in counts else "float64" for name in counts + numbers}
    )


def tables(cases: Sequence[CaseReport]) -> dict[Key, list[CaseReport]]:
    """Cases by (dataset, model, layer, evaluation, metric), in order of appearance; no analyses."""
    found: dict[Key, list[CaseReport]] = {}
    for case in cases:
        if case.is_analysis:
            continue
        metric = case.metric.label if case.metric else None
        key = (case.dataset, case.model.label, case.layer, case.evaluation.label, metric)
        found.setdefault(key, []).append(case)
    return found


def _comparisons(
    passed: Sequence[Sequence[CaseReport]], samples: Sequence[Sequence[DoubleArray]]
) -> list[Compared]:
    """Per table, its cases against the first of each of `ROLES`; all at once, which is faster."""
    asked = [
        (table, role, i, base)
        for table, cases in enumerate(passed)
        for role in ROLES
        for base in _first(cases, role)
        for i in range(len(cases))
        if i != base
    ]
    flat = [x for table in samples for x in table]
    before = [0, *accumulate(map(len, samples))]
    pairs = [(before[table] + i, before[table] + base) for table, _, i, base in asked]
    found: list[Compared] = [{role: {} for role in ROLES} for _ in passed]
    for (table, role, i, _), one in zip(asked, compare_pairs(flat, pairs), strict=True):
        found[table][role][i] = one
    return found


def _first(cases: Sequence[CaseReport], role: str) -> list[int]:
    """The place of the first case of that role; nothing where there is none."""
    return [i for i, case in enumerate(cases) if case.role == role][:1]


def _rows(
    table: Sequence[CaseReport],
    passed: Sequence[CaseReport],
    samples: Sequence[DoubleArray],
    compared: Compared,
    sparseness: Mapping[Stem, float],
) -> list[dict[str, Any]]:
    separated = separations(samples)
    ranks = ranks_left_open(separated)
    rows = [_numbers(case, rank) for case, rank in zip(passed, ranks, strict=True)]
    order = sorted(range(len(rows)), key=lambda i: -_mean(rows[i]))
    letters = tie_letters(separated, order)
    for i, (row, case) in enumerate(zip(rows, passed, strict=True)):
        row |= {"tie_group": letters[i], "sparseness": sparseness.get(case.stem)}
    for role in ROLES:
        for first in _first(passed, role):
            for i in compared[role]:
                rows[i][role] = passed[first].finder.label
    baseline = ("diff_to_baseline", "diff_low", "diff_high", "p_value", "p_holm")
    _add(compared["baseline"], rows, baseline, effect="effect")
    _add(
        compared["control"],
        rows,
        ("diff_to_control", "control_low", "control_high", "control_p_value", "control_p_holm"),
    )
    return [rows[i] for i in order] + [_identity(case) for case in table if not case.scored]


def _mean(row: Mapping[str, Any]) -> float:
    return -np.inf if row["mean"] is None else float(row["mean"])


def _add(
    compared: Mapping[int, Comparison],
    rows: Sequence[dict[str, Any]],
    names: tuple[str, str, str, str, str],
    effect: str | None = None,
) -> None:
    """Adds the comparisons with a baseline to the rows.

    `names`: of the columns for difference, interval, p and corrected p; `effect`: of the effect's.
    """
    adjusted = holm([np.nan if c.p is None else c.p for c in compared.values()])
    for (i, found), p in zip(compared.items(), adjusted, strict=True):
        corrected = None if np.isnan(p) else float(p)
        values = (found.difference, found.low, found.high, found.p, corrected)
        rows[i].update(zip(names, values, strict=True))
        if effect is not None:
            rows[i][effect] = found.effect


def _numbers(case: CaseReport, rank: tuple[int, int]) -> dict[str, Any]:
    summary = case.summary
    assert summary is not None  # it is scored
    return {
        **_identity(case),
        "k": summary.n,
        "n_scored": summary.scored,
        "mean": summary.mean,
        "low": summary.low,
        "high": summary.high,
        "sd": summary.sd,
        "median": summary.median,
        "rank_low": rank[0],
        "rank_high": rank[1],
        "dead": summary.n - summary.scored,
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
