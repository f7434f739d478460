"""Synergy of all pairs against loops written from Eq. 8; exact images of sums; resamples of pairs."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from iibench.compute.pair_sums import first_pair, standardised, top_of_pair_sums
from iibench.compute.ranking import order_by_response
from iibench.compute.similarity.lookups import EmbeddingSimilarity, PairwiseSimilarity
from iibench.contract.details import Histogram, ImageRows
from iibench.contract.errors import CaseError
from iibench.contract.evaluations import EvaluationInputs
from iibench.contract.measures import Measure
from iibench.results.details_io import checked, packed, read_details, unpacked, write_details
from iibench.statistics.pairs import pair_mean_resampled, pair_spearman_resampled
from iibench.statistics.resampling import resample_units
from iibench_plugins.evaluations import ii, synergy
from iibench_plugins.evaluations.synergy import pairs as _synergy_pairs


def naive_tops(values: np.ndarray, m: int) -> np.ndarray:
    """The definition: all sums of each pair, sorted, ties by the lower index."""
    pairs = combinations(range(len(values)), 2)
    return np.array([np.argsort(-(values[a] + values[b]), kind="stable")[:m] for a, b in pairs])


@dataclass
class Reports:
    """A context that keeps what it is told."""

    told: list[tuple[int, int, str]] = field(default_factory=list)

    def progress(self, done: int, total: int, note: str) -> None:
        self.told.append((done, total, note))


def make_inputs(responses: np.ndarray, rows: np.ndarray, context: Any = None) -> EvaluationInputs:
    lookup = EmbeddingSimilarity(lambda indices: rows, len(rows), "squared_euclidean")
    return EvaluationInputs(responses, order_by_response(responses), lookup, None, 3, context)


@pytest.fixture
def inputs() -> EvaluationInputs:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(120, 6)).astype(np.float32)
    responses = (rows @ rng.normal(size=(6, 9)) + rng.normal(size=(120, 9))).astype(np.float32)
    responses[:, 4] = 1.5  # dead
    responses[:, 6] = np.maximum(responses[:, 6] - 3, 0)  # few images, many ties
    responses[:, 7] = np.round(responses[:, 7])
    return make_inputs(responses, rows)


def naive_ii(inputs: EvaluationInputs, images: np.ndarray, mean: str) -> float:
    total, m = 0.0, len(images)
    for j in images:
        for k in images:
            if mean != "off_diagonal" or j != k:
                total += inputs.similarity.within(np.array([[j, k]]))[0, 0, 1]
    return total / {"all": m * m, "eq1": m, "off_diagonal": m * (m - 1)}[mean]


@pytest.mark.parametrize(("mean", "m"), [("all", 5), ("eq1", 3), ("off_diagonal", 4)])
def test_synergies_equal_a_naive_loop(inputs: EvaluationInputs, mean: Any, m: int) -> None:
    got = synergy.evaluate(synergy.Params(m=m, mean=mean, resamples=100), inputs)
    assert got.details is not None
    table = got.details.tables["pairs"]
    found = {
        (int(a), int(b)): row
        for row, (a, b) in enumerate(zip(table["direction_a"], table["direction_b"], strict=True))
    }
    live = [k for k in range(9) if k != 4]
    assert set(found) == set(combinations(live, 2))
    best = dict.fromkeys(live, -np.inf)
    r = inputs.responses.astype(np.float64)
    z = (r - r.mean(axis=0)) / np.where(r.std(axis=0) > 0, r.std(axis=0), 1)
    alone = {k: np.argsort(-inputs.responses[:, k], kind="stable")[:m] for k in live}
    for a, b in combinations(live, 2):
        row = found[a, b]
        top = np.argsort(-(z[:, a] + z[:, b]), kind="stable")[:m]
        assert [table[f"mei_{j + 1}"][row] for j in range(m)] == list(top)
        expected = naive_ii(inputs, top, mean) - max(
            naive_ii(inputs, alone[a], mean), naive_ii(inputs, alone[b], mean)
        )
        assert table["synergy"][row] == pytest.approx(expected, abs=1e-5)
        assert table["correlation"][row] == pytest.approx(np.corrcoef(r[:, a], r[:, b])[0, 1])
        for unit in (a, b):
            best[unit] = max(best[unit], table["synergy"][row])
    assert got.reasons[4] is not None
    assert "dead" in got.reasons[4]
    assert np.isnan(got.values[4])
    np.testing.assert_array_equal(got.values[live], [best[k] for k in live])


def test_measures_are_those_of_the_table(inputs: EvaluationInputs) -> None:
    details = synergy.evaluate(synergy.Params(resamples=200), inputs).details
    assert details is not None
    checked(details, "synergy")
    table, units = details.tables["pairs"], details.tables["directions"]
    got = {measure.name: measure for measure in details.measures}
    assert got["share_positive"].value == pytest.approx((table["synergy"] > 0).mean())
    assert got["mean_synergy"].value == pytest.approx(table["synergy"].mean())
    assert got["best_synergy"].value == table["synergy"].max()
    rho = spearmanr(table["synergy"], table["correlation"]).statistic
    assert got["spearman_synergy_correlation"].value == pytest.approx(rho)
    rho = spearmanr(units["ii"], units["best_synergy"]).statistic
    assert got["spearman_best_ii"].value == pytest.approx(rho)
    sums = [
        table["ii_sum"][(table["direction_a"] == unit) | (table["direction_b"] == unit)].max()
        for unit in units["direction"]
    ]
    rho = spearmanr(units["ii"], sums).statistic
    assert got["spearman_best_sum_ii"].value == pytest.approx(rho)
    for name in ("share_positive", "mean_synergy", "spearman_synergy_correlation"):
        measure = got[name]
        assert measure.low is not None
        assert measure.high is not None
        assert measure.value is not None
        assert measure.low <= measure.value <= measure.high
        assert (measure.n, measure.units) == (28, 8)
    assert got["best_synergy"].low is None
    index = ii.evaluate(ii.Params(), inputs).values
    np.testing.assert_allclose(units["ii"], index[units["direction"]], atol=1e-5)


def test_the_same_images_have_a_synergy_of_exactly_zero() -> None:
    rng = np.random.default_rng(1)
    one = rng.normal(size=(80, 1)).astype(np.float32)
    other = rng.normal(size=(80, 1)).astype(np.float32)
    rows = rng.normal(size=(80, 5)).astype(np.float32)
    # a copy, a stretched copy: the same MEIs, in the same or another order
    inputs = make_inputs(np.concatenate([one, 3 * one, one**3, other], axis=1), rows)
    details = synergy.evaluate(synergy.Params(resamples=100), inputs).details
    assert details is not None
    table = details.tables["all_pairs"]
    same = (table["direction_a"] < 3) & (table["direction_b"] < 3)
    np.testing.assert_array_equal(table["synergy"][same], 0)
    shares = {m.name: m.value for m in details.measures}
    assert shares["share_zero"] is not None
    assert shares["share_zero"] >= 3 / 6


def test_a_planted_synergy_is_found() -> None:
    """Two directions that each respond to a feature of their own and to a shared one."""
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(400, 8)).astype(np.float32)
    rows[:6] = 5.0  # six like images
    responses = rng.normal(size=(400, 6)).astype(np.float32)
    responses[:6, 0] = responses[:6, 3] = 3.2
    responses[100:106, 0] = 3.6  # images that hide them in either direction
    responses[200:206, 3] = 3.6
    got = synergy.evaluate(synergy.Params(resamples=100), make_inputs(responses, rows))
    assert got.details is not None
    table = got.details.tables["pairs"]
    assert (table["direction_a"][0], table["direction_b"][0]) == (0, 3)
    assert {int(table[f"mei_{j}"][0]) for j in range(1, 6)} <= set(range(6))
    assert got.values.argmax() in {0, 3}
    rows_shown = next(f for f in got.details.figures if isinstance(f, ImageRows)).rows
    assert [text.split(":")[0] for text, _ in rows_shown[:3]] == [
        *("direction 0", "direction 3", "0 + 3")
    ]


def test_figures_show_every_pair_once_and_survive_the_run_folder(
    inputs: EvaluationInputs, tmp_path: Any
) -> None:
    details = synergy.evaluate(synergy.Params(resamples=100), inputs).details
    assert details is not None
    histogram = next(f for f in details.figures if isinstance(f, Histogram))
    assert histogram.counts.sum() == 28
    assert np.abs(histogram.edges).min() == 0
    positive = histogram.counts[histogram.edges[:-1] >= 0].sum()
    assert positive == (details.tables["pairs"]["synergy"] >= 0).sum()
    write_details(tmp_path / "details", details)
    back = read_details(tmp_path / "details")
    assert back.measures == details.measures
    again = unpacked(*packed(details))
    np.testing.assert_array_equal(
        again.tables["pairs"]["synergy"], details.tables["pairs"]["synergy"]
    )


def test_progress_reaches_the_end(inputs: EvaluationInputs) -> None:
    context = Reports()
    told = make_inputs(inputs.responses, np.ones((120, 2), np.float32), context)
    synergy.evaluate(synergy.Params(resamples=100), told)
    ends = {note for done, total, note in context.told if done == total}
    assert ends == {"MEIs of pairs", "similarities"}
    assert all(done <= total for done, total, _ in context.told)


def test_the_same_seed_gives_the_same_numbers(inputs: EvaluationInputs) -> None:
    def measures() -> tuple[Measure, ...]:
        details = synergy.evaluate(synergy.Params(resamples=100), inputs).details
        assert details is not None
        return details.measures

    assert measures() == measures()


def test_two_directions_have_one_pair_and_no_correlation() -> None:
    rng = np.random.default_rng(4)
    responses = rng.normal(size=(50, 2)).astype(np.float32)
    rows = rng.normal(size=(50, 3)).astype(np.float32)
    got = synergy.evaluate(synergy.Params(resamples=100), make_inputs(responses, rows))
    assert got.details is not None
    assert got.values[0] == got.values[1]
    by_name = {m.name: m for m in got.details.measures}
    for name in ("spearman_synergy_correlation", "spearman_best_ii"):
        assert by_name[name].value is None
        assert by_name[name].reason


@pytest.mark.parametrize("live", [0, 1])
def test_fewer_than_two_directions_are_an_error(live: int) -> None:
    responses = np.zeros((50, 3), np.float32)
    responses[:, :live] = np.arange(50)[:, None]
    with pytest.raises(CaseError, match="needs two directions"):
        synergy.evaluate(synergy.Params(), make_inputs(responses, np.ones((50, 2), np.float32)))


def test_more_exemplars_than_images_are_an_error(inputs: EvaluationInputs) -> None:
    with pytest.raises(CaseError, match="121 exemplars"):
        synergy.evaluate(synergy.Params(m=121), inputs)


# ------------------------------------------------------------------- similarities of groups


class Crooked:
    """A metric that is not symmetric and not 0 for an image and itself."""

    fingerprint = ""

    def __init__(self) -> None:
        self.pairs = 0

    def pairwise(self, a: Any, b: Any) -> Any:
        self.pairs += len(a) * len(b)
        return 2 * a.mean(dim=(1, 2, 3))[:, None] - b.mean(dim=(1, 2, 3))[None, :] + 0.25


@pytest.mark.parametrize("way", ["groups", "one by one", "blocks"])
def test_an_asymmetric_metric_is_asked_both_ways(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    if way == "groups":
        monkeypatch.setattr(_synergy_pairs, "TABLE_LIMIT", 0)
    monkeypatch.setattr(_synergy_pairs, "CROWDED", 0 if way == "blocks" else 1)
    for name, size in {"LEFT": 32, "RIGHT": 50, "TOGETHER": 7, "GROUPS": 11}.items():
        monkeypatch.setattr(_synergy_pairs, name, size)
    pictures = torch.rand(400, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    metric = Crooked()
    lookup = PairwiseSimilarity(metric, lambda i: pictures[torch.as_tensor(i)], "crooked")
    rng = np.random.default_rng(0)
    groups = np.array([rng.choice(400, 4, replace=False) for _ in range(60)])
    groups = np.concatenate([groups, groups[:, ::-1]])
    got = _synergy_pairs.indices_of(groups, lookup, "all", lambda done, total: None)
    asked = metric.pairs
    np.testing.assert_allclose(got, lookup.within(groups).mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(got[:60], got[60:])
    if way == "one by one":  # hardly more than the pairs that are needed
        assert asked <= 1.3 * (60 * 12 + 400)


# --------------------------------------------------------------------- images of sums of pairs


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(st.data())
def test_the_largest_sums_are_those_of_all_sums_sorted(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 60), "images")
    k = data.draw(st.integers(1, 6), "rows")
    m = data.draw(st.integers(1, min(n, 6)), "m")
    numbers = st.sampled_from([0.0, 0.0, 0.5, 1.0, -1.0, 0.1, 0.2, 0.3, -0.1, 7.0])
    responses = data.draw(arrays(np.float32, (n, k), elements=numbers), "responses")
    depths = data.draw(st.sampled_from([(), (7,), (7, 12), (10,)]), "depths")
    values = responses.T.astype(np.float64)
    got = top_of_pair_sums(values, order_by_response(responses), m, depths=depths)
    assert got.shape == (k * (k - 1) // 2, m)
    if k > 1:
        np.testing.assert_array_equal(got, naive_tops(values, m))


@pytest.mark.parametrize("kind", ["independent", "opposed", "rectified", "integers", "copies"])
def test_the_largest_sums_at_a_layers_size(kind: str) -> None:
    rng = np.random.default_rng(5)
    responses = rng.normal(size=(3000, 12)).astype(np.float32)
    if kind == "opposed":
        responses[:, 6:] = -responses[:, :6]
    if kind == "rectified":
        responses = np.maximum(responses - 2.9, 0)
    if kind == "integers":
        responses = np.round(responses)
    if kind == "copies":
        responses[:] = responses[:, :1]
    values = standardised(responses)
    got = top_of_pair_sums(values, order_by_response(responses), 5)
    np.testing.assert_array_equal(got, naive_tops(values, 5))


def test_z_scores_and_the_order_of_pairs() -> None:
    responses = np.random.default_rng(6).normal(3, 2, size=(40, 5)).astype(np.float32)
    values = standardised(responses)
    np.testing.assert_allclose(values.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(values.std(axis=1), 1)
    first = [(np.triu_indices(5, 1)[0] < a).sum() for a in range(5)]
    assert [first_pair(a, 5) for a in range(5)] == first


# ------------------------------------------------------------------------- resamples of pairs


def naive_pairs(matrix: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The values of all pairs of different units, each as often as its copies make pairs."""
    units = np.repeat(np.arange(len(counts)), counts)
    return np.array([matrix[a, b] for a, b in combinations(units, 2) if a != b])


