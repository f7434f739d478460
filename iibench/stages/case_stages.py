"""The stages of a run, each computed once and kept: activations -> directions -> responses -> scores.

Values are kept in memory within a run and in the cache between runs, under the keys of keys.py. A stage
that failed fails again with the same error for every case that needs it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.cache.budget import default_budget, in_gib
from iibench.cache.entries import Cache
from iibench.compute.activations import images_per_pass, iter_activations
from iibench.compute.images import names_of, to_unit_range
from iibench.compute.similarity.embeddings import EmbeddingTable
from iibench.compute.similarity.lookups import EmbeddingSimilarity, PairwiseSimilarity, dense_pays
from iibench.compute.similarity.own import ComparedSimilarity, comparing
from iibench.compute.similarity.parts import PartSimilarities
from iibench.compute.similarity.streamed import BudgetedSimilarity
from iibench.contract.errors import CaseError, PluginError, Skip
from iibench.contract.evaluations import (
    EvaluationInputs,
    EvaluationSpec,
    SimilarityLookup,
    UnitScores,
    UnitTrials,
)
from iibench.contract.specs import Directions, EmbeddingMetric, FitContext, PairwiseMetric
from iibench.results.details_io import checked, packed, unpacked
from iibench.stages.analysis_context import CaseLab
from iibench.stages.demand import AskedImages, metric_without_part
from iibench.stages.harness import LocalHarness
from iibench.stages.inputs import Inputs
from iibench.stages.keys import Keys, evaluation_seed, finder_seed, metric_of
from iibench.stages.responses import ResponseBench
from iibench.stages.trials import TrialBench
from iibench.suite.cases import Case, Choice, Tap

if TYPE_CHECKING:
    from iibench.cache.rows import RowStore
    from iibench.contract.arrays import DoubleArray, FloatArray, IntArray
    from iibench.contract.specs import ImageDataset


@dataclass(frozen=True)
class Progress:
    """How far a stage is: `total` 0 says that it came from the cache."""

    stage: str
    done: int
    total: int
    unit: str


@dataclass
class Scores:
    """A case's scores, whether they came from the cache, and the notes of its directions."""

    scores: UnitScores
    cached: bool
    notes: tuple[str, ...] = ()


