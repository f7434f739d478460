"""Workers as Ray actors: one task in flight each; what a dead one was doing is done again by another."""

from __future__ import annotations

import dataclasses
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.exceptions

from iibench import Job, Task, TaskError, TaskResult, UsageError

log = logging.getLogger("iibench.executors.ray")

#: Seconds to wait for a first worker, or for a new one where none is left.
PATIENCE = 600
#: Seconds within which a worker that has nothing to do answers.
ANSWER = 30.0
#: Seconds between looks at whether there still is a worker.
LOOK = 5.0
#: Bytes of a started Ray's object store: values travel through the cache.
OBJECT_STORE = 200_000_000


def join(address: str | None, workers: int | None, cpus: int) -> bool:
    """Joins a cluster, or starts a Ray with room for these workers; whether this process now has to leave.

    Raises `UsageError` where there is no cluster at the address.
    """
    if ray.is_initialized():
        if address is None:
            raise UsageError(
                "--executor ray: this process has joined a Ray cluster already; give its address, as in "
                "ray[address=auto]"
            )
        return False
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            room = cpus * workers if workers else max(cpus, _processors())
            ray.init(
                "local",
                num_cpus=room,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE,
                **quiet,
            )
        else:
            host, colon, port = address.rpartition(":")
            if colon and port.isdecimal() and "://" not in address:  # Ray would wait for minutes
                socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
            ray.init(address, **quiet)
    except Exception as error:
        what = (
            "Ray cannot be started" if address is None else f"no cluster at the address {address}"
        )
        text = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"--executor ray: {what} ({text})") from error
    return True


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class RemoteWorker:
    """The actor: a worker, made by `prepare`."""

    def __init__(self, job: Job, cpus: int, scratch: str | None) -> None:
        self._job = job
        self._cpus = cpus
        self._scratch = None if scratch is None else Path(scratch)

    def prepare(self) -> tuple[str, str]:
        """(who this is, what keeps it from working or "")."""
        from iibench import Worker

        try:
            self._worker = Worker(self._job, scratch=self._scratch, threads=self._cpus)
        except UsageError as error:
            return f"{socket.gethostname()}, process {os.getpid()}", str(error)
        return self._worker.name, ""

    def ping(self) -> None:
        """Answers, which shows that the worker is alive."""

    def do(self, task: Task) -> TaskResult:
        """Does a task."""
        return self._worker.do(task)


@dataclass
class _Member:
    """An actor, and who it is once it has said so."""

    actor: Any
    name: str = "a worker that was starting"


@dataclass
class _Work:
    """A task, how many workers died of it, and the notes on that."""

    task: Task
    deaths: int = 0
    notes: tuple[str, ...] = ()


