"""The section `expect` of a suite file: statements that a run puts to the test."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from iibench.contract.errors import UsageError, unknown_name
from iibench.suite.cases import DatasetChoice
from iibench.suite.labels import resolve, split_outside
from iibench.suite.param_types import shown
from iibench.suite.reading import read_list, read_mapping, read_number, read_text
from iibench.suite.registry import Registry
from iibench.suite.schema import EXPECT_KEYS, UNTESTED_KEYS, Expectation, Suite
from iibench.suite.yaml_lines import Document, Path


def read_expectations(
    doc: Document, path: Path, value: Any, suite: Suite, registry: Registry
) -> Iterator[Expectation]:
    """Every statement, its names resolved to labels of the suite."""
    aliases = {
        alias.name: alias.path
        for model, _ in suite.models
        for alias in registry.layers.get(model.name.partition(":")[0], [])
    }
    incomplete = bool(doc.problems)
    for here, item in read_list(doc, path, value):
        before = len(doc.problems)
        if isinstance(item, dict) and "not_testable" in item:
            texts = _untested(doc, here, item)
            if len(doc.problems) == before and not incomplete:
                yield Expectation("", None, "", suite.dataset.label, **texts)
            continue
        given = read_mapping(doc, here, item, ("on", "finder"), EXPECT_KEYS)
        if given is None:
            continue
        _check_kind(doc, here, given)
        fields = Fields(doc, here, given, incomplete)
        names = _names(fields, suite, aliases)
        on = fields.named("on", lambda text: read_on(text, suite, registry))
        if names["above"] is not None and names["above"] == names["finder"]:
            doc.problem((*here, "above"), f"found {names['above']} again; expected another finder")
        _check_finders(fields, on, names, suite)
        numbers = {
            "alpha": fields.number("alpha", lambda x: 0 < x < 1, "a number > 0 and < 1"),
            "at_least": fields.number("at_least", math.isfinite, "a number"),
            "at_most": fields.number("at_most", math.isfinite, "a number"),
        }
        _check_order(doc, here, numbers)
        for key in ("text", "measure", "figure", "published"):
            if key in given:
                names[key] = read_text(doc, (*here, key), given[key])
        if "interval" in given:
            names["interval"] = given["interval"]
            if not isinstance(given["interval"], bool):
                problem = f"found {shown(given['interval'])}; expected true or false"
                doc.problem((*here, "interval"), problem)
        names["analysis"] = on is not None and _is_analysis(on[0], registry)
        _check_measure(fields, on, names["analysis"])
        if len(doc.problems) == before and not incomplete:
            found = {k: v for k, v in {**names, **numbers}.items() if v is not None}
            yield Expectation(*on, **found)


def _untested(doc: Document, path: Path, item: dict[str, Any]) -> dict[str, Any]:
    """The texts of a statement that the suite cannot test."""
    for key in (key for key in item if key in EXPECT_KEYS and key not in UNTESTED_KEYS):
        expected = " and ".join((", ".join(UNTESTED_KEYS[:-1]), UNTESTED_KEYS[-1]))
        doc.problem((*path, key), f"found {key} beside not_testable; expected {expected} alone")
    own = {key: value for key, value in item.items() if key not in EXPECT_KEYS}
    own |= {key: item[key] for key in UNTESTED_KEYS if key in item}
    given = read_mapping(doc, path, own, ("text", "figure"), UNTESTED_KEYS) or {}
    return {key: read_text(doc, (*path, key), value) for key, value in given.items()}


def _check_finders(
    fields: Fields, on: tuple[str, str | None] | None, names: dict[str, Any], suite: Suite
) -> None:
    """The finders that the statement is about must be among those of the evaluation."""
    if fields.incomplete:
        return
    only = None if on is None else suite.evaluation_finders.get(on[0])
    for key in ("finder", "above"):
        if only is not None and on is not None and names[key] not in (None, *only):
            listed = ", ".join(sorted(only))
            fields.doc.problem(
                (*fields.path, key), f"found {names[key]}; expected a finder of {on[0]}: {listed}"
            )


def _check_order(doc: Document, path: Path, numbers: dict[str, float | None]) -> None:
    low, high = numbers["at_least"], numbers["at_most"]
    if low is not None and high is not None and low > high:
        doc.problem(
            (*path, "at_most"), f"found {high:g}; expected no less than at_least, which is {low:g}"
        )


def _is_analysis(evaluation: str, registry: Registry) -> bool:
    return registry.evaluations[evaluation.partition("[")[0]].spec.is_analysis


def _check_measure(fields: Fields, on: tuple[str, str | None] | None, analysis: bool) -> None:
    """Measures belong to analyses; a distribution of scores can be compared with another's."""
    if on is None:
        return
    for key in ("above",) if analysis else ("measure", "interval"):
        if key in fields.given:
            what = "is an analysis" if analysis else "is none"
            expected = "at_least / at_most" if analysis else "it with an analysis only"
            fields.doc.problem(
                (*fields.path, key), f"found {key} and {on[0]} {what}; expected {expected}"
            )


