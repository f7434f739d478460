"""The stages of a run, each computed once and kept: dataset -> activations -> directions -> responses
-> scores.

Every stage has a key made of everything that decides its value (see cache.py); keys chain, so that a
case whose key is known need not be computed to be looked up. Values are kept in memory within a run
and in the cache between runs. A stage that failed fails again with the same error for every case that
needs it.
"""

from __future__ import annotations

import dataclasses
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from iibench import activations as activations_stage
from iibench import embeddings as embeddings_stage
from iibench import exemplars as exemplars_stage
from iibench import folding as folding_stage
from iibench import images as images_stage
from iibench import similarity as similarity_stage
from iibench.cache import Cache, key_of, source_sha256
from iibench.embeddings import EmbeddingTable
from iibench.errors import CaseError, PluginError, Skip
from iibench.exemplars import order_by_response
from iibench.images import limited, to_unit_range
from iibench.registry import Entry, Registry
from iibench.similarity import EmbeddingSimilarity, PairwiseSimilarity, dense_pays
from iibench.specs import (
    Directions,
    EmbeddingMetric,
    EvaluationInputs,
    FitContext,
    ImageDataset,
    LoadedModel,
    MetricSpec,
    PairwiseMetric,
    Resources,
    SimilarityLookup,
    UnitScores,
)
from iibench.suite.cases import Case, Choice, DatasetChoice, derive_seed
from iibench.suite.params import to_json

if TYPE_CHECKING:
    from iibench.exemplars import Order
    from iibench.specs import DoubleArray, FloatArray, IntArray

T = TypeVar("T")

