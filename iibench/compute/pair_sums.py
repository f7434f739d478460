"""The images with the largest sum of two rows of values, for every pair of rows, exactly.

Z (K, n) float64 holds a value per row (a direction) and image, here z-scored responses. For all
K (K - 1) / 2 pairs a < b, in the order of `numpy.triu_indices(K, 1)`: the m images with the largest
Z[a] + Z[b], in float64, ties to the lower image index, as if all n sums of each pair were sorted.

Most sums need not be made (Fagin's threshold). With t_a the d-th largest value of row a, an image that
is among the d largest of neither row has a sum of at most t_a + t_b: rounding keeps that order. So
where the m-th largest sum of the at most 2 d other images is above t_a + t_b, it is settled. Pairs that are
not settled are looked at again with a larger d, at last with all images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench.compute.ranking import Order
    from iibench.contract.arrays import DoubleArray, FloatArray, IntArray

    Images = npt.NDArray[np.int32]

#: How many images of each row are looked at, one depth after the other. Measured for m = 5 of 10,000 images:
#: 64 leaves many pairs of independent normal values open; real layers are settled sooner.
DEPTHS = (128, 512)
#: Bytes of sums that are held at once.
BLOCK_BYTES = 16 << 20


def standardised(responses: FloatArray) -> DoubleArray:
    """R (n, K) -> Z (K, n) float64: every direction's responses less their mean, over their deviation.

    Mean and deviation are over the n images (divided by n). No direction may be constant.

    >>> standardised(np.array([[1, 0], [3, 4]], np.float32)).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """
    values = np.ascontiguousarray(responses.T, dtype=np.float64)
    values -= values.mean(axis=1, keepdims=True)
    values /= np.sqrt(np.einsum("kn,kn->k", values, values) / values.shape[1])[:, None]
    return values


def first_pair(a: int, k: int) -> int:
    """Where the pairs (a, a + 1), (a, a + 2), ... stand among the pairs of k rows.

    >>> first_pair(0, 4), first_pair(1, 4), first_pair(2, 4)  # after (0, 1), (0, 2), (0, 3)
    (0, 3, 5)
    """
    return a * (2 * k - a - 1) // 2


def top_of_pair_sums(
    values: DoubleArray,
    order: Order,
    m: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    depths: tuple[int, ...] = DEPTHS,
) -> Images:
    """(K (K - 1) / 2, m) the images with the largest sums, largest first, for every pair.

    `values`: Z (K, n), finite. `order` (n, K): the images of each row by descending value. m <= n.
    `progress(done, total)` counts pairs. `depths` changes the speed alone.

    >>> from iibench.compute.ranking import order_by_response
    >>> responses = np.array([[3, 0, 1], [2, 2, 0], [0, 3, 9]], np.float32)
    >>> values = np.ascontiguousarray(responses.T, np.float64)
    >>> top_of_pair_sums(values, order_by_response(responses), m=1).tolist()  # of 0 + 1, 0 + 2, 1 + 2
    [[1], [2], [2]]
    """
    k, n = values.shape
    pairs = k * (k - 1) // 2
    out = np.empty((pairs, m), np.int32)
    # two lists of d are worth looking at only where they are far fewer than all n images
    used = tuple(d for d in depths if m < d and 3 * d <= n)
    tops = np.ascontiguousarray(order[: max(used, default=0)].T)
    search = _Search(values, np.ascontiguousarray(values.T) if used else values.T, tops, m, used)
    told = 0
    for a in range(k - 1):
        start, end = first_pair(a, k), first_pair(a + 1, k)
        search.partners(a, out[start:end])
        if end - told >= pairs / 100 or end == pairs:
            progress(end, pairs)
            told = end
    return out


class _Search:
    """Looks for the largest sums of one row with those after it."""

    def __init__(
        self,
        values: DoubleArray,
        by_image: DoubleArray,
        tops: Images,
        m: int,
        depths: tuple[int, ...],
    ) -> None:
        self._values, self._by_image, self._tops = values, by_image, tops
        self._m, self._depths = m, depths
        self._sorted = np.take_along_axis(values, tops, axis=1)

    def partners(self, a: int, out: Images) -> None:
        """Fills `out` (K - a - 1, m) for the pairs of `a` with a + 1, a + 2, ..."""
        still = np.arange(a + 1, len(self._values))
        for depth in self._depths:
            unsettled = [self._among(a, rows, depth, out) for rows in _cut(still, 4 * depth)]
            still = np.concatenate(unsettled) if unsettled else still
        for rows in _cut(still, self._values.shape[1]):
            out[rows - a - 1] = largest(self._values[a] + self._values[rows], None, self._m)

    def _among(self, a: int, rows: IntArray, depth: int, out: Images) -> IntArray:
        """Settles pairs by the `depth` largest of both rows; returns those of `rows` left open."""
        mine, theirs = self._tops[a, :depth], self._tops[rows, :depth]
        sums = np.empty((len(rows), 2 * depth))
        consecutive = rows[-1] - rows[0] + 1 == len(rows)
        # a slice is a view; rows that a depth left open have to be gathered
        which = slice(rows[0], rows[-1] + 1) if consecutive else rows
        # by image, since the images are the same for all rows: a few long pieces of memory
        sums[:, :depth] = self._by_image[mine][:, which].T
        sums[:, :depth] += self._values[a, mine]
        sums[:, depth:] = self._values[a][theirs]
        sums[:, depth:] += self._sorted[rows, :depth]
        listed = np.zeros(self._values.shape[1], np.bool_)
        listed[mine] = True
        sums[:, depth:][listed[theirs]] = -np.inf  # each image once
        images = np.empty(sums.shape, np.int32)
        images[:, :depth], images[:, depth:] = mine, theirs
        bound = self._sorted[a, depth - 1] + self._sorted[rows, depth - 1]
        found, least = _largest(sums, images, self._m)
        # strictly: an image outside both lists might tie with the last one and have a lower index
        settled = least > bound
        out[rows[settled] - a - 1] = found[settled]
        unsettled: IntArray = rows[~settled]
        return unsettled


def _cut(rows: IntArray, width: int) -> Iterator[IntArray]:
    """`rows` in pieces of which `width` numbers each take at most `BLOCK_BYTES`."""
    step = max(1, BLOCK_BYTES // (8 * width))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def largest(sums: DoubleArray, images: Images | None, m: int) -> Images:
    """(r, m) the images with the largest of `sums` (r, c), largest first, ties to the lower index.

    `images` (r, c): the images that the columns stand for, each once; None where column i is image i.
    A column of -inf stands for none; every row has at least m others.

    >>> largest(np.array([[1.0, 3.0, 3.0, 2.0]]), None, m=2).tolist()
    [[1, 2]]
    """
    return _largest(sums, images, m)[0]


def _largest(sums: DoubleArray, images: Images | None, m: int) -> tuple[Images, DoubleArray]:
    """`largest`, and the least (r,) of the m sums."""
    import torch

    # one more than wanted shows whether the last one ties with what is left out
    one_more = min(m + 1, sums.shape[1])
    top = torch.topk(torch.from_numpy(sums), one_more, dim=1, sorted=True)
    ranked, columns = top.values.numpy(), top.indices.numpy()
    columns = columns[:, :m]
    found: Images = (
        columns if images is None else np.take_along_axis(images, columns, axis=1)
    ).astype(np.int32)
    # topk leaves the order of equal sums open
    tied = np.flatnonzero((ranked[:, 1:] == ranked[:, :-1]).any(axis=1))
    if len(tied):
        found[tied] = _with_ties(sums[tied], None if images is None else images[tied], m)
    return found, ranked[:, m - 1]


def _with_ties(sums: DoubleArray, images: Images | None, m: int) -> Images:
    """`largest`, slower: of equal sums the lower images."""
    if images is None:
        images = np.broadcast_to(np.arange(sums.shape[1], dtype=np.int32), sums.shape)
    else:
        by_index = np.argsort(images, axis=1)
        images = np.take_along_axis(images, by_index, axis=1)
        sums = np.take_along_axis(sums, by_index, axis=1)
    least = np.partition(sums, sums.shape[1] - m, axis=1)[:, sums.shape[1] - m, None]
    # all above the m-th largest sum, and of those equal to it the lowest images that there is room for
    above, equal = sums > least, sums == least
    room = m - above.sum(axis=1, keepdims=True)
    chosen = above | (equal & (np.cumsum(equal, axis=1) <= room))
    kept, of_kept = images[chosen].reshape(-1, m), sums[chosen].reshape(-1, m)
    # they stand by index here, which a stable sort keeps among equal sums
    return np.take_along_axis(kept, np.argsort(-of_kept, axis=1, kind="stable"), axis=1)
