"""What one image costs on this machine: a few batches through a network or a metric, timed.

Images are random pixels of the dataset's size, so that no dataset has to be decoded for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.compute.activations import images_per_pass, network_input, tapped
from iibench.compute.images import to_unit_range
from iibench.compute.precision import mixed
from iibench.compute.similarity.embeddings import BATCH_PIXELS
from iibench.contract.errors import CaseError
from iibench.contract.specs import Directions, FinderSpec, FitContext

if TYPE_CHECKING:
    from iibench.contract.arrays import FloatArray, ImageArray
    from iibench.contract.specs import ComparingMetric, EmbeddingMetric, LoadedModel, PairwiseMetric

Clock = Callable[[], float]

#: A batch is repeated for this long; and not made full where that would take longer.
SECONDS = 0.3
#: Images of the first, small batch, and of the two samples that finders without declared work are fitted to.
FIRST, SAMPLES = 4, (128, 512)


@dataclass(frozen=True)
class Probed:
    """`seconds` of one image, `width` of its row, and the `rows` (b, width) of the last batch."""

    seconds: float
    width: int
    rows: FloatArray


@dataclass(frozen=True)
class Fitted:
    """A fit of a sample: K `directions`, seconds at both ends of a line over n, seconds of encoding one."""

    directions: int
    fixed: float
    each: float
    encode: float

    def fit(self, n: int) -> float:
        """Seconds of a fit to n images."""
        return self.fixed + self.each * n


def probe_network(
    model: LoadedModel,
    layer: str,
    pool: str,
    size: tuple[int, int],
    device: str,
    batch_size: int | None = None,
    clock: Clock = time.perf_counter,
    precision: str = "float32",
) -> Probed:
    """One image (h, w) of `size` up to `layer`, in batches as `iter_activations` makes them.

    Raises as `iter_activations` does, and what the network raises.
    """
    tap = tapped(model, layer, pool)

    def run(images: ImageArray) -> FloatArray:
        x = network_input(to_unit_range(images, device), model.preprocess)
        values: FloatArray = tap.pooled_without_gradients(x, precision).cpu().numpy()
        return values

    return _probe(run, size, images_per_pass(batch_size, device), clock)


def probe_metric(
    metric: EmbeddingMetric,
    resize: int | None,
    size: tuple[int, int],
    device: str,
    clock: Clock = time.perf_counter,
    precision: str = "float32",
) -> Probed:
    """The embedding of one image (h, w) of `size`, in batches as `EmbeddingTable` makes them."""
    import torch

    def run(images: ImageArray) -> FloatArray:
        with torch.inference_mode(), mixed(device, precision):
            rows = metric.embed(to_unit_range(images, device, resize))
        values: FloatArray = rows.float().cpu().numpy()
        return values

    height, width = size if resize is None else (resize, resize)
    return _probe(run, size, max(1, min(512, BATCH_PIXELS // max(1, height * width))), clock)


def probe_pairs(
    metric: ComparingMetric | PairwiseMetric,
    resize: int | None,
    size: tuple[int, int],
    device: str,
    clock: Clock = time.perf_counter,
    precision: str = "float32",
) -> float:
    """Seconds of the similarity of two images under a metric that compares in its own way."""
    import torch

    left, right = 2, 8  # about a trial: two queries, its references
    with torch.inference_mode():
        x: Any = to_unit_range(_pixels(left + right, size), device, resize)
        own = getattr(metric, "compare", None)
        if own is not None:
            with mixed(device, precision):  # what is compared are float32 rows, as in a run
                x = metric.embed(x).float()  # type: ignore[union-attr]
        compare = metric.pairwise if own is None else own  # type: ignore[union-attr]
        seconds = _timed(lambda: compare(x[:left], x[left:]).cpu(), clock)
    return seconds / (left * right)


def probe_finder(
    spec: FinderSpec,
    params: Any,
    rows: FloatArray,
    context: FitContext,
    clock: Clock = time.perf_counter,
) -> Fitted | None:
    """Fits two small samples of activations like `rows` (b, N); None where it does not fit those.

    The samples are mixtures of two activations each: as many different ones as needed, of their range.
    """
    rng = np.random.default_rng(0)
    times: list[float] = []
    found: Directions | None = None
    for n in SAMPLES:
        share = rng.random((n, 1), dtype=np.float32)
        one, other = (rows[rng.integers(0, len(rows), n)] for _ in range(2))
        sample = np.ascontiguousarray(share * one + (1 - share) * other)
        start = clock()
        try:
            found = spec.fit(params, sample, context)
        except CaseError:  # fewer images than directions, for one
            continue
        times.append(clock() - start)
        if times[-1] > 2 * SECONDS:
            break
    if found is None:
        return None
    start = clock()
    spec.encode(params, found, sample)
    encode = (clock() - start) / n
    last = times[-1]
    each = max(0.0, last - times[0]) / (SAMPLES[1] - SAMPLES[0]) if len(times) > 1 else last / n
    return Fitted(len(found.vectors), max(0.0, last - each * n), each, encode)


def _pixels(n: int, size: tuple[int, int]) -> ImageArray:
    return np.random.default_rng(0).integers(0, 256, (n, *size, 3), dtype=np.uint8)


def _probe(
    run: Callable[[ImageArray], FloatArray], size: tuple[int, int], batch: int, clock: Clock
) -> Probed:
    """Times a batch of `batch` images, or of fewer where that would take too long."""
    few = _pixels(min(FIRST, batch), size)
    start = clock()
    rows = run(few)
    first = clock() - start
    count = batch if first / len(few) * batch < 2 * SECONDS else len(few)
    images = _pixels(count, size)
    rows = run(images)
    return Probed(_timed(lambda: run(images), clock) / count, rows.shape[1], rows)


def _timed(run: Callable[[], object], clock: Clock) -> float:
    """Mean seconds of a call that is repeated for `SECONDS`, at least twice unless one takes longer."""
    start, calls = clock(), 0
    while True:
        run()
        calls += 1
        spent = clock() - start
        if spent >= SECONDS or calls >= 50:
            return spent / calls
