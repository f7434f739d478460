"""The analysis of sensitivity against plain loops, SciPy and autograd image by image."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import nn

from iibench.compute.activations import iter_activations
from iibench.compute.gradients import input_gradient_norms
from iibench.compute.ranking import order_by_response
from iibench.compute.similarity.lookups import EmbeddingSimilarity
from iibench.contract.details import HeatMap, ImageRows, XYPlot
from iibench.contract.errors import CaseError
from iibench.contract.evaluations import EvaluationInputs
from iibench.contract.specs import Directions, LoadedModel, Preprocess
from iibench.results.details_io import checked, packed, unpacked
from iibench_plugins.evaluations import sensitivity
from iibench_plugins.evaluations.sensitivity import evaluate
from iibench_plugins.evaluations.sensitivity import pairs as pairing
from iibench_plugins.evaluations.sensitivity.pairs import (
    cross_index,
    distances,
    relation,
    separated_pairs,
)
from iibench_plugins.evaluations.sensitivity.params import Params
from iibench_plugins.evaluations.sensitivity.paths import between, nearest

N, M = 40, 3
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 6, 6, 3), dtype=np.uint8)
PREPROCESS = Preprocess((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
PARAMS = Params(m=M, alphas=(-0.5, 0.0, 0.25, 0.5, 1.0, 1.5), pairs=None)


def network() -> nn.Sequential:
    torch.manual_seed(3)
    layers = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 5, 3), nn.ReLU())
    return layers.eval().requires_grad_(False)


@dataclass
class TinyLab:
    """`AnalysisContext` over a small network, as far as this analysis asks."""

    vectors: np.ndarray
    batch_size: int | None = None
    device: str = "cpu"
    class_names: tuple[str, ...] = ()
    image_size: tuple[int, int] = (6, 6)

    def activations(self):
        model = LoadedModel(network(), PREPROCESS)
        batches = iter_activations(model, "3", "mean", lambda i: IMAGES[i], np.arange(N))
        return np.concatenate([values for _, values in batches])

    def directions(self):
        return Directions(self.vectors.astype(np.float32))

    def gradient_norms(self, indices, score):
        return input_gradient_norms(
            LoadedModel(network(), PREPROCESS),
            "3",
            "mean",
            lambda i: IMAGES[i],
            indices,
            score,
            batch_size=self.batch_size,
        )

    def progress(self, done, total, note):
        assert 0 <= done <= total


EMBEDDED = np.random.default_rng(5).normal(size=(N, 4)).astype(np.float32)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def make_inputs(vectors, **options) -> EvaluationInputs:
    context = TinyLab(vectors, **options)
    responses = (unit(context.activations()) @ vectors.T).astype(np.float32)
    lookup = EmbeddingSimilarity(lambda indices: EMBEDDED, N, "squared_euclidean")
    return EvaluationInputs(responses, order_by_response(responses), lookup, None, 3, context)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    rng = np.random.default_rng(2)
    return np.abs(rng.normal(size=(7, 5))).astype(np.float32).astype(np.float64)


@pytest.fixture(scope="module")
def scored(vectors):
    return evaluate(PARAMS, make_inputs(vectors))


def measure(scores, name):
    return next(m for m in scores.details.measures if m.name == name)


def similarity(i, j):
    return -float(((EMBEDDED[i].astype(float) - EMBEDDED[j]) ** 2).sum())


def naive_index(images):
    return sum(similarity(i, j) for i in images for j in images) / len(images) ** 2


def naive_nearest(v, m=M, scaled=True):
    y = TinyLab(np.eye(5)).activations().astype(float)
    y = unit(y) if scaled else y
    return np.argsort(np.linalg.norm(y - v, axis=1), kind="stable")[:m]


def naive_gradient(image, v, scaled=True):
    """Norm of the gradient of -||y(x) - v|| in float64, one image at a time."""
    module = network().double()
    x = (torch.from_numpy(IMAGES[image]).double() / 255).permute(2, 0, 1)[None].requires_grad_()
    mean, std = (torch.tensor(c).double()[:, None, None] for c in (PREPROCESS.mean, PREPROCESS.std))
    y = module((x - mean) / std).mean((2, 3))[0]
    y = y / y.norm() if scaled else y
    (-(y - torch.from_numpy(v)).norm()).backward()
    return float(x.grad.norm())


# ------------------------------------------------------------------------------------- panel A


def test_cross_ii_is_the_mean_over_both_sets_of_meis(vectors, scored):
    table = scored.details.tables["pairs"]
    top = make_inputs(vectors).order[:M].T
    assert len(table["first"]) == 21
    for a, b, distance, found in zip(*(table[k] for k in table), strict=True):
        expected = np.mean([similarity(i, j) for i in top[a] for j in top[b]])
        assert found == pytest.approx(expected, abs=1e-4)
        assert distance == pytest.approx(np.linalg.norm(vectors[a] - vectors[b]), abs=1e-9)
    rho = measure(scored, "cross_ii_spearman")
    assert rho.value == pytest.approx(spearmanr(table["distance"], table["cross_ii"]).statistic)
    assert (rho.n, rho.units) == (21, 7)


def test_cross_ii_is_the_same_in_small_blocks(vectors, monkeypatch):
    inputs = make_inputs(vectors)
    top = inputs.order[:M].T.astype(np.int64)
    whole = cross_index(inputs.similarity, top, lambda done, total: None)
    monkeypatch.setattr(pairing, "BLOCK", 4)
    parts = cross_index(inputs.similarity, top, lambda done, total: None)
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    np.testing.assert_array_equal(whole, whole.T)


def test_the_interval_resamples_directions_not_pairs(monkeypatch):
    """Each resample written out: copies of directions, all pairs of different ones."""
    from iibench.statistics.resampling import resample_units

    rng = np.random.default_rng(0)
    points = rng.normal(size=(9, 3))
    distance, cross = distances(points), rng.normal(size=(9, 9))
    cross = cross + cross.T - 0.5 * distance
    monkeypatch.setattr(pairing, "RESAMPLES", 30)
    monkeypatch.setattr(pairing, "BINS", 1)
    found = relation(distance, cross)
    rhos, means = [], []
    for counts in resample_units(np.arange(9), 30):
        drawn = np.repeat(np.arange(9), counts)
        kept = [(a, b) for a, b in itertools.combinations(drawn, 2) if a != b]
        x, y = (np.array([matrix[a, b] for a, b in kept]) for matrix in (distance, cross))
        rhos.append(spearmanr(x, y).statistic)
        means.append(y.mean())
    np.testing.assert_allclose([found.low, found.high], np.percentile(rhos, [2.5, 97.5]))
    expected = np.percentile(means, [2.5, 97.5])
    np.testing.assert_allclose([found.mean_low[0], found.mean_high[0]], expected)
    assert found.pairs.tolist() == [36]


def test_bins_hold_all_pairs_in_order_of_distance(vectors, scored):
    bins = scored.details.tables["distance_bins"]
    assert bins["pairs"].sum() == 21
    assert (np.diff(bins["distance"]) > 0).all()


# ------------------------------------------------------------------------------------- pairing


@given(st.integers(2, 8), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_pairs_are_far_apart_and_no_direction_is_in_two(count, seed):
    distance = distances(np.random.default_rng(seed).normal(size=(count, 3)))
    pairs, share = separated_pairs(distance)
    assert len(np.unique(pairs)) == 2 * len(pairs) == count - count % 2
    total = distance[pairs[:, 0], pairs[:, 1]].sum()
    best = max(_total(distance, rest) for rest in _pairings(tuple(range(count))))
    assert total <= best + 1e-9
    assert share >= 2 / 3 - 1e-9
    assert total / share >= best - 1e-9  # the bound is one


def _pairings(items):
    if len(items) < 2:
        yield ()
        return
    if len(items) % 2:
        for k in range(len(items)):
            yield from _pairings(items[:k] + items[k + 1 :])
        return
    for k in range(1, len(items)):
        for rest in _pairings(items[1:k] + items[k + 1 :]):
            yield ((items[0], items[k]), *rest)


def _total(distance, pairs):
    return sum(distance[a, b] for a, b in pairs)


def test_opposite_points_are_paired():
    half = np.random.default_rng(0).normal(size=(10, 4))
    pairs, share = separated_pairs(distances(np.concatenate([half, -half]) * 100))
    assert share > 0.9
    assert len(pairs) == 10


# --------------------------------------------------------------------------------- panels B, C, D


def test_paths_equal_a_naive_loop(vectors, scored):
    table = scored.details.tables["paths"]
    assert len(table["ii"]) == 3 * len(PARAMS.alphas)
    for a, b, alpha, ii, gradient in zip(
        *(table[k] for k in ("first", "second", "alpha", "ii", "gradient")), strict=True
    ):
        v = unit(alpha * vectors[a] + (1 - alpha) * vectors[b])
        images = naive_nearest(v)
        assert ii == pytest.approx(naive_index(images), rel=1e-5)
        expected = np.mean([naive_gradient(i, v) for i in images])
        assert gradient == pytest.approx(expected, rel=1e-3)


def test_values_are_the_smallest_norms_at_a_directions_own_images(vectors, scored):
    table = scored.details.tables["directions"]
    assert scored.reasons == (None,) * 7
    for k, v in enumerate(unit(vectors)):
        norms = [naive_gradient(i, v) for i in naive_nearest(v)]
        assert scored.values[k] == pytest.approx(min(norms), rel=1e-3)
        assert table["mean_gradient"][k] == pytest.approx(np.mean(norms), rel=1e-3)
        assert table["ii_of_nearest"][k] == pytest.approx(naive_index(naive_nearest(v)), rel=1e-5)
    expected = spearmanr(table["ii_of_nearest"], scored.values)
    assert measure(scored, "gradient_spearman").value == pytest.approx(expected.statistic)
    assert measure(scored, "gradient_spearman_p").value == pytest.approx(expected.pvalue)


def test_the_numbers_of_paths_follow_from_their_table(vectors, scored):
    table = scored.details.tables["paths"]
    ii, gradient = (table[k].reshape(3, -1) for k in ("ii", "gradient"))
    at = {alpha: k for k, alpha in enumerate(PARAMS.alphas)}
    ends = (ii[:, at[0.0]] + ii[:, at[1.0]]) / 2
    beyond = (ii[:, at[-0.5]] + ii[:, at[1.5]]) / 2
    value = measure(scored, "ii_at_ends_minus_middle")
    assert value.value == pytest.approx((ends - ii[:, at[0.5]]).mean())
    assert value.low <= value.value <= value.high
    assert value.n == 3
    assert measure(scored, "ii_at_ends_minus_beyond").value == pytest.approx((ends - beyond).mean())
    middle = gradient[:, at[0.5]] - (gradient[:, at[0.0]] + gradient[:, at[1.0]]) / 2
    assert measure(scored, "gradient_middle_minus_ends").value == pytest.approx(middle.mean())

    first, second = (table[k].reshape(3, -1)[:, 0] for k in ("first", "second"))
    differences, least = [], {}
    for p, (a, b) in enumerate(zip(first, second, strict=True)):
        for own, other in ((a, b), (b, a)):
            v = unit(vectors[own])
            norms = [
                np.mean([naive_gradient(i, v) for i in naive_nearest(unit(vectors[k]))])
                for k in (own, other)
            ]
            differences.append(norms[1] - norms[0])
        least[a] = gradient[p, [at[0.5], at[1.0], at[1.5]]].min()
        least[b] = gradient[p, [at[-0.5], at[0.0], at[0.25], at[0.5]]].min()
    assert measure(scored, "gradient_other_minus_own").value == pytest.approx(
        np.mean(differences), rel=1e-2
    )
    found = scored.details.tables["directions"]["least_gradient_on_path"]
    assert {k: v for k, v in enumerate(found) if np.isfinite(v)} == pytest.approx(least)


def test_activations_can_be_taken_as_they_are(vectors):
    got = evaluate(replace(PARAMS, activations="raw"), make_inputs(vectors))
    for k, v in enumerate(unit(vectors)):
        norms = [naive_gradient(i, v, scaled=False) for i in naive_nearest(v, scaled=False)]
        assert got.values[k] == pytest.approx(min(norms), rel=1e-3)


def test_neither_batches_nor_runs_change_anything(vectors, scored):
    again = evaluate(PARAMS, make_inputs(vectors, batch_size=2))
    np.testing.assert_allclose(again.values, scored.values, rtol=1e-5)
    same = evaluate(PARAMS, make_inputs(vectors))
    np.testing.assert_array_equal(same.values, scored.values)
    assert same.details.measures == scored.details.measures


@pytest.mark.slow
@given(st.permutations(range(7)))
@settings(max_examples=5, deadline=None)
def test_the_order_of_directions_does_not_matter(vectors, scored, order):
    got = evaluate(replace(PARAMS, pairs=1), make_inputs(vectors[order]))
    np.testing.assert_allclose(got.values, scored.values[list(order)], rtol=1e-5)


def test_nearest_images_of_equal_distance_come_by_index():
    activations = np.repeat(np.eye(3, dtype=np.float32), 2, axis=0)
    images, gaps = nearest(activations, np.array([[0.0, 1.0, 0.0]]), 4, unit=True)
    assert images.tolist() == [[2, 3, 0, 1]]
    np.testing.assert_allclose(gaps, [[0, 0, 2**0.5, 2**0.5]])


# ------------------------------------------------------------------------------ what is left out


def test_dead_and_zero_directions_are_left_out(vectors):
    more = np.concatenate([vectors[:3], np.zeros((1, 5)), vectors[3:]])
    inputs = make_inputs(more)
    responses = inputs.responses.copy()
    responses[:, 3] = np.arange(N)  # its vector is zero, its responses differ
    responses[:, 5] = 1
    order = order_by_response(responses)
    got = evaluate(PARAMS, replace(inputs, responses=responses, order=order))
    assert np.flatnonzero(np.isnan(got.values)).tolist() == [3, 5]
    assert got.reasons[3] == "its vector is zero"
    assert got.reasons[5] == "dead: every image has the same response"
    assert got.details.tables["directions"]["direction"].tolist() == [0, 1, 2, 4, 6, 7]
    assert any("2 of 8 directions" in note for note in got.details.notes)


def test_directions_equally_far_apart_have_no_correlation_with_distance():
    got = evaluate(PARAMS, make_inputs(np.eye(5)))
    rho = measure(got, "cross_ii_spearman")
    assert rho.value is None
    assert rho.reason == "all pairs of directions are equally far apart"
    assert any("arbitrary" in note for note in got.details.notes)
    assert got.details.tables["distance_bins"]["pairs"].tolist() == [10]


def test_where_opposite_directions_cancel_there_is_no_value():
    v = np.array([[1.0, 0.2, 0.1, 0.0, 0.3], [-1.0, -0.2, -0.1, 0.0, -0.3]])
    assert not between(v, np.array([[0, 1]]), (0.0, 0.5, 1.0))[0, 1].any()
    got = evaluate(PARAMS, make_inputs(v))
    table = got.details.tables["paths"]
    assert np.isnan(table["ii"]).tolist() == [alpha == 0.5 for alpha in PARAMS.alphas]
    assert np.isnan(table["gradient"]).tolist() == np.isnan(table["ii"]).tolist()
    found = measure(got, "ii_at_ends_minus_middle")
    assert (found.value, found.reason) == (None, "no pair has a value at each alpha that it needs")
    assert measure(got, "gradient_spearman").reason == (
        "there are 2 directions, and a correlation needs three"
    )


def test_an_image_on_the_direction_itself_has_no_slope():
    y = unit(TinyLab(np.eye(5)).activations().astype(float))
    vectors = np.concatenate([y[:1], np.abs(np.random.default_rng(1).normal(size=(3, 5)))])
    got = evaluate(PARAMS, make_inputs(vectors))
    norms = [naive_gradient(i, vectors[0]) for i in naive_nearest(vectors[0])[1:]]
    assert got.values[0] == pytest.approx(min(norms), rel=1e-2)


def test_gradients_of_fewer_pairs(vectors, scored):
    got = evaluate(replace(PARAMS, pairs=1), make_inputs(vectors))
    np.testing.assert_allclose(got.values, scored.values, rtol=1e-5)
    gradient = got.details.tables["paths"]["gradient"].reshape(3, -1)
    assert np.isfinite(gradient).all(axis=1).sum() == 1
    assert measure(got, "gradient_middle_minus_ends").n == 1
    assert measure(got, "ii_at_ends_minus_middle").n == 3


# --------------------------------------------------------------------------- details and errors


def test_details_are_complete_and_can_be_stored(scored):
    details = checked(scored.details, "sensitivity")
    arrays, plain = packed(details)
    assert unpacked(arrays, plain).measures == details.measures
    kinds = [type(figure) for figure in details.figures]
    assert kinds == [XYPlot, HeatMap, XYPlot, XYPlot, XYPlot, ImageRows]
    heat = details.figures[1]
    assert np.nansum(heat.values) == 21
    assert heat.values.shape == (len(heat.rows), len(heat.columns))
    assert len(set(heat.columns)) == len(heat.columns)
    for figure in details.figures:
        assert figure.caption
        for series in getattr(figure, "series", ()):
            assert len(series.x) == len(series.y)
    for m in details.measures:
        assert (m.value is None) == (m.reason is not None)


def test_too_few_images_or_directions(vectors):
    with pytest.raises(CaseError, match="41 exemplars"):
        evaluate(replace(PARAMS, m=41), make_inputs(vectors))
    with pytest.raises(CaseError, match="1 of 1 have a vector"):
        evaluate(PARAMS, make_inputs(vectors[:1]))
    with pytest.raises(CaseError, match="needs the network"):
        evaluate(PARAMS, replace(make_inputs(vectors), context=None))


@pytest.mark.parametrize("alphas", [(0.0, 1.0), (0.0, 1.0, 0.5), (0.0, 0.5, 0.5, 1.0)])
def test_a_grid_needs_ends_and_middle(alphas):
    with pytest.raises(ValueError, match="expected rising numbers with 0, 0.5 and 1"):
        Params(alphas=alphas)


def test_it_is_registered():
    (spec,) = sensitivity.iibench_register_evaluations()
    assert (spec.name, spec.plot) == ("sensitivity", "none")
    assert spec.images(Params(), 100) == 5 * 14
