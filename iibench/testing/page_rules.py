"""What a spec says for the page: sentences, roles, how measures are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, get_args

from iibench.contract.evaluations import EvaluationBase
from iibench.contract.measures import MeasureInfo
from iibench.contract.specs import FinderSpec, MetricSpec, Role
from iibench.contract.trials import TrialEvaluationSpec
from iibench.testing.checks import Finding, Rule, good, wrong

NO_SENTENCE = "it has no sentence: the page shows its summary"
#: Sizes of images of which a metric's sentence is tried.
SIZES = ((), ((32, 32),), ((32, 32), (224, 224)))


class Described(Protocol):
    """A spec under test with its parameters."""

    spec: Any
    params: Any


def finder(subject: Described) -> Finding:
    """The role, and what its directions are called."""
    spec: FinderSpec = subject.spec
    role, called = getattr(spec, "role", None), getattr(spec, "called", None)
    if role not in get_args(Role):
        return wrong(f"role is {role!r}", f"expected one of {', '.join(get_args(Role))}")
    if not isinstance(called, str):
        return wrong(f"called is {called!r:.80}", "expected text: its directions in a sentence")
    return good(f"role {role}" + (f", called {called}" if called else ""))


def metric(subject: Described) -> Finding:
    """The sentence, at any number of sizes."""
    spec: MetricSpec = subject.spec
    if spec.sentence is None:
        return good(NO_SENTENCE)
    return _text([spec.sentence(subject.params, list(sizes)) for sizes in SIZES])


def evaluation(subject: Described) -> Finding:
    """The sentence, and how measures are shown."""
    spec: EvaluationBase = subject.spec
    if isinstance(spec, TrialEvaluationSpec):
        for kind in ("measures", "unit_numbers"):
            found: Any = getattr(spec, kind)
            if not isinstance(found, Mapping) or not all(map(_is_info, found.values())):
                return wrong(f"{kind} is {found!r:.80}", "expected a mapping: name -> MeasureInfo")
        for info in spec.measures.values():
            info.sentence.format(value="0.5", other="0.6", difference="−0.1")
    if spec.sentence is None:
        return good(NO_SENTENCE)
    return _text([spec.sentence(subject.params)])


def _is_info(info: Any) -> bool:
    return isinstance(info, MeasureInfo)


def _text(found: list[Any]) -> Finding:
    for text in found:
        if not isinstance(text, str) or not text.strip():
            return wrong(
                f"sentence gave {text!r:.80}", "expected text: it returns a sentence or more"
            )
    return good(found[-1][:80])


FINDER: Rule[Any] = Rule("page", "a known role, and text", finder)
METRIC: Rule[Any] = Rule("page", "sentence(params, sizes) gives text for any sizes", metric)
EVALUATION: Rule[Any] = Rule(
    "page", "sentence(params) gives text; measures are described", evaluation
)
