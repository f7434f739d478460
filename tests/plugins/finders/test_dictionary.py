"""Dictionary learning: codes against the conditions of the lasso and plain loops, what it recovers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew
from sklearn.linear_model import Lasso

from iibench.contract.errors import CaseError
from iibench.contract.specs import Directions, FitContext
from iibench_plugins.finders.dictionary import Params, encode, fit

UNIT = {"mean": np.zeros(6), "scale": np.array(1.0)}


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.booleans(), st.sampled_from([0.1, 1.0]))
@settings(max_examples=40, deadline=None)
def test_codes_are_optimal_for_any_dictionary(seed, k, positive, alpha):
    # the conditions of Karush, Kuhn and Tucker: a used atom has correlation alpha with the rest, an
    # unused one at most that
    rng = np.random.default_rng(seed)
    D = rng.normal(size=(k, 6))
    D = (D / np.linalg.norm(D, axis=1, keepdims=True)).astype(np.float32)
    x = rng.normal(0, 3, size=(12, 6)).astype(np.float32)
    params = Params(k=k, alpha=alpha, positive=positive)
    R = encode(params, Directions(D, UNIT), x).astype(float)
    slope = (x - R @ D) @ D.T.astype(float)
    scale = np.linalg.norm(x, axis=1, keepdims=True)
    used = R != 0
    assert np.all(np.abs(slope - alpha * np.sign(R))[used] <= 2e-3 * (1 + scale * used)[used])
    below = slope if positive else np.abs(slope)
    assert np.all(below[~used] <= alpha + 2e-3 * (1 + scale * ~used)[~used])
    assert not positive or (R >= 0).all()


def test_codes_are_those_of_the_lasso_and_in_units_of_the_scale(activations, context):
    params = Params(k=6)
    found = fit(params, activations, context)
    R = encode(params, found, activations[:15])
    for a, r in zip(activations[:15].astype(float), R, strict=True):
        x = (a - found.state["mean"]) / found.state["scale"]
        model = Lasso(params.alpha / len(x), fit_intercept=False, positive=True, tol=1e-10)
        model.fit(found.vectors.T.astype(float), x)
        np.testing.assert_allclose(r, model.coef_, atol=1e-3)


def test_threshold_codes_equal_a_plain_loop(activations, context):
    params = Params(k=5, code="threshold", alpha=0.5)
    found = fit(params, activations, context)
    for a, r in zip(
        activations[:10].astype(float), encode(params, found, activations[:10]), strict=True
    ):
        x = (a - found.state["mean"]) / found.state["scale"]
        expected = [max(0.0, float(d @ x) - 0.5) for d in found.vectors.astype(float)]
        np.testing.assert_allclose(r, expected, atol=1e-5)
    assert found.notes[0].startswith("codes of ")


def test_pursuit_uses_as_many_atoms_as_asked(activations, context):
    params = Params(k=8, positive=False, code="omp", active=3)
    found = fit(params, activations, context)
    assert ((encode(params, found, activations) != 0).sum(axis=1) <= 3).all()
    with pytest.raises(ValueError, match="expected positive: false"):
        Params(code="omp")
    with pytest.raises(CaseError, match="active = 9 .* at most 8"):
        fit(Params(k=8, positive=False, code="omp", active=9), activations, context)


def test_signed_codes_are_oriented_by_their_skewness(activations, context):
    params = Params(k=5, positive=False)
    found = fit(params, activations, context)
    assert (skew(encode(params, found, activations).astype(float), axis=0) > 0).all()


@pytest.mark.slow
def test_a_larger_penalty_is_sparser(activations, context):
    used = [
        (
            encode(
                Params(k=8, alpha=a), fit(Params(k=8, alpha=a), activations, context), activations
            )
            > 0
        ).sum()
        for a in (0.1, 1.0, 2.0)
    ]
    assert used == sorted(used, reverse=True)
    assert used[-1] < used[0]


@pytest.mark.slow
def test_the_unit_of_the_activations_does_not_matter(activations, context):
    found, scaled = (
        fit(Params(k=6), activations, context),
        fit(Params(k=6), activations * 64, context),
    )
    np.testing.assert_allclose(scaled.vectors, found.vectors, atol=1e-5)


def test_the_note_says_what_the_fit_split_shows(activations, context):
    params = Params(k=6)
    found = fit(params, activations, context)
    R = encode(params, found, activations).astype(float)
    x = (activations - found.state["mean"]) / found.state["scale"]
    explained = 1 - ((x - R @ found.vectors) ** 2).sum() / (x**2).sum()
    assert found.notes[0] == (
        f"explains {100 * explained:.1f} % of the variance with {(R != 0).sum(1).mean():.1f} atoms an "
        "image; 0 of 6 are used by no image of the fit split"
    )


@pytest.mark.slow
def test_passes_that_run_out_are_noted(activations, context, recwarn):
    notes = fit(Params(k=6, max_iter=1, tol=0.0), activations, context).notes
    assert notes[-1] == "the dictionary did not converge in 1 passes over the images"
    done = fit(Params(k=6, max_iter=200), activations, context)
    assert not any("converge" in note for note in done.notes)
    assert not recwarn.list


def test_more_atoms_than_neurons(activations, context):
    found = fit(Params(k=30), activations, context)
    assert found.vectors.shape == (30, 12)
    assert np.isfinite(found.vectors).all()


def test_planted_directions_are_recovered(planted, recovered):
    V, A = planted
    found = fit(Params(k=8, alpha=0.3), A, FitContext(1))
    assert (recovered(V, found.vectors) > 0.9).sum() >= 7
