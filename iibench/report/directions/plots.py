"""Figures of scores of directions."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from iibench.report.directions.tables import Family, Row, View
from iibench.report.shared.numbers import compact, number
from iibench.report.shared.plots import (
    COLOURS,
    DASHES,
    SYMBOLS,
    TILTED,
    Figure,
    Look,
    band,
    chance_line,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench.contract.arrays import DoubleArray
    from iibench.contract.reports import CaseReport


SVG_WIDTH, SVG_HEIGHT = 100, 20

#: Units beyond the whiskers that a box shows at most, the furthest from the median.
MOST_OUTLIERS = 400


def looks(cases: Sequence[CaseReport]) -> dict[str, Look]:
    """Finder label -> its look. The first baseline is drawn in the colour of text."""
    names: dict[str, list[str]] = {}
    baseline = next((case.finder.name for case in cases if case.role == "baseline"), None)
    for case in cases:
        labels = names.setdefault(case.finder.name, [])
        if case.finder.label not in labels:
            labels.append(case.finder.label)
    found: dict[str, Look] = {}
    others = [name for name in names if name != baseline]
    for name, labels in names.items():
        place = 0 if name == baseline else others.index(name)
        colour = "@fg" if name == baseline else f"@c{place % COLOURS}"
        for i, label in enumerate(labels):
            symbol = SYMBOLS[(place + i + (name != baseline)) % len(SYMBOLS)]
            found[label] = Look(colour, DASHES[(i + place // COLOURS) % len(DASHES)], symbol)
    return found


def scores_of(case: CaseReport) -> tuple[DoubleArray, list[int]]:
    """(scores of the scored units, their unit numbers)."""
    units = [i for i, s in enumerate(case.scores) if s is not None and np.isfinite(s)]
    return np.array([case.scores[i] for i in units], np.float64), units


def box_figure(view: View, unit: str, look: Mapping[str, Look], every_point: bool) -> Figure | None:
    """Scores of every method under one metric, best mean on top (Fig. 3 left); None without scores."""
    rows = [row for row in view.rows if row.mean is not None]
    if not rows:
        return None
    data: list[dict[str, Any]] = []
    for i, row in enumerate(reversed(rows)):
        data += _box(row, float(i), look[row.finder], 0.6, "h", every_point)
    ticks = [html.escape(f"{row.finder}  (n = {row.scored})") for row in reversed(rows)]
    layout = {
        "height": 90 + 38 * len(rows),
        "showlegend": False,
        "xaxis": {"title": {"text": _axis(view, unit)}, "zeroline": False},
        "yaxis": {
            "tickvals": list(range(len(rows))),
            "ticktext": ticks,
            "range": [-0.6, len(rows) - 0.4],
            "showgrid": False,
            "zeroline": False,
            "automargin": True,
        },
        "shapes": chance_line(view.chance, "x"),
    }
    points = "Each point is one unit" if every_point else _outliers(rows)
    return Figure(
        data,
        layout,
        f"Box plot of {view.evaluation} under {view.metric}, one box per method",
        f"{view.evaluation} under {view.metric}: further right is better. {points} (a direction); "
        "the box spans the quartiles, its line is the median, the dashed line the mean, whiskers "
        "reach the furthest unit within 1.5 box lengths. Methods in the order of their means; boxes that "
        "overlap widely are methods that hardly differ.",
    )


def parts_figure(
    views: Sequence[View], finders: Sequence[str], unit: str, look: Mapping[str, Look], every: bool
) -> Figure | None:
    """Scores of a few methods under each part of a metric (Fig. 3 middle)."""
    data: list[dict[str, Any]] = []
    width = 0.8 / max(1, len(finders))
    for column, finder in enumerate(finders):
        offset = (column - (len(finders) - 1) / 2) * width
        for i, view in enumerate(views):
            row = next((r for r in view.rows if r.finder == finder and r.mean is not None), None)
            if row is None:
                continue
            traces = _box(row, round(i + offset, 3), look[finder], width * 0.8, "v", every)
            first = not any(trace.get("legendgroup") == finder for trace in data)
            for trace in traces:
                trace["legendgroup"] = finder
            traces[0] |= {"name": html.escape(f"{finder} (n = {row.scored})"), "showlegend": first}
            data += traces
    if not data:
        return None
    names = ", ".join(finders)
    return Figure(
        data,
        {
            "height": 400,
            "xaxis": {
                "tickvals": list(range(len(views))),
                "ticktext": [html.escape(view.metric) for view in views],
                "showgrid": False,
                "zeroline": False,
                "title": {"text": "part of the metric"},
            },
            "yaxis": {"title": {"text": _axis(views[0], unit, "score")}, "zeroline": False},
        },
        f"Box plots of {views[0].evaluation} under each part of the metric for {names}",
        f"{views[0].evaluation} under each part of the metric alone, for {names}: higher is better. "
        "Compare the methods within a part; parts differ in scale. Boxes and points as above.",
    )


def halves_figure(view: View, unit: str, look: Mapping[str, Look]) -> Figure | None:
    """The lower and the upper half of every method's units by their score, beside each other.

    Units are split at the median of their method: the lower half has the rounded-down number of them.
    None where no method has two scores.
    """
    rows = [row for row in view.ranked if row.scored is not None and row.scored > 1]
    if not rows:
        return None
    data: list[dict[str, Any]] = []
    for i, row in enumerate(rows):
        values = np.sort(scores_of(row.case)[0])
        half = len(values) // 2
        for side, part, fill in (("lower", values[:half], 0.0), ("upper", values[half:], 0.35)):
            offset = -0.2 if side == "lower" else 0.2
            box = _quartiles(part, round(i + offset, 3), look[row.finder], 0.34, "v", fill)
            box["name"] = html.escape(f"{row.finder}, {side} half (n = {len(part)})")
            box["meta"]["series"] = box["name"]
            data.append(box)
    return Figure(
        data,
        {
            "height": 360,
            "showlegend": False,
            "xaxis": {
                "tickvals": list(range(len(rows))),
                "ticktext": [html.escape(f"{row.finder} (n = {row.scored})") for row in rows],
                "showgrid": False,
                "zeroline": False,
                "title": {"text": "method: lower half left, upper half right"},
                **TILTED,
            },
            "yaxis": {"title": {"text": _axis(view, unit)}, "zeroline": False},
        },
        f"Box plots of the lower and upper half of the units of each method, {view.evaluation} "
        f"under {view.metric}",
        f"{view.evaluation} under {view.metric}: the units of each method, split at their median score; "
        "the lower half left and empty, the upper half right and filled. Compare lower halves with lower "
        "halves and upper with upper: does a method lead by its best units alone, or by all of them? "
        "These are the units from above; the analysis split_half finds directions anew in each half.",
    )


def line_figure(
    family: Family, metric: str, look: Mapping[str, Look], lowest: View
) -> Figure | None:
    """Mean score against the parameter that the family runs over, a line per method (Fig. 5)."""
    over = family.over
    if over is None:
        return None
    lines: dict[str, list[CaseReport]] = {}
    for case in family.cases:
        if (case.metric.label if case.metric else "no metric") != metric:
            continue
        if case.summary is not None and case.summary.mean is not None:
            lines.setdefault(case.finder.label, []).append(case)
    if len({c.evaluation.label for cases in lines.values() for c in cases}) < 2:
        return None
    bands: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    ordered = [row.finder for row in lowest.rows if row.finder in lines]
    for finder in ordered + [f for f in lines if f not in ordered]:
        cases = sorted(lines[finder], key=lambda c: float(c.evaluation.params[over]))
        band, curve = _line(finder, cases, over, look[finder])
        bands += band
        curves.append(curve)
    unit = family.record.get("unit") or "score"
    chance = family.record.get("chance")
    layout = {
        "height": 440,
        "xaxis": {
            "title": {"text": html.escape(f"{over} (parameter of {family.name})")},
            "zeroline": False,
        },
        "yaxis": {"title": {"text": html.escape(f"mean {unit}")}, "zeroline": False},
        "shapes": chance_line(chance, "y"),
    }
    at_chance = "" if chance is None else f" The dotted line is chance ({number(chance, 2)})."
    return Figure(
        bands + curves,
        layout,
        f"Line plot of {family.title} under {metric} against {over}, one line per method",
        f"{family.title} under {metric} against {over}: each line is the mean over a method's scored "
        f"units, its band the 95 % interval of that mean over units; higher is better.{at_chance} A tick "
        "beside a name shows its line.",
    )


def strip(row: Row, ends: tuple[float, float] | None, decimals: int) -> Markup:
    """A small box plot of the row's scores on the axis `ends` of its table, as inline SVG."""
    values, _ = scores_of(row.case)
    if ends is None or not len(values):
        return Markup("")
    low, length = ends[0], ends[1] - ends[0] or 1.0

    def at(value: float) -> float:
        return round(3 + (value - low) / length * (SVG_WIDTH - 6), 1)

    q5, q1, median, q3, q95 = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
    words = (
        f"quartiles {number(float(q1), decimals)} to {number(float(q3), decimals)}, "
        f"median {number(float(median), decimals)}, 90 % of the units between "
        f"{number(float(q5), decimals)} and {number(float(q95), decimals)}"
    )
    return Markup(
        '<svg class="strip" width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="img">'
        "<title>{words}</title>"
        '<line class="whisker" x1="{q5}" x2="{q95}" y1="10" y2="10"/>'
        '<rect class="box" x="{q1}" y="4" width="{box}" height="12"/>'
        '<line class="median" x1="{median}" x2="{median}" y1="2" y2="18"/></svg>'
    ).format(
        w=SVG_WIDTH,
        h=SVG_HEIGHT,
        words=words,
        q5=at(float(q5)),
        q95=at(float(q95)),
        q1=at(float(q1)),
        box=max(1.0, round(at(float(q3)) - at(float(q1)), 1)),
        median=at(float(median)),
    )


