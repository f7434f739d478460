"""Runs a suite: plugins -> cases -> scores -> a run folder. One case that fails is one report."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from iibench.contract.reports import CaseReport, Report, Status, TrialReport, Verdict
from iibench.results.trial_verdicts import judge_trials
from iibench.results.verdicts import judge
from iibench.runner.case_errors import task_error
from iibench.runner.case_reports import reported
from iibench.runner.last_failed import write_last_failed
from iibench.runner.provenance import describe_run
from iibench.runner.rates import write_rates
from iibench.runner.run_folder import beside, output_folder, replace, write_run
from iibench.runner.session import Session
from iibench.runner.workers.distribute import distribute, is_cached
from iibench.suite.cases import AnyCase
from iibench.suite.choices import named
from iibench.suite.schema import Expectation, TrialExpectation
from iibench.user_code.guard import contained

if TYPE_CHECKING:
    from iibench.report.run import ShownRun
    from iibench.runner.executor import Elsewhere
    from iibench.stages.case_stages import CaseResult

R = TypeVar("R", bound=Report)


# ------------------------------------------------------------------------------------ running


def execute(session: Session) -> ShownRun:
    """Runs all cases and writes the run folder; returns the run as it stands there.

    Ctrl-C ends the run early: finished cases are written, and `meta["interrupted"]` is true.
    """
    try:
        with contained(session.plugins.author_of):
            return _execute(session)
    finally:
        session.close()


def _execute(session: Session) -> ShownRun:
    config, plugins = session.config, session.plugins
    folder = output_folder(config, session.suite)
    reports: list[Report] = []
    texts = [note["text"] for note in session.notes.items]
    for failure in plugins.notify(
        "iibench_run_start",
        config=config,
        suite=session.suite,
        cases=list(session.cases),
        notes=texts,
    ):
        session.note(failure)
    elsewhere = distribute(session)
    interrupted = elsewhere.interrupted
    try:
        for case in _wanted(session, elsewhere):
            for failure in plugins.notify("iibench_case_start", case=case):
                session.note(failure)
            report = _run_case(session, case, elsewhere)
            reports.append(report)
            for failure in plugins.notify("iibench_case_finish", report=report):
                session.note(failure)
            if config.exit_first and report.status == "error":
                session.note("stopped at the first error (-x)", "info")
                if not elsewhere.stopped:
                    break
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        session.note("interrupted: the cases below finished; the same command continues from them")
    verdicts = _judge(session, reports)
    reports = [_with_verdicts(report, verdicts) for report in reports]
    if not config.fresh:
        write_last_failed(config, session.suite, reports)
        context = session.stages.context
        rates = context.clock.rates()
        write_rates(config.cache_dir, context.device, context.settings.precision, rates)
    meta = describe_run(session, elsewhere.workers, interrupted, {report.id for report in reports})
    temporary = beside(folder)
    try:
        run = write_run(session, temporary, meta, reports, verdicts)
        replace(folder, temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    run = dataclasses.replace(run, folder=folder)
    for failure in plugins.notify("iibench_run_finish", run=run):
        session.note(failure)
    return run


def _wanted(session: Session, elsewhere: Elsewhere) -> Sequence[AnyCase]:
    """The cases to report: all, or, where workers were stopped, those that are done."""
    if not elsewhere.stopped:
        return session.cases
    return [
        case for case in session.cases if case.id in elsewhere.finished or is_cached(session, case)
    ]


def _run_case(session: Session, case: AnyCase, elsewhere: Elsewhere) -> Report:
    """Computes one case; whatever goes wrong becomes its report."""
    stage, clock = session.stages.of(case), session.stages.context.clock
    clock.take()
    result: CaseResult | None = None
    done = elsewhere.finished.get(case.id)
    failed = None if done is None else done.error
    if failed is None:
        try:
            if done is not None and not is_cached(session, case):
                session.note(
                    f"the scores of {case.id}, which the worker on {done.worker} computed, are "
                    "not in the cache and were computed again"
                )
            with contained(session.plugins.author_of):
                result = stage.of(case)
        except Exception as error:
            failed = task_error(error)
    status: Status = "passed"
    if failed is not None:
        status = "skipped" if failed.skips else "error"
    seconds = clock.take()
    for name, spent in elsewhere.seconds.get(case.id, {}).items():
        seconds[name] = seconds.get(name, 0.0) + spent
    report = stage.report(
        case,
        id=case.id,
        dataset=case.dataset.label,
        metric=named(case.metric) if case.metric else None,
        evaluation=named(case.evaluation),
        status=status,
        seed=case.seed,
        reason=failed.reason if failed else None,
        traceback=failed.traceback if failed else None,
        seconds={name: round(spent, 4) for name, spent in seconds.items()},
    )
    if result is None:
        return report
    # what a worker has just computed does not count as cached
    found: Report = reported(result, report)
    return dataclasses.replace(found, cached=result.cached and done is None)


def _judge(session: Session, reports: Sequence[Report]) -> list[Verdict]:
    if not session.cases:
        return []
    stated, dataset = session.suite.expectations, session.cases[0].dataset
    return [
        *judge(
            [e for e in stated if isinstance(e, Expectation)],
            [report for report in reports if isinstance(report, CaseReport)],
            dataset,
        ),
        *judge_trials(
            [e for e in stated if isinstance(e, TrialExpectation)],
            [report for report in reports if isinstance(report, TrialReport)],
            dataset,
        ),
    ]


def _with_verdicts(report: R, verdicts: Sequence[Verdict]) -> R:
    """The report, failed where an expectation about its case is not met."""
    unmet = [v.text for v in verdicts if v.case == report.id and v.status == "failed"]
    if not unmet:
        return report
    reason = f"expectation not met: {'; '.join(unmet)}"
    return dataclasses.replace(report, status="failed", reason=reason)
