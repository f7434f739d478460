"""Writes a run's page: index.html with its data and libraries beside it, or all in one file.

The page is made from results alone (`Run`), works from a file system without any network, and
moves with its folder. All text from suites, plugins and labels is escaped, in HTML, in the data of the
plots and in plotly's labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iibench.report.directions.page import render
from iibench.report.shared.base import PageOutput
from iibench.report.shared.output import ASSETS, PAGE, FolderOutput, SingleFile
from iibench.results.own_folder import RUN, OwnFolder, write_file

if TYPE_CHECKING:
    from iibench.contract.measures import Section
    from iibench.results.run import Run


def write_page(
    run: Run, folder: Path | OwnFolder, sections: Sequence[Section] = (), assets: str = ASSETS
) -> Path:
    """Writes `folder`/index.html for the run with what belongs to it beside it; returns its path.

    `sections`: further parts from plugins. `assets`: the folder of the JavaScript libraries, relative to
    `folder`. Everything is replaced at once, and no file that iibench did not make. Raises `OSError` where
    the folder cannot be written, `UsageError` where it is the folder of something else.
    """
    output = FolderOutput(folder, assets)
    if output.lies_in(run.folder):
        output = FolderOutput(folder, assets, RUN)
    with output:
        output.page(_rendered(run, output, sections))
    return output.folder / PAGE


def write_single(run: Run, path: Path, sections: Sequence[Section] = ()) -> Path:
    """Writes the run's page as one file of at most 20 MB; what does not fit is left out and said so.

    Raises `OSError` where the file cannot be written.
    """
    write_file(path, _rendered(run, SingleFile(), sections).encode("utf-8"))
    return path


def _rendered(run: Run, output: PageOutput, sections: Sequence[Section]) -> str:
    from iibench.report.trials.page import render_trials

    return (render_trials if run.trial_cases else render)(run, output, sections)
