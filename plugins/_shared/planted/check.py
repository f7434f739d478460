"""Do activations come from given feature directions? Images that show one feature alone tell.

In a linear network a = W f the activation of an image with feature i alone is parallel to w_i. Two
activations are parallel to each other, other than by chance, only where both images show the same one
feature; so it can be seen from the activations which images those are, without knowing W.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iibench import DoubleArray, FloatArray

#: Images among which parallel activations are sought, and the least cosine of two that are parallel.
SOUGHT, PARALLEL = 1000, 1 - 1e-6
#: The least share of images with an activation parallel to another's: with fewer it may be chance.
LEAST = 0.05
#: Images of one feature alone, per feature, by which each must have been seen (chance of a miss: e^-15 F).
ENOUGH = 15

#: Activations below this are none: the weakest feature has 1/255, arithmetic errs by some 1e-8.
NOTHING = 1e-5

MUST = (
    "features, neurons and seed must be those of the model planted, and its features and size those of "
    "the dataset planted"
)


def share_along(A: FloatArray, true: DoubleArray) -> float | None:
    """Of the first rows of A (n, N), those parallel to another: the share parallel to a row of `true` too.

    None where too few are parallel to tell: features are too common to be seen alone, or images too few.
    `true` (F, N) has unit rows.
    """
    import numpy as np

    rows = _unit(A[:SOUGHT])
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, 0)
    alone = (cosines > PARALLEL).any(axis=1)
    if alone.sum() < max(1.0, LEAST * len(rows)):
        return None
    return float(((rows[alone] @ true.T) > PARALLEL).any(axis=1).mean())


def mismatch(A: FloatArray, true: DoubleArray) -> str:
    """Why the activations A (n, N) are not those of the directions `true` (F, N), or ""."""
    share = share_along(A, true)
    if share is None:
        return ""
    if share < 0.5:
        return (
            f"{share:.0%} of the images that seem to show one feature alone have an activation along a "
            f"true direction; expected nearly all: {MUST}"
        )
    seen = ((_unit(A) @ true.T) > PARALLEL).sum(axis=0)
    if seen.sum() >= ENOUGH * len(true) and not seen.all():
        return f"no image shows feature {seen.argmin()} alone, as some do others: {MUST}"
    empty = int((abs(A) < NOTHING).all(axis=1).sum())
    if empty:
        return f"{empty:,} images have no activation at all, as if they showed no feature: {MUST}"
    return ""


def _unit(A: FloatArray) -> DoubleArray:
    """Rows of unit norm, in float64; a row of zeros stays."""
    import numpy as np

    norms = np.linalg.norm(A, axis=1, keepdims=True)
    return (A / np.where(norms > 0, norms, 1)).astype(np.float64)
