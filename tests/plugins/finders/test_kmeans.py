"""K-Means with cosine similarity against plain loops and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.cluster import KMeans

from iibench.contract.errors import CaseError
from iibench.contract.specs import Directions
from iibench_plugins.finders import kmeans
from iibench_plugins.finders.kmeans import Params, encode, fit, lloyd, seed_centroids, unit_rows


def naive_lloyd(X, centroids):
    """Lloyd's algorithm, one point at a time, until nothing changes."""
    X, centroids = X.astype(float), centroids.astype(float)
    labels = None
    while True:
        nearest = [min(range(len(centroids)), key=lambda k: math.dist(x, centroids[k])) for x in X]
        if nearest == labels:
            return centroids, sum(
                math.dist(x, centroids[k]) ** 2 for x, k in zip(X, labels, strict=True)
            )
        labels = nearest
        centroids = np.array([X[np.array(labels) == k].mean(axis=0) for k in range(len(centroids))])


def test_lloyd_equals_a_plain_loop(activations):
    X = unit_rows(activations)
    expected, inertia = naive_lloyd(X, X[:6])
    found = lloyd(torch.from_numpy(X), torch.from_numpy(X[:6]), 300, 0.0)
    assert found.converged
    np.testing.assert_allclose(found.centroids.numpy(), expected, atol=1e-5)
    assert found.inertia == pytest.approx(inertia, rel=1e-5)


@pytest.mark.parametrize("k", [2, 10, 40])
def test_inertia_is_that_of_scikit_learn_from_the_same_centroids(k):
    rng = np.random.default_rng(k)
    X = unit_rows(rng.gamma(0.5, size=(2000, 20)).astype(np.float32))
    peer = KMeans(k, init=X[:k], n_init=1, algorithm="lloyd", max_iter=300, tol=1e-4).fit(X)
    found = lloyd(torch.from_numpy(X), torch.from_numpy(X[:k]), 300, 1e-4)
    assert found.inertia == pytest.approx(peer.inertia_, rel=1e-3)
    assert found.converged


def test_seeding_is_as_good_as_scikit_learns():
    X = unit_rows(np.random.default_rng(0).gamma(0.5, size=(1500, 10)).astype(np.float32))
    ours = [
        lloyd(torch.from_numpy(X), seed_centroids(torch.from_numpy(X), 20, s), 300, 1e-4).inertia
        for s in range(5)
    ]
    theirs = [KMeans(20, n_init=1, random_state=s).fit(X).inertia_ for s in range(5)]
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.02)


def test_the_block_size_does_not_matter(activations, monkeypatch, context):
    whole = fit(Params(k=8), activations, context)
    monkeypatch.setattr(kmeans, "BLOCK", 8 * 7)  # seven rows at a time
    np.testing.assert_allclose(
        fit(Params(k=8), activations, context).vectors, whole.vectors, atol=1e-5
    )


def test_centroids_are_means_of_unit_vectors_and_not_scaled(activations, context):
    found = fit(Params(k=8), activations, context)
    X = unit_rows(activations)
    nearest = ((X[:, None] - found.vectors) ** 2).sum(-1).argmin(1)
    expected = np.stack([X[nearest == k].mean(0) for k in range(8)])
    np.testing.assert_allclose(found.vectors, expected, atol=2e-2)  # up to the tolerance of the fit
    assert (np.linalg.norm(found.vectors, axis=1) < 1).all()


def test_more_starts_are_never_worse(activations, context):
    inertia = [
        float(fit(Params(k=8, n_init=starts), activations, context).notes[0].split()[1])
        for starts in (1, 2, 6)
    ]
    assert inertia[0] >= inertia[1] >= inertia[2]


def test_planted_directions_are_recovered(planted, recovered, context):
    V, A = planted
    found = fit(Params(k=16, n_init=3), A, context)
    assert (recovered(V, found.vectors) > 0.9).sum() >= 7


@pytest.mark.parametrize("response", ["cosine", "projection", "neg_distance"])
def test_responses_equal_a_plain_loop(response, activations, context):
    A = activations[:30].copy()
    A[3] = 0
    found = fit(Params(k=4), activations, context)
    R = encode(Params(k=4, response=response), found, A)
    for i, a in enumerate(A.astype(float)):
        norm = np.linalg.norm(a)
        x = a / norm if norm else a
        for k, mu in enumerate(found.vectors.astype(float)):
            expected = {
                "cosine": x @ mu / np.linalg.norm(mu),
                "projection": a @ mu,
                "neg_distance": -np.linalg.norm(x - mu),
            }[response]
            assert R[i, k] == pytest.approx(
                expected, abs=2e-4 if response == "neg_distance" else 1e-5
            )


def test_cosine_and_distance_put_images_in_the_same_order(activations, context):
    found = fit(Params(k=4), activations, context)
    X = activations[activations.any(axis=1)]
    cosine = encode(Params(k=4), found, X).astype(float)
    distance = encode(Params(k=4, response="neg_distance"), found, X).astype(float)
    norm = np.linalg.norm(found.vectors.astype(float), axis=1)
    np.testing.assert_allclose(-(distance**2), 2 * cosine * norm - 1 - norm**2, atol=1e-5)


@given(
    arrays(np.float32, (20, 6), elements=st.floats(0, 100, width=32)),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=50, deadline=None)
def test_cosine_response_is_bounded_and_blind_to_the_length_of_activations(A, seed):
    A[(A**2).sum(1) < 1e-6] = 0
    rng = np.random.default_rng(seed)
    found = Directions(rng.gamma(0.5, size=(5, 6)).astype(np.float32))
    R = encode(Params(k=5), found, A)
    lengths = rng.uniform(0.1, 10, (20, 1)).astype(np.float32)
    np.testing.assert_allclose(encode(Params(k=5), found, A * lengths), R, atol=1e-5)
    assert (np.abs(R) <= 1 + 1e-5).all()
    assert (R[~A.any(axis=1)] == 0).all()


def test_rows_of_zeros_stay_zero(activations, context):
    A = activations.copy()
    A[::5] = 0
    found = fit(Params(k=6), A, context)
    assert np.isfinite(found.vectors).all()
    R = encode(Params(k=6), found, A)
    assert (R[::5] == 0).all()


def test_an_empty_cluster_takes_the_point_farthest_off():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(0, 0.01, (50, 2)), [[9, 9]]]).astype(np.float32)
    start = torch.tensor([[0.0, 0.0], [100.0, 100.0], [200.0, 200.0]])
    start[1:] += 1000  # nearest to nothing
    found = lloyd(torch.from_numpy(X), start, 100, 0.0)
    assert len(set(found.labels.tolist())) == 3
    np.testing.assert_allclose(found.centroids.numpy()[1:].max(0), [9, 9], rtol=1e-6)


def test_too_few_different_activations_are_an_error(context):
    A = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0) * np.linspace(1, 2, 30)[:, None]
    with pytest.raises(CaseError, match="k = 4 .* only 3 different"):
        fit(Params(k=4), A.astype(np.float32), context)
    assert fit(Params(k=3), A.astype(np.float32), context).vectors.sum() == pytest.approx(3)


def test_a_fit_that_runs_out_of_iterations_says_so(activations, context):
    found = fit(Params(k=20, max_iter=1, tol=0.0), activations, context)
    assert "did not converge in 1 iterations" in found.notes[1]
