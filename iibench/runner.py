"""Runs a suite: plugins -> cases -> scores -> a run folder. One case that fails is one report."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from iibench.activations import layer_names
from iibench.assets import LocalResources
from iibench.cache import Cache
from iibench.case_groups import asked_images, execution_order, parts_asked
from iibench.distribution import Elsewhere, distribute, is_cached, shared_store_of
from iibench.errors import (
    AssetError,
    PluginError,
    SuiteError,
    UsageError,
    unknown_name,
)
from iibench.inputs import Inputs
from iibench.keys import evaluation_seed, finder_seed, trial_seed
from iibench.memory import default_budget
from iibench.precision import check_precision
from iibench.provenance import describe_run
from iibench.rates import measured_rates, write_rates
from iibench.records import (
    CaseReport,
    Named,
    Report,
    Status,
    Summary,
    TrialReport,
    Verdict,
)
from iibench.results import Run
from iibench.run_folder import beside, output_folder, replace, write_run
from iibench.statistics import summarise
from iibench.suite.cases import AnyCase, Case, Choice, TrialCase, collect
from iibench.suite.expect import judge
from iibench.suite.load import load_suite
from iibench.suite.params import to_json
from iibench.suite.schema import Expectation, TrialExpectation
from iibench.suite.select import select
from iibench.suite.trial_expect import judge_trials
from iibench.tasks import task_error
from iibench.trial_bench import TrialResult
from iibench.trial_results import with_trial_scores
from iibench.unit_tables import cases_with_shown_trials
from iibench.workbench import Progress, Scores, Workbench

if TYPE_CHECKING:
    from iibench.plugins import Plugins
    from iibench.suite.schema import Suite

T = TypeVar("T")
R = TypeVar("R", bound=Report)


@dataclass(frozen=True)
class RunConfig:
    """How to run a suite. Folders are made where they are missing.

    `device`: auto, cpu, cuda or mps. `memory`: bytes that large arrays may take together, None takes
    half of what there is. `precision`: of networks and metrics (precision.py). `output`: the run folder;
    None makes one below `reports/`. `limit`: images per split. `seed`: None takes the suite's. `keyword`:
    a `-k` expression. `overrides`: `key=value` settings of the suite. `metrics`: labels of metrics added
    to the suite's.
    `command`: as typed, for the record. `base_dir`: the folder that relative paths of the suite refer
    to; None takes the suite file's. `fresh`: no computed value is taken from the cache or left there;
    downloaded files stay in use. `executor`: label of where the work is done. `shared_cache`: address of
    the store behind the cache. `shard_size`: images of one worker's task, None takes what suits.
    """

    suite: str
    data_dir: Path
    cache_dir: Path
    device: str = "auto"
    output: Path | None = None
    limit: int | None = None
    seed: int | None = None
    keyword: str = ""
    overrides: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    exit_first: bool = False
    last_failed: bool = False
    offline: bool = False
    batch_size: int | None = None
    memory: int | None = None
    precision: str = "float32"
    verbosity: int = 0
    command: str = ""
    base_dir: Path | None = None
    fresh: bool = False
    executor: str = "local"
    shared_cache: str | None = None
    shard_size: int | None = None


@dataclass
class Session:
    """A suite that is ready to run: its cases, the workbench, and notes for the reader."""

    config: RunConfig
    plugins: Plugins
    suite: Suite
    cases: list[AnyCase]
    deselected: int
    bench: Workbench
    started: datetime
    notes: list[dict[str, str]] = field(default_factory=list)
    uses_fallback: bool = False
    elsewhere: Elsewhere = field(default_factory=Elsewhere)

    def note(self, text: str, level: str = "warning") -> None:
        """Adds a note for the terminal's summary and the page, once."""
        item = {"level": level, "text": text}
        if item not in self.notes:
            self.notes.append(item)

    def close(self) -> None:
        """Removes what was computed for this session alone; `execute` does it too."""
        if self.config.fresh:
            self.bench.cache.discard()


def resolve_device(asked: str) -> str:
    """The device to compute on. Raises `UsageError` where the one asked for is not there."""
    import torch

    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if asked == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if there[name])
    if asked not in there:
        raise UsageError(f"--device {asked}: expected auto, cpu, cuda or mps")
    if not there[asked]:
        usable = ", ".join(name for name, yes in there.items() if yes)
        raise UsageError(f"--device {asked}: there is no such device here; usable: {usable}")
    return asked


