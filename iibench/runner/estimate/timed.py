"""What the networks and metrics of a run's cases take: probe.py, each timed once, however many need it.

What fails is not tried again: it fails with the same error for every case that needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from iibench.cache.memo import Memo
from iibench.runner.estimate.timing import Clock, Probed, probe_metric, probe_network, probe_pairs
from iibench.stages.demand import metric_without_part
from iibench.stages.keys import metric_of

if TYPE_CHECKING:
    from iibench.contract.specs import MetricSpec
    from iibench.stages.case_stages import Workbench
    from iibench.suite.cases import AnyCase, Case


@dataclass
class Probes:
    """Probes by case. They raise what loading and running a network or a metric raises."""

    bench: Workbench
    clock: Clock
    _timed: Memo = field(default_factory=Memo)

    def network(self, case: Case) -> Probed:
        """The case's network up to its layer; no batch is run where its activations are all cached."""
        key = self.bench.keys.activations(case.tap, case.dataset.evaluate).hash
        return self._timed.once(f"network {key}", lambda: self._probed_network(case))

    def _probed_network(self, case: Case) -> Probed:
        for split in dict.fromkeys((case.dataset.evaluate, self.bench.keys.fit_split(case))):
            key = self.bench.keys.activations(case.tap, split)
            store = self.bench.cache.existing_rows("activations", key.hash)
            if store is not None and store.count() == store.n:
                return Probed(0.0, store.width, np.asarray(store.array()[:64]))
        return self.passing(case)

    def passing(self, case: Case) -> Probed:
        """The same, timed even where the activations are cached."""

        def run() -> Probed:
            loaded, _ = self.bench.inputs.model(case)
            return probe_network(
                loaded,
                case.layer.path,
                case.layer.pool,
                self.bench.inputs.evaluated(case).image_size,
                self.bench.inputs.resources.device,
                self.bench.batch_size,
                self.clock,
                self.bench.precision,
            )

        key = self.bench.keys.activations(case.tap, case.dataset.evaluate).hash
        return self._timed.once(f"passes {key}", run)

    def pair_seconds(self, case: AnyCase, spec: MetricSpec) -> float:
        """Of the similarity of two images under the case's metric, which compares in its own way."""
        choice, bench = metric_of(case), self.bench

        def run() -> float:
            return probe_pairs(
                bench.inputs.metric(choice),  # type: ignore[arg-type]
                spec.size(choice.params),
                bench.inputs.evaluated(case).image_size,
                bench.inputs.resources.device,
                self.clock,
                bench.precision,
            )

        return self._timed.once(f"pairs {choice.name}/{choice.params}", run)

    def embedding(self, case: AnyCase, spec: MetricSpec) -> Probed:
        """The case's metric on one image, all parts together."""
        choice, bench = metric_of(case), self.bench

        def run() -> Probed:
            return probe_metric(
                bench.inputs.metric(choice),  # type: ignore[arg-type]
                spec.size(choice.params),
                bench.inputs.evaluated(case).image_size,
                bench.inputs.resources.device,
                self.clock,
                bench.precision,
            )

        return self._timed.once(f"embedding {choice.name}/{choice.params}", run)

    def part_width(self, case: AnyCase, spec: MetricSpec) -> int:
        """Numbers in the part of an embedding that the case's metric chooses."""
        return self._width(case, spec, [metric_of(case).part or ""])

    def asked_width(self, case: AnyCase, spec: MetricSpec) -> int:
        """Numbers in all parts of the case's metric that the run asks for, with what lies between them."""
        asked = self.bench.asked_parts.get(metric_without_part(case), {})
        return self._width(case, spec, [metric_of(case).part or "", *asked])

    def _width(self, case: AnyCase, spec: MetricSpec, parts: Sequence[str]) -> int:
        choice = metric_of(case)
        if "" in parts:
            return self.embedding(case, spec).width if spec.input == "images" else 1
        resize = spec.size(choice.params)
        shape = self.bench.inputs.evaluated(case).image_size if resize is None else (resize, resize)
        columns = self.bench.inputs.metric(choice).slices(*shape)  # type: ignore[union-attr]
        chosen = [columns[part] for part in parts]
        return int(max(part.stop for part in chosen) - min(part.start for part in chosen))
