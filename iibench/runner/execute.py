"""Runs a suite: plugins -> cases -> scores -> a run folder. One case that fails is one report."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from iibench.contract.reports import CaseReport, Report, Status, TrialReport, Verdict
from iibench.results.trial_verdicts import judge_trials
from iibench.results.verdicts import judge
from iibench.runner.case_reports import _named, _with_scores, task_error, with_trial_scores
from iibench.runner.last_failed import _write_last_failed
from iibench.runner.provenance import describe_run
from iibench.runner.rates import measured_rates, write_rates
from iibench.runner.run_folder import beside, output_folder, replace, write_run
from iibench.runner.session import Session
from iibench.runner.workers.distribute import distribute, is_cached
from iibench.stages.case_stages import Scores
from iibench.stages.keys import evaluation_seed, finder_seed, trial_seed
from iibench.stages.trials import TrialResult
from iibench.suite.cases import AnyCase, Case, TrialCase
from iibench.suite.schema import Expectation, TrialExpectation

if TYPE_CHECKING:
    from iibench.report.run import ShownRun

R = TypeVar("R", bound=Report)


# ------------------------------------------------------------------------------------ running


def execute(session: Session) -> ShownRun:
    """Runs all cases and writes the run folder; returns the run as it stands there.

    Ctrl-C ends the run early: finished cases are written, and `meta["interrupted"]` is true.
    """
    try:
        return _execute(session)
    finally:
        session.close()


def _execute(session: Session) -> ShownRun:
    config, plugins = session.config, session.plugins
    folder = output_folder(config, session.suite)
    reports: list[Report] = []
    texts = [note["text"] for note in session.notes]
    for failure in plugins.notify(
        "iibench_run_start", config=config, suite=session.suite, cases=session.cases, notes=texts
    ):
        session.note(failure)
    distribute(session)
    interrupted = session.elsewhere.interrupted
    try:
        for case in _wanted(session):
            for failure in plugins.notify("iibench_case_start", case=case):
                session.note(failure)
            report = _run_case(session, case)
            reports.append(report)
            for failure in plugins.notify("iibench_case_finish", report=report):
                session.note(failure)
            if config.exit_first and report.status == "error":
                session.note("stopped at the first error (-x)", "info")
                if not session.elsewhere.stopped:
                    break
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        session.note("interrupted: the cases below finished; the same command continues from them")
    verdicts = _judge(session, reports)
    reports = [_with_verdicts(report, verdicts) for report in reports]
    _write_last_failed(config, session.suite, reports)
    here = [report for report in reports if report.id not in session.elsewhere.seconds]
    measured = measured_rates(session.bench, session.cases, here)
    device = session.bench.inputs.resources.device
    write_rates(config.cache_dir, device, session.bench.precision, measured)
    meta = describe_run(session, interrupted, {report.id for report in reports})
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


def _wanted(session: Session) -> list[AnyCase]:
    """The cases to report: all, or, where workers were stopped, those that are done."""
    elsewhere = session.elsewhere
    if not elsewhere.stopped:
        return session.cases
    return [
        case for case in session.cases if case.id in elsewhere.finished or is_cached(session, case)
    ]


def _run_case(session: Session, case: AnyCase) -> Report:
    """Computes one case; whatever goes wrong becomes its report."""
    bench = session.bench
    bench.inputs.clock.take()
    status: Status = "passed"
    reason = trace = None
    result: Scores | TrialResult | None = None
    elsewhere = session.elsewhere.finished.get(case.id)
    failed = None if elsewhere is None else elsewhere.error
    if failed is None:
        try:
            if elsewhere is not None and not is_cached(session, case):
                session.note(
                    f"the scores of {case.id}, which the worker on {elsewhere.worker} computed, are "
                    "not in the cache and were computed again"
                )
            result = bench.scores(case) if isinstance(case, Case) else bench.trials.scores(case)
        except Exception as error:
            failed = task_error(error)
    if failed is not None:
        status = "skipped" if failed.skips else "error"
        reason, trace = failed.reason, failed.traceback
    elif elsewhere is not None and result is not None:
        result = dataclasses.replace(result, cached=False)  # a worker has just computed it
    seconds = bench.inputs.clock.take()
    for stage, spent in session.elsewhere.seconds.get(case.id, {}).items():
        seconds[stage] = seconds.get(stage, 0.0) + spent
    common: dict[str, Any] = {
        "id": case.id,
        "dataset": case.dataset.label,
        "metric": _named(case.metric) if case.metric else None,
        "evaluation": _named(case.evaluation),
        "status": status,
        "seed": case.seed,
        "reason": reason,
        "traceback": trace,
        "seconds": {stage: round(s, 4) for stage, s in seconds.items()},
    }
    if isinstance(case, TrialCase):
        spec = session.plugins.registry.evaluations[case.evaluation.name].spec
        headline = str(getattr(spec, "headline_measure", ""))
        report = TrialReport(**common, headline=headline, seeds={"draws": trial_seed(case)})
        return with_trial_scores(report, result) if isinstance(result, TrialResult) else report
    directions = CaseReport(
        **common,
        model=_named(case.model),
        layer=case.layer.label,
        finder=_named(case.finder),
        is_analysis=session.plugins.registry.evaluations[case.evaluation.name].spec.is_analysis,
        seeds={"finder": finder_seed(case), "draws": evaluation_seed(case)},
    )
    return _with_scores(directions, result) if isinstance(result, Scores) else directions


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


# ------------------------------------------------------------------------------------ --lf
