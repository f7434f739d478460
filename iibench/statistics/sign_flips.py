"""The paired sign-flip permutation test: is the mean of differences further from zero than by chance?

Under the null hypothesis the two scores of a unit can be exchanged, which flips the sign of their
difference. A difference of zero flips to itself, so that such units change no p-value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iibench.statistics.bootstrap import RESAMPLES, SEED, whole_numbers

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray

#: Up to this many differences that are not zero, all 2^n patterns of signs are gone through.
EXACT = 12
#: Differences whose sums under every pattern of their signs are looked up, not computed.
GROUP = 8
#: Columns and patterns whose sums are added up at once: small enough for the processor's cache.
COLUMNS, PATTERNS = 64, 1000


def sign_flip_p(differences: DoubleArray) -> DoubleArray:
    """(m,) two-sided p of the sign-flip test of the mean of each column of (n, m) differences.

    A column holds the differences of two scores of the same n units, without NaN. p is the share of the
    patterns of signs under which the mean is at least as far from zero as it is: of all 2^n of them up
    to n = 12 differences that are not zero, else of B seeded random patterns and the observed one, so
    that p >= 1 / (B + 1). Sums that differ by rounding alone count as equal. p depends on the order of
    the column's differences that are not zero (through the seeded patterns) and on no other column.

    >>> sign_flip_p(np.array([[0.1], [0.2], [0.3]])).tolist()  # 2 of 8 patterns are as far from zero
    [0.25]
    """
    differences = np.asarray(differences, np.float64)
    p = np.ones(differences.shape[1])
    many: list[tuple[int, DoubleArray]] = []
    for i, column in enumerate(differences.T):
        # zeros add nothing under any pattern, and would double the number of patterns each
        changed = column[column != 0]
        if not len(changed):
            continue
        whole = whole_numbers(changed[None])[0][0]
        if len(changed) <= EXACT:
            p[i] = (np.abs(_signs(len(changed)) @ whole) >= _reach(whole)).mean()
        else:
            many.append((i, whole))
    many.sort(key=lambda each: len(each[1]))  # columns of one length together: less padding
    for start in range(0, len(many), COLUMNS):
        block = many[start : start + COLUMNS]
        sums = _random_sums([whole for _, whole in block])
        for (i, whole), of_column in zip(block, sums.T, strict=True):
            p[i] = (1 + (np.abs(of_column) >= _reach(whole)).sum()) / (1 + RESAMPLES)
    return p


def _reach(whole: DoubleArray) -> float:
    """From this size on a sum is as far from zero as the observed one.

    Each difference is off by up to half a unit in either sum; as much again is left for the rounding
    errors of the scores themselves, such as 0.3 and 0.35 (1e-16 of a score, 1e-12 of the largest
    difference).
    """
    return abs(float(whole.sum())) - 2 * len(whole)


def _signs(n: int) -> DoubleArray:
    """(2^n, n) every pattern of -1 and 1."""
    bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    signs: DoubleArray = 2 * bits.astype(np.float64) - 1
    return signs


def _random_sums(columns: list[DoubleArray]) -> DoubleArray:
    """(B, m) sums of m columns of whole numbers under B patterns of random signs.

    All columns share the patterns, column by column from their first difference on.
    """
    groups = -(-max(map(len, columns)) // GROUP)
    padded = np.zeros((groups * GROUP, len(columns)))
    for i, column in enumerate(columns):
        padded[: len(column), i] = column
    rng = np.random.default_rng([SEED, 2])
    signs = _signs(GROUP)
    sums = np.zeros((RESAMPLES, len(columns)))
    looked_up = np.empty((PATTERNS, len(columns)))
    for group in range(groups):
        # of a group of 8 differences there are 256 sums: a long pattern adds up one of each group's
        table = signs @ padded[group * GROUP : (group + 1) * GROUP]
        # one number per pattern and group of differences, whatever the number of groups
        drawn = rng.integers(0, 2**GROUP, RESAMPLES, dtype=np.uint8)
        for start in range(0, RESAMPLES, PATTERNS):
            rows = slice(start, start + PATTERNS)
            # no byte is out of range; with mode="raise" NumPy writes to a buffer first
            np.take(table, drawn[rows], axis=0, out=looked_up, mode="clip")
            sums[rows] += looked_up
    return sums
