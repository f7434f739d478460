"""The row about the most and the least activating images of many units over very many images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.benchmarks import peers
from tests.benchmarks.processes import Arrays, Clock, Prepared
from tests.benchmarks.row import Row
from tests.benchmarks.sizes import Sizes

M = 9
#: Images of one block, as a network's batches would bring them.
BLOCK = 4096


def blocks(n: int, k: int) -> Iterator[tuple[int, np.ndarray]]:
    """(first image, (b, k) responses), SYNTHETIC: independent normal values, float32."""
    for first in range(0, n, BLOCK):
        rng = np.random.default_rng([first])
        yield first, rng.standard_normal((min(BLOCK, n - first), k), dtype=np.float32)


def ours(sizes: Sizes) -> Prepared:
    """Block by block; making the blocks does not count."""
    from iibench.compute.extremes import Extremes

    n, k = sizes.many_images, sizes.many_units

    def run(clock: Clock) -> Arrays:
        found = Extremes.empty(k, M)
        stream = blocks(n, k)
        while True:
            with clock.paused():
                first, block = next(stream, (0, None))
            if block is None:
                break
            found = found.update(block, first)
        return {"top": found.top, "bottom": found.bottom}

    return Prepared(run, note=_note(sizes))


def theirs(sizes: Sizes) -> Prepared:
    """A part of the units, whose responses lie in memory, unit by unit."""
    n, k, part = sizes.many_images, sizes.many_units, sizes.many_peer_units
    responses = np.empty((part, n), np.float32)
    for first, block in blocks(n, k):
        responses[:, first : first + len(block)] = block[:, :part].T

    def run(clock: Clock) -> Arrays:
        top, bottom = peers.extremes_by_sorting(responses, M)
        return {"top": top, "bottom": bottom}

    return Prepared(run, k / part, _note(sizes))


def _note(sizes: Sizes) -> str:
    return f"SYNTHETIC, {sizes.many_images:,} x {sizes.many_units:,} independent normal values"


def _same(found: Arrays, expected: Arrays) -> None:
    for side, images in expected.items():
        np.testing.assert_array_equal(found[side][: len(images)], images, err_msg=side)


ROWS = (
    Row(
        "extremes",
        lambda sizes: (
            f"top-{M} and bottom-{M} of {sizes.many_units:,} units over {sizes.many_images:,} "
            f"images, streamed in blocks of {BLOCK:,} images"
        ),
        lambda sizes: (
            f"NumPy argsort of all images, unit by unit; timed on {sizes.many_peer_units} units in "
            f"memory, scaled to {sizes.many_units:,}"
        ),
        ours,
        theirs,
        _same,
        10,
        memory_gib=2,
    ),
)
