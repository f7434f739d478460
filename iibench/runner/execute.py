"""Runs a suite: plugins -> cases -> scores -> a run folder. One case that fails is one report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from iibench.contract.reports import CaseReport, Report, Status, TrialReport, Verdict
from iibench.contract.texts import writable
from iibench.hooks.user_code.guard import contained
from iibench.results.trial_verdicts import judge_trials
from iibench.results.verdicts import judge
from iibench.runner.attempts import Attempts
from iibench.runner.case_errors import task_error
from iibench.runner.case_reports import reported
from iibench.runner.claim import claimed
from iibench.runner.last_failed import write_last_failed
from iibench.runner.provenance import describe_run
from iibench.runner.rates import write_rates
from iibench.runner.run_folder import write_run
from iibench.runner.session import Session
from iibench.runner.workers.distribute import distribute, is_cached
from iibench.suite.cases import AnyCase
from iibench.suite.choices import named
from iibench.suite.schema import Expectation, TrialExpectation

if TYPE_CHECKING:
    from iibench.contract.executors import TaskError
    from iibench.report.run import ShownRun
    from iibench.results.own_folder import OwnFolder
    from iibench.runner.executor import Elsewhere
    from iibench.stages.case_stages import CaseResult, CaseStage

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
    with claimed(session.config, session.suite) as own:
        run = _written(session, own)
    for failure in session.plugins.notify("iibench_run_finish", run=run):
        session.note(failure)
    return run


def _written(session: Session, own: OwnFolder) -> ShownRun:
    config, plugins = session.config, session.plugins
    reports: list[Report] = []
    texts = [note["text"] for note in session.notes.items if note["level"] == "warning"]
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
    attempts, verdicts = Attempts(session.note), list[Verdict]()
    with attempts.at("the verdicts on the expectations"):
        verdicts = writable(_judge(session, reports))
    reports = [_with_verdicts(report, verdicts) for report in reports]
    described = partial(
        describe_run, session, elsewhere.workers, interrupted, {report.id for report in reports}
    )
    if not config.fresh:
        _remember(session, reports, verdicts)
    return write_run(session, own, described, reports, verdicts, attempts)


def _remember(session: Session, reports: Sequence[Report], verdicts: Sequence[Verdict]) -> None:
    """Keeps what the next run of the suite can use: which cases failed, and how long the work took."""
    config, context = session.config, session.stages.context
    try:
        for undecided in write_last_failed(config, session.suite, reports, verdicts):
            session.note(
                f"{undecided} failed before, and what failed was skipped now: it stays failed"
            )
        rates = context.clock.rates()
        write_rates(config.cache_dir, context.device, context.settings.precision, rates)
    except OSError as error:
        session.note(
            f"{config.cache_dir} cannot be written ({error.strerror}): --lf does not know which cases failed"
        )


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
    seconds = clock.take()
    for name, spent in elsewhere.seconds.get(case.id, {}).items():
        seconds[name] = seconds.get(name, 0.0) + spent
    report = _report(stage, case, failed, seconds)
    if result is None:
        return report
    try:
        found: Report = writable(reported(result, report))
    except Exception as error:
        return _report(stage, case, task_error(error), seconds)
    # what a worker has just computed does not count as cached
    return dataclasses.replace(found, cached=result.cached and done is None)


def _report(
    stage: CaseStage, case: AnyCase, failed: TaskError | None, seconds: Mapping[str, float]
) -> Report:
    """The report of a case without what it found."""
    status: Status = "passed"
    if failed is not None:
        status = "skipped" if failed.skips else "error"
    report: Report = stage.report(
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
    return writable(report)


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
