"""What the sparse autoencoders share: standardised activations, weights, the loop of the optimiser.

A (n, N) activations, m (N,) their mean, s > 0 one scale for all neurons, x = (A - m) / s with mean
squared norm N, so that losses and penalties weigh the same on every layer. Encoder E (Z, N), b_e (Z,),
decoder D (Z, N) with rows of unit norm, b_d (N,); h (b, Z) hidden activations of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iibench import CaseError, Directions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from iibench import DoubleArray, FitContext, FloatArray

#: Rows that are described or encoded at once.
ROWS = 8192


@dataclass(frozen=True)
class Standard:
    """The mean (N,) and the scale that standardise activations; float64."""

    mean: DoubleArray
    scale: float

    def apply(self, A: FloatArray) -> DoubleArray:
        """x = (A - mean) / scale."""
        x: DoubleArray = (A - self.mean) / self.scale
        return x

    def state(self) -> dict[str, npt.NDArray[np.float64]]:
        """Both, as arrays to be stored with the directions."""
        import numpy as np

        return {"mean": self.mean, "scale": np.array(self.scale)}


def standard(A: FloatArray, finder: str) -> Standard:
    """Mean and scale of the fit split: the root of the neurons' mean variance.

    Raises `CaseError` for activations that are all the same.
    """
    import numpy as np

    if len(A) < 2 or not np.ptp(A, axis=0).any():
        raise CaseError(
            f"{finder}: the activations of the {len(A)} images to fit on are all the same, "
            "there is nothing to learn"
        )
    scale = float(np.sqrt(np.mean(np.var(A, axis=0, dtype=np.float64))))
    return Standard(A.mean(axis=0, dtype=np.float64), scale)


def stored(state: Mapping[str, npt.NDArray[np.float64]]) -> Standard:
    """The mean and scale that `Standard.state` put into the directions' state."""
    return Standard(state["mean"], float(state["scale"]))


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

    def state(self) -> dict[str, npt.NDArray[np.float32]]:
        """All but the decoder, as arrays to be stored with the directions."""
        return {
            "encoder": self.encoder.cpu().numpy(),
            "encoder_bias": self.encoder_bias.cpu().numpy(),
            "decoder_bias": self.decoder_bias.cpu().numpy(),
        }


def initial_weights(z: int, width: int, generator: torch.Generator, device: str) -> Weights:
    """Random unit decoder rows; the encoder starts as the decoder, so that units start alive."""
    import torch

    decoder = torch.randn((z, width), generator=generator)
    decoder /= decoder.norm(dim=1, keepdim=True)
    decoder = decoder.to(device)
    return Weights(
        decoder.clone(), torch.zeros(z, device=device), decoder, torch.zeros(width, device=device)
    )


def backward(
    x: torch.Tensor, h: torch.Tensor, residual: torch.Tensor, D: torch.Tensor, slope: float = 0.0
) -> tuple[torch.Tensor, ...]:
    """Gradients of a loss in the order of `Weights.all`, from its gradient `residual` (b, N) at the
    output and `slope`, what it adds at each active hidden unit.

    The decoder's gradient is projected on the sphere that its rows live on.
    """
    import torch

    penalty = torch.full((len(D),), slope, dtype=D.dtype, device=D.device)
    to_hidden = torch.addmm(penalty, residual, D.T).mul_(h > 0)
    to_decoder = h.T @ residual
    to_decoder -= (to_decoder * D).sum(1, keepdim=True) * D
    return to_hidden.T @ x, to_hidden.sum(0), to_decoder, residual.sum(0)


def trained(
    A: FloatArray,
    params: Any,
    context: FitContext,
    finder: str,
    gradients: Callable[[torch.Tensor, Weights], tuple[torch.Tensor, ...]],
    hidden: Callable[[torch.Tensor, Weights], torch.Tensor],
    after_epoch: Callable[[], None] = lambda: None,
) -> Directions:
    """Adam on shuffled batches, everything drawn from `context.seed`; no global random state is used.

    `params` has `z`, `lr`, `epochs` and `batch_size`. `gradients` (x (b, N), weights) of the loss come in
    the order of `Weights.all`; `hidden` gives h (b, Z). The directions are the decoder's rows; a note says
    how well and how sparsely they describe the fit split. Raises `CaseError` for activations that are
    all the same.
    """
    import numpy as np
    import torch

    scaling = standard(A, finder)
    x = torch.from_numpy(scaling.apply(A).astype(np.float32)).to(context.device)
    generator = torch.Generator().manual_seed(context.seed)
    weights = initial_weights(params.z, A.shape[1], generator, context.device)
    optimiser = torch.optim.Adam(weights.all(), lr=params.lr)
    with torch.inference_mode():
        for epoch in range(params.epochs):
            order = torch.randperm(len(x), generator=generator).to(x.device)
            for start in range(0, len(x), params.batch_size):
                found = gradients(x[order[start : start + params.batch_size]], weights)
                for parameter, gradient in zip(weights.all(), found, strict=True):
                    parameter.grad = gradient
                optimiser.step()
                weights.decoder.div_(weights.decoder.norm(dim=1, keepdim=True))
            after_epoch()
            context.progress(epoch + 1, params.epochs, "epochs")
        note = describe(
            x, lambda part: hidden(part, weights), weights.decoder, weights.decoder_bias
        )
    return Directions(weights.decoder.cpu().numpy(), scaling.state() | weights.state(), (note,))


def describe(
    x: torch.Tensor,
    hidden: Callable[[torch.Tensor], torch.Tensor],
    D: torch.Tensor,
    b_d: torch.Tensor,
) -> str:
    """One sentence on how well and how sparsely x is described by `hidden` (b, N) -> (b, Z)."""
    import torch

    active = torch.zeros(len(D), dtype=torch.int64, device=x.device)
    squares = 0.0
    for start in range(0, len(x), ROWS):
        part = x[start : start + ROWS]
        h = hidden(part)
        active += (h > 0).sum(0)
        squares += float((torch.addmm(b_d, h, D) - part).square().sum())
    explained = 1 - squares / float(x.square().sum())
    dead = int((active == 0).sum())
    return (
        f"explains {100 * explained:.1f} % of the variance with {float(active.sum()) / len(x):.1f} "
        f"active hidden units an image; {dead} of {len(active)} are dead on the fit split"
    )