def span(rows: Sequence[Row]) -> tuple[float, float] | None:
    """The axis that a table's small distributions share: the lowest 5 % to the highest 95 % quantile."""
    ends = [np.quantile(v, [0.05, 0.95]) for row in rows if len(v := scores_of(row.case)[0])]
    if not ends:
        return None
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def _box(
    row: Row, position: float, look: Look, width: float, orientation: str, every_point: bool
) -> list[dict[str, Any]]:
    """A box with quartiles computed here, and its units as points beside its axis."""
    values, units = scores_of(row.case)
    box = _quartiles(values, position, look, width, orientation, 0.12)
    box["name"] = html.escape(row.finder)
    box["meta"]["series"] = box["name"]
    along, across = ("x", "y") if orientation == "h" else ("y", "x")
    # units spread evenly across the box, the same way each time the page is made
    spread = ((np.arange(len(values)) * 0.618034) % 1 - 0.5) * width * 0.8
    kept = np.arange(len(values)) if every_point else _furthest(values, box)
    points = {
        "type": "scatter",
        "mode": "markers",
        along: [compact(float(v)) for v in values[kept]],
        across: [round(position + float(s), 2) for s in spread[kept]],
        "customdata": [units[i] for i in kept],
        "marker": {"color": f"{look.colour}/0.3", "size": 4},
        "hovertemplate": f"unit %{{customdata}}: %{{{along}:.4g}}<extra>"
        f"{html.escape(row.finder)}</extra>",
        "showlegend": False,
        "meta": {"series": box["name"], "columns": {"unit": "customdata", "score": along}},
    }
    return [box, points]


