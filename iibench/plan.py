"""What a run would do: its stages, what the cache holds already, time and memory.

A stage's seconds are, in this order: `measured` by earlier runs of the same work (rates.py); `probed`, a
few batches of it timed now (probe.py); `declared`, counts of operations that a plugin declares
(`specs.Work`) times what this machine takes for one (machine.py); or a `guess`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from iibench.errors import IibenchError
from iibench.machine import IMPORT_SECONDS, Machine, measured_machine
from iibench.peak import Arrays, resident
from iibench.plan_finders import FinderCost, FinderCosts
from iibench.plan_inputs import Reading, reading, starting_seconds
from iibench.probe import Clock, Probed, probe_metric, probe_network, probe_pairs
from iibench.rates import activations_rate, evaluation_rate
from iibench.similarity import dense_pays
from iibench.specs import EvaluationSpec, Work
from iibench.suite.cases import Case, TrialCase
from iibench.suite.kinds import choice_of
from iibench.trials import TrialEvaluationSpec

if TYPE_CHECKING:
    from iibench.registry import Registry
    from iibench.specs import MetricSpec
    from iibench.suite.cases import AnyCase, Choice
    from iibench.workbench import Workbench

Source = Literal["measured", "probed", "declared", "guess"]
#: From the best to the worst.
SOURCES: Final[tuple[Source, ...]] = ("measured", "probed", "declared", "guess")

#: Directions per finder assumed in `asked_images`, which must not depend on what is fitted.
TYPICAL_K = 256
#: Seconds of a case of an analysis that declares no work.
ANALYSIS_GUESS = 10.0
#: Writing a run folder and its page: small operations in all, and for each case.
FOLDER_STEPS, CASE_STEPS = 1.2e6, 3.5e3
#: Bytes that the tables and pictures of a page take, with the programs that make them.
PAGE_BYTES = 200 << 20
#: Passes over responses that sorting them and keeping them take.
SORT_PASSES = 60.0


@dataclass(frozen=True)
class StageEstimate:
    """One stage: units of work to do and already cached, bytes of its arrays, seconds and their source."""

    stage: str
    unit: str
    to_do: int
    cached: int
    memory: int
    seconds: float
    source: Source


@dataclass(frozen=True)
class Plan:
    """The stages in the order in which they run, and the largest memory of the process in bytes."""

    stages: tuple[StageEstimate, ...]
    peak: int

    @property
    def seconds(self) -> float:
        """Of the whole run, from its start to its page."""
        return sum(stage.seconds for stage in self.stages)

    def shares(self) -> dict[Source, float]:
        """Seconds by where they come from."""
        found: dict[Source, float] = {}
        for source in SOURCES:
            stages = [s for s in self.stages if s.source == source and s.to_do]
            if stages:
                found[source] = sum(stage.seconds for stage in stages)
        return found


def asked_images(cases: Sequence[AnyCase], registry: Registry) -> dict[tuple[str, str], float]:
    """(dataset, metric) labels -> images that all cases ask of that metric, for `Workbench.asked`."""
    asked: dict[tuple[str, str], float] = {}
    for case in cases:
        spec = registry.evaluations[case.evaluation.name].spec
        if case.metric is None or not isinstance(spec, EvaluationSpec):
            continue
        images = spec.images(case.evaluation.params, 0)
        key = (case.dataset.label, case.metric.label)
        asked[key] = asked.get(key, 0.0) + float(images) * TYPICAL_K
    return asked


def execution_order(cases: Sequence[AnyCase]) -> list[AnyCase]:
    """The cases grouped so that each metric's similarities are made once and then let go."""
    groups: dict[tuple[str, ...], list[AnyCase]] = {}
    for case in cases:
        metric = case.metric.label if case.metric else ""
        key: tuple[str, ...] = (case.dataset.label, metric)
        if isinstance(case, Case):
            key = (case.dataset.label, case.model.label, case.layer.label, metric)
        groups.setdefault(key, []).append(case)
    return [case for group in groups.values() for case in group]


