"""The layers whose units were judged in Zimmermann, Klein and Brendel 2023, by name and module path.

The study names a layer by its module path with "." replaced by "_". Module names hold underscores
themselves (`conv_dw`, `mlp_c_fc`), so that a name cannot be turned back into a path: names are made
from paths here, from the number of blocks of each architecture, without building a network.
Source: the layer rules of the study's public code (brendel-group/imi).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from iibench import LayerSpec, UsageError, unknown_name

RESNET_BLOCKS = (3, 4, 6, 3)
RESNET_MODULES = ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "shortcut")
INCEPTION_MODULES = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
INCEPTION_BRANCHES = ("1x1", "3x3_bottleneck", "5x5_bottleneck", "pool_reduce", "3x3", "5x5")
DENSENET_LAYERS = (6, 12, 48, 32)
DENSENET_MODULES = ("norm1", "conv1", "norm2", "conv2")
VIT_BLOCKS = 12
VIT_MODULES = ("norm1", "ls1", "norm2", "mlp.fc1", "mlp.fc2", "ls2")
CLIP_VIT_MODULES = ("ln_1", "ls_1", "ln_2", "mlp.c_fc", "mlp.c_proj", "ls_2")
CONVNEXT_BLOCKS = (3, 3, 27, 3)
#: "" is the block itself, whose output is the residual sum. The study takes whatever ends with
#: "norm": `mlp.norm`, which does nothing in this architecture, is one of its layers too.
CONVNEXT_MODULES = ("", ".conv_dw", ".norm", ".mlp.fc1", ".mlp.norm", ".mlp.fc2")

Paths = Iterator[tuple[str, str]]


def _googlenet() -> Paths:
    for module in INCEPTION_MODULES:
        for branch in INCEPTION_BRANCHES:
            yield f"mixed{module}_{branch}_pre_relu_conv", f"mixed{module[0]}"


def _densenet() -> Paths:
    for block, layers in enumerate(DENSENET_LAYERS, 1):
        for layer in range(1, layers + 1):
            for module in DENSENET_MODULES:
                path = f"features.denseblock{block}.denselayer{layer}.{module}"
                yield path, f"denseblock{block}"
        if block < len(DENSENET_LAYERS):
            for module in ("norm", "conv"):
                yield f"features.transition{block}.{module}", f"transition{block}"


def _resnet(prefix: str = "") -> Paths:
    for stage, blocks in enumerate(RESNET_BLOCKS, 1):
        for block in range(blocks):
            for module in RESNET_MODULES:
                yield f"{prefix}layer{stage}.{block}.{module}", f"layer{stage}"


def _vit() -> Paths:
    for block in range(VIT_BLOCKS):
        for module in VIT_MODULES:
            yield f"blocks.{block}.{module}", f"block{block}"


def _clip_vit() -> Paths:
    for block in range(VIT_BLOCKS):
        for module in CLIP_VIT_MODULES:
            yield f"visual.transformer.resblocks.{block}.{module}", f"block{block}"


def _convnext() -> Paths:
    for stage, blocks in enumerate(CONVNEXT_BLOCKS):
        for block in range(blocks):
            for module in CONVNEXT_MODULES:
                yield f"stages.{stage}.blocks.{block}{module}", f"stage{stage}"


#: (module path, group) of every layer, by the study's name of the network
PATHS: dict[str, Callable[[], Paths]] = {
    "googlenet": _googlenet,
    "densenet_201": _densenet,
    "resnet50": _resnet,
    "resnet50-l2": _resnet,
    "clip-resnet50": lambda: _resnet("visual."),
    "wide_resnet50": _resnet,
    "in1k-vit_b32": _vit,
    "clip-vit_b32": _clip_vit,
    "convnext_b": _convnext,
}


def study_layers(variant: str) -> tuple[LayerSpec, ...]:
    """The layers of one of the study's networks from which units were drawn, in order of definition.

    `name` is the study's (`layer1_0_conv2`), `path` the module's (`layer1.0.conv2`), `group` the
    stage of the network (`layer1`, `mixed4`, `denseblock2`, `block7`). Raises `UsageError` for a
    network that the study does not have.
    """
    if variant not in PATHS:
        raise UsageError(unknown_name("variant of imi", variant, PATHS))
    users = ", ".join(name for name, paths in PATHS.items() if paths is PATHS[variant])
    return tuple(
        LayerSpec(path.replace(".", "_"), path, users, group) for path, group in PATHS[variant]()
    )


def all_layers() -> tuple[LayerSpec, ...]:
    """The layers of all networks, each name once: three of the ResNets share theirs."""
    found = {layer.name: layer for variant in PATHS for layer in study_layers(variant)}
    return tuple(found.values())
