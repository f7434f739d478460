"""A plugin for checks and tests: a small network, pictures and simulated judgements, nothing to download.

`-p iibench.testing.toys` registers the dataset `reference_images` (splits `fit` and `evaluate`), the
dataset of trials `reference_trials`, the network `reference_net` with the layers `early`, `middle`
and `late`, and the smallest finder, metric and evaluations (toy_methods.py). Results on them mean
nothing; they show that a plugin works.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge

from iibench.contract.base import Resources
from iibench.contract.evaluations import EvaluationBase
from iibench.contract.specs import (
    DatasetSpec,
    FinderSpec,
    GivenNames,
    Harness,
    LayerSpec,
    LoadedModel,
    MetricSpec,
    ModelSpec,
    Preprocess,
)
from iibench.contract.trials import Answers, Stimuli, TrialDatasetSpec
from iibench.hooks.hookspecs import hookimpl
from iibench.testing import toy_methods
from iibench.testing.pictures import CLASSES, name_counts, pictures

if TYPE_CHECKING:
    import torch

    from iibench.contract.arrays import ImageArray, IntArray
    from iibench.contract.measures import Section

SPLITS = ("fit", "evaluate")


@dataclass(frozen=True)
class ImageParams:
    """How many pictures, and how large."""

    n: Annotated[int, Ge(1)] = field(default=480, metadata={"help": "pictures in each split"})
    size: Annotated[int, Ge(8)] = field(default=32, metadata={"help": "pixels a side"})


@dataclass(frozen=True)
class Pictures:
    """Pictures as an `ImageDataset` with labels and names."""

    pixels: ImageArray
    labels: IntArray
    class_names: tuple[str, ...] = CLASSES

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of size, pixels and labels."""
        digest = hashlib.sha256(f"{self.pixels.shape}".encode())
        digest.update(self.pixels.tobytes() + self.labels.tobytes())
        return digest.hexdigest()

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width)."""
        return int(self.pixels.shape[1]), int(self.pixels.shape[2])

    def __len__(self) -> int:
        return len(self.pixels)

    def images(self, indices: Sequence[int] | IntArray) -> ImageArray:
        """uint8 (len(indices), h, w, 3), in the order of `indices`."""
        return self.pixels[np.asarray(indices, np.int64)]

    def given_names(self) -> GivenNames:
        """Simulated names: the class is called by its name three times out of four."""
        counts = name_counts(len(self)).astype(np.int64)
        return GivenNames(counts, hashlib.sha256(counts.tobytes()).hexdigest())


def load_images(params: ImageParams, split: str, harness: Harness) -> Pictures:
    """One split; the two have no picture in common."""
    return Pictures(*pictures(params.n, params.size, seed=1 + SPLITS.index(split)))


# ------------------------------------------------------------------------------------- network


def small_network(seed: int = 0, channels: int = 16) -> torch.nn.Module:
    """Three convolutions with rectifiers, `conv1` to `relu3`, weights drawn from `seed`; in eval mode.

    The last layer has 2 * `channels` channels. Torch's own random state is left as it was.
    """
    import torch

    def conv(inputs: int, outputs: int, kernel: int, stride: int) -> torch.nn.Conv2d:
        made = torch.nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
        torch.nn.init.kaiming_normal_(made.weight)
        if made.bias is not None:
            torch.nn.init.normal_(made.bias, std=0.1)
        return made

    net = torch.nn.Sequential()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net.add_module("conv1", conv(3, channels, 5, 1))
        net.add_module("relu1", torch.nn.ReLU())
        net.add_module("conv2", conv(channels, 2 * channels, 3, 2))
        net.add_module("relu2", torch.nn.ReLU())
        net.add_module("conv3", conv(2 * channels, 2 * channels, 3, 2))
        net.add_module("relu3", torch.nn.ReLU())
    return net.eval().requires_grad_(False)


@dataclass(frozen=True)
class NetParams:
    """Which random network."""

    seed: Annotated[int, Ge(0)] = field(default=0, metadata={"help": "of the random weights"})


def load_net(params: NetParams, layer: str, resources: Resources) -> LoadedModel:
    """The network on the run's device."""
    module = small_network(params.seed).to(resources.device)
    preprocess = Preprocess((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return LoadedModel(module, preprocess, f"random, seed {params.seed}")


# -------------------------------------------------------------------------------------- trials


@dataclass(frozen=True)
class TrialParams:
    """How many judgements."""

    units: Annotated[int, Ge(2)] = field(default=16, metadata={"help": "simulated units"})
    per_unit: Annotated[int, Ge(1)] = field(default=4, metadata={"help": "stimuli of each unit"})
    people: Annotated[int, Ge(1)] = field(default=3, metadata={"help": "who answer each stimulus"})


@dataclass(frozen=True)
class JudgedPictures(Pictures):
    """Pictures with stimuli and simulated answers, a `TrialDataset`."""

    trials: Stimuli = field(kw_only=True)
    notes: tuple[str, ...] = ("made of simulated judgements",)
    sections: tuple[Section, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of pictures, stimuli and answers."""
        digest = hashlib.sha256(self.pixels.tobytes() + self.trials.queries.tobytes())
        digest.update(self.trials.answers.first.tobytes())
        return digest.hexdigest()


def load_trials(params: TrialParams, split: str, harness: Harness) -> JudgedPictures:
    """A unit likes one class: references and query 0 are of it, the opposite and query 1 of another.

    People see it more often, from half to all of the answers, the more mean colours tell the two apart.
    """
    rng = np.random.default_rng(5)
    s = params.units * params.per_unit
    pixels, labels = pictures(160, 32, seed=9)
    unit = np.repeat(np.arange(params.units), params.per_unit)
    of_class = [np.flatnonzero(labels == c) for c in range(len(CLASSES))]
    shown = np.empty((s, 8), np.int64)  # query 0, three references; query 1, three opposite
    for k in range(s):
        shown[k, :4] = rng.choice(of_class[unit[k] % 4], 4, replace=False)
        shown[k, 4:] = rng.choice(of_class[(unit[k] + 1) % 4], 4, replace=False)
    colour = pixels.mean(axis=(1, 2))[shown]
    apart = np.linalg.norm(colour[:, [0, 4], None] - colour[:, None, 1:4], axis=3).mean(axis=2)
    easiness = (apart[:, 1] - apart[:, 0]).argsort().argsort() / s
    stimulus = np.repeat(np.arange(s), params.people)
    answers = Answers(
        stimulus,
        rng.random(len(stimulus)) < (0.5 + 0.5 * easiness)[stimulus],
        np.ones(len(stimulus), np.int64),
        rng.integers(1, 4, len(stimulus)),
        np.tile(np.arange(params.people), s),
    )
    trials = Stimuli(
        names=np.array([f"unit{u}/{k}" for k, u in enumerate(unit)]),
        queries=shown[:, [0, 4]],
        references=shown[:, 1:4],
        opposite=shown[:, 5:],
        unit=unit,
        units=tuple(f"unit{u}" for u in range(params.units)),
        answers=answers,
        columns={"model": np.array([f"net{u % 2}" for u in unit])},
    )
    return JudgedPictures(pixels, labels, trials=trials)


# --------------------------------------------------------------------------------------- hooks

IMAGES = DatasetSpec(
    name="reference_images",
    summary="blobs and stripes in four classes, for checks",
    params=ImageParams,
    load=load_images,
    splits=SPLITS,
)
TRIALS = TrialDatasetSpec(
    name="reference_trials",
    summary="simulated judgements of such pictures, for checks",
    params=TrialParams,
    load=load_trials,
)
NET = ModelSpec(
    name="reference_net",
    summary="three random convolutions, for checks",
    params=NetParams,
    load=load_net,
)
LAYERS = (
    LayerSpec("early", "relu1", "after the first convolution"),
    LayerSpec("middle", "relu2", "after the second"),
    LayerSpec("late", "relu3", "after the third"),
)


@hookimpl
def iibench_register_datasets() -> Iterable[DatasetSpec]:
    """Registers `reference_images` and `reference_trials`."""
    return (IMAGES, TRIALS)


@hookimpl
def iibench_register_models() -> Iterable[ModelSpec]:
    """Registers `reference_net`."""
    return (NET,)


@hookimpl
def iibench_register_layers(model: ModelSpec) -> Iterable[LayerSpec]:
    """Registers `early`, `middle` and `late` of `reference_net`."""
    return LAYERS if model.name == NET.name else ()


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Registers `reference_finder`."""
    return (toy_methods.FINDER,)


@hookimpl
def iibench_register_metrics() -> Iterable[MetricSpec]:
    """Registers `reference_metric`."""
    return (toy_methods.METRIC,)


@hookimpl
def iibench_register_evaluations() -> Iterable[EvaluationBase]:
    """Registers `reference_evaluation` and `reference_judgement`."""
    return (toy_methods.EVALUATION, toy_methods.JUDGEMENT)
