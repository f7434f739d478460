"""The checks of whatever a plugin registers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from iibench.contract.base import Spec
from iibench.contract.evaluations import EvaluationBase
from iibench.contract.specs import DatasetSpec, FinderSpec, Harness, MetricSpec, ModelSpec
from iibench.suite.registry import Entry
from iibench.testing.checks import CheckReport
from iibench.testing.datasets.checks import check_dataset
from iibench.testing.evaluations.checks import check_evaluation
from iibench.testing.finders.checks import check_finder
from iibench.testing.metrics.checks import check_metric
from iibench.testing.models.checks import check_model

CHECKS: tuple[tuple[type[Spec], Callable[..., CheckReport]], ...] = (
    (MetricSpec, check_metric),
    (FinderSpec, check_finder),
    (ModelSpec, check_model),
    (DatasetSpec, check_dataset),
    (EvaluationBase, check_evaluation),
)


def check_spec(
    spec: Spec | Entry[Any],
    params: Any = None,
    harness: Harness | None = None,
    *,
    device: str = "cpu",
    label: str = "",
) -> CheckReport:
    """Checks a spec, or a registry's entry, by the checks of its kind; arguments as of `check_metric`.

    Raises `TypeError` for a spec of no known kind.

    >>> from iibench.testing.toys import IMAGES
    >>> report = check_spec(IMAGES)
    >>> report.kind, report.failed
    ('dataset', ())
    """
    thing: Any = spec.spec if isinstance(spec, Entry) else spec
    for kind, check in CHECKS:
        if isinstance(thing, kind):
            return check(thing, params, harness, device=device, label=label)
    raise TypeError(f"{type(thing).__name__} is none of the specs that a plugin registers")
