"""A one-file plugin with a small dataset, network, finders and metrics: enough for whole runs in tests.

Images are flat colours with a little noise, in four classes; neuron c of the network's `tap` is the
rectified colour channel c (and three mixtures), so what activates it is known.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from iibench import (
    DatasetSpec,
    Directions,
    EvaluationSpec,
    FinderSpec,
    LayerSpec,
    LoadedModel,
    MetricSpec,
    ModelSpec,
    Preprocess,
    UnitScores,
    hookimpl,
)
from iibench.contract.base import AssetFile, AssetSpec
from iibench.contract.errors import AssetError, CaseError, Skip
from iibench.contract.specs import GivenNames


@dataclass(frozen=True)
class ToyImages:
    array: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...] = ("a", "b", "c", "d")
    image_size: tuple[int, int] = (8, 8)
    people: int = 0

    def given_names(self):
        if not self.people:
            raise Skip("nobody was asked")
        rng = np.random.default_rng(self.people)
        counts = rng.multinomial(self.people, (0.7, 0.2, 0.1), len(self)).astype(np.int64)
        return GivenNames(counts, hashlib.sha256(counts.tobytes()).hexdigest())

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.array.tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self.array)

    def images(self, indices):
        return self.array[np.asarray(indices, np.int64)]


@dataclass(frozen=True)
class ToyParams:
    n: Annotated[int, Ge(1)] = 240
    labelled: bool = True
    people: int = 0  # who name each image; none: the names are not known


def load_images(params, split, resources):
    rng = np.random.default_rng({"train": 1, "test": 2}[split])
    colours = rng.integers(30, 220, (params.n, 1, 1, 3))
    noise = rng.integers(-20, 20, (params.n, 8, 8, 3))
    array = np.clip(colours + noise, 0, 255).astype(np.uint8)
    labels = colours[:, 0, 0, 0] // 64
    kept = labels.astype(np.int64) if params.labelled else None
    return ToyImages(array, kept, people=params.people)


def missing(params, split, resources):
    raise AssetError("nowhere.zip is not in the data folder and cannot be downloaded")


def download(params, split, resources):
    """An asset from the server that the test runs."""
    content = os.environ["TOY_SHA256"]
    file = AssetFile("toy.bin", content, int(os.environ["TOY_SIZE"]), url=os.environ["TOY_URL"])
    resources.asset(AssetSpec("toy", "a toy file", (file,)))
    return load_images(ToyParams(), split, resources)


def load_model(params, layer, resources):
    import torch

    count = os.environ.get("TOY_COUNT")  # a file to which every forward pass adds a line

    class Mix(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            generator = torch.Generator().manual_seed(0)
            mix = torch.cat([torch.eye(3), torch.rand(3, 3, generator=generator) - 0.3])
            self.register_buffer("mix", mix)

        def forward(self, x):
            if count:
                with Path(count).open("a") as file:
                    file.write(f"{len(x)}\n")
            return torch.einsum("kc,nchw->nkhw", self.mix, x - 0.1)

    class Never(torch.nn.Module):
        def forward(self, x):
            raise AssertionError("the forward pass went past the layer")

    net = torch.nn.Sequential()
    net.add_module("raw", Mix())  # has negative values
    net.add_module("tap", torch.nn.ReLU(inplace=True))
    net.add_module("past", Never())
    return LoadedModel(net.eval(), Preprocess(), "made up")


@dataclass(frozen=True)
class PickParams:
    k: Annotated[int, Ge(1)] = 2
    sign: Literal["plus", "minus"] = "plus"


def fit_pick(params, A, context):
    if params.k > A.shape[1]:
        raise CaseError(f"k={params.k} is more than the {A.shape[1]} neurons")
    return Directions(np.eye(A.shape[1], dtype=np.float32)[: params.k], notes=("picked",))


def encode_pick(params, directions, A):
    return (A @ directions.vectors.T) * (1 if params.sign == "plus" else -1)


def explode(params, directions, A):
    raise ZeroDivisionError("a bug in a plugin")


class Brightness:
    fingerprint = ""

    def pairwise(self, a, b):
        return -(a.mean((1, 2, 3))[:, None] - b.mean((1, 2, 3))[None]).abs()


class MeanColour:
    fingerprint = ""

    def embed(self, x):
        if x.min() < 0 or x.max() > 1:
            raise ValueError("not in [0, 1]")
        return x.mean((2, 3))

    def slices(self, height, width):
        return {"r": slice(0, 1), "gb": slice(1, 3)}


class OwnColour(MeanColour):
    """The same similarity as `toycolour`, compared in a way of its own."""

    def compare(self, a, b):
        return -(a[:, None] - b[None]).square().sum(2).sqrt()


class Names:
    fingerprint = ""

    def embed(self, counts):
        return (counts / counts.sum(1, keepdim=True)).sqrt()


class Label:
    fingerprint = ""

    def embed(self, labels):
        return labels[:, None].float()


def mean_response(params, inputs):
    values = inputs.responses.mean(axis=0).astype(np.float64)
    return UnitScores(values, (None,) * len(values))


@hookimpl
def iibench_register_datasets():
    spec = DatasetSpec(
        name="toy",
        summary="flat colours",
        load=load_images,
        params=ToyParams,
        splits=("train", "test"),
    )
    return [
        spec,
        dataclasses.replace(spec, name="toy_missing", load=missing),
        dataclasses.replace(spec, name="toy_download", load=download),
    ]


@hookimpl
def iibench_register_models():
    return [ModelSpec(name="toynet", summary="mixes colour channels", load=load_model)]


@hookimpl
def iibench_register_layers(model):
    return [LayerSpec("mixed", "tap", "the mixing layer")] if model.name == "toynet" else []


@hookimpl
def iibench_register_finders():
    pick = FinderSpec(
        name="pick",
        summary="the first k neurons",
        params=PickParams,
        headline=("k",),
        fit=fit_pick,
        encode=encode_pick,
    )
    return [pick, dataclasses.replace(pick, name="explodes", encode=explode)]


@hookimpl
def iibench_register_metrics():
    return [
        MetricSpec(
            name="toycolour",
            summary="mean colour",
            load=lambda params, resources: MeanColour(),
            distance="euclidean",
            parts=lambda params: ("r", "gb"),
        ),
        MetricSpec(
            name="toybright", summary="brightness", load=lambda params, resources: Brightness()
        ),
        MetricSpec(
            name="toylabel",
            summary="label",
            load=lambda params, resources: Label(),
            distance="equal",
            input="labels",
        ),
        MetricSpec(name="toyown", summary="", load=lambda p, r: OwnColour(), distance="own"),
        MetricSpec(
            name="toynames",
            summary="",
            load=lambda p, r: Names(),
            distance="cosine",
            input="names",
        ),
        MetricSpec(name="toymissing", summary="needs a file", load=lambda p, r: missing(p, "", r)),
    ]


@hookimpl
def iibench_register_evaluations():
    return [
        EvaluationSpec(
            name="activity", summary="mean response", evaluate=mean_response, needs_metric=False
        )
    ]
