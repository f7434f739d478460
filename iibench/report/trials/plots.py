"""Figures of a run on trials: metrics beside the ceiling, and units against people.

Colours are tokens and labels are escaped, as report/shared/plots.py says. A metric has one look on the
whole page; its parts share its colour and differ in line style.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from iibench.report.shared.numbers import compact, inside, interval, number
from iibench.report.shared.plots import COLOURS, DASHES, SYMBOLS, Figure, Look, chance_line
from iibench.suite.labels import base_of

if TYPE_CHECKING:
    from iibench.contract.measures import Measure
    from iibench.contract.reports import TrialReport
    from iibench.report.trials.tables import Board
    from iibench.report.trials.units import UnitNumber

#: Characters of a unit's name in a plot.
LONGEST = 80


def metric_looks(reports: Sequence[TrialReport]) -> dict[str, Look]:
    """Metric label -> its look."""
    bases: dict[str, list[str]] = {}
    for report in reports:
        if report.metric is not None:
            labels = bases.setdefault(base_of(report.metric), [])
            if report.metric.label not in labels:
                labels.append(report.metric.label)
    return {
        label: Look(
            f"@c{place % COLOURS}",
            DASHES[(i + place // COLOURS) % len(DASHES)],
            SYMBOLS[(place + i) % len(SYMBOLS)],
        )
        for place, labels in enumerate(bases.values())
        for i, label in enumerate(labels)
    }


def headline_figure(board: Board, looks: Mapping[str, Look]) -> Figure | None:
    """The headline of every metric with its interval, best on top, and the ceiling as a band.

    None with fewer than two metrics to compare.
    """
    rows = [(row, m) for row in reversed(board.scored) if (m := row.headline) is not None]
    if not board.compared or len(rows) < 2:
        return None
    data = []
    for i, (row, measure) in enumerate(rows):
        look = looks[row.metric]
        words = f"{number(measure.value, board.decimals)} {_interval(measure, board.decimals)}"
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [compact(measure.value)],
                "y": [i],
                "error_x": _error(measure, look),
                "marker": {
                    "color": look.colour,
                    "size": 8 if row.part else 11,
                    "symbol": "circle-open" if row.part else "circle",
                },
                "hovertemplate": f"{words}<extra>{html.escape(row.metric)}</extra>",
                "showlegend": False,
            }
        )
    ceiling = board.ceiling
    layout = {
        "height": 90 + 30 * len(rows),
        "showlegend": False,
        "xaxis": {
            "title": {"text": html.escape(_headline_axis(board))},
            "zeroline": False,
            "range": _range([m for _, m in rows] + ([ceiling] if ceiling else []), board.chance),
        },
        "yaxis": {
            "tickvals": list(range(len(rows))),
            "ticktext": [html.escape(row.metric) for row, _ in rows],
            "range": [-0.6, len(rows) - 0.4],
            "showgrid": False,
            "zeroline": False,
        },
        "shapes": [*chance_line(board.chance, "x"), *_band(ceiling)],
    }
    caption = (
        f"{board.title} of every metric: further right is better. Lines are 95 % intervals over units; "
        "open circles are parts of a metric."
    )
    if board.chance is not None:
        caption += f" The dotted line is chance ({number(board.chance, 2)})."
    if ceiling is not None and ceiling.value is not None:
        caption += (
            " The shaded band is the 95 % interval of the ceiling, its line the ceiling "
            f"({number(ceiling.value, 3)}): people differ, so nothing can be expected beyond it."
        )
    return Figure(
        data, layout, f"Dot plot of {board.title}, {board.evaluation}, one dot per metric", caption
    )


def unit_figure(numbers: UnitNumber, metric: str, look: Look | None) -> Figure:
    """People's number against a metric's of each unit, a point per unit."""
    found, people = numbers.units, inside(numbers.people)
    return Figure(
        [
            {
                "type": "scatter",
                "mode": "markers",
                "x": [compact(unit.number) for unit in found],
                "y": [compact(unit.human) for unit in found],
                "customdata": [html.escape(_short(unit.name)) for unit in found],
                "marker": {"color": f"{look.colour if look else '@c0'}/0.6", "size": 8},
                "hovertemplate": "%{customdata}<br>people %{y:.3f}, metric %{x:.4g}<extra></extra>",
                "showlegend": False,
            }
        ],
        {
            "height": 360,
            "xaxis": {"title": {"text": html.escape(numbers.title)}, "zeroline": False},
            "yaxis": {"title": {"text": html.escape(people)}, "zeroline": False},
        },
        f"Scatter plot of {people} against {numbers.title} under {metric}, a point per unit",
        f"{numbers.title} of {len(found)} units under {metric}.{_correlations(numbers)}",
    )


def _correlations(numbers: UnitNumber) -> str:
    words = [
        f"{name} {number(m.value, 3)} {_interval(m, 3)}".rstrip()
        for name, m in numbers.correlations
        if m.value is not None
    ]
    return f" {'; '.join(words)}." if words else ""


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}"


def _interval(measure: Measure, decimals: int) -> str:
    return interval(measure.low, measure.high, decimals)


def _headline_axis(board: Board) -> str:
    unit = board.record.get("unit")
    return f"{board.title} ({unit})" if unit else board.title


def _range(measures: Sequence[Measure], chance: float | None) -> list[float]:
    """An axis that shows every value with its interval, and chance."""
    ends = [x for m in measures for x in (m.value, m.low, m.high) if x is not None]
    ends += [] if chance is None else [chance]
    margin = 0.04 * (max(ends) - min(ends)) or 0.1
    return [min(ends) - margin, max(ends) + margin]


def _error(measure: Measure, look: Look) -> dict[str, Any]:
    if measure.low is None or measure.high is None or measure.value is None:
        return {"visible": False}
    return {
        "type": "data",
        "symmetric": False,
        "array": [compact(measure.high - measure.value)],
        "arrayminus": [compact(measure.value - measure.low)],
        "color": look.colour,
        "thickness": 2,
        "width": 4,
    }


def _band(ceiling: Measure | None) -> list[dict[str, Any]]:
    """The ceiling with its interval, across the whole plot."""
    if ceiling is None or ceiling.value is None:
        return []
    line = {"color": "@fg/0.6", "width": 1.5}
    ends = {"yref": "paper", "y0": 0, "y1": 1}
    at = {"x0": ceiling.value, "x1": ceiling.value}
    shapes: list[dict[str, Any]] = [{"type": "line", **ends, **at, "line": line}]
    if ceiling.low is not None and ceiling.high is not None:
        across = {"x0": ceiling.low, "x1": ceiling.high}
        shapes.append(
            {
                "type": "rect",
                **ends,
                **across,
                "fillcolor": "@fg/0.1",
                "line": {"width": 0},
                "layer": "below",
            }
        )
    return shapes
