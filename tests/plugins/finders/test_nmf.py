"""NMF against scikit-learn's factorisation and SciPy's non-negative least squares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from sklearn.decomposition import NMF

from iibench.contract.errors import CaseError
from iibench.contract.specs import Directions, FitContext
from iibench_plugins.finders.nmf import Params, encode, fit


def relative_error(A, R, V):
    return np.linalg.norm(A - R @ V) / np.linalg.norm(A)


@pytest.mark.filterwarnings("ignore:Maximum number of iterations:UserWarning")
@pytest.mark.parametrize("k", [1, 3, 8])
def test_the_error_is_no_worse_than_scikit_learns(k, activations):
    peer = NMF(k, init="nndsvda", max_iter=2000, random_state=0).fit(activations)
    expected = peer.reconstruction_err_ / np.linalg.norm(activations)
    errors = []
    for seed in range(3):
        found = fit(Params(k=k, max_iter=300), activations, FitContext(seed))
        R = encode(Params(k=k), found, activations)
        errors.append(relative_error(activations, R, found.vectors))
        assert (R >= 0).all()
        assert (found.vectors >= 0).all()
    assert np.median(errors) <= 1.03 * expected


def test_components_have_unit_norm_and_the_note_gives_the_error(activations, context):
    found = fit(Params(k=6), activations, context)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)
    R = encode(Params(k=6), found, activations)
    noted = float(found.notes[0].split("error ")[1].split()[0])
    assert relative_error(activations, R, found.vectors) <= noted + 1e-4


@pytest.mark.parametrize("k", [4, 10])
def test_weights_equal_scipys_nonnegative_least_squares(k, activations, context):
    found = fit(Params(k=k), activations, context)
    R = encode(Params(k=k), found, activations[:60])
    expected = [nnls(found.vectors.T.astype(float), a.astype(float))[0] for a in activations[:60]]
    np.testing.assert_allclose(R, expected, atol=1e-4)


def test_weights_of_nearly_equal_components_are_as_good_as_scipys(activations, context):
    # two of these components are the same but for rounding: their weights can be shared at will,
    # the error cannot
    found = fit(Params(), activations, context)
    V = found.vectors.astype(float)
    assert np.linalg.eigvalsh(V @ V.T)[0] < 1e-6
    ours = activations - encode(Params(), found, activations) @ V
    best = [nnls(V.T, a.astype(float))[1] for a in activations]
    norms = np.linalg.norm(activations, axis=1)
    assert (np.linalg.norm(ours, axis=1) <= best + 1e-3 * norms).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_weights_are_optimal_for_any_components(seed, k, width):
    # the conditions of Karush, Kuhn and Tucker: no weight can be changed to any gain
    rng = np.random.default_rng(seed)
    V = rng.gamma(0.4, size=(k, width)) + 1e-9
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    A = rng.gamma(0.7, size=(15, width)).astype(np.float32)
    V = V.astype(np.float32)
    W = encode(Params(), Directions(V), A).astype(float)
    slope = (W @ V - A) @ V.T.astype(float)
    scale = np.linalg.norm(A, axis=1, keepdims=True)
    assert (W >= 0).all()
    assert (slope >= -1e-3 * scale).all()
    assert (np.abs(slope * W) <= 1e-3 * scale**2).all()


def test_planted_directions_are_recovered(planted, recovered, context):
    V, A = planted
    found = fit(Params(k=8, max_iter=300), A, context)
    assert (recovered(V, found.vectors) > 0.9).sum() >= 7


def test_longer_fits_are_never_worse(activations, context):
    errors = [
        float(fit(Params(k=6, max_iter=i, tol=0.0), activations, context).notes[0].split()[3])
        for i in (1, 3, 10, 50, 200)
    ]
    assert errors == sorted(errors, reverse=True)


def test_negative_activations_are_an_error_that_names_the_neuron(activations, context):
    found = fit(Params(k=3), activations, context)
    A = activations.copy()
    A[7, 4] = -2.5
    with pytest.raises(CaseError, match=r"neuron 4 goes down to -2\.5"):
        fit(Params(k=3), A, context)
    with pytest.raises(CaseError, match=r"neuron 4 goes down to -2\.5"):
        encode(Params(k=3), found, A)


def test_activations_of_zero_are_never_a_start(activations, context):
    A = np.zeros_like(activations)
    A[10:15] = activations[10:15]
    found = fit(Params(k=5), A, context)
    assert (found.vectors.max(1) > 0).all()
    assert (encode(Params(k=5), found, A)[:10] == 0).all()
    with pytest.raises(CaseError, match="k = 6 .* and 5 of the 300"):
        fit(Params(k=6), A, context)


def test_as_many_components_as_neurons_are_noted(activations, context):
    assert any("K >= N" in note for note in fit(Params(), activations, context).notes)
    assert not any("K >= N" in note for note in fit(Params(k=4), activations, context).notes)
