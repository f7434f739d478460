"""A run on trials arranged for the page: a board per evaluation, with its metrics and measures.

Metrics of one evaluation, and their parts, share a board: they were compared with each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iibench.report.shared.numbers import decimals_for, real, whole
from iibench.report.trials.measures import SHARE, Measures, correlation

if TYPE_CHECKING:
    from iibench.contract.measures import Measure
    from iibench.contract.reports import TrialReport
    from iibench.results.run import Run

Group = tuple[tuple[str, str], ...]
NO_METRIC = "no metric"


@dataclass(frozen=True)
class Row:
    """A metric on a board; numbers are None where there are none.

    `measures`: (name, group) -> measure, where the group of all answers is ().
    """

    report: TrialReport
    metric: str
    part: bool
    measures: Mapping[tuple[str, Group], Measure]
    diff: float | None
    diff_low: float | None
    diff_high: float | None
    p: float | None
    rank_low: int | None
    rank_high: int | None
    seconds: float

    def of(self, name: str, group: Group = ()) -> Measure | None:
        """The measure of that name for exactly that group."""
        return self.measures.get((name, tuple(sorted(group))))

    @property
    def headline(self) -> Measure | None:
        """What ranks the metric."""
        return self.of(self.report.headline)

    @property
    def scored(self) -> bool:
        """Whether there is a headline number."""
        return self.headline is not None and self.headline.value is not None


@dataclass(frozen=True)
class Column:
    """A measure with a column of its own; `beside`: the measure it is compared with, and its title."""

    name: str
    title: str
    decimals: int
    beside: str = ""
    beside_title: str = ""


@dataclass(frozen=True)
class Fact:
    """A measure about people, the same for every metric."""

    name: str
    title: str
    decimals: int
    measure: Measure


@dataclass(frozen=True)
class Board:
    """An evaluation on a dataset: rows best first, then those without a number.

    `columns`: further measures of all answers. `correlations`: what of a unit is correlated with human
    accuracy -> its measures' names. `people`: facts beside which the numbers are read.
    """

    dataset: str
    evaluation: str
    record: Mapping[str, Any]
    measures: Measures
    has_truth: bool
    headline: str
    title: str
    decimals: int
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    correlations: tuple[str, ...]
    people: tuple[Fact, ...]

    @property
    def scored(self) -> tuple[Row, ...]:
        """Rows with a number."""
        return tuple(row for row in self.rows if row.scored)

    @property
    def compared(self) -> bool:
        """Whether metrics are compared: an evaluation without metrics is about people alone."""
        return any(row.report.metric is not None for row in self.rows)

    @property
    def chance(self) -> float | None:
        """The headline's value by chance."""
        return real(self.record.get("chance"))

    @property
    def ceiling(self) -> Measure | None:
        """What bounds the headline, where that is known."""
        name = self.measures.ceiling_of(self.headline)
        return next((fact.measure for fact in self.people if fact.name == name), None)

    @property
    def answered(self) -> bool:
        """Whether there are answers behind the numbers."""
        return any(m.n for row in self.scored if (m := row.headline))

    @property
    def bounded(self) -> bool:
        """Whether there are shares of the ceiling."""
        return any(row.of(self.headline + SHARE) for row in self.rows)


def boards(run: Run) -> list[Board]:
    """The evaluations of the run, in their order."""
    reports = {report.id: report for report in run.trial_cases}
    grouped: dict[tuple[str, str], list[Row]] = {}
    for record in run.leaderboard().to_dict("records"):
        report = reports[str(record["case"])]
        row = _row(report, record)
        grouped.setdefault((report.dataset, report.evaluation.label), []).append(row)
    return [_board(run, *place, rows) for place, rows in grouped.items()]


def evaluated(run: Run, dataset: str) -> Mapping[str, Any]:
    """What is recorded of the evaluated split of a dataset."""
    splits = run.meta.get("datasets", {}).get(dataset, {}).get("splits") or {}
    found: Mapping[str, Any] = splits.get("evaluate", {})
    return found


def _row(report: TrialReport, record: Mapping[Any, Any]) -> Row:
    metric = report.metric
    return Row(
        report=report,
        metric=metric.label if metric else NO_METRIC,
        part=metric is not None and metric.part is not None,
        measures={(m.name, tuple(sorted(m.group.items()))): m for m in report.measures},
        diff=real(record["diff_to_best"]),
        diff_low=real(record["diff_low"]),
        diff_high=real(record["diff_high"]),
        p=real(record["p_holm"]),
        rank_low=whole(record["rank_low"]),
        rank_high=whole(record["rank_high"]),
        seconds=float(record["seconds"]),
    )


def _board(run: Run, dataset: str, evaluation: str, rows: Sequence[Row]) -> Board:
    record = run.meta.get("evaluations", {}).get(evaluation, {})
    headline, measures = rows[0].report.headline, Measures(record)
    known = measures.known
    names = list(dict.fromkeys(name for row in rows for name, group in row.measures if not group))
    bound = measures.ceiling_of(headline)
    about_people = {bound, *(name for name, info in known.items() if info.people)} - {headline}
    facts = [name for name in names if name in about_people]
    beside = [known[name].beside for name in names if name in known]
    related = [name for name in names if correlation(name)]
    shares = [name for name in names if name.endswith(SHARE) and name.removesuffix(SHARE) in names]
    without = {headline, *facts, *related, *shares, *filter(None, beside)}
    compared = any(row.report.metric is not None for row in rows)
    columns = [name for name in names if name not in without] if compared else []
    if not compared:
        facts = [name for name in names if name not in (*related, *shares)]
    return Board(
        dataset=dataset,
        evaluation=evaluation,
        record=record,
        measures=measures,
        has_truth=bool(evaluated(run, dataset).get("has_truth", True)),
        headline=headline,
        title=measures.title(headline),
        decimals=decimals(headline, rows, measures, real(record.get("chance"))),
        rows=tuple(rows),
        columns=tuple(_column(name, rows, measures, names) for name in columns),
        correlations=tuple(dict.fromkeys(pair[1] for n in related if (pair := correlation(n)))),
        people=tuple(_facts(facts, rows, measures)),
    )


def _column(name: str, rows: Sequence[Row], measures: Measures, names: Sequence[str]) -> Column:
    known = measures.known
    beside = known[name].beside if name in known else ""
    if beside not in names:
        beside = ""
    other = (known[beside].short if beside in known else "") or measures.title(beside)
    return Column(name, measures.title(name), decimals(name, rows, measures), beside, other)


def _facts(names: Sequence[str], rows: Sequence[Row], measures: Measures) -> Iterable[Fact]:
    for name in names:
        measure = next((m for row in rows if (m := row.of(name))), None)
        if measure is not None:
            yield Fact(name, measures.title(name), decimals(name, rows, measures), measure)


def decimals(
    name: str, rows: Sequence[Row], measures: Measures, chance: float | None = None
) -> int:
    """Decimals of a measure: 3 for shares and areas, none for counts, and as its size needs for others."""
    found = measures.known.get(name)
    if measures.counts(name):
        return 0
    if chance is not None or correlation(name) or (found is not None and not found.free):
        return 3
    values = [m.value for row in rows for (n, _), m in row.measures.items() if n == name]
    return decimals_for(values, None)
