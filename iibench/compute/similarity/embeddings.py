"""Embeddings of a dataset's images under one metric: each image once, kept in the cache's row store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.cache.mapped import release
from iibench.compute.border import real_tensor
from iibench.compute.handed import handed
from iibench.compute.images import names_of, to_unit_range
from iibench.compute.precision import mixed
from iibench.contract.errors import CaseError, PluginError, Skip

if TYPE_CHECKING:
    import torch

    from iibench.cache.entries import Cache
    from iibench.cache.rows import RowStore
    from iibench.contract.arrays import FloatArray, IntArray
    from iibench.contract.specs import EmbeddingMetric, ImageDataset, MetricSpec

#: Pixels (n * h * w) embedded at once: large enough to keep two cores busy, small enough for caches.
BATCH_PIXELS = 64 * 64 * 64


def embedded_size(size: int | None, dataset: ImageDataset) -> tuple[int, int]:
    """Height and width in pixels at which a metric of this `size` is given the dataset's images.

    >>> class Wide:
    ...     image_size = (32, 64)
    >>> embedded_size(None, Wide()), embedded_size(224, Wide())
    ((32, 64), (224, 224))
    """
    return dataset.image_size if size is None else (size, size)


def images_per_batch(height: int, width: int) -> int:
    """Images of this size that are embedded at once: `BATCH_PIXELS`, and 512 at most.

    >>> images_per_batch(64, 64), images_per_batch(8, 8), images_per_batch(2000, 2000)
    (64, 512, 1)
    """
    return max(1, min(512, BATCH_PIXELS // max(1, height * width)))


class EmbeddingTable:
    """Rows e_i = embed(image i), computed on demand for the images that are asked for.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from iibench.cache.entries import Cache
    >>> class Images:
    ...     labels, image_size = None, (8, 8)
    ...
    ...     def __len__(self):
    ...         return 3
    ...
    ...     def images(self, indices):
    ...         return np.full((len(indices), 8, 8, 3), 255, np.uint8)
    >>> class Mean:
    ...     fingerprint = ""
    ...
    ...     def embed(self, x):
    ...         return x.mean(dim=(2, 3))
    >>> spec = MetricSpec(name="mean", summary="", load=lambda params, harness: Mean(), distance="cosine")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = EmbeddingTable(
    ...         Mean(), spec, None, Images(), Cache(Path(folder)), "ab12", {}, "cpu", lambda done, n: None
    ...     )
    ...     table.rows(np.array([0, 2]))[[0, 2]].tolist()  # row 1 is not there
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    def __init__(
        self,
        metric: EmbeddingMetric,
        spec: MetricSpec,
        size: int | None,
        dataset: ImageDataset,
        cache: Cache,
        key: str,
        description: Mapping[str, Any],
        device: str,
        progress: Callable[[int, int], None],
        precision: str = "float32",
    ) -> None:
        self._metric = metric
        self._spec = spec
        self._size = size
        self._dataset = dataset
        self._cache = cache
        self._key = key
        self._description = description
        self._device = device
        self._progress = progress
        self._precision = precision
        self._store: RowStore | None = cache.existing_rows("embeddings", key)
        self._batch = images_per_batch(*embedded_size(size, dataset))

    def __len__(self) -> int:
        """n, the images of the dataset."""
        return len(self._dataset)

    def rows(self, indices: IntArray) -> FloatArray:
        """Makes sure that the rows of `indices` are there; returns the whole (n, d) array.

        Raises `CaseError` where an embedding is not finite, `PluginError` where its shape is wrong.
        """
        if self._spec.input != "images":
            return given_rows(self._metric, self._spec, self._dataset)
        indices = np.unique(np.asarray(indices, np.int64))
        store = self._opened(indices)
        if store.missing(indices).size:
            with store.filling():
                self._fill(store, store.missing(indices))
        return store.array()

    def width(self, indices: IntArray) -> int:
        """d, the numbers of an embedding; where it is not known, some of `indices` are embedded."""
        if self._spec.input != "images":
            return int(given_rows(self._metric, self._spec, self._dataset).shape[1])
        return self._opened(indices).width

    def batches(self, indices: IntArray) -> Iterator[tuple[IntArray, FloatArray]]:
        """(positions in `indices`, their embeddings), a batch at a time; none is kept.

        Those that are kept already are not computed again.
        """
        store = self._opened(indices)
        absent = np.isin(indices, store.missing(np.unique(indices)))
        here, absent_at = np.flatnonzero(~absent), np.flatnonzero(absent)
        for start in range(0, len(here), self._batch):
            chosen = here[start : start + self._batch]
            yield chosen, np.array(store.array()[indices[chosen]])
            release(store.array())
        for start in range(0, len(absent_at), self._batch):
            chosen = absent_at[start : start + self._batch]
            yield chosen, self._embed(indices[chosen])

    def release(self) -> None:
        """Lets go of the pages of the file that kept embeddings lie in."""
        if self._store is not None:
            release(self._store.array())

    def _opened(self, indices: IntArray) -> RowStore:
        """The store; a new one holds the first of `indices`, which tell how wide it is."""
        if self._store is None:
            first = self._embed(indices[: self._batch])
            self._store = self._cache.rows(
                "embeddings", self._key, self._description, len(self._dataset), first.shape[1]
            )
            self._store.put(indices[: self._batch], first)
        return self._store

    def _fill(self, store: RowStore, missing: IntArray) -> None:
        """Embeds batch by batch; each is fetched and written while the next one is computed."""
        with ThreadPoolExecutor(1, "iibench-embeddings") as writer:
            written: Future[None] | None = None
            for start in range(0, len(missing), self._batch):
                chosen = missing[start : start + self._batch]
                rows = self._started(chosen)
                if written is not None:
                    written.result()
                written = writer.submit(self._keep, store, chosen, rows)
                self._progress(min(start + self._batch, len(missing)), len(missing))
            if written is not None:
                written.result()

    def _keep(self, store: RowStore, indices: IntArray, rows: torch.Tensor) -> None:
        store.put(indices, checked_rows(rows, len(indices), self._spec.name))

    def _embed(self, indices: IntArray) -> FloatArray:
        return checked_rows(self._started(indices), len(indices), self._spec.name)

    def _started(self, indices: IntArray) -> torch.Tensor:
        """Embeddings that a GPU may still be computing."""
        import torch

        x = to_unit_range(self._dataset.images(indices), self._device, self._size)
        looked_at = handed(f"metric {self._spec.name}", "images", x)
        with looked_at, torch.inference_mode(), mixed(self._device, self._precision):
            return self._metric.embed(x)