@pytest.mark.filterwarnings("ignore:An input array is constant")
@pytest.mark.parametrize("kind", ["distinct", "ties", "holes"])
def test_resampled_pairs_equal_pairs_of_copies(kind: str) -> None:
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(2, 9, 9))
    y = y + x
    if kind == "ties":
        x, y = np.round(x), np.round(y)
    x, y = x + x.T, y + y.T
    if kind == "holes":
        x[2, 5] = x[5, 2] = np.nan
    counts = resample_units(np.arange(9), 25, 1)
    means = pair_mean_resampled(x, counts)
    rhos = pair_spearman_resampled(x, y, counts)
    for row, drawn in enumerate(counts):
        of_x, of_y = naive_pairs(x, drawn), naive_pairs(y, drawn)
        assert means[row] == pytest.approx(np.nanmean(of_x))
        kept = ~np.isnan(of_x)
        expected = spearmanr(of_x[kept], of_y[kept]).statistic
        assert rhos[row] == pytest.approx(expected, nan_ok=True)


def test_classes_of_values_hardly_move_the_correlation() -> None:
    rng = np.random.default_rng(8)
    x, noise = rng.normal(size=(2, 80, 80))
    x, y = x + x.T, x + x.T + 3 * (noise + noise.T)
    once = np.ones((1, 80), np.int32)
    upper = np.triu_indices(80, 1)
    expected = spearmanr(x[upper], y[upper]).statistic
    assert pair_spearman_resampled(x, y, once)[0] == pytest.approx(expected, abs=2e-4)


def test_a_constant_side_and_no_pair_have_no_correlation() -> None:
    x = np.random.default_rng(9).normal(size=(5, 5))
    x = x + x.T
    counts = np.array([[1, 1, 1, 1, 1], [5, 0, 0, 0, 0]], np.int32)
    assert np.isnan(pair_spearman_resampled(x, np.ones((5, 5)), counts)).all()
    assert np.isnan(pair_spearman_resampled(x, x, counts)[1])
    assert np.isnan(pair_mean_resampled(x, counts)[1])
