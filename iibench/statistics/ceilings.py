"""How large the area under the ROC curve can be at all, people's answers being noisy.

Notation as in agreement.py: S stimuli with `first` (S,) and `second` (S,) answers for query 0 and 1, `unit`
(S,) the resampling unit, `counts` (B, U) the resamples of units (resampling.py). p is a stimulus' true
probability of an answer for query 0. No score of stimuli has a larger area than p itself, because people
who saw the same images differ. That area, the ideal one, follows from how much p varies:

    1/2 + E|p - p'| / (4 m (1 - m)),   m = E p, p' an independent copy of p.

(Among answers for query 0 the density of p is p f(p) / m, among the others (1 - p) f(p) / (1 - m).)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from iibench.statistics.agreement import auc, auc_resampled
from iibench.statistics.bootstrap import CONFIDENCE
from iibench.statistics.resampling import interval

if TYPE_CHECKING:
    from iibench.contract.arrays import BoolArray, DoubleArray, IntArray
    from iibench.statistics.resampling import CountArray

Family = Literal["beta", "logit_normal"]

#: Resamples that are fitted anew for an interval.
REFITS = 500


@dataclass(frozen=True)
class Ceiling:
    """An area with its percentile interval over resamples of units, None for the `reason` given.

    `answers` of `stimuli` stimuli of `units` units are behind it; `left_out` stimuli are not, having too
    few answers.

    >>> nobody = Ceiling(None, None, None, 0, 0, 0, left_out=0, reason="no stimulus has two answers")
    >>> nobody.value is None
    True
    """

    value: float | None
    low: float | None
    high: float | None
    answers: int
    stimuli: int
    units: int
    left_out: int
    reason: str | None = None


def ideal_auc(p: DoubleArray, n: IntArray | DoubleArray) -> float:
    """Area of the true probabilities p (S,) as scores, given `n` (S,) expected answers per stimulus.

    >>> ideal_auc(np.array([0.9, 0.1]), n=np.array([10, 10])), ideal_auc(np.array([0.5, 0.5]), np.ones(2))
    (0.9, 0.5)
    """
    return auc(p, p * n, (1 - p) * n)


def fraction(value: float | None, ceiling: float | None, chance: float = 0.5) -> float | None:
    """Share of what is possible above chance that `value` reaches: (value - chance) / (ceiling - chance).

    It may be negative or above 1. None where the ceiling is not above chance or a number is missing.

    >>> fraction(0.7, ceiling=0.9)
    0.49...
    """
    if value is None or ceiling is None or not ceiling > chance or np.isnan(value):
        return None
    return (value - chance) / (ceiling - chance)


def leave_one_out_auc(
    first: IntArray,
    second: IntArray,
    unit: IntArray,
    counts: CountArray,
    confidence: float = CONFIDENCE,
) -> Ceiling:
    """Area of the answers when each is scored by the other answers to its stimulus.

    The score is the share of the others that chose query 0: what a few other people's answers predict, a
    lower bound of the ideal area, and the lower the fewer they are. Stimuli with one answer are left out.

    >>> from iibench.statistics.resampling import resample_units
    >>> first, second, unit = np.array([9, 2, 1]), np.array([1, 8, 0]), np.array([0, 1, 1])
    >>> found = leave_one_out_auc(first, second, unit, resample_units(unit, resamples=20))
    >>> found.answers, found.left_out, round(found.value, 2)
    (20, 1, 0.73)
    """
    total = first + second
    kept = total >= 2
    f, n, u = first[kept], total[kept], unit[kept]
    # an answer for query 0 leaves f - 1 others of its kind, one for query 1 leaves all f
    scores = np.concatenate([(f - 1) / np.maximum(n - 1, 1), f / np.maximum(n - 1, 1)])
    nobody = np.zeros_like(f)
    chose_first, chose_second = np.concatenate([f, nobody]), np.concatenate([nobody, n - f])
    value = auc(scores, chose_first, chose_second)
    resampled = auc_resampled(scores, chose_first, chose_second, np.concatenate([u, u]), counts)
    return _ceiling(value, resampled, first, second, unit, kept, confidence)


def fitted_ceiling(
    first: IntArray,
    second: IntArray,
    unit: IntArray,
    counts: CountArray,
    family: Family = "beta",
    refits: int = REFITS,
    confidence: float = CONFIDENCE,
) -> Ceiling:
    """The ideal area where p follows a distribution fitted to the counts by maximum likelihood.

    `beta`: p ~ Beta(a, b), counts beta-binomial. `logit_normal`: p = sigmoid of a normal variable.
    Between them they show how much the family matters. Stimuli without variation of p beyond chance give
    0.5. The marginal distribution over all stimuli is fitted, which is the right one for the pooled
    area, though p varies between units and within; dependence within units enters the interval only,
    from the first `refits` resamples. Where p does not vary the estimate is a little above 0.5, as it
    cannot be below. Undefined where no stimulus has two answers or all are equal.

    >>> from iibench.statistics.resampling import resample_units
    >>> first, unit = np.array([10, 9, 1, 0]), np.arange(4)
    >>> found = fitted_ceiling(first, 10 - first, unit, resample_units(unit, resamples=5))
    >>> 0.9 < found.value < 1
    True
    """
    total = first + second
    kept = total >= 1
    pairs, which = np.unique(
        np.stack([first[kept], second[kept]], axis=1), axis=0, return_inverse=True
    )
    cell = unit[kept] * len(pairs) + which.ravel()
    # to the likelihood, stimuli with the same two counts are the same: a resample is a weighting of the
    # distinct pairs, however many stimuli there are
    table = np.bincount(cell, minlength=counts.shape[1] * len(pairs))
    table = table.reshape(counts.shape[1], len(pairs))
    value, start = _fit_ideal(family, pairs, table.sum(axis=0), None)
    resampled = np.full(min(refits, len(counts)), np.nan)
    # a resample's optimum lies near that of all data, from where the search takes a few steps
    if start is not None:
        for i, weights in enumerate(counts[: len(resampled)] @ table):
            resampled[i] = _fit_ideal(family, pairs, weights, start)[0]
    return _ceiling(value, resampled, first, second, unit, kept, confidence)


def _ceiling(
    value: float,
    resampled: DoubleArray,
    first: IntArray,
    second: IntArray,
    unit: IntArray,
    kept: BoolArray,
    confidence: float,
) -> Ceiling:
    answers, stimuli = int((first + second)[kept].sum()), int(kept.sum())
    units, left_out = len(np.unique(unit[kept])), int((~kept).sum())
    if np.isnan(value):
        reason = (
            "all answers are the same"
            if 0 in (first[kept].sum(), second[kept].sum()) and answers
            else "no stimulus has two answers"
        )
        return Ceiling(None, None, None, answers, stimuli, units, left_out, reason)
    low, high = interval(resampled, units, confidence)
    return Ceiling(value, low, high, answers, stimuli, units, left_out)


# -------------------------------------------------------------------------- distributions of p

#: Nodes of a standard normal variable. Equal steps, as what is summed is smooth and vanishes at the ends:
#: exact to 1e-9 up to a logit's sd of 8, to 1e-4 at the largest that is fitted.
NODES = np.linspace(-6, 6, 121)
MASSES = np.exp(-NODES * NODES / 2) / np.exp(-NODES * NODES / 2).sum()


def _fit_ideal(
    family: Family, pairs: IntArray, weights: IntArray, start: DoubleArray | None
) -> tuple[float, DoubleArray | None]:
    """(ideal area, parameters) of `family` fitted to the pairs (K, 2) that occur `weights` (K,) times.

    Both parameters of a family: where p lies (a logit) and how much it varies.
    """
    from scipy.optimize import minimize
    from scipy.special import logit

    total = pairs.sum(axis=1)
    chose_first, answers = float(pairs[:, 0] @ weights), float(total @ weights)
    if not (0 < chose_first < answers and (weights[total >= 2] > 0).any()):
        return float("nan"), None
    likelihood, area, bounds, spread = _FAMILIES[family]
    if start is None:
        start = np.array([logit(chose_first / answers), spread])
    # a mean, so that tolerances of the search mean the same for few stimuli and many
    data = np.asarray(weights, np.float64) / weights.sum()
    found = minimize(
        likelihood,
        start,
        args=(pairs, data),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-15, 15), bounds],
        options={"ftol": 1e-13, "gtol": 1e-8},
    )
    return area(*found.x), found.x


def _beta_likelihood(
    params: DoubleArray, pairs: IntArray, weights: DoubleArray
) -> tuple[float, DoubleArray]:
    """Minus the mean log-likelihood (less a constant) of beta-binomial counts, and its gradient.

    `params`: logit of m = a / (a + b), and r = 1 / (1 + a + b), 0 being the binomial. The likelihood of
    f and s answers is then prod_{i<f} (m (1 - r) + i r) prod_{i<s} ((1 - m)(1 - r) + i r) / prod_{i<f+s}
    (1 - r + i r): no gamma functions, whose differences would lose all digits as r nears 0.
    """
    from scipy.special import expit

    m, r = expit(params[0]), params[1]
    steps = np.arange(int(pairs.sum(axis=1).max()))
    counts = np.stack([pairs[:, 0], pairs[:, 1], pairs.sum(axis=1)])
    # how many stimuli have a factor i in each of the three products
    having = (counts[:, :, None] > steps).transpose(0, 2, 1) @ weights
    share = np.array([m, 1 - m, 1.0])[:, None]
    factors = share * (1 - r) + steps * r
    sign = np.array([1.0, 1.0, -1.0])[:, None]
    ratio = sign * having / factors
    by_share = ratio.sum(axis=1) * (1 - r)
    gradient = np.array(
        [(by_share[0] - by_share[1]) * m * (1 - m), (ratio * (steps - share)).sum()]
    )
    return -float((sign * having * np.log(factors)).sum()), -gradient


def _beta_area(logit_m: float, r: float) -> float:
    """The ideal area of p ~ Beta(a, b), from E|p - p'| = 4 B(a+b, a+b) / ((a+b) B(a, a) B(b, b))."""
    from scipy.special import betaln, expit

    if r < 1e-10:
        return 0.5
    m, size = expit(logit_m), (1 - r) / r
    a, b = m * size, (1 - m) * size
    # as logarithms: beta functions of large arguments vanish
    log = betaln(size, size) - betaln(a, a) - betaln(b, b)
    return float(0.5 + np.exp(log) / (size * m * (1 - m)))


