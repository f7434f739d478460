"""What the cases of a run have in common: the order to run them in, and what they ask of one metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from iibench.specs import EvaluationSpec
from iibench.suite.cases import Case
from iibench.suite.params import to_json

if TYPE_CHECKING:
    from iibench.registry import Registry
    from iibench.suite.cases import AnyCase, Choice

#: Directions per finder assumed in `asked_images`, which must not depend on what is fitted.
TYPICAL_K = 256


def asked_images(cases: Sequence[AnyCase], registry: Registry) -> dict[tuple[str, str], float]:
    """(dataset, metric) labels -> images that all cases ask of that metric, for `Workbench.asked`."""
    asked: dict[tuple[str, str], float] = {}
    for case in cases:
        spec = registry.evaluations[case.evaluation.name].spec
        if case.metric is None or not isinstance(spec, EvaluationSpec):
            continue
        images = spec.images(case.evaluation.params, 0)
        key = (case.dataset.label, case.metric.label)
        asked[key] = asked.get(key, 0.0) + float(images) * TYPICAL_K
    return asked


def execution_order(cases: Sequence[AnyCase]) -> list[AnyCase]:
    """The cases grouped so that each metric's similarities are made once and then let go."""
    groups: dict[tuple[str, ...], list[AnyCase]] = {}
    for case in cases:
        metric = case.metric.label if case.metric else ""
        key: tuple[str, ...] = (case.dataset.label, metric)
        if isinstance(case, Case):
            key = (case.dataset.label, case.model.label, case.layer.label, metric)
        groups.setdefault(key, []).append(case)
    return [case for group in groups.values() for case in group]


def metric_without_part(case: AnyCase) -> str:
    """Names a case's dataset and metric, whichever part of it the case asks for."""
    if case.metric is None:
        return case.dataset.label
    return f"{case.dataset.label}/{case.metric.name}/{to_json(case.metric.params)}"


def parts_asked(cases: Iterable[AnyCase]) -> dict[str, dict[str, Choice]]:
    """By `metric_without_part`: the parts ("" for the whole) that these cases ask for."""
    found: dict[str, dict[str, Choice]] = {}
    for case in cases:
        if case.metric is not None:
            of_metric = found.setdefault(metric_without_part(case), {})
            of_metric[case.metric.part or ""] = case.metric
    return {name: dict(sorted(parts.items())) for name, parts in found.items()}
