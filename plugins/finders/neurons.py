"""The neurons themselves: the basis of activation space, the baseline of every finder.

A (n, N) activations, K = N directions, R = A.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from iibench import Directions, FinderSpec, hookimpl
from iibench.specs import NoParams

if TYPE_CHECKING:
    from iibench.specs import FitContext, FloatArray


def fit(params: NoParams, A: FloatArray, context: FitContext) -> Directions:
    """The N basis vectors, in the order of the neurons."""
    import numpy as np

    return Directions(np.eye(A.shape[1], dtype=np.float32))


def encode(params: NoParams, directions: Directions, A: FloatArray) -> FloatArray:
    """R (n, N): the activation, unchanged."""
    import numpy as np

    return np.ascontiguousarray(A, dtype=np.float32)


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Registers `neurons`."""
    yield FinderSpec(
        name="neurons",
        summary="the N neurons: basis vectors of activation space; response: the activation",
        fit=fit,
        encode=encode,
        trains_on=False,
        citation="Identifying Interpretable Features in Convolutional Neural Networks, Sec. 2",
    )
