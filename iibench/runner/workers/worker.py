"""A worker: does the tasks of a run in a process of its own, here or on another machine.

It loads the run's plugins and suite itself and keeps datasets, networks, metrics and its cache between
tasks. What it computes is in the shared store (or, on one machine, in the run's cache) when a task ends.
"""

from __future__ import annotations

import dataclasses
import linecache
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from iibench.assets.local import default_data_dir
from iibench.cache.entries import Cache
from iibench.cache.shared_store import open_shared_store
from iibench.contract.errors import IibenchError, UsageError
from iibench.contract.executors import Job, Task, TaskError, TaskResult
from iibench.hooks.loading import load_plugins
from iibench.hooks.user_code.guard import contained
from iibench.runner.case_errors import task_error
from iibench.runner.session import resume
from iibench.runner.workers.tasks import (
    NEEDED,
    indices_of,
    software,
    task_inputs,
    task_key,
)
from iibench.suite.cases import AnyCase, TrialCase

if TYPE_CHECKING:
    from iibench.hooks.loaded import Plugins
    from iibench.runner.session import Session


#: How many things that differ from the run's an error names.
SHOWN = 6


class Worker:
    """Does tasks of `job`. `scratch`: the folder for this machine's own cache, by default the run's cache
    folder. `threads`: for arithmetic on the CPU, None leaves them as they are.

    Raises `UsageError` with a sentence for each thing that the run has and that is missing here.

    >>> class InTurn:
    ...     workers = 1
    ...
    ...     def __init__(self, job):
    ...         self.worker = Worker(job, threads=1)
    ...
    ...     def run(self, tasks):
    ...         return map(self.worker.do, tasks)
    ...
    ...     def close(self):
    ...         pass
    >>> spec = ExecutorSpec(
    ...     name="in_turn", summary="One task after the other.",
    ...     start=lambda params, job: InTurn(job), one_machine=lambda params: True,
    ... )
    """

    def __init__(
        self,
        job: Job,
        *,
        scratch: Path | None = None,
        threads: int | None = None,
    ) -> None:
        if threads is not None:
            _limit_threads(threads)
        self.name = f"{platform.node()}, process {os.getpid()}"
        # deleted at once, since workers are killed at the end of a run
        with tempfile.TemporaryDirectory(prefix="iibench-worker-") as folder:
            try:
                self._session = _session(job, Path(folder), scratch)
            except UsageError as error:
                texts = str(error).splitlines()
                raise UsageError(
                    "\n".join(f"worker on {self.name}: {text}" for text in texts)
                ) from error
            _keep_lines(Path(folder))
        self._stages = self._session.stages
        self._cases: dict[str, AnyCase] = {case.id: case for case in self._session.cases}
        self._session.notes.items.clear()  # the run has the same

    def do(self, task: Task) -> TaskResult:
        """Does a task; whatever goes wrong is in the result."""
        clock = self._stages.context.clock
        clock.take()
        case = self._cases[task.case]
        error = self._mismatch(case, task)
        if error is None:
            try:
                with contained(self._session.plugins.author_of):
                    self._do(case, task)
            except Exception as raised:
                error = task_error(raised)
        notes = tuple(f"{note['text']} ({self.name})" for note in self._session.notes.items)
        self._session.notes.items.clear()
        return TaskResult(task, self.name, clock.take(), error, notes)

    def _mismatch(self, case: AnyCase, task: Task) -> TaskError | None:
        """An error where the result would not be the one that the run looks for."""
        try:
            found = dict(task_inputs(self._stages, case, task))
            others = [name for name, wanted in task.inputs if found.get(name) != wanted]
            if not others and task_key(self._stages, case, task) == task.key:
                return None
            problem = f"{', '.join(others) or 'what decides it'} is not what the run has"
        except IibenchError as error:  # a file or a package that the run has
            problem = str(error)
        except Exception as error:
            return task_error(error)
        reason = f"worker on {self.name}: {task.kind} for {task.case}: {problem}"
        return TaskError(reason, setup=True)

    def _do(self, case: AnyCase, task: Task) -> None:
        stages, cache = self._stages, self._session.cache
        if task.kind == "scores" or isinstance(case, TrialCase):
            stage = stages.of(case)
            for kept in stage.starts_from(case):
                kept.fetch(cache)
            stage.of(case)
            for kept in stage.results(case):
                kept.publish(cache)
        elif task.kind == "activations":
            indices = indices_of(task.images)
            stages.activations.fill(case.tap, task.split, indices).publish(indices)
        elif task.kind == "directions":
            stages.responses.of(case)
            stages.directions.of(case)  # where the responses were here already
            stages.directions.kept(case).publish(cache)
            stages.responses.publish(case)
        elif task.kind == "images":
            for kept in stages.responses.kept(case):
                kept.fetch(cache)
            images = {"images": stages.scores.needed_images(case)}
            cache.store(NEEDED, task.key, stages.scores.needed_key(case), images, {})
        else:
            indices = indices_of(task.images)
            stages.similarities.fill(case, indices)
            rows = cache.existing_rows("embeddings", task.key)
            if rows is not None:
                rows.publish(indices)


