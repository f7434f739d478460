"""A run's work done by workers: activations, directions, embeddings and scores, one kind after the other.

What is in the cache or the shared store already is not done again, so a run that was cut off goes on where it
was. The reports are made afterwards, case by case, from what the workers computed (runner.py).
"""

from __future__ import annotations

import dataclasses
import logging
import math
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from iibench.cache.by_direction import ORDERS, RESPONSES
from iibench.cache.entries import Cache
from iibench.cache.shared_by_direction import fetch_columns, has_columns, publish_columns
from iibench.cache.shared_store import StoreError
from iibench.contract.errors import PluginError, UsageError
from iibench.contract.evaluations import EvaluationSpec
from iibench.contract.executors import Executor, ExecutorSpec, Job, Task, TaskResult
from iibench.runner.executor import _is_one_machine, _one_line, chosen_executor
from iibench.runner.workers.tasks import ASKED, ranges_of, software, task_inputs, task_key
from iibench.suite.cases import AnyCase, Case, TrialCase

if TYPE_CHECKING:
    from iibench.cache.rows import RowStore
    from iibench.contract.arrays import IntArray
    from iibench.runner.session import Session
    from iibench.suite.cases import Choice

log = logging.getLogger(__name__)

C = TypeVar("C", bound=AnyCase)

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


def is_cached(session: Session, case: AnyCase) -> bool | None:
    """Whether the case's scores are in the cache; None where that cannot be told, as its report will say.

    Raises `UsageError` where the shared store is out of reach.
    """
    bench = session.bench
    try:
        if isinstance(case, Case):
            return bench.is_cached(case)
        return bench.trials.is_cached(case)
    except StoreError as error:
        raise UsageError(str(error)) from error
    except Exception:
        return None


def distribute(session: Session) -> None:
    """Has the workers of the run's executor do its work, as far as it is not done; fills
    `session.elsewhere`. Cases whose inputs cannot be had here are left to the run's own process. Ctrl-C
    ends it early.

    Raises `UsageError` where workers or the shared store cannot be had.
    """
    registry = session.plugins.registry
    spec, choice = chosen_executor(session.config, registry)
    if spec.start is None:
        return
    team = _Team(session, spec, choice, _is_one_machine(registry, choice))
    try:
        try:
            _work(session, team)
        except KeyboardInterrupt:
            session.elsewhere.stopped = session.elsewhere.interrupted = True
        _take_over(session)
    except UsageError:
        raise
    except StoreError as error:
        raise UsageError(str(error)) from error
    except Exception as error:
        log.info("executor %s", choice.label, exc_info=True)
        raise PluginError(f"executor {choice.label}: {_one_line(error)}") from error
    finally:
        team.close()


def _work(session: Session, team: _Team) -> None:
    """All tasks, one kind after the other."""
    waiting = [case for case in session.cases if is_cached(session, case) is False]
    directed = [case for case in waiting if isinstance(case, Case)]
    if waiting and not team.one_machine:
        _publish(session, waiting)
    _settle(session, waiting, team.do(_trial_tasks(session, waiting)))
    for plan in (_activation_tasks, _direction_tasks, _image_tasks, _embedding_tasks):
        _settle(session, directed, team.do(plan(session, directed)))
    team.do(_score_tasks(session, waiting))


def _take_over(session: Session) -> None:
    """Has responses that are files here too: the run folder shows them."""
    for case in session.cases:
        result = session.elsewhere.finished.get(case.id)
        if isinstance(case, Case) and result is not None and result.error is None:
            key = session.bench.keys.responses(case).hash
            fetch_columns(session.bench.cache, RESPONSES, key)


class _Team:
    """The executor, started when there is something to do."""

    def __init__(
        self, session: Session, spec: ExecutorSpec, choice: Choice, one_machine: bool
    ) -> None:
        self.one_machine = one_machine
        self._session = session
        self._spec = spec
        self._choice = choice
        self._executor: Executor | None = None
        self._mark = ""

    def do(self, tasks: Sequence[Task]) -> list[TaskResult]:
        """Does tasks of one kind; raises `UsageError` where a worker lacks what the run has."""
        session = self._session
        if not tasks or session.elsewhere.stopped:
            return []
        kind = tasks[0].kind
        if self._executor is None:
            assert self._spec.start is not None
            shared = session.bench.cache.shared
            if shared is not None and not self.one_machine:
                self._mark = f"runs/{uuid.uuid4().hex}"
                shared.write(self._mark, b"a run with workers\n")
            job = _job(session, self.one_machine, self._mark)
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
            shared = self._session.bench.cache.shared
            if shared is not None and self._mark:
                shared.remove(self._mark)
        except Exception as error:
            self._session.note(f"executor {self._choice.label}: close raised {error!r}")

    def _tell(self, stage: str, done: int, total: int, unit: str) -> None:
        self._session.plugins.notify(
            "iibench_stage_progress", stage=stage, done=done, total=total, unit=unit
        )


