"""Which neuron a direction is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iibench import FloatArray, IntArray


def neuron_of(vectors: FloatArray) -> IntArray | None:
    """(K,) the neuron that each of the vectors (K, N) is the basis vector of; None where one is not."""
    import numpy as np

    largest = vectors.argmax(axis=1)
    if not (vectors[np.arange(len(vectors)), largest] == 1).all():
        return None
    return largest.astype(np.int64) if np.count_nonzero(vectors) == len(vectors) else None
