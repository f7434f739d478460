"""Independent component analysis: FastICA (Hyvärinen & Oja 2000; scikit-learn).

A (n, N) activations, m (N,) their mean, U (K, N) unmixing matrix, S = (A - m) U^T the sources, of unit
variance over the fit split, V (K, N) the mixing matrix's columns as rows: A - m = S V (up to the
components left out). The direction is V[k], what source k adds to the activation; the response is
S[:, k]. A source has no sign of its own: each is oriented so that its responses over the fit split
are positively skewed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt

from iibench import Directions, FinderSpec, FinderWork, Work, hookimpl

from .._shared.bibliography import entry
from ._counts import SKLEARN, principal
from ._orientation import positive_skew_signs, principal_components, sklearn_seed

if TYPE_CHECKING:
    from iibench import FitContext, FloatArray

HYVARINEN2000 = entry(
    "article",
    "hyvarinen2000independent",
    author='Aapo Hyv{\\"a}rinen and Erkki Oja',
    title="Independent Component Analysis: Algorithms and Applications",
    journal="Neural Networks",
    volume=13,
    pages="411--430",
    year=2000,
)
#: Iterations of FastICA for each source, as seen on layers of a ResNet50.
ICA = 1.3


@dataclass(frozen=True)
class Params:
    """Parameters of FastICA."""

    k: Annotated[int, Ge(1)] | None = field(
        default=None,
        metadata={"help": "number of sources, K; null: all min(n, N) of them"},
    )
    max_iter: Annotated[int, Ge(1)] = field(
        default=500, metadata={"help": "iterations at most; a note says so where they run out"}
    )
    tol: Annotated[float, Gt(0)] = field(
        default=1e-4, metadata={"help": "largest change of an unmixing vector that ends the fit"}
    )


def fit(params: Params, A: FloatArray, context: FitContext) -> Directions:
    """Parallel FastICA (logcosh) on the whitened principal components.

    Whitening to the activations' numerical rank first keeps dead neurons from dividing by zero.
    Raises `CaseError` for k > min(n, N) and for activations that are all the same.
    """
    import numpy as np
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    found = principal_components(A, params.k, context.seed, "ica")
    scale = np.sqrt(found.variance)
    whitening = found.components / scale[:, None]
    white = ((A - found.mean) @ whitening.T).astype(np.float32)
    model = FastICA(
        whiten=False,
        max_iter=params.max_iter,
        tol=params.tol,
        random_state=sklearn_seed(context.seed),
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(white)
    notes = found.notes
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        notes = (*notes, f"FastICA did not converge in {params.max_iter} iterations")
    # the rotation is orthogonal up to float32; polishing it makes mixing the exact inverse
    left, _, right = np.linalg.svd(model.components_.astype(np.float64))
    rotation = left @ right
    unmixing = rotation @ whitening
    mixing = rotation @ (found.components * scale[:, None])
    signs = positive_skew_signs(white @ rotation.T, mixing)[:, None]
    return Directions(
        (mixing * signs).astype(np.float32),
        {"mean": found.mean, "unmixing": unmixing * signs},
        notes,
    )


def encode(params: Params, directions: Directions, A: FloatArray) -> FloatArray:
    """R (n, K): the sources, in standard deviations of the fit split."""
    import numpy as np

    sources = (A - directions.state["mean"]) @ directions.state["unmixing"].T
    return np.ascontiguousarray(sources, dtype=np.float32)


def work(params: Any, n: int, width: int) -> FinderWork:
    """Whitening, then iterations of two products, a tanh and a decorrelation each."""
    k = params.k or min(n, width)
    first = principal(n, width)
    iterations = min(params.max_iter, 20 + ICA * k)
    fit = Work(
        flops=iterations * 4.0 * n * k**2,
        flops64=first.flops64 + 4.0 * n * width * k + iterations * 12.0 * k**3,
        values=first.values + iterations * 20.0 * n * k,
        memory=32.0 * n * width,
        imports=SKLEARN,
    )
    encode = Work(flops64=2.0 * k * width, values=4.0 * width + 2.0 * k)
    return FinderWork(k, fit, encode)


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Registers `ica`."""
    yield FinderSpec(
        name="ica",
        summary="FastICA sources, oriented to positive skew; response: the source signal",
        definition=(
            "FastICA (parallel, logcosh) on the whitened principal components of the fit split's "
            "activations: a - m = sum over k of s_k v_k with sources s_k that are as independent "
            "as can be and have variance 1 over the fit split. The direction is the mixing vector "
            "v_k, the response the source s_k, in standard deviations of the fit split. A source "
            "has no sign of its own: each is oriented so that its responses over the fit split "
            "are positively skewed."
        ),
        params=Params,
        fit=fit,
        encode=encode,
        work=work,
        citation="Hyvärinen & Oja (2000), Independent component analysis: algorithms and applications",
        bibtex=HYVARINEN2000,
    )
