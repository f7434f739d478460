"""Sparse principal component analysis (Zou et al. 2006, Mairal et al. 2009; scikit-learn).

A (n, N) activations, m (N,) their mean, s the root of the neurons' mean variance,
X = (A - m) / (s sqrt(n)), so that a neuron's squared entries sum to 1 on average. The components V (K, N)
are few neurons each:

    min over U (n, K), V of  1/2 ||X - U V||^2 + alpha sum |V|   with columns of U of norm at most 1

and are then scaled to unit norm. The direction is V[k]; components are not orthogonal, so the response is
not a projection but the weight in the best description of the activation by all of them, with a slight
ridge: R = (A - m) V^T (V V^T + ridge 1)^-1, in the activation's unit. A component has no sign of its own:
each is oriented so that its responses over the fit split are positively skewed.

Neither n nor the activations' unit matters to alpha. scikit-learn's objective on A - m itself is the same
with its alpha = s sqrt(n) times this one.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt

from iibench import CaseError, Directions, FinderSpec, hookimpl

from .._shared.bibliography import MAIRAL2009, entries, entry
from ._orientation import positive_skew_signs, sklearn_seed
from ._randomness import undisturbed

if TYPE_CHECKING:
    from iibench import DoubleArray, FitContext, FloatArray

ZOU2006 = entry(
    "article",
    "zou2006sparse",
    author="Hui Zou and Trevor Hastie and Robert Tibshirani",
    title="Sparse Principal Component Analysis",
    journal="Journal of Computational and Graphical Statistics",
    volume=15,
    number=2,
    pages="265--286",
    year=2006,
)


#: Neurons in a step of the fit: scikit-learn learns the images' side of the factorisation from them.
NEURONS = 64


@dataclass(frozen=True)
class Params:
    """Parameters of sparse PCA."""

    k: Annotated[int, Ge(1)] = field(
        default=64,
        metadata={
            "help": "number of components, K; of 10,000 images and 512 neurons 64 take seconds, 256 "
            "take minutes"
        },
    )
    alpha: Annotated[float, Gt(0)] = field(
        default=0.1,
        metadata={"help": "penalty on the components' entries; larger: fewer neurons in each"},
    )
    ridge: Annotated[float, Ge(0)] = field(
        default=0.01, metadata={"help": "ridge of the least squares that give the response"}
    )
    max_iter: Annotated[int, Ge(1)] = field(
        default=1000, metadata={"help": "passes over the neurons at most; a note says if reached"}
    )
    tol: Annotated[float, Ge(0)] = field(
        default=1e-3,
        metadata={"help": "relative change of the factors in a step that ends the fit"},
    )


def fit(params: Params, A: FloatArray, context: FitContext) -> Directions:
    """Components in scikit-learn's order, in float64.

    Notes: explained variance, neurons in a component, components of zeros, and whether the passes ran
    out. Raises `CaseError` for k > min(n, N) and for activations that are all the same.
    """
    import numpy as np
    from sklearn.decomposition import MiniBatchSparsePCA
    from sklearn.exceptions import ConvergenceWarning

    n, width = A.shape
    if params.k > min(n, width):
        raise CaseError(
            f"sparse_pca: k = {params.k} components are asked for and {n} images with {width} "
            f"neurons allow at most {min(n, width)}"
        )
    if n < 2 or not np.ptp(A, axis=0).any():
        raise CaseError(
            f"sparse_pca: the activations of the {n} images to fit on are all the same, "
            "there is no variance to decompose"
        )
    mean = A.mean(axis=0, dtype=np.float64)
    energy = float(np.var(A, axis=0, dtype=np.float64).mean())
    model = MiniBatchSparsePCA(
        params.k,
        alpha=params.alpha,
        batch_size=NEURONS,
        max_iter=params.max_iter,
        tol=params.tol,
        method="cd",
        random_state=sklearn_seed(context.seed),
    )
    with warnings.catch_warnings(), undisturbed():
        # of single neurons' regressions within a step: the next pass solves them again
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit((A - mean) / np.sqrt(energy * n))
    V = model.components_
    R = _weights(A - mean, V, params.ridge)
    V = V * positive_skew_signs(R, V)[:, None]
    residual = A - mean - _weights(A - mean, V, params.ridge) @ V
    explained = 1 - float(np.square(residual).sum()) / (energy * n * width)
    used = (V != 0).sum(axis=1)
    notes = [
        f"the components explain {100 * explained:.1f} % of the variance with "
        f"{used.mean():.1f} neurons each on average"
    ]
    if not used.all():
        notes.append(f"{int((used == 0).sum())} of {params.k} components are zero")
    if model.n_iter_ >= params.max_iter:
        notes.append(f"sparse PCA did not converge in {params.max_iter} passes over the neurons")
    return Directions(V.astype(np.float32), {"mean": mean}, tuple(notes))


def _weights(centred: DoubleArray, V: DoubleArray, ridge: float) -> DoubleArray:
    """(n, K) ridge regression of each row of `centred` (n, N) on the rows of V; 0 for zero rows."""
    import numpy as np

    there = V.any(axis=1)
    found = np.zeros((len(centred), len(V)))
    if there.any():
        gram = V[there] @ V[there].T + ridge * np.eye(int(there.sum()))
        if ridge > 0:
            solved = np.linalg.solve(gram, V[there] @ centred.T)
        else:
            solved = np.linalg.pinv(gram, hermitian=True) @ (V[there] @ centred.T)
        found[:, there] = solved.T
    return found


def encode(params: Params, directions: Directions, A: FloatArray) -> FloatArray:
    """R (n, K): the weights of the components in the centred activation, in the activation's unit."""
    import numpy as np

    centred = A - directions.state["mean"]
    weights = _weights(centred, directions.vectors.astype(np.float64), params.ridge)
    return np.ascontiguousarray(weights, dtype=np.float32)


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Registers `sparse_pca`."""
    yield FinderSpec(
        name="sparse_pca",
        summary="components of few neurons, oriented to positive skew; response: the weight",
        definition=(
            "With X the fit split's centred activations over s sqrt(n), s^2 being the neurons' mean "
            "variance: min over U, V of 1/2 ||X - U V||^2 + alpha sum |V| with columns of U of norm at "
            "most 1. The direction is the component v_k, of few neurons, then scaled to unit norm. The "
            "responses of an image with activation a are the weights (a - m) V^T (V V^T + ridge 1)^-1 "
            "of the components in its best description by all of them, in the activation's unit. Each "
            "component is oriented so that its responses over the fit split are positively skewed."
        ),
        params=Params,
        headline=("k",),
        fit=fit,
        encode=encode,
        citation="Zou, Hastie & Tibshirani (2006), Sparse principal component analysis; Mairal et al. "
        "(2009), Online dictionary learning for sparse coding",
        bibtex=entries(ZOU2006, MAIRAL2009),
    )
