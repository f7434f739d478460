"""Eigenvalues of the covariance of activations, of all images and of resamples, and power laws of them.

Notation: A (n, N) activations; lambda_r the eigenvalue of rank r = 1, 2, ... (largest first) of
(A - mean)^T (A - mean) / n, R = min(n, N) of them. float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from iibench import CaseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from iibench import DoubleArray, FloatArray, IntArray

#: float64 values of the rows that are multiplied at once.
BLOCK = 2**22
#: The matrix whose eigenvalues are taken has at most this many rows (0.5 GB).
LIMIT = 8192

Weights = Literal["rank", "equal"]


def spectra(
    A: FloatArray,
    resamples: int,
    seed: int,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[DoubleArray, DoubleArray]:
    """((R,) eigenvalues of all images, (B, R) of bootstrap resamples of the images), largest first.

    A resample draws n images with replacement; how often each was drawn weights its row, so no copy of
    A is made. Rounding below 0 is raised to 0. Raises `CaseError` above 8,192 neurons and images.
    """
    import numpy as np

    from iibench.statistics.resampling import resample_units

    n, width = A.shape
    if min(n, width) > LIMIT:
        raise CaseError(
            f"the covariance of {width:,} neurons over {n:,} images is too large: at most {LIMIT:,} "
            "of either; pool the layer or take fewer images"
        )
    counts = resample_units(np.arange(n), resamples, seed)
    mean = A.mean(axis=0, dtype=np.float64)
    of = _by_neurons if width <= n else _by_images
    eigenvalues = of(A, mean)
    told(0, resamples + 1)
    whole = eigenvalues(np.ones(n))
    found = np.empty((resamples, len(whole)))
    for b, drawn in enumerate(counts):
        found[b] = eigenvalues(drawn.astype(np.float64))
        told(b + 2, resamples + 1)
    return whole, found


def _by_neurons(A: FloatArray, mean: DoubleArray) -> Callable[[DoubleArray], DoubleArray]:
    """Weights (n,) of sum n -> eigenvalues of the (N, N) weighted covariance."""
    import numpy as np

    n, width = A.shape
    step = max(1, BLOCK // width)

    def of(weights: DoubleArray) -> DoubleArray:
        second, first = np.zeros((width, width)), np.zeros(width)
        present = np.flatnonzero(weights)
        for start in range(0, len(present), step):
            rows = present[start : start + step]
            # centred at the mean of all images, so that nothing cancels below
            x = A[rows] - mean
            first += weights[rows] @ x
            x *= np.sqrt(weights[rows])[:, None]
            second += x.T @ x
        first /= n
        return _descending(second / n - np.outer(first, first))

    return of


def _by_images(A: FloatArray, mean: DoubleArray) -> Callable[[DoubleArray], DoubleArray]:
    """The same from the (n, n) matrix of inner products, which is made once: fewer images than neurons."""
    import numpy as np

    n, width = A.shape
    gram = np.zeros((n, n))
    step = max(1, BLOCK // n)
    for start in range(0, width, step):
        x = A[:, start : start + step] - mean[start : start + step]
        gram += x @ x.T

    def of(weights: DoubleArray) -> DoubleArray:
        away = gram @ weights / n
        centred = gram - away[:, None] - away + weights @ away / n
        root = np.sqrt(weights)
        return _descending(centred * root[:, None] * root / n)

    return of


def _descending(symmetric: DoubleArray) -> DoubleArray:
    import numpy as np

    found: DoubleArray = np.maximum(np.linalg.eigvalsh(symmetric)[::-1], 0)
    return found


def usable(eigenvalues: DoubleArray, n: int, neurons: int) -> int:
    """How many leading eigenvalues are more than rounding: above max(n, N) eps lambda_1."""
    import numpy as np

    floor = max(n, neurons) * np.finfo(np.float64).eps * eigenvalues[0]
    return int((eigenvalues > floor).sum())


def slopes(low: int, highs: IntArray, ranks: int, weights: Weights) -> DoubleArray:
    """(R, H) coefficients c: the exponent fitted over ranks low..highs[h] is log(lambda) @ c[:, h].

    Least squares of log lambda on log rank; `weights` "rank" weighs rank r by 1 / r, so that every
    stretch of the logarithmic axis counts alike; "equal" does not.
    """
    import numpy as np

    rank = np.arange(1, ranks + 1)
    x = np.log(rank)
    w = 1.0 / rank if weights == "rank" else np.ones(ranks)
    inside = (rank >= low)[:, None] & (rank[:, None] <= highs)
    w = w[:, None] * inside
    centred = x[:, None] - (w * x[:, None]).sum(axis=0) / w.sum(axis=0)
    found: DoubleArray = -w * centred / (w * centred**2).sum(axis=0)
    return found


def exponents(eigenvalues: DoubleArray, coefficients: DoubleArray) -> DoubleArray:
    """(..., H) exponents of eigenvalues (..., R); NaN where an eigenvalue that counts is 0."""
    import numpy as np

    used = int(np.flatnonzero(coefficients.any(axis=1))[-1]) + 1
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(eigenvalues[..., :used])
        found = np.where(np.isfinite(logs), logs, 0) @ coefficients[:used]
    zero = (~np.isfinite(logs)).astype(np.float64) @ (coefficients[:used] != 0)
    return np.where(zero > 0, np.nan, found)


def line_through(
    eigenvalues: DoubleArray, low: int, high: int, exponent: float, weights: Weights
) -> float:
    """log of the factor C of C r^-exponent that fits ranks low..high best."""
    import numpy as np

    rank = np.arange(low, high + 1)
    w = 1.0 / rank if weights == "rank" else np.ones(len(rank))
    logs = np.log(eigenvalues[low - 1 : high]) + exponent * np.log(rank)
    return float((w * logs).sum() / w.sum())
