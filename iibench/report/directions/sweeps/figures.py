"""Figures of a sweep (sweeps.py): lines over one parameter, a heat map of two, and scores and dead
directions against sparsity.

A case without a score stays empty; its reason is shown when pointed at, in the caption and in the data.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from iibench.report.directions.sweeps import words
from iibench.report.shared.numbers import compact, number
from iibench.report.shared.plots import COLOURS, DASHES, SCALE, SYMBOLS, Figure, Look, chance_line
from iibench.suite.labels import format_value

if TYPE_CHECKING:
    from iibench.report.directions.sweeps.cells import Cell, Sweep

#: Part of the scale from which black text has more contrast than white.
BRIGHT = 0.46
#: Values whose largest is more than this many times the smallest are on a logarithmic axis.
WIDE = 10
#: A help text longer than this does not fit beside an axis.
LONGEST_TITLE = 28
#: With more columns than this, cells of a heat map have no text.
MOST_COLUMNS = 10
MOST_TICKS = 12
#: Names of the numbers in every trace's `customdata`, in their order.
DATA = ("low", "high", "n", "directions", "L0", "dead", "why missing")


def figures(sweep: Sweep, look: Mapping[str, Look]) -> list[tuple[str, Figure]]:
    """The figures of a sweep, each with a title; `look`: finder label -> how it is drawn."""
    one = len(sweep.over) == 1
    made = [_line(sweep, look) if one else _heat_map(sweep)]
    titles = [f"{sweep.title}."]
    if not sweep.no_sparsity:
        made += [_against_sparsity(sweep, look), _dead(sweep, look)]
        titles += ["Score against sparsity.", "Dead directions against sparsity."]
    return list(zip(titles, made, strict=True))


def _line(sweep: Sweep, look: Mapping[str, Look]) -> Figure:
    """Mean score against one parameter."""
    (over,) = sweep.over
    xs = [cell.at[0] for cell in sweep.cells]
    drawn = look[sweep.cells[0].row.finder]
    trace = _points(
        sweep,
        sweep.cells,
        xs,
        f"{sweep.finder} over {over}",
        Look(drawn.colour, "solid", drawn.symbol),
    )
    view = sweep.view
    axis = _scale(xs) | {"title": {"text": _parameter(sweep, over)}, "zeroline": False}
    if len(set(xs)) <= MOST_TICKS:
        axis |= {
            "tickvals": sorted(set(xs)),
            "ticktext": [format_value(x) for x in sorted(set(xs))],
        }
    layout = {
        "height": 380,
        "xaxis": axis,
        "yaxis": {"title": {"text": _score(sweep)}, "zeroline": False},
        "shapes": chance_line(view.chance, "y"),
        "annotations": [
            _absent(math.log10(cell.at[0]) if axis["type"] == "log" else cell.at[0], cell, sweep)
            for cell in sweep.cells
            if cell.row.mean is None
        ],
    }
    return Figure(
        [*_others(sweep, xs), trace],
        layout,
        f"Line plot of {view.evaluation} under {view.metric} of {sweep.finder} against {over}",
        f"{view.evaluation} under {view.metric} against {words.explained(sweep)}: higher is better. "
        f"{words.means(sweep)} A line that stays within its bars says that {over} hardly matters."
        f"{words.level_lines(sweep)}{words.chance(sweep)}{words.missing(sweep)}",
    )


def _heat_map(sweep: Sweep) -> Figure:
    """Mean score for every pair of values of two parameters (Fig. 9)."""
    columns, rows = (sorted({cell.at[i] for cell in sweep.cells}) for i in (0, 1))
    by_place = {cell.at: cell for cell in sweep.cells}
    places = [(x, y) for y in rows for x in columns]
    cells = [by_place.get(place) for place in places]
    view, decimals = sweep.view, max(2, sweep.view.decimals - 1)
    means = [None if cell is None else cell.row.mean for cell in cells]
    known = [mean for mean in means if mean is not None]
    low, high = min(known), max(known)
    trace = {
        "type": "heatmap",
        "name": html.escape(sweep.title),
        # a value per cell, so that the data can be saved as they are drawn
        "x": [columns.index(x) for x, _ in places],
        "y": [rows.index(y) for _, y in places],
        "z": [compact(mean) for mean in means],
        "hovertext": [
            words.hover(sweep, place, cell) for place, cell in zip(places, cells, strict=True)
        ],
        "hoverinfo": "text",
        "customdata": [[*place, *_facts(cell)] for place, cell in zip(places, cells, strict=True)],
        "colorscale": SCALE,
        "colorbar": {
            "title": {"text": _score(sweep), "side": "top"},
            "orientation": "h",
            "thickness": 12,
            "len": 1,
            "y": 1.02,
            "yanchor": "bottom",
            "outlinewidth": 0,
            "nticks": 5,
        },
        "xgap": 2,
        "ygap": 2,
        "meta": {"series": html.escape(sweep.finder), "columns": _columns(sweep, "z", 2)},
    }

    # plotly's own text in cells is too faint on those of the middle
    texts = {
        "type": "scatter",
        "mode": "text",
        "x": trace["x"],
        "y": trace["y"],
        "text": ["" if mean is None else number(mean, decimals) for mean in means],
        "textfont": {
            "color": [
                "#000" if mean is not None and mean - low >= BRIGHT * (high - low) else "#fff"
                for mean in means
            ]
        },
        "hoverinfo": "skip",
    }

    def axis(name: str, values: Sequence[float]) -> dict[str, Any]:
        return {
            "title": {"text": _parameter(sweep, name)},
            "tickvals": list(range(len(values))),
            "ticktext": [format_value(value) for value in values],
            "range": [-0.5, len(values) - 0.5],
            "showgrid": False,
            "zeroline": False,
        }

    layout = {
        "height": 180 + 46 * len(rows),
        "showlegend": False,
        "xaxis": axis(sweep.over[0], columns),
        "yaxis": axis(sweep.over[1], rows),
    }
    return Figure(
        [trace, texts] if len(columns) <= MOST_COLUMNS else [trace],
        layout,
        f"Heat map of {view.evaluation} under {view.metric} of {sweep.finder} over "
        f"{' and '.join(sweep.over)}",
        f"{view.evaluation} under {view.metric} for each pair of {words.explained(sweep)}: brighter is "
        f"better. {words.means(sweep, 'pointing at it shows')} Cells whose intervals overlap widely hardly "
        f"differ.{words.compared(sweep)}{words.missing(sweep, set(places) - set(by_place))}",
    )


def _against_sparsity(sweep: Sweep, look: Mapping[str, Look]) -> Figure:
    """Mean score against L0, a line per value of the first of two parameters."""
    data = [
        _points(sweep, cells, [_l0(cell) for cell in cells], name, drawn)
        for name, cells, drawn in _lines(sweep, look)
    ]
    view = sweep.view
    xs = [_l0(cell) for cell in sweep.scored]
    return Figure(
        [*_others(sweep, xs), *data],
        {
            "height": 380,
            "xaxis": _l0_axis(xs),
            "yaxis": {"title": {"text": _score(sweep)}, "zeroline": False},
            "shapes": chance_line(view.chance, "y"),
        },
        f"Plot of {view.evaluation} under {view.metric} of {sweep.finder} against sparsity",
        f"{view.evaluation} under {view.metric} against L0, the number of directions that respond above "
        f"zero to an image, averaged over {words.images(sweep)}: further left is sparser, higher is better."
        f"{words.line_words(sweep)} {words.means(sweep)} Where lines lie on each "
        f"other, sparsity alone tells the score.{words.level_lines(sweep)}{words.chance(sweep)}",
    )


def _dead(sweep: Sweep, look: Mapping[str, Look]) -> Figure:
    """Share of dead directions against L0."""
    data = []
    for name, cells, drawn in _lines(sweep, look):
        trace = _points(sweep, cells, [_l0(cell) for cell in cells], name, drawn)
        del trace["error_y"]
        facts = [fact for cell in cells if (fact := cell.sparsity) is not None]
        trace["y"] = [compact(100 * fact.dead / fact.k) for fact in facts]
        trace["meta"]["columns"] = {
            **_parameters(sweep),
            "L0": "x",
            "dead (%)": "y",
            "dead": f"customdata.{len(sweep.over) + DATA.index('dead')}",
            "directions": f"customdata.{len(sweep.over) + DATA.index('directions')}",
        }
        data.append(trace)
    return Figure(
        data,
        {
            "height": 380,
            "xaxis": _l0_axis([_l0(cell) for cell in sweep.scored]),
            "yaxis": {
                "title": {"text": "dead directions (% of all)"},
                "rangemode": "tozero",
                "zeroline": False,
            },
        },
        f"Plot of the share of dead directions of {sweep.finder} against sparsity",
        "Directions that respond alike to all evaluated images, in percent of all directions, against L0 "
        f"(see above): lower is better. Dead directions have no score.{words.line_words(sweep)} A mean over "
        "few living directions is a mean over a choice of them.",
    )


# -------------------------------------------------------------------------------------- traces


def _points(
    sweep: Sweep, cells: Sequence[Cell], xs: Sequence[float], name: str, look: Look
) -> dict[str, Any]:
    """Means with their intervals as error bars; a cell without a mean is a gap."""
    error: dict[str, Any] = {"array": [], "arrayminus": []}
    for row in (cell.row for cell in cells):
        above, below = None, None
        if row.mean is not None and row.low is not None and row.high is not None:
            above, below = compact(row.high - row.mean), compact(row.mean - row.low)
        error["array"].append(above)
        error["arrayminus"].append(below)
    columns = _columns(sweep, "y", len(sweep.over))
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": html.escape(name),
        "x": [compact(x) for x in xs],
        "y": [compact(cell.row.mean) for cell in cells],
        "error_y": {
            "type": "data",
            "symmetric": False,
            **error,
            "color": look.colour,
            "thickness": 1.5,
            "width": 4,
        },
        "customdata": [[*cell.at, *_facts(cell)] for cell in cells],
        "line": {"color": look.colour, "dash": look.dash, "width": 2},
        "marker": {"color": look.colour, "symbol": look.symbol, "size": 8},
        "hovertext": [words.hover(sweep, cell.at, cell) for cell in cells],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "meta": {
            "series": html.escape(name),
            "columns": columns,
        },
    }


def _lines(sweep: Sweep, look: Mapping[str, Look]) -> Iterator[tuple[str, list[Cell], Look]]:
    """The scored cells: all, or of each value of the first of two parameters; in steps of the last."""
    drawn = look[sweep.cells[0].row.finder]
    if len(sweep.over) == 1:
        yield sweep.title, list(sweep.scored), Look(drawn.colour, "solid", drawn.symbol)
        return
    for i, first in enumerate(sorted({cell.at[0] for cell in sweep.scored})):
        cells = [cell for cell in sweep.scored if cell.at[0] == first]
        yield (
            f"{sweep.over[0]} = {format_value(first)}",
            cells,
            Look(f"@c{i % COLOURS}", DASHES[i % len(DASHES)], SYMBOLS[i % len(SYMBOLS)]),
        )


def _others(sweep: Sweep, xs: Sequence[float]) -> list[dict[str, Any]]:
    """A level line across the plot for each method that the sweep is compared with."""
    found = []
    for row, dash in zip(sweep.others, words.level_dashes(sweep), strict=True):
        name = html.escape(f"{row.finder} (n = {row.scored})")
        told = f"{row.finder} {words.score(row, sweep)}"
        found.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": [compact(min(xs)), compact(max(xs))],
                "y": [compact(row.mean)] * 2,
                "customdata": [[compact(row.low), compact(row.high), row.scored]] * 2,
                "line": {"color": "@fg", "dash": dash, "width": 1.5},
                "hovertext": [html.escape(told)] * 2,
                "hovertemplate": "%{hovertext}<extra></extra>",
                "meta": {
                    "series": html.escape(row.finder),
                    "columns": {
                        "mean": "y",
                        "low": "customdata.0",
                        "high": "customdata.1",
                        "n": "customdata.2",
                    },
                },
            }
        )
    return found


def _facts(cell: Cell | None) -> list[Any]:
    """What stands in `customdata` after the parameters; see `DATA`."""
    if cell is None:
        return [None] * (len(DATA) - 1) + ["not in this run"]
    row, facts = cell.row, cell.sparsity
    return [
        compact(row.low),
        compact(row.high),
        row.scored,
        row.k,
        compact(facts.l0) if facts else None,
        facts.dead if facts else None,
        html.escape(words.why(cell)) if row.mean is None else None,
    ]


def _columns(sweep: Sweep, mean: str, first: int) -> dict[str, str]:
    """Columns of the data to save; `first`: where `DATA` starts in a trace's `customdata`."""
    return {
        **_parameters(sweep),
        "mean": mean,
        **{name: f"customdata.{first + i}" for i, name in enumerate(DATA)},
    }