def prepare(config: RunConfig, plugins: Plugins) -> Session:
    """Loads the suite, decides which dataset is used, collects and selects the cases.

    Raises `UsageError` (`SuiteError`, `AssetError`) for everything that is wrong before a case runs.
    """
    suite = load_suite(config.suite, plugins.registry, config.overrides, config.metrics)
    cache = Cache(config.cache_dir, shared=shared_store_of(config, plugins.registry))
    cache = cache.without_entries() if config.fresh else cache
    session = open_session(config, plugins, cache, suite)
    try:
        _collect(session)
    except BaseException:
        session.close()
        raise
    return session


def open_session(
    config: RunConfig,
    plugins: Plugins,
    cache: Cache,
    suite: Suite | None = None,
    told: bool = True,
) -> Session:
    """A session without cases yet. `told`: whether plugins are told how far a stage is."""
    started = datetime.now(UTC)
    if suite is None:
        suite = load_suite(config.suite, plugins.registry, config.overrides, config.metrics)
    device = resolve_device(config.device)
    base = config.base_dir or (Path(suite.path).parent if suite.path else Path.cwd())

    def progress(event: Progress) -> None:
        if told:
            plugins.notify("iibench_stage_progress", **dataclasses.asdict(event))

    resources = LocalResources(
        data_dir=config.data_dir,
        cache_dir=config.cache_dir,
        device=device,
        base_dir=base,
        offline=config.offline,
        report=lambda name, done, total: progress(
            Progress(f"download {name}", done, total, "bytes")
        ),
    )
    inputs = Inputs(plugins.registry, resources)
    check_precision(config.precision, device)
    bench = Workbench(
        inputs,
        cache,
        batch_size=config.batch_size,
        memory=config.memory or default_budget(),
        precision=config.precision,
        progress=progress,
    )
    session = Session(config, plugins, suite, [], 0, bench, started)
    cache.warn = session.note
    return session


def _collect(session: Session) -> None:
    """Chooses the dataset and the cases of a new session, and checks what they need."""
    config, plugins, suite = session.config, session.plugins, session.suite
    for record in plugins.broken():
        session.note(f"plugin {record.name} is not in use: {record.reason}")
    for failure in plugins.notify("iibench_configure", config=config):
        session.note(failure)

    session.uses_fallback = _choose_dataset(session)
    cases = _all_cases(session)
    everything = len(cases)
    if config.keyword:
        cases = select(cases, config.keyword)
    if config.last_failed:
        failed = _read_last_failed(config, suite)
        cases = [case for case in cases if case.id in failed]
    for failure in plugins.notify("iibench_collection_modify", suite=suite, cases=cases):
        session.note(failure)
    session.cases = execution_order(cases)
    session.deselected = everything - len(cases)
    _tell_workbench(session)
    _check_inputs(session)


def _all_cases(session: Session) -> list[AnyCase]:
    """The cases of the suite."""
    return collect(
        session.suite,
        session.plugins.registry,
        use_fallback=session.uses_fallback,
        limit=session.config.limit,
        seed=session.config.seed,
    )


def _tell_workbench(session: Session) -> None:
    """Tells the workbench what depends on all cases together."""
    registry = session.plugins.registry
    session.bench.asked = asked_images(session.cases, registry)
    session.bench.asked_parts = parts_asked(session.cases)
    session.bench.shown_trials = cases_with_shown_trials(session.cases, registry)


def resume_session(session: Session, cases: Sequence[str], uses_fallback: bool) -> None:
    """Gives a new session the cases with these ids, as another session of the same run has chosen them.

    Raises `UsageError` where one does not come up here.
    """
    plugins = session.plugins
    plugins.notify("iibench_configure", config=session.config)
    session.uses_fallback = uses_fallback
    found = _all_cases(session)
    by_id = {case.id: case for case in found}
    plugins.notify("iibench_collection_modify", suite=session.suite, cases=found)
    by_id.update(
        {case.id: case for case in found}
    )  # it may drop others here than among those selected
    missing = [case for case in cases if case not in by_id]
    if missing:
        raise UsageError(f"the suite has no case {missing[0]} here")
    session.cases = [by_id[case] for case in cases]
    _tell_workbench(session)


