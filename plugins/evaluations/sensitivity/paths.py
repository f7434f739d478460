"""Directions between two others, the images nearest to them, and how steep nearness is there.

mu (L, N) vectors of directions, v a direction of unit norm, y(x) (N,) the activations of image x, f_v(x) =
-||y(x) - v|| (Eq. 6). V targets v, M images nearest to each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from iibench import AnalysisContext, DoubleArray, FloatArray, IntArray

#: Bytes of float64 scores, and of activations, that are held at once.
BLOCK_BYTES = 32 << 20
#: Nearer than this to v, f_v has no slope that float32 activations could tell (its tip is a point).
TIP = 1e-5


def between(vectors: DoubleArray, pairs: IntArray, alphas: Sequence[float]) -> DoubleArray:
    """(P, A, N) v(alpha) = alpha mu_a + (1 - alpha) mu_b of pairs (P, 2), scaled to unit norm (Eq. 5).

    Zeros where the sum vanishes (opposite vectors): it has no direction.
    """
    import numpy as np

    from .pairs import unit_norm

    alpha = np.array(alphas)[None, :, None]
    a, b = vectors[pairs[:, 0]][:, None], vectors[pairs[:, 1]][:, None]
    mixed = alpha * a + (1 - alpha) * b
    size = np.abs(alpha) * np.linalg.norm(a, axis=-1, keepdims=True)
    size = size + np.abs(1 - alpha) * np.linalg.norm(b, axis=-1, keepdims=True)
    mixed[np.linalg.norm(mixed, axis=-1) <= 1e-9 * size[..., 0]] = 0
    return unit_norm(mixed)


def nearest(
    activations: FloatArray, targets: DoubleArray, m: int, unit: bool
) -> tuple[IntArray, DoubleArray]:
    """The M images nearest to each of the targets (V, N), nearest first, ties: lower index first.

    Returns (indices (V, M), Euclidean distances (V, M)). `unit`: activations are scaled to unit norm.
    """
    import numpy as np

    from .pairs import unit_norm

    n, width = activations.shape
    images = np.empty((len(targets), m), np.int64)
    gaps = np.empty((len(targets), m))
    rows = max(1, BLOCK_BYTES // (8 * n))
    step = max(1, BLOCK_BYTES // (8 * width))
    for start in range(0, len(targets), rows):
        part = targets[start : start + rows]
        closeness = np.empty((len(part), n))  # 2 v y - |y|^2: the larger, the nearer
        for at in range(0, n, step):
            y = activations[at : at + step].astype(np.float64)
            y = unit_norm(y) if unit else y
            closeness[:, at : at + step] = 2 * (part @ y.T) - (y * y).sum(axis=1)
        each = np.arange(len(part))
        for rank in range(m):
            best = closeness.argmax(axis=1)
            images[start : start + rows, rank] = best
            closeness[each, best] = -np.inf
        y = activations[images[start : start + rows]].astype(np.float64)
        y = unit_norm(y) if unit else y
        gaps[start : start + rows] = np.linalg.norm(y - part[:, None], axis=-1)
    return images, gaps


def gradient_norms(
    context: AnalysisContext, targets: DoubleArray, which: IntArray, images: IntArray, unit: bool
) -> DoubleArray:
    """(R,) norm of the gradient of f_v with respect to the pixels of image `images[r]`, v = `which[r]`.

    `targets` (V, N), `which` and `images` (R,). The scaling of activations to unit norm, where `unit`
    asks for it, is part of what is differentiated.
    """
    import numpy as np
    import torch

    table = torch.from_numpy(targets.astype(np.float32)).to(context.device)
    chosen = torch.from_numpy(np.ascontiguousarray(which)).to(context.device)

    def nearness(activations: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        y = activations
        if unit:
            norms = y.norm(dim=1, keepdim=True)
            y = torch.where(norms > 0, y / norms.clamp_min(1e-30), 0.0)
        closeness: torch.Tensor = -(y - table[chosen[rows]]).norm(dim=1)
        return closeness

    return context.gradient_norms(images, nearness)


def curve(values: DoubleArray) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Mean over pairs of values (P, A), NaN left out, with its 95 % interval over resampled pairs.

    Three arrays (A,), NaN where there is no value or no interval.
    """
    import numpy as np

    found = [mean_over(values[:, k]) for k in range(values.shape[1])]
    mean, low, high = (
        np.array([np.nan if v is None else v for v in column], float)
        for column in zip(*found, strict=True)
    )
    return mean, low, high


def mean_over(
    values: DoubleArray, unit: IntArray | None = None
) -> tuple[float | None, float | None, float | None]:
    """(mean, low, high) of values (P,), NaN left out; the 95 % bootstrap interval resamples `unit` (P,),
    by default each value; None where there is none."""
    import numpy as np

    from iibench.statistics.resampling import interval, resample_units, share, share_resampled

    kept = ~np.isnan(values)
    if not kept.any():
        return None, None, None
    cluster = np.arange(len(values)) if unit is None else unit
    values, cluster = values[kept], cluster[kept]
    once = np.ones(len(values))
    resampled = share_resampled(values, once, cluster, resample_units(cluster))
    return share(values, once), *interval(resampled, len(np.unique(cluster)))
