"""Similarity of pixels: minus the root mean square difference of two images' RGB values.

Low level. It is the Euclidean distance of the images as vectors, the L2 of the paper's released
code, divided by the root of the number of values, so that it does not grow with the size of the
images: range [-1, 0], 0 for equal images, -1 for black and white. The division changes no order.
An image takes 3 h w numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from iibench import MetricSpec, Resources, check_rgb, hookimpl

from .._shared.bibliography import KLINDT2023
from ._golden_images import different, moved

if TYPE_CHECKING:
    import torch

#: Who computed the golden values.
SOURCE = "NumPy 2.4.6, float64"


@dataclass(frozen=True)
class Params:
    """Parameters of the pixel difference."""

    resize: Annotated[int, Ge(1)] | None = field(
        default=None,
        metadata={"help": "images are resized to this many pixels a side (antialiased bicubic)"},
    )


@dataclass(frozen=True)
class Pixels:
    """embed(x) (n, 3 h w): the values, divided by the root of their number."""

    fingerprint: str = ""

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (n, 3, h, w) RGB in [0, 1] -> (n, 3 h w). Raises `CaseError` for anything else."""
        check_rgb("pixel", x)
        rows = x.float().flatten(1)
        return rows / math.sqrt(max(1, rows.shape[1]))


def load(params: Params, resources: Resources) -> Pixels:
    """Needs nothing."""
    return Pixels()


@hookimpl
def iibench_register_metrics() -> Iterable[MetricSpec]:
    """Registers `pixel`."""
    return [
        MetricSpec(
            name="pixel",
            summary="minus the root mean square difference of the images' RGB values",
            definition=(
                "Similarity = -sqrt(mean over pixels and channels of (x - y)^2) with RGB in [0, 1]: "
                "minus the root mean square difference, which is the Euclidean distance of the images "
                "as vectors over the root of the number of values. It lies in [-1, 0], 0 for equal "
                "images, -1 for black and white; larger is more alike. Images are compared at their "
                "own size unless `resize` is given."
            ),
            params=Params,
            load=load,
            distance="euclidean",
            size=lambda params: params.resize,
            range="[-1, 0]",
            level="low",
            citation="Klindt et al. 2023 (arXiv 2310.11431), released code",
            bibtex=KLINDT2023,
            golden=(
                different("pixel", -0.4062253, 1e-6, SOURCE),
                moved("pixel", -0.1533231, 1e-6, SOURCE),
            ),
        )
    ]
