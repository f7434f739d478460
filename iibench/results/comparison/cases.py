"""One case in two runs: its numbers side by side, and the units that changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from iibench.contract.reports import Report

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray


@dataclass(frozen=True)
class UnitChange:
    """A unit (of trials: a stimulus) whose score is not the same; None where it is unscored.

    `reason`: why it is unscored, where it is on one side.
    """

    unit: int
    a: float | None
    b: float | None
    reason: str | None = None

    @property
    def change(self) -> float | None:
        """B minus A, None where one side is unscored."""
        return None if self.a is None or self.b is None else self.b - self.a


@dataclass(frozen=True)
class MeasureChange:
    """Another number of a case on trials, for all answers."""

    name: str
    a: float | None
    b: float | None

    @property
    def change(self) -> float | None:
        """B minus A, None where one side has no value."""
        return None if self.a is None or self.b is None else self.b - self.a


@dataclass(frozen=True)
class CaseComparison:
    """A case that both runs have.

    `mean_a`, `mean_b`: mean over scored units, or the headline measure of a case on trials; `difference`
    (B minus A) with its 95 % interval `low`, `high`, `p` (two-sided, by `test`) and `p_holm` (Holm over
    all cases of the comparison). A paired difference is over the units that are scored in both, and can
    then differ from that of the means. `different`: why the units cannot be taken as the same, "" where
    they are. `n_a`, `n_b`: scored units (of trials: units with answers). Numbers are None where missing.
    """

    a: Report
    b: Report
    mean_a: float | None
    mean_b: float | None
    different: str
    n_a: int
    n_b: int
    test: str = ""
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    measures: tuple[MeasureChange, ...] = ()

    @property
    def id(self) -> str:
        """The case's id, the same in both runs."""
        return self.a.id

    @property
    def measure(self) -> str:
        """What `mean_a` and `mean_b` are."""
        return self.a.headline or "mean"

    @property
    def item(self) -> str:
        """What has a score each: a unit, or a stimulus."""
        return self.a.item

    @cached_property
    def scores(self) -> tuple[DoubleArray, DoubleArray]:
        """Scores of the units in A and in B; of trials, the margins of the stimuli. NaN: unscored."""
        return as_array(self.a.values), as_array(self.b.values)

    @cached_property
    def changes(self) -> tuple[UnitChange, ...]:
        """Units that changed, those scored in one run only first, then the largest change first.

        Empty where the units are not the same ones.
        """
        if self.different:
            return ()
        x, y = self.scores
        changed = np.flatnonzero((x != y) & ~(np.isnan(x) & np.isnan(y)))
        sizes = np.nan_to_num(np.abs(y - x)[changed], nan=np.inf)
        return tuple(self._change(int(i)) for i in changed[np.argsort(-sizes, kind="stable")])

    @property
    def largest(self) -> UnitChange | None:
        """The unit whose score moved furthest, of those that are scored in both."""
        return next((unit for unit in self.changes if unit.change is not None), None)

    @property
    def scored(self) -> bool:
        """Whether both runs have a score."""
        return self.mean_a is not None and self.mean_b is not None

    @property
    def size(self) -> float:
        """How far the case moved, whichever way; 0 where that is not known."""
        return abs(self.difference or 0.0)

    @property
    def status_changed(self) -> bool:
        """Whether the case ended in another way."""
        return self.a.status != self.b.status

    @property
    def changed(self) -> bool:
        """Whether anything is not the same to the last digit: status, a unit, a measure."""
        if self.status_changed or self.mean_a != self.mean_b:
            return True
        if any(measure.a != measure.b for measure in self.measures):
            return True
        if not self.different:
            return bool(self.changes)
        x, y = (np.sort(side) for side in self.scores)
        return not np.array_equal(x, y, equal_nan=True)

    def _change(self, unit: int) -> UnitChange:
        x, y = (float(side[unit]) for side in self.scores)
        missing = self.a if np.isnan(x) else self.b if np.isnan(y) else None
        reason = missing.why_none(unit) if missing else None
        return UnitChange(unit, as_number(x), as_number(y), reason)


def mean_of(report: Report) -> float | None:
    """Mean over the scored units, or the headline measure; None where there is none."""
    if report.status in {"skipped", "error"}:
        return None
    if report.main_measure is not None:
        return report.main_measure.value
    if report.headline or report.of_trials:
        return None if report.summary is None else report.summary.mean
    scored = [value for value in report.values if value is not None]
    return float(np.mean(scored)) if scored else None


def as_array(values: Sequence[float | None]) -> DoubleArray:
    """The values as floats, None as NaN."""
    return np.array([np.nan if v is None else v for v in values], np.float64)


def as_number(value: float) -> float | None:
    """The value, NaN as None."""
    return None if np.isnan(value) else value
