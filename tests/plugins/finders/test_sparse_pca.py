"""Sparse PCA against scikit-learn's estimator on the activations as they are, and its penalty."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import skew
from sklearn.decomposition import MiniBatchSparsePCA
from sklearn.exceptions import ConvergenceWarning

from iibench.contract.specs import Directions
from iibench_plugins.finders.sparse_pca import Params, encode, fit


def peer(A, params):
    """scikit-learn on unscaled activations, with the penalty in their unit."""
    A = A.astype(float)
    scale = np.sqrt(A.var(axis=0).mean() * len(A))
    model = MiniBatchSparsePCA(
        params.k,
        alpha=params.alpha * scale,
        ridge_alpha=params.ridge,
        batch_size=64,
        max_iter=params.max_iter,
        tol=params.tol,
        method="cd",
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(A)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_components_and_responses_are_scikit_learns(alpha, activations, context):
    params = Params(k=4, alpha=alpha, max_iter=100, tol=0.0)
    found, model = fit(params, activations, context), peer(activations, params)
    cosines = np.abs(found.vectors @ model.components_.T).max(axis=0)
    # one objective, but scikit-learn's first steps depend on the unit: solutions nearby
    np.testing.assert_allclose(cosines, 1, atol=0.05)
    # given the same components, the responses are the same but for the signs
    V = model.components_.astype(np.float32)
    same = Directions(V, found.state)
    np.testing.assert_allclose(
        encode(params, same, activations), model.transform(activations.astype(float)), atol=1e-4
    )


@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_the_response_is_a_ridge_regression(ridge, activations, context):
    params = Params(k=3, ridge=ridge)
    found = fit(params, activations, context)
    V = found.vectors.astype(float)
    for a, r in zip(activations[:20], encode(params, found, activations[:20]), strict=True):
        x = a - found.state["mean"]
        stacked = np.vstack([V.T, np.sqrt(ridge) * np.eye(3)])
        expected = np.linalg.lstsq(stacked, np.append(x, np.zeros(3)), rcond=None)[0]
        np.testing.assert_allclose(r, expected, atol=1e-5)


def test_a_larger_penalty_leaves_fewer_neurons(activations, context):
    used = [
        (fit(Params(k=4, alpha=alpha), activations, context).vectors != 0).sum()
        for alpha in (0.01, 0.1, 0.3, 0.6)
    ]
    assert used == sorted(used, reverse=True)
    assert used[-1] < used[0]


def test_components_have_unit_norm_and_responses_are_positively_skewed(activations, context):
    found = fit(Params(k=5), activations, context)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)
    assert (skew(encode(Params(k=5), found, activations).astype(float), axis=0) > 0).all()


def test_neither_the_unit_of_the_activations_nor_their_number_matters(activations, context):
    found = fit(Params(k=4), activations, context)
    scaled = fit(Params(k=4), activations * 64, context)
    np.testing.assert_allclose(scaled.vectors, found.vectors, atol=1e-5)
    twice = fit(Params(k=4), np.concatenate([activations, activations]), context)
    np.testing.assert_allclose(twice.vectors, found.vectors, atol=1e-3)


def test_components_without_neurons_are_noted_and_respond_to_nothing(activations, context):
    params = Params(k=4, alpha=50.0)
    found = fit(params, activations, context)
    assert "4 of 4 components are zero" in found.notes
    assert not encode(params, found, activations).any()


def test_passes_that_run_out_are_noted(activations, context, recwarn):
    notes = fit(Params(k=4, max_iter=1, tol=0.0), activations, context).notes
    assert "sparse PCA did not converge in 1 passes over the neurons" in notes
    assert not any("converge" in note for note in fit(Params(k=4), activations, context).notes)
    assert not recwarn.list


def test_planted_directions_are_recovered(planted, recovered, context):
    V, A = planted
    found = fit(Params(k=8), A, context)
    assert (recovered(V, found.vectors) > 0.9).sum() >= 7
