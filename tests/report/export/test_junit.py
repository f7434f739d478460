"""JUnit XML under the rules of Jenkins's schema (junit-10.xsd), checked element by element."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from iibench.report.export import export
from iibench.results.run import Run

#: element -> (allowed attributes, required ones, allowed children)
RULES = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, set(), {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
        {"name", "tests", "failures", "errors"},
        {"properties", "testcase"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, {"name", "value"}, set()),
    "testcase": (
        {"classname", "name", "time"},
        {"classname", "name"},
        {"skipped", "failure", "error", "system-out"},
    ),
    "skipped": ({"message"}, set(), set()),
    "failure": ({"message", "type"}, set(), set()),
    "error": ({"message", "type"}, set(), set()),
    "system-out": (set(), set(), set()),
}


def parsed(run: Run) -> ElementTree.Element:
    return ElementTree.fromstring(export(run, "junit"))


def test_follows_the_schema(any_run: Run) -> None:
    root = parsed(any_run)
    assert root.tag == "testsuites"
    for element in root.iter():
        allowed, required, children = RULES[element.tag]
        assert set(element.attrib) <= allowed and required <= set(element.attrib), element.attrib
        assert {child.tag for child in element} <= children
        for name in {"time"} & set(element.attrib):
            assert re.fullmatch(r"\d+\.\d+", element.attrib[name])
        for name in {"tests", "failures", "errors", "skipped"} & set(element.attrib):
            assert element.attrib[name].isdigit()
        if element.tag == "properties":
            assert len(element)


def test_counts_are_those_of_the_cases(any_run: Run) -> None:
    root = parsed(any_run)
    for suite in root:
        assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
        for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(count, "")) == len(suite.findall(f"testcase/{tag}"))
    for count in ("tests", "failures", "errors"):
        total = sum(int(suite.get(count, "")) for suite in root)
        assert int(root.get(count, "")) == total
    expected = len(any_run.reports) + len(any_run.verdicts)
    assert int(root.get("tests", "")) == expected


def test_cases_and_their_outcomes(directions: Run) -> None:
    root = parsed(directions)
    suite = next(s for s in root if s.get("name") == "toy/net/layer1")
    cases = {case.get("name"): case for case in suite.findall("testcase")}
    assert cases["neurons/lpips/ii"].get("classname") == "toy.net.layer1"
    assert cases["neurons/lpips/ii"].get("time") == "0.250"
    assert [child.tag for child in cases["neurons/lpips/ii"]] == ["system-out"]
    assert cases["ica/color/ii"].find("skipped").get("message") == "no weights"  # type: ignore
    failure = cases["kmeans[k=30]/color/ii"].find("failure")
    assert failure is not None and failure.get("message") == "expected at least 3"
    assert failure.text == "expected at least 3\nfound 2"
    error = cases["nmf/color/ii"].find("error")
    assert error is not None and error.text == "it broke\nTr\ufffdace"


def test_expectations_are_a_suite(directions: Run) -> None:
    suite = next(s for s in parsed(directions) if s.get("name") == "expectations")
    outcomes = {c.get("name"): [child.tag for child in c] for c in suite.findall("testcase")}
    assert outcomes == {
        "kmeans is better": ["system-out"],
        "kmeans is at least 3": ["failure"],
        "of another dataset": ["skipped"],
    }


def test_properties_hold_seed_versions_and_means(directions: Run) -> None:
    suite = next(s for s in parsed(directions) if s.get("name") == "toy/net/layer1")
    found = {p.get("name"): p.get("value") for p in suite.findall("properties/property")}
    assert found["seed"] == "0" and found["version: torch"] == "2.14"
    case = next(c for c in directions.cases if c.finder.name == "neurons")
    assert case.summary is not None
    for name in ("mean", "low", "high"):
        assert float(found[f"{name}: {case.id}"] or "") == getattr(case.summary, name)


def test_markup_in_names_stays_text(evil: Run) -> None:
    names = [case.get("name", "") for case in parsed(evil).iter("testcase")]
    assert any('<img src=x onerror="hacked()">|a_b%c&d$e' in name for name in names)
