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

from iibench.cache.budget import are_mapped
from iibench.cache.by_direction import ABOUT, ORDERS, RESPONSES
from iibench.cache.memo import Memo
from iibench.compute.similarity.lookups import dense_pays
from iibench.contract.base import Work
from iibench.contract.evaluations import EvaluationSpec
from iibench.contract.trials import TrialEvaluationSpec
from iibench.runner.case_reports import task_error
from iibench.runner.estimate import memory as plan_memory
from iibench.runner.estimate.finders import FinderCost, FinderCosts
from iibench.runner.estimate.inputs import Reading, reading, starting_seconds
from iibench.runner.estimate.machine import IMPORT_SECONDS, Machine, measured_machine
from iibench.runner.estimate.peak import Arrays, resident
from iibench.runner.estimate.timed import Probes
from iibench.runner.estimate.timing import Clock
from iibench.runner.rates import activations_rate, evaluation_rate
from iibench.stages.demand import metric_without_part
from iibench.suite.cases import Case, TrialCase
from iibench.suite.choices import choice_of

if TYPE_CHECKING:
    from iibench.contract.specs import MetricSpec
    from iibench.stages.case_stages import Workbench
    from iibench.suite.cases import AnyCase

Source = Literal["measured", "probed", "declared", "guess"]
#: From the best to the worst.
SOURCES: Final[tuple[Source, ...]] = ("measured", "probed", "declared", "guess")

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
    """One stage: units of work to do and already cached, bytes of its arrays that are in memory at the same
    time, seconds and their source."""

    stage: str
    unit: str
    to_do: int
    cached: int
    memory: int
    seconds: float
    source: Source


