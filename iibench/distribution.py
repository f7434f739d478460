"""A run's work done by workers: activations, directions, embeddings and scores, one kind after the other.

What is in the cache or the shared store already is not done again, so a run that was cut off goes on where it
was. The reports are made afterwards, case by case, from what the workers computed (runner.py).
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iibench.errors import CaseError, PluginError, UsageError
from iibench.keys import metric_of
from iibench.shared_columns import fetch_columns, has_columns
from iibench.shared_store import SharedStore, open_shared_store
from iibench.specs import EvaluationSpec, Executor, ExecutorSpec, Job, Task, TaskResult
from iibench.suite.cases import AnyCase, Case, TrialCase
from iibench.suite.kinds import choice_of
from iibench.tasks import ASKED, ranges_of, software, task_inputs, task_key

if TYPE_CHECKING:
    from iibench.cache import RowStore
    from iibench.registry import Registry
    from iibench.runner import RunConfig, Session
    from iibench.specs import IntArray
    from iibench.suite.cases import Choice

log = logging.getLogger(__name__)

#: Images of one task: a 64th of what there is to do, a multiple of the batches within these bounds.
SHARES, LEAST, MOST, BATCH = 64, 256, 8192, 256
#: What the progress of each kind of task counts.
UNITS = {
    "activations": "images",
    "directions": "fits",
    "images": "cases",
    "embeddings": "images",
    "scores": "cases",
}


@dataclass
class Elsewhere:
    """What workers did for a run.

    `finished`: case id -> how its scores ended. `seconds`: case id -> stage -> seconds of workers. `stopped`:
    no further case is wanted (`-x`).
    """

    workers: int = 1
    finished: dict[str, TaskResult] = field(default_factory=dict)
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    stopped: bool = False

    def add(self, result: TaskResult) -> None:
        """Notes a task that has ended."""
        spent = self.seconds.setdefault(result.task.case, {})
        for stage, seconds in result.seconds.items():
            spent[stage] = spent.get(stage, 0.0) + seconds
        if result.task.kind == "scores":
            self.finished[result.task.case] = result


def chosen_executor(config: RunConfig, registry: Registry) -> tuple[ExecutorSpec, Choice]:
    """The executor that the run asks for by its label; raises `UsageError` where there is none."""
    try:
        choice = choice_of(config.executor, registry.executors)
    except UsageError as error:
        raise UsageError(f"--executor {config.executor}: {error}") from error
    return registry.executors[choice.name].spec, choice


def shared_store_of(config: RunConfig, registry: Registry) -> SharedStore | None:
    """The store behind the run's cache, or None; raises `UsageError` where the executor needs one."""
    spec, choice = chosen_executor(config, registry)
    if spec.start is not None and config.fresh:
        raise UsageError(
            f"--executor {choice.label}: a run that takes nothing from the cache is done in its own "
            "process"
        )
    if config.shared_cache:
        return open_shared_store(config.shared_cache)
    if spec.start is not None and not spec.one_machine(choice.params):
        raise UsageError(
            f"--executor {choice.label} needs --shared-cache URL (or IIBENCH_SHARED_CACHE): a folder or "
            "an object store that this machine and all workers reach, such as /mnt/share/iibench or "
            "s3://bucket/iibench"
        )
    return None


def distribute(session: Session) -> None:
    """Has the workers of the run's executor do its work, as far as it is not done; fills
    `session.elsewhere`. Cases whose inputs cannot be had here are left to the run's own process.

    Raises `UsageError` where workers or the shared store cannot be had.
    """
    spec, choice = chosen_executor(session.config, session.plugins.registry)
    if spec.start is None:
        return
    team = _Team(session, spec, choice)
    try:
        waiting = [case for case in session.cases if _is_waiting(session, case)]
        directed = [case for case in waiting if isinstance(case, Case)]
        team.do(_trial_tasks(session, waiting))
        team.do(_activation_tasks(session, directed))
        found = team.do(_direction_tasks(session, directed))
        _settle(session, directed, [result for result in found if result.error is not None])
        waiting = [case for case in waiting if case.id not in session.elsewhere.finished]
        directed = [case for case in waiting if isinstance(case, Case)]
        team.do(_image_tasks(session, directed))
        team.do(_embedding_tasks(session, directed))
        team.do([_task(session, case, Task("scores", case.id)) for case in waiting])
        for case in directed:  # the run folder shows responses
            key = session.bench.keys.responses(case).hash
            fetch_columns(session.bench.cache, key, ("responses_by_direction",))
    except UsageError:
        raise
    except CaseError as error:  # the shared store is out of reach
        raise UsageError(str(error)) from error
    except Exception as error:
        log.info("executor %s", choice.label, exc_info=True)
        text = " ".join(str(error).split())
        raise PluginError(f"executor {choice.label}: {type(error).__name__}: {text}") from error
    finally:
        team.close()


