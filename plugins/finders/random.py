"""Random directions: what a finder must beat to have found anything.

A (n, N) activations, V (K, N) directions drawn uniformly from the unit sphere, R = A V^T.

R is not centred: the mean of A would shift all responses to a direction by one constant, which
changes neither the order of the images nor any correlation. So `fit` needs the shape of A only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from iibench import Directions, FinderSpec, hookimpl

if TYPE_CHECKING:
    from iibench import FitContext, FloatArray


@dataclass(frozen=True)
class Params:
    """Parameters of random directions."""

    k: Annotated[int, Ge(1)] = field(default=256, metadata={"help": "number of directions, K"})


def fit(params: Params, A: FloatArray, context: FitContext) -> Directions:
    """K unit vectors: Gaussian vectors scaled to unit norm, drawn from `context.seed`."""
    import numpy as np

    drawn = np.random.default_rng(context.seed).standard_normal((params.k, A.shape[1]))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return Directions(drawn.astype(np.float32))


def encode(params: Params, directions: Directions, A: FloatArray) -> FloatArray:
    """R (n, K): projection of the activation on each direction, in the activation's unit."""
    import numpy as np

    return np.ascontiguousarray(A @ directions.vectors.T, dtype=np.float32)


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Registers `random`."""
    yield FinderSpec(
        name="random",
        summary="K random unit vectors (a control); response: projection of the activation",
        definition=(
            "A control: K vectors v_k drawn uniformly from the unit sphere of the activation "
            "space (normal numbers scaled to unit norm). The response of an image with activation "
            "a to direction k is the projection a . v_k, in the activation's unit; a is not "
            "centred, which would change no order of images. Nothing is fitted."
        ),
        params=Params,
        headline=("k",),
        fit=fit,
        encode=encode,
        trains_on=False,
        role="control",
        called="random directions",
    )