#: Library versions that may change a stage's numbers: part of every key.
LIBRARIES = {name: version(name) for name in ("numpy", "scikit-learn", "scipy", "torch")}
#: Bytes of arrays (responses, orders) kept in memory between the cases of a run.
MEMORY_BYTES = 4 << 30


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

    registry: Registry
    resources: Resources
    cache: Cache
    batch_size: int | None = None
    asked: Mapping[tuple[str, str], float] = field(default_factory=dict)
    progress: Callable[[Progress], None] = lambda progress: None
    #: stage -> (seconds, units of work) of everything computed in this run
    work: dict[str, tuple[float, int]] = field(default_factory=dict)
    #: seconds spent in each stage since `timed` was last called
    _seconds: dict[str, float] = field(default_factory=dict)
    _memo: dict[str, Any] = field(default_factory=dict)
    _arrays: OrderedDict[str, FloatArray | Order] = field(default_factory=OrderedDict)
    _similarity: tuple[str, SimilarityLookup] | None = None

    # ------------------------------------------------------------------------------ inputs

    def dataset(self, choice: DatasetChoice, split: str, seed: int) -> ImageDataset:
        """One split of a dataset, cut to the choice's limit."""

        def load() -> ImageDataset:
            spec = self.registry.datasets[choice.name].spec
            with self._stage(f"dataset {choice.label} {split}"):
                whole = spec.load(choice.params, split, self.resources)
                return limited(whole, choice.limit, derive_seed(seed, choice.label, split))

        return self._once(f"dataset/{choice.label}/{split}/{seed}", load)

    def evaluated(self, case: Case) -> ImageDataset:
        """The split on which a case is measured."""
        return self.dataset(case.dataset, case.dataset.evaluate, case.seed)

    def model(self, case: Case) -> tuple[LoadedModel, str]:
        """The network with the weights that the case's layer needs, and their SHA-256."""

        def load() -> tuple[LoadedModel, str]:
            spec = self.registry.models[case.model.name].spec
            with self._stage(f"model {case.model.label}"):
                loaded = spec.load(case.model.params, case.layer.path, self.resources)
                return loaded, activations_stage.weights_sha256(loaded.module)

        return self._once(f"model/{case.model.label}/{case.layer.path}", load)

    def metric(self, choice: Choice) -> EmbeddingMetric | PairwiseMetric:
        """The loaded metric; its parts share one object."""

        def load() -> EmbeddingMetric | PairwiseMetric:
            spec = self.registry.metrics[choice.name].spec
            with self._stage(f"metric {choice.name}"):
                metric = spec.load(choice.params, self.resources)
            wanted = "embed" if spec.distance is not None else "pairwise"
            if not hasattr(metric, wanted):
                raise PluginError(f"metric {choice.name}: the loaded metric has no {wanted}")
            return metric

        return self._once(f"metric/{choice.name}/{to_json(choice.params)}", load)

    # ------------------------------------------------------------------------------ keys

    def _key(self, stage: str, case: Case, split: str = "") -> tuple[str, dict[str, Any]]:
        """(key, description) of a stage's value for a case; made once."""
        describe = getattr(self, f"_describe_{stage}")

        def make() -> tuple[str, dict[str, Any]]:
            description = describe(case, split) if split else describe(case)
            description |= {"stage": stage, "libraries": LIBRARIES}
            return key_of(description), description

        metric = case.metric.label if case.metric else ""
        part = f"/{metric}" if stage in {"embeddings", "scores"} else ""
        tail = f"/{case.evaluation.label}" if stage == "scores" else ""
        return self._once(f"key/{stage}/{case.stem}/{case.seed}/{split}{part}{tail}", make)

    def _describe_activations(self, case: Case, split: str) -> dict[str, Any]:
        loaded, weights = self.model(case)
        return {
            "code": source_sha256(
                activations_stage.__file__, folding_stage.__file__, images_stage.__file__
            ),
            "dataset": self.dataset(case.dataset, split, case.seed).fingerprint,
            "model": _describe(self.registry.models[case.model.name], case.model),
            "weights": weights,
            "preprocess": dataclasses.asdict(loaded.preprocess),
            "layer": case.layer.path,
            "pool": case.layer.pool,
            "device": self.resources.device,
            "dtype": "float32",
        }

    def _describe_directions(self, case: Case) -> dict[str, Any]:
        return {
            "activations": self._key("activations", case, case.dataset.fit)[0],
            "finder": _describe(self.registry.finders[case.finder.name], case.finder),
            "seed": self._finder_seed(case),
            "device": self.resources.device,
        }

    def _describe_responses(self, case: Case) -> dict[str, Any]:
        return {
            "directions": self._key("directions", case)[0],
            "activations": self._key("activations", case, case.dataset.evaluate)[0],
        }

    def _describe_embeddings(self, case: Case) -> dict[str, Any]:
        choice = _metric_of(case)
        entry = self.registry.metrics[choice.name]
        return {
            "code": source_sha256(embeddings_stage.__file__, images_stage.__file__),
            "dataset": self.evaluated(case).fingerprint,
            "metric": _describe(entry, choice),
            "fingerprint": self.metric(choice).fingerprint,
            "size": entry.spec.size(choice.params),
            "device": self.resources.device,
            "dtype": "float32",
        }

    def _describe_scores(self, case: Case) -> dict[str, Any]:
        entry = self.registry.evaluations[case.evaluation.name]
        return {
            "code": source_sha256(similarity_stage.__file__, exemplars_stage.__file__),
            "responses": self._key("responses", case)[0],
            "embeddings": self._key("embeddings", case)[0] if case.metric else None,
            "part": case.metric.part if case.metric else None,
            "evaluation": _describe(entry, case.evaluation),
            "seed": self._evaluation_seed(case),
        }

    def _finder_seed(self, case: Case) -> int:
        return derive_seed(case.seed, case.stem)

    def _evaluation_seed(self, case: Case) -> int:
        # without the metric: all metrics of one finder are asked about the same draws
        return derive_seed(case.seed, case.stem, case.evaluation.label)

    # ------------------------------------------------------------------------------ stages

    def activations(self, case: Case, split: str) -> FloatArray:
        """(n, N) float32 activations of a split at the case's layer; rows computed once."""
        key, description = self._key("activations", case, split)
        stage = f"activations {case.model.label}/{case.layer.label} on {split}"

        def compute() -> FloatArray:
            dataset = self.dataset(case.dataset, split, case.seed)
            indices = np.arange(len(dataset))
            store = self.cache.existing_rows("activations", key)
            missing = indices if store is None else store.missing(indices)
            if store is not None and not missing.size:
                self.progress(Progress(stage, 0, 0, "images"))
                return store.array()
            loaded, _ = self.model(case)
            with self._stage(stage, len(missing)):
                done = len(indices) - len(missing)
                for chosen, rows in activations_stage.iter_activations(
                    loaded,
                    case.layer.path,
                    case.layer.pool,
                    dataset.images,
                    missing,
                    device=self.resources.device,
                    batch_size=self.batch_size,
                ):
                    if store is None:
                        n, width = len(dataset), rows.shape[1]
                        store = self.cache.rows("activations", key, description, n, width)
                    store.put(chosen, rows)
                    done += len(chosen)
                    self.progress(Progress(stage, done, len(indices), "images"))
            if store is None:
                raise CaseError(f"{case.dataset.label} {split} has no images")
            return store.array()

        return self._once(f"value/{key}", compute)

    def directions(self, case: Case) -> Directions:
        """The finder's directions, fitted on the fit split."""
        key, description = self._key("directions", case)
        stage = f"directions {case.finder.label}"

        def compute() -> Directions:
            blob = self.cache.load("directions", key)
            if blob is not None:
                self.progress(Progress(stage, 0, 0, "fits"))
                arrays = dict(blob.arrays)
                vectors = arrays.pop("vectors")
                state = {name.removeprefix("state/"): array for name, array in arrays.items()}
                return Directions(vectors, state, tuple(blob.meta["notes"]))
            data = np.ascontiguousarray(self.activations(case, case.dataset.fit))
            spec = self.registry.finders[case.finder.name].spec
            with self._stage(stage):
                self.progress(Progress(stage, 0, 1, "fits"))
                context = FitContext(
                    self._finder_seed(case),
                    self.resources.device,
                    lambda done, total, note: self.progress(
                        Progress(stage, min(done, total - 1), total, note)
                    ),
                )
                found = spec.fit(case.finder.params, data, context)
                self.progress(Progress(stage, 1, 1, "fits"))
            _check_directions(found, data.shape[1], case.finder.label)
            arrays = {"vectors": found.vectors}
            arrays |= {f"state/{name}": array for name, array in found.state.items()}
            self.cache.store("directions", key, description, arrays, {"notes": list(found.notes)})
            return found

        return self._once(f"value/{key}", compute)

    def responses(self, case: Case) -> FloatArray:
        """(n, K) float32 responses of the evaluated images to the directions."""
        key, description = self._key("responses", case)

        def compute() -> FloatArray:
            blob = self.cache.load("responses", key)
            if blob is not None:
                return blob.arrays["responses"]
            found = self.directions(case)
            data = np.ascontiguousarray(self.activations(case, case.dataset.evaluate))
            spec = self.registry.finders[case.finder.name].spec
            with self._stage(f"responses {case.finder.label}"):
                values = np.asarray(spec.encode(case.finder.params, found, data), np.float32)
            expected = (len(data), len(found.vectors))
            if values.shape != expected:
                raise PluginError(
                    f"finder {case.finder.label}: encode gave {values.shape}, expected {expected}"
                )
            if not np.isfinite(values).all():
                raise CaseError(f"finder {case.finder.label} gave a response that is not finite")
            self.cache.store("responses", key, description, {"responses": values}, {})
            return values

        return self._kept(f"responses/{key}", compute)

    def order(self, case: Case) -> Order:
        """(n, K) image indices by descending response."""
        key = self._key("responses", case)[0]
        return self._kept(f"order/{key}", lambda: order_by_response(self.responses(case)))

    def similarity(self, case: Case) -> SimilarityLookup:
        """Similarities of the evaluated images under the case's metric; one metric is kept at a time."""
        choice = _metric_of(case)
        key = f"{self._key('embeddings', case)[0]}/{choice.part}"
        if self._similarity is None or self._similarity[0] != key:
            self._similarity = None  # free the old matrix before the new one is made
            self._similarity = (key, self._make_similarity(case, choice))
        return self._similarity[1]

    def _make_similarity(self, case: Case, choice: Choice) -> SimilarityLookup:
        spec = self.registry.metrics[choice.name].spec
        dataset = self.evaluated(case)
        metric = self.metric(choice)
        size = spec.size(choice.params)
        if spec.distance is None:
            if not isinstance(metric, PairwiseMetric):
                raise PluginError(f"metric {choice.name} has neither a distance nor pairwise")
            device = self.resources.device
            return PairwiseSimilarity(
                metric,
                lambda indices: to_unit_range(dataset.images(indices), device, size),
                choice.label,
            )
        if not isinstance(metric, EmbeddingMetric):
            raise PluginError(f"metric {choice.name} declares a distance and has no embed")
        stage = f"embeddings {choice.name}"
        table = self._table(case, choice, metric, spec, dataset, size, stage)
        n = len(dataset)
        asked = self.asked.get((case.dataset.label, choice.label), 0.0)
        columns = None
        if choice.part is not None:
            height, width = (size, size) if size is not None else dataset.image_size
            columns = metric.slices(height, width)[choice.part]  # type: ignore[attr-defined]

        def rows(indices: IntArray) -> FloatArray:
            with self._stage(stage):
                return table.rows(indices)

        return EmbeddingSimilarity(
            rows,
            n,
            spec.distance,
            columns=columns,
            dense=dense_pays(n, asked),
            device=self.resources.device,
            progress=lambda done, total: self.progress(
                Progress(f"similarities {choice.label}", done, total, "blocks")
            ),
        )

    def _table(
        self,
        case: Case,
        choice: Choice,
        metric: EmbeddingMetric,
        spec: MetricSpec,
        dataset: ImageDataset,
        size: int | None,
        stage: str,
    ) -> EmbeddingTable:
        key, description = self._key("embeddings", case)
        return self._once(
            f"value/{key}",
            lambda: EmbeddingTable(
                metric,
                spec,
                size,
                dataset,
                self.cache,
                key,
                description,
                self.resources.device,
                lambda done, total: self.progress(Progress(stage, done, total, "images")),
            ),
        )

    def is_cached(self, case: Case) -> bool:
        """Whether the case's scores are in the cache; loads what its key needs, computes nothing."""
        return self.cache.has("scores", self._key("scores", case)[0])

    def is_fitted(self, case: Case) -> bool:
        """Whether the case's directions are in the cache."""
        return self.cache.has("directions", self._key("directions", case)[0])

    def rows_present(self, case: Case, split: str) -> tuple[int, int, int]:
        """(images of the split, activations of them in the cache, N or 0 where it is not known)."""
        n = len(self.dataset(case.dataset, split, case.seed))
        store = self.cache.existing_rows("activations", self._key("activations", case, split)[0])
        return (n, 0, 0) if store is None else (n, store.count(), store.width)

    def embeddings_present(self, case: Case) -> tuple[int, int]:
        """(embeddings in the cache, d or 0 where it is not known) of the evaluated images."""
        store = self.cache.existing_rows("embeddings", self._key("embeddings", case)[0])
        return (0, 0) if store is None else (store.count(), store.width)

    def scores(self, case: Case) -> Scores:
        """The case's score per direction. Raises `Skip`, `CaseError` or what a plugin raises."""
        spec = self.registry.evaluations[case.evaluation.name].spec
        if case.metric is not None:
            metric = self.registry.metrics[case.metric.name].spec
            if metric.input == "labels" and self.evaluated(case).labels is None:
                raise Skip(f"{case.metric.label} needs labels and {case.dataset.label} has none")
        key, description = self._key("scores", case)
        blob = self.cache.load("scores", key)
        if blob is not None:
            reasons = tuple(blob.meta["reasons"])
            scores = UnitScores(blob.arrays["values"], reasons, blob.meta["trials"])
            return Scores(scores, True, tuple(blob.meta["notes"]))
        responses = self.responses(case)
        order = self.order(case)
        similarity: SimilarityLookup = (
            _NoSimilarity() if case.metric is None else self.similarity(case)
        )
        with self._stage(f"evaluation {case.evaluation.name}"):
            scores = spec.evaluate(
                case.evaluation.params,
                EvaluationInputs(
                    responses,
                    order,
                    similarity,
                    self.evaluated(case).labels,
                    self._evaluation_seed(case),
                ),
            )
        _check_scores(scores, responses.shape[1], case.evaluation.label)
        notes = self.directions(case).notes
        self.cache.store(
            "scores",
            key,
            description,
            {"values": scores.values},
            {"reasons": list(scores.reasons), "trials": scores.trials, "notes": list(notes)},
        )
        return Scores(scores, False, notes)

    # ------------------------------------------------------------------------------ bookkeeping

    def timed(self) -> dict[str, float]:
        """Seconds per stage since the last call."""
        seconds, self._seconds = self._seconds, {}
        return seconds

    @contextmanager
    def _stage(self, name: str, amount: int = 1) -> Iterator[None]:
        """Times a stage of `amount` units of work; the time of stages within it is not counted twice."""
        before = sum(self._seconds.values())
        start = time.perf_counter()
        try:
            yield
        finally:
            inner = sum(self._seconds.values()) - before
            spent = time.perf_counter() - start - inner
            self._seconds[name] = self._seconds.get(name, 0.0) + spent
            seconds, units = self.work.get(name, (0.0, 0))
            self.work[name] = (seconds + spent, units + amount)

    def _once(self, name: str, make: Callable[[], T]) -> T:
        """The value of `make`, called at most once per name; an error is kept and raised again."""
        if name not in self._memo:
            try:
                self._memo[name] = make()
            except Exception as error:
                self._memo[name] = _Failed(error)
        value = self._memo[name]
        if isinstance(value, _Failed):
            raise value.error
        return value  # type: ignore[no-any-return]

    def _kept(self, name: str, make: Callable[[], T]) -> T:
        """Like `_once` for large arrays: the least recently used are let go."""
        if name in self._arrays:
            self._arrays.move_to_end(name)
            return self._arrays[name]  # type: ignore[return-value]
        value = self._once_failing(name, make)
        self._arrays[name] = value  # type: ignore[assignment]
        while len(self._arrays) > 1 and _bytes(self._arrays) > MEMORY_BYTES:
            self._arrays.popitem(last=False)
        return value

    def _once_failing(self, name: str, make: Callable[[], T]) -> T:
        failed = self._memo.get(name)
        if isinstance(failed, _Failed):
            raise failed.error
        try:
            return make()
        except Exception as error:
            self._memo[name] = _Failed(error)
            raise


@dataclass(frozen=True)
class _Failed:
    """An error in place of a value."""

    error: Exception


class _NoSimilarity:
    """Stands in for evaluations that use no metric; being asked is the plugin's mistake."""

    def within(self, groups: IntArray) -> DoubleArray:
        raise PluginError("this evaluation declares needs_metric=False and asks for similarities")

    def cross(self, left: IntArray, right: IntArray) -> DoubleArray:
        return self.within(left)


def _describe(entry: Entry[Any], choice: Choice) -> dict[str, Any]:
    """What identifies a plugin's computation: name, version, parameters, source."""
    return {
        "name": choice.name,
        "version": entry.spec.version,
        "params": to_json(choice.params),
        "source": entry.source_sha256,
    }


def _metric_of(case: Case) -> Choice:
    if case.metric is None:
        raise PluginError(f"{case.id} has no metric")
    return case.metric


def _bytes(arrays: Mapping[str, Any]) -> int:
    return sum(array.nbytes for array in arrays.values())


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
