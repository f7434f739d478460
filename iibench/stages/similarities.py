"""Similarities of the evaluated images under a metric: embeddings, and lookups that answer from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.cache.budget import share
from iibench.cache.mapped import RELEASE_BYTES
from iibench.compute.images import to_unit_range
from iibench.compute.precision import mixed
from iibench.compute.similarity.embeddings import EmbeddingTable, images_per_batch
from iibench.compute.similarity.lookups import EmbeddingSimilarity, PairwiseSimilarity, dense_pays
from iibench.compute.similarity.own import ComparedSimilarity, comparing
from iibench.compute.similarity.parts import PartSimilarities
from iibench.compute.similarity.streamed import BudgetedSimilarity
from iibench.contract.base import Work
from iibench.contract.errors import PluginError
from iibench.contract.specs import EmbeddingMetric, PairwiseMetric
from iibench.stages.context import Progress, StageContext
from iibench.stages.demand import Demand, metric_without_part
from iibench.stages.kept import Kept
from iibench.stages.keys import metric_of
from iibench.stages.reading import reading_cost
from iibench.stages.timing import Timed, mean_seconds, pixels, timed_rows

if TYPE_CHECKING:
    from iibench.contract.arrays import FloatArray, ImageArray, IntArray
    from iibench.contract.evaluations import SimilarityLookup
    from iibench.contract.specs import MetricSpec
    from iibench.stages.account import Account
    from iibench.suite.cases import AnyCase, Case, Choice


@dataclass
class _Latest:
    """The lookup of the metric that was asked for last: similarities of one metric are held at a time."""

    key: str = ""
    value: Any = None

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        if self.key != key:
            self.key, self.value = "", None  # free the old matrices before new ones are made
            self.value = make()
            self.key = key
        return self.value


@dataclass(frozen=True)
class SimilarityStage:
    """Computes embeddings and keeps them, and answers what evaluations ask.

    `demand`: what all cases of the run ask for.
    """

    context: StageContext
    demand: Demand
    _lookup: _Latest = field(default_factory=_Latest)
    _parts: _Latest = field(default_factory=_Latest)

    def of(self, case: Case) -> SimilarityLookup:
        """Similarities of the evaluated images under the case's metric."""
        choice = metric_of(case)
        key = f"{self.context.keys.embeddings(case).hash}/{choice.part}"
        found: SimilarityLookup = self._lookup.once(key, lambda: self._made(case, choice))
        return found

    def embeds_images(self, case: AnyCase) -> bool:
        """Whether the case's similarities come from embeddings of images."""
        if case.metric is None:
            return False
        spec = self._spec(case.metric)
        return spec.distance is not None and spec.input == "images"

    def fill(self, case: Case, indices: IntArray) -> None:
        """Computes and keeps the embeddings of these evaluated images that are not there yet."""
        if self.embeds_images(case) and len(indices):
            choice = metric_of(case)
            with self.context.clock.stage(f"embeddings {choice.name}"):
                self._table(case, choice).rows(np.asarray(indices, np.int64))

    def kept(self, case: Case) -> Kept:
        """The embeddings in the cache."""
        return Kept("embeddings", self.context.keys.embeddings(case).hash, "rows")

    def _made(self, case: Case, choice: Choice) -> SimilarityLookup:
        context, spec = self.context, self._spec(choice)
        dataset, metric = context.inputs.evaluated(case), context.inputs.metric(choice)
        device, size = context.device, spec.size(choice.params)
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
            kept = self._of_parts(case, choice, table).part(choice.part or "")

            def compare(rows: FloatArray) -> SimilarityLookup:
                return EmbeddingSimilarity(
                    lambda indices: rows, len(rows), distance, columns=columns, device=device
                )

        if spec.input != "images":
            return kept
        return BudgetedSimilarity(
            table, kept, compare, share(context.settings.memory, "embeddings")
        )

    def _of_parts(self, case: Case, choice: Choice, table: EmbeddingTable) -> PartSimilarities:
        """Lookups of all parts of the metric that the run's cases ask for."""

        def make() -> PartSimilarities:
            others = self.demand.parts.get(metric_without_part(case), {})
            wanted = {choice.part or "": choice, **others}
            lookups = {name: self._of_part(case, part, table) for name, part in wanted.items()}
            return PartSimilarities(lookups, share(self.context.settings.memory, "answers"))

        key = self.context.keys.embeddings(case).hash
        found: PartSimilarities = self._parts.once(key, make)
        return found

    def _of_part(self, case: Case, choice: Choice, table: EmbeddingTable) -> EmbeddingSimilarity:
        def tell(done: int, total: int) -> None:
            self.context.tell(Progress(f"similarities {choice.label}", done, total, "blocks"))

        return EmbeddingSimilarity(
            self._timed_rows(table, choice),
            len(self.context.inputs.evaluated(case)),
            self._spec(choice).distance or "euclidean",
            columns=self._columns(case, choice),
            dense=self._is_dense(case, choice),
            device=self.context.device,
            progress=tell,
        )

    def _is_dense(self, case: Case, choice: Choice) -> bool:
        """Whether the similarities of all pairs are made at once: where so many are asked for, and there is
        room for them."""
        n = len(self.context.inputs.evaluated(case))
        asked = self.demand.images.get((case.dataset.label, choice.label), 0.0)
        return dense_pays(n, asked) and 4 * n * n <= share(self.context.settings.memory, "matrix")

    def _columns(self, case: Case, choice: Choice) -> slice | None:
        """The columns of the embedding that a part of the metric is; None for the whole."""
        if choice.part is None:
            return None
        size = self._spec(choice).size(choice.params)
        shape = self.context.inputs.evaluated(case).image_size if size is None else (size, size)
        metric: Any = self.context.inputs.metric(choice)
        columns: slice = metric.slices(*shape)[choice.part]
        return columns

    def _timed_rows(
        self, table: EmbeddingTable, choice: Choice
    ) -> Callable[[IntArray], FloatArray]:
        def rows(indices: IntArray) -> FloatArray:
            with self.context.clock.stage(f"embeddings {choice.name}"):
                return table.rows(indices)

        return rows

    def _table(self, case: Case, choice: Choice) -> EmbeddingTable:
        """The embeddings of the evaluated images; the parts of a metric share one table."""
        context, key = self.context, self.context.keys.embeddings(case)
        spec, metric = self._spec(choice), context.inputs.metric(choice)
        if not isinstance(metric, EmbeddingMetric):
            raise PluginError(f"metric {choice.name} declares a distance and has no embed")
        stage = f"embeddings {choice.name}"
        return context.inputs.memo.once(
            f"value/{key.hash}",
            lambda: EmbeddingTable(
                metric,
                spec,
                spec.size(choice.params),
                context.inputs.evaluated(case),
                context.cache,
                key.hash,
                key.description,
                context.device,
                lambda done, total: context.tell(Progress(stage, done, total, "images")),
                context.settings.precision,
            ),
        )

    def _spec(self, choice: Choice) -> MetricSpec:
        spec: MetricSpec = self.context.inputs.registry.metrics[choice.name].spec
        return spec

    # ------------------------------------------------------------------------------ cost

    def cost(self, case: Case, images: float, pairs: float, account: Account) -> float:
        """Seconds of a case's questions: similarities of `pairs` among `images`, each counted as often as
        it is asked about. Adds the embeddings, and the matrix of all pairs where there is one."""
        choice = metric_of(case)
        spec = self._spec(choice)
        self.context.inputs.metric(choice)  # raises where it cannot be had
        if spec.distance == "equal":
            return account.speed(Work(values=4 * pairs))
        if self.embeds_images(case):
            self._ask(case, images, account)
        if spec.distance in {None, "own"}:
            return pairs * self.pair_seconds(case, account)
        n = len(self.context.inputs.evaluated(case))
        parts = len(spec.parts(choice.params)) if choice.part else 1
        width = self.timed(case, account).width / max(1, parts) if self.embeds_images(case) else 1.0
        if self._is_dense(case, choice):
            self._matrix_cost(case, n, width, account)
            return account.speed(Work(values=20 * pairs))
        question = f"{metric_without_part(case)}/{case.stem}/{case.evaluation.label}"
        if not account.new(f"question {question}"):
            return 0.0  # answered with that about another part
        gather, products = Work(values=8 * images * width), Work(flops=2 * pairs * width)
        return account.speed(gather) + account.device_speed(products)

    def _matrix_cost(self, case: Case, n: int, width: float, account: Account) -> None:
        choice = metric_of(case)
        if not account.new(f"matrix {self.context.keys.embeddings(case).hash}/{choice.part}"):
            return
        double, flops = self._spec(choice).distance == "euclidean", float(n) * n * width
        products = Work(flops64=flops) if double else Work(flops=flops)
        passes = Work(values=8.0 * n * n + 4.0 * n * width)
        seconds = account.device_speed(products) + account.speed(passes)
        size = 4 * n * n
        account.need(size + round((12 if double else 8) * n * width))
        stage = f"evaluation similarities of all pairs ({choice.label})"
        account.add(stage, "matrices", 1, 0, seconds, "counted", size)

    def _ask(self, case: Case, images: float, account: Account) -> None:
        """Notes what is asked of the embeddings, which all cases of a metric share."""
        key = self.context.keys.embeddings(case).hash
        asked = account.memo.once(f"asked {key}", dict[tuple[str, str], float])
        asked[case.stem, case.evaluation.label] = images
        if self._is_dense(case, metric_of(case)):
            asked["", ""] = math.inf
        account.at_end(key, case.id, lambda: self._embeddings_cost(case, asked, account))

    def _embeddings_cost(
        self, case: Case, asked: dict[tuple[str, str], float], account: Account
    ) -> None:
        dataset = self.context.inputs.evaluated(case)
        n, memory = len(dataset), self.context.settings.memory
        kept = self.kept(case)
        store = self.context.cache.existing_rows(kept.kind, kept.key)
        present = 0 if store is None else store.count()
        # so many different images are met in that many draws of them
        met = -math.expm1(-sum(asked.values()) / max(1, n))
        to_do = max(0, round(n * met) - present)
        timed = self.timed(case, account)
        size = round(4 * n * met * timed.width)
        held = 0
        if 4 * n * timed.width > share(memory, "embeddings"):
            size, held = 0, min(size, max(share(memory, "embeddings"), RELEASE_BYTES))
        account.keep(size)
        account.need(held)
        name = f"{case.dataset.label} {case.dataset.evaluate}"
        each = reading_cost(dataset, name, account) if to_do else 0.0
        stage, seconds = f"embeddings {metric_of(case).name}", to_do * (timed.seconds + each)
        account.add(stage, "images", to_do, present, seconds, "timed", size + held)

    def timed(self, case: AnyCase, account: Account) -> Timed:
        """The case's metric on one image, all parts together, in batches as they are made."""
        import torch

        choice, context = metric_of(case), self.context
        size = self._spec(choice).size(choice.params)
        metric: Any = context.inputs.metric(choice)

        def rows(images: ImageArray) -> FloatArray:
            with torch.inference_mode(), mixed(context.device, context.settings.precision):
                found = metric.embed(to_unit_range(images, context.device, size))
            values: FloatArray = found.float().cpu().numpy()
            return values

        shape = context.inputs.evaluated(case).image_size
        height, width = shape if size is None else (size, size)
        batch = images_per_batch(height, width)
        name = f"embedding {choice.name}/{choice.params} {shape}"
        return account.memo.once(name, lambda: timed_rows(rows, shape, batch, account.clock))

    def pair_seconds(self, case: AnyCase, account: Account) -> float:
        """Of the similarity of two images under the case's metric, which compares in its own way."""
        choice, context = metric_of(case), self.context
        shape = context.inputs.evaluated(case).image_size

        def run() -> float:
            import torch

            metric: Any = context.inputs.metric(choice)
            left, right = 2, 8  # about a trial: two queries, its references
            size = self._spec(choice).size(choice.params)
            with torch.inference_mode():
                x = to_unit_range(pixels(left + right, shape), context.device, size)
                own = getattr(metric, "compare", None)
                if own is not None:
                    with mixed(context.device, context.settings.precision):
                        x = metric.embed(x).float()  # what is compared are float32 rows
                compare = metric.pairwise if own is None else own
                once = mean_seconds(lambda: compare(x[:left], x[left:]).cpu(), account.clock)
            return once / (left * right)

        return account.memo.once(f"pairs {choice.name}/{choice.params} {shape}", run)
