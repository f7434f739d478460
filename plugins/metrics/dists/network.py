"""DISTS: how alike the structure and the texture of two images' feature maps are.

The maps are the image itself (stage 0) and those after each of the five stages of VGG16, whose max
poolings are replaced by L2 pooling: the root of the squares blurred by a Hanning window, at every
second pixel. For channel c of stage k, with the means mu, variances s^2 and the covariance s_xy of
the two maps over their positions,

    texture   l = (2 mu_x mu_y + 1e-6) / (mu_x^2 + mu_y^2 + 1e-6)
    structure s = (2 s_xy + 1e-6) / (s_x^2 + s_y^2 + 1e-6)

and DISTS = 1 - sum of alpha_kc l + beta_kc s, the learned alpha and beta adding up to 1. An image is
embedded as its means, its variances and its maps less their means: what is left to do for a pair is
the products of maps. With the means taken off nothing cancels in them, so that float32 is enough.
Ding et al. 2020, Image Quality Assessment: Unifying Structure and Texture Similarity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iibench import AssetError, CaseError, check_rgb

from .._rows import HEAD, image_size, rows_of
from .._weights import exact, fast_layout, fingerprint_of, strict

if TYPE_CHECKING:
    import torch

#: Channels of each stage's maps, the image first.
CHANNELS = (3, 64, 128, 256, 512, 512)
#: Places of each stage's convolutions in torchvision's `features`.
STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
#: torchvision's normalisation of what VGG16 is given.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: The constants of both terms.
C = 1e-6
#: In smaller images the last stage's maps are one pixel, which has no structure.
LEAST = 17
#: Channels times pairs that are compared at once.
BLOCK = 1 << 22


@dataclass(frozen=True)
class Dists:
    """`trunk`: VGG16's convolutions. `alpha`, `beta` (1475,) float64, of all stages' channels."""

    trunk: Mapping[str, torch.Tensor]
    alpha: torch.Tensor
    beta: torch.Tensor
    fingerprint: str

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (n, 3, h, w) RGB in [0, 1] -> (n, d) float32.

        A row is h, w, the means and the variances of all channels, and their maps less the means.

        Raises `CaseError` for other inputs and for images of fewer than 17 pixels a side.
        """
        import torch

        check_rgb("dists", x)
        height, width = int(x.shape[2]), int(x.shape[3])
        if min(height, width) < LEAST:
            raise CaseError(
                f"metric dists needs images of at least {LEAST} x {LEAST} pixels, got {height} x "
                f"{width}; resize them (resize: 256, the size that DISTS was made for)"
            )
        mean, std = (x.new_tensor(v)[:, None, None] for v in (MEAN, STD))
        maps = [x.float()]
        y = fast_layout(((maps[0] - mean) / std).float())
        with exact():
            for k, places in enumerate(STAGES):
                y = l2_pool(y) if k else y
                for place in places:
                    weight, bias = (
                        self.trunk[f"features.{place}.{part}"] for part in ("weight", "bias")
                    )
                    y = torch.nn.functional.conv2d(y, weight, bias, padding=1).relu_()
                maps.append(y)
        means = [m.mean(dim=(2, 3), keepdim=True, dtype=torch.float64) for m in maps]
        centred = [(m - mean).float() for m, mean in zip(maps, means, strict=True)]
        variances = [
            m.square().mean(dim=(2, 3), keepdim=True, dtype=torch.float64) for m in centred
        ]
        statistics = [torch.cat(values, dim=1).float() for values in (means, variances)]
        return rows_of([*statistics, *centred], height, width)

    def compare(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Rows (p, d) and (q, d) of `embed` -> (p, q) float64, minus DISTS.

        All pairs at once, some channels at a time. Raises `CaseError` for images of unequal sizes.
        """
        import torch

        alike = torch.zeros(len(a), len(b), dtype=torch.float64, device=a.device)
        if alike.numel() == 0:
            return alike
        total = sum(CHANNELS)
        head = slice(HEAD, HEAD + total), slice(HEAD + total, HEAD + 2 * total)
        mean_x, variance_x = (a[:, part].double().T for part in head)
        mean_y, variance_y = (b[:, part].double().T for part in head)
        start, channel, step = HEAD + 2 * total, 0, max(1, BLOCK // alike.numel())
        for channels, positions in layout(*image_size("dists", a, b)):
            for first in range(0, channels, step):
                count = min(step, channels - first)
                some = slice(channel, channel + count)
                columns = slice(start, start + count * positions)
                x, y = (
                    rows[:, columns].reshape(len(rows), count, positions).transpose(0, 1)
                    for rows in (a, b)
                )
                covariance = (x @ y.transpose(1, 2)).double() / positions
                structure = ratio(covariance, variance_x[some], variance_y[some])
                near, far = mean_x[some], mean_y[some]
                texture = ratio(near[:, :, None] * far[:, None], near**2, far**2)
                alike += torch.tensordot(self.alpha[some], texture, dims=1)
                alike += torch.tensordot(self.beta[some], structure, dims=1)
                start, channel = columns.stop, some.stop
        return (alike - 1).clamp_max_(0)  # neither term exceeds 1, but for rounding


def ratio(product: torch.Tensor, near: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
    """product (c, p, q), near (c, p) and far (c, q) -> (2 product + C) / (near + far + C)."""
    return (2 * product + C) / (near[:, :, None] + far[:, None] + C)


def l2_pool(x: torch.Tensor) -> torch.Tensor:
    """x (n, C, H, W) -> (n, C, ceil(H/2), ceil(W/2)): root of the squares' weighted mean.

    The weights are a Hanning window of 5 x 5, whose border is zero: 3 x 3 remain. Outside the image
    there are zeros.
    """
    import torch

    channels = int(x.shape[1])
    window = x.new_tensor([0.25, 0.5, 0.25])
    kernel = fast_layout((window[:, None] * window).expand(channels, 1, 3, 3))
    pooled = torch.nn.functional.conv2d(x * x, kernel, stride=2, padding=1, groups=channels)
    return (pooled + 1e-12).sqrt()


def layout(height: int, width: int) -> tuple[tuple[int, int], ...]:
    """(channels, positions) of each stage's maps for height x width images."""
    found = [(CHANNELS[0], height * width)]
    for channels in CHANNELS[1:]:
        found.append((channels, height * width))
        height, width = (height + 1) // 2, (width + 1) // 2
    return tuple(found)


def build(
    trunk: Mapping[str, torch.Tensor], learned: Mapping[str, torch.Tensor], device: str = "cpu"
) -> Dists:
    """DISTS on VGG16's convolutions by torchvision's names, with the published `alpha` and `beta`.

    Raises `AssetError` where a tensor is missing, unknown, of another shape, or a learned weight is
    negative.
    """
    wanted: dict[str, tuple[int, ...]] = {}
    inputs = CHANNELS[0]
    for outputs, places in zip(CHANNELS[1:], STAGES, strict=True):
        for place in places:
            wanted[f"features.{place}.weight"] = (outputs, inputs, 3, 3)
            wanted[f"features.{place}.bias"] = (outputs,)
            inputs = outputs
    convolutions = strict("VGG16 of dists", wanted, trunk, device)
    shape = (1, sum(CHANNELS), 1, 1)
    weights = strict("weights of dists", {"alpha": shape, "beta": shape}, learned, device)
    if not all(bool((w >= 0).all()) for w in weights.values()):
        raise AssetError("weights of dists: expected numbers >= 0")
    alpha, beta = (weights[name].double().flatten() for name in ("alpha", "beta"))
    total = alpha.sum() + beta.sum()
    return Dists(
        {name: fast_layout(tensor) for name, tensor in convolutions.items()},
        alpha / total,
        beta / total,
        fingerprint_of({**trunk, **learned}),
    )
