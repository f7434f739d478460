"""A label and a registered thing: a choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iibench.contract.errors import UsageError, unknown_name
from iibench.contract.reports import Named
from iibench.contract.specs import LAYOUTS, POOLS, DatasetSpec
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


def layer_choice(
    path: str, pool: str = POOLS[0], layout: str | None = None, call: int | None = None
) -> LayerChoice:
    """A layer with its label: the path, and the pooling, layout and call that are not the default."""
    items = [] if pool == POOLS[0] else [f"pool={pool}"]
    items += [] if layout is None else [f"layout={layout}"]
    items += [] if call is None else [f"call={call}"]
    return LayerChoice(path, pool, join_label(path, items), layout, call)


def layer_of(text: str, aliases: Mapping[str, str]) -> LayerChoice:
    """A layer by its label, as suites write it; raises `UsageError` where the label is wrong."""
    written = read_label(text)
    given = dict(written.params)
    pool, layout = given.pop("pool", POOLS[0]), given.pop("layout", None)
    call = given.pop("call", None)
    if written.part is not None or given:
        raise UsageError(f"found {text!r}; expected a module path, as in {written.name}[pool=max]")
    if layout is not None and layout not in LAYOUTS:
        raise UsageError(unknown_name("layout", layout, LAYOUTS))
    if call is not None and not (call.isdecimal() and int(call) > 0):
        raise UsageError(f"found call={call} in {text!r}; expected a whole number from 1")
    path = aliases.get(written.name, written.name)
    return layer_choice(path, pool, layout, None if call is None else int(call))


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