def _check_inputs(session: Session) -> None:
    """Loads the datasets and networks of all cases, so that a wrong one is told before anything runs.

    What cannot be had, or a plugin that fails, is left to the cases that need it. Raises `UsageError`
    where the user's images or a layer of the suite are wrong.
    """
    inputs, file = session.bench.inputs, session.suite.path
    for case in session.cases:
        for split in (case.dataset.fit, case.dataset.evaluate):
            load = partial(inputs.dataset, case.dataset, split, case.seed)
            _loaded(load, f"{file}: dataset {case.dataset.name}")
        if isinstance(case, TrialCase):
            continue
        model = _loaded(partial(inputs.model, case), f"{file}: model {case.model.label}")
        if model is None:
            continue
        names = layer_names(model[0].module)
        if case.layer.path not in names:
            unknown = unknown_name("layer", case.layer.path, names)
            raise SuiteError(f"{file}: model {case.model.label}: {unknown}")


def _loaded(load: Callable[[], T], what: str) -> T | None:
    """What `load` makes; None where its failure is for the cases to report."""
    try:
        return load()
    except UsageError as error:
        if isinstance(error, AssetError | PluginError):
            return None
        raise SuiteError(f"{what}: {error}") from error
    except Exception:
        return None


def _choose_dataset(session: Session) -> bool:
    """Whether the fallback dataset is used: where there is one and the main one cannot be had."""
    suite, bench, config = session.suite, session.bench, session.config
    if suite.fallback is None:
        return False
    seed = suite.seed if config.seed is None else config.seed
    try:
        for split in dict.fromkeys((suite.dataset.fit, suite.dataset.evaluate)):
            bench.inputs.dataset(suite.dataset, split, seed)
    except AssetError as error:
        first = str(error).splitlines()[0]
        session.note(
            f"{suite.dataset.name} could not be had, so {suite.fallback.name} was used instead: "
            f"these are not the numbers of {suite.dataset.name} ({first}). "
            "iibench assets says which file to put where."
        )
        return True
    return False


# ------------------------------------------------------------------------------------ running


def execute(session: Session) -> Run:
    """Runs all cases and writes the run folder; returns the run as it stands there.

    Ctrl-C ends the run early: finished cases are written, and `meta["interrupted"]` is true.
    """
    try:
        return _execute(session)
    finally:
        session.close()


def _execute(session: Session) -> Run:
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


def _with_scores(report: CaseReport, result: Scores) -> CaseReport:
    """The report with a score per direction; skipped where there is none."""
    scores, details = result.scores, result.scores.details
    summary: Summary = summarise(scores.values)
    if details is not None:
        report = dataclasses.replace(
            report, headline=details.headline, measures=details.measures, details=details
        )
    elif not summary.scored:
        report = dataclasses.replace(
            report, status="skipped", reason=f"no direction could be scored: {scores.reasons[0]}"
        )
    return dataclasses.replace(
        report,
        notes=result.notes,
        cached=result.cached,
        summary=summary,
        trials=scores.trials,
        scores=tuple(None if np.isnan(v) else float(v) for v in scores.values),
        reasons=scores.reasons,
    )


def _named(choice: Choice) -> Named:
    return Named(choice.name, choice.label, to_json(choice.params), choice.part)


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


def _last_failed_file(config: RunConfig, suite: Suite) -> Path:
    return config.cache_dir / "last_failed" / f"{suite.sha256[:16]}.json"


def _read_last_failed(config: RunConfig, suite: Suite) -> set[str]:
    try:
        return set(json.loads(_last_failed_file(config, suite).read_text()))
    except (OSError, ValueError):
        return set()


def _write_last_failed(config: RunConfig, suite: Suite, reports: Sequence[Report]) -> None:
    """Replaces what this run decided; cases that were not run keep their mark."""
    failed = _read_last_failed(config, suite) - {report.id for report in reports}
    failed |= {report.id for report in reports if report.status in {"failed", "error"}}
    path = _last_failed_file(config, suite)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(sorted(failed)))