@dataclass
class Workbench:
    """Computes and keeps the stages of a run's cases.

    `asked` counts, for each (dataset, metric) label pair, the images that all cases of the run ask
    of the metric: it decides how similarities are computed, so it must not depend on what is cached.
    """

    inputs: Inputs
    cache: Cache
    batch_size: int | None = None
    #: bytes that large arrays may take together
    memory: int = field(default_factory=default_budget)
    #: of networks and metrics; see precision.py
    precision: str = "float32"
    asked: Mapping[tuple[str, str], float] = field(default_factory=dict)
    #: ids of the cases whose trials the run folder keeps
    shown_trials: frozenset[str] = frozenset()
    progress: Callable[[Progress], None] = lambda progress: None
    #: the keys of the stages
    keys: Keys = field(init=False)
    #: the parts of metrics that the cases of the run ask for (see `case_groups.parts_asked`)
    asked_parts: Mapping[str, Mapping[str, Choice]] = field(default_factory=dict)
    _similarity: tuple[str, SimilarityLookup] | None = None
    _parts: tuple[str, PartSimilarities] | None = None

    def __post_init__(self) -> None:
        """Datasets may be made of what this workbench computes."""
        self.inputs.harness = LocalHarness(self.inputs, self.activations)
        self.inputs.memo.limit = self.memory // 2
        self.keys = Keys(self.inputs, self.precision)

    @cached_property
    def trials(self) -> TrialBench:
        """The stages of trial cases."""
        return TrialBench(
            self.inputs,
            self.cache,
            self.keys,
            lambda stage, done, total, unit: self.progress(Progress(stage, done, total, unit)),
            self.memory // 2,
            self.precision,
        )

    def report(self, stage: str, done: int, total: int) -> None:
        """Tells how far a stage is."""
        self.progress(Progress(stage, done, total, "steps"))

    # ------------------------------------------------------------------------------ stages

    def activations(self, tap: Tap, split: str) -> FloatArray:
        """(n, N) float32 activations of a split where they are tapped; rows computed once."""

        def compute() -> FloatArray:
            n = len(self.inputs.dataset(tap.dataset, split, tap.seed))
            return self.fill_activations(tap, split, np.arange(n)).array()

        key = self.keys.activations(tap, split)
        return self.inputs.memo.once(f"value/{key.hash}", compute)

    def fill_activations(self, tap: Tap, split: str, indices: IntArray) -> RowStore:
        """Computes and keeps those rows of the images `indices` that are not there yet.

        Raises `CaseError` where there is no image, and as `iter_activations` does.
        """
        key = self.keys.activations(tap, split)
        stage = f"activations {tap.model.label}/{tap.layer.label} on {split}"
        dataset = self.inputs.dataset(tap.dataset, split, tap.seed)
        if not len(indices):
            raise CaseError(f"{tap.dataset.label} {split} has no images")
        store = self.cache.existing_rows("activations", key.hash)
        begun: list[tuple[IntArray, FloatArray]] = []
        if store is None:
            with self.inputs.clock.stage(stage, 0):
                size = images_per_pass(self.batch_size, self.inputs.resources.device)
                begun = list(self._activations_of(tap, dataset, indices[:size]))
            n, width = len(dataset), begun[0][1].shape[1]
            store = self.cache.rows("activations", key.hash, key.description, n, width)
        if not begun and not store.missing(indices).size:
            self.progress(Progress(stage, 0, 0, "images"))
            return store
        with store.filling():
            for chosen, rows in begun:
                store.put(chosen, rows)
            missing = store.missing(indices)
            done = len(indices) - len(missing)
            with self.inputs.clock.stage(stage, len(missing)):
                for chosen, rows in self._activations_of(tap, dataset, missing):
                    store.put(chosen, rows)
                    done += len(chosen)
                    self.progress(Progress(stage, done, len(indices), "images"))
        return store

    def _activations_of(
        self, tap: Tap, dataset: ImageDataset, indices: IntArray
    ) -> Iterator[tuple[IntArray, FloatArray]]:
        loaded, _ = self.inputs.model(tap)
        return iter_activations(
            loaded,
            tap.layer.path,
            tap.layer.pool,
            dataset.images,
            indices,
            device=self.inputs.resources.device,
            batch_size=self.batch_size,
            precision=self.precision,
        )

    def directions(self, case: Case) -> Directions:
        """The finder's directions, fitted on the fit split."""
        key = self.keys.directions(case)
        stage = f"directions {case.finder.label}"

        def compute() -> Directions:
            blob = self.cache.load("directions", key.hash)
            if blob is not None:
                self.progress(Progress(stage, 0, 0, "fits"))
                arrays = dict(blob.arrays)
                vectors = arrays.pop("vectors")
                state = {name.removeprefix("state/"): array for name, array in arrays.items()}
                return Directions(vectors, state, tuple(blob.meta["notes"]))
            spec = self.inputs.registry.finders[case.finder.name].spec
            data = self.activations(case.tap, self.keys.fit_split(case))
            if spec.trains_on:
                self.check_held(data.shape, f"finder {case.finder.label}")
            data = np.ascontiguousarray(data)
            with self.inputs.clock.stage(stage):
                self.progress(Progress(stage, 0, 1, "fits"))
                context = FitContext(
                    finder_seed(case),
                    self.inputs.resources.device,
                    lambda done, total, note: self.progress(
                        Progress(stage, min(done, total - 1), total, note)
                    ),
                    self.inputs.resources.base_dir,
                )
                found = spec.fit(case.finder.params, data, context)
                self.progress(Progress(stage, 1, 1, "fits"))
            _check_directions(found, data.shape[1], case.finder.label)
            arrays = {"vectors": found.vectors}
            arrays |= {f"state/{name}": array for name, array in found.state.items()}
            self.cache.store(
                "directions", key.hash, key.description, arrays, {"notes": list(found.notes)}
            )
            return found

        return self.inputs.memo.once(f"value/{key.hash}", compute)

    def check_held(self, shape: tuple[int, ...], who: str) -> None:
        """Raises `CaseError` where `who` cannot hold activations (n, N) in memory: they may take half."""
        size = 4 * shape[0] * shape[1]
        if 2 * size > self.memory:
            raise CaseError(
                f"{who} holds activations in memory: {shape[0]:,} images x {shape[1]:,} neurons are "
                f"{in_gib(size)}, and they may take half of --memory {in_gib(self.memory)}; give it "
                "more, or take fewer images (--limit)"
            )

    @cached_property
    def ranked(self) -> ResponseBench:
        """The stages from directions to ranked images."""
        return ResponseBench(
            self.inputs, self.cache, self.keys, self.memory, self.activations, self.directions
        )

    def responses(self, case: Case) -> FloatArray:
        """(n, K) float32 responses of the evaluated images to the directions."""
        return self.ranked.responses(case)

    def similarity(self, case: Case) -> SimilarityLookup:
        """Similarities of the evaluated images under the case's metric; one metric is kept at a time."""
        choice = metric_of(case)
        key = f"{self.keys.embeddings(case).hash}/{choice.part}"
        if self._similarity is None or self._similarity[0] != key:
            self._similarity = None  # free the old matrix before the new one is made
            self._similarity = (key, self._make_similarity(case, choice))
        return self._similarity[1]

    def _make_similarity(self, case: Case, choice: Choice) -> SimilarityLookup:
        spec = self.inputs.registry.metrics[choice.name].spec
        dataset = self.inputs.evaluated(case)
        metric = self.inputs.metric(choice)
        size = spec.size(choice.params)
        device = self.inputs.resources.device
        if spec.distance is None:
            if not isinstance(metric, PairwiseMetric):
                raise PluginError(f"metric {choice.name} has neither a distance nor pairwise")
            return PairwiseSimilarity(
                metric,
                lambda indices: to_unit_range(dataset.images(indices), device, size),
                choice.label,
            )
        table = self._table(case, choice)
        columns = self._columns(case, choice)
        kept: SimilarityLookup
        if spec.distance == "own":
            own = comparing(metric, choice.name)
            kept = ComparedSimilarity(own, self._timed_rows(table, choice), device, columns)

            def compare(rows: FloatArray) -> SimilarityLookup:
                return ComparedSimilarity(own, lambda indices: rows, device, columns)

        else:
            distance = spec.distance
            kept = self._parts_of(case, choice, table).part(choice.part or "")

            def compare(rows: FloatArray) -> SimilarityLookup:
                return EmbeddingSimilarity(
                    lambda indices: rows, len(rows), distance, columns=columns, device=device
                )

        if spec.input != "images":
            return kept
        return BudgetedSimilarity(table, kept, compare, self.memory // 2)

    def _parts_of(self, case: Case, choice: Choice, table: EmbeddingTable) -> PartSimilarities:
        """Lookups of all parts of the metric that the run's cases ask for; one metric is kept at a time."""
        key = self.keys.embeddings(case).hash
        if self._parts is None or self._parts[0] != key:
            self._parts = None  # free the old matrices before new ones are made
            asked = self.asked_parts.get(metric_without_part(case), {})
            wanted = {choice.part or "": choice, **asked}
            lookups = {name: self._lookup(case, part, table) for name, part in wanted.items()}
            self._parts = (key, PartSimilarities(lookups, self.memory // 8))
        return self._parts[1]

    def _lookup(self, case: Case, choice: Choice, table: EmbeddingTable) -> EmbeddingSimilarity:
        n = len(self.inputs.evaluated(case))
        asked = self.asked.get((case.dataset.label, choice.label), 0.0)
        return EmbeddingSimilarity(
            self._timed_rows(table, choice),
            n,
            self.inputs.registry.metrics[choice.name].spec.distance or "euclidean",
            columns=self._columns(case, choice),
            dense=dense_pays(n, asked) and 4 * n * n <= self.memory // 4,
            device=self.inputs.resources.device,
            progress=lambda done, total: self.progress(
                Progress(f"similarities {choice.label}", done, total, "blocks")
            ),
        )

    def _columns(self, case: Case, choice: Choice) -> slice | None:
        """The columns of the embedding that a part of the metric is; None for the whole."""
        if choice.part is None:
            return None
        size = self.inputs.registry.metrics[choice.name].spec.size(choice.params)
        pixels = self.inputs.evaluated(case).image_size if size is None else (size, size)
        metric: Any = self.inputs.metric(choice)
        columns: slice = metric.slices(*pixels)[choice.part]
        return columns

    def _timed_rows(
        self, table: EmbeddingTable, choice: Choice
    ) -> Callable[[IntArray], FloatArray]:
        def rows(indices: IntArray) -> FloatArray:
            with self.inputs.clock.stage(f"embeddings {choice.name}"):
                return table.rows(indices)

        return rows

    def _table(self, case: Case, choice: Choice) -> EmbeddingTable:
        """The embeddings of the evaluated images; the parts of a metric share one table."""
        key = self.keys.embeddings(case)
        spec = self.inputs.registry.metrics[choice.name].spec
        metric = self.inputs.metric(choice)
        if not isinstance(metric, EmbeddingMetric):
            raise PluginError(f"metric {choice.name} declares a distance and has no embed")
        stage = f"embeddings {choice.name}"
        return self.inputs.memo.once(
            f"value/{key.hash}",
            lambda: EmbeddingTable(
                metric,
                spec,
                spec.size(choice.params),
                self.inputs.evaluated(case),
                self.cache,
                key.hash,
                key.description,
                self.inputs.resources.device,
                lambda done, total: self.progress(Progress(stage, done, total, "images")),
                self.precision,
            ),
        )

    def needed_images(self, case: Case) -> IntArray:
        """Sorted indices of the images that the case will ask its metric to embed.

        Found by evaluating it on a stand-in that calls all images equally alike and remembers what it
        was asked: an evaluation that asks on in the light of an answer may need others besides. Empty
        where the metric embeds no images.
        """
        if case.metric is None or not self.embeds_images(metric_of(case)):
            return np.zeros(0, np.int64)
        spec = self.inputs.registry.evaluations[case.evaluation.name].spec
        if not isinstance(spec, EvaluationSpec):
            return np.zeros(0, np.int64)
        asked = AskedImages(len(self.inputs.evaluated(case)))
        spec.evaluate(case.evaluation.params, self._evaluation_inputs(case, asked))
        return asked.indices()

    def fill_embeddings(self, case: Case, indices: IntArray) -> None:
        """Computes and keeps the embeddings of these evaluated images that are not there yet."""
        choice = metric_of(case)
        if self.embeds_images(choice) and len(indices):
            with self.inputs.clock.stage(f"embeddings {choice.name}"):
                self._table(case, choice).rows(np.asarray(indices, np.int64))

    def embeds_images(self, choice: Choice) -> bool:
        """Whether the metric's similarities come from embeddings of images."""
        spec = self.inputs.registry.metrics[choice.name].spec
        return spec.distance is not None and spec.input == "images"

    def is_cached(self, case: Case) -> bool:
        """Whether the case's scores are in the cache; loads what its key needs, computes nothing."""
        return self.cache.has("scores", self.keys.scores(case).hash)

    def is_fitted(self, case: Case) -> bool:
        """Whether the case's directions are in the cache."""
        return self.cache.has("directions", self.keys.directions(case).hash)

    def rows_present(self, case: Case, split: str) -> tuple[int, int, int]:
        """(images of the split, activations of them in the cache, N or 0 where it is not known)."""
        n = len(self.inputs.dataset(case.dataset, split, case.seed))
        store = self.cache.existing_rows("activations", self.keys.activations(case.tap, split).hash)
        return (n, 0, 0) if store is None else (n, store.count(), store.width)

    def embeddings_present(self, case: Case) -> tuple[int, int]:
        """(embeddings in the cache, d or 0 where it is not known) of the evaluated images."""
        store = self.cache.existing_rows("embeddings", self.keys.embeddings(case).hash)
        return (0, 0) if store is None else (store.count(), store.width)

    def scores(self, case: Case) -> Scores:
        """The case's score per direction. Raises `Skip`, `CaseError` or what a plugin raises."""
        spec = self.inputs.registry.evaluations[case.evaluation.name].spec
        if not isinstance(spec, EvaluationSpec):
            raise PluginError(f"{case.evaluation.label} is no evaluation of directions")
        if case.metric is not None:
            metric = self.inputs.registry.metrics[case.metric.name].spec
            if metric.input == "labels" and self.inputs.evaluated(case).labels is None:
                raise Skip(f"{case.metric.label} needs labels and {case.dataset.label} has none")
            if metric.input == "names":
                names_of(self.inputs.evaluated(case))
        key = self.keys.scores(case)
        blob = self.cache.load("scores", key.hash)
        if blob is not None:
            reasons = tuple(blob.meta["reasons"])
            arrays = dict(blob.arrays)
            values, plain = arrays.pop("values"), blob.meta["details"]
            details = None if plain is None else unpacked(arrays, plain)
            scores = UnitScores(values, reasons, blob.meta["trials"], details=details)
            return Scores(scores, True, tuple(blob.meta["notes"]))
        scores = self._evaluate(case, spec)
        notes = self.directions(case).notes
        arrays, plain = ({}, None) if scores.details is None else packed(scores.details)
        self.cache.store(
            "scores",
            key.hash,
            key.description,
            {"values": scores.values, **arrays},
            {
                "reasons": list(scores.reasons),
                "trials": scores.trials,
                "notes": list(notes),
                "details": plain,
            },
        )
        return Scores(scores, False, notes)

    def unit_trials(self, case: Case) -> UnitTrials | None:
        """The trials behind the scores of a case of `shown_trials`; None where it has none to show."""
        key = self.keys.scores(case)
        blob = self.cache.load("unit_trials", key.hash)
        if blob is not None:
            return UnitTrials(**blob.arrays) if blob.arrays else None
        spec = self.inputs.registry.evaluations[case.evaluation.name].spec
        if not isinstance(spec, EvaluationSpec):
            return None
        return self._evaluate(case, spec).unit_trials

    def _evaluate(self, case: Case, spec: EvaluationSpec) -> UnitScores:
        """Asks the evaluation; what it can show of its trials is kept where the case is to be shown."""
        similarity: SimilarityLookup = (
            _NoSimilarity() if case.metric is None else self.similarity(case)
        )
        inputs = self._evaluation_inputs(case, similarity)
        with self.inputs.clock.stage(f"evaluation {case.evaluation.name}"):
            scores = spec.evaluate(case.evaluation.params, inputs)
        _check_scores(scores, inputs.responses.shape[1], case.evaluation.label)
        if (scores.details is not None) != spec.is_analysis:
            raise PluginError(
                f"evaluation {case.evaluation.label}: details belong to analyses (plot 'none'), and "
                "each of them has some"
            )
        if scores.details is not None:
            details = checked(scores.details, case.evaluation.label)
            scores = dataclasses.replace(scores, details=details)
        if case.id in self.shown_trials:
            shown = scores.unit_trials
            arrays = (
                {}
                if shown is None
                else {
                    name: np.asarray(
                        getattr(shown, name), np.float64 if name == "evidence" else np.int32
                    )
                    for name in UnitTrials.__dataclass_fields__
                }
            )
            key = self.keys.scores(case)
            self.cache.store("unit_trials", key.hash, key.description, arrays, {})
        return scores

    def _evaluation_inputs(self, case: Case, similarity: SimilarityLookup) -> EvaluationInputs:
        if not self.ranked.in_memory(case):
            self.check_blockwise(case)
        return EvaluationInputs(
            self.responses(case),
            self.ranked.order(case),
            similarity,
            self.inputs.evaluated(case).labels,
            evaluation_seed(case),
            CaseLab(self, case),
        )

    def check_blockwise(self, case: Case) -> None:
        """Raises `CaseError` where the case's evaluation cannot take responses that are mapped files."""
        spec = self.inputs.registry.evaluations[case.evaluation.name].spec
        if not getattr(spec, "blockwise", False):
            raise CaseError(
                f"evaluation {case.evaluation.label} holds the responses of all images to all directions in "
                f"memory, and they need more than a quarter of --memory {in_gib(self.memory)}; give it more, "
                "or take fewer images (--limit)"
            )


class _NoSimilarity:
    """Stands in for evaluations that use no metric; being asked is the plugin's mistake."""

    def within(self, groups: IntArray) -> DoubleArray:
        raise PluginError("this evaluation declares needs_metric=False and asks for similarities")

    def cross(self, left: IntArray, right: IntArray) -> DoubleArray:
        return self.within(left)


def _check_directions(found: Directions, width: int, label: str) -> None:
    vectors = found.vectors
    if vectors.ndim != 2 or vectors.shape[1] != width or not len(vectors):
        raise PluginError(
            f"finder {label}: vectors have shape {vectors.shape}, expected (K, {width})"
        )
    if not np.isfinite(vectors).all():
        raise CaseError(f"finder {label} gave a direction that is not finite")


def _check_scores(scores: UnitScores, k: int, label: str) -> None:
    if scores.values.shape != (k,) or len(scores.reasons) != k:
        raise PluginError(f"evaluation {label}: {scores.values.shape} scores for {k} directions")
    for value, reason in zip(scores.values, scores.reasons, strict=True):
        if np.isnan(value) != (reason is not None) or np.isinf(value):
            raise PluginError(
                f"evaluation {label}: a score must be finite, or NaN with a reason "
                f"(got {value} with reason {reason!r})"
            )
