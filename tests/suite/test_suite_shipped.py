"""The suites that ship with iibench load against the real plugins."""

from __future__ import annotations

import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

from iibench.hooks.loading import load_plugins
from iibench.suite.collect import collect
from iibench.suite.jsonschema import suite_schema
from iibench.suite.load import load_suite, shipped_suites
from iibench.suite.registry import Registry
from iibench.suite.yaml_lines import parse


@pytest.fixture(scope="module")
def real() -> Registry:
    return load_plugins().registry


@pytest.mark.parametrize("name", shipped_suites())
def test_shipped_suites_load_and_validate(real: Registry, name: str) -> None:
    suite = load_suite(name, real)
    assert suite.name == name
    assert suite.expectations
    assert collect(suite, real)
    validator = Draft202012Validator(suite_schema(real))
    assert [error.message for error in validator.iter_errors(parse(suite.text, name).value)] == []


def test_the_papers_suite_is_the_papers_setting(real: Registry) -> None:
    suite = load_suite("cifar_layer1", real)
    assert (suite.dataset.label, suite.fallback.label) == ("cifar10", "photo_patches")
    assert [c.label.partition(",")[0].rstrip("]") for c in suite.finders] == [
        *("random[k=256", "neurons", "pca", "ica", "nmf"),
        *("kmeans[k=128", "kmeans[k=256", "kmeans[k=512", "sae[z=512"),
    ]
    assert len(suite.metrics) == 9
    ids = [case.tail for case in collect(suite, real) if case.finder.name == "neurons"]
    assert len(ids) == 9 + 3 * 11
    assert {e.dataset for e in suite.expectations} == {"cifar10", "photo_patches"}


def test_reading_suites_imports_nothing_heavy() -> None:
    code = (
        "import sys; from iibench.suite.registry import Registry; "
        "import iibench.suite.load, iibench.suite.select, iibench.suite.jsonschema; "
        "import iibench.results.verdicts; from iibench.suite.load import shipped_suites; "
        "shipped_suites(); "
        "heavy = {'torch', 'scipy', 'pandas', 'numpy', 'pydantic', 'PIL'} & set(sys.modules); "
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
