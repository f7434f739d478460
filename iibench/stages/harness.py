"""What the harness lends to datasets that are made from images, networks and metrics."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iibench.cache.budget import share
from iibench.cache.memo import Memo
from iibench.cache.source import core_sha256
from iibench.compute.activations import network
from iibench.contract.errors import UsageError, unknown_name
from iibench.contract.specs import ChosenMetric
from iibench.stages.activations import ActivationStage
from iibench.stages.context import Progress, Settings, StageContext
from iibench.stages.inputs import Inputs
from iibench.stages.keys import Keys
from iibench.suite.cases import Choice, DatasetChoice, LayerChoice, Tap
from iibench.suite.choices import choice_of, dataset_choice, layer_of
from iibench.suite.labels import read_label
from iibench.suite.params import label_values, parse_params

if TYPE_CHECKING:
    from iibench.assets.local import LocalResources
    from iibench.cache.entries import Cache
    from iibench.contract.arrays import FloatArray
    from iibench.contract.base import AssetFile, AssetSpec
    from iibench.contract.specs import ImageDataset, TappedNetwork
    from iibench.suite.registry import Registry


class LocalHarness:
    """`Harness` over the things that are registered, and the stage that computes activations with them.

    `tell`: is told how far a stage is.
    """

    def __init__(
        self,
        registry: Registry,
        resources: LocalResources,
        cache: Cache,
        settings: Settings | None = None,
        tell: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        chosen = Settings() if settings is None else settings
        self.inputs = Inputs(registry, resources, self, Memo(share(chosen.memory, "arrays")))
        keys = Keys(self.inputs, chosen.precision)
        self.context = StageContext(self.inputs, cache, keys, chosen, tell)
        self.activation_stage = ActivationStage(self.context)

    @property
    def data_dir(self) -> Path:
        """See `Resources`."""
        return self.inputs.resources.data_dir

    @property
    def cache_dir(self) -> Path:
        """See `Resources`."""
        return self.inputs.resources.cache_dir

    @property
    def device(self) -> str:
        """See `Resources`."""
        return self.inputs.resources.device

    @property
    def base_dir(self) -> Path:
        """See `Resources`."""
        return self.inputs.resources.base_dir

    @property
    def offline(self) -> bool:
        """See `Resources`."""
        return self.inputs.resources.offline

    def asset(self, spec: AssetSpec) -> tuple[AssetFile, Path]:
        """See `Resources`."""
        return self.inputs.resources.asset(spec)

    def images(self, dataset: str, split: str | None = None) -> ImageDataset:
        """See `Harness`."""
        choice = self._dataset(dataset, split)
        return self.inputs.dataset(choice, choice.evaluate, 0)

    def activations(self, dataset: str, split: str | None, model: str, layer: str) -> FloatArray:
        """See `Harness`."""
        choice = self._dataset(dataset, split)
        tap = Tap(choice, *self._tapped(model, layer), 0)
        return np.asarray(self.activation_stage.values(tap, choice.evaluate))

    def network(self, model: str, layer: str) -> TappedNetwork:
        """See `Harness`."""
        chosen, place = self._tapped(model, layer)
        loaded, weights = self.inputs.network(chosen, place)
        entry = self.inputs.registry.models[chosen.name]
        parts = (
            *(weights, loaded.fingerprint, entry.source_sha256, entry.spec.version),
            *(place.path, place.pool, repr((place.layout, place.call)), repr(loaded.preprocess)),
            core_sha256("iibench.compute.activations"),
        )
        fingerprint = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        return network(
            *(loaded, place.path, place.pool, fingerprint),
            layout=place.layout,
            call=place.call,
            warn=self.context.cache.warn,
        )

    def metric(self, label: str) -> ChosenMetric:
        """See `Harness`."""
        choice = choice_of(label, self.inputs.registry.metrics)
        spec = self.inputs.registry.metrics[choice.name].spec
        known = spec.parts(choice.params)
        if choice.part is not None and choice.part not in known:
            raise UsageError(unknown_name(f"part of {choice.name}", choice.part, known))
        size = spec.size(choice.params)
        return ChosenMetric(spec, self.inputs.metric(choice), size, choice.part)

    def _tapped(self, model: str, layer: str) -> tuple[Choice, LayerChoice]:
        chosen = choice_of(model, self.inputs.registry.models)
        known = self.inputs.registry.layers.get(chosen.name.partition(":")[0], [])
        return chosen, layer_of(layer, {alias.name: alias.path for alias in known})

    def _dataset(self, text: str, split: str | None) -> DatasetChoice:
        written = read_label(text)
        spec = self.inputs.registry.datasets[written.name].spec
        params = parse_params(spec, label_values(spec, written.params))
        chosen = spec.splits[-1] if split is None else split
        if chosen not in spec.splits:
            raise UsageError(unknown_name(f"split of {spec.name}", chosen, spec.splits))
        return dataset_choice(spec, params, spec.splits[0], chosen)
