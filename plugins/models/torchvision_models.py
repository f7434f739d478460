"""Every classification network of torchvision, by name: `torchvision:resnet18`.

Input: RGB, resized to the size that the weights were trained for, normalised as they want it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.error import URLError

from annotated_types import Ge

from iibench import hookimpl
from iibench.contract.base import Resources
from iibench.contract.errors import AssetError, UsageError, unknown_name
from iibench.contract.specs import LoadedModel, ModelSpec, Preprocess

from .._bibliography import TORCHVISION
from ._state import read_state

if TYPE_CHECKING:
    import torch

#: Seconds without a byte after which a download is given up.
TIMEOUT = 10.0

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


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

    Raises `UsageError` for an unknown variant, `AssetError` where weights are missing or misfit.
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
        path = resources.base_dir / params.weights
        module = _from_file(params, path)
        provenance = path.name
    module = module.eval().requires_grad_(False).to(resources.device)
    return LoadedModel(module, preprocess, provenance)


def build_network(variant: str, **options: Any) -> torch.nn.Module:
    from torchvision.models import get_model

    with warnings.catch_warnings():  # GoogLeNet and Inception announce a future initialisation
        warnings.simplefilter("ignore", FutureWarning)
        module: torch.nn.Module = get_model(variant, **options)
    return module


def _preprocess_of(weights: Any, size: int | None) -> Preprocess:
    """What the weights were evaluated with, from torchvision's own transforms."""
    transforms = weights.transforms()
    return Preprocess(
        tuple(transforms.mean), tuple(transforms.std), size or transforms.crop_size[0]
    )


def pretrained_network(variant: str, weights: Any, resources: Resources) -> torch.nn.Module:
    """The network with torchvision's weights: from torch hub's folder, the data folder, their URL.

    torchvision itself builds the network, since some architectures differ with weights.
    """
    import torch

    checkpoints = Path(torch.hub.get_dir()) / "checkpoints"
    filename = weights.url.rpartition("/")[2]
    cached, by_hand = checkpoints / filename, resources.data_dir / filename
    if not cached.is_file() and by_hand.is_file():
        _verify(by_hand)
        _copy(by_hand, cached)
    elif cached.is_file():
        _verify(cached)  # torch hub checks what it downloads, never what it finds
    elif resources.offline:
        raise AssetError(
            f"the weights of torchvision:{variant} ({filename}) are not here, and nothing is "
            f"downloaded (--offline); put the file into {resources.data_dir} or {checkpoints}"
        )
    try:
        with _socket_timeout(TIMEOUT):
            return build_network(variant, weights=weights, progress=False)
    except (URLError, OSError, RuntimeError) as error:
        raise AssetError(
            f"the weights of torchvision:{variant} ({filename}) cannot be had: {error}; download "
            f"{weights.url} elsewhere and put the file into {resources.data_dir} or {checkpoints}"
        ) from error


def _verify(path: Path) -> None:
    """The file's SHA-256 begins with the digits in its name, as torchvision promises."""
    digits = path.stem.rpartition("-")[2]
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(digits):
        raise AssetError(
            f"{path} is damaged: its SHA-256 begins with {found[: len(digits)]}, its name says "
            f"{digits}; remove the file"
        )


def _copy(source: Path, target: Path) -> None:
    """Copies by way of a temporary name, so that no reader sees half a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent)
    os.close(handle)
    shutil.copyfile(source, name)
    Path(name).replace(target)


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """torch hub opens its URL without a time-out; this sets the default one meanwhile."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _from_file(params: Params, path: Path) -> torch.nn.Module:
    """The network with a state dict from disk, every tensor used and none missing."""
    import torch

    state = read_state(path)
    with torch.random.fork_rng(devices=[]):
        module = build_network(params.variant, num_classes=params.classes)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise AssetError(
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
