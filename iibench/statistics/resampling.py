"""Cluster bootstrap of statistics of people's answers: draws, shares, correlations, differences.

Notation: S stimuli, each of a `unit` (S,), the index of its cluster (a unit of a network, a reference
image); U indices of units; B resamples. `counts` (B, U) holds how often each resample drew each unit. One
such matrix serves every statistic of a group of stimuli, so that differences between observers are
paired. Answers to one stimulus, and stimuli of one unit, are not independent: units are drawn, never
answers. NaN values are left out, with their weights. Everything is seeded and float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.statistics.bootstrap import CONFIDENCE, SEED

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench.contract.arrays import DoubleArray, IntArray

    CountArray = npt.NDArray[np.int32]

#: Fewer than for means: a resample of an AUC is a pass over all stimuli.
RESAMPLES = 2_000
#: Bytes that the temporary arrays of one step may take together.
MEMORY = 64 * 2**20
#: Resamples that are drawn at once.
CHUNK = 100
#: A statistic that is undefined in more than this share of the resamples has no interval.
UNDEFINED = 0.05


@dataclass(frozen=True)
class PairedDifference:
    """A measure of one observer minus that of another, on the same answers.

    `low`, `high`: percentile bootstrap interval, None where there is none. `p`: two-sided, from the normal
    approximation with the bootstrap standard error; 1 where both are the same in every resample; None
    without an interval, or where there is no spread to hold a difference against.

    >>> PairedDifference(0.0, 0.0, 0.0, p=1.0).p
    1.0
    """

    difference: float
    low: float | None
    high: float | None
    p: float | None


def resample_units(unit: IntArray, resamples: int = RESAMPLES, seed: int = SEED) -> CountArray:
    """(B, U) how often each unit is drawn when the n units that occur are drawn n times, replaced.

    U = max(unit) + 1; units that do not occur are never drawn. Fewer resamples of the same seed are the
    first rows of more.

    >>> counts = resample_units(np.array([0, 0, 2]), resamples=3)  # units 0 and 2, drawn twice
    >>> counts.shape, counts.sum(axis=1).tolist(), counts[:, 1].tolist()
    ((3, 3), [2, 2, 2], [0, 0, 0])
    """
    present = np.unique(unit)
    n = len(present)
    counts = np.zeros((resamples, int(present[-1]) + 1 if n else 0), np.int32)
    rng = np.random.default_rng([seed, n])
    # always in chunks of one size: where a resample begins in the stream depends on nothing else
    for start in range(0, resamples if n else 0, CHUNK):
        rows = min(CHUNK, resamples - start)
        # each resample counts in a range of its own, so that one bincount does for all of them
        drawn = rng.integers(0, n, (rows, n)) + np.arange(rows)[:, None] * n
        found = np.bincount(drawn.ravel(), minlength=rows * n)
        counts[start : start + rows, present] = found.reshape(rows, n)
    return counts


def blocks(rows: int, width: int, arrays: int = 4) -> Iterator[slice]:
    """Slices of `rows` such that `arrays` float64 arrays of slice x `width` fit into `MEMORY`.

    >>> list(blocks(2000, 10_000, arrays=1))
    [slice(0, 838, None), slice(838, 1676, None), slice(1676, 2000, None)]
    """
    step = max(1, MEMORY // (8 * arrays * max(1, width)))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def run_starts(ordered: DoubleArray) -> IntArray:
    """Where each run of equal values of an ordered array (n,) starts.

    >>> run_starts(np.array([0.1, 0.1, 0.5, 0.7, 0.7])).tolist()
    [0, 2, 3]
    """
    new = np.ones(len(ordered), np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    return np.flatnonzero(new)


def interval(
    resampled: DoubleArray, units: int, confidence: float = CONFIDENCE
) -> tuple[float | None, float | None]:
    """Percentile interval of a statistic from its (B,) resampled values, NaN ignored.

    `units`: how many units there were to draw from. (None, None) below two of them, or where more than
    5 % of the values are NaN: an interval of the rest would say too little about the statistic.

    >>> [round(end, 6) for end in interval(np.arange(1001.0), units=8)]
    [25.0, 975.0]
    >>> interval(np.arange(1001.0), units=1)
    (None, None)
    """
    found = resampled[~np.isnan(resampled)]
    if units < 2 or len(found) == 0 or len(found) < (1 - UNDEFINED) * len(resampled):
        return None, None
    tail = (1 - confidence) / 2 * 100
    low, high = np.percentile(found, [tail, 100 - tail])
    return float(low), float(high)


def paired_difference(
    value: float,
    other: float,
    resampled: DoubleArray,
    resampled_other: DoubleArray,
    units: int,
    confidence: float = CONFIDENCE,
) -> PairedDifference:
    """`value` minus `other`: two areas, or shares, of the same answers, resampled by the same draws.

    >>> spread = np.linspace(-0.1, 0.1, 101)
    >>> found = paired_difference(0.8, 0.5, 0.8 + spread, 0.5 - spread, units=8)
    >>> round(found.difference, 2), found.low < found.difference < found.high, found.p < 0.05
    (0.3, True, True)
    """
    from scipy.special import ndtr

    differences = resampled - resampled_other
    low, high = interval(differences, units, confidence)
    difference, p = float(value - other), None
    if low is not None and not np.isnan(difference):
        error = float(np.nanstd(differences, ddof=1)) if len(differences) > 1 else 0.0
        if error > 0:
            p = float(2 * ndtr(-abs(difference) / error))
        elif difference == 0:
            p = 1.0
    return PairedDifference(difference, low, high, p)


# ------------------------------------------------------------------------------- weighted means


def share(values: DoubleArray, weights: IntArray | DoubleArray) -> float:
    """Sum of `values` (S,) times `weights` (S,) over the sum of weights; NaN where that is 0.

    Stimuli whose value is NaN are left out. With values 0, 1 and one half and numbers of answers as
    weights this is a share of answers.

    >>> share(np.array([1.0, 0.0, np.nan]), weights=np.array([3, 1, 5]))
    0.75
    """
    kept = ~np.isnan(values)
    total = float(weights[kept].sum())
    return float((values[kept] * weights[kept]).sum()) / total if total else float("nan")


def share_resampled(
    values: DoubleArray, weights: IntArray | DoubleArray, unit: IntArray, counts: CountArray
) -> DoubleArray:
    """(B,) `share` in each resample; NaN where a resample holds no weight.

    >>> unit, counts = np.array([0, 1]), np.array([[1, 1], [2, 0]])
    >>> share_resampled(np.array([1.0, 0.0]), np.array([3, 1]), unit, counts).tolist()
    [0.75, 1.0]
    """
    kept = ~np.isnan(values) & (weights > 0)
    width = counts.shape[1]
    found = np.full(len(counts), np.nan)
    # units are drawn whole: with their sums a resample is a small product, no pass over all stimuli
    sums = np.stack(
        [
            np.bincount(unit[kept], values[kept] * weights[kept], minlength=width),
            np.bincount(unit[kept], weights[kept], minlength=width),
        ],
        axis=1,
    )
    for rows in blocks(len(counts), width):
        top, bottom = (counts[rows].astype(np.float64) @ sums).T
        np.divide(top, bottom, out=found[rows], where=bottom > 0)
    return found


# --------------------------------------------------------------------------------- correlations


def correlations(x: DoubleArray, y: DoubleArray) -> tuple[float, float]:
    """(Pearson's r, Spearman's rho) of `x` (U,) and `y` (U,), leaving out pairs with a NaN.

    NaN for fewer than three pairs, or where one side is constant.

    >>> r, rho = correlations(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 4.0, 9.0, 16.0]))
    >>> round(r, 3), round(rho, 3)
    (0.984, 1.0)
    """
    once = np.ones((1, len(x)), np.int32)
    return float(pearson_resampled(x, y, once)[0]), float(spearman_resampled(x, y, once)[0])


def pearson_resampled(x: DoubleArray, y: DoubleArray, counts: CountArray) -> DoubleArray:
    """(B,) Pearson's r over units in each resample; NaN as in `correlations`, for distinct units.

    >>> x, counts = np.array([1.0, 2.0, 4.0]), np.array([[1, 1, 1], [2, 1, 0]])
    >>> pearson_resampled(x, 2 * x, counts).round(6).tolist()  # the second has two distinct units
    [1.0, nan]
    """
    x, y, counts = _complete(x, y, counts)
    found = np.empty(len(counts))
    for rows in blocks(len(counts), len(x), arrays=8):
        found[rows] = _weighted_pearson(x[None], y[None], counts[rows])
    return found


def spearman_resampled(x: DoubleArray, y: DoubleArray, counts: CountArray) -> DoubleArray:
    """(B,) Spearman's rho over units, ranked anew in each resample (mid-ranks for ties).

    >>> x, counts = np.array([1.0, 2.0, 4.0]), np.array([[1, 1, 1], [3, 2, 1]])
    >>> spearman_resampled(x, -(x**2), counts).round(6).tolist()
    [-1.0, -1.0]
    """
    x, y, counts = _complete(x, y, counts)
    found = np.empty(len(counts))
    for rows in blocks(len(counts), len(x), arrays=12):
        drawn = counts[rows]
        found[rows] = _weighted_pearson(_midranks(x, drawn), _midranks(y, drawn), drawn)
    return found


def _complete(
    x: DoubleArray, y: DoubleArray, counts: CountArray
) -> tuple[DoubleArray, DoubleArray, CountArray]:
    """Without the units that have a NaN, and without those past U, which are never drawn."""
    units = min(len(x), counts.shape[1])
    kept = ~(np.isnan(x) | np.isnan(y))[:units]
    return x[:units][kept], y[:units][kept], counts[:, :units][:, kept]


def _weighted_pearson(x: DoubleArray, y: DoubleArray, counts: CountArray) -> DoubleArray:
    """(b,) r of x and y, each (b, U) or (1, U), where column u counts `counts[:, u]` times."""
    drawn = counts > 0
    n = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    defined = drawn.sum(axis=1) >= 3
    centred = []
    for values in (x, y):
        # constant where the largest and the smallest are equal; the variance would be so but for rounding
        top = np.where(drawn, values, -np.inf).max(axis=1, initial=-np.inf)
        defined &= np.where(drawn, values, np.inf).min(axis=1, initial=np.inf) < top
        centred.append(values - (counts * values).sum(axis=1, keepdims=True) / n)
    dx, dy = centred
    product = np.sqrt((counts * dx * dx).sum(axis=1) * (counts * dy * dy).sum(axis=1))
    found = np.full(len(counts), np.nan)
    np.divide((counts * dx * dy).sum(axis=1), product, out=found, where=defined & (product > 0))
    # by rounding alone, a perfect correlation may lie beyond 1
    clipped: DoubleArray = np.clip(found, -1, 1)
    return clipped


def _midranks(values: DoubleArray, counts: CountArray) -> DoubleArray:
    """(b, U) mid-ranks of values (U,) in samples that hold value u `counts[:, u]` times."""
    if not len(values):
        return np.zeros(counts.shape)
    order = np.argsort(values, kind="stable")
    sizes = np.add.reduceat(counts[:, order], run_starts(values[order]), axis=1)
    # a run of equal values ends at the sum of the sizes so far; its middle is half of it further down
    middle = np.cumsum(sizes, axis=1) - (sizes - 1) / 2
    ranks: DoubleArray = middle[:, np.unique(values, return_inverse=True)[1]]
    return ranks
