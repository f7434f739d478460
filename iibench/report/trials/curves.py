"""ROC curves as in the paper's Fig. 2 and 13: a figure per group of answers, a line per metric."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.report.shared.numbers import interval, number
from iibench.report.shared.plots import Figure, Look
from iibench.report.trials.groups import in_words, kinds
from iibench.statistics.agreement import thinned

if TYPE_CHECKING:
    from iibench.contract.measures import Curve
    from iibench.report.trials.tables import Board, Group, Row

#: Kinds of groups that are drawn, in this order; of the last one those with the highest confidence.
LAYERS = ("model", "layers")
CONFIDENT = ("model", "layers", "confidence")
#: Figures that stand open; further ones are folded.
OPEN = 9
#: Points of all curves of a page together, and fewest of one curve.
MOST_POINTS, FEWEST = 60_000, 25
ROC = "roc"


@dataclass(frozen=True)
class CurveFigures:
    """Figures of one board, those that stand open first.

    `left_out`: curves that did not fit. `undrawn`: groups without a curve, and why.
    """

    shown: tuple[Figure, ...] = ()
    folded: tuple[Figure, ...] = ()
    left_out: int = 0
    undrawn: tuple[tuple[str, str], ...] = ()


def curve_figures(boards: Sequence[Board], looks: Mapping[str, Look]) -> list[CurveFigures]:
    """Of each board: all answers, then groups of layers; the first board with curves shows more."""
    wanted = [(board, name, group) for board in boards for name, group in _wanted(board)]
    lines = sum(len(_lines(board, name, group)) for board, name, group in wanted)
    points = max(FEWEST, min(200, MOST_POINTS // max(1, lines)))
    left, found, first = MOST_POINTS, [], True
    for board in boards:
        made, lost = [], 0
        for _, name, group in (item for item in wanted if item[0] is board):
            drawn = _lines(board, name, group)
            if len(drawn) * points > left:
                lost += len(drawn)
                continue
            left -= len(drawn) * points
            made.append(_figure(board, name, group, drawn, looks, points))
        shown = OPEN if first else 1
        found.append(
            CurveFigures(tuple(made[:shown]), tuple(made[shown:]), lost, tuple(_undrawn(board)))
        )
        first = first and not made
    return found


def _wanted(board: Board) -> list[tuple[str, Group]]:
    """(name, group) of the curves to draw."""
    every: dict[str, dict[tuple[str, ...], dict[Group, None]]] = {}
    for row in board.scored:
        for curve in row.report.curves:
            group = _group(curve)
            kind = tuple(name for name, _ in group)
            every.setdefault(curve.name, {}).setdefault(kind, {})[group] = None
    return [
        (name, group)
        for name, found in every.items()
        for group in _chosen({kind: list(groups) for kind, groups in found.items()})
    ]


def _chosen(groups: Mapping[tuple[str, ...], list[Group]]) -> list[Group]:
    """All answers, then groups of layers, or every group where there are no such."""
    layers = groups.get(LAYERS, []) + _most_confident(groups.get(CONFIDENT, []))
    others = [group for kind, found in groups.items() if kind for group in found]
    return groups.get((), []) + (layers or others)


def _undrawn(board: Board) -> Iterator[tuple[str, str]]:
    """Groups that would be drawn, had they a ROC curve, and why they have none."""
    if not any(row.report.curves for row in board.scored):
        return
    for group in _chosen(kinds(board)):
        reasons = {m.reason for row in board.scored if (m := row.of("auc", group))}
        if reasons and None not in reasons:
            yield in_words(group), "; ".join(sorted(filter(None, reasons)))


def _most_confident(groups: list[Group]) -> list[Group]:
    """The groups at the highest confidence that occurs."""
    found = (dict(group)["confidence"] for group in groups)
    top = max(found, key=lambda value: (len(value), value), default="")
    return [group for group in groups if dict(group)["confidence"] == top]


def _group(curve: Curve) -> Group:
    return tuple((str(name), str(value)) for name, value in curve.group.items())


def _lines(board: Board, name: str, group: Group) -> list[tuple[Row, Curve]]:
    """Whole metrics first."""
    found = [
        (row, curve)
        for row in board.scored
        for curve in row.report.curves
        if curve.name == name and _group(curve) == group
    ]
    return sorted(found, key=lambda item: item[0].part)


def _figure(
    board: Board,
    name: str,
    group: Group,
    drawn: Sequence[tuple[Row, Curve]],
    looks: Mapping[str, Look],
    points: int,
) -> Figure:
    area = "auc" if name == ROC else name
    whole = any(not row.part for row, _ in drawn)
    data = [_trace(row, curve, area, group, looks, points, whole) for row, curve in drawn]
    measure = next((m for row, _ in drawn if (m := row.of(area, group))), None)
    n = f"n = {measure.n:,}" if measure else ""
    heading = f"{board.measures.title(area)} [95 %]{', ' if n else ''}{n}"
    layout: dict[str, Any] = {
        "height": 380 + 19 * len(drawn),
        "legend": {
            "orientation": "v",
            "y": -70 / 300,
            "title": {"text": html.escape(heading), "font": {"size": 12}},
            "font": {"size": 11},
        },
        "xaxis": {"zeroline": False, "constrain": "domain"},
        "yaxis": {"zeroline": False},
    }
    where = in_words(group)
    if name != ROC:
        return Figure(
            data, layout, f"{name} for {where}", f"{name} for {where}, {board.evaluation}."
        )
    right, wrong = ("right answers", "wrong answers")
    if not board.has_truth:
        right, wrong = ("votes for a candidate", "votes against it")
    layout["xaxis"] |= {"range": [0, 1], "title": {"text": f"{wrong} above a threshold (share)"}}
    layout["yaxis"] |= {"range": [0, 1.005], "title": {"text": f"{right} above it (share)"}}
    diagonal = {"x0": 0, "y0": 0, "x1": 1, "y1": 1, "line": {"color": "@fg/0.5", "dash": "dot"}}
    layout["shapes"] = [{"type": "line", "layer": "below", **diagonal}]
    return Figure(
        data,
        layout,
        f"ROC curves for {where}, {board.evaluation}, one line per metric",
        _caption(where, measure.n if measure else 0, board, any(row.part for row, _ in drawn)),
    )


def _caption(where: str, n: int, board: Board, parts: bool) -> str:
    follow = "where people are right" if board.has_truth else "how people vote"
    return (
        f"{where[:1].upper()}{where[1:]} ({n:,} answers): the further a line is above the dotted "
        f"diagonal (chance), the better margins say {follow}."
        + (" Parts of metrics start hidden." if parts else "")
    )


def _trace(
    row: Row,
    curve: Curve,
    area: str,
    group: Group,
    looks: Mapping[str, Look],
    points: int,
    whole: bool,
) -> dict[str, Any]:
    x, y = thinned(np.array(curve.x), np.array(curve.y), points)
    measure = row.of(area, group)
    words = ""
    if measure is not None and measure.value is not None:
        words = f"  {number(measure.value, 3)} {interval(measure.low, measure.high, 3)}".rstrip()
    look = looks[row.metric] if row.metric in looks else Look("@fg", "solid", "circle")
    return {
        "type": "scatter",
        "mode": "lines",
        "name": html.escape(row.metric) + words,
        "x": np.round(x, 4).tolist(),
        "y": np.round(y, 4).tolist(),
        "line": {"color": look.colour, "dash": look.dash, "width": 1.5 if row.part else 2.5},
        "visible": "legendonly" if row.part and whole else True,
        "showlegend": True,
        "hovertemplate": f"%{{y:.3f}} at %{{x:.3f}}<extra>{html.escape(row.metric)}</extra>",
    }
