"""What an error that ended a case or a task says to readers."""

from __future__ import annotations

import traceback

from iibench.contract.errors import AssetError, IibenchError, Skip
from iibench.contract.executors import TaskError
from iibench.contract.texts import text_of, writable


def task_error(error: Exception) -> TaskError:
    """What a report says of an error that ended a case."""
    text = text_of(error)
    if isinstance(error, Skip | AssetError):
        return TaskError(text, skips=True)
    if isinstance(error, IibenchError):
        return TaskError(text)
    try:
        trace = writable("".join(traceback.format_exception(error)))
    except Exception:  # what it was raised from may fail at its text
        trace = f"{type(error).__name__} without a traceback"
    return TaskError(f"{type(error).__name__}: {text}", trace)
