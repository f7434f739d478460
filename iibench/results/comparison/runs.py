"""Two runs side by side: what was set differently, and which cases and units changed by how much.

B is held against A: every difference is B minus A. Where the units of a case can be taken as the same in
both runs, the comparison is paired over units; otherwise the two are independent samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.contract.reports import CaseReport, Report, TrialReport
from iibench.results.comparison.cases import (
    CaseComparison,
    MeasureChange,
    as_array,
    as_number,
    mean_of,
)
from iibench.results.comparison.same_units import same_stimuli, same_units
from iibench.results.comparison.settings import SettingChange, setting_changes
from iibench.statistics.paired import Paired, paired
from iibench.statistics.resampling import PairedDifference, paired_difference
from iibench.statistics.scores import Comparison, compare, holm

if TYPE_CHECKING:
    from iibench.results.run import Run

PAIRED_TEST = "sign-flip permutation over units"
INDEPENDENT_TEST = "Mann-Whitney, independent samples"
RESAMPLED_TEST = "bootstrap over the units that both runs resampled alike"


@dataclass(frozen=True)
class RunComparison:
    """B held against A: settings that differ, cases of both, and those of one alone.

    `hint`: why no case is in both, "" where one is.
    """

    a: Run
    b: Run
    settings: tuple[SettingChange, ...]
    cases: tuple[CaseComparison, ...]
    only_a: tuple[Report, ...]
    only_b: tuple[Report, ...]
    hint: str = ""

    @cached_property
    def changed(self) -> tuple[CaseComparison, ...]:
        """Cases that changed: another status first, then the largest difference first."""
        return tuple(sorted((case for case in self.cases if case.changed), key=_size))


def compare_runs(a: Run, b: Run) -> RunComparison:
    """Holds run B against run A, case by case of the same id."""
    left = {report.id: report for report in a.reports}
    right = {report.id: report for report in b.reports}
    found = [_compared(a, b, report, right[id]) for id, report in left.items() if id in right]
    adjusted = holm([np.nan if case.p is None else case.p for case in found])
    return RunComparison(
        a=a,
        b=b,
        settings=setting_changes(a.meta, b.meta),
        cases=tuple(
            replace(case, p_holm=as_number(float(p)))
            for case, p in zip(found, adjusted, strict=True)
        ),
        only_a=tuple(report for id, report in left.items() if id not in right),
        only_b=tuple(report for id, report in right.items() if id not in left),
        hint="" if found else _hint(a.reports, b.reports),
    )


def _compared(a: Run, b: Run, one: Report, other: Report) -> CaseComparison:
    if isinstance(one, TrialReport) and isinstance(other, TrialReport):
        return _compared_trials(a, b, one, other)
    case = CaseComparison(
        a=one,
        b=other,
        mean_a=mean_of(one),
        mean_b=mean_of(other),
        different=_different(a, b, one, other),
        n_a=_n(one),
        n_b=_n(other),
        measures=_measures(one, other),
    )
    if case.mean_a is None or case.mean_b is None:
        return case
    if one.headline or other.headline:  # an analysis: one number, of which no test is known
        return replace(case, difference=case.mean_b - case.mean_a)
    x, y = case.scores
    if case.different:
        return _tested(case, INDEPENDENT_TEST, compare(y, x))
    if np.array_equal(x, y, equal_nan=True):  # most cases of most comparisons
        none = 0.0 if case.n_a > 1 else None
        return replace(case, test=PAIRED_TEST, difference=0.0, low=none, high=none, p=1.0)
    return _tested(case, PAIRED_TEST, paired(x, y))


def _tested(
    case: CaseComparison, test: str, found: Comparison | Paired | PairedDifference
) -> CaseComparison:
    """The comparison with what a test found."""
    return replace(
        case,
        test=test,
        difference=found.difference,
        low=found.low,
        high=found.high,
        p=found.p,
    )


def _compared_trials(a: Run, b: Run, one: TrialReport, other: TrialReport) -> CaseComparison:
    different = same_stimuli(a, b, one, other)
    mean_a, mean_b = mean_of(one), mean_of(other)
    case = CaseComparison(
        one, other, mean_a, mean_b, different, _n(one), _n(other), measures=_measures(one, other)
    )
    if mean_a is None or mean_b is None:
        return case
    if different or not one.resampled or len(one.resampled) != len(other.resampled):
        return replace(case, difference=mean_b - mean_a)
    drawn = [as_array(report.resampled) for report in (other, one)]
    found = paired_difference(mean_b, mean_a, drawn[0], drawn[1], case.n_a)
    return _tested(case, RESAMPLED_TEST, found)


def _different(a: Run, b: Run, one: Report, other: Report) -> str:
    """Why the units of two cases of directions cannot be taken as the same, "" where they can."""
    if not isinstance(one, CaseReport) or not isinstance(other, CaseReport):
        return "one is a case on trials and the other is not"
    without = [
        run for run, report in zip("AB", (one, other), strict=True) if mean_of(report) is None
    ]
    if without:
        return f"it has no score in {' and '.join(without)}"
    return same_units(a, b, one, other)


def _measures(one: Report, other: Report) -> tuple[MeasureChange, ...]:
    left, right = (
        {m.name: m.value for m in report.measures if not m.group and m.name != report.headline}
        for report in (one, other)
    )
    return tuple(
        MeasureChange(n, left.get(n), right.get(n)) for n in dict.fromkeys([*left, *right])
    )


def _hint(a: Sequence[Report], b: Sequence[Report]) -> str:
    """Why two runs share no case: the parts of the ids in which none of A's cases agrees with B's."""
    if not a or not b:
        return f"{'A' if not a else 'B'} has no case"
    parts = []
    for name in ("dataset", "model", "layer", "finder", "metric", "evaluation"):
        left, right = ({_part(report, name) for report in side} for side in (a, b))
        if not left & right:
            parts.append(f"{name} {_listed(left)} in A, {_listed(right)} in B")
    return (
        "; ".join(parts)
        or "each name of A's cases occurs in B's, but never all of a case's together"
    )


def _part(report: Report, name: str) -> str:
    value: Any = getattr(report, name, None)
    return "none" if value is None else str(getattr(value, "label", value))


def _listed(names: set[str]) -> str:
    shown = sorted(names)[:3]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _size(case: CaseComparison) -> tuple[bool, float]:
    return not case.status_changed, -case.size


def _n(report: Report) -> int:
    return 0 if report.summary is None else report.summary.scored
