"""The sections `expect` and `references` of a suite on a dataset of trials."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from iibench.contract.errors import UsageError, unknown_name
from iibench.suite.expectations import Fields, read_on
from iibench.suite.labels import format_value, read_label, resolve
from iibench.suite.param_types import shown
from iibench.suite.reading import read_list, read_mapping, read_number, read_text
from iibench.suite.registry import Registry
from iibench.suite.schema import (
    REFERENCE_KEYS,
    TRIAL_EXPECT_KEYS,
    Reference,
    Suite,
    TrialExpectation,
)
from iibench.suite.yaml_lines import Document, Path

_RATIO = re.compile(r"(\d+)\s*/\s*(\d+)")
_CONDITIONS = ("above", "at_least", "at_most", "equals")


def read_trial_expectations(
    doc: Document, path: Path, value: Any, suite: Suite, registry: Registry
) -> Iterator[TrialExpectation]:
    """Every statement, its names resolved to labels of the suite."""
    incomplete = bool(doc.problems)
    for here, item in read_list(doc, path, value):
        before = len(doc.problems)
        given = read_mapping(doc, here, item, ("on",), TRIAL_EXPECT_KEYS)
        if given is None:
            continue
        _check_kind(doc, here, given)
        fields = Fields(doc, here, given, incomplete)
        on = fields.named("on", lambda text: read_on(text, suite, registry))
        found: dict[str, Any] = {
            "dataset": fields.named("dataset", lambda t: _dataset(t, suite, registry))
            or suite.dataset.label,
            "above": fields.named("above", lambda t: resolve("metric", t, suite.metrics).label),
            "where": _where(doc, here, given),
            "alpha": fields.number("alpha", lambda x: 0 < x < 1, "a number > 0 and < 1"),
            "at_least": fields.number("at_least", math.isfinite, "a number"),
            "at_most": fields.number("at_most", math.isfinite, "a number"),
            "within": fields.number("within", lambda x: 0 <= x < math.inf, "a number >= 0"),
        }
        for key in ("measure", "text"):
            if key in given:
                found[key] = read_text(doc, (*here, key), given[key])
        if "equals" in given:
            found["equals"], found["of"] = _value(doc, (*here, "equals"), given["equals"])
        if len(doc.problems) == before and not incomplete:
            yield TrialExpectation(*on, **{k: v for k, v in found.items() if v is not None})


def read_references(
    doc: Document, path: Path, value: Any, suite: Suite, registry: Registry
) -> Iterator[Reference]:
    """Every published value, its names resolved to labels of the suite."""
    incomplete = bool(doc.problems)
    for here, item in read_list(doc, path, value):
        before = len(doc.problems)
        given = read_mapping(doc, here, item, ("on", "value"), REFERENCE_KEYS)
        if given is None or "value" not in given:
            continue
        fields = Fields(doc, here, given, incomplete)
        on = fields.named("on", lambda text: read_on(text, suite, registry))
        number, of = _value(doc, (*here, "value"), given["value"])
        texts = {
            key: read_text(doc, (*here, key), given[key])
            for key in ("measure", "source")
            if key in given
        }
        n = fields.number("n", lambda x: x >= 0 and float(x).is_integer(), "a whole number")
        where = _where(doc, here, given)
        if len(doc.problems) == before and not incomplete and number is not None:
            evaluation, metric = on
            yield Reference(
                evaluation=evaluation,
                metric=metric,
                measure=texts.get("measure"),
                where=where,
                value=number,
                n=of if n is None else int(n),
                source=texts.get("source", ""),
            )


def _dataset(text: str, suite: Suite, registry: Registry) -> str:
    """The label of a dataset, or the name alone for all of that name.

    It need not be the suite's: `--set` may have replaced that, and the statement is skipped then.
    """
    known = [dataset.label for dataset in (suite.dataset, suite.fallback) if dataset is not None]
    if text in known or read_label(text).name in registry.datasets:
        return text
    raise UsageError(unknown_name("dataset", text, [*known, *registry.datasets.entries]))


def _check_kind(doc: Document, path: Path, given: dict[str, Any]) -> None:
    kinds = [key for key in _CONDITIONS if key in given]
    if not kinds or (len(kinds) > 1 and set(kinds) != {"at_least", "at_most"}):
        found = ", ".join(kinds) or "none"
        doc.problem(path, f"found {found}; expected one of above, equals, or at_least / at_most")
    for key, other in (("alpha", "above"), ("within", "equals")):
        if key in given and other not in given:
            doc.problem((*path, key), f"found {key} without {other}; expected them together")


def _where(doc: Document, path: Path, given: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """The group of answers: attribute and value, as text."""
    value = given.get("where", {})
    here = (*path, "where")
    if not isinstance(value, dict) or any(isinstance(v, dict | list) for v in value.values()):
        doc.problem(here, f"found {shown(value)}; expected attributes and their values")
        return ()
    return tuple(
        (str(key), item if isinstance(item, str) else format_value(item))
        for key, item in value.items()
    )


def _value(doc: Document, path: Path, value: Any) -> tuple[float | None, int | None]:
    """A number, or a ratio of counts such as 415/450 as (its value, what it is out of)."""
    ratio = _RATIO.fullmatch(value.strip()) if isinstance(value, str) else None
    if ratio is not None and int(ratio[2]) > 0:
        return int(ratio[1]) / int(ratio[2]), int(ratio[2])
    number = read_number(doc, path, value, math.isfinite, "a number, or a ratio such as 415/450")
    return number, None
