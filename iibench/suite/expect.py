"""Judges a suite's expectations on the reports of a run. Works on results, so it stands above suites.

Notation: x (n_x,) and y (n_y,) are the scored units of the two finders; U is the Mann-Whitney statistic of
x, the number of pairs with x_i > y_j, ties counting one half.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from iibench.records import CaseReport, Verdict
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
        Verdict(text, status, detail, dataset.label, case)
        for expectation in expectations
        for text, (status, detail), case in _verdicts(expectation, reports, dataset)
    ]


def sentence(expectation: Expectation) -> str:
    """The expectation in words: its own text, or one made of its names and numbers."""
    if expectation.text:
        return expectation.text
    if expectation.above is not None:
        return f"{expectation.finder} scores above {expectation.above} on {expectation.on}"
    bounds = (("at least", expectation.at_least), ("at most", expectation.at_most))
    wanted = " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
    return f"the mean of {expectation.finder} on {expectation.on} is {wanted}"


def _verdicts(
    expectation: Expectation, reports: Sequence[CaseReport], dataset: DatasetChoice
) -> Iterator[tuple[str, Outcome, str | None]]:
    text = sentence(expectation)
    if full_label(dataset) != expectation.dataset:
        yield (
            text,
            ("skipped", f"it is about {expectation.dataset}; {dataset.label} was used"),
            None,
        )
        return
    places: dict[tuple[str, str], dict[str, CaseReport]] = {}
    for report in reports:
        if _concerns(expectation, report, dataset):
            places.setdefault((report.model.label, report.layer), {})[report.finder.label] = report
    if not places:
        wanted = f"{expectation.finder} on {expectation.on}"
        yield text, ("skipped", f"{wanted} was not run in this selection of cases"), None
        return
    for (model, layer), found in places.items():
        where = f" ({model}, {layer})" if len(places) > 1 else ""
        subject = found.get(expectation.finder)
        yield text + where, _outcome(expectation, found), subject.id if subject else None


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
        scores.append([score for score in report.scores if score is not None])
        if not scores[-1]:
            return "skipped", f"{finder} on {expectation.on} has no scored unit"
    if expectation.above is not None:
        return _compared(expectation, scores[0], scores[1])
    return _bounded(expectation, scores[0])


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
    wanted = [f"at least {low:g}"] if low is not None else []
    wanted += [f"at most {high:g}"] if high is not None else []
    holds = (low is None or mean >= low) and (high is None or mean <= high)
    detail = f"mean {mean:.4g} over {len(x)} scored units; expected {' and '.join(wanted)}"
    return ("passed" if holds else "failed"), detail


def _mean(x: list[float]) -> float:
    return sum(x) / len(x)
