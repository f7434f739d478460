"""The nine networks of Zimmermann, Klein and Brendel 2023, with the layers whose units people judged.

A layer may be named as the study names it: `layer1_0_conv2` of `imi:resnet50` is the module
`layer1.0.conv2`. The study's activation of a unit is the mean over positions (pooling `mean`): over
height and width, or over all tokens with the class token; signed, no ReLU is applied. Its images were
resized to 256 pixels and 224 cut out of the centre (229 for GoogLeNet); here an image of any size is
resized to that square.

`imi:googlenet` is lucent's InceptionV1, not torchvision's GoogLeNet. The ResNets have a module
`shortcut` in every block: the residual sum before the last ReLU. The CLIP networks have no text tower.
Zimmermann, Klein and Brendel 2023, Scale Alone Does not Improve Mechanistic Interpretability in
Vision Models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from iibench import LayerSpec, LoadedModel, ModelSpec, Resources, UsageError, hookimpl, unknown_name

from ..._shared.bibliography import ZIMMERMANN2023
from .layers import all_layers, study_layers
from .networks import NETWORKS

if TYPE_CHECKING:
    import torch

__all__ = ["Params", "load", "study_layers", "variants"]


@dataclass(frozen=True)
class Params:
    """Which network, with which weights."""

    variant: str = field(default="", metadata={"help": "the network's name in the study"})
    weights: Literal["pretrained", "random"] = field(
        default="pretrained",
        metadata={"help": "pretrained: those that the study used; random: from `seed`"},
    )
    seed: Annotated[int, Ge(0)] = field(
        default=0, metadata={"help": "seed of the random weights (weights: random)"}
    )
    path: str = field(
        default="",
        metadata={
            "help": "a file with the weights (.safetensors, or a PyTorch checkpoint of tensors) "
            "instead of the published one; relative paths start at the suite's folder"
        },
    )


def variants() -> Sequence[str]:
    """The study's names of its networks."""
    return tuple(NETWORKS)


def load(params: Params, layer: str, resources: Resources) -> LoadedModel:
    """The network `params.variant`, all of its weights whatever `layer` is.

    Raises `UsageError` for an unknown variant or layer and for weights that are both random and from
    a file, `AssetError` where weights or an optional library are missing or do not fit.
    """
    import torch

    from .weights import pretrained

    if params.variant not in NETWORKS:
        raise UsageError(unknown_name("variant of imi", params.variant, NETWORKS))
    if params.weights == "random" and params.path:
        raise UsageError(
            f"found path {params.path!r} with weights: random; expected one of the two"
        )
    network = NETWORKS[params.variant]
    if params.weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(params.seed)
            module = network.adapt(network.build())
        provenance = f"random, seed {params.seed}"
    else:
        module, provenance = pretrained(params.variant, params.path, resources)
    _check_layer(params.variant, layer, module)
    module = module.eval().requires_grad_(False).to(resources.device)
    return LoadedModel(module, network.preprocess, provenance)


def _check_layer(variant: str, layer: str, module: torch.nn.Module) -> None:
    names = [name for name, _ in module.named_modules(remove_duplicate=False) if name]
    if layer in names:
        return
    text = unknown_name(f"layer of imi:{variant}", layer, names)
    if variant.startswith("clip-") and not layer.startswith("visual"):
        text += "; the layers of the image tower start with visual, the text tower sees no image"
    raise UsageError(text)


@hookimpl
def iibench_register_models() -> Iterable[ModelSpec]:
    return [
        ModelSpec(
            name="imi",
            summary="the networks whose units people judged in Zimmermann et al. 2023",
            definition=(
                "One of the nine networks whose units people judged in the IMI study, by name after "
                "the colon, with layers named as there (`layer1_0_conv2` of `imi:resnet50`). "
                "Activations are signed, before any ReLU, and averaged over positions (or tokens). "
                "Images of any size are resized to the square that the study cut out, 224 pixels (229 "
                "for GoogLeNet)."
            ),
            params=Params,
            load=load,
            variants=variants,
            citation=(
                "Zimmermann, Klein and Brendel 2023, Scale Alone Does not Improve Mechanistic "
                "Interpretability in Vision Models"
            ),
            bibtex=ZIMMERMANN2023,
            licence="code and weights as their libraries and authors state for each",
        )
    ]


@hookimpl
def iibench_register_layers(model: ModelSpec) -> Iterable[LayerSpec]:
    return all_layers() if model.name == "imi" else ()