def _amount(task: Task) -> int:
    return sum(stop - first for first, stop in task.images) or 1


def _job(session: Session, one_machine: bool, mark: str = "") -> Job:
    resources, config = session.bench.inputs.resources, session.config
    shared = session.bench.cache.shared
    return Job(
        dataclasses.replace(
            config,
            suite=Path(session.suite.path).name,
            device=resources.device,
            memory=session.bench.memory,  # which decides what is a file, for all alike
            base_dir=resources.base_dir.absolute(),
            data_dir=config.data_dir.absolute(),
            cache_dir=config.cache_dir.absolute(),
            shared_cache=None if shared is None else shared.url,
        ),
        session.suite.text.encode(),
        tuple(case.id for case in session.cases),
        session.uses_fallback,
        session.plugins.requested,
        software(session.plugins),
        one_machine,
        mark,
    )


# ---------------------------------------------------------------------------- what is to be done


def _plan(session: Session, cases: Sequence[C], plan: Callable[[C], None]) -> None:
    """Plans case by case; those that have ended are left out, and one for which a plugin fails is left
    to the run's own process."""
    elsewhere = session.elsewhere
    for case in cases:
        if case.id in elsewhere.left or case.id in elsewhere.finished:
            continue
        try:
            plan(case)
        except StoreError:
            raise
        except Exception:
            log.info("%s is left to the run's own process", case.id, exc_info=True)
            elsewhere.left.add(case.id)


def _task(session: Session, case: AnyCase, task: Task) -> Task:
    """The task with its key and inputs."""
    bench = session.bench
    return dataclasses.replace(
        task, key=task_key(bench, case, task), inputs=task_inputs(bench, case, task)
    )


def _publish(session: Session, waiting: Sequence[AnyCase]) -> None:
    """Writes what the cache here has of the run's scores, and of what those still to be computed start
    from, to the shared store, for the workers."""
    bench, cache = session.bench, session.bench.cache
    done = set()

    def once(publish: Callable[[Cache, str, str], None], kind: str, key: str) -> None:
        if (kind, key) not in done:
            done.add((kind, key))
            publish(cache, kind, key)

    def scores(case: AnyCase) -> None:
        if isinstance(case, Case):
            once(Cache.publish, "scores", bench.keys.scores(case).hash)
            once(Cache.publish, "unit_trials", bench.keys.scores(case).hash)
        else:
            once(Cache.publish, "trial_scores", bench.keys.trial_scores(case).hash)

    def inputs(case: AnyCase) -> None:
        if not isinstance(case, Case):
            if case.metric is not None:
                once(_publish_rows, "trial_similarities", bench.keys.trial_rows(case).hash)
            return
        key = bench.keys.responses(case).hash
        once(Cache.publish, "directions", bench.keys.directions(case).hash)
        once(Cache.publish, "responses", key)
        once(publish_columns, RESPONSES, key)
        once(publish_columns, ORDERS, bench.keys.order(case).hash)
        for split in _tapped_splits(session, case):
            once(_publish_rows, "activations", bench.keys.activations(case.tap, split).hash)
        if _embeds_images(session, case):
            once(Cache.publish, ASKED, task_key(bench, case, Task("images", case.id)))
            once(_publish_rows, "embeddings", bench.keys.embeddings(case).hash)

    later = {case.id for case in waiting}
    _plan(session, [case for case in session.cases if case.id not in later], scores)
    _plan(session, waiting, inputs)


def _publish_rows(cache: Cache, kind: str, key: str) -> None:
    rows = cache.existing_rows(kind, key)
    if rows is not None:
        rows.publish(np.arange(rows.n))


def _trial_tasks(session: Session, cases: Sequence[AnyCase]) -> list[Task]:
    """Scores of the first case of each metric on trials: those after it start from its similarities."""
    tasks: dict[str, Task] = {}

    def plan(case: AnyCase) -> None:
        if isinstance(case, TrialCase) and case.metric is not None:
            rows = session.bench.keys.trial_rows(case).hash
            tasks.setdefault(rows, _task(session, case, Task("scores", case.id)))

    _plan(session, cases, plan)
    return list(tasks.values())


