"""Any registered network's layer as a similarity metric: the cosine of two images' activations.

What the network sees decides the level: early layers compare textures, late ones objects. With
`center` the activations of one image are compared about their own mean, as a correlation; without,
rectified activations are never less alike than 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from iibench import Harness, MetricSpec, TappedNetwork, check_rgb, hookimpl

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Params:
    """Which activations."""

    model: str = field(
        metadata={"help": "a registered network: resnet50_cifar10, torchvision:vgg16"}
    )
    layer: str = field(metadata={"help": "a module path of it, or one of its aliases"})
    pool: Literal["mean", "max", "center", "flatten", "cls"] = field(
        default="mean", metadata={"help": "how a feature map becomes one value per neuron"}
    )
    center: bool = field(
        default=False, metadata={"help": "take each image's mean activation off (correlation)"}
    )


@dataclass(frozen=True)
class Embedding:
    """embed(x) (n, N): the activations of a layer."""

    network: TappedNetwork
    center: bool

    @property
    def fingerprint(self) -> str:
        """Of the network up to the layer."""
        return self.network.fingerprint

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (n, 3, h, w) RGB in [0, 1] -> (n, N) float32. Raises `CaseError` for anything else."""
        check_rgb("embedding", x)
        rows = self.network.activations(x)
        return rows - rows.mean(dim=1, keepdim=True) if self.center else rows


def load(params: Params, harness: Harness) -> Embedding:
    """Raises `UsageError` for an unknown model or layer, `AssetError` where weights cannot be had."""
    return Embedding(
        harness.network(params.model, f"{params.layer}[pool={params.pool}]"), params.center
    )


@hookimpl
def iibench_register_metrics() -> Iterable[MetricSpec]:
    return [
        MetricSpec(
            name="embedding",
            summary="cosine of the activations of any registered network's layer",
            definition=(
                "a(x) is the activation of the chosen layer of the chosen network for image x, pooled "
                "over positions as `pool` says; with `center` the mean over neurons is taken off. "
                "Similarity = a(x) . a(y) / (|a(x)| |a(y)|), the cosine, in [-1, 1] (a correlation "
                "with `center`; never below 0 for rectified activations without it); larger is more "
                "alike. Images are resized and normalised as that network wants them."
            ),
            params=Params,
            headline=("model", "layer"),
            load=load,
            distance="cosine",
            range="[-1, 1]",
            level="high",
            licence="that of the network",
        )
    ]
