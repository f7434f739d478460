"""Units on which people and a metric disagree: people's number of each unit against the metric's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.report.trials.measures import KINDS, Measures, of_units

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray, IntArray
    from iibench.contract.measures import Measure
    from iibench.contract.reports import TrialReport
    from iibench.report.trials.tables import Row

#: Units in the table of a number.
MOST = 10

Values = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class Unit:
    """A unit with people's number, such as their accuracy, and the metric's; ranks from 1, ties sharing
    their mean."""

    name: str
    human: float
    number: float
    human_rank: float
    number_rank: float

    @property
    def difference(self) -> float:
        """The metric's rank minus people's: above 0 where people do better than the metric says."""
        return self.number_rank - self.human_rank


@dataclass(frozen=True)
class UnitNumber:
    """One number of the units: all units that have it, and those with the largest rank difference.

    `people`: heading of people's number, with which it is correlated.
    """

    name: str
    title: str
    people: str
    units: tuple[Unit, ...]
    furthest: tuple[Unit, ...]
    correlations: tuple[tuple[str, Measure], ...]


def unit_numbers(row: Row, names: Sequence[str], measures: Measures) -> list[UnitNumber]:
    """The numbers that can be set against people's; `names` (U,) of the units.

    Only numbers that differ over at least three units.
    """
    found = []
    people, numbers = of_units(row.report)
    for name in numbers:
        units, human, number = known_units(row.report.per_unit, people, name)
        if len(units) < 3 or np.ptp(number) == 0:
            continue
        human_rank, number_rank = _ranks(human), _ranks(number)
        listed = [
            Unit(names[u], *values)
            for u, *values in zip(
                units.tolist(),
                human.tolist(),
                number.tolist(),
                human_rank.tolist(),
                number_rank.tolist(),
                strict=True,
            )
        ]
        order = sorted(range(len(listed)), key=lambda i: -abs(listed[i].difference))
        correlations = tuple(
            (kind, m) for key, kind in KINDS.items() if (m := row.of(f"{key}_{name}"))
        )
        furthest = tuple(listed[i] for i in order[:MOST] if listed[i].difference)
        titles = (measures.unit_title(name), measures.title(people))
        found.append(UnitNumber(name, *titles, tuple(listed), furthest, correlations))
    return found


def known_units(
    per_unit: Values, people: str, name: str
) -> tuple[IntArray, DoubleArray, DoubleArray]:
    """(units that have people's number and the other, people's, the other), each (V,)."""
    human, number = (_array(per_unit[key]) for key in (people, name))
    units = np.flatnonzero(~np.isnan(human) & ~np.isnan(number))
    return units, human[units], number[units]


def extremes(report: TrialReport) -> tuple[int, int] | None:
    """(unit where people do best against the metric, unit where the metric does best against people).

    By the first number of the units that there is; None where units do not differ.
    """
    people, numbers = of_units(report)
    for name in numbers:
        units, human, number = known_units(report.per_unit, people, name)
        if len(units) < 3 or np.ptp(number) == 0:
            continue
        difference = _ranks(number) - _ranks(human)
        if difference.max() > 0 > difference.min():
            return int(units[difference.argmax()]), int(units[difference.argmin()])
    return None


def _array(values: Sequence[float | None]) -> DoubleArray:
    return np.array([np.nan if v is None else v for v in values], np.float64)


def _ranks(values: DoubleArray) -> DoubleArray:
    """1 for the largest; ties share their mean rank."""
    from scipy.stats import rankdata

    ranks: DoubleArray = rankdata(-values)
    return ranks
