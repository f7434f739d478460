"""DISTS: minus the distance of two images' structure and texture in the feature maps of VGG16.

Mid level. It forgives another sample of the same texture: 88 % of its learned weight lies on the
maps' means. Similarity = -DISTS, in [-1.13, 0], 0 for equal images. Values depend on the size of the
images: its authors made it for 256 pixels on the shorter side. Images below 17 x 17 are refused.

An embedding keeps all maps of the image, about 125 numbers a pixel and 2,952 more: 0.5 MB at 32 x 32,
2 MB at 64 x 64, 25 MB at 224 x 224 (float32).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from iibench import AssetError, AssetFile, AssetSpec, MetricSpec, Resources, hookimpl

from ..._shared.bibliography import arxiv, entry
from ..._shared.lpips_backbones import BACKBONES, backbone
from .._golden_images import different, moved

if TYPE_CHECKING:
    from .network import Dists

DING2020 = entry(
    "article",
    "ding2020image",
    author="Keyan Ding and Kede Ma and Shiqi Wang and Eero P. Simoncelli",
    title="Image Quality Assessment: Unifying Structure and Texture Similarity",
    journal="{IEEE} Transactions on Pattern Analysis and Machine Intelligence",
    year=2020,
    **arxiv("2004.07728"),
)


WEIGHTS = AssetSpec(
    name="dists-weights",
    summary="the learned weights alpha and beta of DISTS",
    files=(
        AssetFile(
            "dists_weights.pt",
            "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
            12_288,
            packaged="DISTS_pytorch:weights.pt",
        ),
    ),
    licence="MIT (DISTS-pytorch)",
    homepage="https://github.com/dingkeyan93/DISTS",
)

#: Who computed the golden values.
SOURCE = "DISTS_pytorch 0.1 in float64, VGG16 of torchvision"


@dataclass(frozen=True)
class Params:
    """Parameters of DISTS."""

    resize: Annotated[int, Ge(1)] | None = field(
        default=None,
        metadata={"help": "images are resized to this many pixels a side (antialiased bicubic)"},
    )


def load(params: Params, resources: Resources) -> Dists:
    """Raises `AssetError` where VGG16 or the learned weights are neither here nor to be had."""
    import torch

    from .network import build

    try:
        _, path = resources.asset(WEIGHTS)
    except AssetError as error:
        raise AssetError(f"dists needs: pip install 'iibench[dists]'\n{error}") from error
    learned = torch.load(path, map_location="cpu", weights_only=True)
    return build(backbone("vgg", resources), learned, resources.device)


@hookimpl
def iibench_register_metrics() -> Iterable[MetricSpec]:
    """Registers `dists`."""
    return [
        MetricSpec(
            name="dists",
            summary="minus DISTS, the distance of structure and texture in VGG16's feature maps",
            definition=(
                "The maps compared are the image itself and those after each of VGG16's five stages, "
                "with L2 pooling in place of max pooling. For channel c of stage k, with means mu, "
                "variances s^2 and covariance s_xy of the two images' maps: l = (2 mu_x mu_y + 1e-6) "
                "/ (mu_x^2 + mu_y^2 + 1e-6) and s = (2 s_xy + 1e-6) / (s_x^2 + s_y^2 + 1e-6). "
                "Similarity = -DISTS = sum over k, c of (alpha_kc l + beta_kc s) - 1, with learned "
                "weights that add up to 1: 0 for equal images, down to -1.13; larger is more alike. "
                "Images are compared at their own size unless `resize` is given (at least 17 x 17 "
                "pixels)."
            ),
            params=Params,
            load=load,
            distance="own",
            size=lambda params: params.resize,
            range="[-1.13, 0]",
            level="mid",
            assets=(WEIGHTS, BACKBONES["vgg"]),
            citation=(
                "Ding et al. 2020, Image Quality Assessment: Unifying Structure and Texture "
                "Similarity"
            ),
            bibtex=DING2020,
            licence="MIT (DISTS-pytorch), BSD-3-Clause (torchvision)",
            golden=(
                different("dists", -0.4632499, 1e-5, SOURCE),
                moved("dists", -0.1033289, 1e-5, SOURCE),
            ),
        )
    ]
