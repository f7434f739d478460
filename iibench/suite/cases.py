"""Cases: the elements of a suite's product, with stable, readable ids.

A label is a name with, in brackets, its headline parameters and every parameter that differs from its
default: `kmeans[k=256]`, `lpips[3]`, `insilico[difficulty=0]`. A case's id joins the labels:
`cifar10/resnet50_cifar10/layer1/kmeans[k=256]/lpips/ii`. Labels do not depend on how the suite was
written, so that rows of two suites can be compared.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iibench.errors import SuiteError, UsageError

if TYPE_CHECKING:
    from iibench.registry import Registry
    from iibench.suite.schema import Suite


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
    def stem(self) -> str:
        """dataset/model/layer/finder: what decides the directions and their responses."""
        return "/".join((self.dataset.label, self.model.label, self.layer.label, self.finder.label))

    @property
    def tail(self) -> tuple[str, ...]:
        """(metric, evaluation), or (evaluation,) where the evaluation needs no metric."""
        metric = () if self.metric is None else (self.metric.label,)
        return (*metric, self.evaluation.label)


AnyCase = Case | TrialCase


def collect(
    suite: Suite,
    registry: Registry,
    *,
    use_fallback: bool = False,
    limit: int | None = None,
    seed: int | None = None,
) -> list[AnyCase]:
    """Every case of the suite: the product of models, layers, finders, metrics and evaluations.

    Evaluations vary fastest; one that needs no metric appears once per finder. On a dataset of trials
    there are no models, layers and finders. `use_fallback`: on the suite's fallback dataset. `limit`:
    images per split (stimuli, of a dataset of trials), None for all. `seed`: instead of the suite's.
    Raises `SuiteError` where two cases would have one id, `UsageError` for a limit below 1.
    """
    dataset = _dataset_of(suite, use_fallback, limit)
    chosen_seed = suite.seed if seed is None else seed
    needs = {
        choice.label: registry.evaluations[choice.name].spec.needs_metric
        for choice, _ in suite.evaluations
    }
    pairs = [
        (metric, evaluation)
        for metric in suite.metrics
        for evaluation, only in suite.evaluations
        if needs[evaluation.label] and (only is None or metric.label in only)
    ]
    pairs_without = [(None, choice) for choice, _ in suite.evaluations if not needs[choice.label]]
    cases: list[AnyCase] = [
        Case(dataset, model, layer, finder, metric, evaluation, chosen_seed)
        for model, layers in suite.models
        for layer in layers
        for finder in suite.finders
        for metric, evaluation in (*pairs, *pairs_without)
        if finder.label in suite.evaluation_finders.get(evaluation.label, (finder.label,))
    ]
    if suite.of_trials:
        cases = [
            TrialCase(dataset, metric, evaluation, chosen_seed)
            for metric, evaluation in (*pairs, *pairs_without)
        ]
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise SuiteError(f"{suite.path}: two cases have the id {case.id}; expected each once")
        seen.add(case.id)
    return cases


def derive_seed(seed: int, *parts: str) -> int:
    """A seed for the part of a run that `parts` name: 63 bits of a SHA-256, the same everywhere."""
    text = json.dumps([seed, *parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def with_limit(choice: DatasetChoice, limit: int | None) -> DatasetChoice:
    """The dataset cut to `limit` images per split, with the label that says so."""
    whole = full_label(choice)
    if limit is None:
        shown = whole
    elif whole.endswith("]"):
        shown = f"{whole[:-1]},limit={limit}]"
    else:
        shown = f"{whole}[limit={limit}]"
    return dataclasses.replace(choice, label=shown, limit=limit)


def full_label(choice: DatasetChoice) -> str:
    """The dataset's label without its limit."""
    if choice.limit is None:
        return choice.label
    alone, last = f"[limit={choice.limit}]", f",limit={choice.limit}]"
    if choice.label.endswith(last):
        return choice.label.removesuffix(last) + "]"
    return choice.label.removesuffix(alone)


def _dataset_of(suite: Suite, use_fallback: bool, limit: int | None) -> DatasetChoice:
    if limit is not None and limit < 1:
        raise UsageError(f"limit: found {limit}; expected at least 1 image per split")
    if not use_fallback:
        return with_limit(suite.dataset, limit)
    if suite.fallback is None:
        raise SuiteError(f"{suite.path}: found no dataset.fallback; expected one to fall back on")
    return with_limit(suite.fallback, limit)
