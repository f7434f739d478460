"""The executor and the shared store that a run has chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from iibench.cache.shared_store import SharedStore, open_shared_store
from iibench.contract.errors import PluginError, UsageError, one_line
from iibench.contract.executors import ExecutorSpec, TaskResult
from iibench.suite.choices import choice_of

if TYPE_CHECKING:
    from iibench.contract.config import RunConfig
    from iibench.suite.cases import Choice
    from iibench.suite.registry import Registry


@dataclass
class Elsewhere:
    """What workers did for a run.

    `finished`: case id -> how its scores ended. `seconds`: case id -> stage -> seconds of workers. `left`:
    ids of cases that could not be planned, for the run's own process. `stopped`: no further case is wanted
    (`-x` or Ctrl-C). `interrupted`: by Ctrl-C.
    """

    workers: int = 1
    finished: dict[str, TaskResult] = field(default_factory=dict)
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    stopped: bool = False
    interrupted: bool = False

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
    if spec.start is not None and not is_one_machine(registry, choice):
        raise UsageError(
            f"--executor {choice.label} needs --shared-cache URL (or IIBENCH_SHARED_CACHE): a folder or "
            "an object store that this machine and all workers reach, such as /mnt/share/iibench or "
            "s3://bucket/iibench"
        )
    return None


def is_one_machine(registry: Registry, choice: Choice) -> bool:
    """Whether all workers are on this machine; raises `PluginError` where the executor cannot tell."""
    entry = registry.executors[choice.name]
    try:
        return bool(entry.spec.one_machine(choice.params))
    except Exception as error:
        raise PluginError(
            f"executor {choice.label} of plugin {entry.plugin}: one_machine raised {one_line(error)}"
        ) from error
