"""Name -> spec, with the plugin that registered it. Filled once; duplicates and unknown names are errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from iibench.contract.base import AssetSpec
from iibench.contract.errors import PluginError, UsageError, unknown_name
from iibench.contract.evaluations import EvaluationBase
from iibench.contract.executors import ExecutorSpec
from iibench.contract.specs import DatasetSpec, FinderSpec, LayerSpec, MetricSpec, ModelSpec

S = TypeVar("S", DatasetSpec, ModelSpec, FinderSpec, MetricSpec, EvaluationBase, ExecutorSpec)


@dataclass(frozen=True)
class Entry(Generic[S]):
    """A spec, the name of the plugin it came from, and the SHA-256 of that plugin's source."""

    spec: S
    plugin: str
    source_sha256: str = ""


@dataclass
class Table(Generic[S]):
    """All specs of one kind, by name."""

    kind: str
    entries: dict[str, Entry[S]] = field(default_factory=dict)

    def add(self, spec: S, plugin: str, source_sha256: str = "") -> None:
        """Registers `spec`; raises `PluginError` naming both plugins where the name is taken."""
        taken = self.entries.get(spec.name)
        if taken is not None:
            raise PluginError(
                f"two plugins register the {self.kind} {spec.name!r}: "
                f"{taken.plugin} and {plugin}; block one of them with -p no:NAME"
            )
        self.entries[spec.name] = Entry(spec, plugin, source_sha256)

    def __getitem__(self, name: str) -> Entry[S]:
        """The entry called `name` (a variant's name before its colon is looked up too).

        Raises `UsageError` with the nearest names and where all of them are listed.
        """
        entry = self.entries.get(name) or self.entries.get(name.partition(":")[0])
        if entry is None:
            raise UsageError(
                unknown_name(self.kind, name, self.entries, f"iibench ls {self.kind}s")
            )
        return entry

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[Entry[S]]:
        """Entries by name: the order of registration must not show."""
        return iter(self.entries[name] for name in sorted(self.entries))

    def __len__(self) -> int:
        return len(self.entries)


@dataclass
class Registry:
    """Everything that plugins have registered."""

    datasets: Table[DatasetSpec] = field(default_factory=lambda: Table("dataset"))
    models: Table[ModelSpec] = field(default_factory=lambda: Table("model"))
    finders: Table[FinderSpec] = field(default_factory=lambda: Table("finder"))
    metrics: Table[MetricSpec] = field(default_factory=lambda: Table("metric"))
    evaluations: Table[EvaluationBase] = field(default_factory=lambda: Table("evaluation"))
    executors: Table[ExecutorSpec] = field(default_factory=lambda: Table("executor"))
    #: model name -> its layer aliases
    layers: dict[str, list[LayerSpec]] = field(default_factory=dict)
    #: (plugin, label) of metrics that plugins add to every suite
    suite_metrics: list[tuple[str, str]] = field(default_factory=list)

    def add(self, spec: AnySpec, plugin: str, source_sha256: str = "") -> None:
        """Registers a spec in the table of its kind."""
        if isinstance(spec, DatasetSpec):
            self.datasets.add(spec, plugin, source_sha256)
        elif isinstance(spec, ModelSpec):
            self.models.add(spec, plugin, source_sha256)
        elif isinstance(spec, FinderSpec):
            self.finders.add(spec, plugin, source_sha256)
        elif isinstance(spec, MetricSpec):
            self.metrics.add(spec, plugin, source_sha256)
        elif isinstance(spec, ExecutorSpec):
            self.executors.add(spec, plugin, source_sha256)
        else:
            self.evaluations.add(spec, plugin, source_sha256)

    def assets(self) -> dict[str, tuple[AssetSpec, list[str]]]:
        """Asset name -> the asset and the names of the specs that declare it."""
        found: dict[str, tuple[AssetSpec, list[str]]] = {}
        for entry in self.all():
            for asset in entry.spec.assets:
                found.setdefault(asset.name, (asset, []))[1].append(entry.spec.name)
        return dict(sorted(found.items()))

    def all(self) -> Iterable[Entry[AnySpec]]:  # type: ignore[type-var]
        """Every entry of every kind that a suite may name."""
        for table in (self.datasets, self.models, self.finders, self.metrics, self.evaluations):
            yield from table  # type: ignore[misc]


AnySpec = DatasetSpec | ModelSpec | FinderSpec | MetricSpec | EvaluationBase | ExecutorSpec