def _normal_likelihood(
    params: DoubleArray, pairs: IntArray, weights: DoubleArray
) -> tuple[float, DoubleArray]:
    """The same for p = sigmoid(mean + sd z), z standard normal; `params`: mean, variance.

    The slope along the variance has a limit at 0, from where the search can leave and where it can end;
    that along sd vanishes there.
    """
    from scipy.special import expit, log_expit

    # the gradient along the variance divides by it
    sd = max(np.sqrt(params[1]), 1e-5)
    logits = params[0] + sd * NODES
    logs = pairs @ np.stack([log_expit(logits), log_expit(-logits)])
    # taken off before the exponential: p^f (1 - p)^s of many answers is too small for a float
    largest = logs.max(axis=1, keepdims=True)
    joint = np.exp(logs - largest) * MASSES
    marginal = joint.sum(axis=1, keepdims=True)
    # derivative of log p^f (1 - p)^s with respect to the logit, under the posterior of z
    slope = joint / marginal * (pairs[:, :1] - pairs.sum(axis=1, keepdims=True) * expit(logits))
    gradient = np.array([weights @ slope.sum(axis=1), weights @ (slope @ NODES) / (2 * sd)])
    return -float(weights @ (np.log(marginal) + largest)[:, 0]), -gradient


def _normal_area(mean: float, variance: float) -> float:
    """The ideal area of the same, from E|p - p'| = 2 integral of F (1 - F) dp."""
    from scipy.special import expit, ndtr

    sd = np.sqrt(variance)
    p = expit(mean + sd * NODES)
    m = MASSES @ p
    # F (1 - F) dp in terms of z: dp = sd p (1 - p) dz
    inside = ndtr(NODES) * ndtr(-NODES) * sd * p * (1 - p)
    return float(0.5 + inside.sum() * (NODES[1] - NODES[0]) / (2 * m * (1 - m)))


#: Minus log-likelihood, area, bounds and start of the second parameter
_FAMILIES: dict[
    Family,
    tuple[
        Callable[..., tuple[float, DoubleArray]],
        Callable[[float, float], float],
        tuple[float, float],
        float,
    ],
] = {
    "beta": (_beta_likelihood, _beta_area, (0.0, 1 - 1e-6), 0.2),
    "logit_normal": (_normal_likelihood, _normal_area, (0.0, 400.0), 1.0),
}
