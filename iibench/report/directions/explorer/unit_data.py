"""The data files behind the unit explorer: numbers of single units as columns that scripts read fast.

A column is text: a type (`i4`, `f4`, `u2`, `u4`), a colon and base64 of its little-endian values; a
matrix stands row by row, NaN is a missing number and -1 a missing image. K units, M exemplars on each
side, T trials of a unit.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.results.unit_tables import STEM, Stem

if TYPE_CHECKING:
    import pandas as pd

    from iibench.contract.arrays import DoubleArray, IntArray
    from iibench.contract.reports import CaseReport
    from iibench.results.run import Run

#: Units whose trials share a file.
CHUNK = 64


@dataclass(frozen=True)
class Side:
    """The most or the least activating images of K units: `images`, `responses` (K, M)."""

    images: IntArray
    responses: DoubleArray


@dataclass(frozen=True)
class TrialColumns:
    """The trials of K units under one evaluation: queries (K, T), references (K, T, F) and (K, T, G)."""

    evaluation: str
    strong: IntArray
    weak: IntArray
    strong_references: IntArray
    weak_references: IntArray


@dataclass(frozen=True)
class UnitFrames:
    """The run's tables of single units, by the labels of their finder."""

    exemplars: Mapping[tuple[Stem, str], pd.DataFrame] = field(default_factory=dict)
    directions: Mapping[Stem, pd.DataFrame] = field(default_factory=dict)
    trials: Mapping[tuple[Stem, str], pd.DataFrame] = field(default_factory=dict)
    evidence: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run) -> UnitFrames:
        """Reads them; tables that the run does not have are empty."""
        return cls(
            {(key[:4], key[4]): rows for key, rows in _groups(run.exemplars(), (*STEM, "side"))},
            dict(_groups(run.directions(), STEM)),
            {
                (key[:4], key[4]): rows
                for key, rows in _groups(run.unit_trials(), (*STEM, "evaluation"))
            },
            {key[0]: rows for key, rows in _groups(run.unit_evidence(), ("case",))},
        )

    def side(self, stem: Stem, side: str, k: int) -> Side | None:
        """Exemplars of one side, (K, M); None where the run has none."""
        rows = self.exemplars.get((stem, side))
        if rows is None:
            return None
        shape = (k, int(rows["rank"].max()) + 1)
        images, responses = np.full(shape, -1, np.int64), np.full(shape, np.nan)
        at = rows["unit"].to_numpy(np.int64), rows["rank"].to_numpy(np.int64)
        images[at], responses[at] = rows["image"], rows["response"]
        return Side(images, responses)

    def trials_of(self, stem: Stem, k: int) -> list[TrialColumns]:
        """The trials of every evaluation that keeps them."""
        return [
            _trials(rows, evaluation, k)
            for (of, evaluation), rows in self.trials.items()
            if of == stem
        ]

    def evidence_of(self, case: str, k: int, t: int) -> DoubleArray | None:
        """(K, T, 2) evidence for the strong and the weak query, NaN where there is none."""
        rows = self.evidence.get(case)
        if rows is None:
            return None
        found = np.full((k, t, 2), np.nan)
        at = rows["unit"].to_numpy(np.int64), rows["trial"].to_numpy(np.int64)
        found[(*at, 0)], found[(*at, 1)] = rows["strong"], rows["weak"]
        return found


def column(values: Any, kind: str) -> str:
    """The values as text that scripts read; `kind`: i4, f4, u2 or u4."""
    plain = np.ascontiguousarray(values, dtype=f"<{kind}")
    return f"{kind}:{base64.b64encode(plain.tobytes()).decode('ascii')}"


