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

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from iibench.errors import CaseError, PluginError

if TYPE_CHECKING:
    import torch

    from iibench.specs import (
        Distance,
        DoubleArray,
        FloatArray,
        IntArray,
        PairwiseMetric,
    )

#: Bytes of gathered rows that one block of `within` or `cross` may take: few enough that they are
#: still in the processor's cache when they are multiplied (64 MB took 1.5 times as long).
BLOCK_BYTES = 16 << 20
#: Above this many images the matrix of all pairs is not made (it takes 4 n^2 bytes).
DENSE_LIMIT = 16_384


def dense_pays(n: int, images_asked: float) -> bool:
    """Whether the matrix of all pairs of n images costs less than gathering `images_asked` rows.

    Measured on two CPU cores: gathering moves about 8 GB/s (4 d bytes a row), and the symmetric
    product of all rows (n^2 d operations) runs at about 150 GFLOP/s; d cancels.
    """
    return n <= DENSE_LIMIT and images_asked * 4 / 8e9 > n * n / 1.5e11


class EmbeddingSimilarity:
    """Answers `within` and `cross` from the rows of embeddings (see `specs.SimilarityLookup`).

    `rows(indices)` makes sure that the rows of these images are there and returns the whole (n, d)
    float32 array, of which only those rows may be read. `columns` selects a part of the embedding.
    `dense`: compute the matrix of all pairs on the first `cross`.
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
        self._device = device
        self._progress = progress
        self._matrix: FloatArray | None = None
        #: float64 squared norms of the prepared rows, NaN where not needed so far
        self._norms = np.full(n, np.nan)
        self._centre: torch.Tensor | None = None
        self._centre_known = False

    def within(self, groups: IntArray) -> DoubleArray:
        """groups (G, M) -> (G, M, M) similarity of every ordered pair; 0 distance on the diagonal."""
        import torch

        g, m = groups.shape
        first, second = np.triu_indices(m, 1)
        out = np.empty((g, m, m))
        table = self._rows(np.unique(groups))[:, self._columns]
        width = table.shape[1]
        block = max(1, BLOCK_BYTES // (4 * width * max(m, len(first))))
        for start in range(0, g, block):
            chosen = groups[start : start + block]
            x = torch.from_numpy(table[chosen]).to(self._device)
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
            return self._matrix[left[:, :, None], right[:, None, :]].astype(np.float64)
        return self._gathered(left, right)

    # ------------------------------------------------------------------------------ arithmetic

    def _pairs(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """(..., d), (..., d) -> (...) similarity in float64, from differences."""
        import torch

        if self._distance == "equal":
            return (a == b).all(dim=-1).double()
        if self._distance == "cosine":
            return torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=-1)
        squared = (a - b).double().square_().sum(dim=-1)
        return -squared if self._distance == "squared_euclidean" else -squared.sqrt()

    def _from_products(
        self, products: torch.Tensor, left: torch.Tensor, right: torch.Tensor
    ) -> torch.Tensor:
        """Similarity from inner products and the squared norms that broadcast against them."""
        if self._distance == "cosine":
            return products.double() / (left.sqrt() * right.sqrt()).clamp_min(1e-30)
        squared = (left + right - 2 * products.double()).clamp_min_(0)
        return -squared if self._distance == "squared_euclidean" else -squared.sqrt()

    def _in_place(
        self, products: torch.Tensor, left: torch.Tensor, right: torch.Tensor
    ) -> torch.Tensor:
        """`_from_products` in the memory and precision of the products."""
        left, right = left.to(products.dtype), right.to(products.dtype)
        if self._distance == "cosine":
            return products.div_(left.sqrt().clamp_min(1e-30)).div_(right.sqrt().clamp_min(1e-30))
        squared = products.mul_(-2).add_(left).add_(right).clamp_min_(0)
        return squared.neg_() if self._distance == "squared_euclidean" else squared.sqrt_().neg_()

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
        count = max(16, min(1000, 4 * BLOCK_BYTES // (4 * table.shape[1])))
        sample = table[indices[:: max(1, len(indices) // count)]]
        mean = sample.mean(axis=0, dtype=np.float64)
        spread = float(np.einsum("nd,nd->", sample, sample, dtype=np.float64)) / len(sample)
        length = float(mean @ mean)
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
            self._norms[chosen] = x.square().sum(dim=1, dtype=torch.float64).numpy()
        return torch.from_numpy(self._norms).to(self._device)

    def _gathered(self, left: IntArray, right: IntArray) -> DoubleArray:
        import torch

        both = np.concatenate([left, right], axis=1)
        needed = np.unique(both)
        table = self._rows(needed)[:, self._columns]
        mean = self._mean(table, needed)
        norms = self._squared_norms(table, needed, mean)
        g, a = left.shape
        width = table.shape[1]
        per_group = both.shape[1]
        out = np.empty((g, a, right.shape[1]))
        block = max(1, min(g, BLOCK_BYTES // (4 * width * per_group)))
        source, indices = torch.from_numpy(table), torch.from_numpy(both)
        gathered = torch.empty(block * per_group, width)  # one buffer for all blocks
        for start in range(0, g, block):
            chosen = indices[start : start + block]
            rows = gathered[: chosen.numel()]
            torch.index_select(source, 0, chosen.reshape(-1), out=rows)
            x = self._prepared(rows.to(self._device), mean)
            x = x.view(len(chosen), per_group, width)
            products = torch.bmm(x[:, :a], x[:, a:].transpose(1, 2))
            squared = norms[chosen.to(self._device)]
            part = self._from_products(products, squared[:, :a, None], squared[:, None, a:])
            out[start : start + block] = part.cpu().numpy()
        return out

    def _all_pairs(self) -> FloatArray:
        """(n, n) float32 similarity of all pairs, by blocks of the upper triangle."""
        import torch

        everything = np.arange(self._n)
        table = self._rows(everything)[:, self._columns]
        mean = self._mean(table, everything)
        norms = self._squared_norms(table, everything, mean)
        x = self._prepared(torch.from_numpy(np.ascontiguousarray(table)).to(self._device), mean)
        out = np.empty((self._n, self._n), np.float32)
        block = 2048
        starts = range(0, self._n, block)
        total = len(starts) * (len(starts) + 1) // 2
        done = 0
        for i in starts:
            for j in range(i, self._n, block):
                rows, columns = slice(i, i + block), slice(j, j + block)
                products = torch.mm(x[rows], x[columns].T)
                part = self._in_place(products, norms[rows, None], norms[None, columns])
                values = part.float().cpu().numpy()
                out[rows, columns] = values
                out[columns, rows] = values.T
                done += 1
                self._progress(done, total)
        np.fill_diagonal(out, 1.0 if self._distance == "cosine" else 0.0)
        return out


class PairwiseSimilarity:
    """Answers `within` and `cross` for a metric that compares images directly, group by group.

    `images(indices)` gives the images as the metric wants them, (len, 3, h, w) on the run's device.
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
            with torch.inference_mode():
                values = self._metric.pairwise(a, b)
            if tuple(values.shape) != out.shape[1:]:
                raise PluginError(
                    f"metric {self._name}: pairwise of {len(a)} and {len(b)} images gave shape "
                    f"{tuple(values.shape)}, expected {out.shape[1:]}"
                )
            out[g] = values.double().cpu().numpy()
        if not np.isfinite(out).all():
            raise CaseError(f"metric {self._name} gave a similarity that is not a finite number")
        return out
