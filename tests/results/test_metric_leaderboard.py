"""Metrics on the same units: paired tests against SciPy, and what is compared with what."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from iibench.contract.reports import CaseReport, Named
from iibench.results.metric_leaderboard import COLUMNS, metric_leaderboard
from iibench.statistics.scores import holm, paired_intervals
from iibench.statistics.sign_flips import sign_flip_p
from tests.results.test_leaderboard import case

LABEL = "insilico[difficulty=0]"


def accuracy(finder: str, metric: str, scores: object, part: str | None = None) -> CaseReport:
    return dataclasses.replace(
        case(finder, scores, metric),
        id=f"{finder}/{metric}",
        evaluation=Named("insilico", LABEL),
        metric=Named(metric, metric, part=part),
    )


def drawn(n: int = 80) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    easy = rng.uniform(0.4, 0.9, n)
    return {
        "color": np.clip(easy + rng.normal(0, 0.02, n), 0, 1),
        "lpips": np.clip(easy + 0.05 + rng.normal(0, 0.02, n), 0, 1),
        "dists": np.clip(easy + 0.051 + rng.normal(0, 0.02, n), 0, 1),
    }


def test_rows_ranks_and_paired_differences() -> None:
    scores = drawn()
    board = metric_leaderboard([accuracy("neurons", m, s) for m, s in scores.items()], [LABEL])
    assert tuple(board.columns) == COLUMNS
    means = {name: values.mean() for name, values in scores.items()}
    assert list(board["metric"]) == sorted(means, key=lambda name: -means[name])
    board = board.set_index("metric")
    assert list(board.loc["color", ["rank_low", "rank_high"]]) == [3, 3]
    assert {board.loc["lpips", "tie_group"], board.loc["dists", "tie_group"]} == {"a"}
    assert board.loc["color", "tie_group"] == "b"
    best = max(means, key=lambda name: means[name])
    row = board.loc["color"]
    assert row["diff_to_best"] == pytest.approx(means["color"] - means[best])
    assert row["diff_low"] < row["diff_to_best"] < row["diff_high"] < 0
    # units vary far more than differences: only a paired interval is this narrow
    assert row["diff_high"] - row["diff_low"] < 0.02 < row["high"] - row["low"]
    assert pd.isna(board.loc[best, "p_value"])


def test_only_units_scored_under_every_metric_count_and_parts_do_not() -> None:
    scores = drawn(30)
    scores["lpips"][3] = np.nan
    board = metric_leaderboard(
        [accuracy("neurons", m, s) for m, s in scores.items()]
        + [accuracy("neurons", "lpips[0]", scores["color"], part="0")]
        + [accuracy("pca", "color", scores["color"])],
        [LABEL],
    )
    assert list(board["units"]) == [29] * 3
    kept = np.arange(30) != 3
    row = board.set_index("metric").loc["color"]
    assert row["mean"] == pytest.approx(scores["color"][kept].mean())
    assert metric_leaderboard([accuracy("neurons", "color", scores["color"])], [LABEL]).empty
    assert metric_leaderboard([accuracy("pca", m, s) for m, s in scores.items()], []).empty


def test_corrected_over_all_pairs() -> None:
    scores = drawn(20)
    names = list(scores)
    board = metric_leaderboard([accuracy("neurons", m, s) for m, s in scores.items()], [LABEL])
    ordered = list(board["metric"])
    pairs = [(a, b) for i, a in enumerate(ordered) for b in ordered[i + 1 :]]
    p = sign_flip_p(np.stack([scores[a] - scores[b] for a, b in pairs], axis=1))
    expected = dict(zip(pairs, holm(p), strict=True))
    for name in names:
        if name != ordered[0]:
            found = board.set_index("metric").loc[name, "p_holm"]
            assert found == pytest.approx(expected[ordered[0], name])


def test_intervals_of_one_row() -> None:
    assert paired_intervals(np.ones((1, 2))) == [(None, None)] * 2
