"""ResNet50 for CIFAR-10: the paper's architecture, with weights trained for this project or the paper's.

torchvision's Bottleneck ResNet50 whose first convolution is 3x3, stride 1, padding 1 (no bias), the
max-pool kept, 10 classes. Input 3 x 32 x 32 gives layer1 (256, 16, 16), layer2 (512, 8, 8), layer3
(1024, 4, 4), layer4 (2048, 2, 2). The smallest weights file that reaches the tapped layer is read;
everything past it stays without weights on torch's meta device.

`resnet50_cifar10_paper` has the weights that Klindt et al. 2023 used (93.65 % validation accuracy), out
of the archive that github.com/huyvnphan/PyTorch_CIFAR10 links; it normalises images alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from iibench import (
    AssetError,
    AssetFile,
    AssetSpec,
    FileError,
    LayerSpec,
    LoadedModel,
    ModelSpec,
    NoParams,
    Preprocess,
    Resources,
    UsageError,
    hookimpl,
    unknown_name,
    user_path,
)

from .._shared.bibliography import KLINDT2023, arxiv, entries, entry
from ._state import read_state

if TYPE_CHECKING:
    from pathlib import Path

    import torch

HE2016 = entry(
    "inproceedings",
    "he2016deep",
    author="Kaiming He and Xiangyu Zhang and Shaoqing Ren and Jian Sun",
    title="Deep Residual Learning for Image Recognition",
    booktitle="Proceedings of the {IEEE} Conference on Computer Vision and Pattern Recognition",
    year=2016,
    **arxiv("1512.03385"),
)


#: Modules in the order in which they run.
ORDER = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc")

LAYER1 = AssetSpec(
    name="resnet50-cifar10-layer1",
    summary="ResNet50 for CIFAR-10 up to layer1, float32",
    files=(
        AssetFile(
            "resnet50_cifar10_layer1.safetensors",
            "6a3e1f90214ff353bf95f435e485b2f80e59f9e832cc5fa518b7b45b831a4852",
            887_336,
            packaged="iibench_plugins.models:weights/resnet50_cifar10_layer1.safetensors",
        ),
    ),
    licence="Apache-2.0",
)
LAYER2 = AssetSpec(
    name="resnet50-cifar10-layer2",
    summary="ResNet50 for CIFAR-10 up to layer2, float16",
    files=(
        AssetFile(
            "resnet50_cifar10_layer2_fp16.safetensors",
            "28a5f1ea7d05c6d84ccd349dd3c9df2e79ecda50a68d1897a0c1da5380ff2c4e",
            2_905_392,
            packaged="iibench_plugins.models:weights/resnet50_cifar10_layer2_fp16.safetensors",
        ),
    ),
    licence="Apache-2.0",
)
WHOLE = AssetSpec(
    name="resnet50-cifar10-whole",
    summary="ResNet50 for CIFAR-10, the whole network, float16; not shipped, by hand",
    files=(
        AssetFile(
            "resnet50_cifar10_fp16.safetensors",
            "60e1e50c3008a0725e9afcc6b0025bec8bf8e25305a55c2db420345d1472f24a",
            47_171_980,
        ),
    ),
    licence="Apache-2.0",
)

#: No hash of it was published: the one of the file that is first used is recorded.
PAPER = AssetSpec(
    name="resnet50-cifar10-paper",
    summary=(
        "the paper's ResNet50 for CIFAR-10: state_dicts/resnet50.pt of the archive (933 MB) that "
        "github.com/huyvnphan/PyTorch_CIFAR10 links; by hand"
    ),
    files=(AssetFile("state_dicts/resnet50.pt", "", 0), AssetFile("resnet50.pt", "", 0)),
    licence="MIT",
    homepage="https://github.com/huyvnphan/PyTorch_CIFAR10",
)

#: How far each asset reaches, smallest first.
REACH = ((LAYER1, "layer1"), (LAYER2, "layer2"), (WHOLE, "fc"))

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2471, 0.2435, 0.2616)


@dataclass(frozen=True)
class Params:
    """Which weights to use."""

    weights: str = field(
        default="auto",
        metadata={
            "help": "auto: the project's own; or the path of a .safetensors or .pt state dict of "
            "the same architecture (such as the paper's, from github.com/huyvnphan/PyTorch_CIFAR10)"
        },
    )


def load(params: Params, layer: str, resources: Resources) -> LoadedModel:
    """The network with weights for every module up to the one that `layer` is in.

    Raises `UsageError` for an unknown layer; where the weights are missing or fit another architecture,
    `FileError` for a file that the user names and `AssetError` for the project's own.
    """
    module = architecture()
    top = _top(module, layer)
    if params.weights == "auto":
        asset = next(a for a, last in REACH if ORDER.index(top) <= ORDER.index(last))
        _, path = resources.asset(asset)
        provenance = f"{asset.name}: trained for iibench, 86.2 % test accuracy"
        return _loaded(module, top, path, resources.device, provenance)
    path = user_path(params.weights, resources.base_dir)
    return _loaded(module, top, path, resources.device, path.name, FileError)


def load_paper(params: NoParams, layer: str, resources: Resources) -> LoadedModel:
    """The network with the paper's weights for every module up to the one that `layer` is in.

    Raises `UsageError` for an unknown layer, `AssetError` where the file is missing or fits another
    architecture.
    """
    module = architecture()
    top = _top(module, layer)
    _, path = resources.asset(PAPER)
    return _loaded(module, top, path, resources.device, f"{PAPER.name}: {path.name}")


def _top(module: torch.nn.Module, layer: str) -> str:
    """The module of `ORDER` that `layer` is in; raises `UsageError` where there is no such layer."""
    names = [name for name, _ in module.named_modules() if name]
    if layer not in names:
        raise UsageError(unknown_name("layer", layer, names))
    return layer.partition(".")[0]


def _loaded(
    module: torch.nn.Module,
    top: str,
    path: Path,
    device: str,
    provenance: str,
    error: type[UsageError] = AssetError,
) -> LoadedModel:
    """The network with the weights of `path` for every module up to `top`; raises `error`."""
    tops = ORDER[: ORDER.index(top) + 1]
    fill(module, read_state(path, error=error), tops, path, device, error)
    return LoadedModel(module.eval().requires_grad_(False), Preprocess(MEAN, STD), provenance)


def architecture() -> torch.nn.Module:
    """The network without weights, on the meta device."""
    import torch
    from torchvision.models import resnet50

    with torch.device("meta"):
        module: torch.nn.Module = resnet50(num_classes=10)
        module.conv1 = torch.nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    return module


def fill(
    module: torch.nn.Module,
    state: dict[str, torch.Tensor],
    tops: tuple[str, ...],
    path: Path,
    device: str,
    error: type[UsageError] = AssetError,
) -> None:
    """Puts `state` into the modules `tops`, each tensor of them exactly once, as float32.

    `num_batches_tracked`, which decides nothing in eval mode, may be missing and becomes 0. Raises
    `error` where the tensors are not those of the architecture.
    """
    import torch

    wanted = module.state_dict()
    unknown = sorted(state.keys() - wanted.keys())
    chosen: dict[str, torch.Tensor] = {}
    missing = []
    for name, slot in wanted.items():
        if name.partition(".")[0] not in tops:
            continue
        if name.endswith("num_batches_tracked"):
            chosen[name] = torch.tensor(0, device=device)
        elif name not in state:
            missing.append(name)
        elif state[name].shape != slot.shape:
            raise error(
                f"weights {str(path)!r}: {name} has shape {tuple(state[name].shape)}, expected "
                f"{tuple(slot.shape)} for a ResNet50 with a 3x3 first convolution and 10 classes"
            )
        else:
            chosen[name] = state[name].to(device, torch.float32)
    if missing or unknown:
        raise error(
            f"weights {str(path)!r} are not those of this architecture: "
            f"{len(missing)} tensors missing{_first(missing)}, "
            f"{len(unknown)} unknown{_first(unknown)}"
        )
    module.load_state_dict(chosen, strict=False, assign=True)


def _first(names: list[str]) -> str:
    return f" (first: {names[0]})" if names else ""


@hookimpl
def iibench_register_models() -> Iterable[ModelSpec]:
    return [
        ModelSpec(
            name="resnet50_cifar10",
            summary=(
                "ResNet50 for CIFAR-10, trained for this project (86.2 % test accuracy): a "
                "stand-in for the paper's weights of the same architecture (93.65 %)"
            ),
            definition=(
                "torchvision's Bottleneck ResNet50 with a first convolution of 3 x 3, stride 1, and "
                "10 classes; layer1 gives 256 channels at 16 x 16, layer2 512 at 8 x 8, layer3 1024 "
                "at 4 x 4, layer4 2048 at 2 x 2 positions for an image of 32 x 32. The weights were "
                "trained for this project (86.2 % test accuracy). Images keep their size and are "
                "normalised by CIFAR-10's mean and standard deviation."
            ),
            params=Params,
            load=load,
            assets=(LAYER1, LAYER2, WHOLE),
            citation="He et al. 2016, Deep Residual Learning for Image Recognition",
            bibtex=HE2016,
            licence="Apache-2.0",
        ),
        ModelSpec(
            name="resnet50_cifar10_paper",
            summary="the paper's ResNet50 for CIFAR-10 (93.65 %); its weights are put in place by hand",
            definition=(
                "The same architecture with the weights that the paper used (93.65 % validation "
                "accuracy), from the archive that github.com/huyvnphan/PyTorch_CIFAR10 links. Images "
                "keep their size and are normalised by CIFAR-10's mean and standard deviation."
            ),
            load=load_paper,
            assets=(PAPER,),
            citation="Klindt et al. 2023 (arXiv 2310.11431)",
            bibtex=entries(KLINDT2023, HE2016),
            licence="MIT",
        ),
    ]


@hookimpl
def iibench_register_layers(model: ModelSpec) -> Iterable[LayerSpec]:
    if model.name not in ("resnet50_cifar10", "resnet50_cifar10_paper"):
        return []
    stem = [
        LayerSpec("conv1", "conv1", "first convolution, 64 channels at 32 x 32", "stem"),
        LayerSpec("bn1", "bn1", "its batch-norm, before the ReLU", "stem"),
        LayerSpec("stem", "maxpool", "after ReLU and max-pool, 64 channels at 16 x 16", "stem"),
    ]
    stages = (("layer1", 3, 256, 16), ("layer2", 4, 512, 8), ("layer3", 6, 1024, 4))
    blocks = []
    for name, count, channels, side in (*stages, ("layer4", 3, 2048, 2)):
        size = f"{channels} channels at {side} x {side}"
        for k in range(count - 1):
            blocks.append(
                LayerSpec(f"{name}.{k}", f"{name}.{k}", f"block {k + 1} of {count}, {size}", name)
            )
        blocks.append(LayerSpec(name, name, f"all {count} blocks, {size}", name))
    return [*stem, *blocks]
