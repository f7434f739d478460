"""A suite's product of cases."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from iibench.contract.errors import SuiteError, UsageError
from iibench.suite.cases import AnyCase, Case, DatasetChoice, TrialCase, full_label

if TYPE_CHECKING:
    from iibench.suite.registry import Registry
    from iibench.suite.schema import Suite


def collect(
    suite: Suite,
    registry: Registry,
    *,
    use_fallback: bool = False,
    limit: int | None = None,
    seed: int | None = None,
) -> list[AnyCase]:
    """Every case of the suite: the product of models, layers, finders, metrics and evaluations.

    Evaluations vary fastest; one that needs no metric appears once per finder. On a dataset of trials
    there are no models, layers and finders. `use_fallback`: on the suite's fallback dataset. `limit`:
    images per split (stimuli, of a dataset of trials), None for all. `seed`: instead of the suite's.
    Raises `SuiteError` where two cases would have one id, `UsageError` for a limit below 1.
    """
    dataset = _dataset_of(suite, use_fallback, limit)
    chosen_seed = suite.seed if seed is None else seed
    needs = {
        choice.label: registry.evaluations[choice.name].spec.needs_metric
        for choice, _ in suite.evaluations
    }
    pairs = [
        (metric, evaluation)
        for metric in suite.metrics
        for evaluation, only in suite.evaluations
        if needs[evaluation.label] and (only is None or metric.label in only)
    ]
    pairs_without = [(None, choice) for choice, _ in suite.evaluations if not needs[choice.label]]
    cases: list[AnyCase] = [
        Case(dataset, model, layer, finder, metric, evaluation, chosen_seed)
        for model, layers in suite.models
        for layer in layers
        for finder in suite.finders
        for metric, evaluation in (*pairs, *pairs_without)
        if finder.label in suite.evaluation_finders.get(evaluation.label, (finder.label,))
    ]
    if suite.of_trials:
        cases = [
            TrialCase(dataset, metric, evaluation, chosen_seed)
            for metric, evaluation in (*pairs, *pairs_without)
        ]
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise SuiteError(f"{suite.path}: two cases have the id {case.id}; expected each once")
        seen.add(case.id)
    return cases


def with_limit(choice: DatasetChoice, limit: int | None) -> DatasetChoice:
    """The dataset cut to `limit` images per split, with the label that says so."""
    whole = full_label(choice)
    if limit is None:
        shown = whole
    elif whole.endswith("]"):
        shown = f"{whole[:-1]},limit={limit}]"
    else:
        shown = f"{whole}[limit={limit}]"
    return dataclasses.replace(choice, label=shown, limit=limit)


def _dataset_of(suite: Suite, use_fallback: bool, limit: int | None) -> DatasetChoice:
    if limit is not None and limit < 1:
        raise UsageError(f"limit: found {limit}; expected at least 1 image per split")
    if not use_fallback:
        return with_limit(suite.dataset, limit)
    if suite.fallback is None:
        raise SuiteError(f"{suite.path}: found no dataset.fallback; expected one to fall back on")
    return with_limit(suite.fallback, limit)
