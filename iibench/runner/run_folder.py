"""What is written into a run folder: the scores, and then everything made from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench.contract.errors import UsageError
from iibench.contract.reports import Report, TrialReport, Verdict
from iibench.contract.texts import writable
from iibench.results.own_folder import RUN, OwnFolder
from iibench.results.run import Run, by_kind, write_leaderboard, write_record, write_results
from iibench.results.trial_tables import write_stimuli
from iibench.results.unit_tables import UnitTables, write_unit_tables
from iibench.runner.claim import new_folder
from iibench.runner.kept_units import images_of_trials, unit_tables
from iibench.suite.cases import TrialCase

if TYPE_CHECKING:
    from iibench.contract.trials import Stimuli
    from iibench.report.run import ShownRun
    from iibench.runner.attempts import Attempts
    from iibench.runner.session import Session


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
    units_of = None if trials is None else trials.units
    own, run = _scores(
        session,
        own,
        partial(write_results, meta=meta, reports=reports, verdicts=verdicts, units=units_of),
    )
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
    session: Session, own: OwnFolder, write: Callable[[Path], Run]
) -> tuple[OwnFolder, Run]:
    """Puts all scores in place of what an older run left in the folder: (the folder, the run).

    Where somebody put something in the way while the run went on, they stand in a folder beside it.
    """
    try:
        new = own.new()
        run = write(new)
        try:
            own.put(new, instead_of=tuple(own.files))
        except UsageError as error:
            beside = new_folder(own.path.with_name(f"{own.path.name}-kept"))
            session.note(f"{error}; the run stands in {beside}")
            own = OwnFolder(beside, RUN, {})
            new = own.new()
            run = write(new)
            own.put(new)
    except OSError as error:
        raise UsageError(
            f"the results cannot be written to {own.path}: {error.strerror or error}; what was computed is "
            "in the cache, as far as it could be written, and the same command goes on from it"
        ) from error
    return own, dataclasses.replace(run, folder=own.path)


def _trials(session: Session, reports: Sequence[TrialReport]) -> Stimuli | None:
    """Stimuli and answers of the run's dataset, as they can be written; None where it is none of trials."""
    ids = {report.id for report in reports if report.scored}
    case = next((c for c in session.cases if isinstance(c, TrialCase) and c.id in ids), None)
    return None if case is None else writable(session.inputs.trials(case).trials)
