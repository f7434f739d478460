"""The order in which cases run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iibench.suite.cases import AnyCase


def execution_order(cases: Sequence[AnyCase]) -> list[AnyCase]:
    """The cases grouped so that each metric's similarities are made once and then let go."""
    groups: dict[tuple[str, ...], list[AnyCase]] = {}
    for case in cases:
        metric = case.metric.label if case.metric else ""
        groups.setdefault((*case.place, metric), []).append(case)
    return [case for group in groups.values() for case in group]
