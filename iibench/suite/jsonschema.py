"""A JSON Schema (draft 2020-12) of the suite format, made of the registered plugins' parameters.

Editors use it for completion and checking; `load_suite` checks more (splits, parts, references).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from iibench.registry import Registry, Table
from iibench.specs import Spec
from iibench.suite.params import describe, has_variants, json_types
from iibench.suite.schema import FORMAT, POOLS, REQUIRED_KEYS, RESERVED

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "minLength": 1}


def suite_schema(registry: Registry) -> Schema:
    """The schema of a suite for what is registered now; definitions are named `kind-name`."""
    definitions: Schema = {}
    tables: tuple[Table[Any], ...] = (
        *(registry.datasets, registry.models, registry.finders),
        *(registry.metrics, registry.evaluations),
    )
    for table in tables:
        extras = _extras(table.kind)
        for entry in table:
            definitions[f"{table.kind}-{entry.spec.name}"] = _entry(table.kind, entry.spec, extras)
        definitions[table.kind] = _any_of(table)
    definitions["expectation"] = _expectation()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:iibench:suite:{FORMAT}",
        "title": "iibench suite",
        "description": "What to measure: dataset x models x layers x finders x metrics x evaluations.",
        "type": "object",
        "properties": _outer(),
        "required": list(REQUIRED_KEYS),
        "additionalProperties": False,
        "$defs": definitions,
    }


def _outer() -> Schema:
    def entries(kind: str, text: str) -> Schema:
        return {**_many({"$ref": f"#/$defs/{kind}"}), "description": text}

    return {
        "iibench": {"const": FORMAT, "description": "Version of the suite format, in quotes."},
        "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"},
        "description": _TEXT,
        "seed": {"type": "integer", "minimum": 0, "default": 0},
        "dataset": {"$ref": "#/$defs/dataset", "description": "The images, and their two splits."},
        "models": entries("model", "Networks, each with the layers to look at."),
        "finders": entries(
            "finder", "Direction finders; lists of parameter values span a product."
        ),
        "metrics": entries("metric", "Image similarity metrics."),
        "evaluations": entries("evaluation", "Scores per direction."),
        "expect": {
            **_many({"$ref": "#/$defs/expectation"}),
            "description": "Statements about the results that a run puts to the test.",
        },
    }


def _many(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _one_or_many(item: Schema) -> Schema:
    return {"anyOf": [item, _many(item)]}


def _extras(kind: str) -> Schema:
    """Schemas of the keys of an entry that are no parameters."""
    layer = {
        "type": "object",
        "properties": {"path": _TEXT, "pool": _one_or_many({"enum": list(POOLS)})},
        "required": ["path"],
        "additionalProperties": False,
    }
    part = {"anyOf": [_TEXT, {"type": "integer", "minimum": 0}]}
    known: Schema = {
        "fit": {**_TEXT, "description": "The split on which finders are fitted (default: first)."},
        "evaluate": {**_TEXT, "description": "The split that is measured (default: last)."},
        "fallback": {
            "$ref": "#/$defs/dataset",
            "description": "The dataset to use where the files of this one cannot be had.",
        },
        "layers": {
            **_many({"anyOf": [_TEXT, layer]}),
            "description": "Module paths or aliases; with `pool` to choose the pooling.",
        },
        "parts": {
            **_one_or_many(part),
            "description": "sum (the whole, default), all, or names of parts.",
        },
        "metrics": {**_many(_TEXT), "description": "Only with these metrics of the suite."},
    }
    return {key: known[key] for key in RESERVED[kind] if key != "name"}


def _entry(kind: str, spec: Spec, extras: Mapping[str, Any]) -> Schema:
    """An entry that names this spec, written as a mapping."""
    types, docs = json_types(spec), describe(spec)
    properties: Schema = {"name": {"type": "string", "pattern": f"^{_name(spec)}$"}}
    for doc in docs:
        one = dict(types[doc.name])
        default = {"default": one.pop("default")} if "default" in one else {}
        text = f"{doc.help} ({doc.type})".strip()
        several = one if kind == "dataset" else _one_or_many(one)
        properties[doc.name] = {**several, **default, "description": text}
    required = ["name", *(doc.name for doc in docs if doc.required)]
    return {
        "type": "object",
        "description": spec.summary,
        "properties": {**properties, **extras},
        "required": [*required, *(["layers"] if kind == "model" else [])],
        "additionalProperties": False,
    }


def _name(spec: Spec) -> str:
    """A regular expression for the names that choose this spec."""
    return re.escape(spec.name) + (":.+" if has_variants(spec) else "")


def _any_of(table: Table[Any]) -> Schema:
    """An entry of a kind: a name, a label, or a mapping checked by its name."""
    names = [_name(entry.spec) for entry in table]
    plain = f"^(?:{'|'.join(names)})"
    mapping = {
        "type": "object",
        "properties": {"name": {"type": "string", "pattern": f"{plain}$"}},
        "required": ["name"],
        "allOf": [
            {
                "if": {"properties": {"name": {"pattern": f"^{_name(entry.spec)}$"}}},
                "then": {"$ref": f"#/$defs/{table.kind}-{entry.spec.name}"},
            }
            for entry in table
        ],
    }
    if table.kind == "model":  # a model without layers says too little
        return mapping
    return {"anyOf": [{"type": "string", "pattern": rf"{plain}(?:\[.*\])?$"}, mapping]}


def _expectation() -> Schema:
    texts = {
        "on": "What is measured: evaluation/metric.",
        "finder": "The finder that the statement is about.",
        "above": "Another finder, whose scores are smaller.",
        "model": "Only this model (default: each).",
        "layer": "Only this layer (default: each).",
        "dataset": "The dataset that the statement is about (default: the main one).",
        "text": "The statement in words, and where it comes from.",
    }
    numbers: Schema = {
        "alpha": {"exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 0.05},
        "at_least": {"description": "A lower bound of the mean over scored units."},
        "at_most": {"description": "An upper bound of the mean over scored units."},
    }
    return {
        "type": "object",
        "properties": {
            **{key: {**_TEXT, "description": text} for key, text in texts.items()},
            **{key: {"type": "number", **rest} for key, rest in numbers.items()},
            "test": {"const": "mann_whitney"},
        },
        "required": ["on", "finder"],
        "oneOf": [
            {"required": ["above"]},
            {"anyOf": [{"required": ["at_least"]}, {"required": ["at_most"]}]},
        ],
        "dependentRequired": {"alpha": ["above"], "test": ["above"]},
        "additionalProperties": False,
    }
