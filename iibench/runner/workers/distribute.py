"""A run's work done by workers: activations, directions, embeddings and scores, one kind after the other.

What is in the cache or the shared store already is not done again, so a run that was cut off goes on where it
was. The reports are made afterwards, case by case, from what the workers computed (runner.py).
"""

from __future__ import annotations

import dataclasses
import logging
import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from iibench.cache.shared_store import StoreError
from iibench.contract.errors import PluginError, UsageError, one_line
from iibench.contract.executors import Executor, ExecutorSpec, Job, Task, TaskResult
from iibench.hooks.user_code.guard import contained
from iibench.runner.executor import Elsewhere, chosen_executor, is_one_machine
from iibench.runner.workers.tasks import NEEDED, ranges_of, software, task_inputs, task_key
from iibench.stages.kept import Kept
from iibench.suite.cases import AnyCase, Case, TrialCase

if TYPE_CHECKING:
    from iibench.cache.rows import RowStore
    from iibench.contract.arrays import IntArray
    from iibench.runner.session import Session
    from iibench.stages.case_stages import CaseStages
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
    try:
        return session.stages.of(case).is_cached(case)
    except StoreError as error:
        raise UsageError(str(error)) from error
    except Exception:
        return None


def distribute(session: Session) -> Elsewhere:
    """Has the workers of the run's executor do its work, as far as it is not done; what they did. Cases
    whose inputs cannot be had here are left to the run's own process. Ctrl-C ends it early.

    Raises `UsageError` where workers or the shared store cannot be had.
    """
    registry = session.plugins.registry
    spec, choice = chosen_executor(session.config, registry)
    elsewhere = Elsewhere()
    if spec.start is None:
        return elsewhere
    team = _Team(session, elsewhere, spec, choice, is_one_machine(registry, choice))
    plan = _Planner(session, elsewhere)
    try:
        try:
            with contained(f"executor {choice.label}"):
                _work(plan, team)
        except KeyboardInterrupt:
            elsewhere.stopped = elsewhere.interrupted = True
        _take_over(session, elsewhere)
    except UsageError:
        raise
    except StoreError as error:
        raise UsageError(str(error)) from error
    except Exception as error:
        log.info("executor %s", choice.label, exc_info=True)
        raise PluginError(f"executor {choice.label}: {one_line(error)}") from error
    finally:
        team.close()
    return elsewhere


def _work(plan: _Planner, team: _Team) -> None:
    """All tasks, one kind after the other."""
    session = plan.session
    waiting = [case for case in session.cases if is_cached(session, case) is False]
    directed = [case for case in waiting if isinstance(case, Case)]
    if waiting and not team.one_machine:
        plan.publish(waiting)
    plan.settle(waiting, team.do(plan.first_tasks(waiting)))
    for tasks in (plan.activations, plan.directions, plan.images, plan.embeddings):
        plan.settle(directed, team.do(tasks(directed)))
    team.do(plan.scores(waiting))


def _take_over(session: Session, elsewhere: Elsewhere) -> None:
    """Has what is a file by direction here too: the run folder shows responses."""
    for case in session.cases:
        result = elsewhere.finished.get(case.id)
        if result is not None and result.error is None:
            for kept in session.stages.of(case).starts_from(case):
                kept.fetch(session.cache)


