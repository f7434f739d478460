"""The run folder: claimed before anything is computed; then the scores, then everything made from them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench.contract.errors import UsageError
from iibench.contract.reports import Report, TrialReport, Verdict
from iibench.contract.texts import writable
from iibench.results.own_folder import RUN, OwnFolder, own_folder
from iibench.results.run import Run, by_kind, write_leaderboard, write_record, write_results
from iibench.results.trial_tables import write_stimuli
from iibench.results.unit_tables import UnitTables, write_unit_tables
from iibench.runner.kept_units import images_of_trials, unit_tables
from iibench.suite.cases import TrialCase

if TYPE_CHECKING:
    from iibench.contract.config import RunConfig
    from iibench.contract.trials import Stimuli
    from iibench.report.run import ShownRun
    from iibench.runner.attempts import Attempts
    from iibench.runner.session import Session
    from iibench.suite.schema import Suite


@contextmanager
def claimed(config: RunConfig, suite: Suite) -> Iterator[OwnFolder]:
    """The run folder, for this run alone until the end; an older run stands there until there are scores.

    Raises `UsageError` where it cannot be written, holds something that is no run of iibench, or another
    process writes there.
    """
    with ExitStack() as held:
        folder = config.output
        try:
            if folder is None:
                stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
                folder = Path("reports") / f"{suite.name}-{stamp}"
                folder = new_folder(folder)
                held.callback(remove_if_empty, folder)
            _check_place(folder)
            own = held.enter_context(own_folder(folder, RUN, wait=0.0))
            _check_unchanged(own)
            own.new()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"the output folder {folder} cannot be written: {reason}; choose another with --output"
            ) from error
        yield own


def new_folder(wanted: Path) -> Path:
    """A folder of this name that was not there before, or of this name and a number; made empty."""
    wanted.parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("numbers end nowhere")


def remove_if_empty(folder: Path) -> None:
    """Removes a folder in which nothing came to be."""
    with suppress(OSError):
        folder.rmdir()


def _check_place(folder: Path) -> None:
    if Path.cwd().is_relative_to(folder.resolve()):
        raise UsageError(
            f"--output {folder}: this is the current folder, or holds it; name a folder for the run"
        )


def _check_unchanged(own: OwnFolder) -> None:
    changed = own.changed()
    if changed is not None:
        raise UsageError(
            f"--output {own.path}: {changed} was changed since iibench wrote it, and would be replaced; "
            "move it away, or choose another folder"
        )


def write_run(
    session: Session,
    own: OwnFolder,
    described: Callable[[bool], dict[str, Any]],
    reports: Sequence[Report],
    verdicts: Sequence[Verdict],
    attempts: Attempts,
) -> ShownRun:
    """Writes the scores, then everything else, part by part: a part that fails is named in `attempts`.

    `described`: the record of the run, with what has to be loaded for it or without. Raises `UsageError`
    where the scores cannot be written.
    """
    from iibench.report.page import write_page
    from iibench.report.run import shown

    of_directions, of_trials = by_kind(reports)
    trials: Stimuli | None = None
    with attempts.at("the tables of trials"):
        trials = _trials(session, of_trials)
    meta = _record(session, described, False)
    run = _scores(own, meta, reports, verdicts, None if trials is None else trials.units)
    with attempts.at("the record of datasets and networks"):
        meta = _record(session, described, True)
    run = shown(dataclasses.replace(run, meta=meta))

    def part(name: str, write: Callable[[Path], None], again: bool = False) -> None:
        with attempts.at(name, again):
            new = own.new()
            write(new)
            own.put(new)

    if trials is None:
        units = unit_tables(session, of_directions, meta, attempts)
    else:
        part("the tables of trials", partial(write_stimuli, trials=trials))
        units = UnitTables()
        with attempts.at("the thumbnails"):
            units = UnitTables(images=images_of_trials(session, of_trials, trials))
    part("the tables of units", partial(write_unit_tables, tables=writable(units)))
    sections, failures = session.plugins.collect("iibench_report_sections", run=run)
    for failure in failures:
        session.note(failure)
    part("run.json", partial(write_record, run=run))
    part("leaderboard.csv", partial(write_leaderboard, run=run), again=True)
    with attempts.at("the page", again=True):
        write_page(run, own, sections)
    if attempts.missing:
        run.meta["missing"] = attempts.missing
    return run


def _record(
    session: Session, described: Callable[[bool], dict[str, Any]], loading: bool
) -> dict[str, Any]:
    """The run's record as it can be written; its notes grow with those of the session."""
    return {**writable(described(loading)), "notes": session.notes.items}


def _scores(
    own: OwnFolder,
    meta: dict[str, Any],
    reports: Sequence[Report],
    verdicts: Sequence[Verdict],
    units: Sequence[str] | None,
) -> Run:
    """Puts all scores in place of what an older run left in the folder."""
    try:
        new = own.new()
        run = write_results(new, meta, reports, verdicts, units)
        own.put(new, instead_of=tuple(own.files))
    except OSError as error:
        raise UsageError(
            f"the results cannot be written to {own.path}: {error.strerror or error}; what was computed is "
            "in the cache, as far as it could be written, and the same command goes on from it"
        ) from error
    return dataclasses.replace(run, folder=own.path)


def _trials(session: Session, reports: Sequence[TrialReport]) -> Stimuli | None:
    """Stimuli and answers of the run's dataset, as they can be written; None where it is none of trials."""
    ids = {report.id for report in reports if report.scored}
    case = next((c for c in session.cases if isinstance(c, TrialCase) and c.id in ids), None)
    return None if case is None else writable(session.inputs.trials(case).trials)
