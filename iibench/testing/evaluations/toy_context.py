"""Made-up activations, images and gradients that analyses are tried on: a context without a network."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from iibench.compute.ranking import order_by_response
from iibench.contract.errors import PluginError
from iibench.contract.evaluations import EvaluationInputs
from iibench.contract.specs import Directions
from iibench.testing.evaluations.made_inputs import GOOD, K, classes, lookup

if TYPE_CHECKING:
    import torch

    from iibench.contract.arrays import DoubleArray, FloatArray, ImageArray, IntArray

#: Images, neurons, pixels a side; directions of a finder that an analysis fits itself.
IMAGES, NEURONS, SIDE, FOUND = 300, 32, 8, 4


@dataclass
class ToyContext:
    """`AnalysisContext` over arrays; what is asked of it is written down.

    `A` (n, N), `vectors` (K, N), `pixels` (n, h, w, 3) uint8. Pixels change activations linearly, so
    that every image has a gradient: y(x) = A_i + (x - x_i) W for x near image i. `asked`: labels of finders;
    `told`: reports of progress.
    """

    A: FloatArray
    vectors: FloatArray
    pixels: ImageArray
    class_names: tuple[str, ...] = ("a", "b", "c", "d")
    device: str = "cpu"
    asked: list[str] = field(default_factory=list)
    told: list[tuple[int, int, str]] = field(default_factory=list)

    @property
    def image_size(self) -> tuple[int, int]:
        """See `AnalysisContext`."""
        return int(self.pixels.shape[1]), int(self.pixels.shape[2])

    @cached_property
    def weights(self) -> FloatArray:
        """W (pixels, N)."""
        inputs = int(np.prod(self.pixels.shape[1:]))
        drawn = np.random.default_rng(7).normal(0, inputs**-0.5, (inputs, self.A.shape[1]))
        return drawn.astype(np.float32)

    def activations(self) -> FloatArray:
        """See `AnalysisContext`."""
        return self.A

    def directions(self) -> Directions:
        """See `AnalysisContext`."""
        return Directions(self.vectors)

    def images(self, indices: Sequence[int] | IntArray) -> ImageArray:
        """See `AnalysisContext`."""
        return self.pixels[np.asarray(indices, np.int64)]

    def responses_of(self, finder: str, neurons: IntArray) -> FloatArray:
        """(n, 4) responses to made-up mixtures of these neurons, drawn for the finder's label."""
        self.asked.append(finder)
        chosen = self.A[:, np.asarray(neurons, np.int64)]
        seed = int.from_bytes(hashlib.sha256(finder.encode()).digest()[:4], "big")
        mixtures = np.random.default_rng(seed).random((chosen.shape[1], FOUND))
        return (chosen @ mixtures).astype(np.float32)

    def gradient_norms(
        self, indices: IntArray, score: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    ) -> DoubleArray:
        """See `AnalysisContext`; batches of 64, whatever the number of images."""
        import torch

        chosen = np.asarray(indices, np.int64)
        weights = torch.from_numpy(self.weights)
        norms = np.empty(len(chosen))
        for start in range(0, len(chosen), 64):
            batch = chosen[start : start + 64]
            with torch.enable_grad():
                x = torch.from_numpy(self.pixels[batch]).float().flatten(1).div(255)
                x.requires_grad_()
                activations = torch.from_numpy(self.A[batch]) + (x - x.detach()) @ weights
                rows = torch.arange(start, start + len(batch))
                scores = score(activations, rows)
                if tuple(scores.shape) != (len(batch),) or not scores.requires_grad:
                    raise PluginError(
                        f"a score of activations gave shape {tuple(scores.shape)}; expected "
                        f"({len(batch)},), differentiable with respect to the activations"
                    )
                (gradient,) = torch.autograd.grad(scores.sum(), x)
            norms[start : start + len(batch)] = gradient.double().norm(dim=1).numpy()
        return norms

    def progress(self, done: int, total: int, note: str) -> None:
        """See `AnalysisContext`."""
        self.told.append((done, total, note))


def analysis_inputs(
    needs_metric: bool = True, n: int = IMAGES, seed: int = 5, features: bool = False
) -> EvaluationInputs:
    """What analyses are tried on: images in four classes, 32 neurons, the first 11 as directions.

    Neurons 0 to 3 respond to how near an image is to the middle of a class, 10 to every image alike,
    the others at random or as mixtures. `features`: mixtures of neurons as directions, not neurons.
    """
    table, near, labels = classes(n)
    rng = np.random.default_rng(29)
    A = np.abs(rng.normal(0, 1, (n, NEURONS)))
    A[:, :GOOD] = near - near.min()
    A[:, K - 1] = 0.5
    A[:, K:] += np.abs(table @ rng.normal(0, 0.3, (table.shape[1], NEURONS - K)))
    A = A.astype(np.float32)
    vectors = np.eye(NEURONS, dtype=np.float32)[:K]
    if features:
        vectors = rng.normal(0, 1, (K, NEURONS)).astype(np.float32)
    responses = np.ascontiguousarray(A @ vectors.T) if features else A[:, :K].copy()
    pixels = rng.integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)
    return EvaluationInputs(
        responses,
        order_by_response(responses),
        lookup(table, needs_metric),
        labels,
        seed,
        ToyContext(A, vectors, pixels),
    )


def first_directions(inputs: EvaluationInputs, k: int) -> EvaluationInputs:
    """The inputs with their first k directions alone."""
    context = inputs.context
    assert isinstance(context, ToyContext)
    responses = np.ascontiguousarray(inputs.responses[:, :k])
    fewer = ToyContext(context.A, context.vectors[:k].copy(), context.pixels, context.class_names)
    order = inputs.order[:, :k].copy()
    return dataclasses.replace(inputs, responses=responses, order=order, context=fewer)
