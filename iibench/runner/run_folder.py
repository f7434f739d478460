"""The run folder: made beside its place, with tables, images and page, and then put there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench.contract.errors import UsageError
from iibench.contract.reports import CaseReport, Report, TrialReport, Verdict
from iibench.results.run import write_tables
from iibench.results.trial_tables import write_trial_tables
from iibench.results.unit_tables import UnitTables
from iibench.runner.kept_units import images_of_trials, unit_tables
from iibench.suite.cases import TrialCase

if TYPE_CHECKING:
    from iibench.contract.config import RunConfig
    from iibench.contract.trials import Stimuli
    from iibench.report.run import ShownRun
    from iibench.runner.session import Session
    from iibench.suite.schema import Suite


def output_folder(config: RunConfig, suite: Suite) -> Path:
    """The run folder, which is not made yet; everything is written beside it and then renamed.

    Raises `UsageError` where it cannot be written, or holds something that is not a run.
    """
    if config.output is not None:
        folder = config.output
    else:
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        folder = Path("reports") / f"{suite.name}-{stamp}"
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--output {folder}: this is a file, a folder is expected")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "run.json").is_file():
        raise UsageError(f"--output {folder}: the folder holds files that are no run of iibench")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside(folder).rmdir()
    except OSError as error:
        raise UsageError(
            f"the output folder {folder} cannot be written: {error.strerror}; choose another with "
            "--output"
        ) from error
    return folder


def beside(folder: Path) -> Path:
    """A new temporary folder on the same disk as `folder`."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    temporary.chmod(0o755)
    return temporary


def replace(folder: Path, new: Path) -> None:
    """Puts `new` in the place of `folder`; an older run there is removed once the new one stands."""
    if not folder.exists():
        new.rename(folder)
        return
    old = beside(folder)
    folder.rename(old / "old")
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def write_run(
    session: Session,
    folder: Path,
    meta: dict[str, Any],
    reports: Sequence[Report],
    verdicts: Sequence[Verdict],
) -> ShownRun:
    """Tables, images and page into `folder`."""
    from iibench.report.page import write_page
    from iibench.report.run import shown

    of_directions = [report for report in reports if isinstance(report, CaseReport)]
    of_trials = [report for report in reports if isinstance(report, TrialReport)]
    trials = _trials(session, of_trials)
    if trials is None:
        units = unit_tables(session, of_directions, meta)
    else:
        units = UnitTables(images=images_of_trials(session, of_trials, trials))
        write_trial_tables(folder, of_trials, trials)
    run = shown(write_tables(folder, meta, reports, verdicts, units))
    sections, failures = session.plugins.collect("iibench_report_sections", run=run)
    for failure in failures:
        session.note(failure)
    write_page(run, folder, sections)
    return run


def _trials(session: Session, reports: Sequence[TrialReport]) -> Stimuli | None:
    """Stimuli and answers of the run's dataset; None where it is none of trials or cannot be had."""
    ids = {report.id for report in reports if report.scored}
    case = next((c for c in session.cases if isinstance(c, TrialCase) and c.id in ids), None)
    return None if case is None else session.inputs.trials(case).trials
