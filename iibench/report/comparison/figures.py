"""Figures of the comparison page: the scores of a case's units in A against those in B."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from iibench.report.shared.numbers import compact
from iibench.report.shared.plots import Figure
from iibench.results.comparison.cases import CaseComparison

#: Traces of the scatter: name, colour and symbol of the units whose score rose, fell, stayed.
SIDES = (
    ("larger in B", "@c0/0.6", "circle"),
    ("smaller in B", "@c1/0.6", "diamond"),
    ("the same", "@fg/0.35", "cross"),
)


def figure_of(case: CaseComparison, title: str, unit: str) -> Figure | None:
    """A scatter of A against B where the units are the same, else a box for each; None without scores.

    `title`: what the scores are of; `unit`: in what they are measured, "" where that is not known.
    """
    if case.different:
        return _boxes(case, title, unit)
    x, y = case.scores
    both = ~(np.isnan(x) | np.isnan(y))
    if not both.any():
        return None
    one_sided = int((np.isnan(x) != np.isnan(y)).sum())
    data: list[dict[str, Any]] = []
    for (name, colour, symbol), chosen in zip(SIDES, (y > x, y < x, x == y), strict=True):
        units = np.flatnonzero(both & chosen)
        if len(units):
            data.append(_points(case, units, f"{name} (n = {len(units):,})", colour, symbol))
    low, high = float(min(x[both].min(), y[both].min())), float(max(x[both].max(), y[both].max()))
    room = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    ends = [compact(low - room), compact(high + room)]
    line = {"x0": ends[0], "y0": ends[0], "x1": ends[1], "y1": ends[1]}
    layout = {
        "height": 420,
        "xaxis": {"title": {"text": _axis(case, "A", unit)}, "range": ends, "zeroline": False},
        "yaxis": {"title": {"text": _axis(case, "B", unit)}, "range": ends, "zeroline": False},
        "shapes": [
            {"type": "line", **line, "line": {"color": "@fg/0.5", "dash": "dot", "width": 1.5}}
        ],
    }
    what = {"stimulus": "stimulus", "unit": "unit (a direction)"}[case.item]
    lost = (
        f" {one_sided:,} more {'has' if one_sided == 1 else 'have'} a score in one run only."
        if one_sided
        else ""
    )
    return Figure(
        data,
        layout,
        f"Scatter plot of {title}: {case.item} scores in A against B",
        f"{title}, n = {int(both.sum()):,}: each point is one {what}. On the dotted line nothing "
        f"changed; above it the score is larger in B, below it smaller.{lost}",
    )


def _points(
    case: CaseComparison, units: Any, name: str, colour: str, symbol: str
) -> dict[str, Any]:
    x, y = case.scores
    return {
        "type": "scatter",
        "mode": "markers",
        "name": html.escape(name),
        "x": [compact(float(v)) for v in x[units]],
        "y": [compact(float(v)) for v in y[units]],
        "customdata": [
            [int(unit), compact(float(change))]
            for unit, change in zip(units, (y - x)[units], strict=True)
        ],
        "marker": {"color": colour, "symbol": symbol, "size": 6},
        "hovertemplate": f"{case.item} %{{customdata[0]}}: %{{x:.5g}} in A, %{{y:.5g}} in B, "
        "change %{customdata[1]:+.4g}<extra></extra>",
        "meta": {
            "series": html.escape(name),
            "columns": {case.item: "customdata.0", "A": "x", "B": "y", "change": "customdata.1"},
        },
    }


def _boxes(case: CaseComparison, title: str, unit: str) -> Figure | None:
    data: list[dict[str, Any]] = []
    for run, colour, scores in zip("AB", ("@c0", "@c1"), case.scores, strict=True):
        values = scores[~np.isnan(scores)]
        if not len(values):
            return None
        name = f"{run} (n = {len(values):,})"
        data.append(
            {
                "type": "box",
                "y": [compact(float(v)) for v in values],
                "name": name,
                "boxmean": True,
                "boxpoints": "outliers",
                "line": {"color": colour, "width": 2},
                "fillcolor": f"{colour}/0.15",
                "marker": {"color": f"{colour}/0.6", "size": 4},
                "meta": {"series": name, "columns": {"score": "y"}},
            }
        )
    score = html.escape(f"score ({unit})" if unit else "score")
    return Figure(
        data,
        {
            "height": 380,
            "showlegend": False,
            "xaxis": {"title": {"text": "run"}},
            "yaxis": {"title": {"text": score}, "zeroline": False},
        },
        f"Box plots of {title} in A and in B",
        f"{title}: the {case.item}s of A and of B, which cannot be paired. The box spans the "
        "quartiles, its line is the median, the dashed line the mean.",
    )


def _axis(case: CaseComparison, run: str, unit: str) -> str:
    what = "margin of the stimulus" if case.item == "stimulus" else "score of the unit"
    return html.escape(f"{what} in {run}" + (f" ({unit})" if unit else ""))
