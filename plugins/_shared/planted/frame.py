"""The directions of planted features: F unit vectors in N < F dimensions, as nearly orthogonal as can be.

W (N, F): column i is the direction of feature i. More unit vectors than dimensions cannot be orthogonal:
the largest |w_i . w_j| is at least sqrt((F - N) / (N (F - 1))) (Welch's bound).
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iibench import DoubleArray

#: Steps of gradient descent; inner products hardly change after half of them.
STEPS = 200


def not_superposed(features: int, neurons: int) -> str:
    """Why so many features in so many neurons are no superposition, or ""."""
    if neurons < features:
        return ""
    return (
        f"found neurons = {neurons} for {features} features; expected fewer neurons than features"
    )


def welch_bound(features: int, neurons: int) -> float:
    """The least that the largest |w_i . w_j| can be."""
    return math.sqrt((features - neurons) / (neurons * (features - 1)))


@cache
def frame(features: int, neurons: int, seed: int) -> DoubleArray:
    """W (N, F), columns of unit norm; read-only.

    Gaussian columns from `seed`, then gradient descent on the sum over i != j of (w_i . w_j)^4, which
    drives the largest inner products down: to some twice Welch's bound or less where F >= 1.5 N, 1.5 times
    it for 64 in 32. The start has no preferred axes and the descent turns with it, so neurons have nothing
    to do with features.
    """
    import numpy as np

    W = np.random.default_rng(seed).standard_normal((neurons, features))
    W /= np.linalg.norm(W, axis=0)
    for _ in range(STEPS):
        products = W.T @ W
        np.fill_diagonal(products, 0)
        gradient = W @ products**3
        gradient -= W * (gradient * W).sum(axis=0)  # along the sphere
        W -= gradient * (0.5 / max(float(np.linalg.norm(gradient, axis=0).max()), 0.5))
        W /= np.linalg.norm(W, axis=0)
    W.flags.writeable = False
    return W
