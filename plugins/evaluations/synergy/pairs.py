"""The index of many groups of images that share images, from similarities computed once per pair.

G groups of M images; U distinct images occur in them. Where a pair's similarity is needed by many groups
it is still computed once, in the order left, right and the other way round, since a metric need not be
symmetric.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .._index import average

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench import DoubleArray, IntArray, SimilarityLookup

#: Most images of which a table of all pairs is kept (4 bytes a pair: 1 GiB).
TABLE_LIMIT = 16_384
#: Images on either side of one question to the metric, where most pairs are needed.
LEFT, RIGHT = 512, 4096
#: The share of pairs from which on whole blocks are asked for, needed or not.
CROWDED = 1 / 32
#: Images whose partners are asked for together, where few pairs are needed.
TOGETHER = 64
#: Groups that are averaged at once.
GROUPS = 16_384

Progress = Callable[[int, int], None]


def indices_of(
    groups: npt.NDArray[Any], lookup: SimilarityLookup, mean: str, progress: Progress
) -> DoubleArray:
    """groups (G, M) of distinct image indices -> (G,) index, the same for every order of a group.

    `mean` as in `ii`. `progress(done, total)` counts images that were compared with the others.
    """
    import numpy as np

    # the same images give the same sum, to the last bit, only if they are added in the same order
    groups = np.sort(groups, axis=1)
    seen = np.zeros(int(groups.max()) + 1, np.bool_)
    seen[groups] = True
    images = np.flatnonzero(seen)
    found = np.empty(len(groups))
    if len(images) > TABLE_LIMIT:
        for part in _parts(len(groups)):
            found[part] = average(lookup.within(groups[part].astype(np.int64)), mean)
            progress(part.stop, len(groups))
        return found
    place = np.zeros(len(seen), np.int32)
    place[images] = np.arange(len(images), dtype=np.int32)
    table = _table(groups, place, images, lookup, progress)
    for part in _parts(len(groups)):
        chosen = place[groups[part]]
        pairs = table[chosen[:, :, None], chosen[:, None, :]].astype(np.float64)
        found[part] = average(pairs, mean)
    return found


def _parts(n: int) -> Iterator[slice]:
    for start in range(0, n, GROUPS):
        yield slice(start, min(start + GROUPS, n))


def _table(
    groups: npt.NDArray[Any],
    place: npt.NDArray[Any],
    images: IntArray,
    lookup: SimilarityLookup,
    progress: Progress,
) -> npt.NDArray[Any]:
    """(U, U) float32 similarities of the pairs of images that share a group, any number elsewhere."""
    import numpy as np

    u = len(images)
    needed = np.zeros((u, u), np.bool_)
    for part in _parts(len(groups)):
        chosen = place[groups[part]]
        needed[chosen[:, :, None], chosen[:, None, :]] = True
    table = np.zeros((u, u), np.float32)
    table[np.arange(u), np.arange(u)] = lookup.within(images[:, None])[:, 0, 0]
    np.fill_diagonal(needed, False)
    fill = _in_blocks if needed.mean() >= CROWDED else _one_by_one
    fill(table, needed, images, lookup, progress)
    return table


def _in_blocks(
    table: npt.NDArray[Any],
    needed: npt.NDArray[Any],
    images: IntArray,
    lookup: SimilarityLookup,
    progress: Progress,
) -> None:
    """Fills the table block by block, needed or not."""
    import numpy as np

    for start in range(0, len(images), LEFT):
        rows = np.arange(start, min(start + LEFT, len(images)))
        others = np.flatnonzero(needed[rows].any(axis=0))
        for first in range(0, len(others), RIGHT):
            columns = others[first : first + RIGHT]
            values = lookup.cross(images[rows][None], images[columns][None])[0]
            place = np.ix_(rows, columns)
            table[place] = np.where(needed[place], values, table[place])
        progress(int(rows[-1]) + 1, len(images))


def _one_by_one(
    table: npt.NDArray[Any],
    needed: npt.NDArray[Any],
    images: IntArray,
    lookup: SimilarityLookup,
    progress: Progress,
) -> None:
    """Fills what is needed of the table: each image with its partners, images of like numbers together."""
    import numpy as np

    partners = needed.sum(axis=1)
    order = np.argsort(partners, kind="stable")
    for start in range(0, len(order), TOGETHER):
        rows = order[start : start + TOGETHER]
        columns = np.empty((len(rows), int(partners[rows].max())), np.int64)
        for line, row in zip(columns, rows, strict=True):
            mine = np.flatnonzero(needed[row])
            line[: len(mine)] = mine
            line[len(mine) :] = mine[0]  # asked again, to make the lines equally long
        values = lookup.cross(images[rows][:, None], images[columns])[:, 0]
        table[rows[:, None], columns] = values
        progress(start + len(rows), len(order))
