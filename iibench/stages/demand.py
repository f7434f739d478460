"""What the cases of a run ask for together: it decides how similarities are computed, and what is kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from iibench.contract.evaluations import EvaluationSpec
from iibench.suite.cases import Case
from iibench.suite.params import to_json

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray, IntArray
    from iibench.suite.cases import AnyCase, Choice
    from iibench.suite.registry import Registry

#: Directions per finder assumed in `Demand.images`, which must not depend on what is fitted.
TYPICAL_K = 256


@dataclass(frozen=True)
class Demand:
    """What all cases of a run ask for; it does not depend on what is cached.

    `images`: (dataset, metric) labels -> images that are asked of the metric. `parts`: by
    `metric_without_part`, the parts ("" for the whole) that are asked for. `shown_trials`: ids of the
    cases whose trials the run folder keeps.
    """

    images: Mapping[tuple[str, str], float] = field(default_factory=dict)
    parts: Mapping[str, Mapping[str, Choice]] = field(default_factory=dict)
    shown_trials: frozenset[str] = frozenset()


def demand_of(cases: Sequence[AnyCase], registry: Registry) -> Demand:
    """What these cases ask for together."""
    return Demand(
        _images(cases, registry), _parts(cases), _cases_with_shown_trials(cases, registry)
    )


def metric_without_part(case: AnyCase) -> str:
    """Names a case's dataset and metric, whichever part of it the case asks for."""
    if case.metric is None:
        return case.dataset.label
    return f"{case.dataset.label}/{case.metric.name}/{to_json(case.metric.params)}"


def _images(cases: Sequence[AnyCase], registry: Registry) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for case in cases:
        spec = registry.evaluations[case.evaluation.name].spec
        if case.metric is None or not isinstance(spec, EvaluationSpec):
            continue
        images = spec.images(case.evaluation.params, 0)
        key = (case.dataset.label, case.metric.label)
        found[key] = found.get(key, 0.0) + float(images) * TYPICAL_K
    return found


def _parts(cases: Iterable[AnyCase]) -> dict[str, dict[str, Choice]]:
    found: dict[str, dict[str, Choice]] = {}
    for case in cases:
        if case.metric is not None:
            of_metric = found.setdefault(metric_without_part(case), {})
            of_metric[case.metric.part or ""] = case.metric
    return {name: dict(sorted(parts.items())) for name, parts in found.items()}


def _cases_with_shown_trials(cases: Sequence[AnyCase], registry: Registry) -> frozenset[str]:
    """Those on whole metrics, at the lowest value of `plot_over`."""
    lowest: dict[str, tuple[float, str]] = {}
    for case in cases:
        if not isinstance(case, Case) or case.metric is None or case.metric.part is not None:
            continue
        spec = registry.evaluations[case.evaluation.name].spec
        if not isinstance(spec, EvaluationSpec):
            continue
        params = to_json(case.evaluation.params)
        value = float(params.pop(spec.plot_over)) if spec.plot_over in params else 0.0
        key = json.dumps([case.stem, case.metric.label, case.evaluation.name, params])
        lowest[key] = min(lowest.get(key, (np.inf, "")), (value, case.id))
    return frozenset(case_id for _, case_id in lowest.values())


class NeededImages:
    """A `SimilarityLookup` of n images that calls all of them equally alike and remembers which of them it
    was asked about: those that a metric would have to embed."""

    def __init__(self, n: int) -> None:
        self._needed = np.zeros(n, np.bool_)

    def indices(self) -> IntArray:
        """Sorted indices of all images asked about so far."""
        found: IntArray = np.flatnonzero(self._needed)
        return found

    def within(self, groups: IntArray) -> DoubleArray:
        """groups (G, M) -> (G, M, M) of zeros."""
        self._needed[groups] = True
        return np.zeros((*groups.shape, groups.shape[1]))

    def cross(self, left: IntArray, right: IntArray) -> DoubleArray:
        """left (G, a), right (G, b) -> (G, a, b) of zeros."""
        self._needed[left] = True
        self._needed[right] = True
        return np.zeros((*left.shape, right.shape[1]))