class _Team:
    """The executor, started when there is something to do."""

    def __init__(self, session: Session, spec: ExecutorSpec, choice: Choice) -> None:
        self._session = session
        self._spec = spec
        self._choice = choice
        self._executor: Executor | None = None

    def do(self, tasks: Sequence[Task]) -> list[TaskResult]:
        """Does tasks of one kind; raises `UsageError` where a worker lacks what the run has."""
        session = self._session
        if not tasks or session.elsewhere.stopped:
            return []
        kind = tasks[0].kind
        if self._executor is None:
            assert self._spec.start is not None
            job = _job(session, self._spec.one_machine(self._choice.params))
            self._executor = self._spec.start(self._choice.params, job)
            session.elsewhere.workers = self._executor.workers
            log.info("%s: %d workers", self._choice.label, self._executor.workers)
        stage = f"{kind} by {self._executor.workers} workers"
        total = sum(map(_amount, tasks))
        done = 0
        self._tell(stage, done, total, UNITS[kind])
        results = []
        for result in self._executor.run(tasks):
            if result.error is not None and result.error.setup:
                raise UsageError(result.error.reason)
            session.elsewhere.add(result)
            results.append(result)
            done += _amount(result.task)
            seconds = sum(result.seconds.values())
            ended = f"failed ({result.error.reason})" if result.error else "done"
            log.info("%s: %s by %s, %.1f s", result.task, ended, result.worker, seconds)
            self._tell(stage, done, total, UNITS[kind])
            for note in result.notes:
                session.note(note)
            if kind == "scores" and result.error is not None and not result.error.skips:
                session.elsewhere.stopped = session.config.exit_first
                if session.elsewhere.stopped:
                    break
        return results

    def close(self) -> None:
        """Lets the workers go; an executor that cannot do so is noted, and the run is what it is."""
        try:
            if self._executor is not None:
                self._executor.close()
        except Exception as error:
            self._session.note(f"executor {self._choice.label}: close raised {error!r}")

    def _tell(self, stage: str, done: int, total: int, unit: str) -> None:
        self._session.plugins.notify(
            "iibench_stage_progress", stage=stage, done=done, total=total, unit=unit
        )


def _amount(task: Task) -> int:
    return sum(stop - first for first, stop in task.images) or 1


def _job(session: Session, one_machine: bool) -> Job:
    resources, config = session.bench.inputs.resources, session.config
    shared = session.bench.cache.shared
    return Job(
        dataclasses.replace(
            config,
            suite=Path(session.suite.path).name,
            device=resources.device,
            base_dir=resources.base_dir.absolute(),
            data_dir=config.data_dir.absolute(),
            cache_dir=config.cache_dir.absolute(),
            shared_cache=None if shared is None else shared.url,
        ),
        session.suite.text.encode(),
        tuple(case.id for case in session.cases),
        session.uses_fallback,
        session.plugins.asked,
        software(session.plugins),
        one_machine,
    )


# ---------------------------------------------------------------------------- what is to be done


def _is_waiting(session: Session, case: AnyCase) -> bool:
    """Whether the case's scores are still to be computed, and what its key needs can be had."""
    bench = session.bench
    try:
        if isinstance(case, Case):
            return not bench.is_cached(case)
        return not bench.trials.is_cached(case)
    except Exception:  # its report will say why
        return False


def _task(session: Session, case: AnyCase, task: Task) -> Task:
    """The task with its key and inputs."""
    bench = session.bench
    return dataclasses.replace(
        task, key=task_key(bench, case, task), inputs=task_inputs(bench, case, task)
    )


def _trial_tasks(session: Session, cases: Sequence[AnyCase]) -> list[Task]:
    """Scores of the first case of each metric on trials: those after it start from its similarities."""
    tasks: dict[str, Task] = {}
    for case in cases:
        if isinstance(case, TrialCase) and case.metric is not None:
            rows = session.bench.keys.trial_rows(case).hash
            tasks.setdefault(rows, _task(session, case, Task("scores", case.id)))
    return list(tasks.values())


