"""The most and least activating images of every direction, from blocks of responses in any order.

What is kept takes 2 K m numbers however many images go by. Two results of different images merge into
that of all of them, so that blocks may be looked at anywhere; merging is associative and commutative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.compute.ranking import response_keys

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench.contract.arrays import FloatArray, IntArray

    Keys = npt.NDArray[np.uint64]

#: Stands for an image that is not there; it sorts last.
NONE = np.uint64(2**64 - 1)
LOWER = np.uint64(2**32 - 1)
#: Responses looked at together: among so few images of 2,048 directions, few meet a new extreme.
VALUES = 2**21


@dataclass(frozen=True)
class Extremes:
    """Sort keys (K, m) of the m largest and m smallest responses seen so far, most extreme first.

    Ties: the lower image index comes first among the largest, the higher one among the smallest, as at
    both ends of the order by descending response. Image indices are below 2**32.

    >>> responses = np.array([[0.1], [0.9], [0.5], [0.7]], np.float32)
    >>> found = Extremes.empty(k=1, m=2).update(responses[2:], first=2).update(responses[:2], first=0)
    >>> found.top.tolist(), found.bottom.tolist()
    ([[1, 3]], [[0, 2]])
    """

    largest: Keys
    smallest: Keys

    @staticmethod
    def empty(k: int, m: int) -> Extremes:
        """Of no image."""
        return Extremes(np.full((k, m), NONE), np.full((k, m), NONE))

    @property
    def top(self) -> IntArray:
        """(K, m) images with the largest responses, strongest first; -1 where there were too few."""
        return _images(self.largest)

    @property
    def bottom(self) -> IntArray:
        """(K, m) images with the smallest responses, weakest first; -1 where there were too few."""
        images = _images(self.smallest)
        return np.where(images < 0, images, int(LOWER) - images)

    def update(self, block: FloatArray, first: int) -> Extremes:
        """With the responses (b, K) of the images `first`, `first` + 1, ... besides."""
        largest, smallest = self.largest, self.smallest
        step = max(1, VALUES // block.shape[1])
        for start in range(0, len(block), step):
            rows = block[start : start + step]
            largest = _updated(largest, rows, rows.max(axis=0), first + start, 1)
            smallest = _updated(smallest, rows, rows.min(axis=0), first + start, -1)
        return Extremes(largest, smallest)

    def merge(self, other: Extremes) -> Extremes:
        """Of the images of both, which have none in common."""
        m = self.largest.shape[1]
        return Extremes(
            _least(np.concatenate([self.largest, other.largest], axis=1), m),
            _least(np.concatenate([self.smallest, other.smallest], axis=1), m),
        )


def _updated(kept: Keys, block: FloatArray, ends: FloatArray, first: int, sign: int) -> Keys:
    """`kept` (K, m) with a block (b, K) besides; `ends` (K,): its largest (`sign` 1) or smallest values.

    Most directions meet nothing new in a block: only the others are looked at closely.
    """
    b, m = len(block), kept.shape[1]
    # the end of a block may win a tie only from its best place
    best = _keys(sign * ends, first if sign > 0 else first + b - 1, sign)
    units = np.flatnonzero(best < kept[:, -1])
    if not units.size:
        return kept
    values = sign * block[:, units]
    result = kept.copy()
    if (kept[units, -1] == NONE).any():
        images = np.arange(first, first + b)
        result[units] = _least(
            np.concatenate([kept[units], _keys(values, images[:, None], sign).T], axis=1), m
        )
        return result
    # equal to the last one kept counts too: the image, in the key, decides
    rows, columns = np.nonzero(values >= _values(kept[units, -1]))
    keys = np.concatenate([kept[units].ravel(), _keys(values[rows, columns], first + rows, sign)])
    owners = np.concatenate([np.repeat(np.arange(len(units)), m), columns])
    # by direction, then by key: the first m of each run are what is kept of the direction
    order = np.lexsort((keys, owners))
    begins = np.searchsorted(owners[order], np.arange(len(units)))
    result[units] = keys[order[begins[:, None] + np.arange(m)]]
    return result


def _keys(values: FloatArray, images: IntArray | int, sign: int) -> Keys:
    """Sort keys of responses; their lower half is the image, or what is left of it to 2**32 - 1."""
    lower = np.asarray(images, np.uint64)
    return response_keys(values) | (lower if sign > 0 else lower ^ LOWER)


def _values(keys: Keys) -> FloatArray:
    """The responses that keys were made of."""
    bits = (keys >> np.uint64(32)).astype(np.uint32).view(np.int32)
    # `response_keys` turned round a second time is where it began
    bits ^= ~(bits >> 31) & 0x7FFFFFFF
    return bits.view(np.float32)


def _least(keys: Keys, m: int) -> Keys:
    """The m least of (..., b) keys, in order."""
    # most are not wanted: a partition leaves them out before any is sorted
    if keys.shape[-1] > 4 * m:
        keys = np.partition(keys, m - 1, axis=-1)[..., :m]
    return np.sort(keys, axis=-1)[..., :m]


def _images(keys: Keys) -> IntArray:
    return np.where(keys == NONE, -1, (keys & LOWER).astype(np.int64))
