"""The image towers of open_clip's networks, by name: `open_clip:ViT-B-32`.

There is no text tower; layers start with `visual`, as in open_clip itself, and those of a transformer
(`visual.transformer.resblocks.3`) give one row per token, the class token first. Input: RGB, resized to
the tower's size and normalised as the weights want it.
Ilharco et al. 2021, OpenCLIP; Radford et al. 2021, Learning Transferable Visual Models From Natural
Language Supervision.
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

from .._shared.bibliography import arxiv, entries, entry
from .._shared.loading import frozen, load_strictly, optional, seeded, versions_sha256
from ._hub import HubWeights, hub_file
from ._state import read_state

if TYPE_CHECKING:
    import torch

ILHARCO2021 = entry(
    "misc",
    "ilharco2021openclip",
    author="Gabriel Ilharco and Mitchell Wortsman and Ross Wightman and Cade Gordon and others",
    title="{OpenCLIP}",
    year=2021,
    howpublished="github.com/mlfoundations/open\\_clip",
)
RADFORD2021 = entry(
    "inproceedings",
    "radford2021learning",
    author="Alec Radford and Jong Wook Kim and Chris Hallacy and Aditya Ramesh and Gabriel Goh and "
    "Sandhini Agarwal and Girish Sastry and Amanda Askell and Pamela Mishkin and Jack Clark and "
    "Gretchen Krueger and Ilya Sutskever",
    title="Learning Transferable Visual Models From Natural Language Supervision",
    booktitle="International Conference on Machine Learning",
    year=2021,
    **arxiv("2103.00020"),
)


EXTRA = "open-clip"
#: What open_clip's repositories on the Hugging Face Hub call their weights, the one to prefer first.
FILENAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
#: As small as open_clip makes a text tower, which is not kept.
NO_TEXT = {"context_length": 1, "vocab_size": 1, "width": 64, "heads": 1, "layers": 1}


@dataclass(frozen=True)
class Params:
    """Which image tower, with which weights."""

    variant: str = field(default="", metadata={"help": "the architecture's name in open_clip"})
    pretrained: str = field(
        default="",
        metadata={
            "help": "open_clip's tag of the weights, such as laion2b_s34b_b79k; none: random from "
            "`seed`; or the path of a state dict, with or without the text tower"
        },
    )
    seed: Annotated[int, Ge(0)] = field(
        default=0, metadata={"help": "seed of the random weights (pretrained: none)"}
    )


def variants() -> Sequence[str]:
    """open_clip's architectures."""
    return tuple(optional("open_clip", EXTRA).list_models())


def load(params: Params, layer: str, resources: Resources) -> LoadedModel:
    """The image tower `params.variant`; `layer` decides nothing: all of its weights are loaded.

    Raises `UsageError` for an unknown variant and for a tag whose weights belong to another
    activation function, `AssetError` where open_clip or its weights are missing or do not fit,
    `FileError` where the file that the user names does.
    """
    library = optional("open_clip", EXTRA)
    if params.variant not in variants():
        raise UsageError(
            unknown_name("network of open_clip", params.variant, variants())
            if params.variant
            else "the model open_clip needs a variant, e.g. open_clip:ViT-B-32"
        )
    tag: Mapping[str, Any] = library.get_pretrained_cfg(params.variant, params.pretrained)
    module = seeded(partial(_build, params.variant), params.seed)
    if params.pretrained in ("", "none"):
        provenance = f"random, seed {params.seed}"
    else:
        if tag:
            _check_activation(params, tag, module)
            path = _published(params, tag, resources)
        else:
            path = _own(params, resources)
        error = AssetError if tag else FileError
        state = _of_image_tower(read_state(path, "state_dict", error=error))
        network = f"the image tower of open_clip:{params.variant}"
        load_strictly(module, state, str(path), network, error)
        provenance = f"open_clip {params.pretrained}, {path.name}" if tag else path.name
    preprocess = _preprocess(params.variant, tag, module)
    code = versions_sha256("open_clip_torch", "timm")  # timm's are some of the towers
    return LoadedModel(frozen(module, resources.device), preprocess, provenance, code)


def _build(variant: str) -> torch.nn.Module:
    """The image tower with random weights, under the name `visual`.

    Raises `AssetError` for versions of open_clip that put the tokens before the images.
    """
    from ._open_clip_blocks import VisualTower

    library = optional("open_clip", EXTRA)
    config = library.get_model_config(variant)
    vision = {**config["vision_cfg"], "timm_model_pretrained": False}
    visual = library.CLIP(
        config["embed_dim"], vision, NO_TEXT, quick_gelu=config.get("quick_gelu", False)
    ).visual
    transformer = getattr(visual, "transformer", None)
    if transformer is not None and not getattr(transformer, "batch_first", False):
        raise AssetError(
            "this version of open_clip gives activations as (tokens, images, channels); expected "
            "images first, as since 2.26: pip install --upgrade open_clip_torch"
        )
    return VisualTower(visual)


