"""Which images an evaluation asks its metric about, without a metric: a stand-in that remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from iibench.specs import DoubleArray, IntArray


class AskedImages:
    """A `specs.SimilarityLookup` of n images that calls all of them equally alike."""

    def __init__(self, n: int) -> None:
        self._asked = np.zeros(n, np.bool_)

    def indices(self) -> IntArray:
        """Sorted indices of all images asked about so far."""
        found: IntArray = np.flatnonzero(self._asked)
        return found

    def within(self, groups: IntArray) -> DoubleArray:
        """groups (G, M) -> (G, M, M) of zeros."""
        self._asked[groups] = True
        return np.zeros((*groups.shape, groups.shape[1]))

    def cross(self, left: IntArray, right: IntArray) -> DoubleArray:
        """left (G, a), right (G, b) -> (G, a, b) of zeros."""
        self._asked[left] = True
        self._asked[right] = True
        return np.zeros((*left.shape, right.shape[1]))
