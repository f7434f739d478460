"""Intervals, tests and corrections for scores of units. Always says how many values a number rests on.

Notation: x (n_x,) and y (n_y,) are scores of two sets of units, NaN where a unit is unscored; NaN are
left out of every number here. B = 10,000 bootstrap resamples. The resampling unit is the unit (a
direction), never the image. Everything is seeded: the same values in the same order give the same
numbers.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.contract.reports import Summary
from iibench.statistics.bootstrap import interval, resampled_means

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray, IntArray

#: Comparisons whose resampled means are held at once (2 * B * 8 bytes each).
BATCH = 500
#: Values above this are divided by it before they are summed.
LARGE = 1e150


@dataclass(frozen=True)
class Comparison:
    """x against y.

    `difference`: mean of x minus mean of y, with its 95 % percentile bootstrap interval `low`, `high`
    (None below two values on a side). `p`: two-sided, Mann-Whitney U. `effect`: P(x > y) + P(x = y) / 2
    in [0, 1]. `n_x`, `n_y`: scored values. All numbers are None where a side has no value.

    >>> found = compare(np.array([0.9]), np.array([0.1]))
    >>> found.effect, found.low  # one value has no interval
    (1.0, None)
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

    >>> found = summarise(np.array([0.25, 0.75, np.nan]))
    >>> found.n, found.scored, found.mean, found.low <= found.mean <= found.high
    (3, 2, 0.5, True)
    """
    values = np.asarray(values, np.float64)
    scored = values[~np.isnan(values)]
    n = len(scored)
    if n == 0:
        return Summary(n=len(values), scored=0)
    if np.abs(scored).max() > LARGE:  # sums of such numbers overflow: those of their shares do not
        return _scaled(summarise(values / LARGE), LARGE)
    mean, median = float(scored.mean()), float(np.median(scored))
    if n == 1:
        return Summary(n=len(values), scored=1, mean=mean, median=median)
    low, high = interval(resampled_means(scored[None], stream=0)[0])
    sd = float(scored.std(ddof=1))
    return Summary(len(values), n, mean, sd, median, low, high)


def _scaled(summary: Summary, scale: float) -> Summary:
    """A summary of values that were divided by `scale`; a number that is too large for float64 is None."""

    def times(value: float | None) -> float | None:
        large = None if value is None else value * scale
        return large if large is not None and math.isfinite(large) else None

    return dataclasses.replace(
        summary,
        mean=times(summary.mean),
        sd=times(summary.sd),
        median=times(summary.median),
        low=times(summary.low),
        high=times(summary.high),
    )


def compare(values: DoubleArray, baseline: DoubleArray) -> Comparison:
    """`values` (n_x,) against `baseline` (n_y,), two independent sets of units.

    >>> found = compare(np.array([0.5, 0.75, 0.7]), np.array([0.25, 0.5, 0.4]))
    >>> round(found.difference, 3), round(found.effect, 3)
    (0.267, 0.944)
    """
    return compare_pairs([values, baseline], [(0, 1)])[0]


def compare_pairs(
    samples: Sequence[DoubleArray], pairs: Sequence[tuple[int, int]]
) -> list[Comparison]:
    """samples[i] against samples[j], as `compare`, for each pair (i, j).

    Much faster than one at a time: samples of one length are resampled together.

    >>> low, high = np.array([0.1, 0.2]), np.array([0.8, 0.9])
    >>> [round(found.difference, 2) for found in compare_pairs([low, high], [(0, 1), (1, 0)])]
    [-0.7, 0.7]
    """
    scored = [_scored(sample) for sample in samples]
    found: list[Comparison] = []
    for start in range(0, len(pairs), BATCH):
        batch = pairs[start : start + BATCH]
        # a sample's interval needs two values on both sides
        resampled = [(i, j) for i, j in batch if min(len(scored[i]), len(scored[j])) > 1]
        means_x = _resampled(scored, {i for i, _ in resampled}, stream=0)
        means_y = _resampled(scored, {j for _, j in resampled}, stream=1)
        for i, j in batch:
            ends = interval(means_x[i] - means_y[j]) if i in means_x and j in means_y else None
            found.append(_compared(scored[i], scored[j], ends))
    return found


def _compared(x: DoubleArray, y: DoubleArray, ends: tuple[float, float] | None) -> Comparison:
    if not len(x) or not len(y):
        return Comparison(None, None, None, None, None, len(x), len(y))
    p, effect = mann_whitney(x, y)
    low, high = ends or (None, None)
    return Comparison(float(x.mean() - y.mean()), low, high, p, effect, len(x), len(y))


def _resampled(
    samples: Sequence[DoubleArray], which: Collection[int], stream: int
) -> dict[int, DoubleArray]:
    """(B,) resampled means of the samples at the places `which`; one length at a time."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for i in sorted(which):
        by_length[len(samples[i])].append(i)
    found: dict[int, DoubleArray] = {}
    for places in by_length.values():
        means = resampled_means(np.stack([samples[i] for i in places]), stream)
        found.update(zip(places, means, strict=True))
    return found


