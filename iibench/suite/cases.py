"""Cases: the elements of a suite's product, with stable, readable ids.

A label is a name with, in brackets, its headline parameters and every parameter that differs from its
default: `kmeans[k=256]`, `lpips[3]`, `insilico[difficulty=0]`. A case's id joins the labels:
`cifar10/resnet50_cifar10/layer1/kmeans[k=256]/lpips/ii`. Labels do not depend on how the suite was
written, so that rows of two suites can be compared.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Choice:
    """A registered thing with its parameters; `part` is a part of a metric's embedding or None.

    `params` is an instance of the spec's frozen params dataclass.
    """

    name: str
    params: Any
    label: str
    part: str | None = None


@dataclass(frozen=True)
class DatasetChoice:
    """A dataset with its two splits: finders are fitted on `fit`, everything is measured on `evaluate`.

    `limit`: only the first `limit` images of a seeded shuffle of each split are used; None uses all.
    """

    name: str
    params: Any
    fit: str
    evaluate: str
    label: str
    limit: int | None = None


@dataclass(frozen=True)
class LayerChoice:
    """A module path and how its output is pooled to (n, N).

    `layout`: where the output has its neurons, None where that is found out. `call`: which of the module's
    calls in a forward pass is meant, None where there is one.
    """

    path: str
    pool: str
    label: str
    layout: str | None = None
    call: int | None = None


@dataclass(frozen=True)
class Tap:
    """Where activations are taken: the images of a dataset at a layer of a model."""

    dataset: DatasetChoice
    model: Choice
    layer: LayerChoice
    seed: int


@dataclass(frozen=True)
class TrialCase:
    """One comparison with people: an evaluation of a dataset of trials under a metric, if it needs one."""

    dataset: DatasetChoice
    metric: Choice | None
    evaluation: Choice
    seed: int

    @property
    def id(self) -> str:
        """The labels joined by slashes; the metric is left out where there is none."""
        metric = () if self.metric is None else (self.metric.label,)
        return "/".join((self.dataset.label, *metric, self.evaluation.label))

    @property
    def place(self) -> tuple[str, ...]:
        """Labels of what the case looks at with its metric."""
        return (self.dataset.label,)


@dataclass(frozen=True)
class Case:
    """One thing to measure: a score per direction."""

    dataset: DatasetChoice
    model: Choice
    layer: LayerChoice
    finder: Choice
    metric: Choice | None
    evaluation: Choice
    seed: int

    @property
    def id(self) -> str:
        """The labels joined by slashes; the metric is left out where there is none."""
        return "/".join((self.stem, *self.tail))

    @property
    def tap(self) -> Tap:
        """Where the case's activations are taken."""
        return Tap(self.dataset, self.model, self.layer, self.seed)

    @property
    def place(self) -> tuple[str, ...]:
        """Labels of what the case looks at with its metric: dataset, model and layer."""
        return (self.dataset.label, self.model.label, self.layer.label)

    @property
    def stem(self) -> str:
        """dataset/model/layer/finder: what decides the directions and their responses."""
        return "/".join((*self.place, self.finder.label))

    @property
    def tail(self) -> tuple[str, ...]:
        """(metric, evaluation), or (evaluation,) where the evaluation needs no metric."""
        metric = () if self.metric is None else (self.metric.label,)
        return (*metric, self.evaluation.label)


AnyCase = Case | TrialCase


def derive_seed(seed: int, *parts: str) -> int:
    """A seed for the part of a run that `parts` name: 63 bits of a SHA-256, the same everywhere."""
    text = json.dumps([seed, *parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def full_label(choice: DatasetChoice) -> str:
    """The dataset's label without its limit."""
    if choice.limit is None:
        return choice.label
    alone, last = f"[limit={choice.limit}]", f",limit={choice.limit}]"
    if choice.label.endswith(last):
        return choice.label.removesuffix(last) + "]"
    return choice.label.removesuffix(alone)
