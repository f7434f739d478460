"""Activation of directions over images (Eq. 4), and how far a direction's points spread over a map.

Notation: n images, A (n, N) activations, K directions mu_i (N values each), P points of the map, images
of their own. All arithmetic is float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iibench import DoubleArray, FloatArray, IntArray

#: float64 values that one block of distances may hold.
BLOCK = 2**21

Space = Literal["unit", "raw"]


def activation(
    A: FloatArray, vectors: FloatArray, points: IntArray, tau: float, space: Space
) -> DoubleArray:
    """(P, K) Eq. 4 of the images `points` (P,): f_i(x) = exp(-d' / tau), NaN where d does not vary.

    d = ||x - mu_i||^2, d' its z-score over all n images (deviation divided by n). `space` "unit": x is
    the activation scaled to unit norm (zeros stay zero); "raw": as it is.
    """
    import numpy as np

    mu = vectors.astype(np.float64)
    mean, square = _means(A, space)
    total, largest = np.zeros(len(mu)), np.zeros(len(mu))
    for x in _rows(A, np.arange(len(A)), space, len(mu)):
        away = _off_mean(x, mu, mean, square)
        total += (away * away).sum(axis=0)
        np.maximum(largest, np.abs(away).max(axis=0), out=largest)
    deviation = np.sqrt(total / len(A))
    # what is left of equal distances is rounding, of the size of the squares that were added
    constant = largest <= 1e-12 * (square + (mu * mu).sum(axis=1))
    found = np.full((len(points), len(mu)), np.nan)
    start = 0
    for x in _rows(A, points, space, len(mu)):
        z = _off_mean(x, mu, mean, square)[:, ~constant] / deviation[~constant]
        found[start : start + len(x), ~constant] = np.exp(-z / tau)
        start += len(x)
    return found


def _rows(A: FloatArray, images: IntArray, space: Space, k: int) -> Iterator[DoubleArray]:
    """x of `images`, by blocks."""
    import numpy as np

    step = max(1, BLOCK // max(k, A.shape[1]))
    for start in range(0, len(images), step):
        x = A[images[start : start + step]].astype(np.float64)
        if space == "unit":
            norms = np.linalg.norm(x, axis=1, keepdims=True)
            np.divide(x, norms, out=x, where=norms > 0)
        yield x


def _means(A: FloatArray, space: Space) -> tuple[DoubleArray, float]:
    """(mean x (N,), mean ||x||^2) over all images."""
    import numpy as np

    mean, square = np.zeros(A.shape[1]), 0.0
    for x in _rows(A, np.arange(len(A)), space, 1):
        mean += x.sum(axis=0)
        square += float((x * x).sum())
    return mean / len(A), square / len(A)


def _off_mean(x: DoubleArray, mu: DoubleArray, mean: DoubleArray, square: float) -> DoubleArray:
    """(b, K) d minus its mean over images. ||mu||^2 is the same for all, so it is never added."""
    away: DoubleArray = (x * x).sum(axis=1)[:, None] - square - 2 * ((x - mean) @ mu.T)
    return away


def most_active(values: DoubleArray, count: int) -> IntArray:
    """(count, K) rows of `values` (P, K) with the largest value in each column; ties: earlier rows first.

    -inf and NaN come last.
    """
    import numpy as np

    ranked: IntArray = np.argsort(-values, axis=0, kind="stable")[:count]
    return ranked


def spread(map_: DoubleArray, chosen: IntArray) -> DoubleArray:
    """(K,) mean distance on the map (P, 2) between the points `chosen` (c, K) of each direction."""
    import numpy as np

    c, k = chosen.shape
    found = np.empty(k)
    step = max(1, BLOCK // (c * c))
    for start in range(0, k, step):
        at = map_[chosen[:, start : start + step].T]
        apart = np.linalg.norm(at[:, :, None] - at[:, None], axis=3)
        found[start : start + step] = apart.sum(axis=(1, 2)) / (c * (c - 1))
    return found


def mean_distance(map_: DoubleArray) -> float:
    """Mean distance on the map between two points, over all pairs."""
    from scipy.spatial.distance import cdist

    total, step = 0.0, max(1, BLOCK // len(map_))
    for start in range(0, len(map_), step):
        total += float(cdist(map_[start : start + step], map_).sum())
    return total / (len(map_) * (len(map_) - 1))
