"""Principal component analysis.

A (n, N) activations, m (N,) their mean, V (K, N) orthonormal components, R = (A - m) V^T.
A principal component has no sign of its own: each is oriented so that its responses over the fit
split are positively skewed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from iibench import Directions, FinderSpec, FinderWork, Work, hookimpl

from .._shared.bibliography import KLINDT2023
from ._counts import SKLEARN, principal, projection
from ._orientation import positive_skew_signs, principal_components

if TYPE_CHECKING:
    from iibench import FitContext, FloatArray


@dataclass(frozen=True)
class Params:
    """Parameters of PCA."""

    k: Annotated[int, Ge(1)] | None = field(
        default=None,
        metadata={"help": "number of components, K; null: all min(n, N) of them"},
    )


def fit(params: Params, A: FloatArray, context: FitContext) -> Directions:
    """Components by falling variance, in float64; those without variance are left out with a note.

    Raises `CaseError` for k > min(n, N) and for activations that are all the same.
    """
    import numpy as np

    found = principal_components(A, params.k, context.seed, "pca")
    responses = (A - found.mean) @ found.components.T
    signs = positive_skew_signs(responses, found.components)
    share = found.variance.sum() / found.total
    return Directions(
        (found.components * signs[:, None]).astype(np.float32),
        {"mean": found.mean},
        (*found.notes, f"the components explain {100 * share:.1f} % of the variance"),
    )


def encode(params: Params, directions: Directions, A: FloatArray) -> FloatArray:
    """R (n, K): projection of the centred activation on each component, in the activation's unit."""
    import numpy as np

    centred = (A - directions.state["mean"]).astype(np.float32)
    return np.ascontiguousarray(centred @ directions.vectors.T)


def work(params: Any, n: int, width: int) -> FinderWork:
    """Principal components, then the skewness of every response."""
    k = params.k or min(n, width)
    first = principal(n, width)
    fit = Work(
        flops64=first.flops64 + 2.0 * n * width * k,
        values=first.values + 40.0 * n * k,
        memory=24.0 * n * width,
        imports=SKLEARN,
    )
    return FinderWork(k, fit, projection(k, width))


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Registers `pca`."""
    yield FinderSpec(
        name="pca",
        summary="principal components, oriented to positive skew; response: centred projection",
        definition=(
            "The directions are the principal components v_k of the fit split's activations, "
            "orthonormal, by falling variance; components without variance are left out. The "
            "response of an image with activation a is the projection (a - m) . v_k, m being the "
            "mean of the fit split, in the activation's unit. A component has no sign of its own: "
            "each is oriented so that its responses over the fit split are positively skewed."
        ),
        params=Params,
        fit=fit,
        encode=encode,
        work=work,
        citation="Identifying Interpretable Features in Convolutional Neural Networks, Sec. 3.2",
        bibtex=KLINDT2023,
    )
