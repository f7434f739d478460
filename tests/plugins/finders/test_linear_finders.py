"""Neurons, random directions, PCA and ICA against plain linear algebra and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew
from sklearn.decomposition import FastICA

from iibench.contract.errors import CaseError
from iibench.contract.specs import FitContext
from iibench.suite.labels import read_label
from iibench.suite.params import ParamError, label, label_values, parse_params
from iibench_plugins.finders import ica, neurons, pca, random
from iibench_plugins.finders._orientation import positive_skew_signs, sklearn_seed


def test_neurons_are_the_basis_and_respond_with_the_activation(activations, context):
    found = neurons.fit(neurons.Params(), activations, context)
    assert np.array_equal(found.vectors, np.eye(12))
    assert np.array_equal(neurons.encode(neurons.Params(), found, activations), activations)


def test_random_directions_are_uniform_on_the_sphere(context):
    params = random.Params(k=4000)
    found = random.fit(params, np.zeros((1, 8), np.float32), context)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-6)
    # of a uniform direction in 8 dimensions: mean 0, covariance I / 8
    np.testing.assert_allclose(found.vectors.mean(0), 0, atol=4 * np.sqrt(1 / 8 / 4000))
    np.testing.assert_allclose(np.cov(found.vectors.T), np.eye(8) / 8, atol=0.012)


def test_random_response_is_the_projection(activations, context):
    params = random.Params(k=3)
    found = random.fit(params, activations, context)
    expected = [[sum(a * v) for v in found.vectors.astype(float)] for a in activations[:20]]
    R = random.encode(params, found, activations[:20])
    np.testing.assert_allclose(R, expected, rtol=1e-5, atol=1e-5)


def test_pca_equals_the_eigenvectors_of_the_covariance(activations, context):
    found = pca.fit(pca.Params(), activations, context)
    values, vectors = np.linalg.eigh(np.cov(activations.T.astype(float)))
    cosines = np.abs((found.vectors * vectors.T[::-1]).sum(1))
    np.testing.assert_allclose(cosines, 1, atol=1e-5)
    R = pca.encode(pca.Params(), found, activations)
    np.testing.assert_allclose(R.var(0, ddof=1), values[::-1], rtol=1e-4)
    np.testing.assert_allclose(R.mean(0), 0, atol=1e-5)
    # all components together lose nothing
    np.testing.assert_allclose(R @ found.vectors + found.state["mean"], activations, atol=1e-4)


def test_pca_says_what_it_explains(activations, context):
    found = pca.fit(pca.Params(k=2), activations, context)
    values = np.linalg.eigvalsh(np.cov(activations.T.astype(float)))[::-1]
    assert f"{100 * values[:2].sum() / values.sum():.1f} %" in found.notes[-1]


def test_pca_response_of_other_images_uses_the_mean_of_the_fit_split(activations, context):
    found = pca.fit(pca.Params(k=3), activations[:150], context)
    expected = (activations[150:] - activations[:150].mean(0, dtype=float)) @ found.vectors.T
    R = pca.encode(pca.Params(k=3), found, activations[150:])
    np.testing.assert_allclose(R, expected, atol=1e-4)


def test_ica_equals_scikit_learn_up_to_order_and_sign(activations, context):
    found = ica.fit(ica.Params(k=9), activations, context)
    R = ica.encode(ica.Params(k=9), found, activations)
    peer = FastICA(9, whiten="unit-variance", random_state=5, max_iter=2000, tol=1e-6)
    expected = peer.fit_transform(activations.astype(float))
    correlation = np.abs(np.corrcoef(R.T, expected.T)[:9, 9:])
    assert np.median(correlation.max(1)) > 0.99
    np.testing.assert_allclose(np.cov(R.T, ddof=0), np.eye(9), atol=2e-3)


def test_ica_sources_times_directions_give_the_activation_back(activations, context):
    found = ica.fit(ica.Params(), activations, context)
    R = ica.encode(ica.Params(), found, activations)
    np.testing.assert_allclose(R @ found.vectors + found.state["mean"], activations, atol=1e-3)


@pytest.mark.parametrize("finder", [pca, ica])
def test_rank_deficient_activations_keep_their_rank(finder, activations, context):
    A = activations.copy()
    A[:, 4] = 0  # dead
    A[:, 5] = A[:, 6]  # duplicate
    found = finder.fit(finder.Params(), A, context)
    assert found.vectors.shape == (10, 12)
    assert "10 of 12 components remain" in found.notes[0]
    R = finder.encode(finder.Params(), found, A)
    np.testing.assert_allclose(R @ found.vectors + found.state["mean"], A, atol=1e-3)


def test_ica_says_when_it_has_not_converged(activations, context, recwarn):
    found = ica.fit(ica.Params(max_iter=1), activations, context)
    assert "did not converge in 1 iterations" in found.notes[-1]
    assert not recwarn.list
    done = ica.fit(ica.Params(k=9, max_iter=2000), activations, context)
    assert not any("converge" in note for note in done.notes)


def test_ica_recovers_planted_directions(planted, recovered, context):
    V, _ = planted
    rng = np.random.default_rng(3)
    strengths = np.where(rng.random((3000, 8)) < 0.12, rng.uniform(1, 3, (3000, 8)), 0)
    A = (strengths @ V + rng.normal(0, 0.01, (3000, 16))).astype(np.float32)
    found = ica.fit(ica.Params(k=8), A, context)
    assert (recovered(V, found.vectors) > 0.9).sum() >= 7


@pytest.mark.parametrize("finder", [pca, ica])
def test_responses_over_the_fit_split_are_positively_skewed(finder, activations, context):
    found = finder.fit(finder.Params(), activations, context)
    R = finder.encode(finder.Params(), found, activations)
    assert (skew(R.astype(float), axis=0) > 0).all()
    # the activations turned round: another fit, again with the long tail up
    turned = finder.fit(finder.Params(), -activations, context)
    other = finder.encode(finder.Params(), turned, -activations)
    assert (skew(other.astype(float), axis=0) > 0).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_signs_follow_scipys_skewness(seed):
    rng = np.random.default_rng(seed)
    R = rng.gamma(1.0, size=(50, 4)) * rng.choice([-1, 1], 4)
    V = rng.normal(size=(4, 3))
    signs = positive_skew_signs(R, V)
    assert np.array_equal(signs, np.sign(skew(R, axis=0)))
    assert np.array_equal(positive_skew_signs(R * signs, V), np.ones(4))


def test_a_symmetric_response_is_oriented_by_the_largest_entry():
    R = np.array([[-2.0, -2.0], [-1.0, -1.0], [1.0, 1.0], [2.0, 2.0]])
    V = np.array([[0.1, -0.9, 0.2], [0.5, 0.5, -0.5]])
    assert np.array_equal(positive_skew_signs(R, V), [-1, 1])


@given(st.integers(0, 2**63 - 1))
def test_seeds_for_scikit_learn_fit_into_32_bits(seed):
    assert 0 <= sklearn_seed(seed) < 2**32
    assert sklearn_seed(seed) == sklearn_seed(seed)


def test_neighbouring_seeds_differ_for_scikit_learn():
    assert len({sklearn_seed(2**62 + i) for i in range(100)}) == 100


def test_random_does_not_need_the_activations_values():
    one = random.fit(random.Params(k=4), np.zeros((3, 5), np.float32), FitContext(9))
    two = random.fit(random.Params(k=4), np.ones((8, 5), np.float32), FitContext(9))
    assert np.array_equal(one.vectors, two.vectors)


# ----------------------------------------------------------------------------- chosen neurons


@given(st.lists(st.integers(0, 11), min_size=1, unique=True), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_chosen_neurons_are_those_columns_in_that_order(units, seed):
    A = np.random.default_rng(seed).normal(size=(9, 12)).astype(np.float32)
    params = neurons.Params(units=tuple(units))
    found = neurons.fit(params, A, FitContext(0))
    assert np.array_equal(found.vectors, [[float(n == unit) for n in range(12)] for unit in units])
    assert found.vectors.dtype == np.float32
    R = neurons.encode(params, found, A)
    assert np.array_equal(R, np.stack([A[:, unit] for unit in units], axis=1))
    assert np.array_equal(R, (A @ found.vectors.T))
    assert R.flags.c_contiguous


def test_neurons_that_are_not_there_or_named_twice(activations, context):
    with pytest.raises(CaseError, match="found unit 12; expected 0 to 11, since N = 12"):
        neurons.fit(neurons.Params(units=(3, 12)), activations, context)
    with pytest.raises(CaseError, match="found unit 3 twice"):
        neurons.fit(neurons.Params(units=(3, 5, 3)), activations, context)


def test_the_label_of_chosen_neurons_reads_back():
    (spec,) = neurons.iibench_register_finders()
    params = parse_params(spec, {"units": [36, 130]})
    assert label(spec, params) == "neurons[units=36+130]"
    assert label(spec, parse_params(spec, {})) == "neurons"
    for units in ((36, 130), (7,)):
        params = neurons.Params(units=units)
        written = read_label(label(spec, params)).params
        assert parse_params(spec, label_values(spec, written)) == params
    with pytest.raises(ParamError, match="list of integer >= 0"):
        parse_params(spec, {"units": [-1]})
