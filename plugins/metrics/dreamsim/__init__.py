"""DreamSim: 1 minus the distance that was trained on people's choices between images of similar scenes.

Mid level: layout, pose and meaning, more than texture. Similarity = 1 - DreamSim, a cosine, in
[-1, 1], 1 for equal images. Images are always resized to 224 x 224 pixels, whatever their size; an
embedding has 1,792 numbers (ensemble), 768 or 512. The ensemble takes about a second an image on one
CPU core, a network with patches of 32 pixels a twentieth of that.

The package `dreamsim` gives the networks' code. Its own loader is not called: it runs code from
branches of other repositories and changes torch hub's folder.

Its variants trained on class and patch tokens together (`use_patch_model=True`) are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from iibench import MetricSpec, Resources, hookimpl

from ..._shared.bibliography import FU2023
from .demo import GOLDEN
from .files import DINO, DINOV2, VARIANTS, read_network, unpacked
from .lora import read_adapter
from .network import SIDE, build, package

if TYPE_CHECKING:
    from .network import DreamSim


@dataclass(frozen=True)
class Params:
    """Which DreamSim."""

    variant: Literal[
        "ensemble",
        "dino_vitb16",
        "clip_vitb32",
        "open_clip_vitb32",
        "dinov2_vitb14",
        "synclr_vitb16",
    ] = field(
        default="ensemble",
        metadata={
            "help": "ensemble: DINO, CLIP and OpenCLIP (ViT-B/16), the one of the paper; the others "
            "are single networks, about three times as fast"
        },
    )


def load(params: Params, resources: Resources) -> DreamSim:
    """The embedding. Raises `AssetError` where the package or the weights are missing or damaged."""
    package()  # before anything large is downloaded
    variant = VARIANTS[params.variant]
    folder = unpacked(variant, resources)
    states = [read_network(network, folder, resources) for network in variant.networks]
    return build(variant.networks, states, read_adapter(folder / variant.adapter), resources.device)


@hookimpl
def iibench_register_metrics() -> Iterable[MetricSpec]:
    """Registers `dreamsim`."""
    return [
        MetricSpec(
            name="dreamsim",
            summary="1 - DreamSim, the distance trained on people's choices; sees layout and meaning",
            definition=(
                "Images are resized to 224 x 224 pixels (antialiased bicubic) and go through vision "
                "transformers that were fine-tuned on people's choices between similar scenes; the "
                "features of all networks of the variant are joined, their mean is taken off, and "
                "they are scaled to unit norm: e(x). Similarity = e(x) . e(y) = 1 - DreamSim, a "
                "cosine in [-1, 1]; 1 for equal images, larger is more alike."
            ),
            params=Params,
            load=load,
            distance="cosine",
            size=lambda params: SIDE,
            range="[-1, 1]",
            level="mid",
            assets=(*(variant.zip for variant in VARIANTS.values()), DINO, DINOV2),
            citation=(
                "Fu et al. 2023, DreamSim: Learning New Dimensions of Human Visual Similarity using "
                "Synthetic Data"
            ),
            bibtex=FU2023,
            licence="MIT (dreamsim)",
            golden=GOLDEN,
        )
    ]
