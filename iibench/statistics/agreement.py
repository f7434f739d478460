"""How well an observer's margins agree with people's answers: ROC curves, their area, shares.

Notation: S stimuli; `margins` (S,) an observer's evidence for query 0 minus that for query 1; `first` (S,)
how many answers chose query 0 and `second` (S,) how many query 1, whole numbers or expected (real) ones.
All answers to a stimulus share its margin. Stimuli with a NaN margin are left out of every number here:
state how many there are next to it.

In psychophysics query 0 is the right answer. The area under the ROC curve then asks whether margins
are larger where people were right, which is a question about the difficulty of trials. It says nothing
about how often observer and people choose alike: an observer that is always right chooses alike as often
as people are right (`always_first`), so a share of agreement means nothing without that baseline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iibench.statistics.observers import correct
from iibench.statistics.resampling import blocks, run_starts, share

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray, IntArray
    from iibench.statistics.resampling import CountArray

    Answered = IntArray | DoubleArray

#: Points of a curve that is to be drawn.
POINTS = 200


# ----------------------------------------------------------------------------- the area, the curve


def auc(margins: DoubleArray, first: Answered, second: Answered) -> float:
    """Area under the ROC curve in [0, 1]: label = chose query 0, score = margin, a row per answer.

    The probability that an answer for query 0 has a larger margin than one for query 1, equal margins
    counting one half (Mann-Whitney). NaN where all answers are the same: it is undefined, not 0.5.

    >>> margins = np.array([0.9, 0.1, -0.5])
    >>> found = auc(margins, first=np.array([9, 6, 2]), second=np.array([1, 4, 8]))  # ten answers each
    >>> round(found, 3)
    0.817
    """
    margins, first, second = _answered(margins, first, second)
    wins, losses = _by_margin(margins, first, second)
    total = wins.sum() * losses.sum()
    # answers for query 1 below each margin, and half of those at it
    return float(wins @ (np.cumsum(losses) - losses / 2) / total) if total else float("nan")


def auc_resampled(
    margins: DoubleArray,
    first: Answered,
    second: Answered,
    unit: IntArray,
    counts: CountArray,
) -> DoubleArray:
    """(B,) `auc` in each resample of units; NaN where a resample has one kind of answer only.

    `unit` (S,) and `counts` (B, U) as in resampling.py. Time O(S log S + B S), memory bounded.

    >>> from iibench.statistics.resampling import resample_units
    >>> margins, first, unit = np.array([0.9, 0.1, -0.5]), np.array([9, 6, 2]), np.array([0, 1, 1])
    >>> found = auc_resampled(margins, first, 10 - first, unit, resample_units(unit, resamples=4))
    >>> found.shape, bool((found >= 0.5).all())
    ((4,), True)
    """
    kept = ~np.isnan(margins) & (first + second > 0)
    # sorted once for all resamples: they change how often a stimulus counts, and no margin
    order = np.flatnonzero(kept)[np.argsort(margins[kept], kind="stable")]
    found = np.full(len(counts), np.nan)
    if not len(order):
        return found
    wins, losses = np.asarray(first, np.float64)[order], np.asarray(second, np.float64)[order]
    starts = run_starts(margins[order])
    for rows in blocks(len(counts), len(order), arrays=5):
        drawn = counts[rows].astype(np.float64)[:, unit[order]]
        top, bottom = drawn * wins, drawn * losses
        # stimuli of equal margins count as one; without ties there is nothing to sum
        if len(starts) < len(order):
            top = np.add.reduceat(top, starts, axis=1)
            bottom = np.add.reduceat(bottom, starts, axis=1)
        total = top.sum(axis=1) * bottom.sum(axis=1)
        below = np.cumsum(bottom, axis=1)
        below -= bottom / 2
        won = np.einsum("bs,bs->b", top, below)
        np.divide(won, total, out=found[rows], where=total > 0)
    return found


def roc(
    margins: DoubleArray, first: Answered, second: Answered, drop_intermediate: bool = False
) -> tuple[DoubleArray, DoubleArray]:
    """(false positive rate, true positive rate) from (0, 0) to (1, 1), a point per distinct margin.

    As `sklearn.metrics.roc_curve` on one row per answer; `drop_intermediate` leaves out points that
    repeat the step before them. Empty arrays where all answers are the same.

    >>> fpr, tpr = roc(np.array([0.9, 0.1]), first=np.array([3, 1]), second=np.array([0, 1]))
    >>> fpr.tolist(), tpr.tolist()
    ([0.0, 0.0, 1.0], [0.0, 0.75, 1.0])
    """
    margins, first, second = _answered(margins, first, second)
    wins, losses = _by_margin(margins, first, second)
    if not (wins.sum() and losses.sum()):
        return np.zeros(0), np.zeros(0)
    # from the largest margin down, as a threshold falls
    true, false = np.cumsum(wins[::-1]), np.cumsum(losses[::-1])
    if drop_intermediate and len(true) > 2:
        # no second difference: the point lies on the line between its neighbours, half-way
        corner = (np.diff(true, 2) != 0) | (np.diff(false, 2) != 0)
        kept = np.concatenate([[True], corner, [True]])
        true, false = true[kept], false[kept]
    fpr = np.concatenate([[0.0], false / false[-1]])
    tpr = np.concatenate([[0.0], true / true[-1]])
    return fpr, tpr


def thinned(
    fpr: DoubleArray, tpr: DoubleArray, points: int = POINTS
) -> tuple[DoubleArray, DoubleArray]:
    """At most `points` (two or more) of a curve's points, evenly spread along it, both ends kept.

    >>> line = np.linspace(0, 1, 1001)
    >>> len(thinned(line, line, points=5)[0])
    5
    """
    if len(fpr) <= points:
        return fpr, tpr
    # the way along the curve in steps of either rate, which never goes back
    along = fpr + tpr
    wanted = np.linspace(0, along[-1], points)
    kept = np.searchsorted(along, wanted)
    kept[0], kept[-1] = 0, len(fpr) - 1
    kept = np.unique(kept)
    return fpr[kept], tpr[kept]


# ------------------------------------------------------------------------- shares of equal choices


def agreeing(margins: DoubleArray, first: Answered, second: Answered) -> DoubleArray:
    """(S,) share of a stimulus' answers that choose as the observer does, a tie of it one half.

    NaN without answers or margin. With the number of answers as weights its `share` is `agreement`.

    >>> agreeing(np.array([0.4, -0.2, 0.0]), np.array([8, 8, 8]), np.array([2, 2, 2])).tolist()
    [0.8, 0.2, 0.5]
    """
    chosen = correct(margins)
    total = np.asarray(first + second, np.float64)
    alike = np.full(len(total), np.nan)
    np.divide(first * chosen + second * (1 - chosen), total, out=alike, where=total > 0)
    return alike


def agreement(margins: DoubleArray, first: Answered, second: Answered) -> float:
    """Share of answers that choose as the observer does, in [0, 1]; ties of the observer one half.

    The vote-weighted accuracy of a similarity measure on triplets; `vote_ceiling` bounds it.

    >>> agreement(np.array([0.4, -0.2]), first=np.array([8, 3]), second=np.array([2, 7]))
    0.75
    """
    return share(agreeing(margins, first, second), first + second)


def always_first(first: Answered, second: Answered) -> float:
    """Share of answers that chose query 0: the agreement of an observer that always does (is right).

    >>> always_first(np.array([8, 3]), np.array([2, 7]))
    0.55
    """
    return _ratio(first.sum(), (first + second).sum())


def majority_agreeing(margins: DoubleArray, first: Answered, second: Answered) -> DoubleArray:
    """(S,) 1 where the observer sides with most answers, 0 where not, its ties one half.

    NaN where there is no majority or no margin.

    >>> majority_agreeing(np.array([0.4, 0.4, 0.4]), np.array([8, 3, 5]), np.array([2, 7, 5])).tolist()
    [1.0, 0.0, nan]
    """
    chosen = correct(margins)
    sided = np.where(first > second, chosen, 1 - chosen)
    return np.where(first == second, np.nan, sided)


def majority_agreement(margins: DoubleArray, first: Answered, second: Answered) -> float:
    """Share of the stimuli with a majority on which the observer sides with it; NaN without any.

    >>> majority_agreement(np.array([0.4, 0.4, 0.4]), np.array([8, 3, 5]), np.array([2, 7, 5]))
    0.5
    """
    return share(majority_agreeing(margins, first, second), np.ones(len(first)))


def vote_ceiling(first: Answered, second: Answered, majority_only: bool = False) -> float:
    """The highest `agreement` that any observer can reach: the share of answers on the majority's side.

    With `majority_only` over the stimuli that have a majority, as an observer's agreement there.

    >>> vote_ceiling(np.array([8, 3]), np.array([2, 7]))
    0.75
    """
    kept = first != second if majority_only else np.ones(len(first), np.bool_)
    larger = np.maximum(first, second)[kept].sum()
    return _ratio(larger, (first + second)[kept].sum())


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def _answered(
    margins: DoubleArray, first: Answered, second: Answered
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """The stimuli with a margin and at least one answer."""
    kept = ~np.isnan(margins) & (first + second > 0)
    return margins[kept], np.asarray(first, np.float64)[kept], np.asarray(second, np.float64)[kept]


def _by_margin(
    margins: DoubleArray, first: DoubleArray, second: DoubleArray
) -> tuple[DoubleArray, DoubleArray]:
    """Answers for query 0 and for query 1 at each distinct margin, in ascending order."""
    group = np.unique(margins, return_inverse=True)[1].ravel()
    wins, losses = np.bincount(group, first), np.bincount(group, second)
    return wins.astype(np.float64), losses.astype(np.float64)
