"""The JSON Schema of suites: it accepts what loads, and refuses what is plainly wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from iibench.suite.jsonschema import suite_schema
from iibench.suite.registry import Registry
from iibench.suite.yaml_lines import parse


def errors(registry: Registry, text: str) -> list[str]:
    validator = Draft202012Validator(suite_schema(registry))
    return [error.message for error in validator.iter_errors(parse(text, "t").value)]


def test_the_schema_is_one(registry: Registry) -> None:
    schema = suite_schema(registry)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"]
    assert json.loads(json.dumps(schema)) == schema
    k = schema["$defs"]["finder-kmeans"]["properties"]["k"]
    assert k["default"] == 256
    assert k["description"] == "number of clusters (integer >= 1)"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("k: [128, 256]", "k: 3"),
        ("- neurons", "- {name: sae, l1: [1e-3, 1], widths: [1, 2], note: [null, x]}"),
        ("- neurons", "- {name: sae, widths: [[1, 2], [3]]}"),
        ("- neurons", "- 'kmeans[k=3]'"),
        ("name: net", "name: hub:resnet18\n    weights: none"),
        ("name: digits", "name: folder\n  path: x\n  size: null"),
        ("- sparsity", "- sparsity\nexpect:\n  - {on: ii/color, finder: kmeans, above: neurons}"),
        ("parts: all", "parts: [sum, 3]"),
    ],
)
def test_suites_that_load_validate(
    registry: Registry, load: Any, suite_text: str, old: str, new: str
) -> None:
    text = suite_text.replace(old, new, 1)
    assert load(text).name == "tiny"
    assert errors(registry, text) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"1"', "1"),
        ("seed: 5", "seed: x"),
        ("seed: 5", "sead: 5"),
        ("- neurons", "- neuron"),
        ("- neurons", "- {name: neuron}"),
        ("- neurons", "- {k: 3}"),
        ("k: [128, 256]", "kk: 3"),
        ("k: [128, 256]", 'k: "256"'),
        ("k: [128, 256]", "k: [128, 0]"),
        ("k: [128, 256]", "k: []"),
        ("k: [128, 256]", "response: cosin"),
        ("[0, 0.05]", "0.5"),
        ("name: digits", "name: folder"),
        ("n: 10", "n: [10]"),
        ("[mean, max]", "[mean, min]"),
        ("name: net", "name: hub"),
        ("    layers: [early, {path: layer2, pool: [mean, max]}]\n", ""),
        ("- sparsity", "- sparsity\nexpect:\n  - {on: ii/color, finder: kmeans}"),
        ("- sparsity", "- sparsity\nexpect:\n  - {on: ii/color, finder: x, above: y, at_least: 0}"),
        ("evaluations:", "evaluation:"),
    ],
)
def test_wrong_suites_do_not(
    registry: Registry, problems: Any, suite_text: str, old: str, new: str
) -> None:
    assert old in suite_text
    text = suite_text.replace(old, new, 1)
    assert problems(text)
    assert errors(registry, text)
