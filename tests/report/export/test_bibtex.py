"""BibTeX: every source once, in entries that a parser written from BibTeX's grammar reads."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iibench.report.export import export
from iibench.report.export.bibtex import parse
from iibench.results.run import Run

Parsed = dict[str, tuple[str, dict[str, str]]]


def read(text: str) -> Parsed:
    """Key -> (kind, fields). A parser of its own: characters one by one, braces counted."""
    found: Parsed = {}
    at = 0
    while (at := text.find("@", at)) >= 0:
        brace = text.index("{", at)
        kind = text[at + 1 : brace].strip().lower()
        assert kind.isalpha(), kind
        comma = text.index(",", brace)
        key = text[brace + 1 : comma].strip()
        assert key and not any(c in key for c in " {}\"#%'()=\\~,"), key
        assert key not in found, f"{key} twice"
        fields: dict[str, str] = {}
        at = comma + 1
        while True:
            while text[at] in " \n\t,":
                at += 1
            if text[at] == "}":
                break
            equals = text.index("=", at)
            name = text[at:equals].strip()
            assert name.isalpha(), name
            at = equals + 1
            while text[at] == " ":
                at += 1
            assert text[at] == "{", text[at : at + 20]
            start, depth = at + 1, 0
            while True:
                depth += (text[at] == "{") - (text[at] == "}")
                at += 1
                if depth == 0:
                    break
            fields[name] = text[start : at - 1]
        found[key] = (kind, fields)
        at += 1
    return found


def exported(run: Run) -> Parsed:
    head, _, rest = export(run, "bibtex").decode("utf-8").partition("\n")
    assert head.startswith("% ")
    return read(rest)


def with_records(run: Run, **sections: dict[str, dict[str, str]]) -> Run:
    return dataclasses.replace(run, meta={**run.meta, **sections})


def test_every_run_gives_whole_entries(any_run: Run) -> None:
    found = exported(any_run)
    assert found["klindt2023identifying"][1]["eprint"] == "2310.11431"
    for kind, fields in found.values():
        assert "title" in fields, fields
        assert kind == "software" or "year" in fields or "note" in fields


def test_software_has_the_versions_of_the_run(sample: Run) -> None:
    found = exported(sample)
    for name in ("iibench", "torch", "numpy", "scikit-learn"):
        kind, fields = found[f"software-{name}"]
        assert kind == "software" and fields["version"] == sample.meta["versions"][name]
    assert "software-python" not in found


def test_software_that_was_not_used_is_not_cited(directions: Run) -> None:
    assert {key for key in exported(directions) if key.startswith("software-")} == {
        "software-iibench",
        "software-torch",
    }


def test_entries_of_records_stand_once(directions: Run) -> None:
    one = "@article{a2020, title = {A}, year = {2020}}"
    two = "@article{b2020, title = {B}, year = {2020}}"
    run = with_records(
        directions,
        metrics={"m": {"bibtex": one}, "m[1]": {"bibtex": one.replace(", ", ",\n   ")}},
        finders={"f": {"bibtex": f"{two}\n\n{one}"}},
    )
    found = exported(run)
    assert found["a2020"][1]["title"] == "A" and found["b2020"][1]["title"] == "B"
    assert not [key for key in found if key.startswith(("a2020-", "b2020-"))]


def test_two_sources_under_one_key_are_both_kept(directions: Run) -> None:
    run = with_records(
        directions,
        metrics={
            "m": {"bibtex": "@misc{same, title = {One}, year = {1}}"},
            "n": {"bibtex": "@misc{same, title = {Two}, year = {2}}"},
            "o": {"bibtex": "@misc{SAME, title = {Three}, year = {3}}"},
        },
    )
    titles = {key: fields["title"] for key, (_, fields) in exported(run).items()}
    assert (titles["same"], titles["same-2"], titles["SAME-3"]) == ("One", "Two", "Three")


def test_a_citation_in_words_becomes_an_entry(directions: Run) -> None:
    run = with_records(
        directions,
        metrics={"odd[x=1]": {"name": "odd", "citation": "Müller & Söhne, 50 % {of} it"}},
    )
    kind, fields = exported(run)["iibench-metric-odd"]
    assert kind == "misc"
    assert fields["note"] == (
        r"M\"{u}ller \& S\"{o}hne, 50 \% \textbraceleft{}of\textbraceright{} it"
    )


@pytest.mark.parametrize("broken", ["@misc{a, title = {x}", "@misc{, title={x}}", "no entry", "@"])
def test_broken_bibtex_of_a_plugin_falls_back_on_its_citation(directions: Run, broken: str) -> None:
    run = with_records(
        directions, metrics={"m": {"name": "m", "citation": "In words", "bibtex": broken}}
    )
    assert exported(run)["iibench-metric-m"][1]["note"] == "In words"


@given(st.text(), st.text(st.sampled_from('@misc{}=,a \n\\"'), max_size=60))
def test_whatever_plugins_say_the_file_can_be_read(citation: str, bibtex: str) -> None:
    run = Run(
        folder=None,  # type: ignore[arg-type]
        meta={"name": citation, "metrics": {"m": {"citation": citation, "bibtex": bibtex}}},
        cases=(),
    )
    text = export(run, "bibtex").decode("utf-8")
    assert text.count("{") == text.count("}")
    for entry in parse(text.partition("\n")[2]):
        assert entry.text.startswith("@") and entry.text.endswith("}")
