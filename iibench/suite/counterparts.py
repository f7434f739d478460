"""Which cases an expectation compares with one another: alone, neither decides anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iibench.suite.cases import AnyCase, Case, TrialCase
from iibench.suite.schema import Expectation, TrialExpectation


def with_counterparts(
    chosen: Sequence[AnyCase],
    cases: Sequence[AnyCase],
    stated: Sequence[Expectation | TrialExpectation],
) -> list[AnyCase]:
    """`chosen` and those of `cases` that an expectation needs with one of them, in the order of `cases`."""
    needed = {case.id for case in chosen}
    for together in _compared(cases, stated):
        if not needed.isdisjoint(together):
            needed |= together
    return [case for case in cases if case.id in needed]


def _compared(
    cases: Sequence[AnyCase], stated: Sequence[Expectation | TrialExpectation]
) -> Iterator[set[str]]:
    """Ids of the cases that one expectation holds against each other at one place."""
    for expectation in stated:
        if expectation.above is None:
            continue
        places: dict[tuple[str, ...], set[str]] = {}
        for case in cases:
            if _concerns(expectation, case):
                places.setdefault(case.place, set()).add(case.id)
        yield from places.values()


def _concerns(expectation: Expectation | TrialExpectation, case: AnyCase) -> bool:
    metric = None if case.metric is None else case.metric.label
    if case.evaluation.label != expectation.evaluation:
        return False
    if isinstance(expectation, TrialExpectation):
        return isinstance(case, TrialCase) and metric in (expectation.metric, expectation.above)
    return (
        isinstance(case, Case)
        and metric == expectation.metric
        and case.finder.label in (expectation.finder, expectation.above)
        and expectation.model in (None, case.model.label)
        and expectation.layer in (None, case.layer.label)
    )