def _session(job: Job, folder: Path, scratch: Path | None) -> Session:
    """The run's session as it is here; raises `UsageError` with a line for each thing that is missing."""
    plugins = _load(job, folder)
    problems = _problems(job, plugins)
    if problems:
        raise UsageError("\n".join(problems))
    suite = folder / Path(job.config.suite).name
    suite.write_bytes(job.suite)
    data = job.config.data_dir
    config = dataclasses.replace(
        job.config,
        suite=str(suite),
        data_dir=data if data.is_dir() else default_data_dir(),
    )
    return resume(config, plugins, _cache(job, scratch), job.cases, job.fallback)


def _load(job: Job, folder: Path) -> Plugins:
    """The run's plugins; one-file plugins are written into `folder` first."""
    asked = job.plugins
    if asked.path and Path(asked.path).is_dir() and asked.path not in sys.path:
        sys.path.insert(0, asked.path)
    folders = []
    for number, files in enumerate(asked.files):
        folders.append(folder / f"plugins{number}")
        folders[-1].mkdir()
        for name, content in files:
            (folders[-1] / name).parent.mkdir(parents=True, exist_ok=True)
            (folders[-1] / name).write_bytes(content)
    return load_plugins(asked.names, folders, asked.environ, asked.entry_points)


def _keep_lines(folder: Path) -> None:
    """Keeps the lines of one-file plugins, which tracebacks show, when the folder is deleted."""
    for path in folder.rglob("*.py"):
        text = path.read_text(errors="replace")
        name = str(path)
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)


def _problems(job: Job, plugins: Plugins) -> list[str]:
    """What of the run's software is missing or different here."""
    here = software(plugins)
    reasons = {f"plugin {record.name}": record.reason for record in plugins.records}
    problems, others = [], []
    for thing, wanted in job.software.items():
        found = here.get(thing)
        if found is None:
            reason = f" ({reasons[thing]})" if reasons.get(thing) else ""
            problems.append(f"{thing} of the run is not there{reason}")
        elif found != wanted:
            others.append(f"{thing} ({found}, not {wanted})" if len(wanted) < 64 else thing)
    if others:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        problems.append(f"not what the run has: {', '.join(others[:SHOWN])}{more}")
    return problems


def _cache(job: Job, scratch: Path | None) -> Cache:
    url = job.config.shared_cache
    shared = None if url is None else open_shared_store(url)
    if shared is not None and job.mark and shared.read(job.mark) is None:
        raise UsageError(
            f"the shared cache {url} is not the one that the run uses: it lacks what the run has just "
            "written there; it must be a folder that all machines mount, or an object store"
        )
    cache = Cache(scratch or job.config.cache_dir, shared=shared, exclusive=False)
    return cache if job.one_machine else cache.of_node(platform.node() or "node")


def _limit_threads(threads: int) -> None:
    import threadpoolctl
    import torch

    torch.set_num_threads(threads)
    threadpoolctl.threadpool_limits(threads)
