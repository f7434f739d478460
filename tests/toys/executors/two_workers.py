"""A third party's executor: two workers that take turns, in the process of the run.

With `apart` they behave as machines: each has a cache of its own, and a shared store is needed; with
`elsewhere` that of the second is another one. What is done is counted in the file that TOY_TASKS names; after
`stop_after` tasks somebody presses Ctrl-C. Workers die of all tasks of the kind `dies`.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from iibench import hookimpl
from iibench.contract.executors import ExecutorSpec, Job, Task, TaskError, TaskResult


@dataclass(frozen=True)
class Params:
    apart: bool = False
    stop_after: int | None = None
    elsewhere: bool = False
    dies: str = ""


class TwoWorkers:
    workers = 2

    def __init__(self, params: Params, job: Job) -> None:
        from iibench.runner.workers.worker import Worker

        apart = [job.config.cache_dir / f"machine{k}" for k in range(2)]
        jobs = [job, job]
        if params.elsewhere:
            config = dataclasses.replace(
                job.config, shared_cache=f"{job.config.shared_cache}-other"
            )
            jobs[1] = dataclasses.replace(job, config=config)
        self._workers = [
            Worker(jobs[k], scratch=apart[k] if params.apart else None) for k in range(2)
        ]
        self._params = params
        self._done = 0

    def run(self, tasks: Sequence[Task]) -> Iterator[TaskResult]:
        for task, worker in zip(tasks, itertools.cycle(self._workers), strict=False):
            if self._done == self._params.stop_after:
                signal.raise_signal(signal.SIGINT)
            self._done += 1
            with Path(os.environ["TOY_TASKS"]).open("a") as file:
                file.write(f"{task}\n")
            if task.kind == self._params.dies:
                error = TaskError("workers died while they did this", died=True)
                yield TaskResult(task, worker.name, error=error)
            else:
                yield worker.do(task)

    def close(self) -> None:
        with Path(os.environ["TOY_TASKS"]).open("a") as file:
            file.write("closed\n")


@hookimpl
def iibench_register_executors() -> list[ExecutorSpec]:
    return [
        ExecutorSpec(
            name="two",
            summary="two workers that take turns",
            params=Params,
            start=TwoWorkers,
            one_machine=lambda params: not params.apart,
        )
    ]
