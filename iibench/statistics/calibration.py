"""Margins as probabilities: one scale, fitted, and the held-out likelihood of people's answers.

Notation as in agreement.py. An observer with margins m says P(query 0) = sigmoid(k m), k >= 0: it has no
intercept, so that at a margin of 0 it leaves the choice open. Stimuli with a NaN margin or
without answers are left out. Likelihoods are in nats; the baselines beside them are chance, ln(1/2) =
-0.693 per answer, and a constant rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from iibench.statistics.bootstrap import SEED

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray, IntArray

#: Largest k, in units of one over the median size of the margins that are not 0.
STEEPEST = 1e3
CHANCE = float(np.log(0.5))


@dataclass(frozen=True)
class Scale:
    """The maximum-likelihood k >= 0 of P(query 0) = sigmoid(k m).

    `bound`: "upper" where the likelihood still rises at the largest k allowed (the margins' signs
    separate the answers, or almost), "zero" where margins do not point to the answers at all or are all 0;
    the observer is then at chance. None in between.

    >>> Scale(k=2.0, bound=None).k
    2.0
    """

    k: float
    bound: Literal["upper", "zero"] | None


@dataclass(frozen=True)
class HeldOut:
    """Log-likelihood of answers under scales fitted on other units.

    `mean`: nats per answer (NaN without answers, or with fewer than two units), to be compared with
    `CHANCE` and with `constant_mean`. `log_likelihood` and `constant` (S,): sums over each stimulus'
    answers, NaN where it is left out; the constant says the share of query 0 among the answers of the
    other units (half an answer added to both kinds, so that it is never 0 or 1). `scales`: one per fold.

    >>> margins, first, unit = np.array([0.5, 1.0, -1.0]), np.array([6, 8, 2]), np.arange(3)
    >>> found = held_out_log_likelihood(margins, first, 10 - first, unit)
    >>> found.answers, found.units, len(found.scales)
    (30, 3, 3)
    """

    mean: float
    constant_mean: float
    log_likelihood: DoubleArray
    constant: DoubleArray
    scales: tuple[Scale, ...]
    answers: int
    units: int


def fit_scale(margins: DoubleArray, first: IntArray, second: IntArray) -> Scale:
    """k by maximum likelihood: the root of a derivative that falls strictly with k.

    >>> scale = fit_scale(np.array([1.0]), first=np.array([3]), second=np.array([1]))
    >>> round(scale.k, 6) == round(float(np.log(3)), 6)  # sigmoid(k) = 3 / 4
    True
    """
    from scipy.optimize import brentq
    from scipy.special import expit

    kept = ~np.isnan(margins) & (margins != 0) & (first + second > 0)
    if not kept.any():
        return Scale(0.0, "zero")
    # in units of the median: the bounds and the root's tolerance hold for margins of any size
    unit = float(np.median(np.abs(margins[kept])))
    m, f, s = margins[kept] / unit, first[kept], second[kept]

    def slope(k: float) -> float:
        return float(m @ (f * expit(-k * m) - s * expit(k * m)))

    if slope(0.0) <= 0:
        return Scale(0.0, "zero")
    if slope(STEEPEST) >= 0:
        return Scale(STEEPEST / unit, "upper")
    return Scale(brentq(slope, 0.0, STEEPEST, xtol=1e-12, rtol=1e-12) / unit, None)


def log_likelihoods(
    margins: DoubleArray, first: IntArray, second: IntArray, k: float
) -> DoubleArray:
    """(S,) log-likelihood in nats of all answers to each stimulus.

    >>> found = log_likelihoods(np.array([0.0]), first=np.array([2]), second=np.array([1]), k=5.0)
    >>> float(found[0]) == 3 * CHANCE  # a margin of 0 says nothing
    True
    """
    from scipy.special import log_expit

    found: DoubleArray = first * log_expit(k * margins) + second * log_expit(-k * margins)
    return found


def held_out_log_likelihood(
    margins: DoubleArray,
    first: IntArray,
    second: IntArray,
    unit: IntArray,
    folds: int = 5,
    seed: int = SEED,
) -> HeldOut:
    """Log-likelihood of every answer under the k fitted on the units of the other folds.

    Units are shuffled by `seed` and dealt into `folds` (two or more) folds, at most one fold a unit; no
    unit is in both parts.

    >>> margins, unit = np.array([1.0, 1.0, -1.0, -1.0]), np.array([0, 1, 2, 3])
    >>> first = np.array([8, 8, 2, 2])
    >>> held_out_log_likelihood(margins, first, 10 - first, unit).mean > CHANCE
    True
    """
    kept = ~np.isnan(margins) & (first + second > 0)
    present = np.unique(unit[kept])
    found, constant = np.full(len(margins), np.nan), np.full(len(margins), np.nan)
    scales = []
    if len(present) >= 2:
        shuffled = np.random.default_rng([seed, len(present)]).permutation(present)
        for held in np.array_split(shuffled, min(folds, len(present))):
            inside = kept & np.isin(unit, held)
            others = kept & ~inside
            scale = fit_scale(margins[others], first[others], second[others])
            scales.append(scale)
            f, s = first[inside], second[inside]
            found[inside] = log_likelihoods(margins[inside], f, s, scale.k)
            rate = (first[others].sum() + 0.5) / ((first + second)[others].sum() + 1)
            constant[inside] = f * np.log(rate) + s * np.log1p(-rate)
    answers = int((first + second)[kept].sum())
    return HeldOut(
        mean=float(found[kept].sum() / answers) if scales else float("nan"),
        constant_mean=float(constant[kept].sum() / answers) if scales else float("nan"),
        log_likelihood=found,
        constant=constant,
        scales=tuple(scales),
        answers=answers,
        units=len(present),
    )