class Fields:
    """The keys of one statement, read with their path in messages.

    `incomplete`: parts of the suite could not be read, so that a name which is not found may be right.
    """

    def __init__(self, doc: Document, path: Path, given: dict[str, Any], incomplete: bool) -> None:
        self.doc, self.path, self.given, self.incomplete = doc, path, given, incomplete

    def number(self, key: str, ok: Callable[[float], bool], expected: str) -> float | None:
        if key not in self.given:
            return None
        number = read_number(self.doc, (*self.path, key), self.given[key], ok, expected)
        return None if number is None else float(number)

    def named(self, key: str, find: Callable[[str], Any]) -> Any:
        """What `find` makes of the key's text; None, and a problem noted, where it raises."""
        if key not in self.given:
            return None
        text = read_text(self.doc, (*self.path, key), self.given[key])
        try:
            return find(text) if text else None
        except UsageError as error:
            if not self.incomplete:
                self.doc.problem((*self.path, key), str(error))
            return None


def _check_kind(doc: Document, path: Path, given: dict[str, Any]) -> None:
    bounds = [key for key in ("at_least", "at_most") if key in given]
    if ("above" in given) == bool(bounds):
        found = ", ".join([*(["above"] if "above" in given else []), *bounds]) or "neither"
        doc.problem(path, f"found {found}; expected either above or at_least / at_most")
    for key in ("test", "alpha"):
        if key in given and "above" not in given:
            doc.problem((*path, key), f"found {key} without above; expected them together")
    if given.get("test", "mann_whitney") != "mann_whitney":
        doc.problem((*path, "test"), f"found {shown(given['test'])}; expected mann_whitney")


def _names(fields: Fields, suite: Suite, aliases: dict[str, str]) -> dict[str, Any]:
    """The names of a statement as labels of the suite."""
    models = [model for model, _ in suite.models]
    return {
        "finder": fields.named("finder", lambda t: resolve("finder", t, suite.finders).label),
        "above": fields.named("above", lambda t: resolve("finder", t, suite.finders).label),
        "model": fields.named("model", lambda t: resolve("model", t, models).label),
        "layer": fields.named("layer", lambda t: _layer(t, suite, aliases)),
        "dataset": fields.named("dataset", lambda t: _dataset(t, suite)) or suite.dataset.label,
    }


def read_on(text: str, suite: Suite, registry: Registry) -> tuple[str, str | None]:
    """`evaluation/metric` or, for an evaluation that needs no metric, `evaluation`."""
    first, *rest = split_outside(text, "/")
    if len(rest) > 1:
        raise UsageError(f"found {text!r}; expected evaluation/metric")
    limits = {choice.label: only for choice, only in suite.evaluations}
    evaluation = resolve("evaluation", first, [choice for choice, _ in suite.evaluations])
    needed = registry.evaluations[evaluation.name].spec.needs_metric
    if needed != bool(rest):
        expected = f"{first}/METRIC" if needed else f"{first} alone, which needs no metric"
        raise UsageError(f"found {text!r}; expected {expected}")
    if not rest:
        return evaluation.label, None
    metric = resolve("metric", rest[0], suite.metrics).label
    only = limits[evaluation.label]
    if only is not None and metric not in only:
        listed = ", ".join(sorted(only))
        raise UsageError(f"found {text!r}; expected a metric of {evaluation.label}: {listed}")
    return evaluation.label, metric


def _layer(text: str, suite: Suite, aliases: dict[str, str]) -> str:
    labels = {layer.label for _, layers in suite.models for layer in layers}
    paths = {layer.label: layer.path for _, layers in suite.models for layer in layers}
    fitting = [text] if text in labels else []
    fitting = fitting or [name for name, path in paths.items() if path == aliases.get(text, text)]
    if len(fitting) != 1:
        raise UsageError(unknown_name("layer of this suite", text, labels))
    return fitting[0]


def _dataset(text: str, suite: Suite) -> str:
    known: list[DatasetChoice] = [d for d in (suite.dataset, suite.fallback) if d is not None]
    fitting = [d for d in known if d.label == text] or [d for d in known if d.name == text]
    if len(fitting) != 1:
        raise UsageError(unknown_name("dataset of this suite", text, [d.label for d in known]))
    return fitting[0].label
