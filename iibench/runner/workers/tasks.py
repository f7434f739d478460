"""What a run and its workers agree on about tasks: image ranges, keys, errors, software."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iibench.cache.entries import key_of
from iibench.contract.executors import Task
from iibench.stages.keys import LIBRARIES
from iibench.suite.cases import AnyCase, Case, TrialCase

if TYPE_CHECKING:
    from iibench.contract.arrays import IntArray
    from iibench.hooks.loaded import Plugins
    from iibench.stages.case_stages import CaseStages

#: Kind of the cache entries that tasks of the kind `images` make.
NEEDED = "needed_images"


def ranges_of(indices: IntArray) -> tuple[tuple[int, int], ...]:
    """Half-open ranges of ascending image indices: 3 4 5 9 -> (3, 6), (9, 10)."""
    if not len(indices):
        return ()
    breaks = np.flatnonzero(np.diff(indices) != 1)
    firsts = indices[np.concatenate([[0], breaks + 1])]
    lasts = indices[np.concatenate([breaks, [len(indices) - 1]])]
    return tuple((int(first), int(last) + 1) for first, last in zip(firsts, lasts, strict=True))


def indices_of(ranges: Iterable[tuple[int, int]]) -> IntArray:
    """The indices of half-open ranges."""
    parts = [np.arange(first, stop, dtype=np.int64) for first, stop in ranges]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def task_key(stages: CaseStages, case: AnyCase, task: Task) -> str:
    """The hash of the key under which the task's result is kept here (see `Task.key`)."""
    if task.kind == "scores" or isinstance(case, TrialCase):
        return stages.of(case).key(case).hash
    if task.kind == "images":
        return key_of(stages.scores.needed_key(case))
    keys = stages.context.keys
    if task.kind == "activations":
        return keys.activations(case.tap, task.split).hash
    return (keys.embeddings if task.kind == "embeddings" else keys.responses)(case).hash


def task_inputs(stages: CaseStages, case: AnyCase, task: Task) -> tuple[tuple[str, str], ...]:
    """What the task starts from, in words, and its hash (see `Task.inputs`)."""
    inputs, dataset = stages.context.inputs, case.dataset
    found = [
        (f"dataset {dataset.label} {split}", inputs.dataset(dataset, split, case.seed).fingerprint)
        for split in dict.fromkeys((task.split or dataset.evaluate, dataset.evaluate))
    ]
    if isinstance(case, Case):
        found.append((f"model {case.model.label}", inputs.model(case)[1]))
    if case.metric is not None and task.kind in {"embeddings", "scores"}:
        found.append((f"metric {case.metric.label}", inputs.metric(case.metric).fingerprint))
    return tuple(found)


def software(plugins: Plugins) -> dict[str, str]:
    """Thing -> version or SHA-256, of the software that decides numbers and the names of plugins in use."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[2]
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    found = {"iibench": digest.hexdigest(), **LIBRARIES}
    for record in plugins.records:
        if record.status == "ok":
            found[f"plugin {record.name}"] = record.sha256
    return found
