"""What cases start from: datasets, networks and metrics, each loaded once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from iibench.assets.local import LocalResources
from iibench.cache.memo import Memo
from iibench.compute.activations import weights_sha256
from iibench.contract.errors import PluginError
from iibench.contract.specs import (
    EmbeddingMetric,
    Harness,
    ImageDataset,
    LoadedModel,
    PairwiseMetric,
)
from iibench.contract.trials import TrialDataset, TrialDatasetSpec
from iibench.stages.clock import Clock
from iibench.stages.subsets import CheckedImages, limited, limited_trials
from iibench.suite.cases import (
    AnyCase,
    Case,
    Choice,
    DatasetChoice,
    LayerChoice,
    Tap,
    TrialCase,
    derive_seed,
)
from iibench.suite.params import to_json
from iibench.suite.registry import Registry


@dataclass
class Inputs:
    """Loads what the cases of a run name, through the plugins that registered it.

    `harness`: what datasets and metrics may ask for.
    """

    registry: Registry
    resources: LocalResources
    harness: Harness
    memo: Memo = field(default_factory=Memo)
    clock: Clock = field(default_factory=Clock)

    def dataset(self, choice: DatasetChoice, split: str, seed: int) -> ImageDataset:
        """One split of a dataset, cut to the choice's limit."""

        def load() -> ImageDataset:
            spec = self.registry.datasets[choice.name].spec
            with self.clock.stage(f"dataset {choice.label} {split}"):
                whole = CheckedImages(spec.load(choice.params, split, self.harness), choice.label)
                draw = derive_seed(seed, choice.label, split)
                if isinstance(spec, TrialDatasetSpec):
                    return limited_trials(whole, choice.limit, draw)
                return limited(whole, choice.limit, draw)

        return self.memo.once(f"dataset/{choice.label}/{split}/{seed}", load)

    def forget_dataset(self, case: AnyCase) -> None:
        """Has the evaluated split loaded again: a plugin may have changed it."""
        self.memo.forget(f"dataset/{case.dataset.label}/{case.dataset.evaluate}/{case.seed}")

    def trials(self, case: TrialCase) -> TrialDataset:
        """The dataset of trials of a case."""
        whole: Any = self.dataset(case.dataset, case.dataset.evaluate, case.seed)
        if not hasattr(whole, "trials"):
            raise PluginError(f"dataset {case.dataset.label}: what it loads has no trials")
        found: TrialDataset = whole
        return found

    def evaluated(self, case: AnyCase) -> ImageDataset:
        """The split on which a case is measured."""
        return self.dataset(case.dataset, case.dataset.evaluate, case.seed)

    def model(self, case: Case | Tap) -> tuple[LoadedModel, str]:
        """The network with the weights that the case's layer needs, and their SHA-256."""
        return self.network(case.model, case.layer)

    def network(self, model: Choice, layer: LayerChoice) -> tuple[LoadedModel, str]:
        """The network with the weights that the layer needs, and their SHA-256."""

        def load() -> tuple[LoadedModel, str]:
            spec = self.registry.models[model.name].spec
            with self.clock.stage(f"model {model.label}"):
                loaded = spec.load(model.params, layer.path, self.resources)
                return loaded, weights_sha256(loaded.module)

        return self.memo.once(f"model/{model.label}/{layer.path}", load)

    def metric(self, choice: Choice) -> EmbeddingMetric | PairwiseMetric:
        """The loaded metric; its parts share one object."""

        def load() -> EmbeddingMetric | PairwiseMetric:
            spec = self.registry.metrics[choice.name].spec
            with self.clock.stage(f"metric {choice.name}"):
                metric = spec.load(choice.params, self.harness)
            wanted = "embed" if spec.distance is not None else "pairwise"
            if not hasattr(metric, wanted):
                raise PluginError(f"metric {choice.name}: the loaded metric has no {wanted}")
            return metric

        return self.memo.once(f"metric/{choice.name}/{to_json(choice.params)}", load)
