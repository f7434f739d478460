"""A suite made ready to run: plugins, device, dataset, cases, and the stages that compute them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from iibench.assets.local import LocalResources, is_temporary
from iibench.cache.budget import default_budget
from iibench.cache.entries import Cache
from iibench.compute.precision import check_precision
from iibench.compute.tap import layer_names
from iibench.contract.config import RunConfig
from iibench.contract.errors import AssetError, PluginError, SuiteError, UsageError, unknown_name
from iibench.contract.evaluations import EvaluationSpec
from iibench.contract.texts import writable
from iibench.hooks.user_code.guard import contained
from iibench.runner.claim import claimed
from iibench.runner.executor import shared_store_of
from iibench.runner.last_failed import choose_failed, read_last_failed
from iibench.runner.order import execution_order
from iibench.stages.case_stages import CaseStages
from iibench.stages.context import Progress, Settings
from iibench.stages.demand import demand_of
from iibench.stages.harness import LocalHarness
from iibench.stages.inputs import Inputs
from iibench.stages.subsets import notes_of
from iibench.suite.cases import AnyCase, Case, Choice, TrialCase
from iibench.suite.choices import choice_of
from iibench.suite.collect import collect
from iibench.suite.load import load_suite
from iibench.suite.select import select

if TYPE_CHECKING:
    from iibench.hooks.loaded import Plugins
    from iibench.suite.registry import Registry
    from iibench.suite.schema import Suite


T = TypeVar("T")


@dataclass(frozen=True)
class Session:
    """A suite that is ready to run: its cases, the stages that compute them, and notes for the reader.

    `deselected`: how many of the suite's cases were not chosen. `notes`: grows while the run goes on.
    """

    config: RunConfig
    plugins: Plugins
    suite: Suite
    cases: tuple[AnyCase, ...]
    deselected: int
    stages: CaseStages
    started: datetime
    notes: Notes
    uses_fallback: bool

    @property
    def inputs(self) -> Inputs:
        """The datasets, networks and metrics of the cases."""
        return self.stages.context.inputs

    @property
    def cache(self) -> Cache:
        """Where values are kept."""
        return self.stages.context.cache

    def note(self, text: str, level: str = "warning") -> None:
        """Adds a note for the terminal's summary and the page, once."""
        self.notes.add(text, level)

    def close(self) -> None:
        """Removes what was computed for this session alone; `execute` does it too."""
        if self.config.fresh:
            self.cache.discard()


@dataclass(frozen=True)
class Notes:
    """What a run has to say besides its results: `level` (warning, info) and `text` of each note."""

    items: list[dict[str, str]] = field(default_factory=list)

    def add(self, text: str, level: str = "warning") -> None:
        """Adds a note, once."""
        item = {"level": level, "text": writable(text)}
        if item not in self.items:
            self.items.append(item)


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
    _check_plugins(plugins)
    with contained(plugins.author_of):
        return _prepared(config, plugins)


def _check_plugins(plugins: Plugins) -> None:
    """Raises `UsageError` where a plugin is broken that was asked for by name."""
    asked = {"module": "-p", "environment": "IIBENCH_PLUGINS"}
    for record in plugins.broken():
        if record.source in asked and record.status == "broken":
            raise UsageError(f"{asked[record.source]}: plugin {record.name}: {record.reason}")


def _prepared(config: RunConfig, plugins: Plugins) -> Session:
    started, notes = datetime.now(UTC), Notes()
    suite = _suite(config, plugins)
    if config.output is not None:
        with claimed(config, suite):  # what is wrong with it is told before anything is loaded
            pass
    cache = Cache(config.cache_dir, shared=shared_store_of(config, plugins.registry))
    cache = cache.without_entries() if config.fresh else cache
    try:
        harness = _harness(config, plugins, suite, cache, notes, told=True)
        if is_temporary(config.cache_dir):
            notes.add(
                f"there is no home folder that can be written: what is computed is kept in "
                f"{config.cache_dir}; --cache-dir or IIBENCH_CACHE choose another folder"
            )
        for record in plugins.broken():
            notes.add(f"plugin {record.name} is not in use: {record.reason}")
        for failure in plugins.notify("iibench_configure", config=config):
            notes.add(failure)
        uses_fallback = _chooses_fallback(config, suite, harness.inputs, notes)
        everything = _all_cases(config, suite, plugins, uses_fallback)
        cases = select(everything, config.keyword) if config.keyword else list(everything)
        if config.last_failed:
            failed = read_last_failed(config, suite)
            cases, why = choose_failed(cases, everything, failed, suite)
            if why:
                notes.add(why, "info")
        for failure in plugins.notify("iibench_collection_modify", suite=suite, cases=cases):
            notes.add(failure)
        cases = execution_order(cases)
        _check_inputs(cases, harness.inputs, suite, notes)
    except BaseException:
        if config.fresh:
            cache.discard()
        raise
    stages = CaseStages(harness, demand_of(cases, plugins.registry))
    left_out = len(everything) - len(cases)
    return Session(
        config, plugins, suite, tuple(cases), left_out, stages, started, notes, uses_fallback
    )


