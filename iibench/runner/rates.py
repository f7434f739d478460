"""Rates that runs measured on this cache's machine, kept in `rates.json` beside the cache's entries.

A rate's name says what work it is of (images, neurons, directions), and rates are kept by device and
precision, so that one is used for the same work only: an estimate for other work is made from probes and
declarations (plan.py).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from iibench.contract.errors import IibenchError
from iibench.suite.cases import Case

if TYPE_CHECKING:
    from iibench.contract.reports import Report
    from iibench.stages.case_stages import Workbench
    from iibench.suite.cases import AnyCase

#: Version of the names; rates under other versions are ignored.
NAMES = "3"
#: Seconds that are too few to be a rate.
SHORT = 0.05


def activations_rate(case: Case, size: tuple[int, int]) -> str:
    """Of one image (h, w) of `size` at the case's layer."""
    return f"activations {case.model.label}/{case.layer.label} {size[0]}x{size[1]}"


def directions_rate(case: Case, n: int, width: int) -> str:
    """Of a fit to (n, N) activations."""
    return f"directions {case.finder.label} {n}x{width}"


def responses_rate(case: Case, n: int, width: int) -> str:
    """Of encoding (n, N) activations."""
    return f"responses {case.finder.label} {n}x{width}"


def evaluation_rate(case: AnyCase, n: int, k: int) -> str:
    """Of one case with (n, K) responses; of trials n is the number of stimuli and K that of units."""
    metric = "" if case.metric is None else f"/{case.metric.label}"
    return f"evaluation {case.evaluation.label}{metric} {n}x{k}"


def read_rates(cache_dir: Path, device: str, precision: str) -> dict[str, float]:
    """Name -> seconds of one unit of work, as measured by earlier runs on this device in this precision."""
    try:
        content = json.loads((cache_dir / "rates.json").read_text())
        rates = content[NAMES][f"{device} {precision}"]
        return {str(name): float(seconds) for name, seconds in rates.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_rates(
    cache_dir: Path, device: str, precision: str, measured: Mapping[str, float]
) -> None:
    """Adds a run's rates to those of earlier runs; newer ones replace older ones of their name."""
    path = cache_dir / "rates.json"
    rates = read_rates(cache_dir, device, precision) | dict(measured)
    try:
        others = json.loads(path.read_text()).get(NAMES, {})
    except (OSError, ValueError, AttributeError):
        others = {}
    content = {NAMES: {**others, f"{device} {precision}": rates}}
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=1, sort_keys=True))
    temporary.replace(path)


def measured_rates(
    bench: Workbench, cases: Iterable[AnyCase], reports: Iterable[Report]
) -> dict[str, float]:
    """What a run has measured; work too short to time is left out."""
    by_id = {case.id: case for case in cases}
    spent: dict[str, list[float]] = {}
    for report in reports:
        case = by_id.get(report.id)
        if case is None or report.status in {"error", "skipped"} or not report.seconds:
            continue
        try:
            shape = _shape(bench, case)
        except IibenchError:
            continue
        for stage, seconds in report.seconds.items():
            for name, one in _rates_of(bench, case, stage, seconds, shape):
                spent.setdefault(name, []).append(one)
    return {name: sum(times) / len(times) for name, times in spent.items()}


def _shape(bench: Workbench, case: AnyCase) -> tuple[int, int, int]:
    """(n evaluated images, N, K); of trials (stimuli, 0, units)."""
    if not isinstance(case, Case):
        trials = bench.inputs.trials(case).trials
        return len(trials), 0, len(trials.units)
    k, width = bench.directions(case).vectors.shape
    return len(bench.inputs.evaluated(case)), width, k


def _rates_of(
    bench: Workbench, case: AnyCase, stage: str, seconds: float, shape: tuple[int, int, int]
) -> Iterable[tuple[str, float]]:
    n, width, k = shape
    kind = stage.split()[0]
    if stage == f"evaluation {case.evaluation.name}":
        yield evaluation_rate(case, n, k), seconds
    elif kind == "similarities":
        total, units = bench.inputs.clock.work[stage]
        if total > SHORT < units:
            yield stage, total / units
    elif not isinstance(case, Case) or seconds < SHORT:
        return
    elif kind == "activations":
        total, units = bench.inputs.clock.work[stage]
        size = bench.inputs.evaluated(case).image_size
        yield activations_rate(case, size), total / max(1, units)
    elif kind == "directions":
        fitted = bench.inputs.dataset(case.dataset, bench.keys.fit_split(case), case.seed)
        yield directions_rate(case, len(fitted), width), seconds
    elif kind == "responses":
        yield responses_rate(case, n, width), seconds
