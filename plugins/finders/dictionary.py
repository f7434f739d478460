"""Dictionary learning: sparse weights of learned unit vectors (Mairal et al. 2009; scikit-learn).

A (n, N) activations, m (N,) their mean, s > 0 one scale for all neurons, x = (A - m) / s with mean
squared norm N. The dictionary D (K, N) and the codes R (n, K) are learned in batches of images:

    min over R, D of  1/2 ||x - R D||^2 + alpha sum |R|   with rows of D of norm at most 1

The direction is D[k], the response the code R[:, k], in units of s. The code of an image under a given D
is a problem of its own, which `encode` solves as `code` says. Neither n nor the activations' unit matters
to alpha: an atom is used where it explains more than alpha of the scaled activation.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt

from iibench import CaseError, Directions, FinderSpec, hookimpl

from .._shared.bibliography import MAIRAL2009
from ._autoencoder import ROWS, standard, stored
from ._orientation import positive_skew_signs, sklearn_seed
from ._randomness import undisturbed

if TYPE_CHECKING:
    from iibench import DoubleArray, FitContext, FloatArray

#: Passes of coordinate descent over a code at most.
CODE_PASSES = 10_000


@dataclass(frozen=True)
class Params:
    """Parameters of dictionary learning."""

    k: Annotated[int, Ge(1)] = field(
        default=128, metadata={"help": "number of atoms, K; may be larger than N"}
    )
    alpha: Annotated[float, Gt(0)] = field(
        default=1.0, metadata={"help": "penalty on the codes; larger: fewer atoms an image"}
    )
    positive: bool = field(
        default=True,
        metadata={
            "help": "codes >= 0, so that an atom is only ever added; else atoms have no sign of their "
            "own and are oriented so that their codes over the fit split are positively skewed"
        },
    )
    code: Literal["lasso", "threshold", "omp"] = field(
        default="lasso",
        metadata={
            "help": "lasso: the code of the objective; threshold: the projection on each atom less "
            "alpha, or zero; omp: orthogonal matching pursuit with `active` atoms (positive: false)"
        },
    )
    active: Annotated[int, Ge(1)] = field(
        default=16, metadata={"help": "omp: atoms of an image's code"}
    )
    batch_size: Annotated[int, Ge(1)] = field(
        default=256, metadata={"help": "images in a step of the fit (decides the result)"}
    )
    max_iter: Annotated[int, Ge(1)] = field(
        default=20, metadata={"help": "passes over the images at most; a note says if reached"}
    )
    tol: Annotated[float, Ge(0)] = field(
        default=1e-3,
        metadata={"help": "relative change of the dictionary in a step that ends the fit"},
    )

    def __post_init__(self) -> None:
        """Raises `ValueError`, which the suite's reader reports, for codes that there are not."""
        if self.code == "omp" and self.positive:
            raise ValueError(
                "found code: omp with positive: true; expected positive: false, since "
                "matching pursuit has codes of either sign"
            )


