"""A control that means nothing: minus the Euclidean distance of random vectors, one per picture.

A picture's vector is drawn from the standard normal distribution by a generator of its own, seeded
with the SHA-256 of the picture's 8-bit pixels, its size and `seed`. Equal pictures have equal vectors,
whatever batch or run they are in; everything else is arbitrary. A score that this metric reaches is
chance, so one that differs from chance shows a flaw of the task. Similarity in (-inf, 0].
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from iibench import MetricSpec, Resources, check_rgb, hookimpl

from ._golden_images import different, moved

if TYPE_CHECKING:
    import torch

#: Who computed the golden values.
SOURCE = "hashlib and NumPy 2.4.6, from the definition"


@dataclass(frozen=True)
class Params:
    """Parameters of the random vectors."""

    dimension: Annotated[int, Ge(1)] = field(
        default=16, metadata={"help": "length of an image's random vector"}
    )
    seed: Annotated[int, Ge(0)] = field(default=0, metadata={"help": "of the random vectors"})


@dataclass(frozen=True)
class RandomVectors:
    """embed(x) (n, dimension): a random vector that a picture's pixels and `seed` decide."""

    dimension: int
    seed: int
    fingerprint: str = ""

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (n, 3, h, w) RGB in [0, 1] -> (n, dimension). Raises `CaseError` for anything else."""
        import numpy as np
        import torch

        check_rgb("shuffled", x)
        # the pixels are those of an 8-bit image, whatever 1 / 255 is rounded to on this device
        pixels = (x * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().contiguous().numpy()
        rows = np.empty((len(pixels), self.dimension), np.float32)
        head = f"{self.seed} {x.shape[2]} {x.shape[3]}\n".encode()
        for row, picture in zip(rows, pixels, strict=True):
            digest = hashlib.sha256(head + picture.tobytes()).digest()
            generator = np.random.default_rng(int.from_bytes(digest, "big"))
            row[:] = generator.standard_normal(self.dimension)
        return torch.from_numpy(rows).to(x.device)


def load(params: Params, resources: Resources) -> RandomVectors:
    """Needs nothing."""
    return RandomVectors(params.dimension, params.seed)


@hookimpl
def iibench_register_metrics() -> Iterable[MetricSpec]:
    """Registers `shuffled`."""
    return [
        MetricSpec(
            name="shuffled",
            summary="control at chance: minus the distance of random vectors, one per picture",
            definition=(
                "A control that means nothing. v(x) is a vector of `dimension` numbers from the "
                "standard normal distribution, drawn by a generator that the SHA-256 of the image's "
                "8-bit pixels, its size and `seed` decide. Similarity = -||v(x) - v(y)||, in (-inf, "
                "0]: 0 for equal pictures, arbitrary for all others. A score that it reaches is "
                "chance."
            ),
            params=Params,
            load=load,
            distance="euclidean",
            level="control",
            golden=(
                different("shuffled", -4.6279578, 1e-5, SOURCE),
                moved("shuffled", -5.3070160, 1e-5, SOURCE),
            ),
        )
    ]
