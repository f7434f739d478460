"""What an error that ended a case or a task says to readers."""

from __future__ import annotations

import traceback

from iibench.contract.errors import AssetError, IibenchError, Skip
from iibench.contract.executors import TaskError


def task_error(error: Exception) -> TaskError:
    """What a report says of an error that ended a case."""
    if isinstance(error, Skip | AssetError):
        return TaskError(str(error), skips=True)
    if isinstance(error, IibenchError):
        return TaskError(str(error))
    trace = "".join(traceback.format_exception(error))
    return TaskError(f"{type(error).__name__}: {error}", trace)