def _parameters(sweep: Sweep) -> dict[str, str]:
    """Columns of the swept parameters; one that is called as another column is told apart."""
    taken = {"mean", *DATA}
    return {
        f"{name} (parameter)" if name in taken else name: f"customdata.{i}"
        for i, name in enumerate(sweep.over)
    }


def _absent(x: float, cell: Cell, sweep: Sweep) -> dict[str, Any]:
    """A cross at the foot of the plot that tells why there is no score."""
    return {
        "x": x,
        "y": 0,
        "yref": "paper",
        "yanchor": "bottom",
        "text": "×",
        "font": {"size": 18, "color": "@fg"},
        "showarrow": False,
        "hovertext": words.hover(sweep, cell.at, cell),
    }


# --------------------------------------------------------------------------------------- axes


def _scale(values: Sequence[float]) -> dict[str, Any]:
    wide = min(values) > 0 and max(values) > WIDE * min(values)
    return {"type": "log" if wide else "linear"}


def _l0_axis(values: Sequence[float]) -> dict[str, Any]:
    axis = _scale(values) | {
        "title": {"text": "L0 (responding directions per image)"},
        "zeroline": False,
    }
    if axis["type"] == "log":
        decades = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
        ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
        axis |= {"tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
    return axis


def _l0(cell: Cell) -> float:
    return cell.sparsity.l0 if cell.sparsity else math.nan


def _parameter(sweep: Sweep, name: str) -> str:
    about = sweep.help.get(name, "")
    if not about or len(about) > LONGEST_TITLE:
        about = f"parameter of {sweep.cells[0].row.case.finder.name}"
    return html.escape(f"{name} ({about})")


def _score(sweep: Sweep) -> str:
    return html.escape(f"mean {sweep.view.evaluation}, {sweep.view.metric} ({sweep.unit})")
