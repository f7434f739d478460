"""A JSON Schema (draft 2020-12) of the suite format, made of the registered plugins' parameters.

Editors use it for completion and checking; `load_suite` checks more (splits, parts, references).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from iibench.contract.base import Spec
from iibench.contract.specs import LAYOUTS, POOLS
from iibench.contract.trials import TrialDatasetSpec
from iibench.suite.params import describe, has_variants, json_types
from iibench.suite.registry import Registry, Table
from iibench.suite.schema import DIRECTION_KEYS, FORMAT, REQUIRED_KEYS, RESERVED

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
    definitions["untested"] = _untested()
    definitions["trial-expectation"] = _trial_expectation()
    definitions["reference"] = _reference()
    of_trials = [e.spec.name for e in registry.datasets if isinstance(e.spec, TrialDatasetSpec)]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:iibench:suite:{FORMAT}",
        "title": "iibench suite",
        "description": "What to measure: dataset x models x layers x finders x metrics x evaluations.",
        "type": "object",
        "properties": _outer(),
        "required": list(REQUIRED_KEYS),
        "additionalProperties": False,
        "if": {"properties": {"dataset": _names_any(of_trials)}},
        "then": {
            "properties": {
                **dict.fromkeys(DIRECTION_KEYS, False),
                "expect": _many({"$ref": "#/$defs/trial-expectation"}),
            }
        },
        "else": {
            "required": list(DIRECTION_KEYS),
            "properties": {
                "references": False,
                "expect": _many(
                    {
                        "if": {"type": "object", "required": ["not_testable"]},
                        "then": {"$ref": "#/$defs/untested"},
                        "else": {"$ref": "#/$defs/expectation"},
                    }
                ),
            },
        },
        "$defs": definitions,
    }


def _names_any(names: Sequence[str]) -> Schema:
    """A dataset that has one of these names, as text, as a label or as a mapping."""
    pattern = rf"^(?:{'|'.join(map(re.escape, names)) or '(?!)'})(?:\[.*\])?$"
    text = {"type": "string", "pattern": pattern}
    mapping = {"type": "object", "properties": {"name": text}, "required": ["name"]}
    return {"anyOf": [text, mapping]}


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
        "evaluations": entries(
            "evaluation", "Scores per direction; agreement with people, of a dataset of trials."
        ),
        "expect": {
            "type": "array",
            "description": "Statements about the results that a run puts to the test.",
        },
        "references": {
            **_many({"$ref": "#/$defs/reference"}),
            "description": "Of trials: published values that the page shows beside ours.",
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
        "properties": {
            "path": _TEXT,
            "pool": _one_or_many({"enum": list(POOLS)}),
            "layout": {
                "enum": list(LAYOUTS),
                "description": "Where the output has its neurons, where that cannot be found out.",
            },
            "call": {
                "type": "integer",
                "minimum": 1,
                "description": "Which call, of a module that a forward pass runs more than once.",
            },
        },
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
            "description": "Module paths or aliases; `pool` chooses the pooling.",
        },
        "parts": {
            **_one_or_many(part),
            "description": "sum (the whole, default), all, or names of parts.",
        },
        "metrics": {**_many(_TEXT), "description": "Only with these metrics of the suite."},
        "finders": {**_many(_TEXT), "description": "Only with these finders of the suite."},
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


#: What a statement says of itself.
_STATED = {
    "text": "The statement in words, and where it comes from.",
    "figure": "Where a paper makes the statement, such as Fig. 3 left.",
    "published": "The value that it gives there, as text.",
}


def _untested() -> Schema:
    texts = {**_STATED, "not_testable": "Why this suite cannot test the statement."}
    return {
        "type": "object",
        "description": "A statement that stands in the table of statements and is not tested.",
        "properties": {key: {**_TEXT, "description": text} for key, text in texts.items()},
        "required": ["text", "figure", "not_testable"],
        "additionalProperties": False,
    }


def _expectation() -> Schema:
    texts = {
        "on": "What is measured: evaluation/metric.",
        "finder": "The finder that the statement is about.",
        "above": "Another finder, whose scores are smaller.",
        "model": "Only this model (default: each).",
        "layer": "Only this layer (default: each).",
        "dataset": "The dataset that the statement is about (default: the main one).",
        "measure": "Of an analysis: the measure that is bounded (default: its main one).",
        **_STATED,
    }
    numbers: Schema = {
        "alpha": {"exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 0.05},
        "at_least": {"description": "A lower bound of the mean over scored units, or of measure."},
        "at_most": {"description": "An upper bound of the mean over scored units, or of measure."},
    }
    return {
        "type": "object",
        "properties": {
            **{key: {**_TEXT, "description": text} for key, text in texts.items()},
            **{key: {"type": "number", **rest} for key, rest in numbers.items()},
            "test": {"const": "mann_whitney"},
            "interval": {
                "type": "boolean",
                "default": False,
                "description": "Of an analysis: bound the whole 95 % interval, not the value alone.",
            },
        },
        "required": ["on", "finder"],
        "oneOf": [
            {"required": ["above"]},
            {"anyOf": [{"required": ["at_least"]}, {"required": ["at_most"]}]},
        ],
        "dependentRequired": {"alpha": ["above"], "test": ["above"]},
        # measures are bounded, not compared
        "dependentSchemas": {
            key: {"properties": {"above": False}} for key in ("measure", "interval")
        },
        "additionalProperties": False,
    }


_WHERE: Schema = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean"]},
    "description": "The group of answers: attributes and their values (default: all answers).",
}
_RATIO_OR_NUMBER: Schema = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\s*[0-9]+\s*/\s*[0-9]+\s*$"}]
}


def _trial_expectation() -> Schema:
    texts = {
        "on": "What is measured: evaluation/metric, or an evaluation that needs no metric.",
        "measure": "Name of the measure (default: the evaluation's main one).",
        "above": "Another metric, under which the main measure is smaller (paired test).",
        "dataset": "The dataset that the statement is about (default: the main one).",
        "text": "The statement in words, and where it comes from.",
    }
    numbers: Schema = {
        "alpha": {"exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 0.05},
        "at_least": {"description": "A lower bound."},
        "at_most": {"description": "An upper bound."},
        "within": {"minimum": 0, "default": 0, "description": "Largest difference from equals."},
    }
    return {
        "type": "object",
        "properties": {
            **{key: {**_TEXT, "description": text} for key, text in texts.items()},
            **{key: {"type": "number", **rest} for key, rest in numbers.items()},
            "equals": {**_RATIO_OR_NUMBER, "description": "The value; a ratio also fixes n."},
            "where": _WHERE,
        },
        "required": ["on"],
        "oneOf": [
            {"required": ["above"]},
            {"required": ["equals"]},
            {"anyOf": [{"required": ["at_least"]}, {"required": ["at_most"]}]},
        ],
        "dependentRequired": {"alpha": ["above"], "within": ["equals"]},
        "additionalProperties": False,
    }


def _reference() -> Schema:
    return {
        "type": "object",
        "properties": {
            "on": {**_TEXT, "description": "What is measured: evaluation/metric."},
            "measure": {**_TEXT, "description": "Name of the measure (default: the main one)."},
            "where": _WHERE,
            "value": {**_RATIO_OR_NUMBER, "description": "The published value."},
            "n": {"type": "integer", "minimum": 0, "description": "Answers it rests on."},
            "source": {**_TEXT, "description": "Where it was published."},
        },
        "required": ["on", "value"],
        "additionalProperties": False,
    }
