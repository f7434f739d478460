"""What a run takes before and beside its stages: starting, loading, decoding images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.contract.specs import PreparedImages
from iibench.stages.subsets import Subset

if TYPE_CHECKING:
    from iibench.contract.specs import ImageDataset
    from iibench.runner.estimate.timing import Clock
    from iibench.stages.case_stages import Workbench
    from iibench.suite.cases import AnyCase

#: Python itself, before the program can look at a clock.
INTERPRETER = 0.3
#: What took longer to load than this may have been made or downloaded just now.
LONG_LOAD = 5.0
#: Of hashing one byte.
HASH_SECONDS = 1.5e-9
#: Images that are read to see what reading takes.
SAMPLE = 16


def starting_seconds(
    bench: Workbench, cases: Sequence[AnyCase], before: float, clock: Clock
) -> float:
    """Seconds from the start until the first stage, and of loading metrics.

    `before`: what the program took until it planned. What it computed then (a dataset may be made of
    activations) is in the cache by now; a dataset that took long is loaded once more to see what that
    takes from now on.
    """
    seconds = INTERPRETER + before
    for stage, (spent, _) in bench.inputs.clock.work.items():
        kind = stage.split()[0]
        if kind == "metric":  # loaded for the keys of the plan; more than that was a download
            seconds += min(spent, LONG_LOAD)
        elif (kind == "dataset" and spent > LONG_LOAD) or kind not in {"dataset", "model"}:
            seconds -= spent
    long = {
        (case.dataset.label, split): (case, split)
        for case in cases
        for split in (case.dataset.fit, case.dataset.evaluate)
        if bench.inputs.clock.work.get(f"dataset {case.dataset.label} {split}", (0.0, 0))[0]
        > LONG_LOAD
    }
    for case, split in long.values():
        start = clock()
        spec = bench.inputs.registry.datasets[case.dataset.name].spec
        if bench.inputs.harness is not None:
            spec.load(case.dataset.params, split, bench.inputs.harness)
        seconds += clock() - start
    return max(INTERPRETER, seconds)


@dataclass(frozen=True)
class Reading:
    """What reading a dataset takes: seconds `once` in a run, seconds of `each` image every time it is
    read, and the bytes `held` afterwards."""

    once: float
    each: float
    held: int


def reading(dataset: ImageDataset, clock: Clock) -> Reading:
    """From reading a few images; from a trial where the first one would have all of them decoded."""
    whole = dataset.whole if isinstance(dataset, Subset) else dataset
    height, width = dataset.image_size
    held = len(whole) * height * width * 3
    if isinstance(whole, PreparedImages):
        pending = whole.seconds_to_prepare()
        if pending:
            return Reading(pending, 0.0, 2 * held)
    chosen = np.linspace(0, len(dataset) - 1, min(SAMPLE, len(dataset))).astype(np.int64)
    start = clock()
    dataset.images(chosen[:1])
    first = clock() - start
    start = clock()
    dataset.images(chosen)
    each = (clock() - start) / len(chosen)
    if isinstance(whole, PreparedImages):  # what is stored by now is hashed and mapped
        return Reading(held * HASH_SECONDS, each, held)
    return Reading(first, each, 0)
