"""The stand-in's people: how likely each answer is, and what they answer.

The truth: with margin m of a stimulus under the people's metric and rule (`statistics.observers`), sd the
standard deviation of the margins of natural easy stimuli, lambda the lapse rate,

    P(choose the strong query) = (1 - lambda) sigmoid((m / sd + shift) / noise) + lambda / 2,

where the shift gives the wanted mean over natural easy stimuli.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iibench import UsageError

if TYPE_CHECKING:
    import numpy as np

    from iibench import BoolArray, DoubleArray, IntArray

#: Main trials of a task, where there are units enough: nobody judges a unit twice.
TASK = 40
#: Shares of answers with confidence 1 and with 1 or 2, about as in the study.
SURENESS = (0.1, 0.37)
#: Standard deviation of what is added to |m| / sd before it becomes a confidence.
SURENESS_NOISE = 0.5


@dataclass(frozen=True)
class Judgements:
    """R answers in the order of tasks: stimulus, whether right, confidence 1 to 3, task number from 1."""

    stimulus: IntArray
    right: BoolArray
    confidence: IntArray
    task: IntArray


def scaled(margins: DoubleArray, natural_easy: BoolArray) -> DoubleArray:
    """m / sd (S,), sd being that of the natural easy stimuli; raises `UsageError` where it is 0."""
    sd = float(margins[natural_easy].std())
    if not sd > 0:
        raise UsageError("observer: all margins of this metric are equal, so it cannot tell trials")
    return margins / sd


def probabilities(
    z: DoubleArray, natural_easy: BoolArray, accuracy: float, noise: float, lapse: float
) -> DoubleArray:
    """P of every stimulus (S,) from z = m / sd, with mean `accuracy` over the natural easy ones.

    Raises `UsageError` where the lapse rate does not allow that accuracy.
    """
    import numpy as np
    from scipy.optimize import brentq
    from scipy.special import expit

    if not lapse / 2 < accuracy < 1 - lapse / 2:
        raise UsageError(
            f"accuracy is {accuracy:g}; with lapse {lapse:g} it lies between {lapse / 2:g} and "
            f"{1 - lapse / 2:g}"
        )

    def p(shift: float) -> DoubleArray:
        likely: DoubleArray = (1 - lapse) * expit((z + shift) / noise) + lapse / 2
        return likely

    # at either end all p are at their limits
    reach = float(np.abs(z).max()) + 40 * noise
    shift = brentq(lambda x: float(p(x)[natural_easy].mean()) - accuracy, -reach, reach)
    return p(float(shift))


def deal(units: int, batches: int, answers: int, rng: np.random.Generator) -> list[IntArray]:
    """Tasks of one experiment: each the stimuli (unit * batches + batch) that one person judges.

    Units take turns, and the batches of a unit too, so that every stimulus gets `answers` answers.
    """
    import numpy as np

    order, start = rng.permutation(units), rng.integers(batches, size=units)
    slot = np.arange(answers * units * batches)
    unit = order[slot % units]
    batch = (start[unit] + slot // units) % batches
    each = min(TASK, units)
    return np.split(unit * batches + batch, np.arange(each, len(slot), each))


def judge(
    tasks: Sequence[IntArray],
    z: DoubleArray,
    p: DoubleArray,
    single_class: BoolArray,
    rng: np.random.Generator,
) -> Judgements:
    """Answers drawn from p, with confidences that rise with the margin's size.

    z = m / sd (S,) and p (S,) are of the experiment's stimuli. Where `single_class` (S,), answers that are
    wrong and were to have confidence 3 get 2: which answers are right remains drawn from p.
    """
    import numpy as np

    stimulus = np.concatenate(tasks)
    right = rng.random(len(stimulus)) < p[stimulus]
    sure = np.abs(z[stimulus]) + rng.normal(0, SURENESS_NOISE, len(stimulus))
    confidence = 1 + np.searchsorted(np.quantile(sure, SURENESS), sure)
    confidence[single_class[stimulus] & ~right & (confidence == 3)] = 2
    number = np.repeat(np.arange(1, len(tasks) + 1), [len(task) for task in tasks])
    return Judgements(stimulus, right, confidence.astype(np.int64), number)
