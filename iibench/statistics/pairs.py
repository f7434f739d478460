"""Bootstrap of statistics over pairs of units: units are drawn, never pairs, since pairs share units.

Notation: K units; X (K, K) symmetric values of pairs, NaN where a pair has none; the diagonal is ignored.
`counts` (B, K) as `resampling.resample_units` gives them. In a resample that holds unit a c_a times, the pair
a < b counts c_a c_b times; two copies of one unit are no pair. float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iibench.statistics.resampling import blocks

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray, IntArray
    from iibench.statistics.resampling import CountArray

#: Classes of equal size that values are sorted into before they are ranked in resamples.
CLASSES = 256


def pair_mean_resampled(values: DoubleArray, counts: CountArray) -> DoubleArray:
    """(B,) mean of X over the pairs in each resample; NaN where there is no pair.

    >>> values = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]])
    >>> pair_mean_resampled(values, np.array([[1, 1, 1], [2, 1, 0]])).tolist()
    [2.0, 1.0]
    """
    present = ~np.isnan(values)
    np.fill_diagonal(present, False)
    filled = np.where(present, values, 0.0)
    weight = present.astype(np.float64)
    found = np.full(len(counts), np.nan)
    for rows in blocks(len(counts), len(values)):
        drawn = counts[rows].astype(np.float64)
        # c X c for each resample: every pair counts twice, above and below the line alike
        top = ((drawn @ filled) * drawn).sum(axis=1)
        bottom = ((drawn @ weight) * drawn).sum(axis=1)
        np.divide(top, bottom, out=found[rows], where=bottom > 0)
    return found


def pair_spearman_resampled(
    x: DoubleArray, y: DoubleArray, counts: CountArray, classes: int = CLASSES
) -> DoubleArray:
    """(B,) Spearman's rho of X and Y over the pairs, ranked anew in each resample (mid-ranks for ties).

    Values are first sorted into `classes` classes of equal size and ranked by class, which is exact where
    there are no more distinct values than that, and otherwise moves rho by a few times
    1 / (classes sqrt(P)), P the number of pairs. NaN where one side is constant.

    >>> x = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]])
    >>> found = pair_spearman_resampled(x, -x, np.array([[1, 1, 1]]))
    >>> round(float(found[0]), 9)
    -1.0
    """
    missing = np.isnan(x) | np.isnan(y)
    np.fill_diagonal(missing, True)
    cells = np.full(x.shape, classes * classes, np.int32)
    cells[~missing] = _classes(x[~missing], classes) * classes + _classes(y[~missing], classes)
    found = np.full(len(counts), np.nan)
    for row, drawn in enumerate(counts):
        units = np.flatnonzero(drawn)
        weights = np.multiply.outer(drawn[units].astype(np.float64), drawn[units])
        # rows first, then columns: twice as fast as both at once
        mine = cells[units].take(units, axis=1)
        joint: DoubleArray = np.bincount(
            mine.ravel(), weights.ravel(), minlength=classes**2 + 1
        ).astype(np.float64)
        # every pair stands there twice, which changes no correlation
        found[row] = _of_table(joint[:-1].reshape(classes, classes))
    return found


def _classes(values: DoubleArray, classes: int) -> IntArray:
    """(P,) the class of each value, 0 to classes - 1; equal values share one."""
    from scipy.stats import rankdata

    distinct, which = np.unique(values, return_inverse=True)
    if len(distinct) <= classes:
        return which.astype(np.int64)
    ranked: IntArray = np.floor((rankdata(values) - 0.5) * classes / len(values)).astype(np.int64)
    return ranked


def _of_table(joint: DoubleArray) -> float:
    """Spearman's rho of a table of counts by class; NaN where a side has a single class."""
    of_x, of_y = joint.sum(axis=1), joint.sum(axis=0)
    n = of_x.sum()
    if max(of_x.max(), of_y.max()) == n:
        return float("nan")
    ranks = [np.cumsum(total) - total / 2 for total in (of_x, of_y)]
    dx, dy = (rank - (total @ rank) / n for rank, total in zip(ranks, (of_x, of_y), strict=True))
    product = np.sqrt((of_x @ dx**2) * (of_y @ dy**2))
    return float(np.clip(dx @ joint @ dy / product, -1, 1))
