"""Every classification network of torchvision, by name: `torchvision:resnet18`.

Input: RGB, resized to the size that the weights were trained for, normalised as they want it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from iibench import (
    FileError,
    LoadedModel,
    ModelSpec,
    Preprocess,
    Resources,
    UsageError,
    hookimpl,
    unknown_name,
    user_path,
)

from .._shared.bibliography import entry
from ._state import read_state
from ._torchvision import IMAGENET_MEAN, IMAGENET_STD, build_network, pretrained_network

if TYPE_CHECKING:
    import torch

TORCHVISION = entry(
    "misc",
    "torchvision2016",
    author="{TorchVision maintainers and contributors}",
    title="{TorchVision}: {PyTorch}'s Computer Vision Library",
    year=2016,
    howpublished="github.com/pytorch/vision",
)


@dataclass(frozen=True)
class Params:
    """Which network, with which weights."""

    variant: str = field(default="", metadata={"help": "the network's name in torchvision"})
    weights: str = field(
        default="default",
        metadata={
            "help": "default: torchvision's best ImageNet weights; none: random from `seed`; or "
            "the path of a state dict of the same architecture"
        },
    )
    seed: int = field(default=0, metadata={"help": "seed of the random weights (weights: none)"})
    size: Annotated[int, Ge(1)] | None = field(
        default=None, metadata={"help": "input size in pixels; unset: the weights' own, else 224"}
    )
    classes: Annotated[int, Ge(1)] = field(
        default=1000, metadata={"help": "number of classes, for weights other than the default"}
    )


def variants() -> Sequence[str]:
    """Names of torchvision's classification networks."""
    import torchvision.models

    return tuple(torchvision.models.list_models(module=torchvision.models))


def load(params: Params, layer: str, resources: Resources) -> LoadedModel:
    """The network `params.variant`; `layer` decides nothing, since all of its weights are loaded.

    Raises `UsageError` for an unknown variant, `AssetError` where weights are missing,
    `FileError` where the file that the user names is missing or does not fit.
    """
    import torch
    from torchvision.models import get_model_weights

    if params.variant not in variants():
        listing = "iibench ls models torchvision"
        raise UsageError(
            unknown_name("torchvision model", params.variant, variants(), listing)
            if params.variant
            else "the model torchvision needs a variant, e.g. torchvision:resnet18"
        )
    preprocess = Preprocess(IMAGENET_MEAN, IMAGENET_STD, params.size or 224)
    if params.weights == "default":
        weights = get_model_weights(params.variant).DEFAULT
        preprocess = _preprocess_of(weights, params.size)
        module = pretrained_network(params.variant, weights, resources)
        provenance = f"torchvision {weights}"
    elif params.weights == "none":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(params.seed)
            module = build_network(params.variant, num_classes=params.classes)
        provenance = f"random, seed {params.seed}"
    else:
        path = user_path(params.weights, resources.base_dir)
        module = _from_file(params, path)
        provenance = path.name
    module = module.eval().requires_grad_(False).to(resources.device)
    return LoadedModel(module, preprocess, provenance)


def _preprocess_of(weights: Any, size: int | None) -> Preprocess:
    """What the weights were evaluated with, from torchvision's own transforms."""
    transforms = weights.transforms()
    return Preprocess(
        tuple(transforms.mean), tuple(transforms.std), size or transforms.crop_size[0]
    )


def _from_file(params: Params, path: Path) -> torch.nn.Module:
    """The network with a state dict from disk, every tensor used and none missing."""
    import torch

    state = read_state(path)
    with torch.random.fork_rng(devices=[]):
        module = build_network(params.variant, num_classes=params.classes)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise FileError(
            f"weights {str(path)!r} do not fit torchvision:{params.variant} with "
            f"{params.classes} classes: {error}"
        ) from error
    return module


@hookimpl
def iibench_register_models() -> Iterable[ModelSpec]:
    return [
        ModelSpec(
            name="torchvision",
            summary="torchvision's classification networks with ImageNet, random or own weights",
            definition=(
                "A classification network of torchvision, by name after the colon, with torchvision's "
                "best ImageNet weights by default, random ones, or a state dict of the user's own. "
                "Images are resized to the size that the weights were trained for (224 where there is "
                "none, or `size`) and normalised as they want it."
            ),
            params=Params,
            load=load,
            variants=variants,
            citation="torchvision",
            bibtex=TORCHVISION,
            licence="BSD-3-Clause (code); weights as torchvision states for each",
        )
    ]
