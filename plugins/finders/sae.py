"""Sparse autoencoder: one overcomplete hidden layer with an L1 penalty (App. A; Sharkey et al. 2022).

A (n, N) activations, m (N,) their mean, s > 0 one scale for all neurons, x = (A - m) / s with mean
squared norm N, so that a penalty weighs the same on every layer. Encoder E (Z, N), b_e (Z,), decoder
D (Z, N) with rows of unit norm, b_d (N,):

    h = relu(x E^T + b_e),   y = h D + b_d,   loss = mean over images of ||x - y||^2 + l1 sum_k h_k

The direction is D[k], what hidden unit k adds to the activation; the response is h_k, in units of s.
Encoder and decoder are not tied and decoder rows keep unit norm, as in Sharkey et al., since weights
could evade the penalty otherwise. The penalty is summed over hidden units, not averaged as theirs: the
authors found the average a mistake, since it weakens as Z grows. The decoder bias follows Bricken et
al. (2023).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt

from iibench import Directions, FinderSpec, FinderWork, hookimpl

from .._shared.bibliography import entry
from ._autoencoder import Weights, backward, stored, trained
from ._counts import autoencoder

if TYPE_CHECKING:
    import torch

    from iibench import FitContext, FloatArray

SHARKEY2022 = entry(
    "misc",
    "sharkey2022taking",
    author="Lee Sharkey and Dan Braun and Beren Millidge",
    title="Taking Features out of Superposition with Sparse Autoencoders",
    howpublished="{AI} Alignment Forum",
    year=2022,
)


@dataclass(frozen=True)
class Params:
    """Parameters of the sparse autoencoder."""

    z: Annotated[int, Ge(1)] = field(default=512, metadata={"help": "hidden units, Z"})
    l1: Annotated[float, Ge(0)] = field(
        default=4.0, metadata={"help": "weight of the hidden activations' sum in the loss"}
    )
    lr: Annotated[float, Gt(0)] = field(default=1e-3, metadata={"help": "Adam's step size"})
    epochs: Annotated[int, Ge(1)] = field(default=20, metadata={"help": "passes over the images"})
    batch_size: Annotated[int, Ge(1)] = field(
        default=256, metadata={"help": "images per step of the optimiser (decides the result)"}
    )


def gradients(x: torch.Tensor, weights: Weights, l1: float) -> tuple[torch.Tensor, ...]:
    """Gradients of the loss on x (b, N), in the order of `Weights.all`.

    The decoder's gradient is projected on the sphere that its rows live on.
    """
    import torch

    h = hidden(x, weights)
    residual = torch.addmm(weights.decoder_bias, h, weights.decoder).sub_(x).mul_(2 / len(x))
    return backward(x, h, residual, weights.decoder, l1 / len(x))


def hidden(x: torch.Tensor, weights: Weights) -> torch.Tensor:
    """h (b, Z) of x (b, N)."""
    import torch

    return torch.addmm(weights.encoder_bias, x, weights.encoder.T).relu_()


def fit(params: Params, A: FloatArray, context: FitContext) -> Directions:
    """Adam on shuffled batches, everything drawn from `context.seed`; no global random state is used.

    Notes: explained variance, mean number of active hidden units (L0) and the share of dead ones, all
    on the fit split. Raises `CaseError` for activations that are all the same.
    """
    return trained(
        A, params, context, "sae", lambda x, weights: gradients(x, weights, params.l1), hidden
    )


def encode(params: Params, directions: Directions, A: FloatArray) -> FloatArray:
    """R (n, Z): hidden activations, >= 0, in units of the fit split's scale s."""
    import numpy as np

    state = directions.state
    x = stored(state).apply(A).astype(np.float32)
    return np.ascontiguousarray(np.maximum(x @ state["encoder"].T + state["encoder_bias"], 0))


def work(params: Any, n: int, width: int) -> FinderWork:
    """The sparse autoencoder with a penalty."""
    return autoencoder(params, n, width, passes=6)


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Registers `sae`."""
    yield FinderSpec(
        name="sae",
        summary="sparse autoencoder, overcomplete, ReLU, L1; response: the hidden activation",
        definition=(
            "With x the activation less the fit split's mean, over one scale for all neurons: h = "
            "relu(E x + b_e), y = D h + b_d, trained by Adam to minimise the mean over images of "
            "||x - y||^2 + l1 sum over k of h_k, with Z hidden units and decoder vectors d_k of "
            "unit norm. The direction is d_k, what hidden unit k adds to the activation; the "
            "response is h_k >= 0, in units of that scale."
        ),
        params=Params,
        headline=("z", "l1"),
        fit=fit,
        encode=encode,
        work=work,
        citation="Sharkey, Braun & Millidge (2022), Taking features out of superposition with sparse "
        "autoencoders",
        bibtex=SHARKEY2022,
    )
