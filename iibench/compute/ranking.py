"""The order of images by response, direction by direction, in memory or in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.cache.mapped import release

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench.contract.arrays import FloatArray, IntArray

    Order = npt.NDArray[np.int32]


#: Bytes of responses and what is made of them that are looked at together, in blocks of directions.
BLOCK_BYTES = 32 << 20

#: Bytes of sort keys that each thread sorts in one go.
SORT_BYTES = 8 << 20


def response_keys(values: FloatArray) -> npt.NDArray[np.uint64]:
    """Numbers that sort by descending response: its bit pattern, turned round, in the upper 32 bits.

    -0.0 counts as 0.0. A position added in the lower half decides between equal responses.

    >>> keys = response_keys(np.array([0.5, -1.0, 2.0, -0.0, 0.0], np.float32))
    >>> keys.argsort(kind="stable").tolist(), bool(keys[3] == keys[4])
    ([2, 0, 3, 4, 1], True)
    """
    # Read as whole numbers, floats of one sign sort by size. Turning the lower bits of those above zero
    # round makes larger values smaller numbers; the sign bit, read as a digit, puts negative ones last.
    # Adding 0 makes 0.0 of -0.0, which has another pattern.
    bits = (values + np.float32(0)).view(np.int32)
    bits ^= ~(bits >> 31) & 0x7FFFFFFF
    return np.left_shift(bits.view(np.uint32), np.uint64(32), dtype=np.uint64)


def unit_blocks(n: int, k: int, size: int = BLOCK_BYTES) -> Iterator[slice]:
    """Blocks of directions whose n sort keys take `size` bytes or less.

    >>> [(units.start, units.stop) for units in unit_blocks(n=1000, k=5, size=16_000)]
    [(0, 2), (2, 4), (4, 5)]
    """
    step = max(1, size // (8 * max(1, n)))
    return (slice(start, min(start + step, k)) for start in range(0, k, step))


def order_by_response(
    responses: FloatArray, out: Order | None = None, device: str = "cpu"
) -> Order:
    """(n, K) image indices by descending response; ties: lower image index first (spec of the MEIs).

    `out`: where to put them; mapped files, either of them, are let go of block by block. `device`: a GPU
    (cuda) sorts what else the processor sorts; the order is the same.

    >>> order_by_response(np.array([[0.1], [0.9], [0.1], [0.5]], np.float32))[:, 0].tolist()
    [1, 3, 0, 2]
    """
    import torch

    n, k = responses.shape
    order = np.empty((k, n), np.int32).T if out is None else out
    positions = np.arange(n, dtype=np.uint64)

    def sort_on_gpu(units: slice) -> None:
        values = torch.from_numpy(np.ascontiguousarray(responses[:, units].T)).to(device)
        # ascending by minus the response: a stable sort leaves ties to the lower index
        ranked = torch.sort(-(values + 0), dim=1, stable=True).indices
        order[:, units] = ranked.to(torch.int32).cpu().numpy().T
        release(responses)
        release(order)

    if device == "cuda":
        for units in unit_blocks(n, k):
            sort_on_gpu(units)
        return order

    def sort(units: slice) -> None:
        keys = response_keys(np.ascontiguousarray(responses[:, units].T))
        # no two keys are equal now, so that any sort gives this order; it need not be stable
        keys |= positions
        keys.sort(axis=1)
        # the lower half, which is the image
        order[:, units] = keys.astype(np.uint32).astype(np.int32).T
        release(responses)
        release(order)

    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads, "iibench-order") as pool:  # sorting lets other threads run
        for _ in pool.map(sort, unit_blocks(n, k, SORT_BYTES)):
            pass
    return order


def order_with_random_ties(
    responses: FloatArray, order: Order, seed: int, units: IntArray | None = None
) -> Order:
    """`order`, with images of equal response shuffled by a seeded draw of each direction's own.

    Sparse responses are zero for most images. Where trials draw from such ties, the order on disk,
    which often is the order of the classes, must not decide which images are shown. `units`: the
    number of each direction where the columns are not all of them.

    >>> responses = np.array([[0.9], [0.0], [0.0], [0.0], [0.0]], np.float32)
    >>> shuffled = order_with_random_ties(responses, order_by_response(responses), seed=1)
    >>> shuffled[0, 0].item(), sorted(shuffled[1:, 0].tolist())
    (0, [1, 2, 3, 4])
    """
    by_rank = np.take_along_axis(responses, order, axis=0).T
    equal = by_rank[:, 1:] == by_rank[:, :-1]
    result = order.copy()
    for column in np.flatnonzero(equal.any(axis=1)):
        # only the ranks within runs of equal responses: usually few
        tied = np.zeros(len(responses), bool)
        tied[1:] |= equal[column]
        tied[:-1] |= equal[column]
        ranks = np.flatnonzero(tied)
        images = order[ranks, column]
        unit = int(column if units is None else units[column])
        draw = np.random.default_rng([seed, unit]).random(len(ranks))
        # by response first (the last key), so that runs stay where they are, then by the draw
        result[ranks, column] = images[np.lexsort((draw, -by_rank[column, ranks]))]
    return result


@dataclass(frozen=True)
class ShuffledOrder:
    """`order_with_random_ties`, made for the ranks that are asked for and in blocks of directions.

    It is indexed like that array, by ranks, `[ranks]` -> (len(ranks), K), or by a rank for each direction,
    `[ranks, columns]`.

    >>> responses = np.array([[0.9], [0.0], [0.0], [0.0], [0.0]], np.float32)
    >>> order = order_by_response(responses)
    >>> some = ShuffledOrder(responses, order, seed=1)[np.array([0, 2])]
    >>> some.tolist() == order_with_random_ties(responses, order, seed=1)[[0, 2]].tolist()
    True
    """

    responses: FloatArray
    order: Order
    seed: int

    @property
    def shape(self) -> tuple[int, int]:
        """(n, K)."""
        n, k = self.order.shape
        return n, k

    def __getitem__(self, chosen: IntArray | tuple[IntArray, IntArray]) -> npt.NDArray[np.int32]:
        if not isinstance(chosen, tuple):
            return self._at(chosen)
        ranks, columns = np.broadcast_arrays(*chosen)
        found = np.empty(ranks.shape, np.int32)
        for units in unit_blocks(*self.shape):
            here = (columns >= units.start) & (columns < units.stop)
            block = self._block(units, np.arange(units.start, units.stop))
            found[here] = block[ranks[here], columns[here] - units.start]
            self._release()
        return found

    def _at(self, ranks: IntArray) -> npt.NDArray[np.int32]:
        """Images at these ranks. Where no tie touches one, the order stands as it is."""
        n, k = self.shape
        found = images_at(self.order, ranks)
        # a rank is part of a tie where a neighbour's response is the same
        around = np.unique([ranks - 1, ranks, ranks + 1])
        around = around[(around >= 0) & (around < n)]
        # ranks on both sides of a gap in `around` are no neighbours
        neighbours = (np.diff(around) == 1)[:, None]
        for units in unit_blocks(n, k):
            values = np.take_along_axis(self.responses[:, units], self.order[around, units], axis=0)
            equal = (values[1:] == values[:-1]) & neighbours
            tied = units.start + np.flatnonzero(equal.any(axis=0))
            if tied.size:
                found[:, tied] = self._block(tied, tied)[ranks]
            self._release()
        return found

    def _block(self, columns: slice | IntArray, units: IntArray) -> Order:
        responses, order = self.responses[:, columns], self.order[:, columns]
        return order_with_random_ties(responses, np.asarray(order), self.seed, units)

    def _release(self) -> None:
        release(self.responses)
        release(self.order)


def images_at(order: Order, ranks: IntArray) -> npt.NDArray[np.int32]:
    """(len(ranks), K) images at these ranks; a mapped file is read direction by direction and let go of.

    A touched page brings its neighbours with it, megabytes of them where the system keeps files so.

    >>> order = np.array([[1, 0], [2, 1], [0, 2]], np.int32)
    >>> images_at(order, np.array([0, 2])).tolist()
    [[1, 0], [0, 2]]
    """
    found = np.empty((len(ranks), order.shape[1]), np.int32)
    for units in unit_blocks(*order.shape):
        found[:, units] = order[:, units][ranks]
        release(order)
    return found


def responses_to(responses: FloatArray, images: npt.NDArray[Any]) -> FloatArray:
    """images (K, ...) of each direction -> (K, ...) its responses to them; read as by `images_at`.

    >>> responses = np.array([[0.0, 3.0], [9.0, 2.0]], np.float32)
    >>> responses_to(responses, np.array([[1, 0], [0, 1]])).tolist()
    [[9.0, 0.0], [3.0, 2.0]]
    """
    found = np.empty(images.shape, responses.dtype)
    for units in unit_blocks(*responses.shape):
        columns = np.arange(units.stop - units.start).reshape(-1, *[1] * (images.ndim - 1))
        found[units] = responses[:, units][images[units], columns]
        release(responses)
    return found
