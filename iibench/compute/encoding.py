"""Activations -> responses to directions, block by block of images.

The blocks are the same whatever memory there is, so that responses do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from iibench.cache.mapped import release
from iibench.compute.border import real_float32
from iibench.compute.handed import handed, read_only

if TYPE_CHECKING:
    from iibench.contract.arrays import FloatArray

#: Images whose responses are computed at once, more or less.
ROWS = 8192


def iter_responses(
    encode: Callable[[FloatArray], FloatArray], activations: FloatArray, k: int, finder: str
) -> Iterator[tuple[slice, FloatArray]]:
    """(rows, their responses (b, K) float32) of activations (n, N), which may be a mapped file.

    `encode`: what the finder does with rows; `k`: its number of directions. Raises `PluginError` for
    responses of another shape, `CaseError` where one is not finite.

    >>> activations = np.array([[1, 0], [0, 2], [3, 4]], np.float32)
    >>> ((rows, values),) = iter_responses(lambda a: a @ np.ones((2, 1)), activations, 1, "sum")
    >>> rows, values[:, 0].tolist()
    (slice(0, 3, None), [1.0, 2.0, 7.0])
    """
    n = len(activations)
    # of like size, not ROWS and a rest: what a finder checks of its rows needs enough of them
    blocks = max(1, round(n / ROWS))
    for block in range(blocks):
        rows = slice(n * block // blocks, n * (block + 1) // blocks)
        data = read_only(np.array(activations[rows], order="C"))  # a copy: torch could write to it
        with handed(f"finder {finder}", "activations", data):
            found = encode(data)
        yield rows, real_float32(found, f"finder {finder}", "a response", (len(data), k))
        release(activations)
