"""Similarities of metrics that compare embeddings in a way of their own (`distance="own"`)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.compute.border import real_tensor
from iibench.compute.handed import handed
from iibench.contract.errors import CaseError, PluginError
from iibench.contract.specs import ComparingMetric

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray, FloatArray, IntArray


def comparing(metric: Any, name: str) -> ComparingMetric:
    """The metric, which must have `embed` and `compare`; raises `PluginError` where it has not.

    >>> comparing(object(), "mine")
    Traceback (most recent call last):
    iibench.contract.errors.PluginError: metric mine declares distance="own" and has no embed or no compare
    """
    if not isinstance(metric, ComparingMetric):
        raise PluginError(f'metric {name} declares distance="own" and has no embed or no compare')
    return metric


#: Numbers in the rows of a group up to which it is compared by one thread: handing out so little work to
#: several costs more than it saves (28 times as much for SSIM of 2 x 9 images of 32 pixels, on two).
SMALL = 4 << 20


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes with one thread on the CPU meanwhile.

    >>> with one_thread():
    ...     torch.get_num_threads()
    1
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class ComparedSimilarity:
    """Answers `within` and `cross` from embeddings, group by group (see `SimilarityLookup`).

    `rows(indices)` makes sure that the rows of these images are there and returns the whole (n, d)
    array, of which only those rows may be read. `columns` selects a part of the embedding.

    >>> class Overlap:
    ...     fingerprint = ""
    ...
    ...     def embed(self, x):
    ...         return x.flatten(1)
    ...
    ...     def compare(self, a, b):
    ...         return torch.minimum(a[:, None], b[None]).sum(dim=2)
    >>> rows = np.array([[1.0, 2.0], [3.0, 0.0]], np.float32)
    >>> lookup = ComparedSimilarity(Overlap(), lambda indices: rows)
    >>> lookup.within(np.array([[0, 1]])).tolist()
    [[[3.0, 1.0], [1.0, 3.0]]]
    """

    def __init__(
        self,
        metric: ComparingMetric,
        rows: Callable[[IntArray], FloatArray],
        device: str = "cpu",
        columns: slice | None = None,
    ) -> None:
        self._metric = metric
        self._rows = rows
        self._device = "cpu" if device == "mps" else device  # which has no float64
        self._columns = columns if columns is not None else slice(None)

    def within(self, groups: IntArray) -> DoubleArray:
        """groups (G, M) -> (G, M, M) similarity of every ordered pair in each group."""
        return self.cross(groups, groups)

    def cross(self, left: IntArray, right: IntArray) -> DoubleArray:
        """left (G, a), right (G, b) -> (G, a, b) similarity of each left to each right image."""
        import torch

        table = self._rows(np.unique(np.concatenate([left.ravel(), right.ravel()])))
        out = np.empty((len(left), left.shape[1], right.shape[1]))
        numbers = (left.shape[1] + right.shape[1]) * table[:1, self._columns].shape[1]
        with one_thread() if numbers <= SMALL else contextlib.nullcontext():
            for g in range(len(left)):
                a, b = (
                    torch.from_numpy(np.ascontiguousarray(table[side[g], self._columns]))
                    for side in (left, right)
                )
                a, b = a.to(self._device), b.to(self._device)
                who = f"metric {type(self._metric).__name__}"
                with torch.inference_mode(), handed(who, "embeddings", a, b):
                    values = real_tensor(self._metric.compare(a, b), who, "a similarity")
                if tuple(values.shape) != out.shape[1:]:
                    raise PluginError(
                        f"compare of {len(a)} and {len(b)} embeddings gave shape "
                        f"{tuple(values.shape)}, expected {out.shape[1:]}"
                    )
                out[g] = values.cpu().double().numpy()
        if not np.isfinite(out).all():
            raise CaseError("the metric gave a similarity that is not a finite number")
        return out
