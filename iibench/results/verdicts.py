"""Judges a suite's expectations on the reports of a run. Works on results, so it stands above suites.

Notation: x (n_x,) and y (n_y,) are the scored units of the two finders; U is the Mann-Whitney statistic of
x, the number of pairs with x_i > y_j, ties counting one half.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from iibench.contract.errors import unknown_name
from iibench.contract.reports import CaseReport, Verdict
from iibench.suite.cases import DatasetChoice, full_label
from iibench.suite.schema import Expectation

__all__ = ["Expectation", "judge", "sentence"]

Outcome = tuple[Literal["passed", "failed", "skipped"], str]


def judge(
    expectations: Sequence[Expectation], reports: Sequence[CaseReport], dataset: DatasetChoice
) -> list[Verdict]:
    """What became of each expectation: a verdict per model and layer that it speaks of.

    `above` is a one-sided Mann-Whitney U test of the units' scores, `at_least` and `at_most` bound
    their mean. An expectation is skipped, with the reason, where it is about another dataset than
    `dataset` or a case it needs was not run, was skipped, failed, or has no scored unit.
    """
    return [
        verdict
        for expectation in expectations
        for verdict in _verdicts(expectation, reports, dataset)
    ]


def sentence(expectation: Expectation) -> str:
    """The expectation in words: its own text, or one made of its names and numbers."""
    if expectation.text:
        return expectation.text
    if expectation.above is not None:
        return f"{expectation.finder} scores above {expectation.above} on {expectation.on}"
    wanted = _wanted(expectation)
    if expectation.analysis:
        wanted += ", with its whole interval" if expectation.interval else ""
        name = expectation.measure or "the main measure"
        return f"{name} of {expectation.finder} on {expectation.on} is {wanted}"
    return f"the mean of {expectation.finder} on {expectation.on} is {wanted}"


def _wanted(expectation: Expectation) -> str:
    bounds = (("at least", expectation.at_least), ("at most", expectation.at_most))
    return " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)


def _verdicts(
    expectation: Expectation, reports: Sequence[CaseReport], dataset: DatasetChoice
) -> Iterator[Verdict]:
    blank = Verdict(
        sentence(expectation),
        "skipped",
        "",
        dataset.label,
        figure=expectation.figure,
        published=expectation.published,
        not_testable=bool(expectation.not_testable),
    )
    if expectation.not_testable:
        yield replace(blank, detail=f"not testable here: {expectation.not_testable}")
        return
    if full_label(dataset) != expectation.dataset:
        yield replace(blank, detail=f"it is about {expectation.dataset}; {dataset.label} was used")
        return
    places: dict[tuple[str, str], dict[str, CaseReport]] = {}
    for report in reports:
        if _concerns(expectation, report, dataset):
            places.setdefault((report.model.label, report.layer), {})[report.finder.label] = report
    if not places:
        wanted = f"{expectation.finder} on {expectation.on}"
        yield replace(blank, detail=f"{wanted} was not run in this selection of cases")
        return
    for (model, layer), found in places.items():
        where = f" ({model}, {layer})" if len(places) > 1 else ""
        subject, other = found.get(expectation.finder), found.get(expectation.above or "")
        status, detail = _outcome(expectation, found)
        yield replace(
            blank,
            text=blank.text + where,
            status=status,
            detail=detail,
            case=subject.id if subject else None,
            against=other.id if other else None,
            measure=expectation.measure or (subject.headline if subject else ""),
        )


def _concerns(expectation: Expectation, report: CaseReport, dataset: DatasetChoice) -> bool:
    metric = None if report.metric is None else report.metric.label
    return (
        report.dataset == dataset.label
        and report.evaluation.label == expectation.evaluation
        and metric == expectation.metric
        and report.finder.label in (expectation.finder, expectation.above)
        and expectation.model in (None, report.model.label)
        and expectation.layer in (None, report.layer)
    )


def _outcome(expectation: Expectation, found: dict[str, CaseReport]) -> Outcome:
    """The verdict at one model and layer, where `found` are the reports by finder."""
    scores: list[list[float]] = []
    for finder in (expectation.finder, expectation.above):
        if finder is None:
            continue
        report = found.get(finder)
        if report is None:
            return "skipped", f"{finder} on {expectation.on} was not run in this selection of cases"
        if report.status in ("skipped", "error"):
            word = "was skipped" if report.status == "skipped" else "ended in an error"
            return "skipped", f"{finder} on {expectation.on} {word}: {report.reason or 'no reason'}"
        if report.is_analysis:
            return _measured(expectation, report)
        scores.append([score for score in report.scores if score is not None])
        if not scores[-1]:
            return "skipped", f"{finder} on {expectation.on} has no scored unit"
    if expectation.above is not None:
        return _compared(expectation, scores[0], scores[1])
    return _bounded(expectation, scores[0])


def _measured(expectation: Expectation, report: CaseReport) -> Outcome:
    """The verdict on a measure of an analysis."""
    name = expectation.measure or report.headline
    measure = next((m for m in report.measures if m.name == name and not m.group), None)
    if measure is None:
        known = list(dict.fromkeys(m.name for m in report.measures if not m.group))
        return "failed", f"{unknown_name('measure', name, known)}; there are {', '.join(known)}"
    if measure.value is None:
        return "skipped", f"{name} is undefined: {measure.reason}"
    found = f"{name} {measure.value:.4g}"
    ends = (measure.value, measure.value)
    if measure.low is not None and measure.high is not None:
        found += f" [{measure.low:.4g}, {measure.high:.4g}]"
        ends = (measure.low, measure.high) if expectation.interval else ends
    elif expectation.interval:
        return "skipped", f"{found} has no interval"
    low, high = expectation.at_least, expectation.at_most
    holds = (low is None or ends[0] >= low) and (high is None or ends[1] <= high)
    whole = ", the whole interval" if expectation.interval else ""
    detail = f"{found}, n = {measure.n:,}; expected {_wanted(expectation)}{whole}"
    return ("passed" if holds else "failed"), detail


def _compared(expectation: Expectation, x: list[float], y: list[float]) -> Outcome:
    from scipy.stats import mannwhitneyu

    u, p = mannwhitneyu(x, y, alternative="greater")
    numbers = (
        f"mean {_mean(x):.4g} (n = {len(x)}) against {_mean(y):.4g} (n = {len(y)}); "
        f"Mann-Whitney U = {u:g}, one-sided p = {p:.3g}, alpha = {expectation.alpha:g}"
    )
    return ("passed" if p < expectation.alpha else "failed"), numbers


def _bounded(expectation: Expectation, x: list[float]) -> Outcome:
    mean = _mean(x)
    low, high = expectation.at_least, expectation.at_most
    holds = (low is None or mean >= low) and (high is None or mean <= high)
    detail = f"mean {mean:.4g} over {len(x)} scored units; expected {_wanted(expectation)}"
    return ("passed" if holds else "failed"), detail


def _mean(x: list[float]) -> float:
    return sum(x) / len(x)
