"""A suite made ready to run: plugins, device, dataset, cases, and the stages that compute them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from iibench.assets.local import LocalResources
from iibench.cache.budget import default_budget
from iibench.cache.entries import Cache
from iibench.compute.activations import layer_names
from iibench.compute.precision import check_precision
from iibench.contract.config import RunConfig
from iibench.contract.errors import AssetError, PluginError, SuiteError, UsageError, unknown_name
from iibench.runner.executor import Elsewhere, shared_store_of
from iibench.runner.last_failed import _read_last_failed
from iibench.runner.order import execution_order
from iibench.stages.case_stages import Progress, Workbench
from iibench.stages.demand import asked_images, cases_with_shown_trials, parts_asked
from iibench.stages.inputs import Inputs
from iibench.suite.cases import AnyCase, TrialCase
from iibench.suite.collect import collect
from iibench.suite.load import load_suite
from iibench.suite.select import select

if TYPE_CHECKING:
    from iibench.hooks.loaded import Plugins
    from iibench.suite.schema import Suite


T = TypeVar("T")


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
