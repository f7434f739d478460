"""The sections that name datasets, models with their layers, and evaluations."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from iibench.contract.errors import PluginError, UsageError
from iibench.contract.evaluations import EvaluationSpec
from iibench.contract.specs import LAYOUTS, POOLS, DatasetSpec
from iibench.suite.cases import Choice, DatasetChoice, LayerChoice
from iibench.suite.choices import choice_of, dataset_choice, layer_choice
from iibench.suite.labels import read_label, read_value, resolve
from iibench.suite.param_types import shown
from iibench.suite.params import (
    ParamError,
    joined,
    parameter_names,
    parse_params,
    unknown_parameter,
)
from iibench.suite.reading import note, read_choices, read_entry, read_list, read_mapping, read_text
from iibench.suite.registry import Registry, Table
from iibench.suite.schema import RESERVED
from iibench.suite.yaml_lines import Document, Path


def read_dataset(
    doc: Document, path: Path, value: Any, registry: Registry
) -> tuple[DatasetChoice | None, DatasetChoice | None]:
    """The dataset and its fallback."""
    inner = path[-1:] == ("fallback",)
    read = read_entry(doc, path, value, registry.datasets)
    if read is None:
        return None, None
    spec: DatasetSpec = read.spec
    fallback = None
    if "fallback" in read.extras:
        here = (*path, "fallback")
        if inner:
            doc.problem(here, "found a fallback of a fallback; expected one only")
        else:
            fallback, _ = read_dataset(doc, here, read.extras["fallback"], registry)
    splits = {}
    for key, default in (("fit", spec.splits[0]), ("evaluate", spec.splits[-1])):
        splits[key] = read.extras.get(key, default)
        if splits[key] not in spec.splits:
            text = f"found {shown(splits[key])}; expected a split of {spec.name}: "
            doc.problem((*path, key), text + ", ".join(spec.splits))
    reserved = [key for key in RESERVED["dataset"] if not (inner and key == "fallback")]
    unknown = [key for key in read.values if key not in parameter_names(spec)]
    for key in unknown:
        doc.problem((*path, key), unknown_parameter(spec, key, reserved))
        del read.values[key]
    try:
        params = parse_params(spec, read.values)
    except ParamError as error:
        note(doc, path, error)
        return None, fallback
    fit, evaluate = splits["fit"], splits["evaluate"]
    return dataset_choice(spec, params, fit, evaluate), fallback


def read_models(
    doc: Document, path: Path, value: Any, registry: Registry
) -> Iterator[tuple[Choice, tuple[LayerChoice, ...]]]:
    """The models, each with its layers."""
    for here, read, choice in read_choices(doc, path, value, registry.models):
        aliases = {alias.name: alias.path for alias in registry.layers.get(read.spec.name, [])}
        if "layers" not in read.extras:
            doc.problem(here, "found no key 'layers'; expected the layers to look at")
            continue
        yield choice, _layers(doc, (*here, "layers"), read.extras["layers"], aliases)


def _layers(
    doc: Document, path: Path, value: Any, aliases: dict[str, str]
) -> tuple[LayerChoice, ...]:
    found: dict[str, LayerChoice] = {}
    for here, item in read_list(doc, path, value):
        entry = read_mapping(
            doc, here, _layer_entry(doc, here, item), ("path",), ("pool", "layout", "call")
        )
        if not entry or "path" not in entry:
            continue
        module = read_text(doc, (*here, "path"), entry["path"])
        pools, layout, call = entry.get("pool", POOLS[0]), entry.get("layout"), entry.get("call")
        if "layout" in entry and layout not in LAYOUTS:
            doc.problem((*here, "layout"), f"found {shown(layout)}; expected {' | '.join(LAYOUTS)}")
            continue
        if "call" in entry and not (type(call) is int and call > 0):
            text = f"found {shown(call)}; expected a whole number from 1: which call of the module"
            doc.problem((*here, "call"), text)
            continue
        for pool in pools if isinstance(pools, list) else [pools]:
            if pool not in POOLS:
                doc.problem((*here, "pool"), f"found {shown(pool)}; expected {' | '.join(POOLS)}")
                continue
            layer = layer_choice(aliases.get(module, module), pool, layout, call)
            if layer.label in found:
                doc.problem(here, f"found {layer.label} again; expected each layer once")
            found[layer.label] = layer
    return tuple(found.values())


def _layer_entry(doc: Document, path: Path, item: Any) -> Any:
    """A layer's short form, `layer2` or `layer2[pool=max]`, as the mapping it stands for."""
    if isinstance(item, int | float):
        problem = f'found {shown(item)}; expected a module path, written in quotes: "{shown(item)}"'
        doc.problem(path, problem)
        return {"path": shown(item)}
    if not isinstance(item, str):
        return item
    try:
        read = read_label(item)
    except UsageError as error:
        doc.problem(path, str(error))
        return {"path": item}
    if read.part is not None:
        doc.problem(path, f"found {item!r}; expected a module path, as in {read.name}[pool=max]")
    params: dict[str, Any] = dict(read.params)
    if "call" in params:
        params["call"] = read_value(params["call"])
    return {"path": read.name, **params}


def read_evaluations(
    doc: Document,
    path: Path,
    value: Any,
    registry: Registry,
    metrics: tuple[Choice, ...],
    finders: tuple[Choice, ...],
) -> Iterator[tuple[Choice, frozenset[str] | None, frozenset[str] | None]]:
    """The evaluations, each with the labels of the metrics and of the finders it is limited to, or None."""
    incomplete = bool(doc.problems)
    for here, read, choice in read_choices(doc, path, value, registry.evaluations):
        _check_own_finders(doc, here, read.spec, choice, registry.finders)
        limits: dict[str, frozenset[str] | None] = {"metrics": None, "finders": None}
        unlimited = "metrics" not in read.extras
        if read.spec.needs_metric and unlimited and not metrics and not incomplete:
            doc.problem(here, f"found no metrics in the suite; expected some for {choice.label}")
        for key, kind, choices in (("metrics", "metric", metrics), ("finders", "finder", finders)):
            if key not in read.extras:
                continue
            inner = (*here, key)
            if key == "finders" and not isinstance(read.spec, EvaluationSpec):
                doc.problem(
                    inner, f"found finders for {choice.label}; expected no key: trials have none"
                )
                continue
            if key == "metrics" and not read.spec.needs_metric:
                doc.problem(
                    inner, f"found metrics for {choice.label}, which needs none; expected no key"
                )
                continue
            labels = set()
            for place, item in read_list(doc, inner, read.extras[key]):
                text = read_text(doc, place, item)
                if not text:
                    continue
                try:
                    labels.add(resolve(kind, text, choices).label)
                except UsageError as error:
                    if not incomplete:  # one that is misspelt above need not be reported twice
                        doc.problem(place, str(error))
            limits[key] = frozenset(labels)
        yield choice, limits["metrics"], limits["finders"]


def _check_own_finders(
    doc: Document, path: Path, spec: Any, choice: Choice, finders: Table[Any]
) -> None:
    """The finders that an analysis fits itself must be there; its parameters name them."""
    if not isinstance(spec, EvaluationSpec):
        return
    for text in spec.finders(choice.params):
        try:
            choice_of(text, finders)
        except PluginError:
            raise
        except UsageError as error:
            named = [
                field.name
                for field in dataclasses.fields(choice.params)
                if getattr(choice.params, field.name) == text
            ]
            doc.problem((*path, *named[:1]), joined(error))