def _quartiles(
    values: DoubleArray,
    position: float,
    look: Look,
    width: float,
    orientation: str,
    fill: float,
) -> dict[str, Any]:
    """A box of values, drawn by its numbers alone: whiskers reach the furthest within 1.5 box lengths."""
    q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75])
    reach = 1.5 * (q3 - q1)
    inside = values[(values >= q1 - reach) & (values <= q3 + reach)]
    along, across = ("x", "y") if orientation == "h" else ("y", "x")
    names = ("q1", "median", "q3", "lowerfence", "upperfence", "mean")
    numbers = (q1, median, q3, inside.min(), inside.max(), values.mean())
    return {
        "type": "box",
        "orientation": orientation,
        across: [position],
        **{name: [compact(float(x))] for name, x in zip(names, numbers, strict=True)},
        "boxpoints": False,
        "boxmean": True,
        "width": width,
        "line": {"color": look.colour, "width": 2},
        "fillcolor": f"{look.colour}/{fill:g}",
        "hoverinfo": along,
        "meta": {"series": "", "columns": {name: name for name in names}},
    }


def _furthest(values: DoubleArray, box: Mapping[str, Any]) -> npt.NDArray[np.int64]:
    """Positions of the values beyond the whiskers, at most `MOST_OUTLIERS`, in their order."""
    q1, q3 = np.quantile(values, [0.25, 0.75])
    reach = 1.5 * (q3 - q1)
    beyond = np.flatnonzero((values < q1 - reach) | (values > q3 + reach))
    distance = np.abs(values[beyond] - box["median"][0])
    return np.sort(beyond[np.argsort(-distance, kind="stable")[:MOST_OUTLIERS]])


def _outliers(rows: Sequence[Row]) -> str:
    """What the points of a plot are that does not show every unit."""
    words = "Points are units beyond the whiskers"
    if max((row.scored or 0 for row in rows), default=0) > MOST_OUTLIERS:
        words += f", of each method the {MOST_OUTLIERS} furthest from its median at most,"
    return words


def _line(
    finder: str, cases: Sequence[CaseReport], over: str, look: Look
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    name = html.escape(finder)
    points = [(float(c.evaluation.params[over]), s) for c in cases if (s := c.summary) is not None]
    xs = [x for x, _ in points]
    curve = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": f"{name} (K = {len(cases[0].scores)})",
        "legendgroup": name,
        "x": xs,
        "y": [compact(s.mean) for _, s in points],
        "customdata": [[s.scored, compact(s.low), compact(s.high)] for _, s in points],
        "line": {"color": look.colour, "dash": look.dash, "width": 2},
        "marker": {"color": look.colour, "symbol": look.symbol, "size": 7},
        "hovertemplate": "%{y:.3f} [%{customdata[1]:.3f}, %{customdata[2]:.3f}], "
        "n = %{customdata[0]}",
        "meta": {
            "series": name,
            "columns": {
                over: "x",
                "mean": "y",
                "low": "customdata.1",
                "high": "customdata.2",
                "n": "customdata.0",
            },
        },
    }
    low, high = ([compact(getattr(s, end)) for _, s in points] for end in ("low", "high"))
    made = band(xs, low, high, look.colour, name)
    return [made] if made["x"] else [], curve


def _axis(view: View, unit: str, metric: str | None = None) -> str:
    under = metric or view.metric
    return html.escape(f"{view.evaluation}, {under}" + (f" ({unit})" if unit else ""))
