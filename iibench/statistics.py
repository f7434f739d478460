"""Intervals, tests and corrections for scores of units. Always says how many values a number rests on.

Notation: x (n_x,) and y (n_y,) are scores of two sets of units, NaN where a unit is unscored; NaN are
left out of every number here. B = 10,000 bootstrap resamples. The resampling unit is the unit (a
direction), never the image. Everything is seeded: the same values in the same order give the same
numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from iibench.records import Summary

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench.specs import DoubleArray

RESAMPLES = 10_000
CONFIDENCE = 0.95
SEED = 20231
#: Rows of the weight matrix that are multiplied at once: small enough to stay in the processor's cache.
CHUNK = 250
#: Up to this many values several weight matrices are kept (B * n bytes each), above it only one.
SMALL = 2048


@dataclass(frozen=True)
class Comparison:
    """x against y.

    `difference`: mean of x minus mean of y, with its 95 % percentile bootstrap interval `low`, `high`
    (None below two values on a side). `p`: two-sided, Mann-Whitney U. `effect`: P(x > y) + P(x = y) / 2
    in [0, 1]. `n_x`, `n_y`: scored values. All numbers are None where a side has no value.
    """

    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    effect: float | None
    n_x: int
    n_y: int


def summarise(values: DoubleArray) -> Summary:
    """Mean, deviation (n - 1), median and interval of the mean over the scored units of `values` (n,).

    The interval is the 95 % percentile bootstrap of the mean over units, None for fewer than two.
    """
    values = np.asarray(values, np.float64)
    scored = values[~np.isnan(values)]
    n = len(scored)
    if n == 0:
        return Summary(n=len(values), scored=0)
    mean, median = float(scored.mean()), float(np.median(scored))
    if n == 1:
        return Summary(n=len(values), scored=1, mean=mean, median=median)
    low, high = _interval(_means(scored[:, None], stream=0)[:, 0])
    sd = float(scored.std(ddof=1))
    return Summary(len(values), n, mean, sd, median, low, high)


def compare(values: DoubleArray, baseline: DoubleArray) -> Comparison:
    """`values` (n_x,) against `baseline` (n_y,), two independent sets of units."""
    return compare_many([values], baseline)[0]


def compare_many(samples: Sequence[DoubleArray], baseline: DoubleArray) -> list[Comparison]:
    """Each of `samples` against one baseline, as `compare`; much faster than one at a time."""
    y = _scored(baseline)
    cleaned = [_scored(sample) for sample in samples]
    if not len(y):
        return [Comparison(None, None, None, None, None, len(x), 0) for x in cleaned]
    resampled = _resampled_means(cleaned)
    resampled_y = _means(y[:, None], stream=1)[:, 0]
    found = []
    for x, means in zip(cleaned, resampled, strict=True):
        if not len(x):
            found.append(Comparison(None, None, None, None, None, 0, len(y)))
            continue
        low, high = None, None
        if len(x) > 1 and len(y) > 1:
            low, high = _interval(means - resampled_y)
        p, effect = mann_whitney(x, y)
        difference = float(x.mean() - y.mean())
        found.append(Comparison(difference, low, high, p, effect, len(x), len(y)))
    return found


def mann_whitney(x: DoubleArray, y: DoubleArray) -> tuple[float, float]:
    """(two-sided p, effect P(x > y) + P(x = y) / 2) of x (n_x,) and y (n_y,) without NaN, neither empty.

    The normal approximation of U with continuity and tie correction, as
    `scipy.stats.mannwhitneyu(method="asymptotic")`; p = 1 where all values are equal.
    """
    from scipy.special import ndtr

    n_x, n_y = len(x), len(y)
    ordered = np.sort(y)
    below = np.searchsorted(ordered, x, "left")
    at_or_below = np.searchsorted(ordered, x, "right")
    u = float(below.sum() + at_or_below.sum()) / 2
    n = n_x + n_y
    ties = np.unique(np.concatenate([x, y]), return_counts=True)[1].astype(np.float64)
    spread = (n + 1) - float((ties**3 - ties).sum()) / (n * (n - 1))
    sd = np.sqrt(n_x * n_y / 12 * spread) if spread > 0 else 0.0
    effect = u / (n_x * n_y)
    if sd == 0:
        return 1.0, effect
    z = (max(u, n_x * n_y - u) - n_x * n_y / 2 - 0.5) / sd
    return float(min(1.0, 2 * ndtr(-z))), effect


def holm(pvalues: Sequence[float] | DoubleArray) -> DoubleArray:
    """Holm's step-down adjustment of p values (m,) -> (m,), in the same order.

    NaN stay NaN and do not count as tests.
    """
    p = np.asarray(pvalues, np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def rank_intervals(
    samples: Sequence[DoubleArray], alpha: float = 0.05
) -> list[tuple[int, int] | None]:
    """(best, worst) rank that each of the samples can have, larger values ranking first.

    Every pair is tested (Mann-Whitney, Holm over all pairs). A sample's best rank is 1 + the number of
    samples that are separably above it, its worst the number of samples minus those separably below.
    Samples without a value have no rank (None) and do not count.
    """
    cleaned = [_scored(sample) for sample in samples]
    ranked = [i for i, x in enumerate(cleaned) if len(x)]
    pairs = [(a, b) for i, a in enumerate(ranked) for b in ranked[i + 1 :]]
    tests = [mann_whitney(cleaned[a], cleaned[b]) for a, b in pairs]
    adjusted = holm([p for p, _ in tests])
    above: dict[int, int] = defaultdict(int)
    below: dict[int, int] = defaultdict(int)
    for (a, b), (_, effect), p in zip(pairs, tests, adjusted, strict=True):
        if p < alpha:
            better, worse = (a, b) if effect > 0.5 else (b, a)
            above[worse] += 1
            below[better] += 1
    return [
        (1 + above[i], len(ranked) - below[i]) if len(x) else None for i, x in enumerate(cleaned)
    ]


# ---------------------------------------------------------------------------------- the bootstrap


def _scored(values: DoubleArray) -> DoubleArray:
    values = np.asarray(values, np.float64)
    return values[~np.isnan(values)]


def _interval(means: DoubleArray) -> tuple[float, float]:
    """Percentiles (linear interpolation) of the resampled statistic (B,)."""
    tail = (1 - CONFIDENCE) / 2 * (len(means) - 1)
    lower, share = int(tail), tail - int(tail)
    last = len(means) - 1
    at = np.partition(means, [lower, lower + 1, last - lower - 1, last - lower])
    low = at[lower] * (1 - share) + at[lower + 1] * share
    high = at[last - lower] * (1 - share) + at[last - lower - 1] * share
    return float(low), float(high)


def _resampled_means(samples: Sequence[DoubleArray]) -> list[DoubleArray]:
    """(B,) resampled means of each sample; samples of one length share the resamples' weights."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for i, x in enumerate(samples):
        by_length[len(x)].append(i)
    found: list[DoubleArray] = [np.zeros(0)] * len(samples)
    for n, members in by_length.items():
        if n:
            means = _means(np.stack([samples[i] for i in members], axis=1), stream=0)
            for column, i in enumerate(members):
                found[i] = means[:, column]
    return found


