"""Figures of analyses (`Figure`) as the page's plots: plain plotly data, see report/shared/plots.py."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.contract.details import Histogram, ImageMap, XYPlot
from iibench.report.shared.numbers import compact
from iibench.report.shared.plots import COLOURS, SCALE, SYMBOLS, TILTED, Figure, band, chance_line

if TYPE_CHECKING:
    from iibench.contract.details import Axis, HeatMap, Series

#: Points of a series above which they are drawn small and faint.
MANY = 400
HEIGHT, MAP_HEIGHT = 420, 620
#: Characters in a line of an axis title.
LINE = 56


def plotted(figure: XYPlot | Histogram | HeatMap | ImageMap) -> Figure:
    """The figure with its axes, hover values and the columns of its download."""
    if isinstance(figure, XYPlot):
        return _xy(figure)
    if isinstance(figure, Histogram):
        return _histogram(figure)
    return _map(figure) if isinstance(figure, ImageMap) else _heat_map(figure)


def _xy(figure: XYPlot) -> Figure:
    data: list[dict[str, Any]] = []
    for i, series in enumerate(figure.series):
        data += _series(series, figure, i)
    layout = {
        "height": HEIGHT,
        "xaxis": _axis(figure.x),
        "yaxis": _axis(figure.y),
        "hovermode": "closest",
        "showlegend": len(figure.series) > 1,
    }
    return Figure(data, layout, _label("Plot", figure.title), figure.caption)


def _series(series: Series, figure: XYPlot, place: int) -> list[dict[str, Any]]:
    name = html.escape(series.name)
    colour = f"@c{place % COLOURS}"
    kept = np.isfinite(series.x) & np.isfinite(series.y)
    for axis, values in ((figure.x, series.x), (figure.y, series.y)):
        if axis.log:
            kept &= np.asarray(values) > 0
    at = np.flatnonzero(kept)
    x, y = _numbers(series.x, at), _numbers(series.y, at)
    columns = {figure.x.title: "x", figure.y.title: "y"}
    tip = "%{x:.4g}, %{y:.4g}"
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines" if series.line else "markers",
        "name": name,
        "legendgroup": name,
        "x": x,
        "y": y,
        "meta": {"series": name, "columns": columns},
    }
    if series.line:
        trace["line"] = {"color": colour, "width": 2}
        if len(at) <= 12:
            trace |= {"mode": "lines+markers", "marker": {"color": colour, "size": 6}}
    else:
        many = len(at) > MANY
        trace["marker"] = {
            "color": f"{colour}/{0.35 if many else 0.75}",
            "size": 4 if many else 7,
            "symbol": SYMBOLS[place % len(SYMBOLS)],
        }
    if series.text:
        trace["text"] = [html.escape(series.text[i]) for i in at]
        columns["text"] = "text"
        tip = "%{text}: " + tip
    if series.units is not None:
        trace["customdata"] = [int(series.units[i]) for i in at]
        trace["meta"]["units"] = True
        columns["unit"] = "customdata"
        tip = tip if series.text else "unit %{customdata}: " + tip
    if series.low is None or series.high is None:
        trace["hovertemplate"] = f"{tip}<extra>{name}</extra>"
        return [trace]
    low, high = _numbers(series.low, at), _numbers(series.high, at)
    if "customdata" not in trace:
        trace["customdata"] = [list(pair) for pair in zip(low, high, strict=True)]
        columns |= {"low": "customdata.0", "high": "customdata.1"}
        tip += " [%{customdata[0]:.4g}, %{customdata[1]:.4g}]"
    trace["hovertemplate"] = f"{tip}<extra>{name}</extra>"
    return [band(x, low, high, colour, name), trace]


def _histogram(figure: Histogram) -> Figure:
    edges = np.asarray(figure.edges, np.float64)
    ends = [[compact(float(a)), compact(float(b))] for a, b in pairwise(edges)]
    bars = {
        "type": "bar",
        "x": [compact(float(x)) for x in (edges[1:] + edges[:-1]) / 2],
        "y": [int(n) for n in figure.counts],
        "width": [compact(float(w)) for w in np.diff(edges)],
        "customdata": ends,
        "marker": {"color": "@c0/0.75", "line": {"width": 0}},
        "hovertemplate": "%{customdata[0]:.4g} to %{customdata[1]:.4g}: %{y:,}<extra></extra>",
        "meta": {
            "series": html.escape(figure.title),
            "columns": {"from": "customdata.0", "to": "customdata.1", figure.y.title: "y"},
        },
    }
    layout: dict[str, Any] = {
        "height": HEIGHT,
        "showlegend": False,
        "bargap": 0,
        "xaxis": _axis(figure.x),
        "yaxis": _axis(figure.y),
    }
    if edges[0] < 0 < edges[-1]:
        layout["shapes"] = chance_line(0, "x")
    return Figure([bars], layout, _label("Histogram", figure.title), figure.caption)


def _heat_map(figure: HeatMap) -> Figure:
    name = html.escape(figure.value)
    values = np.asarray(figure.values, np.float64)
    trace = {
        "type": "heatmap",
        "x": _places(figure.columns),
        "y": _places(figure.rows),
        "z": [[compact(float(v)) for v in row] for row in values],
        "colorscale": SCALE,
        "colorbar": {"title": {"text": name, "side": "right"}, "thickness": 12, "outlinewidth": 0},
        "hoverongaps": False,
        "hovertemplate": f"%{{x}}, %{{y}}: %{{z:.4g}}<extra>{name}</extra>",
        "meta": {"series": name, "matrix": [figure.x.title, figure.y.title, figure.value]},
    }
    layout = {
        "height": HEIGHT,
        "showlegend": False,
        "xaxis": _axis(figure.x) | {"showgrid": False},
        "yaxis": _axis(figure.y) | {"showgrid": False},
    }
    return Figure([trace], layout, _label("Heat map", figure.title), figure.caption)


def _places(names: Sequence[str]) -> list[Any]:
    """Numbers where all names are numbers, so that the axis has a scale; else the names."""
    try:
        return [float(name) for name in names]
    except ValueError:
        return [html.escape(name) for name in names]


def _map(figure: ImageMap) -> Figure:
    """One trace of points; the page's script colours it by the chosen one of `choices` in its `meta`."""
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": [compact(float(v)) for v in figure.x],
        "y": [compact(float(v)) for v in figure.y],
        "customdata": [int(i) for i in figure.images],
        "meta": {
            "series": html.escape(figure.title),
            "columns": {"image": "customdata", "x": "x", "y": "y"},
            "choices": [_colouring(name, values) for name, values in figure.colourings.items()],
        },
    }
    bare = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": ""}
    layout = {
        "height": MAP_HEIGHT,
        "hovermode": "closest",
        "xaxis": bare | {"title": {"text": "first axis of the map (no unit)"}},
        "yaxis": bare | {"title": {"text": "second axis of the map (no unit)"}, "scaleanchor": "x"},
    }
    return Figure([points], layout, _label("Map of images", figure.title), figure.caption)


