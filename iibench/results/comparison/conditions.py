"""Conditions on the difference between two runs: `--fail-if "ii/lpips < -0.002"`.

A condition is `EVALUATION/METRIC/FINDER OP NUMBER`; finder, or metric and finder, may be left out. What is
held against the number is the difference of a case's means, B minus A; with bars, `|ii/lpips| > 0.001`,
its size. It holds where it does for any of the cases that it names.

A name stands for the label that is written so, or else for every label that has its name, its part and
the parameters it gives: `kmeans` for `kmeans[k=128]` and `kmeans[k=256]`, `lpips` for `lpips` and not for
its part `lpips[3]`. An evaluation's bare name stands for all its labels. `*` stands for any text.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from iibench.contract.errors import UsageError, nearest
from iibench.contract.reports import Report
from iibench.results.comparison.cases import CaseComparison, mean_of
from iibench.results.comparison.runs import RunComparison
from iibench.suite.labels import format_value, outside, read_label, read_value, split_outside

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
OPTION = "--fail-if"
EXPECTED = "EVALUATION[/METRIC[/FINDER]] OP NUMBER, such as 'ii/lpips < -0.002'"


@dataclass(frozen=True)
class Condition:
    """`text` as it was written; `absolute`: the size of the difference is held against `number`.

    `parts`: patterns of the labels of evaluation, metric and finder, as many as were given.
    """

    text: str
    parts: tuple[str, ...]
    absolute: bool
    operator: str
    number: float


@dataclass(frozen=True)
class Outcome:
    """What became of a condition: for each case that it holds for a sentence, and the cases looked at."""

    condition: Condition
    holds: tuple[str, ...]
    looked_at: int


def read_condition(text: str) -> Condition:
    """Takes a condition apart. Raises `UsageError` that says what is wrong with it."""
    left, op, right = _split(text)
    left, right = left.strip(), right.strip()
    absolute = len(left) > 1 and left[0] == left[-1] == "|"
    if absolute:
        left = left[1:-1].strip()
    elif "|" in (left[:1], left[-1:]):
        raise UsageError(
            f"{OPTION} {text!r}: found one bar; expected two, as in '|ii/lpips| > 0.001'"
        )
    try:
        number = float(right)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{OPTION} {text!r}: found {right!r} after {op}; expected a number")
    parts = tuple(part.strip() for part in split_outside(left, "/"))
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise UsageError(f"{OPTION} {text!r}: found {left!r} before {op}; expected {EXPECTED}")
    for part in parts:
        if "*" not in part:
            try:
                read_label(part)
            except UsageError as error:
                raise UsageError(f"{OPTION} {text!r}: {error}") from error
    return Condition(text.strip(), parts, absolute, op, number)


def judge_conditions(conditions: Sequence[Condition], found: RunComparison) -> list[Outcome]:
    """Puts each condition to the test.

    A case that has a score in A and none in B fails every condition that names it. Raises `UsageError`
    where a condition names no case that has a score in A.
    """
    return [_judge(condition, found) for condition in conditions]


def _judge(condition: Condition, found: RunComparison) -> Outcome:
    reports = [*(case.a for case in found.cases), *found.only_a]
    named = _named(condition.parts, [*reports, *found.only_b])
    scored = [report for report in reports if report.id in named and mean_of(report) is not None]
    if not scored:
        raise UsageError(f"{OPTION} {condition.text!r}: {_nothing(condition, found, named)}")
    both = {case.id: case for case in found.cases}
    judged = (_holds(condition, report, both.get(report.id)) for report in scored)
    return Outcome(condition, tuple(filter(None, judged)), len(scored))


def _holds(condition: Condition, a: Report, case: CaseComparison | None) -> str:
    """Why the condition holds for a case that is scored in A; "" where it does not."""
    if case is None:
        return f"{a.id}: scored in A, not in B"
    if case.mean_a is None or case.mean_b is None:
        return f"{a.id}: scored in A, {case.b.status} in B"
    difference = case.mean_b - case.mean_a
    value = abs(difference) if condition.absolute else difference
    if not OPERATORS[condition.operator](value, condition.number):
        return ""
    return f"{a.id}: {difference:+.6g} ({case.mean_a:.6g} in A, {case.mean_b:.6g} in B)"


def _named(parts: Sequence[str], reports: Iterable[Report]) -> set[str]:
    """Ids of the reports that the patterns name."""
    labelled = [(report.id, _labels(report)) for report in reports]
    accepted = []
    for place, pattern in enumerate(parts):
        labels = {labels[place] for _, labels in labelled}
        accepted.append(_accepted(pattern, labels, bare=place == 0))
    return {
        id
        for id, labels in labelled
        if all(label in fitting for label, fitting in zip(labels, accepted, strict=False))
    }


def _labels(report: Report) -> tuple[str | None, ...]:
    chosen = report.choices
    kinds = ("evaluation", "metric", "finder")
    return tuple(chosen[kind].label if kind in chosen else None for kind in kinds)


def _accepted(pattern: str, labels: set[str | None], bare: bool) -> set[str | None]:
    """The labels that a pattern stands for; `bare`: a name without brackets stands for all it begins."""
    if "*" in pattern:
        fits = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
        return {label for label in labels if fits.fullmatch(label or "")}
    every = bare and "[" not in pattern
    if pattern in labels and not every:
        return {pattern}
    return {label for label in labels if label is not None and _stands_for(pattern, label, every)}


def _stands_for(pattern: str, label: str, every: bool) -> bool:
    wanted, there = read_label(pattern), read_label(label)
    if wanted.name != there.name:
        return False
    if every:
        return True
    return wanted.part == there.part and all(
        key in there.params and _same_value(text, there.params[key])
        for key, text in wanted.params.items()
    )


def _same_value(one: str, other: str) -> bool:
    return format_value(read_value(one)) == format_value(read_value(other))


def _nothing(condition: Condition, found: RunComparison, named: set[str]) -> str:
    """Why a condition cannot be put to the test, with the nearest names."""
    if any(report.id in named for report in found.only_b):
        return "the cases that it names are in B alone; expected cases that A has too"
    if named:
        return "no case that it names has a score in A"
    size = len(condition.parts)
    known = {
        "/".join(label or "*" for label in _labels(report)[:size])
        for report in (*(case.a for case in found.cases), *found.only_a)
    }
    close = nearest("/".join(condition.parts), known, limit=5) or sorted(known)[:5]
    listed = ", ".join(close) or "none: A has no case"
    return f"it names no case of both runs; nearest: {listed}"


def _split(text: str) -> tuple[str, str, str]:
    """(left side, operator, right side): at the first operator outside of brackets and quotes."""
    for i in outside(text):
        op = next((op for op in OPERATORS if text.startswith(op, i)), None)
        if op is not None:
            return text[:i], op, text[i + len(op) :]
    raise UsageError(
        f"{OPTION} {text!r}: found no operator ({' '.join(OPERATORS)}); expected {EXPECTED}"
    )