def unit_file(
    frames: UnitFrames, stem: Stem, k: int, cases: Sequence[CaseReport | None]
) -> dict[str, Any]:
    """Everything about a finder's units but their trials; `cases`: the case of each measure of the place.

    `top`, `bottom`: images and responses; `histogram`: counts, low and high ends; `sparseness`,
    `positive`; `scores`: a column per measure, None where it has no scores; `reasons`: texts, and per
    measure with unscored units a column of 1 + the position of their reason.
    """
    rows = frames.directions.get(stem)
    made: dict[str, Any] = {"k": k}
    for name in ("top", "bottom"):
        side = frames.side(stem, name, k)
        made[name] = side and {
            "images": column(side.images, "i4"),
            "responses": column(side.responses, "f4"),
        }
    for name in ("sparseness", "positive"):
        made[name] = None if rows is None else column(_spread(rows, name, k), "f4")
    made["histogram"] = None if rows is None else _histogram(rows, k)
    scored = [case if case is not None and len(case.scores) == k else None for case in cases]
    made["scores"] = [
        None if case is None else column(np.array(case.scores, np.float64), "f4") for case in scored
    ]
    texts: dict[str, int] = {}
    reasons: dict[int, str] = {}
    for i, case in enumerate(scored):
        if case is not None and any(case.reasons):
            codes = [0 if r is None else texts.setdefault(r, len(texts)) + 1 for r in case.reasons]
            reasons[i] = column(np.minimum(codes, 65535), "u2")
    made["reasons"] = {"texts": list(texts), "columns": reasons}
    return made


def trial_files(
    trials: Sequence[TrialColumns], evidence: Mapping[tuple[str, str], DoubleArray], k: int
) -> Iterator[dict[str, Any]]:
    """The trials of `CHUNK` units at a time; `evidence`: (evaluation, metric) -> (K, T, 2).

    Of the evidence, the strong query's and the margin are given: unlike two rounded numbers, the sign of
    the rounded margin says who won.
    """
    for first in range(0, k, CHUNK):
        part = slice(first, first + CHUNK)
        yield {"first": first, "evaluations": [_trial_part(t, evidence, part) for t in trials]}


def _trial_part(
    trials: TrialColumns, evidence: Mapping[tuple[str, str], DoubleArray], part: slice
) -> dict[str, Any]:
    return {
        "evaluation": trials.evaluation,
        "trials": trials.strong.shape[1],
        "references": [trials.strong_references.shape[2], trials.weak_references.shape[2]],
        "strong": column(trials.strong[part], "i4"),
        "weak": column(trials.weak[part], "i4"),
        "strong_references": column(trials.strong_references[part], "i4"),
        "weak_references": column(trials.weak_references[part], "i4"),
        "evidence": [
            {
                "metric": metric,
                "strong": column(found[part, :, 0], "f4"),
                "margin": column(found[part, :, 0] - found[part, :, 1], "f4"),
            }
            for (evaluation, metric), found in evidence.items()
            if evaluation == trials.evaluation
        ],
    }


def _groups(frame: pd.DataFrame, names: Sequence[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """(labels, rows) of each group, as plain text; nothing for an empty table."""
    if not len(frame):
        return
    for key, rows in frame.groupby(list(names), observed=True, sort=False):
        yield tuple(map(str, key)), rows


def _spread(rows: pd.DataFrame, name: str, k: int) -> DoubleArray:
    values = np.full(k, np.nan)
    values[rows["unit"].to_numpy(np.int64)] = rows[name]
    return values


def _histogram(rows: pd.DataFrame, k: int) -> dict[str, Any]:
    counts = _lists(rows["counts"], 0)
    full = np.zeros((k, counts.shape[1]), np.int64)
    full[rows["unit"].to_numpy(np.int64)] = counts
    return {
        "bins": counts.shape[1],
        "counts": column(full, "u2" if full.max(initial=0) < 2**16 else "u4"),
        "low": column(_spread(rows, "low", k), "f4"),
        "high": column(_spread(rows, "high", k), "f4"),
    }


def _trials(rows: pd.DataFrame, evaluation: str, k: int) -> TrialColumns:
    t = int(rows["trial"].max()) + 1
    at = rows["unit"].to_numpy(np.int64), rows["trial"].to_numpy(np.int64)

    def laid_out(values: IntArray) -> IntArray:
        found = np.full((k, t, *values.shape[1:]), -1, np.int64)
        found[at] = values
        return found

    return TrialColumns(
        evaluation,
        laid_out(rows["strong"].to_numpy(np.int64)),
        laid_out(rows["weak"].to_numpy(np.int64)),
        laid_out(_lists(rows["strong_references"], -1)),
        laid_out(_lists(rows["weak_references"], -1)),
    )


def _lists(values: pd.Series[Any], missing: int) -> IntArray:
    """Lists of numbers as a matrix; shorter ones are filled up with `missing`."""
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    width = int(lengths.max(initial=0))
    found = np.full((len(values), width), missing, np.int64)
    if width:
        found[np.arange(width) < lengths[:, None]] = np.concatenate(values.to_list())
    return found
