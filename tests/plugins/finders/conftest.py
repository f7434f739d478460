"""Small activations, and the one way in which every finder's test fits and encodes."""

from __future__ import annotations

import numpy as np
import pytest

from iibench.contract.specs import FitContext


@pytest.fixture
def context():
    return FitContext(seed=2**62 + 5)


@pytest.fixture
def activations():
    """(300, 12) float32, non-negative, correlated, with many zeros, as after a ReLU."""
    rng = np.random.default_rng(0)
    sources = rng.gamma(0.5, size=(300, 9))
    mixing = rng.normal(0.3, 1.0, size=(9, 12))
    return np.maximum(sources @ mixing, 0).astype(np.float32)


@pytest.fixture
def planted():
    """Sparse positive combinations of eight known unit directions: (V (8, 16), A (1500, 16)).

    V has disjoint supports, so that a factorisation is unique; two activate at a time, seldom together.
    """
    rng = np.random.default_rng(1)
    V = np.zeros((8, 16))
    for k in range(8):
        V[k, 2 * k : 2 * k + 2] = rng.uniform(0.5, 1.0, 2)
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    strengths = np.where(rng.random((1500, 8)) < 0.12, rng.uniform(1, 3, (1500, 8)), 0.0)
    strengths[np.arange(1500), rng.integers(0, 8, 1500)] += 2.0
    noise = np.abs(rng.normal(0, 0.01, (1500, 16)))
    return V.astype(np.float32), (strengths @ V + noise).astype(np.float32)


@pytest.fixture
def recovered():
    """How well known directions are found: the best cosine with a found one, for each known one."""

    def best_cosines(known, found):
        norms = np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return (known @ (found / norms).T).max(axis=1)

    return best_cosines
