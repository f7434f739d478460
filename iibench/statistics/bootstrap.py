"""Means of bootstrap resamples of units, and percentile intervals from them.

B = 10,000 seeded resamples. Sums are sums of whole numbers that float64 holds exactly, so that a number
is the same to the last bit whatever else is computed beside it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench.contract.arrays import DoubleArray

RESAMPLES = 10_000
CONFIDENCE = 0.95
SEED = 20231
#: Resamples that are drawn and multiplied at once.
CHUNK = 250
#: Values and columns that are multiplied at once: small enough for the processor's cache.
VALUES, COLUMNS = 512, 64
#: Products of numbers up to which OpenBLAS multiplies matrices with one thread. Several gain nothing on
#: matrices this narrow, and where others keep the processor busy they wait ten times as long.
PRODUCTS = 1 << 18
#: Bytes of draws that are kept for the next call (B * n for n values); larger ones are drawn each time.
KEPT_BYTES = 256 << 20

_kept: OrderedDict[tuple[int, int], npt.NDArray[np.uint8]] = OrderedDict()


def interval(means: DoubleArray) -> tuple[float, float]:
    """(low, high): the 95 % percentile interval (linear interpolation) of a resampled statistic (B,).

    >>> [round(end, 6) for end in interval(np.arange(1001.0))]
    [25.0, 975.0]
    """
    tail = (1 - CONFIDENCE) / 2 * (len(means) - 1)
    lower, share = int(tail), tail - int(tail)
    last = len(means) - 1
    # the four values that the two quantiles lie between; the rest need not be sorted
    at = np.partition(means, [lower, lower + 1, last - lower - 1, last - lower])
    low = at[lower] * (1 - share) + at[lower + 1] * share
    # from the top, as the lower end from the bottom: the interval of -x is exactly minus that of x
    high = at[last - lower] * (1 - share) + at[last - lower - 1] * share
    return float(low), float(high)


def resampled_means(samples: DoubleArray, stream: int) -> DoubleArray:
    """samples (c, n) -> (c, B), the mean of each sample in each bootstrap resample of its n values.

    All samples of one length see the same resamples in a stream, and a sample's means depend on no other
    sample; two streams are independent. Values are rounded to 1e-11 of the largest deviation from their
    mean (n <= 50,000).

    >>> means = resampled_means(np.array([[0.2, 0.4, 0.9]]), stream=0)
    >>> means.shape == (1, RESAMPLES), round(float(means.mean()), 2)
    (True, 0.5)
    """
    samples = np.ascontiguousarray(samples, np.float64)
    c, n = samples.shape
    centre = samples.mean(axis=1)
    # 40 bits of the deviations are more digits than 40 bits of the values
    whole, unit = whole_numbers(samples - centre[:, None])
    # of matrix and vector, smaller products than of matrices are handed out to threads: 2 columns at least
    columns = np.zeros((n, max(c, 2)))
    columns[:, :c] = whole.T
    sums = np.zeros((RESAMPLES, columns.shape[1]))
    for start, drawn in zip(range(0, RESAMPLES, CHUNK), _chunks(n, stream), strict=True):
        _add_products(drawn, columns, sums[start : start + CHUNK])
    sums = sums[:, :c]
    means = centre[:, None] + np.ascontiguousarray(sums.T) * (unit / n)[:, None]
    # by rounding alone, a mean may lie beyond the values: an accuracy above 1
    ends = samples.min(axis=1, keepdims=True), samples.max(axis=1, keepdims=True)
    clipped: DoubleArray = np.clip(means, *ends, out=means)
    return clipped


def _add_products(drawn: npt.NDArray[np.uint8], columns: DoubleArray, sums: DoubleArray) -> None:
    """Adds drawn (b, n) times columns (n, c) to sums (b, c), in pieces for one thread."""
    (b, n), c = drawn.shape, columns.shape[1]
    height = max(1, PRODUCTS // (min(n, VALUES) * min(c, COLUMNS)))
    for first in range(0, n, VALUES):
        part = slice(first, first + VALUES)
        rows = drawn[:, part].astype(np.float64)
        for left in range(0, c, COLUMNS):
            across = slice(left, left + COLUMNS)
            for top in range(0, b, height):
                down = slice(top, top + height)
                # in any order: sums of whole numbers have no rounding error
                sums[down, across] += rows[down] @ columns[part, across]


def whole_numbers(rows: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """(c, n) -> ((c, n) whole numbers, (c,) units), with rows = numbers * units up to half a unit.

    A sum in which the numbers' weights do not exceed n in total stays below 2^52: it has no rounding
    error in any order of its terms. A unit is the row's largest size / 2^40, more for n > 4096.

    >>> numbers, unit = whole_numbers(np.array([[0.5, -0.25, 0.1]]))
    >>> bool((numbers == np.rint(numbers)).all()), (numbers * unit[:, None])[0, :2].tolist()
    (True, [0.5, -0.25])
    """
    largest = np.abs(rows).max(axis=1)
    most = 2.0 ** min(40, 52 - math.ceil(math.log2(rows.shape[1])))
    whole: DoubleArray = np.rint(rows / np.where(largest > 0, largest, 1)[:, None] * most)
    return whole, largest / most


def _chunks(n: int, stream: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Consecutive (CHUNK, n) parts of the (B, n) numbers of times that each value is drawn."""
    if n * RESAMPLES > KEPT_BYTES:
        yield from _draws(n, stream)
        return
    counts = _kept.pop((n, stream), None)
    if counts is None:
        while sum(each.nbytes for each in _kept.values()) + n * RESAMPLES > KEPT_BYTES:
            _kept.popitem(last=False)
        counts = np.empty((RESAMPLES, n), np.uint8)
        for start, drawn in zip(range(0, RESAMPLES, CHUNK), _draws(n, stream), strict=True):
            counts[start : start + CHUNK] = drawn
    _kept[n, stream] = counts  # at the end: the least recently used stand first
    for start in range(0, RESAMPLES, CHUNK):
        yield counts[start : start + CHUNK]


def _draws(n: int, stream: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Draws n of n values with replacement, CHUNK resamples at a time; rows sum to n."""
    rng = np.random.default_rng([SEED, n, stream])
    # each resample counts in a range of its own, so that one bincount does for all of them
    offsets = np.arange(CHUNK)[:, None] * n
    for _ in range(0, RESAMPLES, CHUNK):
        drawn = rng.integers(0, n, (CHUNK, n), dtype=np.int32) + offsets
        counts = np.bincount(drawn.ravel(), minlength=CHUNK * n)
        # a value is drawn once on average; that a byte is too small (256 times) has a chance of 1e-507
        yield counts.reshape(CHUNK, n).astype(np.uint8)
