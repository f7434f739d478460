"""Every network that timm lists, by name: `timm:resnet10t`, or with its weights `timm:resnet10t.c3_in1k`.

Most are ImageNet classifiers; a few are backbones without a classifier. Input: RGB, resized to the
size of timm's configuration of the weights and normalised by its mean and standard deviation.
Wightman, PyTorch Image Models, github.com/huggingface/pytorch-image-models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from iibench import (
    AssetError,
    AssetFile,
    AssetSpec,
    LoadedModel,
    ModelSpec,
    Preprocess,
    Resources,
    UsageError,
    hookimpl,
    one_line,
    unknown_name,
    user_path,
)

from .._shared.bibliography import entry
from .._shared.loading import frozen, load_strictly, optional, seeded, versions_sha256
from ._hub import HubWeights, hub_file
from ._state import read_state

if TYPE_CHECKING:
    import torch

WIGHTMAN2019 = entry(
    "misc",
    "wightman2019timm",
    author="Ross Wightman",
    title="{PyTorch} Image Models",
    year=2019,
    howpublished="github.com/huggingface/pytorch-image-models",
)


EXTRA = "timm"
#: What timm's repositories on the Hugging Face Hub call their weights, the one to prefer first.
FILENAMES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Params:
    """Which network, with which weights."""

    variant: str = field(default="", metadata={"help": "the network's name in timm"})
    weights: str = field(
        default="default",
        metadata={
            "help": "default: timm's pretrained weights; none: random from `seed`; or the path of a "
            "state dict of the same architecture"
        },
    )
    seed: Annotated[int, Ge(0)] = field(
        default=0, metadata={"help": "seed of the random weights (weights: none)"}
    )
    size: Annotated[int, Ge(1)] | None = field(
        default=None, metadata={"help": "input size in pixels; unset: that of timm's configuration"}
    )
    classes: Annotated[int, Ge(1)] | None = field(
        default=None,
        metadata={"help": "number of classes, for weights other than the default; unset: timm's"},
    )


def variants() -> Sequence[str]:
    """timm's networks, and their names with a tag that says which weights (`resnet10t.c3_in1k`)."""
    timm = optional("timm", EXTRA)
    return (*timm.list_models(), *timm.list_models(pretrained=True))


def load(params: Params, layer: str, resources: Resources) -> LoadedModel:
    """The network `params.variant`; `layer` decides nothing, since all of its weights are loaded.

    Raises `UsageError` for an unknown variant, a size that the network does not take and a number of
    classes given with timm's own weights, `AssetError` where timm or its weights are missing,
    `FileError` where the file that the user names is missing or does not fit.
    """
    timm = optional("timm", EXTRA)
    if params.variant not in variants():
        raise UsageError(
            unknown_name("network of timm", params.variant, variants())
            if params.variant
            else "the model timm needs a variant, e.g. timm:resnet10t"
        )
    if params.weights == "default" and params.classes is not None:
        raise UsageError(
            f"found classes {params.classes} with timm's own weights of {params.variant}; expected "
            "no classes, or weights: none or a file"
        )
    config = timm.get_pretrained_cfg(params.variant)
    if params.weights == "default":
        path = _published(params.variant, config, resources)
        module = _pretrained(params, config, path)
        provenance = f"timm {config.architecture}.{config.tag}, {path.name}"
    else:
        module = _random(params, config)
        provenance = f"random, seed {params.seed}"
        if params.weights != "none":
            path = user_path(params.weights, resources.base_dir)
            load_strictly(module, read_state(path), str(path), f"timm:{params.variant}")
            provenance = path.name
    preprocess = _preprocess(params, timm.data.resolve_model_data_config(module))
    module = frozen(module, resources.device)
    if params.size is not None:
        _check_size(module, params.variant, params.size, resources.device)
    return LoadedModel(module, preprocess, provenance, versions_sha256("timm"))


