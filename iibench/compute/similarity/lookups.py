"""Similarities between images of one dataset under one metric; every image is embedded at most once.

An embedding metric maps image i to a row e_i (d values); all pairwise questions after that are matrix
arithmetic on rows:

- `squared_euclidean`: -||a - b||^2, `euclidean`: -||a - b||, `cosine`: a.b / (|a| |b|);
- `equal`: 1 where a == b, else 0.

`within` answers few pairs in groups from the difference of rows, so nothing cancels. `cross` answers
many: from the products of gathered rows, or, where many are to be asked for (`dense`), from the
matrix of all pairs, computed once. Both take squared distances of float32 rows as
|a|^2 + |b|^2 - 2 a.b with the norms in float64, after taking the mean row off where that makes the
norms, and so the rounding, much smaller. Euclidean distances, whose square root would amplify
rounding, are computed in float64 throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from iibench.compute.border import real_tensor
from iibench.compute.handed import handed
from iibench.compute.similarity.distances import (
    from_products,
    into_products,
    minus_distance,
    no_cosine,
)
from iibench.contract.errors import CaseError, PluginError

if TYPE_CHECKING:
    import torch

    from iibench.contract.arrays import DoubleArray, FloatArray, IntArray
    from iibench.contract.specs import Distance, PairwiseMetric

#: Bytes of gathered rows that one block of `within` or `cross` may take: few enough that they are
#: still in the processor's cache when they are multiplied (64 MB took 1.5 times as long).
BLOCK_BYTES = 16 << 20
#: The same for rows that are gathered for products.
GATHER_BYTES = 4 << 20
#: Above this many images the matrix of all pairs is not made (it takes 4 n^2 bytes).
DENSE_LIMIT = 16_384


def dense_pays(n: int, images_asked: float) -> bool:
    """Whether the matrix of all pairs of n images costs less than gathering `images_asked` rows.

    Measured on two CPU cores: gathering moves about 8 GB/s (4 d bytes a row), and the symmetric
    product of all rows (n^2 d operations) runs at about 150 GFLOP/s; d cancels.

    >>> dense_pays(1_000, images_asked=1_000_000), dense_pays(100_000, images_asked=1_000_000)
    (True, False)
    """
    return n <= DENSE_LIMIT and images_asked * 4 / 8e9 > n * n / 1.5e11


class EmbeddingSimilarity:
    """Answers `within` and `cross` from the rows of embeddings (see `SimilarityLookup`).

    `rows(indices)` makes sure that the rows of these images are there and returns the whole (n, d)
    float32 array, of which only those rows may be read. `columns` selects a part of the embedding.
    `dense`: compute the matrix of all pairs on the first `cross`.

    >>> rows = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]], np.float32)
    >>> lookup = EmbeddingSimilarity(lambda indices: rows, 3, "euclidean")
    >>> lookup.within(np.array([[0, 1]])).tolist()
    [[[0.0, -5.0], [-5.0, 0.0]]]
    >>> lookup.cross(np.array([[0]]), np.array([[1, 2]])).tolist()
    [[[-5.0, -1.0]]]
    """

    def __init__(
        self,
        rows: Callable[[IntArray], FloatArray],
        n: int,
        distance: Distance,
        *,
        columns: slice | None = None,
        dense: bool = False,
        device: str = "cpu",
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._rows = rows
        self._n = n
        self._distance = distance
        self._columns = columns if columns is not None else slice(None)
        self._dense = dense
        self._device = "cpu" if device == "mps" else device  # which has no float64
        self._progress = progress
        self._matrix: FloatArray | None = None
        #: float64 squared norms of the prepared rows, NaN where not needed so far
        self._norms = np.full(n, np.nan)
        self._centre: torch.Tensor | None = None
        self._centre_known = False

    def forget(self) -> None:
        """Lets go of the matrix of all pairs; it is made again where it is needed."""
        self._matrix = None

    @property
    def gathers(self) -> bool:
        """Whether `cross` multiplies gathered rows."""
        return not self._dense and self._distance != "equal"

    def within(self, groups: IntArray) -> DoubleArray:
        """groups (G, M) -> (G, M, M) similarity of every ordered pair; 0 distance on the diagonal."""
        import torch

        g, m = groups.shape
        # each pair once: the other order and the diagonal are filled in from it
        first, second = np.triu_indices(m, 1)
        out = np.empty((g, m, m))
        table = self._rows(np.unique(groups))[:, self._columns]
        width = table.shape[1]
        block = max(1, BLOCK_BYTES // (4 * width * max(m, len(first))))
        for start in range(0, g, block):
            chosen = groups[start : start + block]
            x = torch.from_numpy(table[chosen]).to(self._device)
            if self._distance == "cosine" and not bool(x.any(dim=-1).all()):
                raise no_cosine()
            pairs = self._pairs(x[:, first], x[:, second]).cpu().numpy()
            part = out[start : start + block]
            part[:, first, second] = pairs
            part[:, second, first] = pairs
            diagonal = np.arange(m)
            part[:, diagonal, diagonal] = 1.0 if self._distance in {"cosine", "equal"} else 0.0
        return out

    def cross(self, left: IntArray, right: IntArray) -> DoubleArray:
        """left (G, a), right (G, b) -> (G, a, b) similarity of each left to each right image."""
        if self._distance == "equal":
            table = self._rows(np.unique(np.concatenate([left.ravel(), right.ravel()])))
            column = table[:, self._columns]
            same = column[left][:, :, None] == column[right][:, None]
            return np.asarray(same.all(axis=3), np.float64)
        if self._dense:
            if self._matrix is None:
                self._matrix = self._all_pairs()
            # the matrix is float32, for it is large; what is made of a few of its values is not
            return self._matrix[left[:, :, None], right[:, None, :]].astype(np.float64)
        return cross_together({"": self}, left, right)[""]

    # ------------------------------------------------------------------------------ arithmetic

    def _pairs(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """(..., d), (..., d) -> (...) similarity in float64, from differences."""
        import torch

        if self._distance == "equal":
            return (a == b).all(dim=-1).double()
        if self._distance == "cosine":
            return torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=-1)
        # rows are subtracted as they are: of close ones the difference is exact in float32 already
        return minus_distance((a - b).double().square_().sum(dim=-1), self._distance)

    def _prepared(self, rows: torch.Tensor, mean: torch.Tensor | None) -> torch.Tensor:
        """Rows ready for products: float64 for Euclidean distances, centred where it helps."""
        x = rows.double() if self._distance == "euclidean" else rows
        return x if mean is None else x - mean.to(x.dtype)

    def _mean(self, table: FloatArray, indices: IntArray) -> torch.Tensor | None:
        """The mean row of 16 to 1,000 images, or None where taking it off gains no digit.

        Made of the first images asked for, and kept: distances do not depend on it but for rounding.
        """
        import torch

        if self._centre_known or self._distance == "cosine":
            return self._centre
        # a sample is enough: the centre may lie anywhere near the middle of the rows
        count = max(16, min(1000, 4 * BLOCK_BYTES // (4 * table.shape[1])))
        sample = table[indices[:: max(1, len(indices) // count)]]
        mean = sample.mean(axis=0, dtype=np.float64)
        spread = float(np.einsum("nd,nd->", sample, sample, dtype=np.float64)) / len(sample)
        length = float(mean @ mean)
        # squared, the mean is `length` and the rows' distance from it `spread - length`: where the former
        # is ten times the latter, |a|^2 + |b|^2 - 2 a.b loses a digit or more that centred rows keep
        if length >= 10 * max(0.0, spread - length):
            self._centre = torch.from_numpy(mean.astype(np.float32)).to(self._device)
        self._centre_known = True
        return self._centre

    def _squared_norms(
        self, table: FloatArray, indices: IntArray, mean: torch.Tensor | None
    ) -> torch.Tensor:
        """(n,) float64 squared norms of the prepared rows; those of `indices` are there."""
        import torch

        new = indices[np.isnan(self._norms[indices])]
        centre = None if mean is None else mean.cpu()
        block = max(1, BLOCK_BYTES // (8 * table.shape[1]))
        for start in range(0, len(new), block):
            chosen = new[start : start + block]
            x = self._prepared(torch.from_numpy(table[chosen]), centre)
            # summed in float64: norms and products nearly cancel, and rounding would be what is left
            self._norms[chosen] = x.square().sum(dim=1, dtype=torch.float64).numpy()
            if self._distance == "cosine" and not self._norms[chosen].all():
                raise no_cosine()
        return torch.from_numpy(self._norms).to(self._device)

    def _all_pairs(self) -> FloatArray:
        """(n, n) float32 similarity of all pairs, by blocks of the upper triangle."""
        import torch

        everything = np.arange(self._n)
        table = self._rows(everything)[:, self._columns]
        mean = self._mean(table, everything)
        norms = self._squared_norms(table, everything, mean)
        x = torch.from_numpy(np.ascontiguousarray(table)).to(self._device)
        out = np.empty((self._n, self._n), np.float32)
        block = 2048
        starts = range(0, self._n, block)
        total = len(starts) * (len(starts) + 1) // 2
        done = 0
        for i in starts:
            left = self._prepared(x[i : i + block], mean)  # not all at once: they may be float64
            # the upper triangle, mirrored: half the work, and symmetric to the last bit
            for j in range(i, self._n, block):
                rows, columns = slice(i, i + block), slice(j, j + block)
                products = torch.mm(left, self._prepared(x[columns], mean).T)
                part = into_products(
                    products, norms[rows, None], norms[None, columns], self._distance
                )
                values = part.float().cpu().numpy()
                out[rows, columns] = values
                out[columns, rows] = values.T
                done += 1
                self._progress(done, total)
        # by rounding, an image would have some distance from itself
        np.fill_diagonal(out, 1.0 if self._distance == "cosine" else 0.0)
        return out


def cross_together(
    lookups: Mapping[str, EmbeddingSimilarity], left: IntArray, right: IntArray
) -> dict[str, DoubleArray]:
    """The `cross` of lookups that are parts of one embedding; rows are gathered once for all of them.

    left (G, a), right (G, b) -> by name of the lookup, (G, a, b) similarity of each left to each right
    image.

    >>> rows = np.array([[0.0, 0.0], [3.0, 4.0]], np.float32)
    >>> parts = {"whole": slice(0, 2), "left": slice(0, 1), "right": slice(1, 2)}
    >>> lookups = {
    ...     name: EmbeddingSimilarity(lambda indices: rows, 2, "squared_euclidean", columns=columns)
    ...     for name, columns in parts.items()
    ... }
    >>> found = cross_together(lookups, np.array([[0]]), np.array([[1]]))
    >>> {name: values.item() for name, values in found.items()}
    {'whole': -25.0, 'left': -9.0, 'right': -16.0}
    """
    import torch

    # side by side, so that the rows of a group are gathered once for both sides
    both = np.concatenate([left, right], axis=1)
    needed = np.unique(both)
    table = next(iter(lookups.values()))._rows(needed)
    # columns that belong to no part are not gathered
    first, last = _span([lookup._columns for lookup in lookups.values()], table.shape[1])
    source, indices = torch.from_numpy(table[:, first:last]), torch.from_numpy(both)
    (g, a), per_group, width = left.shape, both.shape[1], last - first
    summed = _summed(lookups, table.shape[1])
    computed = [name for name in lookups if name != summed]
    parts = {name: _Part(lookups[name], table, needed, first) for name in computed}
    out = {name: np.zeros((g, a, right.shape[1])) for name in lookups}
    block = max(1, min(g, GATHER_BYTES // (4 * width * per_group)))
    gathered = torch.empty(block * per_group, width)  # one buffer for all blocks
    for start in range(0, g, block):
        chosen = indices[start : start + block]
        rows = gathered[: chosen.numel()]
        torch.index_select(source, 0, chosen.reshape(-1), out=rows)
        for name in computed:
            out[name][start : start + block] = parts[name].similarities(rows, chosen, a)
    # squared distances of parts that tile the columns add up: the whole needs no products of its own
    if summed is not None:
        for name in computed:
            out[summed] += out[name]
    return out


def _summed(lookups: Mapping[str, EmbeddingSimilarity], width: int) -> str | None:
    """The lookup of all columns where the others divide them, so that its squared distances add up."""
    spans = {name: _span([lookup._columns], width) for name, lookup in lookups.items()}
    whole = [name for name, span in spans.items() if span == (0, width)]
    others = sorted(span for name, span in spans.items() if name not in whole)
    joined = others and others[0][0] == 0 and others[-1][1] == width
    if len(whole) != 1 or not joined or lookups[whole[0]]._distance != "squared_euclidean":
        return None
    gaps = any(end != begin for (_, end), (begin, _) in pairwise(others))
    return None if gaps else whole[0]


class _Part:
    """One of the lookups of `cross_together`: its columns of gathered rows, centre and norms.

    `first`: the column of the embedding with which gathered rows begin.
    """

    def __init__(
        self, lookup: EmbeddingSimilarity, table: FloatArray, needed: IntArray, first: int
    ) -> None:
        begin, end = _span([lookup._columns], table.shape[1])
        self._lookup = lookup
        self._columns = slice(begin - first, end - first)
        self._mean = lookup._mean(table[:, begin:end], needed)
        self._norms = lookup._squared_norms(table[:, begin:end], needed, self._mean)

    def similarities(self, rows: torch.Tensor, images: torch.Tensor, a: int) -> DoubleArray:
        """Gathered rows of images (b, a + c) -> (b, a, c) similarity of the first a to the others."""
        import torch

        device = self._norms.device
        x = self._lookup._prepared(rows[:, self._columns].to(device), self._mean)
        x = x.view(*images.shape, x.shape[1])
        products = torch.bmm(x[:, :a], x[:, a:].transpose(1, 2))
        squared = self._norms[images.to(device)]
        distance = self._lookup._distance
        found = from_products(products, squared[:, :a, None], squared[:, None, a:], distance)
        values: DoubleArray = found.cpu().numpy()
        return values


def _span(columns: Sequence[slice], width: int) -> tuple[int, int]:
    """First column and end of all these slices."""
    ends = [chosen.indices(width)[:2] for chosen in columns]
    return min(first for first, _ in ends), max(last for _, last in ends)


class PairwiseSimilarity:
    """Answers `within` and `cross` for a metric that compares images directly, group by group.

    `images(indices)` gives the images as the metric wants them, (len, 3, h, w) on the run's device.

    >>> class Largest:
    ...     fingerprint = ""
    ...
    ...     def pairwise(self, a, b):
    ...         return 1 - (a[:, None] - b[None]).abs().amax(dim=(2, 3, 4))
    >>> images = torch.stack([torch.zeros(3, 2, 2), torch.ones(3, 2, 2)])
    >>> PairwiseSimilarity(Largest(), images.__getitem__, "largest").within(np.array([[0, 1]])).tolist()
    [[[1.0, 0.0], [0.0, 1.0]]]
    """

    def __init__(
        self, metric: PairwiseMetric, images: Callable[[IntArray], torch.Tensor], name: str
    ) -> None:
        self._metric = metric
        self._images = images
        self._name = name

    def within(self, groups: IntArray) -> DoubleArray:
        """groups (G, M) -> (G, M, M)."""
        return self.cross(groups, groups)

    def cross(self, left: IntArray, right: IntArray) -> DoubleArray:
        """left (G, a), right (G, b) -> (G, a, b)."""
        import torch

        out = np.empty((len(left), left.shape[1], right.shape[1]))
        for g in range(len(left)):
            a, b = self._images(left[g]), self._images(right[g])
            who = f"metric {self._name}"
            with torch.inference_mode(), handed(who, "images", a, b):
                values = real_tensor(self._metric.pairwise(a, b), who, "a similarity")
            if tuple(values.shape) != out.shape[1:]:
                raise PluginError(
                    f"metric {self._name}: pairwise of {len(a)} and {len(b)} images gave shape "
                    f"{tuple(values.shape)}, expected {out.shape[1:]}"
                )
            out[g] = values.cpu().double().numpy()
        if not np.isfinite(out).all():
            raise CaseError(f"metric {self._name} gave a similarity that is not a finite number")
        return out
