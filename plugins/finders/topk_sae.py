"""Sparse autoencoder whose k largest hidden units are active (Gao et al. 2024).

x (n, N) activations, standardised as `sae` does. Encoder E (Z, N), b_e (Z,), decoder D (Z, N) with rows
of unit norm, b_d (N,):

    h = relu(TopK(x E^T + b_e)),   y = h D + b_d,   loss = mean over images of ||x - y||^2

TopK keeps the k largest of an image's Z values and puts zero for the others, so sparsity is given and
not traded against the error by a penalty. Units that no image of the last epoch activates get a loss of
their own (Gao et al., App. A): from the relu of the N / 2 largest of them alone, the error x - y is to
be reconstructed, with weight `revive`.

The direction is D[k], the response the code h_k, in units of the fit split's scale: what the decoder
adds, D[k] times h_k, and nothing where the unit is not among the k largest. The values before TopK would
rank all images, but by a number that the autoencoder was not trained on and throws away. So most
responses to a unit are zero, n k / Z of them are not on average: few images may be left for exemplars.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt

from iibench import Directions, FinderSpec, FinderWork, hookimpl

from .._shared.bibliography import arxiv, entry
from ._autoencoder import ROWS, Weights, backward, stored, trained
from ._counts import autoencoder

if TYPE_CHECKING:
    import torch

    from iibench import FitContext, FloatArray

GAO2024 = entry(
    "misc",
    "gao2024scaling",
    author="Leo Gao and Tom {Dupr{\\'e} la Tour} and Henk Tillman and Gabriel Goh and Rajan Troll and "
    "Alec Radford and Ilya Sutskever and Jan Leike and Jeffrey Wu",
    title="Scaling and Evaluating Sparse Autoencoders",
    year=2024,
    **arxiv("2406.04093"),
)


@dataclass(frozen=True)
class Params:
    """Parameters of the TopK autoencoder."""

    z: Annotated[int, Ge(1)] = field(default=512, metadata={"help": "hidden units, Z"})
    k: Annotated[int, Ge(1)] = field(
        default=32, metadata={"help": "hidden units that an image activates at most"}
    )
    revive: Annotated[float, Ge(0)] = field(
        default=0.25,
        metadata={
            "help": "weight of the loss that units without activation reduce; the published 1/32 is "
            "for far more steps than the images of a split give, and revives few in them"
        },
    )
    lr: Annotated[float, Gt(0)] = field(default=1e-3, metadata={"help": "Adam's step size"})
    epochs: Annotated[int, Ge(1)] = field(default=20, metadata={"help": "passes over the images"})
    batch_size: Annotated[int, Ge(1)] = field(
        default=256, metadata={"help": "images per step of the optimiser (decides the result)"}
    )

    def __post_init__(self) -> None:
        """Raises `ValueError`, which the suite's reader reports, for k > Z."""
        if self.k > self.z:
            raise ValueError(f"found k = {self.k} active units of z = {self.z}; expected k <= z")


def top_k(values: torch.Tensor, k: int) -> torch.Tensor:
    """relu of the k largest values (b, Z) of each row, zero elsewhere."""
    import torch

    kept = torch.topk(values, k, dim=1)
    return torch.zeros_like(values).scatter_(1, kept.indices, kept.values.relu())


def hidden(x: torch.Tensor, weights: Weights, k: int) -> torch.Tensor:
    """h (b, Z) of x (b, N)."""
    import torch

    return top_k(torch.addmm(weights.encoder_bias, x, weights.encoder.T), k)


def gradients(
    x: torch.Tensor, h: torch.Tensor, weights: Weights, dead: torch.Tensor, revive: float
) -> tuple[torch.Tensor, ...]:
    """Gradients of the loss on x (b, N) with code h (b, Z), in the order of `Weights.all`.

    `dead` (d,): units without activation. The error that they are to reconstruct counts as given.
    """
    import torch

    E, b_e, D, b_d = weights.all()
    error = torch.addmm(b_d, h, D).sub_(x)
    found = backward(x, h, error * (2 / len(x)), D)
    if not len(dead) or revive == 0:
        return found
    chosen = top_k(torch.addmm(b_e[dead], x, E[dead].T), min(len(dead), max(1, len(b_d) // 2)))
    residual = torch.addmm(error, chosen, D[dead]).mul_(2 * revive / len(x))
    for gradient, part in zip(found[:3], backward(x, chosen, residual, D[dead])[:3], strict=True):
        gradient[dead] += part
    return found


def fit(params: Params, A: FloatArray, context: FitContext) -> Directions:
    """Adam on shuffled batches, everything drawn from `context.seed`; no global random state is used.

    Notes: explained variance, mean number of active hidden units (L0) and the number of dead ones, all
    on the fit split. Raises `CaseError` for activations that are all the same.
    """
    import torch

    seen = torch.zeros(params.z, dtype=torch.bool, device=context.device)
    dead = torch.empty(0, dtype=torch.int64, device=context.device)

    def step(x: torch.Tensor, weights: Weights) -> tuple[torch.Tensor, ...]:
        h = hidden(x, weights, params.k)
        seen.logical_or_((h > 0).any(dim=0))
        return gradients(x, h, weights, dead, params.revive)

    def after_epoch() -> None:
        nonlocal dead
        dead = torch.nonzero(~seen).flatten()
        seen.zero_()

    return trained(
        A,
        params,
        context,
        "topk_sae",
        step,
        lambda x, weights: hidden(x, weights, params.k),
        after_epoch,
    )


def encode(params: Params, directions: Directions, A: FloatArray) -> FloatArray:
    """R (n, Z): the code h, >= 0, at most k entries of a row above 0; in units of the fit split's scale.

    In float64, so that rounding does not decide which units are the k largest.
    """
    import numpy as np
    import torch

    state = directions.state
    scaling = stored(state)
    encoder = torch.from_numpy(state["encoder"].astype(np.float64))
    bias = torch.from_numpy(state["encoder_bias"].astype(np.float64))
    R = np.empty((len(A), len(encoder)), np.float32)
    with torch.inference_mode():
        for start in range(0, len(A), ROWS):
            x = torch.from_numpy(scaling.apply(A[start : start + ROWS]))
            R[start : start + ROWS] = top_k(torch.addmm(bias, x, encoder.T), params.k).numpy()
    return R


def work(params: Any, n: int, width: int) -> FinderWork:
    """The one that keeps the largest hidden units, which sorts."""
    return autoencoder(params, n, width, passes=40)


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Registers `topk_sae`."""
    yield FinderSpec(
        name="topk_sae",
        summary="sparse autoencoder, the k largest hidden units active; response: the code",
        definition=(
            "With x the activation less the fit split's mean, over one scale for all neurons: h = "
            "relu(TopK(E x + b_e)), which keeps an image's k largest of Z values and puts 0 for "
            "the others, and y = D h + b_d, trained by Adam to minimise the mean of ||x - y||^2 "
            "plus a loss (weight `revive`) that brings back units without activation. The "
            "direction is the decoder vector d_k of unit norm; the response is the code h_k >= 0, "
            "0 for every image in which unit k is not among the k largest, in units of that "
            "scale."
        ),
        params=Params,
        headline=("z", "k"),
        fit=fit,
        encode=encode,
        work=work,
        citation="Gao et al. (2024), Scaling and evaluating sparse autoencoders",
        bibtex=GAO2024,
    )
