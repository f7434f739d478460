"""Activations: the images of a split, where a layer is tapped; each row computed once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.cache.budget import in_gib, share
from iibench.cache.mapped import RELEASE_BYTES
from iibench.compute.activations import images_per_pass, iter_tapped, network_input
from iibench.compute.images import to_unit_range
from iibench.compute.tap import tapped
from iibench.contract.errors import CaseError
from iibench.stages.context import Progress, StageContext
from iibench.stages.kept import Kept
from iibench.stages.reading import reading_cost
from iibench.stages.timing import Timed, timed_rows

if TYPE_CHECKING:
    from iibench.cache.rows import RowStore
    from iibench.compute.tap import Tap as TappedLayer
    from iibench.contract.arrays import FloatArray, ImageArray, IntArray
    from iibench.contract.specs import ImageDataset
    from iibench.stages.account import Account, Source
    from iibench.suite.cases import Tap


@dataclass(frozen=True)
class ActivationStage:
    """Computes and keeps activations."""

    context: StageContext

    def values(self, tap: Tap, split: str) -> FloatArray:
        """(n, N) float32 activations of a split where they are tapped."""

        def compute() -> FloatArray:
            return self.fill(tap, split, np.arange(len(self._images(tap, split)))).array()

        key = self.context.keys.activations(tap, split)
        return self.context.inputs.memo.once(f"value/{key.hash}", compute)

    def fill(self, tap: Tap, split: str, indices: IntArray) -> RowStore:
        """Computes and keeps those rows of the images `indices` that are not there yet.

        Raises `CaseError` where there is no image, and as `iter_activations` does.
        """
        context, key = self.context, self.context.keys.activations(tap, split)
        stage, rate = _stage(tap, split), self._rate(tap, split)
        dataset = self._images(tap, split)
        if not len(indices):
            raise CaseError(f"{tap.dataset.label} {split} has no images")
        store = context.cache.existing_rows("activations", key.hash)
        begun: list[tuple[IntArray, FloatArray]] = []
        if store is None:  # the first batch tells how many neurons there are
            with context.clock.stage(stage, 0, rate):
                size = images_per_pass(context.settings.batch_size, context.device)
                begun = list(self._computed(tap, dataset, indices[:size]))
            n, width = len(dataset), begun[0][1].shape[1]
            store = context.cache.rows("activations", key.hash, key.description, n, width)
        if not begun and not store.missing(indices).size:
            context.tell(Progress(stage, 0, 0, "images"))
            return store
        with store.filling():
            for chosen, rows in begun:
                store.put(chosen, rows)
            missing = store.missing(indices)
            done = len(indices) - len(missing)
            with context.clock.stage(stage, len(missing), rate):
                for chosen, rows in self._computed(tap, dataset, missing):
                    store.put(chosen, rows)
                    done += len(chosen)
                    context.tell(Progress(stage, done, len(indices), "images"))
        return store

    def check_held(self, shape: tuple[int, ...], who: str) -> None:
        """Raises `CaseError` where `who` cannot hold activations (n, N) in memory: they may take half."""
        size, memory = 4 * shape[0] * shape[1], self.context.settings.memory
        if size > share(memory, "arrays"):
            raise CaseError(
                f"{who} holds activations in memory: {shape[0]:,} images x {shape[1]:,} neurons are "
                f"{in_gib(size)}, and they may take half of --memory {in_gib(memory)}; give it "
                "more, or take fewer images (--limit)"
            )

    def kept(self, tap: Tap, split: str) -> Kept:
        """The rows in the cache."""
        return Kept("activations", self.context.keys.activations(tap, split).hash, "rows")

    def existing(self, tap: Tap, split: str) -> RowStore | None:
        """The rows as far as they are in the cache; None where there is none."""
        kept = self.kept(tap, split)
        return self.context.cache.existing_rows(kept.kind, kept.key)

    # ------------------------------------------------------------------------------ cost

    def timed(self, tap: Tap, account: Account) -> Timed:
        """One image up to the layer, in batches as they are made; raises what the network raises."""

        def run() -> Timed:
            context = self.context
            loaded, _ = context.inputs.model(tap)
            layer = self._tapped(tap)

            def rows(images: ImageArray) -> FloatArray:
                x = network_input(to_unit_range(images, context.device), loaded.preprocess)
                passed = layer.pooled_without_gradients(x, context.settings.precision)
                values: FloatArray = passed.cpu().numpy()
                return values

            size = self._images(tap, tap.dataset.evaluate).image_size
            batch = images_per_pass(context.settings.batch_size, context.device)
            return timed_rows(rows, size, batch, account.clock)

        key = self.context.keys.activations(tap, tap.dataset.evaluate).hash
        return account.memo.once(f"passes {key}", run)

    def rows_like(self, tap: Tap, account: Account) -> FloatArray:
        """(b, N) activations of a few images, made up where there are none in the cache."""
        for split in dict.fromkeys((tap.dataset.evaluate, tap.dataset.fit)):
            store = self.existing(tap, split)
            if store is not None and store.count() == store.n:
                return np.asarray(store.array()[:64])
        return self.timed(tap, account).rows

    def cost(self, tap: Tap, split: str, account: Account) -> None:
        """Adds what the split's activations take."""
        if not account.new(self.context.keys.activations(tap, split).hash):
            return
        dataset, store = self._images(tap, split), self.existing(tap, split)
        cached = 0 if store is None else store.count()
        missing = len(dataset) - cached
        rate = account.rates.get(self._rate(tap, split))
        seconds = 0.0 if rate is None else missing * rate
        if missing and rate is None:
            each = reading_cost(dataset, f"{tap.dataset.label} {split}", account)
            seconds = missing * (each + self.timed(tap, account).seconds)
        width = store.width if store is not None else self.timed(tap, account).width
        # while they are written, or their checksums looked at
        memory = min(4 * len(dataset) * width, RELEASE_BYTES)
        account.need(memory)
        source: Source = "timed" if rate is None else "measured"
        account.add(_stage(tap, split), "images", missing, cached, seconds, source, memory)

    def hold(self, tap: Tap, split: str, width: int, account: Account) -> None:
        """Counts activations that are read as a whole: their pages are not let go of afterwards."""
        if account.new(f"held {self.context.keys.activations(tap, split).hash}"):
            size = 4 * len(self._images(tap, split)) * width
            account.keep(min(size, share(self.context.settings.memory, "arrays")))

    def _images(self, tap: Tap, split: str) -> ImageDataset:
        return self.context.inputs.dataset(tap.dataset, split, tap.seed)

    def _rate(self, tap: Tap, split: str) -> str:
        height, width = self._images(tap, split).image_size
        return f"activations {tap.model.label}/{tap.layer.label} {height}x{width}"

    def _computed(
        self, tap: Tap, dataset: ImageDataset, indices: IntArray
    ) -> Iterator[tuple[IntArray, FloatArray]]:
        context = self.context
        loaded, _ = context.inputs.model(tap)
        return iter_tapped(
            *(loaded, self._tapped(tap), dataset.images, indices),
            device=context.device,
            batch_size=context.settings.batch_size,
            precision=context.settings.precision,
        )

    def _tapped(self, tap: Tap) -> TappedLayer:
        """The network up to the layer, made once: it knows then how the layer's output lies."""
        context, layer = self.context, tap.layer

        def make() -> TappedLayer:
            loaded, _ = context.inputs.model(tap)
            return tapped(
                *(loaded, layer.path, layer.pool),
                layout=layer.layout,
                call=layer.call,
                warn=context.cache.warn,
            )

        return context.inputs.memo.once(f"tap/{tap.model.label}/{layer.label}", make)


def _stage(tap: Tap, split: str) -> str:
    return f"activations {tap.model.label}/{tap.layer.label} on {split}"