def estimate(
    bench: Workbench,
    cases: Sequence[AnyCase],
    rates: Mapping[str, float],
    *,
    began: float | None = None,
    machine: Machine | None = None,
    clock: Clock = time.perf_counter,
) -> Plan:
    """The stages that these cases need, what they share counted once, and the process's peak memory.

    Loads datasets, networks and metrics to make keys, and times a few batches; keeps nothing. Cases
    whose inputs cannot be had are left out: they will be skipped. `began`: what `clock` showed when
    the program started. `machine`: how fast it is, None measures it.
    """
    loaded = clock()
    planner = _Planner(bench, rates, machine or measured_machine(clock), clock)
    planner.arrays.limit = bench.memory // 2  # as the memo's
    for case in cases:
        try:
            planner.add_case(case)
        except IibenchError:
            continue
    planner.add_embeddings()
    start = starting_seconds(bench, cases, 0.0 if began is None else loaded - began, clock)
    folder = planner.machine.seconds(Work(steps=FOLDER_STEPS + CASE_STEPS * len(cases)))
    planner.add("start and loading", "runs", 1, 0, start, "probed")
    planner.add("run folder and page", "cases", len(cases), 0, folder, "declared")
    planner.arrays.keep(PAGE_BYTES)
    stages = list(planner.stages.values())
    stages.insert(0, stages.pop(-2))
    return Plan(tuple(stages), resident() + planner.arrays.peak())


@dataclass
class _Asked:
    """What is asked of one metric's embeddings: by whom, and how they are made."""

    case: Case
    images: dict[tuple[str, str], float] = field(default_factory=dict)
    dense: bool = False


