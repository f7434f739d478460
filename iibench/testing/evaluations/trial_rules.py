"""An evaluation of trials under test, and what every such evaluation must keep, rule by rule."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.contract.errors import Skip
from iibench.contract.trials import TrialEvaluationSpec, TrialInputs, TrialScores, TrialSimilarities
from iibench.testing import page_rules
from iibench.testing.checks import Finding, Rule, good, wrong
from iibench.testing.state import Watched, watch
from iibench.testing.toys import TrialParams, load_trials
from iibench.testing.traces import generators, left_as_found

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray
    from iibench.contract.measures import Measure
    from iibench.contract.trials import Stimuli


def colour_similarities() -> tuple[Stimuli, TrialSimilarities]:
    """The stimuli of `reference_trials`, and minus the distance of mean colours within them.

    People see what these similarities see in most answers.
    """
    dataset = load_trials(TrialParams(), "all", None)  # type: ignore[arg-type]
    trials = dataset.trials
    colour = dataset.pixels.mean(axis=(1, 2)) / 255

    def between(left: Any, right: Any) -> DoubleArray:
        apart = colour[left][:, :, None] - colour[right][:, None]
        return np.asarray(-np.linalg.norm(apart, axis=3), np.float64)

    among = between(trials.references, trials.references).mean(axis=(1, 2))
    return trials, TrialSimilarities(
        between(trials.queries, trials.references), between(trials.queries, trials.opposite), among
    )


@dataclass
class TrialEvaluationUnderTest:
    """An evaluation with its parameters; `uses`: its scores twice, the generators at other states."""

    spec: TrialEvaluationSpec
    params: Any

    @cached_property
    def inputs(self) -> TrialInputs:
        """What it is tried on."""
        trials, similarities = colour_similarities()
        return TrialInputs(trials, similarities if self.spec.needs_metric else None, seed=5)

    def scores(self, inputs: TrialInputs) -> TrialScores:
        """What it gives."""
        return self.spec.judge(self.params, inputs)

    @cached_property
    def uses(self) -> tuple[Watched[TrialScores], Watched[TrialScores]]:
        """The scores of the inputs, twice."""
        first, second = (watch(lambda: self.scores(self.inputs), seed) for seed in (1, 2))
        return first, second

    def headline(self, found: TrialScores) -> Measure | None:
        """The measure that ranks metrics."""
        named = [m for m in found.measures if m.name == self.spec.headline_measure and not m.group]
        return named[0] if named else None


def alike(a: Any, b: Any) -> bool:
    """Whether two results, or two inputs, hold the same values; NaN is like NaN."""
    if dataclasses.is_dataclass(a) and type(a) is type(b):
        names = [field.name for field in dataclasses.fields(a)]
        return all(alike(getattr(a, name), getattr(b, name)) for name in names)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(alike(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b or (a != a and b != b))


def scores(evaluation: TrialEvaluationUnderTest) -> Finding:
    """Types, shapes and reasons."""
    found: Any = evaluation.uses[0].value
    if not isinstance(found, TrialScores):
        return wrong(
            f"gave a {type(found).__name__}",
            "a bare number is returned",
            "TrialScores(measures, ...)",
        )
    s, u = len(evaluation.inputs.trials), len(evaluation.inputs.trials.units)
    if found.margins is not None and found.margins.shape != (s,):
        return wrong(
            f"margins have shape {found.margins.shape}",
            "they are per answer or unit",
            f"({s},): one per stimulus",
        )
    for name, values in found.per_unit.items():
        if values.shape != (u,):
            return wrong(
                f"per_unit[{name!r}] has shape {values.shape}",
                "it is per stimulus",
                f"({u},): one per unit",
            )
    for measure in found.measures:
        value = measure.value
        if value is not None and not np.isfinite(value):
            return wrong(f"{measure.name} is {value}", "a division by zero: give None and a reason")
        if value is None and not measure.reason:
            return wrong(
                f"{measure.name} is None without a reason", "the reason was forgotten", "a reason"
            )
    return good(f"{len(found.measures)} measures, {len(found.per_unit)} numbers per unit")


def headline(evaluation: TrialEvaluationUnderTest) -> Finding:
    """The measure that ranks metrics."""
    found = evaluation.headline(evaluation.uses[0].value)
    name = evaluation.spec.headline_measure
    if found is None:
        return wrong(f"there is no measure {name!r} of all answers", "it is misspelt, or grouped")
    if found.value is None:
        return wrong(f"{name} is undefined: {found.reason}", "answers of people are there")
    return good(f"{name} = {found.value:.4g}")


def determinism(evaluation: TrialEvaluationUnderTest) -> Finding:
    """Two calls with one seed."""
    first, second = (use.value for use in evaluation.uses)
    if alike(first, second):
        return good("one seed gives one result")
    return wrong(
        "two calls give different numbers",
        "resamples are drawn from a global generator: use np.random.default_rng(inputs.seed)",
    )


def better(evaluation: TrialEvaluationUnderTest) -> Finding:
    """Similarities that go with people against the same with the sign turned."""
    if evaluation.inputs.similarities is None:
        raise Skip("it looks at no similarities")
    given = evaluation.inputs.similarities
    turned = TrialSimilarities(-given.references, -given.opposite, -given.among)
    reverse = evaluation.scores(dataclasses.replace(evaluation.inputs, similarities=turned))
    values = [evaluation.headline(found) for found in (evaluation.uses[0].value, reverse)]
    known, against = (None if m is None else m.value for m in values)
    if known is None or against is None:
        raise Skip("the headline measure is undefined")
    seen = (
        f"{evaluation.spec.headline_measure} = {known:.4g}, and {against:.4g} with the sign turned"
    )
    if known > against:
        return good(seen)
    return wrong(seen, "larger similarity means more alike, and query 0 is the right answer")


def unchanged(evaluation: TrialEvaluationUnderTest) -> Finding:
    """The arrays that it was given."""
    before = copy.deepcopy(evaluation.inputs)
    evaluation.scores(evaluation.inputs)
    if alike(before, evaluation.inputs):
        return good("trials and similarities are as they were")
    return wrong("trials or similarities are changed", "an operation in place: copy first")


def global_seeds(evaluation: TrialEvaluationUnderTest) -> Finding:
    """Are the global generators reset?"""
    return generators({"judge": evaluation.uses})


RULES: tuple[Rule[TrialEvaluationUnderTest], ...] = (
    Rule("scores", "finite measures, or None with a reason; a number per unit or stimulus", scores),
    Rule("headline", "the headline measure is among the measures of all answers", headline),
    Rule("determinism", "inputs.seed decides the numbers, and nothing else random", determinism),
    Rule("direction", "similarities that go with people score higher than reversed", better),
    Rule("inputs unchanged", "the arrays are left as they were", unchanged),
    Rule("global seeds", "the global random generators are not reset", global_seeds),
    *left_as_found(lambda evaluation: evaluation.uses),
    page_rules.EVALUATION,
)
