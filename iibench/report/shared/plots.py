"""Figures of the page: plotly figures as plain data, and small distributions as inline SVG.

A colour is a token, `@fg` or `@c0` ... `@c6`, with an opacity after a slash where it is not 1; the
page's script replaces it by the theme's colour. A trace's `meta` says what of it goes into the
download of the figure's data: `series`, and `columns`, name -> where the values are in the trace. A
finder's variants (`kmeans[k=128]`, `[k=256]`) share a colour and differ in line style and marker.
Labels are HTML-escaped: plotly reads tags in text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass

COLOURS = 7
#: From dark to light in steps that every colour vision tells apart.
SCALE = "Cividis"
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "triangle-down")
#: Names under an axis: they end at their tick, so that none runs out of the plot and is left out.
TILTED = {"tickangle": -30, "ticklabeloverflow": "allow"}


@dataclass(frozen=True)
class Look:
    """How a finder is drawn in every figure of the page."""

    colour: str
    dash: str
    symbol: str


@dataclass(frozen=True)
class Figure:
    """A plotly figure (`data`, `layout`), what it is for readers who cannot see it, and its caption."""

    data: list[dict[str, Any]]
    layout: dict[str, Any]
    label: str
    caption: str


def plot_data(figures: Sequence[tuple[str, Figure]]) -> dict[str, dict[str, object]]:
    """What the page's script draws, by the names of the figures."""
    return {name: {"data": figure.data, "layout": figure.layout} for name, figure in figures}


# ------------------------------------------------------------------------------------- traces


def band(
    x: Sequence[float | None],
    low: Sequence[float | None],
    high: Sequence[float | None],
    colour: str,
    name: str,
) -> dict[str, Any]:
    """The area between `low` and `high` of a line called `name`, where both are known."""
    banded = [i for i in range(len(x)) if low[i] is not None and high[i] is not None]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [x[i] for i in banded] + [x[i] for i in reversed(banded)],
        "y": [high[i] for i in banded] + [low[i] for i in reversed(banded)],
        "fill": "toself",
        "fillcolor": f"{colour}/0.15",
        "line": {"color": f"{colour}/0", "width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": name,
    }


def chance_line(chance: float | None, axis: str) -> list[dict[str, Any]]:
    """A dotted line at the level of chance across the whole plot."""
    if chance is None:
        return []
    across = "y" if axis == "x" else "x"
    line = {"color": "@fg/0.6", "dash": "dot", "width": 1.5}
    ends = {f"{axis}0": chance, f"{axis}1": chance, f"{across}0": 0, f"{across}1": 1}
    return [{"type": "line", f"{across}ref": "paper", **ends, "line": line}]
