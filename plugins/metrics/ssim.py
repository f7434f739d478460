"""Structural similarity (SSIM): how alike two images are within small windows, averaged.

Low level. In every window that lies inside the image, for each channel, with means m, variances v
and the covariance c of the two images' pixels there,

    (2 m_x m_y + C1) (2 c + C2) / ((m_x^2 + m_y^2 + C1) (v_x + v_y + C2)),  C1 = 0.01^2, C2 = 0.03^2

for values in [0, 1]; the similarity is the mean over windows and channels. Range [-1, 1], 1 for
equal images. `uniform` is scikit-image's default: windows of 7 x 7 pixels, sample variances (divided
by 48, not 49). `gaussian` is the original: Gaussian weights with a standard deviation of 1.5 pixels on
11 x 11 pixels, on each channel instead of on grey levels.

Both windows are products of two one-dimensional ones, so that local means are matrix products; one
against many images at once takes an eighth (32 x 32 pixels) to two thirds (224 x 224) of the time of
calling scikit-image for each pair. An image takes 3 h w + 2 numbers.
Wang et al. 2004, Image Quality Assessment: From Error Visibility to Structural Similarity, Eq. 13.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from iibench import CaseError, MetricSpec, Resources, check_rgb, hookimpl

from .._shared.bibliography import entry
from ._golden_images import different, moved
from ._rows import HEAD, image_size, rows_of

if TYPE_CHECKING:
    import torch

    from iibench import DoubleArray

WANG2004 = entry(
    "article",
    "wang2004image",
    author="Zhou Wang and Alan C. Bovik and Hamid R. Sheikh and Eero P. Simoncelli",
    title="Image Quality Assessment: From Error Visibility to Structural Similarity",
    journal="{IEEE} Transactions on Image Processing",
    volume=13,
    number=4,
    pages="600--612",
    year=2004,
)


C1, C2 = 0.01**2, 0.03**2
#: Pixels a side of a window.
SIDES = {"uniform": 7, "gaussian": 11}
SIGMA = 1.5
#: Numbers in the maps of as many pairs as are compared at once: few enough to stay in a CPU's cache.
BLOCK = 1 << 17

#: Who computed the golden values.
SOURCE = "scikit-image 0.26.0, structural_similarity"


@dataclass(frozen=True)
class Params:
    """Which structural similarity."""

    window: Literal["uniform", "gaussian"] = field(
        default="uniform",
        metadata={
            "help": "uniform: 7 x 7 pixels, sample variances (scikit-image's default); gaussian: "
            "11 x 11, standard deviation 1.5 (Wang et al. 2004)"
        },
    )
    resize: Annotated[int, Ge(1)] | None = field(
        default=None,
        metadata={"help": "images are resized to this many pixels a side (antialiased bicubic)"},
    )


@dataclass(frozen=True)
class StructuralSimilarity:
    """`window`: how the pixels around a place are weighted."""

    window: Literal["uniform", "gaussian"]
    fingerprint: str = ""

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (n, 3, h, w) RGB in [0, 1] -> (n, 2 + 3 h w) float32: h, w and the pixels.

        Raises `CaseError` for other inputs and for images that are smaller than a window.
        """
        check_rgb("ssim", x)
        height, width, side = int(x.shape[2]), int(x.shape[3]), SIDES[self.window]
        if min(height, width) < side:
            raise CaseError(
                f"metric ssim ({self.window}) needs images of at least {side} x {side} pixels, got "
                f"{height} x {width}; resize them (resize: 32)"
            )
        return rows_of([x.float()], height, width)

    def compare(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Rows (p, d) and (q, d) of `embed` -> (p, q) float64 similarities.

        Raises `CaseError` for images of unequal sizes.
        """
        import torch

        out = torch.zeros(len(a), len(b), dtype=torch.float64, device=a.device)
        if out.numel() == 0:
            return out
        height, width = image_size("ssim", a, b)
        down, across = (
            torch.from_numpy(window_matrix(self.window, side)).to(a.device)
            for side in (height, width)
        )
        side = SIDES[self.window]
        unbiased = side**2 / (side**2 - 1) if self.window == "uniform" else 1.0

        def local_mean(maps: torch.Tensor) -> torch.Tensor:
            return down @ maps @ across.T

        x, y = (rows[:, HEAD:].double().reshape(-1, 3, height, width) for rows in (a, b))
        mean_x, mean_y = local_mean(x), local_mean(y)
        variance_x = (local_mean(x * x) - mean_x**2) * unbiased
        variance_y = (local_mean(y * y) - mean_y**2) * unbiased
        step = max(1, BLOCK // (3 * height * width))
        for i in range(len(a)):
            for start in range(0, len(b), step):
                some = slice(start, start + step)
                means = mean_x[i] * mean_y[some]
                covariance = (local_mean(x[i] * y[some]) - means) * unbiased
                above = (2 * means + C1) * (2 * covariance + C2)
                below = mean_x[i] ** 2 + mean_y[some] ** 2 + C1
                below *= variance_x[i] + variance_y[some] + C2
                out[i, some] = (above / below).mean(dim=(1, 2, 3))
        return out


def window_matrix(window: Literal["uniform", "gaussian"], length: int) -> DoubleArray:
    """(length - k + 1, length): row i weights the k pixels from i on; each row sums to 1.

    Both windows are products of a weight down and a weight across, so that the local means of a map
    are the map between two such matrices.
    """
    import numpy as np

    side = SIDES[window]
    weights = np.ones(side)
    if window == "gaussian":
        weights = np.exp(-0.5 * ((np.arange(side) - side // 2) / SIGMA) ** 2)
    matrix = np.zeros((length - side + 1, length))
    for i in range(len(matrix)):
        matrix[i, i : i + side] = weights / weights.sum()
    return matrix


def load(params: Params, resources: Resources) -> StructuralSimilarity:
    """Needs nothing."""
    return StructuralSimilarity(params.window)


@hookimpl
def iibench_register_metrics() -> Iterable[MetricSpec]:
    """Registers `ssim`."""
    return [
        MetricSpec(
            name="ssim",
            summary="structural similarity within small windows, mean over windows and channels",
            definition=(
                "In each window that lies inside the image, for each channel, with means m, variances "
                "v and covariance c of the two images' pixels (RGB in [0, 1]): (2 m_x m_y + 0.01^2) "
                "(2 c + 0.03^2) / ((m_x^2 + m_y^2 + 0.01^2) (v_x + v_y + 0.03^2)). Similarity is the "
                "mean over windows and channels, in [-1, 1]: 1 for equal images, larger is more "
                "alike. Windows are 7 x 7 pixels with equal weights, or 11 x 11 with Gaussian ones "
                "(`window`). Images are compared at their own size unless `resize` is given."
            ),
            params=Params,
            load=load,
            distance="own",
            size=lambda params: params.resize,
            range="[-1, 1]",
            level="low",
            citation=(
                "Wang et al. 2004, Image Quality Assessment: From Error Visibility to Structural "
                "Similarity"
            ),
            bibtex=WANG2004,
            golden=(
                different("ssim", 0.1389129, 1e-6, SOURCE),
                moved("ssim", 0.2521220, 1e-6, SOURCE),
                different("ssim[window=gaussian]", 0.1657210, 1e-6, SOURCE),
                moved("ssim[window=gaussian]", 0.2466033, 1e-6, SOURCE),
            ),
        )
    ]
