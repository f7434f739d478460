"""An analysis under test, and what every analysis must keep, rule by rule."""

from __future__ import annotations

import copy
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.contract.details import Details, Figure, ImageMap, ImageRows, XYPlot
from iibench.contract.errors import CaseError, Skip, UsageError, one_line
from iibench.contract.evaluations import EvaluationInputs, UnitScores
from iibench.results.details_check import problem_of
from iibench.results.details_io import checked, packed, read_details, unpacked, write_details
from iibench.suite.choices import choice_of
from iibench.testing import page_rules
from iibench.testing.checks import Finding, Rule, good, wrong
from iibench.testing.evaluations import rules as shared
from iibench.testing.evaluations.rules import ROUNDING, EvaluationUnderTest
from iibench.testing.evaluations.toy_context import ToyContext, analysis_inputs, first_directions
from iibench.testing.traces import left_as_found

if TYPE_CHECKING:
    from iibench.suite.registry import Registry


@dataclass
class AnalysisUnderTest(EvaluationUnderTest):
    """An analysis with its parameters; `registry`: where the finders that it names must be, if known."""

    registry: Registry | None = None

    @cached_property
    def inputs(self) -> EvaluationInputs:
        """What it is tried on."""
        return analysis_inputs(self.spec.needs_metric)

    @property
    def context(self) -> ToyContext:
        """The context that was used."""
        assert isinstance(self.inputs.context, ToyContext)
        return self.inputs.context

    @property
    def details(self) -> Details:
        """What it found; raises `Skip` where that is none."""
        found = self.uses[0].value.details
        if not isinstance(found, Details):
            raise Skip("it gave no details")
        return found


def details(analysis: AnalysisUnderTest) -> Finding:
    """Are there any, and do they agree with themselves?"""
    found: Any = analysis.uses[0].value.details
    if not isinstance(found, Details):
        return wrong(
            f"gave {type(found).__name__}", "UnitScores(..., details=Details(...)) is wanted"
        )
    problem = problem_of(found)
    if problem is not None:
        return wrong(problem, "a field was left empty, or arrays of different things are mixed up")
    kinds = [type(figure).__name__ for figure in found.figures]
    return good(
        f"{len(found.measures)} measures, {len(found.tables)} tables, "
        f"figures: {', '.join(kinds) or 'none'}"
    )


def indices(analysis: AnalysisUnderTest) -> Finding:
    """The images and directions that figures name."""
    n, k = analysis.inputs.responses.shape
    for figure in analysis.details.figures:
        for what, shown, count in _shown(figure, n, k):
            numbers = np.asarray(shown, np.int64)
            outside = numbers[(numbers < 0) | (numbers >= count)]
            if outside.size:
                return wrong(
                    f"{figure.title!r} shows {what} {outside[0]} of {count}",
                    "places in a list of its own are shown; the page wants indices of evaluated images "
                    "and numbers of the case's directions",
                )
    return good(f"within {n} images and {k} directions")


def kept(analysis: AnalysisUnderTest) -> Finding:
    """The details after writing and reading, as run folder and cache do it."""
    before = checked(analysis.details, analysis.spec.name)
    with tempfile.TemporaryDirectory(prefix="iibench-check-") as folder:
        write_details(Path(folder) / "details", before)
        from_folder = read_details(Path(folder) / "details")
    arrays, plain = packed(before)
    for name, after in (("the run folder", from_folder), ("the cache", unpacked(arrays, plain))):
        if not alike(before, after):
            return wrong(
                f"from {name}, they are others",
                "values that JSON does not know (sets, dates, objects of its own): give arrays, text "
                "and numbers",
            )
    return good("the same from the run folder and from the cache")


def determinism(analysis: AnalysisUnderTest) -> Finding:
    """Two calls with one seed."""
    first, second = (use.value for use in analysis.uses)
    if shared.unlike(first.values, second.values) > ROUNDING:
        seen = "its values differ between two calls with one seed"
    elif not alike(first.details, second.details):
        seen = f"its details differ between two calls with one seed: {_difference(first, second)}"
    else:
        return good("one seed gives one result")
    return wrong(
        seen, "it draws from a global generator: use np.random.default_rng(inputs.seed) everywhere"
    )


def finders(analysis: AnalysisUnderTest) -> Finding:
    """The finders that its context was asked for."""
    found: Any = analysis.spec.finders(analysis.params)
    if not isinstance(found, tuple) or not all(isinstance(label, str) for label in found):
        return wrong(
            f"finders(params) gave {found!r}", "a text alone, or a list", "a tuple of labels"
        )
    analysis.uses  # noqa: B018 - asks its context
    missing = [label for label in dict.fromkeys(analysis.context.asked) if label not in found]
    if missing:
        return wrong(
            f"responses_of({missing[0]!r}, ...) is asked, and finders(params) gives {found}",
            "the spec's `finders` was forgotten: it decides what the scores depend on, so that runs "
            "would be given old scores from the cache",
        )
    for label in found if analysis.registry is not None else ():
        try:
            choice_of(label, analysis.registry.finders)  # type: ignore[union-attr]
        except UsageError as error:
            return wrong(one_line(error), "a finder that no plugin registers, or a wrong parameter")
    return good(", ".join(found) or "it fits none")


def features(analysis: AnalysisUnderTest) -> Finding:
    """Directions that are not neurons."""
    mixtures = analysis_inputs(analysis.spec.needs_metric, features=True)
    return _or_case_error(analysis, mixtures, "directions that are mixtures of neurons")


def one_direction(analysis: AnalysisUnderTest) -> Finding:
    """A single direction."""
    single = first_directions(analysis_inputs(analysis.spec.needs_metric), 1)
    return _or_case_error(analysis, single, "one direction")


