"""The convolutions of AlexNet and VGG16, LPIPS's backbones, as networks under study.

`features` alone, with torchvision's numbers of its modules (`features.0`, ...) and the ImageNet weights
that LPIPS uses; the same files serve both. There is no classifier, so images of any size are taken.
Input: RGB, normalised by ImageNet's mean and standard deviation. LPIPS's taps are relu1 to relu5 of
AlexNet and relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3 of VGG16.
Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks; Simonyan and Zisserman
2015, Very Deep Convolutional Networks for Large-Scale Image Recognition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge

from iibench import (
    AssetError,
    LayerSpec,
    LoadedModel,
    ModelSpec,
    Preprocess,
    Resources,
    UsageError,
    hookimpl,
)

from .._shared.bibliography import arxiv, entry
from .._shared.loading import frozen, load_strictly, seeded, versions_sha256
from .._shared.lpips_backbones import BACKBONES, backbone

if TYPE_CHECKING:
    import torch

KRIZHEVSKY2014 = entry(
    "misc",
    "krizhevsky2014weird",
    author="Alex Krizhevsky",
    title="One Weird Trick for Parallelizing Convolutional Neural Networks",
    year=2014,
    **arxiv("1404.5997"),
)
SIMONYAN2015 = entry(
    "inproceedings",
    "simonyan2015very",
    author="Karen Simonyan and Andrew Zisserman",
    title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
    booktitle="International Conference on Learning Representations",
    year=2015,
    **arxiv("1409.1556"),
)


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Backbone:
    """One of the networks: `net` as LPIPS calls it, `builder` as torchvision does.

    `convolutions`: how many each stage has, each followed by a ReLU; `pools`: the stages, counted from
    1, that end with a max-pool.
    """

    net: str
    builder: str
    title: str
    convolutions: tuple[int, ...]
    pools: tuple[int, ...]
    citation: str
    bibtex: str


NETWORKS = {
    "alexnet_features": Backbone(
        "alex",
        "alexnet",
        "AlexNet",
        (1, 1, 1, 1, 1),
        (1, 2, 5),
        "Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks",
        KRIZHEVSKY2014,
    ),
    "vgg16_features": Backbone(
        "vgg",
        "vgg16",
        "VGG16",
        (2, 2, 3, 3, 3),
        (1, 2, 3, 4, 5),
        "Simonyan and Zisserman 2015, Very Deep Convolutional Networks for Large-Scale Image "
        "Recognition",
        SIMONYAN2015,
    ),
}


@dataclass(frozen=True)
class Params:
    """Which weights, at which size."""

    weights: Literal["default", "none"] = field(
        default="default",
        metadata={"help": "default: ImageNet's, as LPIPS uses them; none: random from `seed`"},
    )
    seed: Annotated[int, Ge(0)] = field(
        default=0, metadata={"help": "seed of the random weights (weights: none)"}
    )
    size: Annotated[int, Ge(1)] | None = field(
        default=224, metadata={"help": "input size in pixels; none: images as they are"}
    )


def load(name: str, params: Params, layer: str, resources: Resources) -> LoadedModel:
    """The network `name`; `layer` decides nothing, since all of its weights are loaded.

    Raises `AssetError` where the weights are missing or do not fit, `UsageError` where images of
    `params.size` pixels do not reach `layer`.
    """
    import torch

    network = NETWORKS[name]
    with torch.device("meta"):
        module = _build(network.builder)
    _check_size(module, layer, params.size, name)
    if params.weights == "none":
        module = seeded(partial(_build, network.builder), params.seed)
        provenance = f"random, seed {params.seed}"
    else:
        state = backbone(network.net, resources)
        provenance = BACKBONES[network.net].name
        load_strictly(module.to_empty(device="cpu"), state, provenance, name, AssetError)
    preprocess = Preprocess(IMAGENET_MEAN, IMAGENET_STD, params.size)
    code = versions_sha256("torchvision")
    return LoadedModel(frozen(module, resources.device), preprocess, provenance, code)


def _build(builder: str) -> torch.nn.Module:
    """torchvision's `features`, under that name and without the classifier."""
    import torch
    from torchvision.models import get_model

    module = torch.nn.Sequential()
    module.add_module("features", get_model(builder, weights=None).features)
    return module


def _check_size(module: torch.nn.Module, layer: str, size: int | None, name: str) -> None:
    """An image of `size` pixels has at least one position at `layer`; `module` is on meta."""
    import torch

    place = layer.removeprefix("features.")
    if size is None or not place.isdecimal():
        return
    parts: Any = module.get_submodule("features")
    try:
        parts[: int(place) + 1](torch.empty(1, 3, size, size, device="meta"))
    except RuntimeError as error:  # a kernel larger than its input
        raise UsageError(
            f"images of {size} x {size} pixels are too small for layer {layer} of {name}; expected "
            "a larger size or an earlier layer"
        ) from error


@hookimpl
def iibench_register_models() -> Iterable[ModelSpec]:
    return [
        ModelSpec(
            name=name,
            summary=f"{network.title}'s convolutions with ImageNet weights, as LPIPS uses them",
            definition=(
                "The convolutions (`features`) of the network with the ImageNet weights that LPIPS "
                "uses, or random ones; there is no classifier. Images are resized to 224 pixels (or "
                "`size`; null keeps them as they are) and normalised by ImageNet's mean and standard "
                "deviation."
            ),
            params=Params,
            load=partial(load, name),
            assets=(BACKBONES[network.net],),
            citation=network.citation,
            bibtex=network.bibtex,
            licence="BSD-3-Clause (torchvision)",
        )
        for name, network in NETWORKS.items()
    ]


@hookimpl
def iibench_register_layers(model: ModelSpec) -> Iterable[LayerSpec]:
    return tuple(_layers(NETWORKS[model.name])) if model.name in NETWORKS else ()


def _layers(network: Backbone) -> Iterator[LayerSpec]:
    """conv1, relu1, pool1, ...; conv1_1, relu1_1, ... where a stage has several convolutions."""
    place = 0
    for stage, count in enumerate(network.convolutions, 1):
        for k in range(1, count + 1):
            number = f"{stage}_{k}" if max(network.convolutions) > 1 else f"{stage}"
            yield _layer(f"conv{number}", place, "convolution, signed", stage)
            yield _layer(f"relu{number}", place + 1, "its ReLU", stage)
            place += 2
        if stage in network.pools:
            yield _layer(f"pool{stage}", place, "max-pool", stage)
            place += 1


def _layer(name: str, place: int, summary: str, stage: int) -> LayerSpec:
    return LayerSpec(name, f"features.{place}", summary, f"stage{stage}")