def _activation_tasks(session: Session, cases: Sequence[Case]) -> list[Task]:
    tasks: dict[str, list[Task]] = {}
    for case in cases:
        for split in _tapped_splits(session, case):
            task = _task(session, case, Task("activations", case.id, split))
            if task.key not in tasks:
                n = len(session.bench.inputs.dataset(case.dataset, split, case.seed))
                rows = session.bench.cache.existing_rows("activations", task.key)
                tasks[task.key] = list(_shards(session, task, rows, np.arange(n)))
    return [task for several in tasks.values() for task in several]


def _tapped_splits(session: Session, case: Case) -> list[str]:
    """The splits whose activations are still needed for the case."""
    bench = session.bench
    spec = bench.inputs.registry.evaluations[case.evaluation.name].spec
    splits = []
    if not bench.is_fitted(case):
        splits.append(bench.keys.fit_split(case))
    if spec.is_analysis or not _has_responses(session, case):
        splits.append(case.dataset.evaluate)
    if isinstance(spec, EvaluationSpec) and spec.finders(case.evaluation.params):
        splits.append(case.dataset.fit)
    return list(dict.fromkeys(splits))


def _has_responses(session: Session, case: Case) -> bool:
    cache, key = session.bench.cache, session.bench.keys.responses(case).hash
    return cache.has("responses", key) or has_columns(cache, key)


def _direction_tasks(session: Session, cases: Sequence[Case]) -> list[Task]:
    tasks: dict[str, Task] = {}
    for case in cases:
        if not (session.bench.is_fitted(case) and _has_responses(session, case)):
            task = _task(session, case, Task("directions", case.id))
            tasks.setdefault(task.key, task)
    return list(tasks.values())


def _settle(session: Session, cases: Sequence[Case], failed: Sequence[TaskResult]) -> None:
    """Cases whose directions or responses failed end so too; nobody has to find that out again.

    One that asks for labels or names may be skipped for want of those before, and is left to a worker.
    """
    by_key = {result.task.key: result for result in failed}
    metrics = session.bench.inputs.registry.metrics
    for case in cases:
        result = by_key.get(task_key(session.bench, case, Task("directions", case.id)))
        asks = None if case.metric is None else metrics[case.metric.name].spec.input
        if result is not None and asks in {None, "images"}:
            task = Task("scores", case.id)
            session.elsewhere.finished[case.id] = dataclasses.replace(result, task=task)


def _image_tasks(session: Session, cases: Sequence[Case]) -> list[Task]:
    """One for each finder and evaluation: which images are asked for does not depend on the metric."""
    tasks: dict[str, Task] = {}
    for case in cases:
        if _embeds_images(session, case):
            task = _task(session, case, Task("images", case.id))
            if not session.bench.cache.has(ASKED, task.key):
                tasks.setdefault(task.key, task)
    return list(tasks.values())


def _embedding_tasks(session: Session, cases: Sequence[Case]) -> list[Task]:
    cache = session.bench.cache
    wanted: dict[str, tuple[Task, list[IntArray]]] = {}
    for case in cases:
        if not _embeds_images(session, case):
            continue
        asked = cache.load(ASKED, task_key(session.bench, case, Task("images", case.id)))
        if asked is not None:  # else its task failed, and the case will say why
            task = _task(session, case, Task("embeddings", case.id))
            wanted.setdefault(task.key, (task, []))[1].append(asked.arrays["images"])
    tasks: list[Task] = []
    for task, images in wanted.values():
        rows = cache.existing_rows("embeddings", task.key)
        tasks += _shards(session, task, rows, np.unique(np.concatenate(images)))
    return tasks


def _embeds_images(session: Session, case: Case) -> bool:
    if case.metric is None:
        return False
    spec = session.bench.inputs.registry.metrics[metric_of(case).name].spec
    return spec.distance is not None and spec.input == "images"


def _shards(
    session: Session, task: Task, rows: RowStore | None, images: IntArray
) -> Iterator[Task]:
    """The task, for those of the images whose rows nobody has, a few at a time."""
    if rows is not None:
        images = rows.uncomputed(images)
    share = math.ceil(len(images) / SHARES / BATCH) * BATCH
    size = session.config.shard_size or min(MOST, max(LEAST, share))
    for start in range(0, len(images), size):
        yield dataclasses.replace(task, images=ranges_of(images[start : start + size]))
