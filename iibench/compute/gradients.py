"""How fast a score of a layer's activations changes with an image's pixels.

Notation: b images x (3, h, w), RGB in [0, 1]; y(x) (N,) the pooled activations of the layer; f a score
of them. What is computed is ||grad_x f(y(x))||, the Euclidean norm over all pixels and channels. The
preprocessing (resizing, normalisation) is part of f, so the unit is that of the score per unit of RGB,
whatever size the network is given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from iibench.compute.activations import images_per_pass, network_input
from iibench.compute.images import in_batches, read_ahead, to_unit_range
from iibench.compute.tap import exact_convolutions, tapped
from iibench.contract.errors import CaseError, PluginError

if TYPE_CHECKING:
    import torch

    from iibench.contract.arrays import DoubleArray, ImageArray, IntArray
    from iibench.contract.specs import LoadedModel

    Score = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

#: What messages of torch's autograd have one of, when it cannot differentiate a network.
REFUSALS = ("grad", "backward", "derivative", "inference tensor")


def input_gradient_norms(
    model: LoadedModel,
    layer: str,
    pool: str,
    read: Callable[[IntArray], ImageArray],
    indices: IntArray,
    score: Score,
    *,
    device: str = "cpu",
    batch_size: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    layout: str | None = None,
    call: int | None = None,
) -> DoubleArray:
    """(b,) float64 norm of the gradient of a score with respect to the pixels of each image `indices`.

    `score(activations, rows)` gets float32 activations (p, N) on `device` of the images `indices[rows]`,
    `rows` (p,) int64 on `device` too, and returns (p,) scores, each of its own row alone. An image may be
    asked for several times, for several scores. One forward pass, which ends at `layer`, and one backward
    pass per batch; no gradient of a weight is computed. `read`, `pool`, `batch_size`, `progress`, `layout`
    and `call` are those of `iter_activations`. Where pooling takes a maximum that several positions share,
    they share its gradient; a ReLU at exactly 0 passes none on (torch's conventions).

    Raises what `iter_activations` raises, `CaseError` too where the network has no gradient or one that
    is not finite, and `PluginError` where the score does not follow from the activations.

    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 1, bias=False)).eval()
    >>> module[0].weight.data[:] = 1.0
    >>> images = np.zeros((2, 2, 2, 3), np.uint8)
    >>> norms = input_gradient_norms(
    ...     LoadedModel(module, Preprocess()), "0", "mean", images.__getitem__, np.arange(2),
    ...     score=lambda activations, rows: activations[:, 0],
    ... )
    >>> (norms**2).round(6).tolist()  # each of 12 numbers counts 1/4: 12 / 16
    [0.75, 0.75]
    """
    import torch

    size = images_per_pass(batch_size, device)
    norms = np.empty(len(indices))
    done = 0
    # a caller in inference mode would make tensors that autograd refuses
    with torch.inference_mode(False), torch.enable_grad():
        tap = tapped(model, layer, pool, layout=layout, call=call)
        for batch, images in read_ahead(read, in_batches(indices, size)):
            x = to_unit_range(images, device).requires_grad_()
            rows = torch.arange(done, done + len(batch), device=device)
            with _without_gradient(layer):
                activations = tap.pooled(network_input(x, model.preprocess))
            if not activations.requires_grad:
                raise CaseError(
                    f"layer {layer!r} has no gradient with respect to the pixels: up to it the network "
                    "rounds, detaches or switches gradients off"
                )
            found = _gradient_norms(score, activations, rows, x, layer)
            bad = np.flatnonzero(~np.isfinite(found))
            if bad.size:
                raise CaseError(
                    f"the gradient of a score of layer {layer!r} is not finite, first for image "
                    f"{int(batch[bad[0]])}"
                )
            norms[done : done + len(batch)] = found
            done += len(batch)
            progress(done, len(indices))
    return norms


def _gradient_norms(
    score: Score, activations: torch.Tensor, rows: torch.Tensor, x: torch.Tensor, layer: str
) -> DoubleArray:
    """(p,) norms of one batch: the gradient of the sum holds each image's own gradient in its row."""
    import torch

    scores = score(activations, rows)
    if tuple(scores.shape) != (len(rows),) or not scores.requires_grad:
        raise PluginError(
            f"a score of activations gave shape {tuple(scores.shape)}"
            f"{'' if scores.requires_grad else ' without a gradient'}; expected ({len(rows)},), "
            "differentiable with respect to the activations"
        )
    with _without_gradient(layer), exact_convolutions():
        (gradient,) = torch.autograd.grad(scores.sum(), x, allow_unused=True)
    if gradient is None:
        raise PluginError("a score of activations does not depend on them")
    # squares of small float32 numbers would vanish
    norms: DoubleArray = gradient.flatten(1).double().norm(dim=1).cpu().numpy()
    return norms


@contextlib.contextmanager
def _without_gradient(layer: str) -> Iterator[None]:
    """Turns what autograd refuses into a `CaseError`; other errors, such as of memory, pass."""
    try:
        yield
    except RuntimeError as error:
        first = (str(error).strip().splitlines() or [""])[0]
        if not any(word in first.lower() for word in REFUSALS):
            raise
        raise CaseError(
            f"layer {layer!r} has no gradient with respect to the pixels ({first})"
        ) from error
