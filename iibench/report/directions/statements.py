"""Statements of a paper beside what was found: value with interval, whether it holds, and why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.report.directions.analyses.analyses import measure_row
from iibench.report.shared.numbers import decimals_for, interval, number, p_value, signed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iibench.contract.reports import CaseReport, Verdict
    from iibench.results.run import Run

#: Words for how an expectation ended.
WORDS = {"passed": "holds", "failed": "does not hold", "skipped": "not tested"}


@dataclass(frozen=True)
class Statement:
    """A statement with where it is made (`figure`), the `published` value, and ours as text.

    `difference`: to what it is compared with. `word`: holds, does not hold, not testable here, or not
    tested; `status` as of the verdict, `detail` the numbers or the reason behind it.
    """

    text: str
    figure: str
    published: str
    found: str
    difference: str
    word: str
    status: str
    detail: str


def statements(run: Run) -> tuple[Statement, ...]:
    """The expectations of the run that say where a paper makes them, in the suite's order."""
    cases = {case.id: case for case in run.cases}
    return tuple(_statement(verdict, cases) for verdict in run.verdicts if verdict.figure)


def _statement(verdict: Verdict, cases: Mapping[str, CaseReport]) -> Statement:
    case, against = cases.get(verdict.case or ""), cases.get(verdict.against or "")
    tested = verdict.status != "skipped" and case is not None
    return Statement(
        verdict.text,
        verdict.figure,
        verdict.published,
        _found(verdict.measure, case) if tested and case else "",
        _difference(case, against) if tested and case and against else "",
        "not testable here" if verdict.not_testable else WORDS[verdict.status],
        verdict.status,
        verdict.detail.removeprefix("not testable here: "),
    )


def _found(measure: str, case: CaseReport) -> str:
    """The measure, or the mean over units, with its interval."""
    for one in case.measures:
        if one.name == measure and not one.group:
            row = measure_row(one)
            return f"{row.name} {row.value} {row.interval}".rstrip()
    summary = case.summary
    if summary is None or summary.mean is None or case.is_analysis:
        return ""
    d = decimals_for([summary.mean], None)
    bounds = interval(summary.low, summary.high, d)
    return f"{case.finder.label}: mean {number(summary.mean, d)} {bounds}".rstrip()


def _difference(case: CaseReport, against: CaseReport) -> str:
    """The difference of two means over units, its interval, and the two-sided p of Mann-Whitney."""
    from iibench.statistics.scores import compare

    x, y = (np.array(one.scores, np.float64) for one in (case, against))
    found = compare(x, y)
    if found.difference is None:
        return ""
    d = decimals_for([found.difference], None)
    bounds = interval(found.low, found.high, d)
    return f"{signed(found.difference, d)} {bounds} to {against.finder.label}, p {p_value(found.p)}"