def few_images(analysis: AnalysisUnderTest) -> Finding:
    """Three images."""
    return _or_case_error(
        analysis, analysis_inputs(analysis.spec.needs_metric, n=3), "three images"
    )


def _or_case_error(analysis: AnalysisUnderTest, inputs: EvaluationInputs, what: str) -> Finding:
    """A `CaseError`, or a result without a mistake."""
    cause = "raise CaseError that says what it takes and what there is"
    try:
        found: Any = analysis.scores(inputs)
    except (CaseError, Skip) as error:
        return good(one_line(error))
    except Exception as error:
        return wrong(f"{what}: raised {one_line(error)}", cause)
    if not isinstance(found, UnitScores) or not isinstance(found.details, Details):
        return wrong(f"{what}: gave no details", cause)
    unexplained = [
        reason
        for value, reason in zip(found.values, found.reasons, strict=True)
        if np.isinf(value) or np.isnan(value) != (reason is not None)
    ]
    problem = problem_of(found.details)
    if unexplained or problem:
        return wrong(f"{what}: {problem or 'a value is missing without a reason'}", cause)
    return good(f"works with {what}")


def unchanged(analysis: AnalysisUnderTest) -> Finding:
    """The arrays that it was given, by the context too."""
    fresh = analysis_inputs(analysis.spec.needs_metric)
    before = copy.copy(fresh.context)
    analysis.scores(analysis.inputs)
    arrays = dict.fromkeys(("responses", "order", "labels"), (analysis.inputs, fresh))
    arrays |= dict.fromkeys(("A", "vectors", "pixels"), (analysis.context, before))  # type: ignore
    for name, (used, unused) in arrays.items():
        if not np.array_equal(getattr(used, name), getattr(unused, name)):
            words = {"A": "the activations", "vectors": "the directions", "pixels": "the images"}
            return wrong(
                f"{words.get(name, name)} are changed",
                "an operation in place (sort, -=): copy first",
            )
    return good("responses, order, labels, activations, directions and images are as they were")


def progress(analysis: AnalysisUnderTest) -> Finding:
    """What it reports of a long computation."""
    analysis.uses  # noqa: B018 - asks its context
    for done, total, note in analysis.context.told:
        if not 0 <= done <= total or total < 1 or not str(note).strip():
            return wrong(
                f"progress({done}, {total}, {note!r})",
                "steps are counted from 1, or the total is that of another stage",
            )
    return good(f"{len(analysis.context.told)} reports")


# ------------------------------------------------------------------------------------- helpers


def _shown(figure: Figure, n: int, k: int) -> Iterator[tuple[str, Any, int]]:
    """(what, indices, how many there are) of the images and directions in a figure."""
    if isinstance(figure, XYPlot):
        yield from (("direction", s.units, k) for s in figure.series if s.units is not None)
    elif isinstance(figure, ImageMap):
        yield "image", figure.images, n
    elif isinstance(figure, ImageRows):
        yield from (("image", images, n) for _, images in figure.rows)


def _difference(first: UnitScores, second: UnitScores) -> str:
    """The first part of the details that differs."""
    one, two = first.details, second.details
    if one is None or two is None:
        return "one call gave none"
    for a, b in zip(one.measures, two.measures, strict=False):
        if not alike(a, b):
            return f"the measure {a.name}"
    for figure, other in zip(one.figures, two.figures, strict=False):
        if not alike(figure, other):
            return f"the figure {figure.title!r}"
    tables = (name for name in one.tables if not alike(one.tables[name], two.tables.get(name)))
    return f"the table {name}" if (name := next(tables, "")) else "notes, or how many there are"


def alike(a: Any, b: Any) -> bool:
    """Whether two results hold the same values but for rounding; NaN is like NaN."""
    if dataclasses.is_dataclass(a) and type(a) is type(b):
        names = [field.name for field in dataclasses.fields(a)]
        return all(alike(getattr(a, name), getattr(b, name)) for name in names)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        if a.dtype.kind != b.dtype.kind or a.shape != b.shape:
            return False
        if a.dtype.kind != "f":
            return np.array_equal(a, b)
        return bool(np.allclose(a, b, rtol=ROUNDING, atol=ROUNDING, equal_nan=True))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list) and type(a) is type(b):
        return len(a) == len(b) and all(alike(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.isclose(a, b, rtol=ROUNDING, atol=ROUNDING, equal_nan=True))
    return bool(a == b)


RULES: tuple[Rule[AnalysisUnderTest], ...] = (
    Rule("scores", "one finite value per direction, or NaN with a reason", shared.scores),
    Rule("details", "measures, figures and tables that agree with themselves", details),
    Rule("indices", "figures name images and directions of the case", indices),
    Rule("kept", "the details come back from a run folder and from the cache", kept),
    Rule("determinism", "inputs.seed decides everything, and nothing else random", determinism),
    Rule("finders", "it asks for the finders that its spec names", finders),
    Rule("dead direction", "NaN and a reason where every image responds alike", shared.dead),
    Rule("features", "CaseError, or a result, for directions that are no neurons", features),
    Rule("one direction", "CaseError, or a result, for one direction", one_direction),
    Rule("few images", "CaseError, or a result, where there are too few", few_images),
    Rule("inputs unchanged", "the arrays are left as they were", unchanged),
    Rule("progress", "0 <= done <= total, and what is done", progress),
    Rule("images", "images(params, n) gives a number", shared.images_needed),
    Rule("global seeds", "the global random generators are not reset", shared.global_seeds),
    *left_as_found(lambda analysis: analysis.uses),
    page_rules.EVALUATION,
)
