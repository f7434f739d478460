"""Made-up responses and similarities that evaluations of directions are tried on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from iibench.compute.ranking import order_by_response
from iibench.compute.similarity.lookups import EmbeddingSimilarity
from iibench.contract.errors import PluginError
from iibench.contract.evaluations import EvaluationInputs

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray, FloatArray, IntArray
    from iibench.contract.evaluations import SimilarityLookup

#: Images; directions to which the images of one class respond; such with random responses; a dead one.
IMAGES, GOOD, RANDOM = 1000, 4, 6
DEAD = GOOD + RANDOM
K = DEAD + 1


class NoSimilarity:
    """Stands in where the spec says that no metric is needed."""

    def within(self, groups: IntArray) -> DoubleArray:
        """Must not be asked."""
        raise PluginError("the spec says needs_metric=False, and similarities are asked for")

    def cross(self, left: IntArray, right: IntArray) -> DoubleArray:
        """Must not be asked."""
        return self.within(left)


def classes(n: int) -> tuple[FloatArray, DoubleArray, IntArray]:
    """(embeddings (n, 6) in four classes of alike ones, minus the distance to each middle (n, 4),
    labels (n,))."""
    rng = np.random.default_rng(23)
    labels = np.arange(n, dtype=np.int64) % GOOD
    middles = rng.normal(0, 3, (GOOD, 6))
    table = (middles[labels] + rng.normal(0, 1, (n, 6))).astype(np.float32)
    near: DoubleArray = -np.linalg.norm(table[:, None] - middles[None], axis=2)
    return table, near, labels


def lookup(table: FloatArray, needs_metric: bool) -> SimilarityLookup:
    """Similarities of embeddings, or what raises where the spec says that it needs none."""
    if not needs_metric:
        return NoSimilarity()
    return EmbeddingSimilarity(lambda indices: table, len(table), "euclidean")


def made_inputs(needs_metric: bool = True, n: int = IMAGES, seed: int = 5) -> EvaluationInputs:
    """Images in four classes of alike ones, and eleven directions.

    Directions 0 to 3 respond to how near an image is to the middle of a class, 4 to 9 at random, and 10
    to every image alike.
    """
    table, near, labels = classes(n)
    random = np.random.default_rng(24).normal(0, 1, (n, RANDOM))
    responses = np.concatenate([near, random, np.full((n, 1), 0.5)], axis=1).astype(np.float32)
    order = order_by_response(responses)
    return EvaluationInputs(responses, order, lookup(table, needs_metric), labels, seed)


def with_columns(inputs: EvaluationInputs, columns: Sequence[int]) -> EvaluationInputs:
    """The inputs with some of the directions, in that order."""
    chosen = list(columns)
    responses = np.ascontiguousarray(inputs.responses[:, chosen])
    return dataclasses.replace(inputs, responses=responses, order=inputs.order[:, chosen].copy())