def _score_tasks(session: Session, cases: Sequence[AnyCase]) -> list[Task]:
    tasks: list[Task] = []
    _plan(
        session,
        cases,
        lambda case: tasks.append(_task(session, case, Task("scores", case.id))),
    )
    return tasks


def _activation_tasks(session: Session, cases: Sequence[Case]) -> list[Task]:
    tasks: dict[str, list[Task]] = {}

    def plan(case: Case) -> None:
        for split in _tapped_splits(session, case):
            task = _task(session, case, Task("activations", case.id, split))
            if task.key not in tasks:
                n = len(session.bench.inputs.dataset(case.dataset, split, case.seed))
                rows = session.bench.cache.existing_rows("activations", task.key)
                tasks[task.key] = list(_shards(session, task, rows, np.arange(n)))

    _plan(session, cases, plan)
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
    return cache.has("responses", key) or has_columns(cache, RESPONSES, key)


def _direction_tasks(session: Session, cases: Sequence[Case]) -> list[Task]:
    tasks: dict[str, Task] = {}

    def plan(case: Case) -> None:
        if not (session.bench.is_fitted(case) and _has_responses(session, case)):
            task = _task(session, case, Task("directions", case.id))
            tasks.setdefault(task.key, task)

    _plan(session, cases, plan)
    return list(tasks.values())


def _image_tasks(session: Session, cases: Sequence[Case]) -> list[Task]:
    """One for each finder and evaluation: which images are asked for does not depend on the metric."""
    tasks: dict[str, Task] = {}

    def plan(case: Case) -> None:
        if _embeds_images(session, case):
            task = _task(session, case, Task("images", case.id))
            if not session.bench.cache.has(ASKED, task.key):
                tasks.setdefault(task.key, task)

    _plan(session, cases, plan)
    return list(tasks.values())


def _embedding_tasks(session: Session, cases: Sequence[Case]) -> list[Task]:
    cache = session.bench.cache
    wanted: dict[str, tuple[Task, list[IntArray]]] = {}

    def plan(case: Case) -> None:
        if not _embeds_images(session, case):
            return
        asked = cache.load(ASKED, task_key(session.bench, case, Task("images", case.id)))
        if asked is not None:  # else its task failed, and the case will say why
            task = _task(session, case, Task("embeddings", case.id))
            wanted.setdefault(task.key, (task, []))[1].append(asked.arrays["images"])

    _plan(session, cases, plan)
    tasks: list[Task] = []
    for task, images in wanted.values():
        rows = cache.existing_rows("embeddings", task.key)
        tasks += _shards(session, task, rows, np.unique(np.concatenate(images)))
    return tasks


def _settle(session: Session, cases: Sequence[AnyCase], results: Sequence[TaskResult]) -> None:
    """Cases that cannot be computed after a task that failed end as it did; nobody has to find that out
    again, or to die of it."""
    failed = [(result, result.error.died) for result in results if result.error is not None]

    def plan(case: AnyCase) -> None:
        for result, died in failed:
            if _ends_with(session, case, result.task, died):
                task = Task("scores", case.id)
                session.elsewhere.finished[case.id] = dataclasses.replace(result, task=task)
                return

    if failed:
        _plan(session, cases, plan)


def _ends_with(session: Session, case: AnyCase, task: Task, died: bool) -> bool:
    """Whether the case needs the result of a task that failed, and would fail as well. `died`: the task
    killed its workers.

    A case that asks for labels or names may be skipped for want of those before it looks at directions.
    """
    bench = session.bench
    if isinstance(case, TrialCase):
        first = next(each for each in session.cases if each.id == task.case)
        if not died or not isinstance(first, TrialCase) or not (case.metric and first.metric):
            return False
        return bench.keys.trial_rows(case).hash == bench.keys.trial_rows(first).hash
    if task.kind == "scores" or task_key(bench, case, task) != task.key:
        return False
    if task.kind == "directions":
        metrics = bench.inputs.registry.metrics
        asks = None if case.metric is None else metrics[case.metric.name].spec.input
        return died or asks in {None, "images"}
    if task.kind == "activations":
        return died and task.split in _tapped_splits(session, case)
    return died and _embeds_images(session, case)


def _embeds_images(session: Session, case: Case) -> bool:
    return case.metric is not None and session.bench.embeds_images(case.metric)


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
