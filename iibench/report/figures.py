"""A run's figures as plotly figures, those of its page in the colours of its light theme."""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from iibench.contract.errors import UsageError, unknown_name

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from iibench.report.directions.tables import Family, View
    from iibench.report.shared.plots import Figure
    from iibench.results.run import Run

#: The light theme of the page (`:root` of page.css).
PALETTE = {
    "fg": "#1b1f24",
    "muted": "#5a636d",
    "line": "#dfe3e8",
    "c0": "#0072b2",
    "c1": "#d55e00",
    "c2": "#009e73",
    "c3": "#cc79a7",
    "c4": "#e69f00",
    "c5": "#56b4e9",
    "c6": "#8f8300",
}
_TOKEN = re.compile(r"@(?P<name>\w+)(?:/(?P<opacity>[\d.]+))?")
#: With more units than this in a figure, only those beyond the whiskers are drawn as points.
MOST_POINTS = 20_000


def figure(
    run: Run, what: str, *, metric: str | None = None, place: int | str | None = None
) -> go.Figure:
    """An evaluation of the run as a plotly figure.

    `what`: the name of an evaluation (`ii`, `insilico`) or its label. Of directions: a box per method,
    or lines against the parameter that the evaluation ran over, where the name is given and it ran over
    several values. `metric`: its label, by default the main one. Of trials: the headline of every
    metric. `place`: number or text `DATASET/MODEL/LAYER` (of trials: the dataset), by default the first.
    Raises `UsageError` for names that the run does not have, and where nothing is scored.
    """
    drawn, title = (_of_trials if run.trial_cases else _of_directions)(run, what, metric, place)
    if drawn is None:
        raise UsageError(f"there is no figure of {what}: too little is scored")
    return _plotly(drawn, title)


def chosen_place(run: Run, place: int | str | None) -> tuple[str, str, str]:
    """(dataset, model, layer) labels of a place that is named by number, as text, or not at all.

    As text: `DATASET/MODEL/LAYER`, or one of the three where that is enough. Raises `UsageError` where
    the run has no such place or several.
    """
    known = list(dict.fromkeys((c.dataset, c.model.label, c.layer) for c in run.cases))
    if not known:
        raise UsageError("the run has no case of directions")
    names = ["/".join(key) for key in known]
    if place is None:
        return known[0]
    if isinstance(place, int):
        if not 0 <= place < len(known):
            raise UsageError(f"found place {place}; expected 0 to {len(known) - 1}")
        return known[place]
    found = [k for k, n in zip(known, names, strict=True) if place == n or place in k]
    if len(found) > 1:
        raise UsageError(f"found place {place!r}, which are {len(found)}; expected one of {names}")
    if not found:
        raise UsageError(unknown_name("place", place, names))
    return found[0]


def _of_directions(
    run: Run, what: str, metric: str | None, place: int | str | None
) -> tuple[Figure | None, str]:
    from iibench.report.directions.plots import box_figure, line_figure, looks
    from iibench.report.directions.tables import places

    key = chosen_place(run, place)
    cases = [case for case in run.cases if (case.dataset, case.model.label, case.layer) == key]
    names = {case.evaluation.name for case in cases}
    labels = {case.evaluation.label for case in cases}
    if what not in names:
        if what not in labels:
            raise UsageError(unknown_name("evaluation of this run", what, names | labels))
        cases = [case for case in cases if case.evaluation.label == what]
    some = dataclasses.replace(run, cases=tuple(c for c in cases if what in _names(c.evaluation)))
    family = next(iter(places(some, run.leaderboard())[0].families))
    view = _view(family, metric)
    unit = str(family.record.get("unit") or "")
    look = looks(run.cases)
    every = sum(len(row.case.scores) for row in view.rows) <= MOST_POINTS
    line = line_figure(family, view.metric, look, view) if family.over else None
    drawn = line or box_figure(view, unit, look, every)
    name = family.title if line else view.evaluation
    return drawn, f"{name} under {view.metric}: {', '.join(key)}"


def _names(evaluation: Any) -> tuple[str, str]:
    return evaluation.name, evaluation.label


def _view(family: Family, metric: str | None) -> View:
    views = {view.metric: view for view in (*family.whole, *family.parts)}
    if metric is None:
        return next(iter(views.values()))
    if metric not in views:
        raise UsageError(unknown_name(f"metric of {family.title}", metric, views))
    return views[metric]


def _of_trials(
    run: Run, what: str, metric: str | None, place: int | str | None
) -> tuple[Figure | None, str]:
    from iibench.report.trials.plots import headline_figure, metric_looks
    from iibench.report.trials.tables import boards

    if metric is not None:
        raise UsageError("the figure of a run on trials shows every metric; found metric given")
    found = boards(run)
    datasets = list(dict.fromkeys(board.dataset for board in found))
    if isinstance(place, int):
        if not 0 <= place < len(datasets):
            raise UsageError(f"found place {place}; expected 0 to {len(datasets) - 1}")
        place = datasets[place]
    if place is not None and place not in datasets:
        raise UsageError(unknown_name("dataset of this run", place, datasets))
    names: dict[str, Any] = {}
    for board in found:
        if place in (None, board.dataset):
            for name in (board.rows[0].report.evaluation.name, board.evaluation):
                names.setdefault(name, board)
    if what not in names:
        raise UsageError(unknown_name("evaluation of this run", what, names))
    board = names[what]
    title = f"{board.title}, {board.evaluation}: {board.dataset}"
    return headline_figure(board, metric_looks(run.trial_cases)), title


# ------------------------------------------------------------------------------------- plotly


def _plotly(drawn: Figure, title: str) -> go.Figure:
    import plotly.graph_objects as go

    data, layout = resolved(drawn.data), resolved(drawn.layout)
    axis = {"gridcolor": PALETTE["line"], "linecolor": PALETTE["muted"], "automargin": True}
    layout |= {
        "title": {"text": html.escape(title, quote=False), "x": 0, "xref": "container"},
        "height": layout.get("height", 400) + 60,
        "template": "plotly_white",
        "font": {"family": "system-ui, sans-serif", "color": PALETTE["fg"]},
        "margin": {"l": 10, "r": 10, "t": 60, "b": 10, "pad": 2},
        "xaxis": {**axis, **layout.get("xaxis", {})},
        "yaxis": {**axis, **layout.get("yaxis", {})},
    }
    return go.Figure(data=data, layout=layout)


def resolved(value: Any, palette: Callable[[str], str] = PALETTE.__getitem__) -> Any:
    """Plain plotly data with every colour token (`@c0`, `@fg/0.4`) as a CSS colour."""
    if isinstance(value, dict):
        return {
            key: _colour(item, palette)
            if key in {"color", "fillcolor"} and isinstance(item, str)
            else resolved(item, palette)
            for key, item in value.items()
        }
    return [resolved(item, palette) for item in value] if isinstance(value, list) else value


def _colour(text: str, palette: Callable[[str], str]) -> str:
    match = _TOKEN.fullmatch(text)
    if match is None:
        return text
    colour = palette(match["name"])
    if match["opacity"] is None:
        return colour
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{match['opacity']})"