def given_rows(metric: EmbeddingMetric, spec: MetricSpec, dataset: ImageDataset) -> FloatArray:
    """(n, d) embeddings of a metric that looks at labels or at the names that people gave.

    Raises `Skip` where the dataset does not know them.

    >>> class Labels:
    ...     fingerprint = ""
    ...
    ...     def embed(self, labels):
    ...         return labels[:, None]
    >>> class Images:
    ...     labels = np.array([3, 1])
    ...
    ...     def __len__(self):
    ...         return 2
    >>> spec = MetricSpec(
    ...     name="same", summary="", load=lambda params, harness: Labels(), input="labels",
    ...     distance="equal",
    ... )
    >>> given_rows(Labels(), spec, Images()).tolist()
    [[3.0], [1.0]]
    """
    import torch

    if spec.input == "names":
        given = torch.from_numpy(names_of(dataset).counts).float()
    elif dataset.labels is None:
        raise Skip(f"{spec.name} needs labels and the images of this dataset have none")
    else:
        given = torch.from_numpy(np.array(dataset.labels))
    with handed(f"metric {spec.name}", "labels" if spec.input == "labels" else "names", given):
        rows = metric.embed(given)
    return checked_rows(rows, len(dataset), spec.name)


def checked_rows(rows: torch.Tensor, n: int, name: str) -> FloatArray:
    """What `embed` of `n` inputs gave, as float32 (n, d) on the CPU.

    Raises `PluginError` where the shape is wrong, `CaseError` where a value is not finite.

    >>> checked_rows(torch.ones(2), 2, "mine")
    Traceback (most recent call last):
    iibench.contract.errors.PluginError: metric mine: embed of 2 inputs gave shape (2,), expected (2, d)
    """
    real_tensor(rows, f"metric {name}", "an embedding")
    if rows.ndim != 2 or len(rows) != n:
        raise PluginError(
            f"metric {name}: embed of {n} inputs gave shape {tuple(rows.shape)}, expected ({n}, d)"
        )
    if not rows.shape[1]:
        raise PluginError(f"metric {name}: embed gave rows without a number, expected ({n}, d)")
    if not rows.is_floating_point() and rows.numel() and int(rows.long().abs().max()) > 1 << 24:
        raise PluginError(
            f"metric {name}: embed gave whole numbers above {1 << 24}, which float32 cannot tell apart"
        )
    values: FloatArray = rows.float().cpu().numpy()
    if not np.isfinite(values).all():
        raise CaseError(f"metric {name} gave an embedding that is not finite")
    return values