def _means(columns: DoubleArray, stream: int) -> DoubleArray:
    """columns (n, c) -> (B, c), the mean of each column in each bootstrap resample of its rows.

    Two streams are independent of each other. The products are float32: the columns are centred and
    scaled before, so that the error is some 1e-7 of their deviation.
    """
    n = len(columns)
    centre = columns.mean(axis=0)
    scale = np.abs(columns - centre).max(axis=0)
    scale[scale == 0] = 1
    standard = ((columns - centre) / scale).astype(np.float32)
    weights = (_weights if n <= SMALL else _large_weights)(n, stream)
    means = np.empty((RESAMPLES, columns.shape[1]), np.float32)
    rows = np.empty((CHUNK, n), np.float32)
    for start in range(0, RESAMPLES, CHUNK):
        np.copyto(rows, weights[start : start + CHUNK])
        np.matmul(rows, standard, out=means[start : start + CHUNK])
    resampled: DoubleArray = centre + means.astype(np.float64) * (scale / n)
    return resampled


def _make_weights(n: int, stream: int) -> npt.NDArray[np.uint8]:
    """(B, n) how often each of n values is drawn in each resample; rows sum to n."""
    rng = np.random.default_rng([SEED, n, stream])
    weights = np.empty((RESAMPLES, n), np.uint8)
    offsets = np.arange(CHUNK)[:, None] * n
    for start in range(0, RESAMPLES, CHUNK):
        drawn = rng.integers(0, n, (CHUNK, n), dtype=np.int32) + offsets
        counts = np.bincount(drawn.ravel(), minlength=CHUNK * n)
        weights[start : start + CHUNK] = counts.reshape(CHUNK, n)
    return weights


_weights = lru_cache(maxsize=12)(_make_weights)
_large_weights = lru_cache(maxsize=1)(_make_weights)