@dataclass(frozen=True)
class Plan:
    """The stages in the order in which they run, and the largest memory of the process in bytes.

    `left_out`: a line for each reason why cases are not estimated.
    """

    stages: tuple[StageEstimate, ...]
    peak: int
    left_out: tuple[str, ...] = ()

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

    Loads datasets, networks and metrics to make keys, and times a few batches; keeps nothing. Cases that
    the run will skip or end with an error, as far as that is seen here, are left out from the stage at
    which it does. `began`: what `clock` showed when the program started. `machine`: how fast it is,
    None measures its processor and its GPU.
    """
    loaded = clock()
    processor = gpu = machine or measured_machine(clock)
    if machine is None and bench.inputs.resources.device == "cuda":
        gpu = measured_machine(clock, "cuda")
    planner = _Planner(bench, rates, processor, gpu, clock)
    planner.arrays.limit = bench.memory // 2  # as the memo's
    for case in cases:
        planner.add_or_leave_out(case)
    planner.add_embeddings()
    start = starting_seconds(bench, cases, 0.0 if began is None else loaded - began, clock)
    folder = planner.machine.seconds(Work(steps=FOLDER_STEPS + CASE_STEPS * len(cases)))
    planner.add("start and loading", "runs", 1, 0, start, "probed")
    planner.add("run folder and page", "cases", len(cases), 0, folder, "declared")
    planner.arrays.keep(PAGE_BYTES)
    stages = list(planner.stages.values())
    stages.insert(0, stages.pop(-2))
    return Plan(tuple(stages), resident() + planner.arrays.peak(), planner.left_out())


@dataclass
class _Asked:
    """What is asked of one metric's embeddings: by whom, and how they are made.

    `images`: by directions and evaluation, which the parts of the metric share.
    """

    case: Case
    images: dict[tuple[str, str], float] = field(default_factory=dict)
    dense: bool = False


@dataclass
class _Planner:
    """Collects stages; every piece of work is named by its key and counted once."""

    bench: Workbench
    rates: Mapping[str, float]
    #: the processor, and the GPU where the run has one
    machine: Machine
    gpu: Machine
    clock: Clock
    stages: dict[str, StageEstimate] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=Arrays)
    _seen: set[str] = field(default_factory=set)
    _asked: dict[str, _Asked] = field(default_factory=dict)
    #: what reading a dataset takes, or why it cannot be read
    _readings: Memo = field(default_factory=Memo)
    #: reason -> ids of the cases that are left out for it
    _left_out: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.probes = Probes(self.bench, self.clock)
        self.finders = FinderCosts(self.bench, self.rates, self.machine, self.gpu, self.clock)

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

    def left_out(self) -> tuple[str, ...]:
        """A line for each reason."""
        return tuple(
            f"{ids[0]}{f' and {len(ids) - 1} more' if len(ids) > 1 else ''}: {reason}"
            for reason, ids in self._left_out.items()
        )

    # ------------------------------------------------------------------------------ directions

    def add_or_leave_out(self, case: AnyCase) -> None:
        """The stages of one case that no earlier case had, up to one that fails as it will in the run."""
        try:
            self._add_case(case)
        except Exception as error:
            self._leave_out(case, error)

    def _leave_out(self, case: AnyCase, error: Exception) -> None:
        reason = task_error(error).reason.partition("\n")[0]
        ids = self._left_out.setdefault(reason, [])
        if case.id not in ids:
            ids.append(case.id)

    def _add_case(self, case: AnyCase) -> None:
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
        fitted = bench.is_fitted(case)
        fit_split, evaluated = bench.keys.fit_split(case), case.dataset.evaluate
        if not isinstance(spec, EvaluationSpec):
            return  # its cases will tell
        network = self.probes.network(case)
        if not fitted:
            self._add_activations(case, fit_split)
            self._hold_to_fit(case, fit_split, network.width)
        cost = self.finders.cost(case, network)
        k = cost.directions
        mapped = are_mapped(n, k, bench.memory)
        responded = self._has_responses(case, mapped)
        analysis, fits_own = spec.is_analysis, bool(spec.finders(case.evaluation.params))
        needed = [evaluated] if not responded or analysis else []
        needed += [case.dataset.fit] if fits_own else []
        for split in dict.fromkeys(needed):
            self._add_activations(case, split)
        self._add_directions(case, cost, fitted)
        self._add_responses(case, cost, responded, n, network.width)
        if mapped:
            bench.check_blockwise(case)
        self._add_order(case, n, k)
        if analysis:
            self._hold(case, evaluated, n, network.width)
        seconds, source = self._evaluation(case, spec, n, k)
        self.add(stage, "cases", 1, 0, seconds, source)

    def _has_responses(self, case: Case, mapped: bool) -> bool:
        key = self.bench.keys.responses(case).hash
        if mapped:
            return self._has_columns(RESPONSES, key)
        return self.bench.cache.has("responses", key)

    def _has_columns(self, kind: str, key: str) -> bool:
        return (self.bench.cache.place(kind, key) / ABOUT).is_file()

    def _hold_to_fit(self, case: Case, split: str, width: int) -> None:
        """Counts what a fit looks at; raises `CaseError` where the run will refuse it."""
        if self.bench.inputs.registry.finders[case.finder.name].spec.trains_on:
            n = len(self.bench.inputs.dataset(case.dataset, split, case.seed))
            self.bench.check_held((n, width), f"finder {case.finder.label}")
            self._hold(case, split, n, width)

    def _hold(self, case: Case, split: str, n: int, width: int) -> None:
        """Counts activations that are read as a whole: their pages are not let go of afterwards."""
        if self.new(f"held {self.bench.keys.activations(case.tap, split).hash}"):
            self.arrays.keep(min(4 * n * width, self.bench.memory // 2))

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
            passing = self.probes.passing(case).seconds if rate is None else 0.0
            seconds = missing * (each + passing if rate is None else rate)
        memory = plan_memory.written_activations(total, self.probes.network(case).width)
        self.arrays.need(memory)
        stage = f"activations {case.model.label}/{case.layer.label} on {split}"
        self.add(stage, "images", missing, cached, seconds, source, memory)

    def _read(self, case: AnyCase, split: str) -> float:
        """Seconds of reading one image; what a dataset does once, at its first image, is a stage."""
        dataset = self.bench.inputs.dataset(case.dataset, split, case.seed)

        def read() -> Reading:
            found = reading(dataset, self.clock)
            self.arrays.keep(found.held)
            if found.once > 0.1:
                stage = f"first images of {case.dataset.label} {split}"
                self.add(stage, "images", len(dataset), 0, found.once, "probed", found.held)
            return found

        return self._readings.once(dataset.fingerprint, read).each

    def _add_directions(self, case: Case, cost: FinderCost, fitted: bool) -> None:
        if not self.new(self.bench.keys.directions(case).hash):
            return
        imports = [name for name in cost.imports if not fitted and self.new(f"import {name}")]
        seconds = 0.0 if fitted else cost.fit + IMPORT_SECONDS * len(imports)
        stage = f"directions {case.finder.label}"
        self.add(stage, "fits", int(not fitted), int(fitted), seconds, cost.source)
        self.arrays.need(0 if fitted else cost.memory)

    def _add_responses(
        self, case: Case, cost: FinderCost, responded: bool, n: int, width: int
    ) -> None:
        if not self.new(self.bench.keys.responses(case).hash):
            return
        k, memory = cost.directions, self.bench.memory
        if not are_mapped(n, k, memory):
            self.arrays.keep_between(4 * n * k)
        if not responded:
            self.arrays.need(plan_memory.encoding(n, width, k, memory))
        seconds = 0.0 if responded else cost.encode
        stage = f"responses {case.finder.label}"
        self.add(stage, "matrices", int(not responded), int(responded), seconds, cost.source)

    def _add_order(self, case: Case, n: int, k: int) -> None:
        """Of the images by response; in memory it is not kept between runs."""
        key = self.bench.keys.order(case).hash
        if not self.new(key):
            return
        mapped = are_mapped(n, k, self.bench.memory)
        done = mapped and self._has_columns(ORDERS, key)
        seconds = 0.0 if done else self.gpu.seconds(Work(values=SORT_PASSES * n * k))
        if mapped:
            self.arrays.need(plan_memory.ranking(n, k))
        else:
            self.arrays.keep_between(4 * n * k)
        stage = "order of images by response"
        self.add(stage, "matrices", int(not done), int(done), seconds, "declared")

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
            seconds += work.passes * self.probes.passing(case).seconds
        seconds += IMPORT_SECONDS * sum(self.new(f"import {name}") for name in work.imports)
        for label in spec.finders(params):  # fitted to a part of the neurons each time: once in all
            finder = choice_of(label, self.bench.inputs.registry.finders)
            other = replace(case, finder=finder)
            seconds += self.finders.cost(other, self.probes.network(case)).fit
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
            asked.images[(case.stem, case.evaluation.label)] = images
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
            return pairs * self.probes.pair_seconds(case, spec)
        if spec.distance == "equal":
            return self.machine.seconds(Work(values=4 * pairs))
        if not self._dense(case, spec):
            question = f"{metric_without_part(case)}/{case.stem}/{case.evaluation.label}"
            if not self.new(f"question {question}"):
                return 0.0  # answered with that about another part
            width = self.probes.asked_width(case, spec)
            gather, products = Work(values=8 * images * width), Work(flops=2 * pairs * width)
            return self.machine.seconds(gather) + self.gpu.seconds(products)
        width = self.probes.part_width(case, spec)
        if self.new(f"matrix {self.bench.keys.embeddings(case).hash}/{case.metric.part}"):
            double = spec.distance == "euclidean"
            flops, values = float(n) * n * width, 8.0 * n * n + 4.0 * n * width
            products = Work(flops64=flops) if double else Work(flops=flops)
            seconds = self.gpu.seconds(products) + self.machine.seconds(Work(values=values))
            size = 4 * n * n
            self.arrays.need(size + (12 if double else 8) * n * width)
            stage = f"evaluation similarities of all pairs ({case.metric.label})"
            self.add(stage, "matrices", 1, 0, seconds, "declared", size)
        return self.machine.seconds(Work(values=20 * pairs))

    def add_embeddings(self) -> None:
        """The embeddings that all cases together ask for."""
        for asked in self._asked.values():
            try:
                self._add_embeddings(asked)
            except Exception as error:
                self._leave_out(asked.case, error)

    def _add_embeddings(self, asked: _Asked) -> None:
        case = asked.case
        assert case.metric is not None
        spec = self.bench.inputs.registry.metrics[case.metric.name].spec
        n = len(self.bench.inputs.evaluated(case))
        present, _ = self.bench.embeddings_present(case)
        # so many different images are met in that many draws of them
        share = 1.0 if asked.dense else -math.expm1(-sum(asked.images.values()) / max(1, n))
        to_do = max(0, round(n * share) - present)
        probed = self.probes.embedding(case, spec)
        kept, held = plan_memory.embedded(n, n * share, probed.width, self.bench.memory)
        self.arrays.keep(kept)
        self.arrays.need(held)
        stage = f"embeddings {case.metric.name}"
        each = self._read(case, case.dataset.evaluate) if to_do else 0.0
        seconds = to_do * (probed.seconds + each)
        self.add(stage, "images", to_do, present, seconds, "probed", kept + held)

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
                seconds = pairs * self.probes.pair_seconds(case, spec)
            if spec.distance is not None and spec.input == "images":
                probed = self.probes.embedding(case, spec)
                used = (trials.queries, trials.references, trials.opposite)
                images = [x[trials.shown].ravel() for x in used]
                distinct = len(np.unique(np.concatenate(images))) * to_do / max(1, shown)
                rows = float(to_do) * (2 + f + g) * probed.width
                passes = self.machine.seconds(Work(values=30 * rows))
                products = self.gpu.seconds(Work(flops64=2 * pairs * probed.width))
                each = probed.seconds + self._read(case, case.dataset.evaluate)
                seconds += distinct * each + passes + products
                self.arrays.need(min(int(distinct * probed.width * 4), self.bench.memory // 2))
        self.add(stage, "stimuli", to_do, present, seconds, source)
