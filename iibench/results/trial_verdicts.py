"""Judges a suite's expectations about people's answers on the reports of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from iibench.contract.errors import nearest
from iibench.contract.measures import Measure
from iibench.contract.reports import TrialReport, Verdict
from iibench.suite.cases import DatasetChoice, full_label
from iibench.suite.schema import TrialExpectation

Outcome = tuple[Literal["passed", "failed", "skipped"], str]


def judge_trials(
    expectations: Sequence[TrialExpectation],
    reports: Sequence[TrialReport],
    dataset: DatasetChoice,
) -> list[Verdict]:
    """What became of each expectation: bounds, equality, or a paired one-sided test against a metric.

    The test takes the normal approximation with the deviation of the difference over the resamples of
    units that both metrics share. An expectation is skipped, with the reason, where it is about another
    dataset, or a case it needs was not run, was skipped or failed, or the number is undefined.
    """
    return list(_verdicts(expectations, reports, dataset))


def _verdicts(
    expectations: Sequence[TrialExpectation],
    reports: Sequence[TrialReport],
    dataset: DatasetChoice,
) -> Iterator[Verdict]:
    by_name = {
        (report.evaluation.label, report.metric.label if report.metric else None): report
        for report in reports
    }
    for expectation in expectations:
        text = sentence(expectation)
        report = by_name.get((expectation.evaluation, expectation.metric))
        if expectation.dataset not in (full_label(dataset), dataset.name):
            detail = f"it is about {expectation.dataset}; {dataset.label} was used"
            outcome: Outcome = ("skipped", detail)
        elif report is None:
            outcome = ("skipped", f"{expectation.on} was not run in this selection of cases")
        elif report.status in ("skipped", "error"):
            outcome = (
                "skipped",
                f"{expectation.on} was not scored: {_first_line(report)}",
            )
        elif expectation.above is not None:
            rival = by_name.get((expectation.evaluation, expectation.above))
            outcome = _compared(expectation, report, rival)
        else:
            outcome = _bounded(expectation, report)
        yield Verdict(text, *outcome, dataset.label, report.id if report else None)


def sentence(expectation: TrialExpectation) -> str:
    """The expectation in words: its own text, or one made of its names and numbers."""
    if expectation.text:
        return expectation.text
    what = expectation.measure or "the main measure"
    group = ", ".join(f"{key} {value}" for key, value in expectation.where)
    subject = f"{what} of {expectation.on}" + (f" for {group}" if group else "")
    if expectation.above is not None:
        return f"{subject} is above that of {expectation.above}"
    if expectation.equals is not None:
        return f"{subject} is {expectation.equals:.10g}"
    bounds = (("at least", expectation.at_least), ("at most", expectation.at_most))
    return f"{subject} is " + " and ".join(f"{w} {b:g}" for w, b in bounds if b is not None)


def find_measure(report: TrialReport, name: str | None, where: Mapping[str, str]) -> Measure | None:
    """The measure of that name (the headline for None) for exactly the group `where`."""
    wanted = name or report.headline
    return next((m for m in report.measures if m.name == wanted and m.group == where), None)


def _bounded(expectation: TrialExpectation, report: TrialReport) -> Outcome:
    measure = find_measure(report, expectation.measure, dict(expectation.where))
    if measure is None:
        return "failed", _missing(expectation, report)
    if measure.value is None:
        return "skipped", f"undefined: {measure.reason}"
    value, low, high = measure.value, expectation.at_least, expectation.at_most
    found = f"{value:.10g}" + _interval(measure) + f", n = {measure.n:,}"
    if expectation.equals is not None:
        off = abs(value - expectation.equals)
        holds = off <= expectation.within and expectation.of in (None, measure.n)
        of = "" if expectation.of is None else f" of {expectation.of:,}"
        wanted = f"exactly {expectation.equals:.10g}{of}"
        if expectation.within:
            wanted = f"{expectation.equals:.10g} within {expectation.within:g}{of}"
    else:
        holds = (low is None or value >= low) and (high is None or value <= high)
        bounds = (("at least", low), ("at most", high))
        wanted = " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
    return ("passed" if holds else "failed"), f"{found}; expected {wanted}"


def _compared(
    expectation: TrialExpectation, report: TrialReport, rival: TrialReport | None
) -> Outcome:
    from scipy.special import ndtr

    on = f"{expectation.evaluation}/{expectation.above}"
    if rival is None:
        return "skipped", f"{on} was not run in this selection of cases"
    if rival.status in ("skipped", "error"):
        return "skipped", f"{on} was not scored: {_first_line(rival)}"
    if expectation.where or expectation.measure not in (None, report.headline):
        return "failed", f"only {report.headline} of all answers can be compared between metrics"
    ours, theirs = (find_measure(r, None, {}) for r in (report, rival))
    if ours is None or theirs is None or ours.value is None or theirs.value is None:
        return "skipped", f"{report.headline} is undefined"
    pairs = zip(report.resampled, rival.resampled, strict=True)
    drawn = [a - b for a, b in pairs if a is not None and b is not None]
    if len(drawn) < 2:
        return "skipped", "there are no resamples to compare"
    difference, mean = ours.value - theirs.value, sum(drawn) / len(drawn)
    sd = math.sqrt(sum((d - mean) ** 2 for d in drawn) / (len(drawn) - 1))
    p = float(ndtr(-difference / sd)) if sd > 0 else float(difference <= 0)
    detail = (
        f"{report.headline} {ours.value:.4g} against {theirs.value:.4g} (n = {ours.n:,}); paired, "
        f"one-sided p = {p:.3g}, alpha = {expectation.alpha:g}"
    )
    return ("passed" if p < expectation.alpha else "failed"), detail


def _first_line(report: TrialReport) -> str:
    return (report.reason or "no reason").splitlines()[0]


def _missing(expectation: TrialExpectation, report: TrialReport) -> str:
    wanted = expectation.measure or report.headline
    names = {m.name for m in report.measures}
    if wanted not in names:
        return f"there is no measure {wanted!r}; nearest: {', '.join(nearest(wanted, names))}"
    groups = {_group(m.group): m for m in report.measures if m.name == wanted}
    text = _group(dict(expectation.where))
    close = nearest(text, groups) or list(groups)[:3]
    return f"there is no group {text!r}; nearest: {'; '.join(close)}"


def _group(group: Mapping[str, str]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in group.items()) or "all"


def _interval(measure: Measure) -> str:
    if measure.low is None or measure.high is None:
        return ""
    return f" [{measure.low:.4g}, {measure.high:.4g}]"