def _check_activation(params: Params, tag: Mapping[str, Any], module: torch.nn.Module) -> None:
    """The weights were trained with the activation function that the architecture has.

    OpenAI's and some other transformers have QuickGELU, which open_clip makes an architecture of its
    own; its ResNets and timm's towers do not ask for it.
    """
    library = optional("open_clip", EXTRA)
    wanted = bool(tag.get("quick_gelu", False))
    has = bool(library.get_model_config(params.variant).get("quick_gelu", False))
    if wanted == has or not hasattr(module.get_submodule("visual"), "transformer"):
        return
    other = params.variant.removesuffix("-quickgelu") + ("-quickgelu" if wanted else "")
    names = ("QuickGELU", "GELU") if wanted else ("GELU", "QuickGELU")
    raise UsageError(
        f"the weights {params.pretrained!r} were trained with {names[0]} and {params.variant} has "
        f"{names[1]}; expected open_clip:{other}"
    )


def _published(params: Params, tag: Mapping[str, Any], resources: Resources) -> Path:
    """The file with the weights of a tag, fetched where need be."""
    network = f"open_clip:{params.variant}, {params.pretrained}"
    name = f"open_clip-{params.variant}-{params.pretrained}"
    repository, _, filename = str(tag.get("hf_hub", "")).rpartition("/")
    if not repository:
        raise AssetError(
            f"this version of open_clip knows no repository with the weights of {network}; upgrade "
            f"it, or download {tag.get('url')} and name the file with pretrained: PATH"
        )
    filenames = (filename,) if filename else FILENAMES
    return hub_file(
        HubWeights(network, repository, filenames, name, "pretrained", EXTRA), resources
    )


def _own(params: Params, resources: Resources) -> Path:
    """The file that `params.pretrained` names; what is no file was perhaps meant as a tag."""
    path = user_path(params.pretrained, resources.base_dir)
    if path.is_file():
        return path
    tags = optional("open_clip", EXTRA).list_pretrained_tags_by_model(params.variant)
    what = unknown_name(f"weights of open_clip:{params.variant}", params.pretrained, tags)
    raise FileError(f"{what}; nor is there a file {str(path)!r}")


def _of_image_tower(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of the image tower, of a whole network that training may have wrapped.

    A file without any is handed on as it is, for its names to be reported.
    """
    plain = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    visual = {name: tensor for name, tensor in plain.items() if name.startswith("visual.")}
    return visual or plain


def _preprocess(variant: str, tag: Mapping[str, Any], module: torch.nn.Module) -> Preprocess:
    """The statistics of the weights' tag; without one those on which the architecture's tags agree,
    else OpenAI's, which are open_clip's default.
    """
    library = optional("open_clip", EXTRA)
    tags = library.list_pretrained_tags_by_model(variant)
    known = [tag] if tag else [library.get_pretrained_cfg(variant, name) for name in tags]
    default = (library.OPENAI_DATASET_MEAN, library.OPENAI_DATASET_STD)
    found = {(tuple(each["mean"]), tuple(each["std"])) for each in known}
    mean, std = found.pop() if len(found) == 1 else default
    size: Any = module.get_submodule("visual").image_size
    height, width = size if isinstance(size, (tuple, list)) else (size, size)
    if height != width:
        raise UsageError(
            f"open_clip:{variant} is made for {height} x {width} pixels, and images are made square"
        )
    return Preprocess(tuple(mean), tuple(std), int(height))


@hookimpl
def iibench_register_models() -> Iterable[ModelSpec]:
    return [
        ModelSpec(
            name="open_clip",
            summary="the image towers of open_clip's networks with published, random or own weights",
            definition=(
                "The image tower of a network of the package open_clip, by architecture after the "
                "colon; `pretrained` names the published weights, random ones or a state dict of the "
                "user's own. There is no text tower. Images are resized to the tower's size and "
                "normalised as the weights want it."
            ),
            params=Params,
            load=load,
            variants=variants,
            citation=(
                "Ilharco et al. 2021, OpenCLIP; Radford et al. 2021, Learning Transferable Visual "
                "Models From Natural Language Supervision"
            ),
            bibtex=entries(ILHARCO2021, RADFORD2021),
            licence="MIT (code); weights as open_clip states for each",
        )
    ]
