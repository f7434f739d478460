"""How each network of Zimmermann, Klein and Brendel 2023 is built, and what its input is.

torchvision is always there; timm, open_clip and lucent are optional (`pip install "iibench[imi]"`)
and imported when one of their networks is built.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from iibench import AssetError, Preprocess

from .._torchvision import IMAGENET_MEAN, IMAGENET_STD, build_network

if TYPE_CHECKING:
    import torch

SIZE = 224
#: OpenAI's statistics, which the CLIP networks of LAION keep.
CLIP = Preprocess((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711), SIZE)
IMAGENET = Preprocess(IMAGENET_MEAN, IMAGENET_STD, SIZE)
#: Lucent's InceptionV1 takes 255 x - 117; the study cut 229 pixels out of the image for it.
INCEPTION = Preprocess((117 / 255,) * 3, (1 / 255,) * 3, 229)
HALVES = Preprocess((0.5,) * 3, (0.5,) * 3, SIZE)


@dataclass(frozen=True)
class Published:
    """A file of weights that the user puts in place: its SHA-256 is not pinned.

    `filename`: under which it is looked for. `url`: where it is. `entry`: key of the checkpoint
    below which the tensors lie. `prefix`: only tensors whose name starts with it belong to the
    network (the others are those of CLIP's text tower, or of an attack that made the training
    robust); `strip`: whether the network's own names lack it.
    """

    filename: str
    url: str
    entry: str | None = None
    prefix: str = ""
    strip: bool = False


@dataclass(frozen=True)
class Network:
    """One of the study's networks.

    `build`: the library's own architecture with random weights. `adapt`: makes of it the network
    that the study tapped; names of parameters may gain a prefix, values and outputs stay.
    `weights`: a file, or the name of torchvision's weights for the `builder` of torchvision.
    """

    build: Callable[[], torch.nn.Module]
    adapt: Callable[[torch.nn.Module], torch.nn.Module]
    preprocess: Preprocess
    weights: Published | str
    builder: str = ""


def _import(module: str, install: str) -> Any:
    """An optional library's module; raises `AssetError` that says how to install it."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # an old library may fail in any way with a new torch
        raise AssetError(
            f"this network of imi needs the package {install.split()[-1]}, which cannot be "
            f"imported ({type(error).__name__}: {error}); install it with: pip install {install}"
        ) from error


# ------------------------------------------------------------------------------------ building


def _inception() -> torch.nn.Module:
    inceptionv1 = _import("lucent.modelzoo", "--no-deps torch-lucent").inceptionv1
    module: torch.nn.Module = inceptionv1(pretrained=False)
    return module


def _timm(name: str) -> torch.nn.Module:
    module: torch.nn.Module = _import("timm", "timm").create_model(name, pretrained=False)
    return module


def _clip_resnet50() -> torch.nn.Module:
    library = _import("open_clip.modified_resnet", "open_clip_torch")
    visual: torch.nn.Module = library.ModifiedResNet(
        layers=[3, 4, 6, 3], output_dim=1024, heads=32, image_size=SIZE, width=64
    )
    return visual


def _clip_vit() -> torch.nn.Module:
    """Raises `AssetError` for versions of open_clip that put the tokens before the images."""
    library = _import("open_clip.transformer", "open_clip_torch")
    visual: Any = library.VisionTransformer(
        image_size=SIZE,
        patch_size=32,
        width=768,
        layers=12,
        heads=12,
        mlp_ratio=4.0,
        output_dim=512,
    )
    if not getattr(visual.transformer, "batch_first", False):
        raise AssetError(
            "this version of open_clip gives activations as (tokens, images, channels); expected "
            "images first, as since 2.26: pip install --upgrade open_clip_torch"
        )
    module: torch.nn.Module = visual
    return module


# ------------------------------------------------------------------------------------ adapting


def _as_it_is(module: torch.nn.Module) -> torch.nn.Module:
    return module


def _resnet(module: torch.nn.Module) -> torch.nn.Module:
    from .._open_clip_blocks import with_shortcuts, without_inplace_relus

    with_shortcuts(module)
    without_inplace_relus(module)  # the one of the stem is left
    return module


def _densenet(module: torch.nn.Module) -> torch.nn.Module:
    from .._open_clip_blocks import without_inplace_relus

    without_inplace_relus(module)
    return module


def _tower(module: torch.nn.Module) -> torch.nn.Module:
    from .._open_clip_blocks import VisualTower

    return VisualTower(module)


# ---------------------------------------------------------------------------------- the table


def _torchvision(
    builder: str, weights: Published | str, adapt: Callable[[torch.nn.Module], torch.nn.Module]
) -> Network:
    return Network(partial(build_network, builder), adapt, IMAGENET, weights, builder)


def _hugging_face(variant: str, repository: str, filename: str, prefix: str = "") -> Published:
    """Files there are all called alike: saved under the network's name."""
    url = f"https://huggingface.co/{repository}/resolve/main/{filename}"
    return Published(f"imi-{variant}.safetensors", url, prefix=prefix)


INCEPTION5H = Published(
    "inception5h.pth",
    "https://github.com/ProGamerGov/pytorch-old-tensorflow-models/raw/master/inception5h.pth",
)
ROBUST = Published(
    "resnet50_l2_eps3.ckpt",
    "https://huggingface.co/madrylab/robust-imagenet-models/resolve/main/resnet50_l2_eps3.ckpt",
    entry="model",
    prefix="module.model.",
    strip=True,
)
OPENAI_RN50 = _hugging_face(
    "clip-resnet50", "timm/resnet50_clip.openai", "open_clip_model.safetensors", "visual."
)
LAION_VIT = _hugging_face(
    "clip-vit_b32",
    "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
    "open_clip_model.safetensors",
    "visual.",
)
AUGREG_VIT = _hugging_face(
    "in1k-vit_b32", "timm/vit_base_patch32_224.augreg_in1k", "model.safetensors"
)
CONVNEXT = _hugging_face("convnext_b", "timm/convnext_base.fb_in1k", "model.safetensors")

NETWORKS = {
    "googlenet": Network(_inception, _as_it_is, INCEPTION, INCEPTION5H),
    "densenet_201": _torchvision("densenet201", "IMAGENET1K_V1", _densenet),
    "resnet50": _torchvision("resnet50", "IMAGENET1K_V1", _resnet),
    "resnet50-l2": _torchvision("resnet50", ROBUST, _resnet),
    "clip-resnet50": Network(_clip_resnet50, lambda m: _tower(_resnet(m)), CLIP, OPENAI_RN50),
    "wide_resnet50": _torchvision("wide_resnet50_2", "IMAGENET1K_V2", _resnet),
    "in1k-vit_b32": Network(partial(_timm, "vit_base_patch32_224"), _as_it_is, HALVES, AUGREG_VIT),
    "clip-vit_b32": Network(_clip_vit, _tower, CLIP, LAION_VIT),
    "convnext_b": Network(partial(_timm, "convnext_base"), _as_it_is, IMAGENET, CONVNEXT),
}
