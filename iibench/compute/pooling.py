"""A layer's output -> one value per neuron (`flatten`: per neuron and position)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from iibench.contract.errors import CaseError

if TYPE_CHECKING:
    import torch


def pooled(
    output: Any, pool: str, layer: str, batch: int, layout: str | None, image: tuple[int, int]
) -> torch.Tensor:
    """A layer's output for b = `batch` images -> (b, N) float32 on its device, differentiable.

    `channels_first`, (b, N, h, w): `mean` and `max` over positions, `center` is position (h // 2, w // 2),
    `flatten` gives N * h * w values in that order. `channels_last`, (b, h, w, N): likewise. Tokens,
    (b, tokens, N) or (b, N, tokens): the same over tokens, with `center` on the grid that the tokens (after
    a class token, if their number needs one) form for images of this height and width (`image`), `cls`
    token 0, and `flatten` in the order of the output. (b, N): `mean` and `flatten` change nothing. `layout`
    counts where there are positions. Raises `CaseError` for anything else.

    >>> output = torch.arange(8.0).reshape(1, 2, 2, 2)  # one image, two neurons, 2 x 2 positions
    >>> pools = ("mean", "max", "center")
    >>> [pooled(output, pool, "0", 1, "channels_first", (2, 2)).tolist() for pool in pools]
    [[[1.5, 5.5]], [[3.0, 7.0]], [[3.0, 7.0]]]
    """
    import torch

    if not isinstance(output, torch.Tensor):
        raise no_batch(layer, f"type {type(output).__name__}", batch)
    shape = tuple(output.shape)
    if shape[:1] != (batch,):
        raise no_batch(layer, f"shape {shape}", batch)
    if output.is_complex():
        raise CaseError(f"layer {layer!r} gives complex numbers; expected real ones")
    x = output.float()
    if x.ndim in (3, 4) and layout == "channels_last":
        x = x.movedim(-1, 1)
    tokens = x.ndim == 3
    if x.ndim == 2 and pool in ("mean", "flatten"):
        result = x
    elif x.ndim in (3, 4) and pool == "flatten":
        result = (output.float() if tokens else x).flatten(1)
    elif tokens and pool == "cls":
        result = x[:, :, 0]
    elif x.ndim in (3, 4) and pool in ("mean", "max", "center"):
        positions = x.flatten(2)  # (b, N, positions)
        if pool == "mean":
            result = positions.mean(2)
        elif pool == "max":
            result = positions.amax(2)
        else:
            middle = _center_token(layer, x.shape[2], image) if tokens else _center(*x.shape[2:])
            result = positions[:, :, middle]
    else:
        raise CaseError(f"pooling {pool!r} does not fit layer {layer!r}, whose output is {shape}")
    return result


def _center(h: int, w: int) -> int:
    """Position (h // 2, w // 2) in row-major order."""
    return (h // 2) * w + w // 2


def _center_token(layer: str, tokens: int, image: tuple[int, int]) -> int:
    """The middle of the grid, in proportion to the image, that the tokens form, with or without a class
    token first."""
    height, width = image
    for first in (0, 1):
        h = math.isqrt((tokens - first) * height // width)
        w = h * width // height
        if h > 0 and h * w == tokens - first and h * width == w * height:
            return first + _center(h, w)
    form = "square grid" if height == width else f"grid in proportion to {height} x {width} pixels"
    raise CaseError(
        f"pooling 'center' does not fit layer {layer!r}: its {tokens} tokens form no {form}"
    )


def no_batch(layer: str, what: str, batch: int) -> CaseError:
    """The error for an output that is no tensor of the batch's images.

    >>> str(no_batch("0", "shape (3,)", 2))
    "layer '0' gives an output of shape (3,); expected a tensor whose first dimension is the 2 images of \
the batch"
    """
    return CaseError(
        f"layer {layer!r} gives an output of {what}; expected a tensor whose first "
        f"dimension is the {batch} images of the batch"
    )
