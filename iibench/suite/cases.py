"""Cases: the elements of a suite's product, with stable, readable ids.

A label is a name with, in brackets, its headline parameters and every parameter that differs from its
default: `kmeans[k=256]`, `lpips[3]`, `insilico[difficulty=0]`. A case's id joins the labels:
`cifar10/resnet50_cifar10/layer1/kmeans[k=256]/lpips/ii`. Labels do not depend on how the suite was
written, so that rows of two suites can be compared.
"""

from __future__ import annotations

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
    """A module path and how its output is pooled to (n, N)."""

    path: str
    pool: str
    label: str


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
    def stem(self) -> str:
        """dataset/model/layer/finder: what decides the directions and their responses."""
        return "/".join(
            (self.dataset.label, self.model.label, self.layer.label, self.finder.label)
        )

    @property
    def tail(self) -> tuple[str, ...]:
        """(metric, evaluation), or (evaluation,) where the evaluation needs no metric."""
        metric = () if self.metric is None else (self.metric.label,)
        return (*metric, self.evaluation.label)
