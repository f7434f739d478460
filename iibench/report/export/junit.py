"""JUnit XML as Jenkins reads it: a case is a test case, a comparable table a test suite.

Every suite's properties hold the run's seed and versions and, for each case, its mean with its interval
(`mean: ID`, `low: ID`, `high: ID`), of an analysis those of its
measures (`spearman: ID`, `spearman low: ID`). Expectations make up a last suite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from iibench.report.export.escape import xml_text
from iibench.report.export.tables import real

if TYPE_CHECKING:
    from iibench.contract.reports import Report, Verdict
    from iibench.results.run import Run

#: status of a case or an expectation -> the element that says so
OUTCOMES = {"failed": "failure", "error": "error", "skipped": "skipped"}


def write(run: Run) -> bytes:
    """Cases and expectations of `run` as UTF-8 XML."""
    root = ElementTree.Element("testsuites", name=xml_text(str(run.meta.get("name", ""))))
    grouped: dict[str, list[Report]] = {}
    for report in run.reports:
        grouped.setdefault("/".join(report.place.values()), []).append(report)
    for name, reports in grouped.items():
        root.append(_suite(run, name, reports))
    if run.verdicts:
        root.append(_expectations(run, run.verdicts))
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    seconds = sum(sum(report.seconds.values()) for report in run.reports)
    root.set("time", _seconds(seconds))
    ElementTree.indent(root)
    found: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return found + b"\n"


def _suite(run: Run, name: str, reports: Sequence[Report]) -> ElementTree.Element:
    suite = _bare_suite(run, name, [report.status for report in reports])
    suite.set("time", _seconds(sum(sum(report.seconds.values()) for report in reports)))
    properties = _properties(suite, run.meta)
    for report in reports:
        for what, value in _numbers(report).items():
            _property(properties, f"{what}: {report.id}", repr(value))
    for report in reports:
        _case(suite, report)
    return suite


def _case(suite: ElementTree.Element, report: Report) -> None:
    element = ElementTree.SubElement(
        suite,
        "testcase",
        classname=xml_text(_class_name(report)),
        name=xml_text(_test_name(report)),
        time=_seconds(sum(report.seconds.values())),
    )
    _outcome(element, report.status, report.reason, report.traceback)
    summary = report.summary
    if report.is_analysis:
        numbers = ", ".join(f"{what} {value!r}" for what, value in _numbers(report).items())
        ElementTree.SubElement(element, "system-out").text = xml_text(
            f"{numbers}; seed {report.seed}"
        )
    elif summary is not None and summary.mean is not None:
        numbers = ", ".join(f"{what} {value!r}" for what, value in _numbers(report).items())
        text = f"{numbers}; {summary.scored} of {summary.n} units scored; seed {report.seed}"
        ElementTree.SubElement(element, "system-out").text = xml_text(text)


def _class_name(report: Report) -> str:
    """Where it was measured, with dots, which viewers fold into a tree; dots of labels become `_`."""
    return ".".join(label.replace(".", "_") for label in report.place.values())


def _test_name(report: Report) -> str:
    chosen = report.choices
    return "/".join(chosen[k].label for k in ("finder", "metric", "evaluation") if k in chosen)


def _expectations(run: Run, verdicts: Sequence[Verdict]) -> ElementTree.Element:
    suite = _bare_suite(run, "expectations", [verdict.status for verdict in verdicts])
    suite.set("time", _seconds(0))
    _properties(suite, run.meta)
    for verdict in verdicts:
        element = ElementTree.SubElement(
            suite,
            "testcase",
            classname="expectations",
            name=xml_text(verdict.text),
            time=_seconds(0),
        )
        _outcome(element, verdict.status, verdict.detail, verdict.case)
        if verdict.status == "passed":
            ElementTree.SubElement(element, "system-out").text = xml_text(verdict.detail)
    return suite


def _bare_suite(run: Run, name: str, statuses: Sequence[str]) -> ElementTree.Element:
    attributes = {
        "name": name,
        "tests": str(len(statuses)),
        "failures": str(statuses.count("failed")),
        "errors": str(statuses.count("error")),
        "skipped": str(statuses.count("skipped")),
    }
    started = str(run.meta.get("started") or "")[:19]
    if started:
        attributes["timestamp"] = started
    return ElementTree.Element("testsuite", {k: xml_text(v) for k, v in attributes.items()})


def _properties(suite: ElementTree.Element, meta: Mapping[str, Any]) -> ElementTree.Element:
    element = ElementTree.SubElement(suite, "properties")
    _property(element, "seed", str(meta.get("seed")))
    for name, version in (meta.get("versions") or {}).items():
        _property(element, f"version: {name}", str(version))
    return element


def _property(properties: ElementTree.Element, name: str, value: str) -> None:
    ElementTree.SubElement(properties, "property", name=xml_text(name), value=xml_text(value))


def _outcome(
    element: ElementTree.Element, status: str, reason: str | None, detail: str | None
) -> None:
    """Says that it did not pass: the first line of the reason as message, all of it as text."""
    name = OUTCOMES.get(status)
    if name is None:
        return
    message = (reason or "no reason is recorded").strip()
    found = ElementTree.SubElement(element, name, message=xml_text(message.split("\n")[0]))
    if name != "skipped":
        found.set("type", "expectation" if name == "failure" else "case")
    found.text = xml_text("\n".join(filter(None, [message, detail])))


def _numbers(report: Report) -> dict[str, float]:
    """mean, low and high, as far as there are any; of an analysis, its measures of everything."""
    if report.is_analysis:
        named = {
            f"{measure.name}{suffix}": real(value)
            for measure in report.measures
            if not measure.group
            for suffix, value in (
                ("", measure.value),
                (" low", measure.low),
                (" high", measure.high),
            )
        }
        return {name: value for name, value in named.items() if value is not None}
    summary = report.summary
    found = (
        {} if summary is None else {n: real(getattr(summary, n)) for n in ("mean", "low", "high")}
    )
    return {name: value for name, value in found.items() if value is not None}


def _seconds(value: float) -> str:
    return f"{value:.3f}"
