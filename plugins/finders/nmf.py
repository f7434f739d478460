"""Non-negative matrix factorisation of activations after a ReLU.

A (n, N) >= 0, W (n, K) >= 0 weights, H (K, N) >= 0 components of unit norm, A ~ W H in the Frobenius
norm. The direction is H[k], the response W[:, k], in the activation's unit.

The fit alternates exact updates of one component or one weight column at a time (HALS, Cichocki &
Phan 2009: the coordinate descent of scikit-learn's `NMF(solver="cd")`), which never raises the error,
written as matrix products. The weights of given components are a convex problem (non-negative least
squares): `encode` solves it to convergence, by the alternating direction method of multipliers (ADMM,
Boyd et al. 2011, Sec. 5.2), since components of activations are close to dependent and coordinate
descent then needs thousands of sweeps.

With K >= N the neurons are themselves an exact factorisation, as are others: the start decides which
components are found.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from iibench import CaseError, Directions, FinderSpec, FinderWork, Work, hookimpl

from .._shared.bibliography import entries, entry
from ._nonnegative import check_nonnegative, nonnegative_weights

if TYPE_CHECKING:
    import torch

    from iibench import FitContext, FloatArray

LEE1999 = entry(
    "article",
    "lee1999learning",
    author="Daniel D. Lee and H. Sebastian Seung",
    title="Learning the Parts of Objects by Non-negative Matrix Factorization",
    journal="Nature",
    volume=401,
    pages="788--791",
    year=1999,
)
CICHOCKI2009 = entry(
    "article",
    "cichocki2009fast",
    author="Andrzej Cichocki and Anh-Huy Phan",
    title="Fast Local Algorithms for Large Scale Nonnegative Matrix and Tensor Factorizations",
    journal="{IEICE} Transactions on Fundamentals of Electronics, Communications and Computer "
    "Sciences",
    year=2009,
)


#: Coordinates that are updated between two large matrix products.
BLOCK = 32
#: Iterations between two looks at the error.
CHECK = 10
#: Iterations of ADMM per batch of weights, as seen on layers of a ResNet50.
ADMM = 300


@dataclass(frozen=True)
class Params:
    """Parameters of NMF."""

    k: Annotated[int, Ge(1)] | None = field(
        default=None, metadata={"help": "number of components, K; null: min(n, N)"}
    )
    max_iter: Annotated[int, Ge(1)] = field(
        default=100, metadata={"help": "alternating updates of weights and components at most"}
    )
    tol: Annotated[float, Ge(0)] = field(
        default=1e-4,
        metadata={
            "help": f"smallest fall of ||A - W H|| / ||A|| over {CHECK} updates to go on for"
        },
    )


def fit(params: Params, A: FloatArray, context: FitContext) -> Directions:
    """H, from K activations drawn from the fit split and scaled to unit norm.

    Raises `CaseError` for negative activations and where fewer than K activations are not zero.
    """
    import numpy as np
    import torch

    check_nonnegative(A, "nmf")
    present = np.flatnonzero(A.any(axis=1))
    k = min(A.shape) if params.k is None else params.k
    if k > len(present):
        raise CaseError(
            f"nmf: k = {k} components are asked for and {len(present)} of the {len(A)} activations "
            "to fit on are not zero; k may be at most that"
        )
    start = np.random.default_rng(context.seed).choice(present, k, replace=False)
    data = torch.from_numpy(np.ascontiguousarray(A)).to(context.device)
    energy = float(np.square(A, dtype=np.float64).sum())
    error = float("inf")
    with torch.inference_mode():
        H = data[torch.from_numpy(start).to(context.device)]
        H /= H.norm(dim=1, keepdim=True)
        W = torch.zeros(
            (k, len(A)), device=context.device
        )  # transposed: its updates run along rows
        iteration = 0
        while iteration < params.max_iter:
            iteration += 1
            _update(W, H @ H.T, H @ data.T)
            gram, target = W @ W.T, W @ data
            _update(H, gram, target)
            if iteration % CHECK == 0 or iteration == params.max_iter:
                context.progress(iteration, params.max_iter, "updates")
                previous, error = error, _relative_error(H, gram, target, energy)
                if previous - error < params.tol:
                    break
        H /= H.norm(dim=1, keepdim=True).clamp(min=torch.finfo(H.dtype).tiny)
    notes = [f"relative reconstruction error {error:.4f} after {iteration} updates"]
    empty = int((H.amax(dim=1) == 0).sum())
    if empty:
        notes.append(f"{empty} of {k} components are zero")
    if k >= A.shape[1]:
        notes.append("K >= N: the neurons are an exact factorisation too, the start decides")
    return Directions(H.cpu().numpy(), {}, tuple(notes))


def _update(X: torch.Tensor, gram: torch.Tensor, target: torch.Tensor) -> None:
    """One pass of exact coordinate descent over the rows of X (K, c) >= 0, in place, for the problem
    min ||B - Y X||^2 with gram = Y^T Y (K, K) and target = Y^T B (K, c)."""
    import torch

    k = len(X)
    steps = gram.diagonal().clamp(min=torch.finfo(X.dtype).tiny).reciprocal().tolist()
    for first in range(0, k, BLOCK):
        last = min(first + BLOCK, k)
        # minus the gradient of the block's rows; kept current while rows of the block change
        slope = torch.addmm(target[first:last], gram[first:last], X, alpha=-1)
        for row in range(first, last):
            old = X[row].clone()
            X[row].add_(slope[row - first], alpha=steps[row]).clamp_(min=0)
            slope[row + 1 - first :].addr_(gram[row + 1 : last, row], X[row] - old, alpha=-1)


def _relative_error(
    H: torch.Tensor, gram: torch.Tensor, target: torch.Tensor, energy: float
) -> float:
    """||A - W H|| / ||A|| from W^T W, W^T A and ||A||^2, in float64."""
    H, gram, target = (part.cpu().double() for part in (H, gram, target))
    residual = energy - 2 * float((H * target).sum()) + float(((H @ H.T) * gram).sum())
    return float((max(residual, 0.0) / energy) ** 0.5)


def encode(params: Params, directions: Directions, A: FloatArray) -> FloatArray:
    """R (n, K): the weights W >= 0 that minimise ||A - W H||, in float64 and row by row independent.

    Raises `CaseError` for negative activations.
    """
    check_nonnegative(A, "nmf")
    return nonnegative_weights(A, directions.vectors)


def work(params: Any, n: int, width: int) -> FinderWork:
    """Alternating updates, row by row within blocks; encoding solves for the weights."""
    k = params.k or min(n, width)
    rows = 20.0 * k  # a row's own update and that of the rows after it in its block
    each = Work(
        flops=4.0 * n * k * width + 4.0 * n * k**2 + 2.0 * width * k**2,
        values=rows * (n + width),
        steps=12.0 * k,
    )
    t = params.max_iter
    fit = Work(flops=t * each.flops, values=t * each.values, steps=t * each.steps)
    encode = Work(flops64=ADMM * 2.0 * k**2, values=ADMM * 12.0 * k)
    return FinderWork(k, Work(fit.flops, 0.0, fit.values, fit.steps, memory=12.0 * n * k), encode)


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Registers `nmf`."""
    yield FinderSpec(
        name="nmf",
        summary="components of a non-negative factorisation; response: the weight",
        definition=(
            "A ~ W H in the Frobenius norm, with weights W (n, K) >= 0 and components H (K, N) >= "
            "0 of unit norm, for activations that are not negative. H is fitted on the fit split "
            "by alternating exact updates of single components. The direction is h_k; the "
            "responses of an image with activation a are the weights w >= 0 that minimise ||a - w "
            "H||, solved to convergence for each image on its own, in the activation's unit."
        ),
        params=Params,
        fit=fit,
        encode=encode,
        work=work,
        citation="Lee & Seung (1999); Cichocki & Phan (2009), fast local algorithms for NMF",
        bibtex=entries(LEE1999, CICHOCKI2009),
    )
