"""An evaluation of directions under test, and what every such evaluation must keep, rule by rule."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.contract.errors import CaseError, Skip, one_line
from iibench.contract.evaluations import EvaluationInputs, EvaluationSpec, UnitScores
from iibench.testing import page_rules
from iibench.testing.checks import Finding, Rule, good, wrong
from iibench.testing.evaluations.made_inputs import DEAD, GOOD, IMAGES, made_inputs, with_columns
from iibench.testing.state import Watched, watch
from iibench.testing.traces import generators, left_as_found

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray

#: Largest difference of scores that rounding explains, as a share of the largest score.
ROUNDING = 1e-6


@dataclass
class EvaluationUnderTest:
    """An evaluation with its parameters; `uses`: its scores twice, the generators at other states."""

    spec: EvaluationSpec
    params: Any

    @cached_property
    def inputs(self) -> EvaluationInputs:
        """What it is tried on."""
        return made_inputs(self.spec.needs_metric)

    def scores(self, inputs: EvaluationInputs) -> UnitScores:
        """What it gives."""
        return self.spec.evaluate(self.params, inputs)

    @cached_property
    def uses(self) -> tuple[Watched[UnitScores], Watched[UnitScores]]:
        """The scores of the inputs, twice."""
        first, second = (watch(lambda: self.scores(self.inputs), seed) for seed in (1, 2))
        return first, second

    @property
    def values(self) -> DoubleArray:
        """(11,) the scores."""
        return self.uses[0].value.values

    @cached_property
    def chance(self) -> float:
        """The largest change of a score when another seed draws: 0 where nothing is drawn."""
        changes = [
            unlike(self.scores(dataclasses.replace(self.inputs, seed=seed)).values, self.values)
            for seed in (6, 7, 8, 9)
        ]
        return max(changes)


def unlike(a: DoubleArray, b: DoubleArray) -> float:
    """Largest difference; infinite where one has a score and the other has none."""
    if a.shape != b.shape or not np.array_equal(np.isnan(a), np.isnan(b)):
        return float("inf")
    return float(np.nanmax(np.abs(a - b))) if np.isfinite(a).any() else 0.0


def scores(evaluation: EvaluationUnderTest) -> Finding:
    """Shape, reasons, finite values."""
    found: Any = evaluation.uses[0].value
    k = evaluation.inputs.responses.shape[1]
    if not isinstance(found, UnitScores):
        return wrong(
            f"gave a {type(found).__name__}",
            "bare scores are returned",
            "UnitScores(values, reasons)",
        )
    if found.values.shape != (k,) or len(found.reasons) != k:
        return wrong(
            f"{found.values.shape} scores and {len(found.reasons)} reasons for {k} directions",
            "one score and one reason (or None) per direction are wanted",
        )
    for value, reason in zip(found.values, found.reasons, strict=True):
        if np.isinf(value) or np.isnan(value) != (reason is not None):
            return wrong(
                f"a score of {value:g} with the reason {reason!r}",
                "a division by zero; a direction without a score gets NaN and a reason, the others None",
            )
    if found.details is not None and not evaluation.spec.is_analysis:
        return wrong(
            f"gave details, and its plot is {evaluation.spec.plot!r}",
            "it is an analysis: plot='none'; or details are left out",
        )
    scored = int(np.isfinite(found.values).sum())
    return good(f"{scored} of {k} directions scored; a reason for each other one")


def determinism(evaluation: EvaluationUnderTest) -> Finding:
    """Two calls with one seed."""
    first, second = (use.value.values for use in evaluation.uses)
    if unlike(first, second) <= ROUNDING * _largest(first):
        drawn = "draws at random" if evaluation.chance else "draws nothing"
        return good(f"one seed gives one result; it {drawn}")
    return wrong(
        f"scores differ by {unlike(first, second):.3g}",
        "images are drawn from a global generator: use np.random.default_rng(inputs.seed)",
    )


def dead(evaluation: EvaluationUnderTest) -> Finding:
    """The direction to which every image responds alike."""
    if not evaluation.spec.needs_metric:
        raise Skip("it looks at no similarities, so it may have a value for any direction")
    value, reason = evaluation.values[DEAD], evaluation.uses[0].value.reasons[DEAD]
    if np.isnan(value) and reason:
        return good(f"no score: {reason}")
    return wrong(
        f"a score of {value:.4g} for a direction to which every image responds alike",
        "its most activating images are the first on the disk, so it scores their likeness: give NaN "
        "and a reason where all responses are equal",
    )


def better(evaluation: EvaluationUnderTest) -> Finding:
    """Directions that respond to a class of alike images against random ones."""
    if not evaluation.spec.needs_metric:
        raise Skip("it looks at no similarities")
    values = evaluation.values
    known, random = np.nanmean(values[:GOOD]), np.nanmean(values[GOOD:DEAD])
    seen = (
        f"mean score {known:.4g} of directions that respond to alike images, {random:.4g} of random"
    )
    if known > random:
        return good(seen)
    return wrong(
        seen,
        "the sign is turned (similarities are larger for more alike images), or the least activating "
        "images are taken: inputs.order is by falling response",
    )


def order_of_directions(evaluation: EvaluationUnderTest) -> Finding:
    """The directions in another order."""
    order = np.random.default_rng(0).permutation(evaluation.inputs.responses.shape[1])
    found = evaluation.scores(with_columns(evaluation.inputs, order.tolist())).values
    return _same(evaluation, found, evaluation.values[order], "in another order")


def other_directions(evaluation: EvaluationUnderTest) -> Finding:
    """Some of the directions without the others."""
    some = [0, 3, 5, 8]
    found = evaluation.scores(with_columns(evaluation.inputs, some)).values
    return _same(evaluation, found, evaluation.values[some], "without the others")


def _same(
    evaluation: EvaluationUnderTest, found: DoubleArray, expected: DoubleArray, how: str
) -> Finding:
    change = unlike(found, expected)
    if change <= ROUNDING * _largest(expected):
        return good(f"the same scores {how}")
    if change <= 1.5 * evaluation.chance:
        return good(
            f"{how}, scores change by up to {change:.3g}, as with another seed "
            f"({evaluation.chance:.3g}): draws go by a direction's place"
        )
    return wrong(
        f"{how}, scores change by up to {change:.3g}",
        "a mean, rank or scale over the directions goes into the score of each",
    )


def _largest(values: DoubleArray) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(max(1.0, finite.max(initial=0.0)))


def unchanged(evaluation: EvaluationUnderTest) -> Finding:
    """The arrays that it was given."""
    fresh = made_inputs(evaluation.spec.needs_metric)
    evaluation.scores(evaluation.inputs)
    for name in ("responses", "order", "labels"):
        if not np.array_equal(getattr(evaluation.inputs, name), getattr(fresh, name)):
            return wrong(f"{name} are changed", "an operation in place (sort, -=): copy first")
    return good("responses, order and labels are as they were")


def few_images(evaluation: EvaluationUnderTest) -> Finding:
    """Three images."""
    try:
        found = evaluation.scores(made_inputs(evaluation.spec.needs_metric, n=3))
    except (CaseError, Skip) as error:
        return good(one_line(error))
    except Exception as error:
        return wrong(
            f"three images: raised {one_line(error)}",
            "raise CaseError that says how many images it takes and how many there are",
        )
    if np.isinf(found.values).any():
        return wrong(
            "three images: infinite scores", "a division by a number of pairs that is zero"
        )
    return good("works with three images, or gives reasons")


def images_needed(evaluation: EvaluationUnderTest) -> Finding:
    """The estimate for `--collect-only`."""
    found: Any = evaluation.spec.images(evaluation.params, IMAGES)
    if not isinstance(found, int) or found < 0:
        return wrong(
            f"images(params, {IMAGES}) gave {found!r}",
            "a NumPy or float number, or none: int(...)",
            "a number of images",
        )
    return good(f"{found} images of {IMAGES} per direction")


def global_seeds(evaluation: EvaluationUnderTest) -> Finding:
    """Are the global generators reset?"""
    return generators({"evaluate": evaluation.uses})


RULES: tuple[Rule[EvaluationUnderTest], ...] = (
    Rule("scores", "one finite score per direction, or NaN with a reason", scores),
    Rule("determinism", "inputs.seed decides the scores, and nothing else random", determinism),
    Rule("dead direction", "NaN and a reason where every image responds alike", dead),
    Rule("good directions", "score higher than random ones", better),
    Rule("order of directions", "scores move with their directions", order_of_directions),
    Rule("other directions", "do not change a direction's score", other_directions),
    Rule("inputs unchanged", "the arrays are left as they were", unchanged),
    Rule("few images", "CaseError, or reasons, where there are too few", few_images),
    Rule("images", "images(params, n) gives a number", images_needed),
    Rule("global seeds", "the global random generators are not reset", global_seeds),
    *left_as_found(lambda evaluation: evaluation.uses),
    page_rules.EVALUATION,
)
