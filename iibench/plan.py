"""What a run would do: its stages, what the cache holds already, memory and time.

Times are measured rates of earlier runs on the same cache where there are any (kept in `rates.json`),
else first guesses for two CPU cores, marked as such.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iibench.errors import IibenchError
from iibench.similarity import dense_pays
from iibench.specs import EvaluationSpec
from iibench.suite.cases import Case, TrialCase

if TYPE_CHECKING:
    from iibench.registry import Registry
    from iibench.suite.cases import AnyCase
    from iibench.workbench import Workbench

#: Directions per finder assumed before any is fitted.
TYPICAL_K = 256
#: Seconds per unit of work assumed before any was measured, by the first word of a stage.
FIRST_GUESS = {
    "activations": 1e-3,
    "directions": 10.0,
    "responses": 0.5,
    "embeddings": 2e-4,
    "similarities": 2e-2,
    "evaluation": 0.1,
}
#: The same for a case of an analysis.
ANALYSIS_GUESS = 10.0


@dataclass(frozen=True)
class StageEstimate:
    """One stage: units of work to do and already cached, bytes in memory, seconds and their source."""

    stage: str
    unit: str
    to_do: int
    cached: int
    memory: int
    seconds: float
    measured: bool


def asked_images(cases: Sequence[AnyCase], registry: Registry) -> dict[tuple[str, str], float]:
    """(dataset, metric) labels -> images that all cases ask of that metric, for `Workbench.asked`."""
    asked: dict[tuple[str, str], float] = {}
    for case in cases:
        spec = registry.evaluations[case.evaluation.name].spec
        if case.metric is None or not isinstance(spec, EvaluationSpec):
            continue
        images = spec.images(case.evaluation.params, 0)
        key = (case.dataset.label, case.metric.label)
        asked[key] = asked.get(key, 0.0) + float(images) * TYPICAL_K
    return asked


def execution_order(cases: Sequence[AnyCase]) -> list[AnyCase]:
    """The cases grouped so that each metric's similarities are made once and then let go."""
    groups: dict[tuple[str, ...], list[AnyCase]] = {}
    for case in cases:
        metric = case.metric.label if case.metric else ""
        key: tuple[str, ...] = (case.dataset.label, metric)
        if isinstance(case, Case):
            key = (case.dataset.label, case.model.label, case.layer.label, metric)
        groups.setdefault(key, []).append(case)
    return [case for group in groups.values() for case in group]


def estimate(
    bench: Workbench, cases: Sequence[AnyCase], rates: Mapping[str, float]
) -> list[StageEstimate]:
    """The stages that these cases need, each once, in the order in which they run.

    Loads datasets, networks and metrics to make keys; computes nothing. Cases whose inputs cannot be
    had are left out: they will be skipped.
    """
    found: dict[str, StageEstimate] = {}

    def add(
        stage: str,
        unit: str,
        to_do: int,
        cached: int,
        memory: int = 0,
        first_guess: float | None = None,
    ) -> None:
        if stage in found:
            return
        rate = rates.get(stage)
        guess = FIRST_GUESS[stage.split()[0]] if first_guess is None else first_guess
        guess = guess if rate is None else rate
        found[stage] = StageEstimate(
            stage, unit, to_do, cached, memory, to_do * guess, rate is not None
        )

    todo: dict[str, list[bool]] = {}
    analyses: set[str] = set()
    for case in cases:
        if isinstance(case, TrialCase):
            _add_trial_case(bench, case, add, todo)
            continue
        try:
            done = bench.is_cached(case)
            n = len(bench.inputs.evaluated(case))
        except IibenchError:
            continue
        todo.setdefault(case.evaluation.name, []).append(done)
        if done:
            continue
        spec = bench.inputs.registry.evaluations[case.evaluation.name].spec
        analyses |= {case.evaluation.name} if spec.is_analysis else set()
        splits = [bench.keys.fit_split(case), case.dataset.evaluate]
        if isinstance(spec, EvaluationSpec) and spec.finders(case.evaluation.params):
            splits.append(case.dataset.fit)  # it fits finders of its own
        for split in dict.fromkeys(splits):
            total, cached, width = bench.rows_present(case, split)
            stage = f"activations {case.model.label}/{case.layer.label} on {split}"
            add(stage, "images", total - cached, cached, total * width * 4)
        fitted = bench.is_fitted(case)
        add(f"directions {case.finder.label}", "fits", int(not fitted), int(fitted))
        if case.metric is None:
            continue
        metric = bench.inputs.registry.metrics[case.metric.name].spec
        if metric.distance is None or metric.input != "images":
            continue
        present, width = bench.embeddings_present(case)
        add(f"embeddings {case.metric.name}", "images", n - present, present, n * width * 4)
        asked = bench.asked.get((case.dataset.label, case.metric.label), 0.0)
        if metric.distance != "own" and dense_pays(n, asked):
            stage = f"evaluation similarities of all pairs ({case.metric.label})"
            add(stage, "matrices", 1, 0, n * n * 4)
    for name, states in todo.items():
        first_guess = ANALYSIS_GUESS if name in analyses else None
        add(
            f"evaluation {name}",
            "cases",
            states.count(False),
            states.count(True),
            first_guess=first_guess,
        )
    return list(found.values())


def _add_trial_case(
    bench: Workbench, case: TrialCase, add: Callable[..., None], todo: dict[str, list[bool]]
) -> None:
    try:
        done = bench.trials.is_cached(case)
        if case.metric is not None:
            stage = f"similarities {case.metric.name} on {case.dataset.label}"
            present, shown = bench.trials.rows_present(case)
            add(stage, "stimuli", shown - present, present)
    except IibenchError:
        return
    todo.setdefault(case.evaluation.name, []).append(done)


def read_rates(cache_dir: Path, device: str) -> dict[str, float]:
    """stage -> seconds per unit, as measured by earlier runs on this device."""
    try:
        content = json.loads((cache_dir / "rates.json").read_text())
    except (OSError, ValueError):
        return {}
    rates = content.get(device, {})
    return {str(stage): float(rate) for stage, rate in rates.items()}


def write_rates(cache_dir: Path, device: str, work: Mapping[str, tuple[float, int]]) -> None:
    """Adds this run's rates; stages too short to time are left out."""
    measured = {
        stage: seconds / units for stage, (seconds, units) in work.items() if seconds > 0.05 < units
    }
    path = cache_dir / "rates.json"
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        content = {}
    content.setdefault(device, {}).update(measured)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=1, sort_keys=True))
    temporary.replace(path)
