"""What the page knows of measures: headings, meanings, and what to read them beside.

It comes from the run's record of the evaluation (`TrialEvaluationSpec.measures`, `unit_numbers`), and
from their names where these have a meaning; other measures are shown by their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from iibench.contract.measures import MeasureInfo

if TYPE_CHECKING:
    from iibench.contract.reports import TrialReport

SHARE = "_of_ceiling"
KINDS = {"pearson": "Pearson's r", "spearman": "Spearman's ρ"}


@dataclass(frozen=True)
class Measures:
    """The measures of one evaluation, by its record in a run."""

    record: Mapping[str, Any]

    @cached_property
    def known(self) -> Mapping[str, MeasureInfo]:
        """Name -> what the evaluation says of it."""
        return self._infos("measures")

    @cached_property
    def unit_numbers(self) -> Mapping[str, MeasureInfo]:
        """Name of a number of a unit -> what the evaluation says of it."""
        return self._infos("unit_numbers")

    def _infos(self, kind: str) -> dict[str, MeasureInfo]:
        records: Mapping[str, Mapping[str, Any]] = self.record.get(kind) or {}
        return {name: MeasureInfo(**record) for name, record in records.items()}

    def title(self, name: str) -> str:
        """The heading of a measure: its name, where nothing is known of it."""
        if name in self.known:
            return self.known[name].title
        if name.endswith(SHARE):
            return f"{self.title(name.removesuffix(SHARE))}, share of ceiling"
        kind, number = correlation(name) or ("", "")
        if number in self.unit_numbers:
            return f"{self.unit_numbers[number].title}: {KINDS[kind]}"
        return name

    def unit_title(self, name: str) -> str:
        """The heading of a number of a unit."""
        return self.unit_numbers[name].title if name in self.unit_numbers else name

    def ceiling_of(self, name: str) -> str:
        """The measure that bounds another."""
        found = self.known.get(name)
        return (found.ceiling if found else "") or f"{name}_ceiling"

    def against(self, name: str) -> str:
        """The measure that stands beside another in tables of groups; "" where there is none."""
        found = self.known.get(name)
        if found is None:
            kind, number = correlation(name) or ("", "")
            found = self.unit_numbers.get(number) if kind == "pearson" else None
        return (found.against or found.beside) if found else ""

    def counts(self, name: str) -> bool:
        """Whether it is how many of something there are."""
        return name in self.known and self.known[name].count


def correlation(name: str) -> tuple[str, str] | None:
    """(`pearson` or `spearman`, what of a unit it is about) of a correlation over units."""
    kind, _, number = name.partition("_")
    return (kind, number) if kind in KINDS and number and not number.endswith(SHARE) else None


def of_units(report: TrialReport) -> tuple[str, tuple[str, ...]]:
    """(people's number of a unit, the numbers of a unit that are correlated with it).

    See `TrialEvaluationSpec`; "" and nothing where there are none.
    """
    pairs = (correlation(measure.name) for measure in report.measures if not measure.group)
    found = dict.fromkeys(pair[1] for pair in pairs if pair and pair[1] in report.per_unit)
    return (next(iter(report.per_unit)), tuple(found)) if found else ("", ())