@dataclass
class _Planner:
    """Collects stages; every piece of work is named by its key and counted once."""

    bench: Workbench
    rates: Mapping[str, float]
    machine: Machine
    clock: Clock
    stages: dict[str, StageEstimate] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=Arrays)
    _seen: set[str] = field(default_factory=set)
    _asked: dict[str, _Asked] = field(default_factory=dict)
    _networks: dict[str, Probed] = field(default_factory=dict)
    _metrics: dict[str, Probed] = field(default_factory=dict)
    _pairs: dict[str, float] = field(default_factory=dict)
    _readings: dict[str, Reading] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.finders = FinderCosts(self.bench, self.rates, self.machine, self.clock)

    def add(
        self,
        stage: str,
        unit: str,
        to_do: int,
        cached: int,
        seconds: float,
        source: Source,
        memory: int = 0,
    ) -> None:
        """Adds work to a stage; its source is the worst of what it is made of."""
        old = self.stages.get(stage)
        if old is None:
            self.stages[stage] = StageEstimate(stage, unit, to_do, cached, memory, seconds, source)
            return
        self.stages[stage] = replace(
            old,
            to_do=old.to_do + to_do,
            cached=old.cached + cached,
            memory=old.memory + memory,
            seconds=old.seconds + seconds,
            source=max(old.source, source, key=SOURCES.index) if to_do else old.source,
        )

    def new(self, name: str) -> bool:
        """Whether this piece of work is met for the first time."""
        first = name not in self._seen
        self._seen.add(name)
        return first

    # ------------------------------------------------------------------------------ directions

    def add_case(self, case: AnyCase) -> None:
        """The stages of one case that no earlier case had."""
        if isinstance(case, TrialCase):
            self._add_trial_case(case)
            return
        bench = self.bench
        done = bench.is_cached(case)
        stage = f"evaluation {case.evaluation.name}"
        if done:
            self.add(stage, "cases", 0, 1, 0.0, "measured")
            return
        spec = bench.inputs.registry.evaluations[case.evaluation.name].spec
        n = len(bench.inputs.evaluated(case))
        responded = bench.cache.has("responses", bench.keys.responses(case).hash)
        fitted = bench.is_fitted(case)
        fit_split, evaluated = bench.keys.fit_split(case), case.dataset.evaluate
        if not isinstance(spec, EvaluationSpec):
            return  # its cases will tell
        analysis, fits_own = spec.is_analysis, bool(spec.finders(case.evaluation.params))
        needed = [fit_split] if not fitted else []
        needed += [evaluated] if not responded or analysis else []
        needed += [case.dataset.fit] if fits_own else []
        for split in dict.fromkeys(needed):
            self._add_activations(case, split)
        cost = self.finders.cost(case, self._network(case))
        self._add_directions(case, cost, fitted, responded, n)
        seconds, source = self._evaluation(case, spec, n, cost.directions)
        self.add(stage, "cases", 1, 0, seconds, source)

    def _network(self, case: Case) -> Probed:
        """The case's network up to its layer; no batch is run where its activations are all cached."""
        key = self.bench.keys.activations(case.tap, case.dataset.evaluate).hash
        if key not in self._networks:
            self._networks[key] = self._probed_network(case)
        return self._networks[key]

    def _probed_network(self, case: Case) -> Probed:
        for split in dict.fromkeys((case.dataset.evaluate, self.bench.keys.fit_split(case))):
            key = self.bench.keys.activations(case.tap, split)
            store = self.bench.cache.existing_rows("activations", key.hash)
            if store is not None and store.count() == store.n:
                return Probed(0.0, store.width, np.asarray(store.array()[:64]))
        return self._run_network(case)

    def _pass_seconds(self, case: Case) -> float:
        """Of one image, timed even where the activations are cached."""
        key = self.bench.keys.activations(case.tap, case.dataset.evaluate).hash
        if not self._network(case).seconds:
            self._networks[key] = self._run_network(case)
        return self._networks[key].seconds

    def _run_network(self, case: Case) -> Probed:
        loaded, _ = self.bench.inputs.model(case)
        return probe_network(
            loaded,
            case.layer.path,
            case.layer.pool,
            self.bench.inputs.evaluated(case).image_size,
            self.bench.inputs.resources.device,
            self.bench.batch_size,
            self.clock,
        )

    def _add_activations(self, case: Case, split: str) -> None:
        if not self.new(self.bench.keys.activations(case.tap, split).hash):
            return
        total, cached, _ = self.bench.rows_present(case, split)
        size = self.bench.inputs.evaluated(case).image_size
        rate = self.rates.get(activations_rate(case, size))
        source: Source = "probed" if rate is None else "measured"
        missing = total - cached
        seconds = 0.0
        if missing:
            each = self._read(case, split)
            seconds = missing * (each + self._pass_seconds(case) if rate is None else rate)
        memory = total * self._network(case).width * 4
        self.arrays.keep(memory)
        stage = f"activations {case.model.label}/{case.layer.label} on {split}"
        self.add(stage, "images", missing, cached, seconds, source, memory)

    def _read(self, case: AnyCase, split: str) -> float:
        """Seconds of reading one image; what a dataset does once, at its first image, is a stage."""
        dataset = self.bench.inputs.dataset(case.dataset, split, case.seed)
        if dataset.fingerprint not in self._readings:
            found = reading(dataset, self.clock)
            self._readings[dataset.fingerprint] = found
            self.arrays.keep(found.held)
            if found.once > 0.1:
                stage = f"first images of {case.dataset.label} {split}"
                self.add(stage, "images", len(dataset), 0, found.once, "probed", found.held)
        return self._readings[dataset.fingerprint].each

    def _add_directions(
        self, case: Case, cost: FinderCost, fitted: bool, responded: bool, n: int
    ) -> None:
        if self.new(self.bench.keys.directions(case).hash):
            imports = [name for name in cost.imports if not fitted and self.new(f"import {name}")]
            seconds = 0.0 if fitted else cost.fit + IMPORT_SECONDS * len(imports)
            stage = f"directions {case.finder.label}"
            self.add(stage, "fits", int(not fitted), int(fitted), seconds, cost.source)
            self.arrays.need(0 if fitted else cost.memory)
        if self.new(self.bench.keys.responses(case).hash):
            size = n * cost.directions
            seconds = 0.0 if responded else cost.encode
            self.arrays.keep_between(8 * size)  # responses and their order
            self.arrays.need(12 * size)
            stage = f"responses {case.finder.label}"
            self.add(stage, "matrices", int(not responded), int(responded), seconds, cost.source)
            sort = self.machine.seconds(Work(values=SORT_PASSES * size))
            self.add("order of images by response", "matrices", 1, 0, sort, "declared")

    # ------------------------------------------------------------------------------ evaluations

    def _evaluation(self, case: Case, spec: EvaluationSpec, n: int, k: int) -> tuple[float, Source]:
        """Seconds of the case's evaluation; notes what it asks of its metric."""
        params = case.evaluation.params
        images = float(spec.images(params, n)) * k
        metric = None if case.metric is None else self._metric(case, images)
        rate = self.rates.get(evaluation_rate(case, n, k))
        if rate is not None:
            return rate, "measured"
        source: Source = "declared"
        if spec.work is not None:
            work = spec.work(params, n, k)
        elif spec.is_analysis:
            return ANALYSIS_GUESS, "guess"
        else:
            work, source = Work(values=10.0 * n * k, steps=20.0 * k, pairs=5 * images), "guess"
        self.arrays.need(int(work.memory))
        seconds = self.machine.seconds(work)
        if work.passes:
            seconds += work.passes * self._pass_seconds(case)
        seconds += IMPORT_SECONDS * sum(self.new(f"import {name}") for name in work.imports)
        for label in spec.finders(params):  # fitted to a part of the neurons each time: once in all
            finder = choice_of(label, self.bench.inputs.registry.finders)
            other = replace(case, finder=finder)
            seconds += self.finders.cost(other, self._network(case)).fit
        if metric is not None and case.metric is not None:
            seconds += self._similarities(case, metric, images, work.pairs, n)
        return seconds, source

    def _metric(self, case: Case, images: float) -> MetricSpec:
        assert case.metric is not None
        spec: MetricSpec = self.bench.inputs.registry.metrics[case.metric.name].spec
        self.bench.inputs.metric(case.metric)
        if spec.distance is not None and spec.input == "images":
            key = self.bench.keys.embeddings(case).hash
            asked = self._asked.setdefault(key, _Asked(case))
            # the parts of a metric ask for the same images
            asked.images[(case.finder.label, case.evaluation.label)] = images
            asked.dense |= self._dense(case, spec)
        return spec

    def _dense(self, case: Case, spec: MetricSpec) -> bool:
        if case.metric is None or spec.distance in {None, "own", "equal"}:
            return False
        asked = self.bench.asked.get((case.dataset.label, case.metric.label), 0.0)
        n = len(self.bench.inputs.evaluated(case))
        return dense_pays(n, asked) and 4 * n * n <= self.bench.memory // 4

    def _similarities(
        self, case: Case, spec: MetricSpec, images: float, pairs: float, n: int
    ) -> float:
        """Seconds of a case's questions to its metric; the matrix of all pairs is a stage of its own."""
        assert case.metric is not None
        if spec.distance in {None, "own"}:
            return pairs * self._pair_seconds(case, spec)
        if spec.distance == "equal":
            return self.machine.seconds(Work(values=4 * pairs))
        width = self._part_width(case, spec)
        if not self._dense(case, spec):
            return self.machine.seconds(Work(values=8 * images * width, flops=2 * pairs * width))
        if self.new(f"matrix {self.bench.keys.embeddings(case).hash}/{case.metric.part}"):
            double = spec.distance == "euclidean"
            flops, values = float(n) * n * width, 8.0 * n * n + 4.0 * n * width
            work = (
                Work(flops64=flops, values=values) if double else Work(flops=flops, values=values)
            )
            size = 4 * n * n
            self.arrays.need(size + (12 if double else 8) * n * width)
            stage = f"evaluation similarities of all pairs ({case.metric.label})"
            self.add(stage, "matrices", 1, 0, self.machine.seconds(work), "declared", size)
        return self.machine.seconds(Work(values=20 * pairs))

    def _pair_seconds(self, case: AnyCase, spec: MetricSpec) -> float:
        assert case.metric is not None
        name = f"{case.metric.name}/{case.metric.params}"
        if name not in self._pairs:
            metric = self.bench.inputs.metric(case.metric)
            size = self.bench.inputs.evaluated(case).image_size
            device = self.bench.inputs.resources.device
            resize = spec.size(case.metric.params)
            self._pairs[name] = probe_pairs(metric, resize, size, device, self.clock)  # type: ignore[arg-type]
        return self._pairs[name]

    def _embedding(self, case: AnyCase, spec: MetricSpec) -> Probed:
        assert case.metric is not None
        name = f"{case.metric.name}/{case.metric.params}"
        if name not in self._metrics:
            metric = self.bench.inputs.metric(case.metric)
            size = self.bench.inputs.evaluated(case).image_size
            device = self.bench.inputs.resources.device
            resize = spec.size(case.metric.params)
            self._metrics[name] = probe_metric(metric, resize, size, device, self.clock)  # type: ignore[arg-type]
        return self._metrics[name]

    def _part_width(self, case: AnyCase, spec: MetricSpec) -> int:
        """Numbers in the part of an embedding that the case's metric chooses."""
        choice: Choice | None = case.metric
        assert choice is not None
        if choice.part is None:
            if spec.input != "images":
                return 1
            return self._embedding(case, spec).width
        metric = self.bench.inputs.metric(choice)
        resize = spec.size(choice.params)
        shape = self.bench.inputs.evaluated(case).image_size if resize is None else (resize, resize)
        columns = metric.slices(*shape)[choice.part]  # type: ignore[union-attr]
        return int(columns.stop - columns.start)

    def add_embeddings(self) -> None:
        """The embeddings that all cases together ask for."""
        for asked in self._asked.values():
            case = asked.case
            assert case.metric is not None
            spec = self.bench.inputs.registry.metrics[case.metric.name].spec
            n = len(self.bench.inputs.evaluated(case))
            present, _ = self.bench.embeddings_present(case)
            # so many different images are met in that many draws of them
            share = 1.0 if asked.dense else -math.expm1(-sum(asked.images.values()) / max(1, n))
            to_do = max(0, round(n * share) - present)
            probed = self._embedding(case, spec)
            memory = n * probed.width * 4
            self.arrays.keep(round(memory * share))
            stage = f"embeddings {case.metric.name}"
            each = self._read(case, case.dataset.evaluate) if to_do else 0.0
            seconds = to_do * (probed.seconds + each)
            self.add(stage, "images", to_do, present, seconds, "probed", memory)

    # ------------------------------------------------------------------------------ trials

    def _add_trial_case(self, case: TrialCase) -> None:
        bench = self.bench
        done = bench.trials.is_cached(case)
        trials = bench.inputs.trials(case).trials
        stage = f"evaluation {case.evaluation.name}"
        if case.metric is not None and self.new(bench.keys.trial_rows(case).hash):
            self._add_trial_rows(case)
        if done:
            self.add(stage, "cases", 0, 1, 0.0, "measured")
            return
        spec = bench.inputs.registry.evaluations[case.evaluation.name].spec
        rate = self.rates.get(evaluation_rate(case, len(trials), len(trials.units)))
        if rate is not None:
            self.add(stage, "cases", 1, 0, rate, "measured")
        elif isinstance(spec, TrialEvaluationSpec) and spec.work is not None:
            seconds = self.machine.seconds(spec.work(case.evaluation.params, trials))
            self.add(stage, "cases", 1, 0, seconds, "declared")
        else:
            self.add(stage, "cases", 1, 0, 1.0, "guess")

    def _add_trial_rows(self, case: TrialCase) -> None:
        """Similarities within stimuli: each image embedded once, then pairs within each stimulus."""
        assert case.metric is not None
        spec = self.bench.inputs.registry.metrics[case.metric.name].spec
        dataset = self.bench.inputs.trials(case)
        present, shown = self.bench.trials.rows_present(case)
        to_do = shown - present
        stage = f"similarities {case.metric.name} on {case.dataset.label}"
        rate = self.rates.get(stage)
        source: Source = "measured"
        seconds = 0.0 if rate is None else rate * to_do
        if rate is None and to_do:
            source = "probed"
            trials = dataset.trials
            f, g = trials.references.shape[1], trials.opposite.shape[1]
            pairs = float(to_do) * (2 + f) * (f + g)
            if spec.distance in {None, "own"}:
                seconds = pairs * self._pair_seconds(case, spec)
            if spec.distance is not None and spec.input == "images":
                probed = self._embedding(case, spec)
                used = (trials.queries, trials.references, trials.opposite)
                images = [x[trials.shown].ravel() for x in used]
                distinct = len(np.unique(np.concatenate(images))) * to_do / max(1, shown)
                rows = float(to_do) * (2 + f + g) * probed.width
                work = Work(values=30 * rows, flops64=2 * pairs * probed.width)
                each = probed.seconds + self._read(case, case.dataset.evaluate)
                seconds += distinct * each + self.machine.seconds(work)
                self.arrays.need(int(distinct * probed.width * 4))
        self.add(stage, "stimuli", to_do, present, seconds, source)
