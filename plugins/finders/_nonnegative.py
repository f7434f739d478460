"""Non-negative least squares: the weights of given components, and the sign that NMF asks for.

A (n, N) activations, H (K, N) components, W (n, K) >= 0 weights, A ~ W H in the Frobenius norm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iibench import CaseError

if TYPE_CHECKING:
    import torch

    from iibench import FloatArray

#: ADMM: penalty for components of unit norm, over-relaxation, iterations at most, iterations between
#: two looks at the change, and the largest change of a weight, in units of the activation's norm, at
#: which a row is done.
RHO, RELAXATION, MAX_STEPS, CHECK, STEP_TOLERANCE = 0.1, 1.6, 1000, 10, 1e-6
#: Rows that are solved at once.
ROWS = 8192


def nonnegative_weights(A: FloatArray, H: FloatArray) -> FloatArray:
    """(n, K) float32 weights that solve min ||a - w H|| subject to w >= 0 for each row a of A.

    H has rows of unit norm or zero. By the alternating direction method of multipliers (ADMM), in
    float64. Each row ends on its own, when no weight changes by more than STEP_TOLERANCE ||a||, so that
    the rows beside it do not matter.
    """
    import numpy as np
    import torch

    components = torch.from_numpy(H.astype(np.float64))
    W = np.empty((len(A), len(H)), np.float32)
    with torch.inference_mode():
        inverse = torch.linalg.inv(
            components @ components.T + RHO * torch.eye(len(H), dtype=torch.float64)
        )
        for start in range(0, len(A), ROWS):
            data = torch.from_numpy(A[start : start + ROWS].astype(np.float64))
            W[start : start + ROWS] = _solve(data, components, inverse).numpy()
    return W


def _solve(data: torch.Tensor, components: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
    """(n, K) weights of the rows of `data`; `inverse` of components components^T + RHO 1."""
    import torch

    solved = torch.zeros((len(data), len(components)), dtype=torch.float64)
    rows = torch.arange(len(data))
    fixed = data @ (components.T @ inverse)
    limit = STEP_TOLERANCE * data.norm(dim=1)
    W, dual = torch.zeros_like(fixed), torch.zeros_like(fixed)
    for step in range(1, MAX_STEPS + 1):
        free = torch.addmm(fixed, W - dual, inverse, alpha=RHO)
        dual.add_(free, alpha=RELAXATION).add_(W, alpha=1 - RELAXATION)
        last, W = W, dual.clamp(min=0)
        dual -= W
        if step % CHECK == 0 or step == MAX_STEPS:
            change = torch.maximum((W - last).abs().amax(1), (W - free).abs().amax(1))
            going = change > limit
            solved[rows[~going]] = W[~going]
            if step == MAX_STEPS:
                solved[rows] = W
            rows, fixed, limit = rows[going], fixed[going], limit[going]
            W, dual = W[going], dual[going]
            if not len(rows):
                break
    return solved


def check_nonnegative(A: FloatArray, finder: str) -> None:
    """Raises `CaseError` that names the lowest neuron where an activation is negative."""
    import numpy as np

    lowest = A.min(axis=0)
    neuron = int(np.argmin(lowest))
    if lowest[neuron] < 0:
        raise CaseError(
            f"{finder}: the activations must not be negative and neuron {neuron} goes down to "
            f"{lowest[neuron]:.4g}; NMF fits layers that end in a ReLU"
        )
