"""In-silico observers: which of two queries is more like the references? (Eq. 2, and the released code)

Notation: T trials, F positive and G opposite references. `to_references` (T, 2, F) and `to_opposite`
(T, 2, G) are similarities (larger = more alike) of query 0 and query 1 to the references. A margin (T,)
is the evidence for query 0 minus that for query 1: the observer chooses query 0 where it is above 0, and
at 0 each with probability one half. In psychophysics query 0 is the strongly activating one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray

Pool = Literal["mean", "max"]


def margin_eq2(to_references: DoubleArray) -> DoubleArray:
    """Eq. 2: the similarity to the most similar positive reference, of query 0 minus of query 1.

    >>> margin_eq2(np.array([[[0.9, 0.1], [0.3, 0.4]]])).tolist()  # one trial, two references
    [0.5]
    """
    evidence = evidence_eq2(to_references)
    margin: DoubleArray = evidence[:, 0] - evidence[:, 1]
    return margin


def evidence_eq2(to_references: DoubleArray) -> DoubleArray:
    """(T, 2) evidence for each query: its similarity to the most similar positive reference.

    >>> evidence_eq2(np.array([[[0.9, 0.1], [0.3, 0.4]]])).tolist()
    [[0.9, 0.4]]
    """
    nearest: DoubleArray = to_references.max(axis=2)
    return nearest


def margin_two_sided(
    to_references: DoubleArray,
    to_opposite: DoubleArray,
    pool: Pool = "mean",
    zscore: bool = False,
    weight: float = 0.5,
) -> DoubleArray:
    """The released code's observer, which looks at both sets of references.

    Evidence for query 0 is 2 a pool(sim(q0, references)) + 2 (1 - a) pool(sim(q1, opposite)), and for
    query 1 the same with the queries exchanged; a is `weight`, and 1/2 gives the code's weights 1 and 1.
    With `zscore` the similarities of a trial first get mean 0 and (population) deviation 1. `pool` is
    over the references of a side; the largest similarity belongs to the smallest distance. With mean
    pooling, a = 1/2 and no z-scores the margin is Delta+ - Delta- of the Machine Interpretability Score
    (Klindt et al. 2024).

    >>> near, far = np.array([[[0.75], [0.25]]]), np.array([[[0.5], [0.75]]])
    >>> margin_two_sided(near, far).tolist()  # 0.75 + 0.75 for query 0, 0.25 + 0.5 for query 1
    [0.75]
    """
    evidence = evidence_two_sided(to_references, to_opposite, pool, zscore, weight)
    margin: DoubleArray = evidence[:, 0] - evidence[:, 1]
    return margin


def evidence_two_sided(
    to_references: DoubleArray,
    to_opposite: DoubleArray,
    pool: Pool = "mean",
    zscore: bool = False,
    weight: float = 0.5,
) -> DoubleArray:
    """(T, 2) evidence for each query, as described in `margin_two_sided`.

    >>> near, far = np.array([[[0.75], [0.25]]]), np.array([[[0.5], [0.75]]])
    >>> evidence_two_sided(near, far).tolist()
    [[1.5, 0.75]]
    """
    if zscore:
        both = np.concatenate([to_references, to_opposite], axis=2)
        mean = both.mean(axis=(1, 2), keepdims=True)
        deviation = both.std(axis=(1, 2), keepdims=True)
        # similarities that are all the same become 0, a tie, and not NaN
        deviation = np.where(deviation > 0, deviation, 1.0)
        to_references = (to_references - mean) / deviation
        to_opposite = (to_opposite - mean) / deviation
    f, g = to_references.shape[2], to_opposite.shape[2]
    if pool == "mean" and f == g:
        # sums are divided last: sums of similarities 0 and 1 are exact, so that ties stay ties
        near, far, divisor = to_references.sum(axis=2), to_opposite.sum(axis=2), float(f)
    else:
        reduce = np.mean if pool == "mean" else np.max
        near, far, divisor = reduce(to_references, axis=2), reduce(to_opposite, axis=2), 1.0
    # for a query speaks how much the other one is like the opposite references
    evidence: DoubleArray = (2 * weight * near + 2 * (1 - weight) * far[:, ::-1]) / divisor
    return evidence


def correct(margin: DoubleArray) -> DoubleArray:
    """(T,) 1 where the observer chooses query 0, 0 where query 1, one half for a tie, NaN for NaN.

    >>> correct(np.array([0.3, -0.1, 0.0, np.nan])).tolist()
    [1.0, 0.0, 0.5, nan]
    """
    return np.where(np.isnan(margin), np.nan, (np.sign(margin) + 1) / 2)
