"""What fitting and encoding take: measured earlier, declared by the finder, or tried on a few images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from iibench.contract.base import Work
from iibench.contract.specs import FitContext
from iibench.runner.estimate.timing import Clock, Fitted, Probed, probe_finder
from iibench.runner.rates import directions_rate, responses_rate
from iibench.stages.keys import finder_seed

if TYPE_CHECKING:
    from iibench.contract.specs import FinderSpec
    from iibench.runner.estimate.machine import Machine
    from iibench.stages.case_stages import Workbench
    from iibench.suite.cases import Case

#: Seconds and directions of a finder that could not be tried.
GUESSED_SECONDS, GUESSED_K = 10.0, 256


@dataclass(frozen=True)
class FinderCost:
    """K `directions`; seconds of the `fit` and of encoding the evaluated images; `memory` in bytes held
    by the fit besides its activations; modules that the fit `imports`; where the seconds come from."""

    directions: int
    fit: float
    encode: float
    memory: int
    imports: tuple[str, ...]
    source: Literal["measured", "probed", "declared", "guess"]


@dataclass
class FinderCosts:
    """The costs of the finders of a run's cases; each is found once."""

    bench: Workbench
    rates: Mapping[str, float]
    #: the processor, and the device of the run
    machine: Machine
    device: Machine
    clock: Clock
    _costs: dict[str, FinderCost] = field(default_factory=dict)
    _tried: dict[tuple[str, int], Fitted | None] = field(default_factory=dict)

    def cost(self, case: Case, network: Probed) -> FinderCost:
        """Of the case's finder on the layer that `network` was probed at."""
        key = self.bench.keys.directions(case).hash
        if key not in self._costs:
            self._costs[key] = self._cost(case, network)
        return self._costs[key]

    def _cost(self, case: Case, network: Probed) -> FinderCost:
        spec: FinderSpec = self.bench.inputs.registry.finders[case.finder.name].spec
        inputs = self.bench.inputs
        n = len(inputs.dataset(case.dataset, self.bench.keys.fit_split(case), case.seed))
        evaluated, width = len(inputs.evaluated(case)), network.width
        cost = self._known(case, spec, n, evaluated, network)
        fit = self.rates.get(directions_rate(case, n, width))
        encode = self.rates.get(responses_rate(case, evaluated, width))
        if fit is None:
            return cost
        encode = cost.encode if encode is None else encode
        return FinderCost(cost.directions, fit, encode, cost.memory, (), "measured")

    def _known(
        self, case: Case, spec: FinderSpec, n: int, evaluated: int, network: Probed
    ) -> FinderCost:
        width = network.width
        if spec.work is not None:
            work = spec.work(case.finder.params, n, width)
            encode = _times(work.encode, evaluated)
            return FinderCost(
                work.directions,
                self._fitting(work.fit).seconds(work.fit),
                self.machine.seconds(encode),  # which is not told of a device
                int(work.fit.memory),
                work.fit.imports,
                "declared",
            )
        tried = self._try(case, spec, network)
        memory = 16 * n * width if spec.trains_on else 0
        if tried is None:
            return FinderCost(GUESSED_K, GUESSED_SECONDS, 0.5, memory, (), "guess")
        fit = tried.fit(n if spec.trains_on else 0)
        return FinderCost(tried.directions, fit, tried.encode * evaluated, memory, (), "probed")

    def _fitting(self, work: Work) -> Machine:
        """What a fit runs on: scikit-learn knows nothing but the processor."""
        sklearn = any(name.partition(".")[0] == "sklearn" for name in work.imports)
        return self.machine if sklearn else self.device

    def _try(self, case: Case, spec: FinderSpec, network: Probed) -> Fitted | None:
        key = (case.finder.label, network.width)
        if key not in self._tried:
            resources = self.bench.inputs.resources
            context = FitContext(finder_seed(case), resources.device, base_dir=resources.base_dir)
            try:
                self._tried[key] = probe_finder(
                    spec, case.finder.params, network.rows, context, self.clock
                )
            except Exception:  # of images made up; its cases will tell
                self._tried[key] = None
        return self._tried[key]


def _times(work: Work, n: int) -> Work:
    """The work for n images, from that for one."""
    return Work(work.flops * n, work.flops64 * n, work.values * n, work.steps * n)