def _build(params: Params, config: Any, options: Mapping[str, Any]) -> torch.nn.Module:
    """timm's network. One that is made for images of one size is made for `params.size`."""
    made_for = {}
    if params.size is not None and config is not None and config.fixed_input_size:
        made_for["img_size"] = params.size
    module: torch.nn.Module = optional("timm", EXTRA).create_model(
        params.variant, num_classes=params.classes, **made_for, **options
    )
    return module


def _random(params: Params, config: Any) -> torch.nn.Module:
    try:
        return seeded(partial(_build, params, config, {"pretrained": False}), params.seed)
    except Exception as error:  # its networks refuse a size in any way
        raise UsageError(
            f"timm cannot make {params.variant} with size {params.size} and classes "
            f"{params.classes}: {one_line(error)}"
        ) from error


def _pretrained(params: Params, config: Any, path: Path) -> torch.nn.Module:
    """The network with timm's weights of it, which timm itself turns into its present form."""
    overlay = {"state_dict": read_state(path, error=AssetError)}
    options = {"pretrained": True, "pretrained_cfg_overlay": overlay}
    try:
        module: Any = seeded(partial(_build, params, config, options), params.seed)
    except Exception as error:  # its conversions of old files fail in any way
        size = "" if params.size is None else f" with size {params.size}"
        raise AssetError(
            f"weights {str(path)!r} do not fit timm:{params.variant}{size}: {one_line(error)}"
        ) from error
    module.pretrained_cfg.pop("state_dict", None)
    network: torch.nn.Module = module
    return network


def _check_size(module: torch.nn.Module, variant: str, size: int, device: str) -> None:
    """The network takes an image of `size` pixels; raises `UsageError` where it does not."""
    import torch

    try:
        with torch.inference_mode():
            module(torch.zeros(1, 3, size, size, device=device))
    except Exception as error:  # each network has its own way to refuse a size
        raise UsageError(
            f"timm:{variant} does not take images of {size} x {size} pixels: {one_line(error)}"
        ) from error


def _published(variant: str, config: Any, resources: Resources) -> Path:
    """The file with timm's weights of a network, fetched where need be."""
    if config is None or not (config.hf_hub_id or config.url):
        raise AssetError(
            f"timm has no weights of {variant}; expected weights: none, or the path of a state dict"
        )
    name = f"timm-{config.architecture}.{config.tag}"
    if config.hf_hub_id:
        filenames = (config.hf_hub_filename,) if config.hf_hub_filename else FILENAMES
        weights = HubWeights(f"timm:{variant}", config.hf_hub_id, filenames, name, "weights", EXTRA)
        return hub_file(weights, resources)
    url, filename = config.url, ""
    if not isinstance(url, str):
        url, filename = url
    file = AssetFile(filename or url.rpartition("/")[2], "", 0, url=url, torch_hub=True)
    return resources.asset(AssetSpec(name, f"weights of timm:{variant}", (file,)))[1]


def _preprocess(params: Params, data: dict[str, Any]) -> Preprocess:
    """timm's configuration of a network's input, as far as iibench has it: no crop, square images."""
    _, height, width = data["input_size"]
    if params.size is None and height != width:
        raise UsageError(
            f"timm:{params.variant} is made for {height} x {width} pixels, and images are made "
            "square here; expected a size"
        )
    return Preprocess(tuple(data["mean"]), tuple(data["std"]), params.size or height)


@hookimpl
def iibench_register_models() -> Iterable[ModelSpec]:
    return [
        ModelSpec(
            name="timm",
            summary="timm's image networks with their published, random or own weights",
            definition=(
                "A network of the package timm, by name after the colon, with the published weights "
                "of that name, random ones, or a state dict of the user's own. Images are resized to "
                "the size of timm's configuration of the weights and normalised by its mean and "
                "standard deviation."
            ),
            params=Params,
            load=load,
            variants=variants,
            citation="Wightman 2019, PyTorch Image Models",
            bibtex=WIGHTMAN2019,
            licence="Apache-2.0 (code); weights as timm states for each",
        )
    ]