class _Team:
    """The executor, started when there is something to do."""

    def __init__(
        self,
        session: Session,
        elsewhere: Elsewhere,
        spec: ExecutorSpec,
        choice: Choice,
        one_machine: bool,
    ) -> None:
        self.one_machine = one_machine
        self._session = session
        self._elsewhere = elsewhere
        self._spec = spec
        self._choice = choice
        self._executor: Executor | None = None
        self._mark = ""

    def do(self, tasks: Sequence[Task]) -> list[TaskResult]:
        """Does tasks of one kind; raises `UsageError` where a worker lacks what the run has."""
        session = self._session
        if not tasks or self._elsewhere.stopped:
            return []
        kind = tasks[0].kind
        if self._executor is None:
            assert self._spec.start is not None
            shared = session.cache.shared
            if shared is not None and not self.one_machine:
                self._mark = f"runs/{uuid.uuid4().hex}"
                shared.write(self._mark, b"a run with workers\n")
            job = _job(session, self.one_machine, self._mark)
            self._executor = self._spec.start(self._choice.params, job)
            self._elsewhere.workers = self._executor.workers
            log.info("%s: %d workers", self._choice.label, self._executor.workers)
        stage = f"{kind} by {self._executor.workers} workers"
        total = sum(map(_amount, tasks))
        done = 0
        self._tell(stage, done, total, UNITS[kind])
        results = []
        for result in self._executor.run(tasks):
            if result.error is not None and result.error.setup:
                raise UsageError(result.error.reason)
            self._elsewhere.add(result)
            results.append(result)
            done += _amount(result.task)
            seconds = sum(result.seconds.values())
            ended = f"failed ({result.error.reason})" if result.error else "done"
            log.info("%s: %s by %s, %.1f s", result.task, ended, result.worker, seconds)
            self._tell(stage, done, total, UNITS[kind])
            for note in result.notes:
                session.note(note)
            if kind == "scores" and result.error is not None and not result.error.skips:
                self._elsewhere.stopped = session.config.exit_first
                if self._elsewhere.stopped:
                    break
        return results

    def close(self) -> None:
        """Lets the workers go; an executor that cannot do so is noted, and the run is what it is."""
        try:
            if self._executor is not None:
                self._executor.close()
            shared = self._session.cache.shared
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
    resources, config = session.inputs.resources, session.config
    shared = session.cache.shared
    return Job(
        dataclasses.replace(
            config,
            suite=Path(session.suite.path).name,
            device=resources.device,
            memory=session.stages.context.settings.memory,  # which decides what is a file, for all alike
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


@dataclass(frozen=True)
class _Planner:
    """Makes tasks of what is not done yet; notes in `elsewhere` which cases need none, or can have none."""

    session: Session
    elsewhere: Elsewhere

    @property
    def stages(self) -> CaseStages:
        return self.session.stages

    def each(self, cases: Sequence[C], plan: Callable[[C], None]) -> None:
        """Plans case by case; those that have ended are left out, and one for which a plugin fails is left
        to the run's own process."""
        elsewhere = self.elsewhere
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

    def task(self, case: AnyCase, task: Task) -> Task:
        """The task with its key and inputs."""
        return dataclasses.replace(
            task,
            key=task_key(self.stages, case, task),
            inputs=task_inputs(self.stages, case, task),
        )

    def publish(self, waiting: Sequence[AnyCase]) -> None:
        """Writes what the cache here has of the run's scores, and of what those still to be computed start
        from, to the shared store, for the workers."""
        done: set[Kept] = set()

        def publish(kept: Iterable[Kept]) -> None:
            for each in kept:
                if each not in done:
                    done.add(each)
                    each.publish(self.session.cache)

        def inputs(case: AnyCase) -> None:
            publish(self.stages.of(case).starts_from(case))
            if isinstance(case, Case) and self.stages.similarities.embeds_images(case):
                publish([Kept(NEEDED, task_key(self.stages, case, Task("images", case.id)))])

        later = {case.id for case in waiting}
        ended = [case for case in self.session.cases if case.id not in later]
        self.each(ended, lambda case: publish(self.stages.of(case).results(case)))
        self.each(waiting, inputs)

    def first_tasks(self, cases: Sequence[AnyCase]) -> list[Task]:
        """Scores of the first case of those that start from the same thing, which has no task of its own."""
        tasks: dict[str, Task] = {}

        def plan(case: AnyCase) -> None:
            shared = self.stages.of(case).first_of_many(case)
            if shared:
                tasks.setdefault(shared, self.task(case, Task("scores", case.id)))

        self.each(cases, plan)
        return list(tasks.values())

    def scores(self, cases: Sequence[AnyCase]) -> list[Task]:
        """A task for each case."""
        tasks: list[Task] = []
        self.each(cases, lambda case: tasks.append(self.task(case, Task("scores", case.id))))
        return tasks

    def activations(self, cases: Sequence[Case]) -> list[Task]:
        """Of the splits that are still needed, a few images at a time."""
        tasks: dict[str, list[Task]] = {}

        def plan(case: Case) -> None:
            for split in self.stages.scores.tapped_splits(case):
                task = self.task(case, Task("activations", case.id, split))
                if task.key not in tasks:
                    n = len(self.session.inputs.dataset(case.dataset, split, case.seed))
                    rows = self.stages.activations.existing(case.tap, split)
                    tasks[task.key] = list(self.shards(task, rows, np.arange(n)))

        self.each(cases, plan)
        return [task for several in tasks.values() for task in several]

    def directions(self, cases: Sequence[Case]) -> list[Task]:
        """One for each finder and layer, whose responses it makes too."""
        tasks: dict[str, Task] = {}

        def plan(case: Case) -> None:
            fitted = self.stages.directions.is_fitted(case)
            if not (fitted and self.stages.responses.is_cached(case)):
                task = self.task(case, Task("directions", case.id))
                tasks.setdefault(task.key, task)

        self.each(cases, plan)
        return list(tasks.values())

    def images(self, cases: Sequence[Case]) -> list[Task]:
        """One for each finder and evaluation: which images are needed does not depend on the metric."""
        tasks: dict[str, Task] = {}

        def plan(case: Case) -> None:
            if self.stages.similarities.embeds_images(case):
                task = self.task(case, Task("images", case.id))
                if not self.session.cache.has(NEEDED, task.key):
                    tasks.setdefault(task.key, task)

        self.each(cases, plan)
        return list(tasks.values())

    def embeddings(self, cases: Sequence[Case]) -> list[Task]:
        """Of the images that are needed, a few at a time."""
        cache = self.session.cache
        wanted: dict[str, tuple[Task, list[IntArray]]] = {}

        def plan(case: Case) -> None:
            if not self.stages.similarities.embeds_images(case):
                return
            key = task_key(self.stages, case, Task("images", case.id))
            needed = cache.load(NEEDED, key)
            if needed is not None:  # else its task failed, and the case will say why
                task = self.task(case, Task("embeddings", case.id))
                wanted.setdefault(task.key, (task, []))[1].append(needed.arrays["images"])

        self.each(cases, plan)
        tasks: list[Task] = []
        for task, images in wanted.values():
            rows = cache.existing_rows("embeddings", task.key)
            tasks += self.shards(task, rows, np.unique(np.concatenate(images)))
        return tasks

    def shards(self, task: Task, rows: RowStore | None, images: IntArray) -> Iterator[Task]:
        """The task, for those of the images whose rows nobody has, a few at a time."""
        if rows is not None:
            images = rows.uncomputed(images)
        share = math.ceil(len(images) / SHARES / BATCH) * BATCH
        size = self.session.config.shard_size or min(MOST, max(LEAST, share))
        for start in range(0, len(images), size):
            yield dataclasses.replace(task, images=ranges_of(images[start : start + size]))

    def settle(self, cases: Sequence[AnyCase], results: Sequence[TaskResult]) -> None:
        """Cases that cannot be computed after a task that failed end as it did; nobody has to find that out
        again, or to die of it."""
        failed = [(result, result.error.died) for result in results if result.error is not None]

        def plan(case: AnyCase) -> None:
            for result, died in failed:
                if self.ends_with(case, result.task, died):
                    task = Task("scores", case.id)
                    self.elsewhere.finished[case.id] = dataclasses.replace(result, task=task)
                    return

        if failed:
            self.each(cases, plan)

    def ends_with(self, case: AnyCase, task: Task, died: bool) -> bool:
        """Whether the case needs the result of a task that failed, and would fail as well. `died`: the task
        killed its workers.

        A case that asks for labels or names may be skipped for want of those before it looks at directions.
        """
        stages = self.stages
        if task.kind == "scores":
            first = next(each for each in self.session.cases if each.id == task.case)
            shared = stages.of(case).first_of_many(case)
            return died and bool(shared) and shared == stages.of(first).first_of_many(first)
        if isinstance(case, TrialCase) or task_key(stages, case, task) != task.key:
            return False
        if task.kind == "directions":
            metrics = self.session.inputs.registry.metrics
            asks = None if case.metric is None else metrics[case.metric.name].spec.input
            return died or asks in {None, "images"}
        if task.kind == "activations":
            return died and task.split in stages.scores.tapped_splits(case)
        return died and stages.similarities.embeds_images(case)
