"""Similarity of mean colours as people see them: minus CIEDE2000 of two images' mean CIELAB colour.

Low level: it sees nothing but the average over all pixels. Every pixel is converted to CIELAB (sRGB,
white point D65, 2 degree observer) and L*, a*, b* are averaged there: CIELAB is made so that equal
steps look equal, which neither linear light nor sRGB values do, and the mean of what is seen is what
is compared. Similarity in (-inf, 0], 0 for equal means; a difference of about 1 can just be noticed.
Conversion and difference are scikit-image's, on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iibench import MetricSpec, NoParams, Resources, check_rgb, hookimpl

from .._shared.bibliography import entry
from ._golden_images import different, moved

if TYPE_CHECKING:
    import torch

    from iibench import DoubleArray

SHARMA2005 = entry(
    "article",
    "sharma2005ciede2000",
    author="Gaurav Sharma and Wencheng Wu and Edul N. Dalal",
    title="The {CIEDE2000} Color-Difference Formula: Implementation Notes, Supplementary Test Data, "
    "and Mathematical Observations",
    journal="Color Research \\& Application",
    volume=30,
    number=1,
    pages="21--30",
    year=2005,
)


#: Who computed the golden values.
SOURCE = "scikit-image 0.26.0, rgb2lab, mean, deltaE_ciede2000"


@dataclass(frozen=True)
class MeanLab:
    """embed(x) (n, 3): mean L* (0 to 100), a* and b*."""

    fingerprint: str = ""

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (n, 3, h, w) RGB in [0, 1] -> (n, 3) float32. Raises `CaseError` for anything else."""
        import torch
        from skimage.color import rgb2lab

        check_rgb("color_lab", x)
        lab = rgb2lab(x.detach().double().cpu().numpy(), channel_axis=1)
        return torch.from_numpy(lab.mean(axis=(2, 3))).float().to(x.device)

    def compare(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Rows (p, 3) and (q, 3) of `embed` -> (p, q) float64, minus CIEDE2000."""
        import torch
        from skimage.color import deltaE_ciede2000

        difference: Callable[..., DoubleArray] = deltaE_ciede2000
        left, right = (rows.detach().double().cpu().numpy() for rows in (a, b))
        return torch.from_numpy(-difference(left[:, None], right[None])).to(a.device)


def load(params: NoParams, resources: Resources) -> MeanLab:
    """Needs nothing."""
    return MeanLab()


@hookimpl
def iibench_register_metrics() -> Iterable[MetricSpec]:
    """Registers `color_lab`."""
    return [
        MetricSpec(
            name="color_lab",
            summary="minus the CIEDE2000 difference of the images' mean CIELAB colours",
            definition=(
                "Every pixel is converted from sRGB to CIELAB (white point D65, 2 degree observer), "
                "and L*, a* and b* are averaged over the image. Similarity = -CIEDE2000 of the two "
                "means, in (-inf, 0]; 0 for equal means, and a difference of about 1 can just be "
                "noticed. Larger is more alike. Images are compared at their own size; where the "
                "colours stand in the image plays no part."
            ),
            load=load,
            distance="own",
            level="low",
            citation="Sharma, Wu and Dalal 2005, The CIEDE2000 Color-Difference Formula",
            bibtex=SHARMA2005,
            golden=(
                different("color_lab", -19.1792276, 1e-4, SOURCE),
                moved("color_lab", -0.5778043, 1e-4, SOURCE),
            ),
        )
    ]