def resume(
    config: RunConfig,
    plugins: Plugins,
    cache: Cache,
    chosen: Sequence[str],
    uses_fallback: bool,
) -> Session:
    """A session of the cases with these ids, as another session of the same run has chosen them; plugins
    are not told how far its stages are.

    Raises `UsageError` where a case does not come up here.
    """
    started, notes = datetime.now(UTC), Notes()
    suite = _suite(config, plugins)
    harness = _harness(config, plugins, suite, cache, notes, told=False)
    plugins.notify("iibench_configure", config=config)
    found = _all_cases(config, suite, plugins, uses_fallback)
    by_id = {case.id: case for case in found}
    plugins.notify("iibench_collection_modify", suite=suite, cases=found)
    # a plugin may drop others here than among those selected
    by_id.update({case.id: case for case in found})
    missing = [case for case in chosen if case not in by_id]
    if missing:
        raise UsageError(f"the suite has no case {missing[0]} here")
    cases = tuple(by_id[case] for case in chosen)
    stages = CaseStages(harness, demand_of(cases, plugins.registry))
    return Session(config, plugins, suite, cases, 0, stages, started, notes, uses_fallback)


def _suite(config: RunConfig, plugins: Plugins) -> Suite:
    return load_suite(config.suite, plugins.registry, config.overrides, config.metrics)


def _harness(
    config: RunConfig, plugins: Plugins, suite: Suite, cache: Cache, notes: Notes, told: bool
) -> LocalHarness:
    """What computes activations and lends to plugins. `told`: whether plugins are told how far a stage
    is."""
    device = resolve_device(config.device)
    check_precision(config.precision, device)
    cache.warn = notes.add

    def tell(event: Progress) -> None:
        if told:
            plugins.notify("iibench_stage_progress", **dataclasses.asdict(event))

    resources = LocalResources(
        data_dir=config.data_dir,
        cache_dir=config.cache_dir,
        device=device,
        base_dir=config.base_dir or (Path(suite.path).parent if suite.path else Path.cwd()),
        offline=config.offline,
        progress=lambda name, done, total: tell(Progress(f"download {name}", done, total, "bytes")),
    )
    memory = config.memory or default_budget()
    settings = Settings(config.batch_size, memory, config.precision)
    return LocalHarness(plugins.registry, resources, cache, settings, tell)


def _all_cases(
    config: RunConfig, suite: Suite, plugins: Plugins, uses_fallback: bool
) -> list[AnyCase]:
    return collect(
        suite,
        plugins.registry,
        use_fallback=uses_fallback,
        limit=config.limit,
        seed=config.seed,
    )


def _check_inputs(cases: Sequence[AnyCase], inputs: Inputs, suite: Suite, notes: Notes) -> None:
    """Loads what all cases start from, so that a wrong file or name is told before anything runs; what
    datasets of images say of themselves becomes notes.

    What cannot be had, or a plugin that fails, is left to the cases that need it. Raises `SuiteError`
    where a file that the user named, or a layer of the suite, is wrong.
    """
    file, registry, base_dir = suite.path, inputs.registry, inputs.resources.base_dir
    for case in cases:
        for split in (case.dataset.fit, case.dataset.evaluate):
            load = partial(inputs.dataset, case.dataset, split, case.seed)
            images = _loaded(load, f"{file}: dataset {case.dataset.name}")
            if isinstance(case, Case):
                for note in notes_of(images):
                    notes.add(f"{case.dataset.label}: {note}", "info")
        if case.metric is not None:
            _loaded(partial(inputs.metric, case.metric), f"{file}: metric {case.metric.label}")
        if isinstance(case, TrialCase):
            continue
        for finder in (case.finder, *_own_finders(case, registry)):
            read = partial(registry.finders[finder.name].spec.inputs, finder.params, base_dir)
            _loaded(read, f"{file}: finder {finder.label}")
        model = _loaded(partial(inputs.model, case), f"{file}: model {case.model.label}")
        if model is None:
            continue
        names = layer_names(model[0].module)
        if case.layer.path not in names:
            unknown = unknown_name("layer", case.layer.path, names)
            raise SuiteError(f"{file}: model {case.model.label}: {unknown}")


def _own_finders(case: Case, registry: Registry) -> list[Choice]:
    """Those that the case's evaluation fits itself."""
    spec = registry.evaluations[case.evaluation.name].spec
    if not isinstance(spec, EvaluationSpec):
        return []
    return [choice_of(label, registry.finders) for label in spec.finders(case.evaluation.params)]


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


def _chooses_fallback(config: RunConfig, suite: Suite, inputs: Inputs, notes: Notes) -> bool:
    """Whether the fallback dataset is used: where there is one and the main one cannot be had."""
    if suite.fallback is None:
        return False
    seed = suite.seed if config.seed is None else config.seed
    try:
        for split in dict.fromkeys((suite.dataset.fit, suite.dataset.evaluate)):
            inputs.dataset(suite.dataset, split, seed)
    except AssetError as error:
        first = str(error).splitlines()[0]
        notes.add(
            f"{suite.dataset.name} could not be had, so {suite.fallback.name} was used instead: "
            f"these are not the numbers of {suite.dataset.name} ({first}). "
            "iibench assets says which file to put where."
        )
        return True
    return False
