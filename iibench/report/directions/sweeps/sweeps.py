"""Sweeps: how the score of a method depends on the parameters that a run fitted it with (Fig. 9).

A sweep is the cases of one table whose finders have one name and differ in one or two numeric parameters
alone. Its figures are made by figures.py; here sweeps are found and put on the page.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iibench.report.directions.sweeps.cells import Cell, Sparsity, Sweep
from iibench.results.unit_tables import STEM, Stem
from iibench.suite.labels import join_label, split_outside

if TYPE_CHECKING:
    from iibench.report.directions.tables import Place, Row, View
    from iibench.report.shared.output import Output
    from iibench.report.shared.plots import Figure
    from iibench.results.run import Run

#: Least share of the pairs of values of two parameters that must be cases for a heat map of them.
FULL = 0.75


@dataclass(frozen=True)
class Drawn:
    """A sweep on the page: its figures (name, title, figure), the `data` they are loaded from.

    `remarks`: sentences about what is not drawn.
    """

    sweep: Sweep
    data: str
    figures: tuple[tuple[str, str, Figure], ...]
    remarks: tuple[str, ...]


def sweeps(run: Run, places: Sequence[Place], output: Output) -> list[tuple[Drawn, ...]]:
    """Of each place, the sweeps of its tables with their figures, whose data go to `output`."""
    from iibench.report.directions.plots import looks
    from iibench.report.directions.sweeps.figures import figures
    from iibench.report.shared.plots import plot_data

    found = [find_sweeps(run, place) for place in places]
    if not any(found):
        return [() for _ in places]
    look = looks(run.cases)
    drawn = []
    for i, of_place in enumerate(found):
        made = []
        for j, sweep in enumerate(of_place):
            data = f"plots-{i}-sweep-{j}"
            named = [
                (f"plot-{i}-sweep-{j}-{n}", title, figure)
                for n, (title, figure) in enumerate(figures(sweep, look))
            ]
            remarks = [sweep.no_sparsity] if sweep.no_sparsity else []
            if named and not output.data(data, plot_data([(n, f) for n, _, f in named])):
                remarks = [f"Its {len(named)} figures are left out to keep this page small."]
                named = []
            if named or remarks:
                made.append(Drawn(sweep, data, tuple(named), tuple(remarks)))
        drawn.append(tuple(made))
    return drawn


def find_sweeps(run: Run, place: Place) -> list[Sweep]:
    """The sweeps of every table of a place that has two scores at least, in the order of the tables.

    Evaluations that run over a parameter themselves are looked at where their tables are, at its lowest
    value.
    """
    found = []
    facts: dict[Stem, Sparsity] | None = None
    order = {case.id: i for i, case in enumerate(run.cases)}
    for family in place.families:
        for view in (*family.whole, *family.parts):
            by_name: dict[str, list[Row]] = {}
            for row in sorted(view.rows, key=lambda row: order[row.case.id]):
                by_name.setdefault(row.case.finder.name, []).append(row)
            for rows in by_name.values():
                for over, chosen in swept([row.case.finder.params for row in rows]):
                    facts = sparsities(run) if facts is None else facts
                    sweep = _sweep(
                        run, place, family.title, view, over, [rows[i] for i in chosen], facts
                    )
                    if len(sweep.scored) > 1:
                        found.append(sweep)
    return found


def sparsities(run: Run) -> dict[Stem, Sparsity]:
    """(dataset, model, layer, finder) labels -> sparsity of its directions' responses."""
    frame = run.directions()
    frame = frame.assign(dead=frame["low"] == frame["high"])
    groups = frame.groupby(list(STEM), observed=True, sort=False)
    table = groups.agg(
        k=("unit", "size"), l0=("positive", "sum"), dead=("dead", "sum"), lowest=("low", "min")
    )
    found: dict[Stem, Sparsity] = {}
    for dataset, model, layer, finder, k, l0, dead, lowest in (
        table.reset_index().to_numpy().tolist()
    ):
        stem = (str(dataset), str(model), str(layer), str(finder))
        found[stem] = Sparsity(int(k), float(l0), int(dead), float(lowest))
    return found


# ------------------------------------------------------------------------------------ finding


def swept(params: Sequence[Mapping[str, Any]]) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Sets of parameters that differ in one or two numbers alone: (their names, positions in `params`).

    Two parameters are swept together where at least `FULL` of the pairs of their values are there, else
    each alone. Of three or more, the two with most values are, for each choice of the others.
    """
    names = [name for name in params[0] if all(name in p for p in params)] if params else []
    groups: dict[str, list[int]] = {}
    for i, given in enumerate(params):
        fixed = [[] if _numeric(given[name]) else [given[name]] for name in names]
        rest = {name: value for name, value in given.items() if name not in names}
        groups.setdefault(_key([fixed, rest]), []).append(i)
    found = []
    for group in groups.values():
        found += _split([{n: params[i][n] for n in names} for i in group], group)
    return found


def _split(
    params: Sequence[Mapping[str, Any]], places: Sequence[int]
) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    """The same for parameters that differ in numbers only; `places`: what to call them."""
    values = {name: {p[name] for p in params} for name in params[0] if _numeric(params[0][name])}
    over = [name for name, different in values.items() if len(different) > 1]
    if len(over) < 2:
        return [((over[0],), tuple(places))] if over else []
    if len(over) == 2:
        if len(params) >= FULL * len(values[over[0]]) * len(values[over[1]]):
            return [(tuple(over), tuple(places))]
        fixed = [[over[1]], [over[0]]]
    else:
        most = sorted(over, key=lambda name: -len(values[name]))[:2]
        fixed = [[name for name in over if name not in most]]
    found = []
    for names in fixed:
        groups: dict[str, list[int]] = {}
        for i, given in enumerate(params):
            groups.setdefault(_key([float(given[name]) for name in names]), []).append(i)
        for group in groups.values():
            found += _split([params[i] for i in group], [places[i] for i in group])
    return found


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _sweep(
    run: Run,
    place: Place,
    family: str,
    view: View,
    over: tuple[str, ...],
    rows: Sequence[Row],
    facts: Mapping[Stem, Sparsity],
) -> Sweep:
    cells = [
        Cell(
            tuple(float(row.case.finder.params[name]) for name in over),
            row,
            facts.get((*place.key, row.finder)),
        )
        for row in rows
    ]
    name = rows[0].case.finder.name
    rest = [row for row in view.ranked if row.case.finder.name != name]
    baseline = [row for row in rest if row.case.role == "baseline"][:1]
    best = [row for row in rest if row.case.role != "baseline"][:1]
    record = run.meta.get("evaluations", {}).get(rows[0].case.evaluation.label, {})
    declared = run.meta.get("finders", {}).get(rows[0].finder, {}).get("parameters", [])
    return Sweep(
        finder=_without(rows[0].finder, over),
        over=over,
        family=family,
        view=view,
        unit=str(record.get("unit") or "score"),
        cells=tuple(sorted(cells, key=lambda cell: cell.at)),
        others=(*baseline, *best),
        help={p["name"]: p["help"] for p in declared if p["name"] in over and p.get("help")},
        images=run.meta.get("datasets", {}).get(place.dataset, {}).get("n"),
    )


def _without(label: str, over: Sequence[str]) -> str:
    """A label without some of its parameters."""
    name, bracket, rest = label.partition("[")
    if not bracket:
        return label
    items = split_outside(rest[:-1], ",")
    return join_label(name, [item for item in items if item.partition("=")[0] not in over])
