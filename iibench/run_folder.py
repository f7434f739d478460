"""The run folder: made beside its place, with tables, images and page, and then put there."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.errors import UsageError
from iibench.exemplars import exemplars
from iibench.records import CaseReport, Exemplars, Report, TrialReport, Verdict
from iibench.results import Run, write_tables
from iibench.suite.cases import Case, TrialCase
from iibench.trial_results import write_trial_tables

if TYPE_CHECKING:
    from iibench.runner import RunConfig, Session
    from iibench.suite.schema import Suite
    from iibench.trials import Trials

#: Exemplars per direction kept in the run folder.
EXEMPLARS = 5


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
) -> Run:
    """Tables, images and page into `folder`."""
    from iibench.report.gallery import images_needed
    from iibench.report.page import write_page

    of_directions = [report for report in reports if isinstance(report, CaseReport)]
    of_trials = [report for report in reports if isinstance(report, TrialReport)]
    tops = _exemplars(session, of_directions)
    shown = {(t.dataset, t.model, t.layer, t.finder): t.images for t in tops}
    needed = images_needed(of_directions, shown, meta["evaluations"])
    trials = _trials(session, of_trials)
    if trials is not None:
        from iibench.report.trial_choice import images_of_trials

        needed = {of_trials[0].dataset: images_of_trials(of_trials, trials)}
    images = {
        (label, index): png
        for label, indices in needed.items()
        for index, png in _pngs(session, label, indices).items()
    }
    if trials is not None:
        write_trial_tables(folder, of_trials, trials)
    run = write_tables(folder, meta, reports, verdicts, tops, images)
    sections, failures = session.plugins.collect("iibench_report_sections", run=run)
    for failure in failures:
        session.note(failure)
    write_page(run, folder, sections)
    return run


def _trials(session: Session, reports: Sequence[TrialReport]) -> Trials | None:
    """Stimuli and answers of the run's dataset; None where it is none of trials or cannot be had."""
    ids = {report.id for report in reports if report.scored}
    case = next((c for c in session.cases if isinstance(c, TrialCase) and c.id in ids), None)
    return None if case is None else session.bench.inputs.trials(case).trials


def _exemplars(session: Session, reports: Sequence[CaseReport]) -> list[Exemplars]:
    """The most activating images of each finder with a scored case."""
    scored = {report.id for report in reports if report.scores}
    found: dict[str, Exemplars] = {}
    for case in session.cases:
        if not isinstance(case, Case) or case.stem in found or case.id not in scored:
            continue
        images = exemplars(session.bench.order(case), EXEMPLARS)
        responses = session.bench.responses(case)
        found[case.stem] = Exemplars(
            case.dataset.label,
            case.model.label,
            case.layer.label,
            case.finder.label,
            images,
            np.take_along_axis(responses, images.T, axis=0).T,
        )
    return list(found.values())


def _pngs(session: Session, label: str, indices: Sequence[int]) -> dict[int, bytes]:
    """PNG of each image of the evaluated split of the dataset with this label."""
    from PIL import Image

    if not indices:
        return {}
    case = next(case for case in session.cases if case.dataset.label == label)
    pixels = session.bench.inputs.evaluated(case).images(np.asarray(indices, np.int64))
    found = {}
    for index, array in zip(indices, pixels, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, "PNG", optimize=True)
        found[int(index)] = buffer.getvalue()
    return found
