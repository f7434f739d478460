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
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt

from iibench import Directions, FinderSpec, hookimpl
from iibench.errors import CaseError

if TYPE_CHECKING:
    import torch

    from iibench.specs import FitContext, FloatArray

#: Rows that are described at once.
ROWS = 8192


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


@dataclass(frozen=True)
class Weights:
    """E (Z, N), b_e (Z,), D (Z, N), b_d (N,); float32 tensors that are changed in place."""

    encoder: torch.Tensor
    encoder_bias: torch.Tensor
    decoder: torch.Tensor
    decoder_bias: torch.Tensor

    def all(self) -> tuple[torch.Tensor, ...]:
        """The four, in the order of the gradients."""
        return self.encoder, self.encoder_bias, self.decoder, self.decoder_bias


def initial_weights(z: int, width: int, generator: torch.Generator, device: str) -> Weights:
    """Random unit decoder rows; the encoder starts as the decoder, so that units start alive."""
    import torch

    decoder = torch.randn((z, width), generator=generator)
    decoder /= decoder.norm(dim=1, keepdim=True)
    decoder = decoder.to(device)
    return Weights(
        decoder.clone(), torch.zeros(z, device=device), decoder, torch.zeros(width, device=device)
    )


def gradients(x: torch.Tensor, weights: Weights, l1: float) -> tuple[torch.Tensor, ...]:
    """Gradients of the loss on x (b, N), in the order of `Weights.all`.

    The decoder's gradient is projected on the sphere that its rows live on.
    """
    import torch

    E, b_e, D, b_d = weights.all()
    h = torch.addmm(b_e, x, E.T).relu_()
    residual = torch.addmm(b_d, h, D).sub_(x).mul_(2 / len(x))
    to_hidden = torch.addmm(torch.full_like(b_e, l1 / len(x)), residual, D.T).mul_(h > 0)
    to_decoder = h.T @ residual
    to_decoder -= (to_decoder * D).sum(1, keepdim=True) * D
    return to_hidden.T @ x, to_hidden.sum(0), to_decoder, residual.sum(0)


def fit(params: Params, A: FloatArray, context: FitContext) -> Directions:
    """Adam on shuffled batches, everything drawn from `context.seed`; no global random state is used.

    Notes: explained variance, mean number of active hidden units (L0) and the share of dead ones, all
    on the fit split. Raises `CaseError` for activations that are all the same.
    """
    import numpy as np
    import torch

    mean = A.mean(axis=0, dtype=np.float64)
    scale = float(np.sqrt(np.mean(np.var(A, axis=0, dtype=np.float64))))
    if len(A) < 2 or not np.ptp(A, axis=0).any():
        raise CaseError(
            f"sae: the activations of the {len(A)} images to fit on are all the same, "
            "there is nothing to learn"
        )
    x = torch.from_numpy(((A - mean) / scale).astype(np.float32)).to(context.device)
    generator = torch.Generator().manual_seed(context.seed)
    weights = initial_weights(params.z, A.shape[1], generator, context.device)
    optimiser = torch.optim.Adam(weights.all(), lr=params.lr)
    with torch.inference_mode():
        for epoch in range(params.epochs):
            order = torch.randperm(len(x), generator=generator).to(x.device)
            for start in range(0, len(x), params.batch_size):
                rows = order[start : start + params.batch_size]
                found = gradients(x[rows], weights, params.l1)
                for parameter, gradient in zip(weights.all(), found, strict=True):
                    parameter.grad = gradient
                optimiser.step()
                weights.decoder.div_(weights.decoder.norm(dim=1, keepdim=True))
            context.progress(epoch + 1, params.epochs, "epochs")
        notes = _describe(x, weights)
    return Directions(
        weights.decoder.cpu().numpy(),
        {
            "mean": mean,
            "scale": np.array(scale),
            "encoder": weights.encoder.cpu().numpy(),
            "encoder_bias": weights.encoder_bias.cpu().numpy(),
            "decoder_bias": weights.decoder_bias.cpu().numpy(),
        },
        notes,
    )


def _describe(x: torch.Tensor, weights: Weights) -> tuple[str, ...]:
    """One sentence on how well and how sparsely x is described."""
    import torch

    active = torch.zeros(len(weights.encoder), dtype=torch.int64, device=x.device)
    squares = 0.0
    E, b_e, D, b_d = weights.all()
    for start in range(0, len(x), ROWS):
        part = x[start : start + ROWS]
        h = torch.addmm(b_e, part, E.T).relu_()
        active += (h > 0).sum(0)
        squares += float((torch.addmm(b_d, h, D) - part).square().sum())
    explained = 1 - squares / float(x.square().sum())
    dead = int((active == 0).sum())
    return (
        f"explains {100 * explained:.1f} % of the variance with {float(active.sum()) / len(x):.1f} "
        f"active hidden units an image; {dead} of {len(active)} are dead on the fit split",
    )


def encode(params: Params, directions: Directions, A: FloatArray) -> FloatArray:
    """R (n, Z): hidden activations, >= 0, in units of the fit split's scale s."""
    import numpy as np

    state = directions.state
    x = ((A - state["mean"]) / state["scale"]).astype(np.float32)
    return np.ascontiguousarray(np.maximum(x @ state["encoder"].T + state["encoder_bias"], 0))


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Registers `sae`."""
    yield FinderSpec(
        name="sae",
        summary="sparse autoencoder, overcomplete, ReLU, L1; response: the hidden activation",
        params=Params,
        headline=("z", "l1"),
        fit=fit,
        encode=encode,
        citation="Sharkey, Braun & Millidge (2022), Taking features out of superposition with sparse "
        "autoencoders",
    )
