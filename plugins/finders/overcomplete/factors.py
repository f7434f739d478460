"""Overcomplete's matrix factorisations: A / s ~ W D with weights W >= 0.

A (n, N) activations, s one scale for all neurons, since the solvers' step sizes are fixed numbers; not
centred: zero stands for "no component". D (K, N) components, here scaled to unit norm.

nmf uses multiplicative updates (Lee & Seung): HALS, the package's default, gives up most components from
its SVD start (52 of 64 on a ResNet50's layer2). convex_nmf is gradient descent with rows of the fit
split's weights that sum to one, so that components are weighted means of activations.

Left out, with Overcomplete 0.3.0: `ArchetypalAnalysis` takes the softmax of numbers that already are
shares instead of projecting them on the simplex, so that all archetypes become the mean activation (it
explains 0.0 % of the variance); `ConvexNMF` without `strict_convex`, and its multiplicative solver, do
not come down from their start. Its `encode` multiplies the fit split's weights with the new activations;
that of all factorisations starts from random weights and stops by the batch. So the weights are computed
here: exactly, row by row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iibench import CaseError, Directions

from .._autoencoder import standard
from .._nonnegative import check_nonnegative, nonnegative_weights
from .._randomness import undisturbed
from .shared import Params, submodule

if TYPE_CHECKING:
    from iibench import FitContext, FloatArray

METHODS = ("nmf", "semi_nmf", "convex_nmf")


def factorise(params: Params, A: FloatArray, context: FitContext) -> Directions:
    """Components of unit norm; those of zeros are noted.

    Raises `CaseError` for negative activations (nmf), K > n and activations that are all the same.
    """
    import numpy as np
    import torch

    name = f"overcomplete[method={params.method}]"
    if params.k > len(A):
        raise CaseError(
            f"{name}: k = {params.k} components are asked for and there are n = {len(A)} images to "
            "fit on"
        )
    if params.method == "nmf":
        check_nonnegative(A, name)
    scale = standard(A, name).scale
    package = submodule("optimization")
    device = context.device if context.device == "cuda" else "cpu"
    with undisturbed(context.seed, device):
        model = {
            "nmf": lambda: package.NMF(params.k, device=device, solver="mu"),
            "semi_nmf": lambda: package.SemiNMF(params.k, device=device),
            "convex_nmf": lambda: package.ConvexNMF(params.k, device=device, strict_convex=True),
        }[params.method]()
        _, components = model.fit(torch.from_numpy(A / np.float32(scale)), params.max_iter)
    D = components.detach().cpu().double().numpy()
    if not np.isfinite(D).all():
        raise CaseError(f"{name}: the solver gave components that are not finite")
    norms = np.linalg.norm(D, axis=1, keepdims=True)
    V = np.divide(D, norms, out=np.zeros_like(D), where=norms > 0).astype(np.float32)
    residual = A - nonnegative_weights(A, V).astype(np.float64) @ V
    share = 1 - float(np.square(residual).sum()) / (scale**2 * A.size)
    notes = [f"explains {100 * share:.1f} % of the variance"]
    empty = int((norms == 0).sum())
    if empty:
        notes.append(f"{empty} of {params.k} components are zero")
    return Directions(V, {}, tuple(notes))


def weights(params: Params, directions: Directions, A: FloatArray) -> FloatArray:
    """(n, K) weights W >= 0 that minimise ||a - w V||, in the activation's unit."""
    if params.method == "nmf":
        check_nonnegative(A, "overcomplete[method=nmf]")
    return nonnegative_weights(A, directions.vectors)