class RayTeam:
    """`Executor` on a cluster that this process has joined; `leaves`: whether it leaves at the end."""

    def __init__(
        self,
        job: Job,
        leaves: bool,
        *,
        workers: int | None,
        cpus: int,
        gpus: float,
        retries: int,
        scratch: str | None,
    ) -> None:
        self._leaves = leaves
        self._retries = retries
        self._starting: dict[Any, _Member] = {}
        self._idle: list[_Member] = []
        self._busy: dict[Any, tuple[_Member, _Work]] = {}
        #: since the last one that did not fail
        self._failed_starts = 0
        try:
            self._actors: Any = ray.remote(
                num_cpus=cpus,
                num_gpus=gpus,
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy="SPREAD",
            )(RemoteWorker)
            self._arguments = (ray.put(job), cpus, scratch)
            self._workers = _checked_room(workers, cpus, gpus)
            for _ in range(self._workers):
                self._add()
        except BaseException:
            self.close()
            raise

    @property
    def workers(self) -> int:
        """See `iibench.Executor`."""
        return self._workers

    def run(self, tasks: Sequence[Task]) -> Iterator[TaskResult]:
        """See `iibench.Executor`."""
        waiting = deque(_Work(task) for task in tasks)
        alive = time.monotonic()
        while waiting or self._busy:
            while waiting and self._idle:
                member = self._idle.pop()
                if not _answers(member):  # what it died of was no task
                    log.warning("the worker on %s has died", member.name)
                    self._replace(member)
                    continue
                work = waiting.popleft()
                self._busy[member.actor.do.remote(work.task)] = (member, work)
            ended, _ = ray.wait([*self._starting, *self._busy], num_returns=1, timeout=LOOK)
            if self._busy or ended:
                alive = time.monotonic()
            elif time.monotonic() - alive > PATIENCE:
                raise UsageError(f"--executor ray: no worker could be started within {PATIENCE} s")
            for reference in ended:
                if reference in self._starting:
                    self._started(reference)
                    continue
                member, work = self._busy.pop(reference)
                result = self._ended(reference, member, work)
                if result is None:
                    waiting.appendleft(work)
                else:
                    yield dataclasses.replace(result, notes=(*work.notes, *result.notes))

    def close(self) -> None:
        """See `iibench.Executor`."""
        busy = [member for member, _ in self._busy.values()]
        for member in (*self._starting.values(), *self._idle, *busy):
            ray.kill(member.actor)
        if self._leaves:
            ray.shutdown()

    def _add(self) -> None:
        member = _Member(self._actors.remote(*self._arguments))
        self._starting[member.actor.prepare.remote()] = member

    def _replace(self, member: _Member) -> None:
        ray.kill(member.actor)  # where it is only out of reach
        self._add()

    def _started(self, reference: Any) -> None:
        """Puts a new worker among the idle; raises `UsageError` where it cannot work."""
        member = self._starting.pop(reference)
        try:
            member.name, problem = ray.get(reference)
        except ray.exceptions.RayError as error:
            self._failed_starts += 1
            log.warning("a worker died while it started (%s)", _reason(error, -1))
            if self._failed_starts <= self._retries:
                self._add()
            elif not (self._starting or self._idle or self._busy):
                raise UsageError(
                    f"--executor ray: {self._failed_starts} workers died while they started, and none "
                    f"is left ({_reason(error, -1)})"
                ) from error
            return
        if problem:
            raise UsageError(problem)
        self._failed_starts = 0
        log.info("worker ready: %s", member.name)
        self._idle.append(member)

    def _ended(self, reference: Any, member: _Member, work: _Work) -> TaskResult | None:
        """A task's result; None where its worker died and the task is to be done again."""
        try:
            result: TaskResult = ray.get(reference)
        except ray.exceptions.RayTaskError as error:  # the actor lives, and its answer is an error
            self._idle.append(member)
            raised = TaskError(_reason(error, -1), traceback=str(error))
            return TaskResult(work.task, member.name, error=raised)
        except ray.exceptions.RayError as error:
            self._replace(member)
            work.deaths += 1
            note = f"the worker on {member.name} died while it did {work.task} ({_reason(error)})"
            again = work.deaths <= self._retries
            log.warning("%s%s", note, "; another does it again" if again else "")
            if again:
                work.notes = (*work.notes, f"{note}; another did it again")
                return None
            reason = f"{work.deaths} workers died while they did this, the last on {member.name}"
            return TaskResult(work.task, member.name, error=TaskError(reason, died=True))
        self._idle.append(member)
        return result


def _answers(member: _Member) -> bool:
    try:
        ray.get(member.actor.ping.remote(), timeout=ANSWER)
    except ray.exceptions.RayError:
        return False
    return True


def _checked_room(workers: int | None, cpus: int, gpus: float) -> int:
    """How many workers there are to be; raises `UsageError` where the cluster does not hold them."""
    room = _room(cpus, gpus)
    if room < (workers or 1):
        raise UsageError(
            f"--executor ray: the cluster has room for {room} workers of {cpus} CPUs and {gpus:g} "
            f"GPUs, and {workers or 1} are asked for"
        )
    return workers or room


def _room(cpus: int, gpus: float) -> int:
    """How many workers the cluster's machines hold, whatever else runs there."""
    room = 0
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    for node in nodes:
        if node["Alive"]:
            has = node["Resources"]
            fits = has.get("CPU", 0) // cpus
            room += int(min(fits, has.get("GPU", 0) // gpus) if gpus else fits)
    return room


def _reason(error: Exception, line: int = 0) -> str:
    """One line of what Ray says: the first names what happened, the last of a traceback the error."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[line].strip().rstrip(".:")
