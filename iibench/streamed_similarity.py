"""Similarities whose embeddings do not fit in memory: the images of a few groups at a time.

Groups are put in an order in which neighbours share images, and images stay until their last use while
there is room (streaming.py). So an image is embedded once where memory allows, and again where it does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.similarity import EmbeddingSimilarity
from iibench.streaming import plan_blocks

if TYPE_CHECKING:
    from iibench.embeddings import EmbeddingTable
    from iibench.specs import Distance, DoubleArray, FloatArray, IntArray, SimilarityLookup


@dataclass(frozen=True)
class StreamedSimilarity:
    """A `specs.SimilarityLookup` that holds at most `capacity` embeddings, and those of one group.

    `embed(indices)` -> (len, d) float32. `columns`: the part of the embedding that is compared.
    """

    embed: Callable[[IntArray], FloatArray]
    width: int
    distance: Distance
    capacity: int
    columns: slice | None = None
    device: str = "cpu"

    def within(self, groups: IntArray) -> DoubleArray:
        """groups (G, M) -> (G, M, M), as `EmbeddingSimilarity` gives it."""
        m = groups.shape[1]
        return self._in_blocks(groups, (m, m), lambda lookup, places: lookup.within(places))

    def cross(self, left: IntArray, right: IntArray) -> DoubleArray:
        """left (G, a), right (G, b) -> (G, a, b), as `EmbeddingSimilarity` gives it."""
        a, b = left.shape[1], right.shape[1]
        return self._in_blocks(
            np.concatenate([left, right], axis=1),
            (a, b),
            lambda lookup, places: lookup.cross(places[:, :a], places[:, a:]),
        )

    def _in_blocks(
        self,
        images: IntArray,
        shape: tuple[int, int],
        compare: Callable[[EmbeddingSimilarity, IntArray], DoubleArray],
    ) -> DoubleArray:
        """`compare` on blocks of groups; it is given the places of their images among those held."""
        out = np.empty((len(images), *shape))
        groups = [np.unique(row) for row in images]
        blocks = plan_blocks(groups, self.capacity)
        places = 1 + max((int(block.places.max()) for block in blocks), default=0)
        held = np.zeros((places, self.width), np.float32)
        for block in blocks:
            if len(block.load):
                held[block.slots] = self.embed(block.load)
            lookup = EmbeddingSimilarity(
                lambda indices: held,
                places,
                self.distance,
                columns=self.columns,
                device=self.device,
            )
            chosen = images[block.stimuli]
            where = block.places[np.searchsorted(block.images, chosen)]
            out[block.stimuli] = compare(lookup, where)
        return out


@dataclass(frozen=True)
class BudgetedSimilarity:
    """Keeps the embeddings of the images of a question where they take `memory` bytes or less, and else
    streams them: `kept` answers the former."""

    table: EmbeddingTable
    kept: SimilarityLookup
    distance: Distance
    memory: int
    columns: slice | None = None
    device: str = "cpu"

    def within(self, groups: IntArray) -> DoubleArray:
        """groups (G, M) -> (G, M, M)."""
        return self._lookup(np.unique(groups)).within(groups)

    def cross(self, left: IntArray, right: IntArray) -> DoubleArray:
        """left (G, a), right (G, b) -> (G, a, b)."""
        return self._lookup(np.union1d(left, right)).cross(left, right)

    def _lookup(self, images: IntArray) -> SimilarityLookup:
        width = self.table.width(images)
        if 4 * width * len(images) <= self.memory:
            return self.kept
        capacity = max(1, self.memory // (4 * width))
        return StreamedSimilarity(
            *(self.table.embed, width, self.distance, capacity, self.columns, self.device)
        )
