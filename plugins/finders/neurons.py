"""The neurons themselves: the basis of activation space, the baseline of every finder.

A (n, N) activations, K = N directions or one for each of the chosen units, R = A[:, units].
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from iibench import CaseError, Directions, FinderSpec, hookimpl

from .._shared.bibliography import KLINDT2023

if TYPE_CHECKING:
    from iibench import FitContext, FloatArray


@dataclass(frozen=True)
class Params:
    """Parameters of the neurons."""

    units: tuple[Annotated[int, Ge(0)], ...] = field(
        default=(), metadata={"help": "only these channels, in this order; without it all N"}
    )


def fit(params: Params, A: FloatArray, context: FitContext) -> Directions:
    """The N basis vectors, in the order of the neurons, or those of `params.units` in that order.

    Raises `CaseError` for a unit that the layer does not have and for one that is named twice.
    """
    import numpy as np

    N = A.shape[1]
    units = params.units or tuple(range(N))
    beyond = [unit for unit in units if unit >= N]
    if beyond:
        raise CaseError(f"neurons: found unit {beyond[0]}; expected 0 to {N - 1}, since N = {N}")
    twice = [unit for k, unit in enumerate(units) if unit in units[:k]] if params.units else []
    if twice:
        raise CaseError(f"neurons: found unit {twice[0]} twice; expected each unit once")
    vectors = np.zeros((len(units), N), dtype=np.float32)
    vectors[np.arange(len(units)), units] = 1
    return Directions(vectors)


def encode(params: Params, directions: Directions, A: FloatArray) -> FloatArray:
    """R (n, K): the activation, unchanged."""
    import numpy as np

    chosen = A[:, params.units] if params.units else A
    return np.ascontiguousarray(chosen, dtype=np.float32)


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Registers `neurons`."""
    yield FinderSpec(
        name="neurons",
        summary="the N neurons: basis vectors of activation space; response: the activation",
        definition=(
            "The directions are the N basis vectors of the layer's activation space, one per "
            "neuron (channel), or those of the chosen `units`. The response of an image to "
            "direction k is its activation a_k, unchanged and in the layer's own unit. Nothing is "
            "fitted."
        ),
        params=Params,
        fit=fit,
        encode=encode,
        trains_on=False,
        role="baseline",
        called="neurons",
        citation="Identifying Interpretable Features in Convolutional Neural Networks, Sec. 2",
        bibtex=KLINDT2023,
    )
