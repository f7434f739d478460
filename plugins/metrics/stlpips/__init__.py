"""Shift-tolerant LPIPS: minus LPIPS on networks that hardly notice a shift of a few pixels.

Mid level. Similarity = -ST-LPIPS, in (-inf, 0], 0 for equal images. The parts `stlpips[0]`, ... are
the summands of single taps. The weights are those of the package `stlpips_pytorch` (variant
`shift_tolerant`, weights vST0.0); its code is not run.

The published call `LPIPS(net=..., variant="shift_tolerant")(img0, img1)` takes RGB in [-1, 1] and
normalises it by LPIPS's scaling layer, since `version` stays "0.1". That is what is done here with
RGB in [0, 1]. An image takes 36,288 numbers (alex) or 140,672 (vgg) at 32 x 32, 2.1 or 6.2 million
at 224 x 224 (float32).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from iibench import AssetError, AssetFile, AssetSpec, MetricSpec, Resources, hookimpl

from ..._shared.bibliography import arxiv, entry
from .._golden_images import different, moved

if TYPE_CHECKING:
    from .network import StlpipsEmbedding

GHILDYAL2022 = entry(
    "inproceedings",
    "ghildyal2022shift",
    author="Abhijay Ghildyal and Feng Liu",
    title="Shift-tolerant Perceptual Similarity Metric",
    booktitle="European Conference on Computer Vision",
    year=2022,
    **arxiv("2207.13686"),
)


PACKAGE = "stlpips_pytorch==0.0.2"
PACKAGE_SHA256 = "29b1d4615e18851571d3872c509e9df3f415a5ba406fd6ac757356c7767fa8a6"
FOLDER = "stlpips_pytorch-0.0.2/src/stlpips_pytorch/weights/vST0.0"
#: Who computed the golden values.
SOURCE = "stlpips_pytorch 0.0.2 in float64"


def _weights(net: str, sha256: str, size: int) -> AssetSpec:
    filename = f"{net}_shift_tolerant.pth"
    file = AssetFile(
        filename,
        sha256,
        size,
        packaged=f"stlpips_pytorch:weights/vST0.0/{filename}",
        package=PACKAGE,
        package_sha256=PACKAGE_SHA256,
        member=f"{FOLDER}/{filename}",
    )
    return AssetSpec(
        name=f"stlpips-{net}",
        summary=f"shift-tolerant LPIPS: network ({net}) and learned weights",
        files=(file,),
        licence="BSD-2-Clause (stlpips_pytorch)",
        homepage="https://github.com/abhijay9/ShiftTolerant-LPIPS",
    )


WEIGHTS = {
    "alex": _weights(
        "alex", "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee", 9_899_296
    ),
    "vgg": _weights(
        "vgg", "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250", 58_907_298
    ),
}


@dataclass(frozen=True)
class Params:
    """Which shift-tolerant LPIPS."""

    net: Literal["alex", "vgg"] = field(
        default="alex", metadata={"help": "network: AlexNet or VGG16, made shift-tolerant"}
    )
    resize: Annotated[int, Ge(1)] | None = field(
        default=None,
        metadata={"help": "images are resized to this many pixels a side (antialiased bicubic)"},
    )


def load(params: Params, resources: Resources) -> StlpipsEmbedding:
    """The embedding. Raises `AssetError` where the weights are neither here nor to be had."""
    import torch

    from .network import build

    try:
        _, path = resources.asset(WEIGHTS[params.net])
    except AssetError as error:
        raise AssetError(f"stlpips needs: pip install 'iibench[stlpips]'\n{error}") from error
    published = torch.load(path, map_location="cpu", weights_only=True)
    return build(params.net, published, resources.device)


@hookimpl
def iibench_register_metrics() -> Iterable[MetricSpec]:
    """Registers `stlpips`."""
    return [
        MetricSpec(
            name="stlpips",
            summary="minus shift-tolerant LPIPS; stlpips[l] is tap l alone",
            definition=(
                "LPIPS on networks that hardly notice a shift: AlexNet (by default) or VGG16 with "
                "each stride replaced by a blur that is sampled at every second pixel, and with "
                "learned weights w of their own. ST-LPIPS(x, y) = sum over taps l of 1 / (H_l W_l) "
                "sum over positions and channels c of w_lc (f_lc(x) - f_lc(y))^2, f_l being the "
                "features of tap l scaled to unit norm over channels. Similarity = -ST-LPIPS, in "
                "(-inf, 0]: 0 for equal images, larger is more alike; `stlpips[l]` is the summand of "
                "tap l alone. Images are compared at their own size unless `resize` is given."
            ),
            params=Params,
            load=load,
            distance="squared_euclidean",
            size=lambda params: params.resize,
            parts=lambda params: ("0", "1", "2", "3", "4"),
            level="mid",
            assets=tuple(WEIGHTS.values()),
            citation="Ghildyal and Liu 2022, Shift-tolerant Perceptual Similarity Metric",
            bibtex=GHILDYAL2022,
            licence="BSD-2-Clause (stlpips_pytorch)",
            golden=(
                different("stlpips", -0.5118450, 1e-5, SOURCE),
                moved("stlpips", -0.0508732, 1e-5, SOURCE),
                different("stlpips[3]", -0.1214023, 1e-5, SOURCE),
                different("stlpips[net=vgg]", -0.6076917, 1e-5, SOURCE),
                moved("stlpips[net=vgg]", -0.0763522, 1e-5, SOURCE),
            ),
        )
    ]
