"""A label and a registered thing: a choice."""

from __future__ import annotations

from typing import Any

from iibench.contract.reports import Named
from iibench.contract.specs import POOLS, DatasetSpec
from iibench.suite.cases import Choice, DatasetChoice, LayerChoice
from iibench.suite.labels import join_label, read_label
from iibench.suite.params import (
    label,
    label_items,
    label_values,
    parse_params,
    split_variant,
    to_json,
)
from iibench.suite.registry import Table


def dataset_choice(spec: DatasetSpec, params: Any, fit: str, evaluate: str) -> DatasetChoice:
    """A dataset with its label: parameters, then the splits where they are not the defaults."""
    items = label_items(spec, params)
    if fit != spec.splits[0]:
        items.append(f"fit={fit}")
    if evaluate != spec.splits[-1]:
        items.append(f"evaluate={evaluate}")
    return DatasetChoice(spec.name, params, fit, evaluate, join_label(spec.name, items))


def layer_choice(path: str, pool: str = POOLS[0]) -> LayerChoice:
    """A layer with its label: the path, and the pooling where it is not the default."""
    items = [] if pool == POOLS[0] else [f"pool={pool}"]
    return LayerChoice(path, pool, join_label(path, items))


def choice_of(text: str, table: Table[Any]) -> Choice:
    """A registered thing by its label, as suites write it; raises `UsageError` where there is none."""
    written = read_label(text)
    spec = table[written.name].spec
    variant = split_variant(spec, written.name)
    params = parse_params(spec, label_values(spec, written.params), variant)
    return Choice(
        written.name, params, label(spec, params, written.part, written.name), written.part
    )


def named(choice: Choice) -> Named:
    """The choice as reports record it."""
    return Named(choice.name, choice.label, to_json(choice.params), choice.part)