def _colouring(name: str, values: Any) -> dict[str, Any]:
    """How points can be coloured: by numbers, by their own colours, or by class."""
    if isinstance(values, tuple):
        if all(_is_colour(value) for value in values):
            return {"name": name, "kind": "colours", "values": list(values)}
        classes = sorted(set(values))
        codes = {value: i for i, value in enumerate(classes)}
        names = [html.escape(value) for value in classes]
        coded = [codes[value] for value in values]
        return {"name": name, "kind": "classes", "values": coded, "classes": names}
    return {"name": name, "kind": "numbers", "values": [compact(float(v)) for v in values]}


def _is_colour(text: str) -> bool:
    """`#rrggbb` and nothing else: what is no colour must not reach a style."""
    digits = text[1:]
    return len(text) == 7 and text[0] == "#" and all(c in "0123456789abcdefABCDEF" for c in digits)


def _axis(axis: Axis) -> dict[str, Any]:
    lines = textwrap.wrap(axis.title, LINE, break_long_words=False)
    title = "<br>".join(html.escape(line) for line in lines)
    made: dict[str, Any] = {"title": {"text": title}, "zeroline": False}
    if axis.log:
        made["type"] = "log"
    if axis.ticks:
        made["tickvals"] = [value for value, _ in axis.ticks]
        made["ticktext"] = [html.escape(name) for _, name in axis.ticks]
        made |= TILTED
    return made


def _numbers(values: Any, at: Any) -> list[float | None]:
    return [compact(float(v)) for v in np.asarray(values, np.float64)[at]]


def _label(kind: str, title: str) -> str:
    return f"{kind}: {title}"
