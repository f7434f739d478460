"""Writes a run's page: index.html, and plotly's own JavaScript beside it.

The page is made from results alone (`results.Run`), works from a file system without any network, and
moves with its folder. All text from suites, plugins and labels is escaped, in HTML, in the data of the
plots and in plotly's labels.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iibench.leaderboard import BASELINE
from iibench.report.base import PLOTLY, environment, shared

if TYPE_CHECKING:
    from iibench.records import Section
    from iibench.report.plots import Figure, Look
    from iibench.report.tables import Family, Place
    from iibench.results import Run

#: With more points than this on the page, plots show only the units beyond the whiskers.
MOST_POINTS = 60_000


def write_page(run: Run, folder: Path, sections: Sequence[Section] = ()) -> Path:
    """Writes `folder`/index.html for the run, and plotly.min.js beside it; returns the page's path.

    `sections`: further parts from plugins. Files appear whole or not at all. Raises `OSError` where
    the folder cannot be written.
    """
    from plotly.offline import get_plotlyjs

    from iibench.report.trial_page import render_trials

    page = folder / "index.html"
    text = render_trials(run, sections) if run.trial_cases else render(run, sections)
    script = get_plotlyjs().encode("utf-8")
    beside = folder / PLOTLY
    if not beside.is_file() or beside.stat().st_size != len(script):
        _write(beside, script)
    _write(page, text.encode("utf-8"))
    return page


def render(run: Run, sections: Sequence[Section] = ()) -> str:
    """The page's HTML; it expects plotly.min.js in its own folder."""
    from iibench.report.gallery import galleries, shown_cases
    from iibench.report.plots import looks
    from iibench.report.tables import places
    from iibench.report.words import alternatives, definitions, headlines

    found = places(run, run.leaderboard())
    look = looks(run.cases)
    figures = _figures(found, look)
    pictured = {case.id for case in shown_cases(run.cases, run.meta.get("evaluations", {}))}
    albums, images, left_out = galleries(
        run,
        [
            (row.case, f"{view.evaluation} · {view.metric}")
            for place in found
            for family in place.families
            for view in family.whole
            for row in view.rows
            if row.case.id in pictured
        ],
    )
    plots = {
        name: {"data": figure.data, "layout": figure.layout}
        for group in figures.values()
        for name, figure in group
    }
    keys = {place.key: f"place-{i}" for i, place in enumerate(found)}
    payload = {
        "plots": plots,
        "images": images,
        "galleries": {keys[key]: entries for key, entries in albums.items()},
        "baseline": next((c.finder.label for c in run.cases if c.finder.name == BASELINE), ""),
        "alternative": alternatives(found),
    }
    return (
        environment()
        .get_template("page.html")
        .render(
            **shared(run, sections, payload),
            places=found,
            keys=keys,
            figures=figures,
            galleries=payload["galleries"],
            left_out=left_out,
            headlines=headlines(found),
            definitions=definitions(run, found),
        )
    )


def _figures(
    found: Sequence[Place], look: dict[str, Look]
) -> dict[tuple[int, int], list[tuple[str, Figure]]]:
    """(place, family) -> the family's figures with their names on the page."""
    from iibench.report.plots import box_figure, line_figure

    boxes = [f for place in found for f in place.families if f.over is None]
    points = sum(len(row.case.scores) for f in boxes for view in f.whole for row in view.rows)
    every = points <= MOST_POINTS
    figures: dict[tuple[int, int], list[tuple[str, Figure]]] = {}
    for i, place in enumerate(found):
        for j, family in enumerate(place.families):
            unit = str(family.record.get("unit") or "")
            if family.over is None:
                made = [box_figure(view, unit, look, every) for view in family.whole]
                made += _parts_figures(family, unit, look, every)
            else:
                made = [line_figure(family, view.metric, look, view) for view in family.whole]
            kept = [figure for figure in made if figure is not None]
            figures[i, j] = [(f"plot-{i}-{j}-{n}", figure) for n, figure in enumerate(kept)]
    return figures


def _parts_figures(
    family: Family, unit: str, look: dict[str, Look], every: bool
) -> list[Figure | None]:
    """A figure per metric with parts: neurons beside K-Means, or else beside the best other method."""
    from iibench.report.plots import parts_figure

    figures = []
    for base in dict.fromkeys(view.base for view in family.parts):
        views = sorted((v for v in family.parts if v.base == base), key=lambda v: v.part or "")
        whole = next((v for v in family.whole if v.base == base), views[0])
        rows = [row for row in whole.rows if row.mean is not None]
        neurons = [row.finder for row in rows if row.case.finder.name == BASELINE][:1]
        others = [row for row in rows if row.case.finder.name != BASELINE]
        kmeans = [row.finder for row in others if row.case.finder.name == "kmeans"]
        chosen = neurons + (kmeans or [row.finder for row in others])[:1]
        figures.append(parts_figure(views, chosen, unit, look, every))
    return figures


def _write(path: Path, content: bytes) -> None:
    """Writes beside the file and renames, so that a reader never sees half of it."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
