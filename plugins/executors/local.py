"""The executor `local`, the default: everything is done in the run's own process, case by case."""

from __future__ import annotations

from collections.abc import Iterable

from iibench import ExecutorSpec, hookimpl


@hookimpl
def iibench_register_executors() -> Iterable[ExecutorSpec]:
    """Registers `local`."""
    return [
        ExecutorSpec(
            name="local",
            summary="the run's own process, case by case",
            start=None,
        )
    ]
