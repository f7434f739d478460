"""Cards: what a run has on record of metrics, finders, evaluations, models and datasets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from iibench.report import page as pages
from iibench.report.shared.cards import UNKNOWN, Card, card_href, cards
from tests.report.conftest import Kept, SyntheticRun, make_case, make_run
from tests.report.directions.test_page import Page

RECORD: dict[str, Any] = {
    "name": "lpips",
    "summary": "minus LPIPS",
    "definition": "The sum over taps of `w <d>` squared.",
    "version": "3",
    "citation": "Zhang et al. 2018",
    "bibtex": "@inproceedings{zhang2018, title={The {{Unreasonable}} <Effectiveness>}}",
    "licence": "BSD-2-Clause",
    "params": {"net": "alex", "resize": None},
    "parameters": [
        {"name": "net", "type": "str", "default": "alex", "help": "the network"},
        {"name": "resize", "type": "int | None", "default": None, "help": "side in pixels"},
    ],
    "plugin": "lpips",
    "assets": ["lpips-backbone-alex", "never-used"],
    "level": "mid",
    "distance": "squared_euclidean",
    "range": "(-inf, 0]",
    "size": 64,
    "fingerprint": "f" * 64,
}


@pytest.fixture(scope="module")
def run() -> SyntheticRun:
    rng = np.random.default_rng(0)
    labels = ("lpips", "lpips[0]", "lpips[1]", "color")
    cases = [make_case("pca", metric, rng.normal(size=5)) for metric in labels]
    cases += [
        make_case("pca", "lpips", rng.random(5), f"insilico[difficulty={d}]") for d in (0, 0.2)
    ]
    found = make_run(cases)
    found.meta["metrics"]["lpips"] = {**RECORD, "part": None}
    for part in ("0", "1"):
        found.meta["metrics"][f"lpips[{part}]"] = {**RECORD, "part": part}
    found.meta["plugins"] = [
        {"name": "lpips", "distribution": "iibench", "version": "0.1.0", "sha256": "b" * 64}
    ]
    found.meta["assets"] = {"lpips-backbone-alex": {"filename": "a.ckpt", "sha256": "e" * 64}}
    found.meta["finders"] = {"pca": {"name": "pca"}}
    return found


def card(run: SyntheticRun, kind: str, label: str) -> Card:
    return next(c for _, found in cards(run) for c in found if c.kind == kind and label in c.labels)


def test_a_card_holds_what_is_on_record(run: SyntheticRun) -> None:
    found = card(run, "metric", "lpips")
    facts = dict(found.facts)
    assert found.summary == RECORD["summary"] and found.definition == RECORD["definition"]
    assert found.citation == RECORD["citation"] and found.bibtex == RECORD["bibtex"]
    assert facts["Version"] == "3" and facts["Licence"] == "BSD-2-Clause"
    assert facts["Plugin"] == f"lpips (iibench 0.1.0), SHA-256 of its source {'b' * 64}"
    assert facts["Fingerprint"] == "f" * 64 and facts["Size of its input"] == "64 px"
    assert [(p.name, p.value, p.default) for p in found.parameters] == [
        ("net", "alex", "alex"),
        ("resize", "none", "none"),
    ]
    assert [(a.name, a.filename, a.sha256) for a in found.assets] == [
        ("lpips-backbone-alex", "a.ckpt", "e" * 64),
        ("never-used", UNKNOWN, f"{UNKNOWN}: this run did not use it"),
    ]


def test_parts_and_difficulties_share_a_card(run: SyntheticRun) -> None:
    assert card(run, "metric", "lpips[1]").labels == ("lpips", "lpips[0]", "lpips[1]")
    found = card(run, "evaluation", "insilico[difficulty=0.2]")
    assert found.labels == ("insilico[difficulty=0]", "insilico[difficulty=0.2]")
    values = {p.name: p.value for p in found.parameters}
    assert values["difficulty"] == "0.0, 0.2" and values["trials"] == "20"


def test_what_is_missing_is_said_not_guessed(run: SyntheticRun) -> None:
    facts = dict(card(run, "finder", "pca").facts)
    assert set(facts.values()) == {UNKNOWN}
    assert dict(card(run, "metric", "color").facts)["Plugin"] == UNKNOWN
    bare = make_run([make_case("pca", "lpips", [0.1, 0.2])])
    for kind in ("metrics", "finders", "evaluations", "models", "datasets"):
        bare.meta[kind] = {}
    assert cards(bare) == []
    assert 'href="#card/' not in pages.render(bare, Kept())


def test_every_name_leads_to_its_card(run: SyntheticRun) -> None:
    from urllib.parse import unquote

    html = pages.render(run, Kept())
    page = Page(html)
    ids = {a["id"] for _, a in page.elements if a.get("id")}
    links = {
        a["href"] or "" for _, a in page.elements if (a.get("href") or "").startswith("#card/")
    }
    assert {unquote(link[1:]) for link in links} <= ids
    for kind, label in (
        ("metric", "lpips[0]"),
        ("metric", "color"),
        ("finder", "pca"),
        ("model", "net"),
        ("dataset", "toy"),
        ("evaluation", "ii"),
    ):
        assert card_href(kind, label) in links
    assert "<Effectiveness>" in page.text and "<Effectiveness>" not in html
    assert "The sum over taps of <code>w &lt;d&gt;</code> squared." in html


def test_links_are_percent_encoded() -> None:
    assert card_href("metric", 'a[b="1/2"] <x>#') == (
        "#card/metric/a%5Bb%3D%221%2F2%22%5D%20%3Cx%3E%23"
    )
