"""The site of several runs: an index with the runs and the tables that they share, and every run's page.

`index.html`, `assets/` with the JavaScript libraries, and `runs/NAME/index.html` with each run's data.
Everything works from a file system, and moves with its folder.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from iibench.report.directions.plots import span, strip
from iibench.report.directions.tables import LEVELS, View, places
from iibench.report.page import write_page
from iibench.report.shared.base import PageOutput, counts, environment, frame
from iibench.report.shared.output import PAGE, FolderOutput
from iibench.report.site.groups import Group, groups

if TYPE_CHECKING:
    from iibench.contract.measures import Section
    from iibench.report.trials.tables import Board
    from iibench.results.run import Run
    from iibench.results.unit_tables import Stem

__all__ = ["Group", "groups", "write_site"]

ASSETS = "../../assets"
#: Characters of a run's folder that a page may not need to escape.
PLAIN = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Listed:
    """A run in the index: its folder in `runs`, the page within the site, and its cases by status."""

    run: Run
    name: str
    href: str
    counts: dict[str, int]
    met: tuple[int, int]


@dataclass(frozen=True)
class Table:
    """A table of the index. `links`: of each row the page with its cards, and (run, link) of its runs."""

    group: Group
    view: View | None
    board: Board | None
    links: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def write_site(
    runs: Sequence[Run],
    folder: Path,
    sections_of: Callable[[Run], Sequence[Section]] = lambda run: (),
) -> Path:
    """Writes the site of these runs into `folder` and returns its index page.

    `sections_of`: further parts of a run's page, from plugins. Runs in the same place of the site are
    replaced; pages of runs that are no longer given stay, and so does what iibench did not make. Raises
    `OSError` where it cannot be written, `UsageError` where the folder is that of something else.
    """
    with FolderOutput(folder) as output:
        for run, name in zip(runs, unique_names(runs), strict=True):
            write_page(run, output.own.inside(f"runs/{name}"), sections_of(run), ASSETS)
        output.page(render_site(runs, output))
    return folder / PAGE


def render_site(runs: Sequence[Run], output: PageOutput) -> str:
    """The HTML of the index; pages of runs are expected in `runs/NAME/`."""
    from iibench.report.directions.words import in_short

    listed = [_listed(run, name) for run, name in zip(runs, unique_names(runs), strict=True)]
    sparse = {id(run): {} if run.trial_cases else run.sparseness() for run in runs}
    found = [_table(group, listed, sparse) for group in groups(runs)]
    return (
        environment(strip=strip, span=span)
        .get_template("site/page.html")
        .render(
            **frame({}, output), runs=listed, chapters=_chapters(runs, found), in_short=in_short
        )
    )


def unique_names(runs: Sequence[Run]) -> list[str]:
    """A folder name for each run, after its own folder or else its name; equal ones are numbered."""
    found: list[str] = []
    for run in runs:
        own = run.folder.resolve().name or str(run.meta.get("name") or "run")
        base = PLAIN.sub("-", own).strip("-.") or "run"
        name, n = base, 1
        while name.lower() in {other.lower() for other in found}:
            n += 1
            name = f"{base}-{n}"
        found.append(name)
    return found


def _listed(run: Run, name: str) -> Listed:
    met = [sum(v.status == status for v in run.verdicts) for status in ("passed", "failed")]
    return Listed(run, name, f"runs/{quote(name)}/{PAGE}", counts(run), (met[0], met[1]))


def _table(
    group: Group, listed: Sequence[Listed], sparse: Mapping[int, Mapping[Stem, float]]
) -> Table:
    by_run = {id(item.run): item for item in listed}
    combined = group.combined()
    if group.of_trials:
        from iibench.report.trials.tables import boards

        board = boards(combined)[0]
        order = [int(row.report.id) for row in board.rows]
        view = None
    else:
        board = None
        view = places(combined, combined.leaderboard())[0].families[0].whole[0]
        order = [int(row.case.id) for row in view.rows]
        view = dataclasses.replace(
            view,
            rows=tuple(
                dataclasses.replace(row, sparseness=sparse[id(group.rows[i][0])].get(row.case.stem))
                for i, row in zip(order, view.rows, strict=True)
            ),
        )
    links = tuple(
        (
            by_run[id(group.runs[i][0])].href,
            tuple((by_run[id(r)].name, by_run[id(r)].href) for r in group.runs[i]),
        )
        for i in order
    )
    return Table(group, view, board, links)


def _chapters(
    runs: Sequence[Run], found: Sequence[Table]
) -> list[tuple[str, list[Table], list[Table]]]:
    """(heading, tables of several runs, tables of one run) of each dataset, model and layer.

    Chapters in which runs meet come first; of tables those of the main evaluation, then by the level of
    their metric.
    """
    chapters: dict[str, list[Table]] = {}
    for table in found:
        labels = dict(table.group.labels)
        heading = f"trials of {labels['dataset']}"
        if not table.group.of_trials:
            heading = f"{labels['layer']} of {labels['model']} on {labels['dataset']}"
        chapters.setdefault(heading, []).append(table)
    levels: dict[str, str] = {}
    leading: set[str] = set()
    for run in runs:
        for label, record in (run.meta.get("metrics") or {}).items():
            levels.setdefault(label, str(record.get("level")))
        evaluations = run.meta.get("evaluations") or {}
        leading |= {label for label, record in evaluations.items() if record.get("leads")}

    def rank(table: Table) -> tuple[bool, int]:
        labels = dict(table.group.labels)
        level = levels.get(labels.get("metric", ""), "mid")
        return labels["evaluation"] not in leading, LEVELS.get(level, 0)

    arranged = [
        (
            heading,
            sorted((t for t in tables if t.group.shared), key=rank),
            sorted((t for t in tables if not t.group.shared), key=rank),
        )
        for heading, tables in chapters.items()
    ]
    return sorted(arranged, key=lambda chapter: not chapter[1])
