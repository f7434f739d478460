"""What first-party plugins say of themselves: a definition each, and BibTeX wherever there is a citation."""

from __future__ import annotations

import re
from typing import Any

import pytest

from iibench.hooks.loading import load_plugins
from iibench.report.export.bibtex import parse
from iibench.report.export.software import PAPER
from iibench_plugins._shared import bibliography as _bibliography
from tests.report.export.test_bibtex import read

SECTIONS = ("datasets", "models", "finders", "metrics", "evaluations")
REGISTRY = load_plugins(environ="", entry_points=False).registry
SPECS = [
    pytest.param(entry.spec, id=f"{section}.{entry.spec.name}")
    for section in SECTIONS
    for entry in getattr(REGISTRY, section)
]
BIBLIOGRAPHY = {
    name: value for name, value in vars(_bibliography).items() if name.isupper() and name[0] != "_"
}


@pytest.mark.parametrize("spec", SPECS)
def test_every_spec_has_a_definition(spec: Any) -> None:
    text = spec.definition
    assert 60 < len(text) < 1100, len(text)
    assert text == " ".join(text.split()) and text.endswith(".")
    assert len(re.findall(r"[.:;] |\.$", text)) >= 1


@pytest.mark.parametrize("spec", SPECS)
def test_every_citation_has_bibtex(spec: Any) -> None:
    assert bool(spec.bibtex) >= bool(spec.citation)
    found = read(spec.bibtex)
    assert bool(found) == bool(spec.bibtex)
    for year in re.findall(r"\b(?:19|20)\d\d\b(?!\.)", spec.citation):
        if f"{year[:2]}10.{year[2:]}" not in spec.citation:
            assert any(fields.get("year") == year for _, fields in found.values()), (
                year,
                spec.citation,
            )


def test_metrics_say_which_way_is_more_alike() -> None:
    for entry in REGISTRY.metrics:
        name = entry.spec.name
        text = entry.spec.definition
        assert "Similarity" in text, name
        if entry.spec.level != "control":
            assert "larger is more alike" in text.lower() or name in {"label"}, name


def test_finders_say_what_direction_and_response_are() -> None:
    for entry in REGISTRY.finders:
        name = entry.spec.name
        assert re.search("direction", entry.spec.definition), name
        assert re.search("response|projection", entry.spec.definition), name


def test_the_bibliography_is_ascii_and_whole() -> None:
    keys: set[str] = set()
    for name, text in BIBLIOGRAPHY.items():
        assert text.isascii(), name
        ((key, (_, fields)),) = read(text).items()
        assert {"author", "title", "year"} <= set(fields), name
        assert fields["year"] in name or name.isalpha() or "_" in name, name
        assert key not in keys
        keys.add(key)


def test_the_paper_stands_once() -> None:
    (ours,), (plugins,) = parse(PAPER), parse(_bibliography.KLINDT2023)
    assert ours.key == plugins.key and ours.content == plugins.content
