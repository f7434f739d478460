"""The leaderboard: what is compared with what, how rows are ordered, and what never gets lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from iibench.contract.reports import CaseReport, Named, Summary
from iibench.results.leaderboard import COLUMNS, leaderboard
from iibench.statistics.scores import holm, summarise
from tests.conftest import number_of_calls

RNG = np.random.default_rng(0)


def case(finder: str, scores: Any, metric: str | None = "lpips", **changes: Any) -> CaseReport:
    values = np.asarray(scores, float)
    fields: dict[str, Any] = {
        "id": f"{changes.get('dataset', 'd')}/m/l/{finder}/{metric}/ii",
        "dataset": "d",
        "model": Named("m", "m"),
        "layer": "l",
        "finder": Named(finder.partition("[")[0], finder),
        "metric": Named(metric, metric) if metric else None,
        "evaluation": Named("ii", "ii"),
        "status": "passed",
        "seed": 0,
        "seconds": {"a": 0.5, "b": 0.25},
        "summary": summarise(values),
        "scores": tuple(None if np.isnan(v) else float(v) for v in values),
        "reasons": tuple("dead" if np.isnan(v) else None for v in values),
        "role": {"neurons": "baseline", "random": "control"}.get(
            finder.partition("[")[0], "method"
        ),
    }
    return CaseReport(**{**fields, **changes})


def spread(mean: float, n: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 0.1, n)


def test_columns_and_order() -> None:
    board = leaderboard(
        [
            case("pca", spread(0.2, seed=1)),
            case("neurons", spread(0.0, seed=2)),
            case("kmeans[k=40]", spread(0.5, 40, seed=3)),
        ]
    )
    assert tuple(board.columns) == COLUMNS
    assert list(board["finder"]) == ["kmeans[k=40]", "pca", "neurons"]
    assert list(board["k"]) == [40, 60, 60]
    assert list(board["rank_low"]) == list(board["rank_high"]) == [1, 2, 3]
    assert (board["seconds"] == 0.75).all()
    assert (board["low"] < board["mean"]).all() and (board["mean"] < board["high"]).all()


def test_comparison_with_neurons_is_mann_whitney_with_holm() -> None:
    neurons = spread(0.0, seed=2)
    others = {"pca": spread(0.05, seed=4), "ica": spread(0.03, 45, seed=5), "nmf": spread(-0.2)}
    cases = [case("neurons", neurons), *(case(name, x) for name, x in others.items())]
    board = leaderboard(cases).set_index("finder")
    p = {
        name: scipy.stats.mannwhitneyu(x, neurons, method="asymptotic").pvalue
        for name, x in others.items()
    }
    for (name, x), adjusted in zip(others.items(), holm(list(p.values())), strict=True):
        row = board.loc[name]
        assert row["p_value"] == pytest.approx(p[name])
        assert row["p_holm"] == pytest.approx(adjusted)
        assert row["diff_to_baseline"] == pytest.approx(x.mean() - neurons.mean())
        assert row["diff_low"] < row["diff_to_baseline"] < row["diff_high"]
        assert row["effect"] == pytest.approx(np.mean(x[:, None] > neurons))
    assert pd.isna(board.loc["neurons", "p_value"])
    assert pd.isna(board.loc["neurons", "diff_to_baseline"])


def test_methods_that_cannot_be_told_apart_share_ranks() -> None:
    board = leaderboard(
        [
            case("neurons", spread(0.0, seed=2)),
            case("pca", spread(0.5, seed=3)),
            case("ica", spread(0.501, seed=4)),
        ]
    ).set_index("finder")
    assert list(board.loc[["pca", "ica"], "rank_low"]) == [1, 1]
    assert list(board.loc[["pca", "ica"], "rank_high"]) == [2, 2]
    assert (board.loc["neurons", "rank_low"], board.loc["neurons", "rank_high"]) == (3, 3)


def test_tables_are_never_mixed() -> None:
    alone = leaderboard([case("neurons", spread(0.0)), case("pca", spread(0.1, seed=1))])
    mixed = leaderboard(
        [
            case("neurons", spread(0.0)),
            case("pca", spread(0.1, seed=1)),
            case("pca", spread(9.0), "color"),
            case("neurons", spread(-9.0), dataset="other"),
        ]
    )
    pd.testing.assert_frame_equal(alone, mixed.iloc[:2])
    colour = mixed[mixed["metric"] == "color"].iloc[0]
    assert pd.isna(colour["diff_to_baseline"]) and colour["rank_low"] == 1


def test_cases_that_did_not_pass_stay_with_their_reason_and_no_numbers() -> None:
    failed = case(
        "sae", np.full(4, np.nan), status="failed", reason="no direction could be scored: dead"
    )
    skipped = case("nmf", [], status="skipped", reason="needs labels", summary=None)
    board = leaderboard([failed, skipped, case("neurons", spread(0.0))])
    assert list(board["finder"]) == ["neurons", "sae", "nmf"]
    assert list(board["status"]) == ["passed", "failed", "skipped"]
    assert list(board["reason"])[1:] == ["no direction could be scored: dead", "needs labels"]
    numbers = board.iloc[1:][["k", "mean", "low", "p_holm", "rank_low"]]
    assert numbers.isna().all(axis=None)
    assert board.iloc[0]["rank_high"] == 1


def test_unscored_units_are_counted_and_left_out() -> None:
    scores = np.append(spread(0.3, 20), [np.nan, np.nan])
    row = leaderboard([case("pca", scores), case("neurons", [np.nan, 0.1])]).set_index("finder")
    assert (row.loc["pca", "k"], row.loc["pca", "n_scored"]) == (22, 20)
    assert pd.isna(row.loc["pca", "diff_low"])  # one scored neuron cannot be resampled
    assert row.loc["pca", "diff_to_baseline"] == pytest.approx(spread(0.3, 20).mean() - 0.1)


def test_an_evaluation_without_metric_and_no_case_at_all() -> None:
    board = leaderboard([case("neurons", spread(0.0), None), case("pca", spread(0.1), None)])
    assert board["metric"].isna().all()
    assert board["diff_to_baseline"].notna().sum() == 1
    empty = leaderboard([])
    assert tuple(empty.columns) == COLUMNS and len(empty) == 0
    assert empty["mean"].dtype == np.float64


@pytest.mark.slow
def test_a_run_of_the_papers_size() -> None:
    sizes = (256, 256, 256, 256, 256, 128, 256, 512, 512)
    names = ("neurons", *(f"finder{i}" for i in range(8)))
    cases = [
        case(name, RNG.normal(0.02 * i, 0.1, k), f"metric{table}")
        for table in range(53)
        for i, (name, k) in enumerate(zip(names, sizes, strict=True))
    ]
    board = leaderboard(cases)
    assert len(board) == 477
    assert board["diff_low"].notna().sum() == 53 * 8


@pytest.mark.slow
def test_no_function_is_called_for_each_unit() -> None:
    def calls(k: int) -> int:
        rows = Summary(k, k, 0.0)
        cases = [
            case(name, RNG.normal(0.001 * i, 0.1, k), f"metric{table}", summary=rows)
            for table in range(3)
            for i, name in enumerate(("neurons", "random", "pca"))
        ]

        def compared() -> None:
            board = leaderboard(cases)
            assert board["diff_low"].notna().sum() == board["control_low"].notna().sum() == 3 * 2

        return number_of_calls(compared)

    assert calls(2000) < 2 * calls(200)


def test_comparison_with_random_directions_letters_dead_units_and_sparseness() -> None:
    random, neurons = spread(0.0, seed=2), spread(0.02, seed=6)
    kmeans = np.append(spread(0.6, 40, seed=3), np.nan)
    cases = [
        case("random[k=60]", random),
        case("neurons", neurons),
        case("kmeans[k=41]", kmeans),
    ]
    board = leaderboard(cases, {("d", "m", "l", "neurons"): 0.25}).set_index("finder")
    p = {
        "neurons": scipy.stats.mannwhitneyu(neurons, random, method="asymptotic").pvalue,
        "kmeans[k=41]": scipy.stats.mannwhitneyu(kmeans[:-1], random, method="asymptotic").pvalue,
    }
    for name, adjusted in zip(p, holm(list(p.values())), strict=True):
        row = board.loc[name]
        assert row["control_p_value"] == pytest.approx(p[name])
        assert row["control_p_holm"] == pytest.approx(adjusted)
        assert row["control_low"] < row["diff_to_control"] < row["control_high"]
    assert pd.isna(board.loc["random[k=60]", "diff_to_control"])
    assert board.loc["random[k=60]", "diff_to_baseline"] == pytest.approx(
        random.mean() - neurons.mean()
    )
    assert list(board["dead"]) == [1, 0, 0]
    assert board.loc["kmeans[k=41]", "tie_group"] == "a"
    assert board.loc["neurons", "tie_group"] == board.loc["random[k=60]", "tie_group"] == "b"
    assert board.loc["neurons", "sparseness"] == 0.25
    assert pd.isna(board.loc["random[k=60]", "sparseness"])