def mann_whitney(x: DoubleArray, y: DoubleArray) -> tuple[float, float]:
    """(two-sided p, effect P(x > y) + P(x = y) / 2) of x (n_x,) and y (n_y,) without NaN, neither empty.

    The normal approximation of U with continuity and tie correction, as
    `scipy.stats.mannwhitneyu(method="asymptotic")`; p = 1 where all values are equal.

    >>> p, effect = mann_whitney(np.array([0.7, 0.8, 0.9]), np.array([0.1, 0.2, 0.3]))
    >>> round(p, 3), effect
    (0.081, 1.0)
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

    >>> holm([0.01, 0.04, np.nan, 0.03]).round(3).tolist()
    [0.03, 0.06, nan, 0.06]
    """
    p = np.asarray(pvalues, np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def separations(samples: Sequence[DoubleArray], alpha: float = 0.05) -> IntArray:
    """(m, m): 1 where sample i is separably above sample j, -1 below, 0 where neither.

    Mann-Whitney tests of every pair, Holm-corrected over all pairs. A sample without a value is
    separable from none.

    >>> low, high = np.arange(20) / 100, 0.5 + np.arange(20) / 100
    >>> separations([low, high]).tolist()
    [[0, -1], [1, 0]]
    """
    scored = [_scored(x) for x in samples]
    ranked = [i for i, x in enumerate(scored) if len(x)]
    pairs = [(a, b) for i, a in enumerate(ranked) for b in ranked[i + 1 :]]
    tests = [mann_whitney(scored[a], scored[b]) for a, b in pairs]
    adjusted = holm([p for p, _ in tests])
    found = np.zeros((len(samples), len(samples)), np.int64)
    for (a, b), (_, effect), p in zip(pairs, tests, adjusted, strict=True):
        if p < alpha:
            found[a, b] = 1 if effect > 0.5 else -1
            found[b, a] = -found[a, b]
    return found


def ranks_left_open(separated: IntArray) -> list[tuple[int, int]]:
    """(best, worst) rank that `separations` (m, m) leave to each sample, larger values ranking first.

    The best is 1 + the number of samples separably above it, the worst m minus those separably below.

    >>> ranks_left_open(np.array([[0, 1, 1], [-1, 0, 0], [-1, 0, 0]]))
    [(1, 1), (2, 3), (2, 3)]
    """
    return [(1 + int((row < 0).sum()), len(row) - int((row > 0).sum())) for row in separated]


def tie_letters(separated: IntArray, order: Sequence[int]) -> dict[int, str]:
    """Compact letter display (Piepho 2004): samples that share a letter cannot be told apart.

    `separated` (m, m) as `separations` gives it, `order` the samples to letter, the best first: `a`
    belongs to the first. Two samples share a letter if and only if they are not separable.

    >>> tie_letters(np.array([[0, 0, 1], [0, 0, 0], [-1, 0, 0]]), order=[0, 1, 2])
    {0: 'a', 1: 'ab', 2: 'b'}
    """
    groups = [frozenset(order)] if order else []
    for place, i in enumerate(order):
        for j in order[place + 1 :]:
            if separated[i, j]:
                both = [group for group in groups if i in group and j in group]
                parts = [group - {one} for group in both for one in (i, j)]
                groups = _maximal([group for group in groups if group not in both] + parts)
    position = {i: place for place, i in enumerate(order)}
    groups.sort(key=lambda group: sorted(position[i] for i in group))
    names = [_letter(place) for place in range(len(groups))]
    return {
        i: "".join(name for name, group in zip(names, groups, strict=True) if i in group)
        for i in order
    }


def _maximal(groups: Sequence[frozenset[int]]) -> list[frozenset[int]]:
    """The groups that lie in no other, each once."""
    distinct = list(dict.fromkeys(group for group in groups if group))
    return [group for group in distinct if not any(group < other for other in distinct)]


def _letter(place: int) -> str:
    """a to z, then a1 to z1, a2 and so on."""
    round_, letter = divmod(place, 26)
    return chr(ord("a") + letter) + (str(round_) if round_ else "")


# ------------------------------------------------------------------------------ the same units


def paired_intervals(columns: DoubleArray) -> list[tuple[float | None, float | None]]:
    """95 % percentile bootstrap interval of the mean of each column of (n, m), resampling rows.

    All columns see the same resamples. None for fewer than two rows.

    >>> ((low, high),) = paired_intervals(np.array([[0.1], [0.2], [0.6]]))
    >>> 0.1 <= low < 0.3 < high <= 0.6
    True
    """
    if len(columns) < 2:
        return [(None, None)] * columns.shape[1]
    return [interval(means) for means in resampled_means(np.transpose(columns), stream=0)]


def _scored(values: DoubleArray) -> DoubleArray:
    values = np.asarray(values, np.float64)
    return values[~np.isnan(values)]
