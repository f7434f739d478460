"""What one image takes: a few batches of made-up images through a network or a metric, timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from iibench.contract.arrays import FloatArray, ImageArray

#: A batch is repeated for this long; and not made full where that would take longer.
SECONDS = 0.3
#: Images of the first, small batch.
FIRST = 4


@dataclass(frozen=True)
class Timed:
    """`seconds` of one image, and the `rows` (b, width) of the last batch."""

    seconds: float
    rows: FloatArray

    @property
    def width(self) -> int:
        """Numbers in the row of one image."""
        return int(self.rows.shape[1])


def timed_rows(
    run: Callable[[ImageArray], FloatArray],
    size: tuple[int, int],
    batch: int,
    clock: Callable[[], float],
) -> Timed:
    """Times `run` on batches of `batch` random images (h, w) of `size`, or of fewer where a batch would
    take too long. Raises what `run` raises."""
    few = pixels(min(FIRST, batch), size)
    start = clock()
    run(few)
    first = clock() - start
    images = few
    if first / len(few) * batch < 2 * SECONDS:
        images = pixels(batch, size)
    rows = run(images)
    return Timed(mean_seconds(lambda: run(images), clock) / len(images), rows)


def pixels(n: int, size: tuple[int, int]) -> ImageArray:
    """uint8 (n, h, w, 3) random images, the same every time."""
    return np.random.default_rng(0).integers(0, 256, (n, *size, 3), dtype=np.uint8)


def mean_seconds(run: Callable[[], object], clock: Callable[[], float]) -> float:
    """Mean seconds of a call that is repeated for `SECONDS`."""
    start, calls = clock(), 0
    while True:
        run()
        calls += 1
        spent = clock() - start
        if spent >= SECONDS or calls >= 50:
            return spent / calls
