"""Split-half reliability of per-unit human accuracy, and the correlation that it allows.

A unit's human accuracy is the share of its answers that chose query 0 (in psychophysics: the right one).
It rests on some thirty answers, so that even a score without noise cannot correlate with it perfectly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from iibench.statistics.bootstrap import CONFIDENCE, SEED
from iibench.statistics.resampling import blocks, interval

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray, IntArray
    from iibench.contract.trials import Answers
    from iibench.statistics.resampling import CountArray

Split = Literal["participant", "answer", "stimulus"]

#: Random splits that are averaged.
SPLITS = 200
#: A variance below this share of the largest squared deviation is rounding error of a constant.
ROUNDING = 1e-10


@dataclass(frozen=True)
class Reliability:
    """How well one half of the answers predicts the other, over units.

    `half`: Pearson's r between the halves' accuracies, averaged over splits. `value`: by Spearman and
    Brown, 2 r / (1 + r), the reliability of all answers together (no less than -1). `ceiling`:
    sqrt(value), the highest correlation with observed accuracy that a noiseless predictor can be expected
    to reach; 0 where the halves do not correlate positively. The last two with percentile intervals
    over resamples of units. All are None with fewer than three `units`, or where accuracies do not differ.
    `left_out`: units with fewer than two answers. `by`: what was split.

    >>> found = Reliability(0.6, 0.75, 0.5, 0.9, 0.87, 0.71, 0.95, 64, 0, SPLITS, "participant")
    >>> round(2 * found.half / (1 + found.half), 6) == found.value  # Spearman and Brown
    True
    """

    half: float | None
    value: float | None
    low: float | None
    high: float | None
    ceiling: float | None
    ceiling_low: float | None
    ceiling_high: float | None
    units: int
    left_out: int
    splits: int
    by: Split


def split_half(
    answers: Answers,
    unit: IntArray,
    counts: CountArray,
    fixed_stimuli: bool = False,
    splits: int = SPLITS,
    confidence: float = CONFIDENCE,
    seed: int = SEED,
) -> Reliability:
    """Reliability of the units' human accuracy from random halves of the answers.

    `unit` (S,) of each stimulus; `counts` (B, U) resamples of units (resampling.py).

    Where every answer has a participant, and there are two at least, half of the participants make a
    half, so that no person is in both; a unit's halves may then differ in size. Else the answers of each
    unit are split in two, an odd one going to either half. Either way a half holds some of the unit's
    stimuli more often than the other does, which counts as noise. It is none to a predictor that sees
    the stimuli that people saw, as an observer's accuracy on them does, whose ceiling comes out too low
    where stimuli of a unit differ much. `fixed_stimuli` splits the answers of each stimulus in two
    instead, whoever gave them: the ceiling of such a predictor.

    >>> from iibench import Answers
    >>> from iibench.statistics.resampling import resample_units
    >>> unit, right = np.arange(4), [10, 8, 5, 2]  # four stimuli, a unit each, ten answers to each
    >>> first = np.concatenate([np.arange(10) < n for n in right])
    >>> stimulus, one = np.repeat(unit, 10), np.ones(40, np.int64)
    >>> answers = Answers(stimulus, first, one, 0 * one, -one)
    >>> found = split_half(answers, unit, resample_units(unit, resamples=20))
    >>> found.by, found.units, 0.8 < found.half < found.value < found.ceiling <= 1
    ('answer', 4, True)
    """
    units = counts.shape[1]
    known = answers.participant.min(initial=0) >= 0 and len(np.unique(answers.participant)) > 1
    by: Split = "stimulus" if fixed_stimuli else "participant" if known else "answer"
    of_unit = unit[answers.stimulus]
    votes = answers.count
    total = np.bincount(of_unit, votes, minlength=units)
    rng = np.random.default_rng([seed, splits])
    if by == "participant":
        left, right = _by_participant(answers, of_unit, units, splits, rng)
    else:
        part = answers.stimulus if fixed_stimuli else of_unit
        left, right = _within(answers, part, of_unit, units, splits, rng)
    usable = total >= 2
    left[:, ~usable] = right[:, ~usable] = np.nan
    point = _mean_correlation(left, right, usable[None].astype(np.float64))[0]
    resampled = _mean_correlation(left, right, counts)
    with np.errstate(divide="ignore"):
        value, spread = (np.maximum(2 * r / (1 + r), -1.0) for r in (point, resampled))
    n = int(usable.sum())
    low, high = (None, None) if np.isnan(point) else interval(spread, n, confidence)
    root, root_low, root_high = (
        None if x is None or np.isnan(x) else float(np.sqrt(max(x, 0.0)))
        for x in (value, low, high)
    )
    return Reliability(
        half=None if np.isnan(point) else float(point),
        value=None if np.isnan(point) else float(value),
        low=low,
        high=high,
        ceiling=root,
        ceiling_low=root_low,
        ceiling_high=root_high,
        units=n,
        left_out=int(((total > 0) & ~usable).sum()),
        splits=splits,
        by=by,
    )


def _by_participant(
    answers: Answers, of_unit: IntArray, units: int, splits: int, rng: np.random.Generator
) -> tuple[DoubleArray, DoubleArray]:
    """(splits, U) accuracies of each half, NaN where it has no answer."""
    person = np.unique(answers.participant, return_inverse=True)[1].ravel()
    people = int(person.max()) + 1
    cell = person * units + of_unit
    votes = np.bincount(cell, answers.count, minlength=people * units)
    correct = np.bincount(cell, answers.count * answers.first, minlength=people * units)
    votes, correct = votes.reshape(people, units), correct.reshape(people, units)
    # ranks of random numbers: in each split the lower half of them are half of the people
    order = rng.random((splits, people)).argsort(axis=1).argsort(axis=1)
    chosen = (order < people // 2).astype(np.float64)
    n, k = chosen @ votes, chosen @ correct
    return _rate(k, n), _rate(correct.sum(axis=0) - k, votes.sum(axis=0) - n)


def _within(
    answers: Answers,
    part: IntArray,
    of_unit: IntArray,
    units: int,
    splits: int,
    rng: np.random.Generator,
) -> tuple[DoubleArray, DoubleArray]:
    """The same where the answers of each `part` (R,), a unit or a stimulus of it, are halved.

    How many of a half are right is hypergeometric: answers need not be drawn one by one.
    """
    # parts in the order of their units, so that a unit's are next to each other
    owner, row = np.unique(np.stack([of_unit, part]), axis=1, return_inverse=True)
    present, starts = np.unique(owner[0], return_index=True)
    votes = np.bincount(row.ravel(), answers.count).astype(np.int64)
    correct = np.bincount(row.ravel(), answers.count * answers.first).astype(np.int64)
    # an odd answer goes to either half by the toss of a coin
    n = (votes + rng.integers(0, 2, (splits, len(votes)))) // 2
    k = rng.hypergeometric(correct, votes - correct, n)
    left, right = np.full((splits, units), np.nan), np.full((splits, units), np.nan)
    for half, right_ones, size in ((left, k, n), (right, correct - k, votes - n)):
        half[:, present] = _rate(
            np.add.reduceat(right_ones, starts, axis=1), np.add.reduceat(size, starts, axis=1)
        )
    return left, right


def _rate(part: DoubleArray | IntArray, whole: DoubleArray | IntArray) -> DoubleArray:
    found = np.full(part.shape, np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found


def _mean_correlation(
    left: DoubleArray, right: DoubleArray, counts: CountArray | DoubleArray
) -> DoubleArray:
    """(B,) Pearson's r over units between left and right (splits, U), averaged over the splits.

    Splits where it is undefined in a resample do not enter its average.
    """
    both = ~(np.isnan(left) | np.isnan(right))
    deviations = []
    # less their common mean, since E x^2 - (E x)^2 cancels the more the further off zero x is
    for values in (left, right):
        mean = values[both].mean() if both.any() else 0.0
        deviations.append(np.where(both, values - mean, 0.0).T)
    x, y = deviations
    limits = [ROUNDING * float((d * d).max(initial=0.0)) for d in deviations]
    mask = both.T.astype(np.float64)
    found = np.full(len(counts), np.nan)
    for rows in blocks(len(counts), left.shape[0], arrays=12):
        drawn = counts[rows].astype(np.float64)
        n = np.maximum(drawn @ mask, 1.0)
        mean_x, mean_y = drawn @ x / n, drawn @ y / n
        var_x = drawn @ (x * x) / n - mean_x**2
        var_y = drawn @ (y * y) / n - mean_y**2
        # the variance of equal accuracies is rounding error, seldom exactly 0
        defined = (n >= 3) & (var_x > limits[0]) & (var_y > limits[1])
        r = drawn @ (x * y) / n - mean_x * mean_y
        r = r / np.sqrt(np.where(defined, var_x * var_y, 1.0))
        r = np.where(defined, r, 0.0).sum(axis=1)
        np.divide(r, defined.sum(axis=1), out=found[rows], where=defined.any(axis=1))
    return found
