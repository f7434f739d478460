"""What an executor declares, and the tasks that it hands to workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from iibench.contract.base import Spec

if TYPE_CHECKING:
    from iibench.contract.config import RunConfig


@dataclass(frozen=True)
class Task:
    """A piece of a run's work that any worker can do, in any order within its kind, more than once.

    `kind`: `activations` of images of one `split`; `directions` of a case and its responses to them;
    which `images` a case asks its metric to embed; `embeddings` of evaluated images; `scores` of a case.
    `case`: id of the case, the first of those that need it. `images`: half-open ranges of image indices.
    `key`: the hash under which the result is to be found; `inputs`: what decides it (in words) and the
    hash of that. A worker whose hashes are others must not do the task.

    >>> print(Task("embeddings", "data/net/layer/neurons/color/ii", images=((0, 64), (128, 192))))
    embeddings for data/net/layer/neurons/color/ii, images 0 to 191
    """

    kind: Literal["activations", "directions", "images", "embeddings", "scores"]
    case: str
    split: str = ""
    images: tuple[tuple[int, int], ...] = ()
    key: str = ""
    inputs: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The task in words."""
        where = f" on {self.split}" if self.split else ""
        spans = ""
        if self.images:
            spans = f", images {self.images[0][0]} to {self.images[-1][1] - 1}"
        return f"{self.kind} for {self.case}{where}{spans}"


@dataclass(frozen=True)
class TaskError:
    """Why a task failed, as a case's report gives it.

    `reason`: a sentence. `traceback`: where no plugin foresaw it. `skips`: the case is skipped, for
    something that cannot be had. `setup`: nothing is wrong with the task, but the worker lacks what the
    run has. `died`: workers died of it, so cases that need its result are not tried.

    >>> TaskError("the cluster is gone", setup=True).traceback is None
    True
    """

    reason: str
    traceback: str | None = None
    skips: bool = False
    setup: bool = False
    died: bool = False


@dataclass(frozen=True)
class TaskResult:
    """How a task ended. What it computed is in the cache or the shared store.

    `worker`: who did it, in words. `seconds`: per stage. `notes`: what the reader of the run should know,
    such as that a worker died.

    >>> task = Task("scores", "data/net/layer/neurons/color/ii")
    >>> TaskResult(task, worker="node 3", error=TaskError("there is no such file")).error.reason
    'there is no such file'
    """

    task: Task
    worker: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    error: TaskError | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PluginsRequested:
    """What `load_plugins` was given; `files`: of each folder, (name, content) of its modules.

    >>> PluginsRequested(names=("./mine.py",)).entry_points
    True
    """

    names: tuple[str, ...] = ()
    environ: str = ""
    entry_points: bool = True
    files: tuple[tuple[tuple[str, bytes], ...], ...] = ()
    #: where modules are looked for besides
    path: str = ""


@dataclass(frozen=True)
class Job:
    """What a worker needs to do the tasks of a run (`iibench.Worker`); it can be pickled.

    `config`: the run's, with the device and the memory that it uses and absolute folders. `suite`: the
    suite file. `cases`: ids of the run's cases. `fallback`: whether the suite's fallback dataset is used.
    `software`: versions and hashes of what decides numbers, which a worker must have too. `one_machine`:
    workers use the run's own cache. `mark`: name of an object that the run has put into the shared store,
    by which a worker sees that its store is the same; "" where there is none.

    >>> from pathlib import Path
    >>> config = RunConfig("mine.yaml", Path("data"), Path("cache"))
    >>> Job(config, b"iibench: 1", ("case",), False, PluginsRequested(), {}, one_machine=True).cases
    ('case',)
    """

    config: RunConfig
    suite: bytes
    cases: tuple[str, ...]
    fallback: bool
    plugins: PluginsRequested
    software: Mapping[str, str]
    one_machine: bool
    mark: str = ""


class Executor(Protocol):
    """Workers, ready to do tasks.

    >>> class InTurn:
    ...     workers = 1
    ...
    ...     def __init__(self, job):
    ...         from iibench import Worker
    ...
    ...         self.worker = Worker(job)
    ...
    ...     def run(self, tasks):
    ...         return map(self.worker.do, tasks)
    ...
    ...     def close(self):
    ...         pass
    """

    @property
    def workers(self) -> int:
        """How many tasks are done at a time."""

    def run(self, tasks: Sequence[Task]) -> Iterator[TaskResult]:
        """Does the tasks, each once, and yields their results as they finish, in any order.

        A task that fails is a result with an error; what is wrong with all of them is a `UsageError`.
        """

    def close(self) -> None:
        """Lets the workers go. Called once, also where the run is interrupted."""


@dataclass(frozen=True, kw_only=True)
class ExecutorSpec(Spec):
    """Where a run's work is done: `start(params, job) -> Executor`.

    A worker is an `iibench.Worker(job)`, whose `do(task)` gives the task's result. `start` is
    called when there is something to do, and raises `UsageError` where workers cannot be had. None leaves
    everything to the run's own process. `one_machine(params)`: whether all workers are on the machine of
    the run; if not, the run needs a shared cache.

    >>> spec = ExecutorSpec(
    ...     name="here", summary="Everything in the run's own process.", start=None,
    ...     one_machine=lambda params: True,
    ... )
    >>> spec.one_machine(spec.params())
    True
    """

    start: Callable[[Any, Job], Executor] | None
    one_machine: Callable[[Any], bool] = lambda params: False
