"""Similarity of mean colours: minus the Euclidean distance of two images' mean RGB, RGB in [0, 1].

Low level: it sees nothing but the average over all pixels. Range [-sqrt(3), 0].
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iibench import MetricSpec, NoParams, Resources, check_rgb, hookimpl

from .._shared.bibliography import KLINDT2023
from ._golden_images import different, moved

if TYPE_CHECKING:
    import torch

#: Who computed the golden values.
SOURCE = "NumPy 2.4.6, float64"


@dataclass(frozen=True)
class MeanColor:
    """embed(x) (n, 3): the mean of each channel."""

    fingerprint: str = ""

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (n, 3, h, w) RGB in [0, 1] -> (n, 3). Raises `CaseError` for anything else."""
        import torch

        check_rgb("color", x)
        # MPS has no float64
        exact = x.cpu() if x.device.type == "mps" else x
        return exact.mean(dim=(2, 3), dtype=torch.float64).float()


def load(params: NoParams, resources: Resources) -> MeanColor:
    return MeanColor()


@hookimpl
def iibench_register_metrics() -> Iterable[MetricSpec]:
    return [
        MetricSpec(
            name="color",
            summary="minus the Euclidean distance of the images' mean RGB colours",
            definition=(
                "m(x) is the mean over all pixels of the image's RGB values in [0, 1], one number per "
                "channel. Similarity = -||m(x) - m(y)||, the Euclidean distance of the two mean "
                "colours: 0 for equal means, -sqrt(3) for black and white; larger is more alike. "
                "Images are compared at their own size; where the colours stand in the image plays no "
                "part."
            ),
            load=load,
            distance="euclidean",
            range="[-sqrt(3), 0]",
            level="low",
            citation="Klindt et al. 2023 (arXiv 2310.11431), Sec. 2.2",
            bibtex=KLINDT2023,
            golden=(
                different("color", -0.4031540, 1e-6, SOURCE),
                moved("color", -0.0141257, 1e-6, SOURCE),
            ),
        )
    ]
