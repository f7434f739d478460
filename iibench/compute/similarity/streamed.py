"""Similarities whose embeddings do not fit in memory: the images of a few groups at a time.

Groups are put in an order in which neighbours share images, and images stay until their last use while
there is room (blocks.py). So an image is embedded once where memory allows, and again where it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.compute.similarity.blocks import plan_blocks

if TYPE_CHECKING:
    from iibench.compute.similarity.embeddings import EmbeddingTable
    from iibench.contract.arrays import DoubleArray, FloatArray, IntArray
    from iibench.contract.evaluations import SimilarityLookup

    #: Images -> (positions among them, their embeddings), a batch at a time.
    Batches = Callable[[IntArray], Iterator[tuple[IntArray, FloatArray]]]
    #: Rows (n, d) that are all there -> the lookup that answers from them.
    Compare = Callable[[FloatArray], SimilarityLookup]


@dataclass(frozen=True)
class StreamedSimilarity:
    """A `SimilarityLookup` that holds at most `capacity` embeddings, and those of one group.

    `batches(indices)` embeds images; `width`: d. `compare(rows)`: what answers from rows held in memory.
    """

    batches: Batches
    width: int
    compare: Compare
    capacity: int

    def within(self, groups: IntArray) -> DoubleArray:
        """groups (G, M) -> (G, M, M), as the lookup of rows in memory gives it."""
        m = groups.shape[1]
        return self._in_blocks(groups, (m, m), lambda lookup, places: lookup.within(places))

    def cross(self, left: IntArray, right: IntArray) -> DoubleArray:
        """left (G, a), right (G, b) -> (G, a, b), as the lookup of rows in memory gives it."""
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
        ask: Callable[[SimilarityLookup, IntArray], DoubleArray],
    ) -> DoubleArray:
        """`ask` on blocks of groups; it is given the places of their images among those held."""
        out = np.empty((len(images), *shape))
        groups = [np.unique(row) for row in images]
        blocks = plan_blocks(groups, self.capacity)
        places = 1 + max((int(block.places.max()) for block in blocks), default=0)
        held = np.zeros((places, self.width), np.float32)
        for block in blocks:
            for positions, rows in self.batches(block.load):
                held[block.slots[positions]] = rows
            chosen = images[block.stimuli]
            where = block.places[np.searchsorted(block.images, chosen)]
            out[block.stimuli] = ask(self.compare(held), where)
        return out


@dataclass(frozen=True)
class BudgetedSimilarity:
    """Keeps the embeddings of the images of a question where they take `memory` bytes or less, and else
    streams them: `kept` answers the former, `compare` from rows held in memory."""

    table: EmbeddingTable
    kept: SimilarityLookup
    compare: Compare
    memory: int

    def within(self, groups: IntArray) -> DoubleArray:
        """groups (G, M) -> (G, M, M)."""
        return self._ask(np.unique(groups), lambda lookup: lookup.within(groups))

    def cross(self, left: IntArray, right: IntArray) -> DoubleArray:
        """left (G, a), right (G, b) -> (G, a, b)."""
        return self._ask(np.union1d(left, right), lambda lookup: lookup.cross(left, right))

    def _ask(self, images: IntArray, ask: Callable[[SimilarityLookup], DoubleArray]) -> DoubleArray:
        width = self.table.width(images)
        if 4 * width * len(images) <= self.memory:
            answer = ask(self.kept)
        else:
            capacity = max(1, self.memory // (4 * width))
            answer = ask(StreamedSimilarity(self.table.batches, width, self.compare, capacity))
        if 4 * width * len(self.table) > self.memory:
            self.table.release()  # else the questions together might take more than one of them
        return answer