def fit(params: Params, A: FloatArray, context: FitContext) -> Directions:
    """D, in float64. The fit itself always uses the lasso's codes.

    Notes: explained variance and mean number of atoms an image, atoms that no image uses, and whether
    the passes ran out. Raises `CaseError` for K > n, for activations that are all the same and for
    more active atoms than there can be.
    """
    import numpy as np
    from sklearn.decomposition import MiniBatchDictionaryLearning
    from sklearn.exceptions import ConvergenceWarning

    _check(params, A)
    scaling = standard(A, "dictionary")
    x = scaling.apply(A)
    model = MiniBatchDictionaryLearning(
        params.k,
        alpha=params.alpha,
        fit_algorithm="cd",
        positive_code=params.positive,
        batch_size=params.batch_size,
        max_iter=params.max_iter,
        tol=params.tol,
        random_state=sklearn_seed(context.seed),
    )
    with warnings.catch_warnings(), undisturbed():
        # of single images' codes within a step: later steps see the image again
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x)
    D = model.components_.astype(np.float32)
    R = _codes(params, x, D)
    if not params.positive:
        signs = positive_skew_signs(R, D).astype(np.float32)[:, None]
        D, R = D * signs, R * signs.T
    unused = int((~R.any(axis=0)).sum())
    notes = [
        f"{_explained(params, x, R, D)} {(R != 0).sum() / len(A):.1f} atoms an image; {unused} of "
        f"{params.k} are used by no image of the fit split"
    ]
    if model.n_steps_ >= params.max_iter * -(-len(A) // params.batch_size):
        notes.append(f"the dictionary did not converge in {params.max_iter} passes over the images")
    return Directions(D, scaling.state(), tuple(notes))


def _explained(params: Params, x: DoubleArray, R: DoubleArray, D: FloatArray) -> str:
    import numpy as np

    if params.code == "threshold":
        return "codes of"  # each on its own, they add up to no description of x
    share = 1 - float(np.square(x - R @ D).sum()) / float(np.square(x).sum())
    return f"explains {100 * share:.1f} % of the variance with"


def _check(params: Params, A: FloatArray) -> None:
    if params.k > len(A):
        raise CaseError(
            f"dictionary: k = {params.k} atoms are asked for and there are n = {len(A)} images to "
            "fit on"
        )
    if params.code == "omp" and params.active > min(params.k, A.shape[1]):
        raise CaseError(
            f"dictionary: active = {params.active} atoms are asked for and K = {params.k} atoms in "
            f"N = {A.shape[1]} dimensions allow at most {min(params.k, A.shape[1])}"
        )


def _codes(params: Params, x: DoubleArray, D: FloatArray) -> DoubleArray:
    """(n, K) codes of the rows of x, each on its own."""
    import numpy as np
    from sklearn.decomposition import sparse_encode
    from sklearn.exceptions import ConvergenceWarning

    atoms = D.astype(np.float64)
    codes = np.empty((len(x), len(D)))
    with warnings.catch_warnings(), undisturbed():
        # scikit-learn asks for a duality gap of 1e-8 of the activation's squared norm, and pursuit
        # may have nothing left to explain before `active` atoms are found
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        for start in range(0, len(x), ROWS):
            codes[start : start + ROWS] = sparse_encode(
                x[start : start + ROWS],
                atoms,
                algorithm="lasso_cd" if params.code == "lasso" else params.code,
                alpha=None if params.code == "omp" else params.alpha,
                n_nonzero_coefs=params.active if params.code == "omp" else None,
                positive=params.positive,
                max_iter=CODE_PASSES,
            )
    return codes


def encode(params: Params, directions: Directions, A: FloatArray) -> FloatArray:
    """R (n, K): the codes, in units of the fit split's scale s; >= 0 where `positive`."""
    import numpy as np

    codes = _codes(params, stored(directions.state).apply(A), directions.vectors)
    return np.ascontiguousarray(codes, dtype=np.float32)


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Registers `dictionary`."""
    yield FinderSpec(
        name="dictionary",
        summary="atoms of a learned dictionary; response: the sparse code",
        definition=(
            "With x the activation less the fit split's mean, over one scale for all neurons: min "
            "over codes r and atoms d_k (rows of D, norm at most 1) of 1/2 ||x - r D||^2 + alpha "
            "sum over k of |r_k|, learned in batches of the fit split. The direction is the atom "
            "d_k, the response the code r_k of the image under the learned D, in units of that "
            "scale: of the same objective by default (with r >= 0 unless `positive` is false), or "
            "by thresholding or orthogonal matching pursuit (`code`)."
        ),
        params=Params,
        headline=("k",),
        fit=fit,
        encode=encode,
        citation="Mairal, Bach, Ponce & Sapiro (2009), Online dictionary learning for sparse coding",
        bibtex=MAIRAL2009,
    )
