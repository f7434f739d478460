"""What the user's code raises to end a program ends a part of a run, with a report of it."""

from __future__ import annotations

import signal
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from iibench.contract.errors import PluginError, one_line

#: Whether somebody has pressed Ctrl-C.
_pressed = threading.Event()


@contextmanager
def contained(whose: str | Callable[[BaseException], str] = "") -> Iterator[None]:
    """Raises `PluginError` in place of `SystemExit`, `GeneratorExit`, `KeyboardInterrupt` that the code
    itself raises, and any other error that is no `Exception`. `whose`: the code, in words.

    Ctrl-C is what it always is.

    >>> with contained("plugin mine"):
    ...     raise SystemExit(3)
    Traceback (most recent call last):
    iibench.contract.errors.PluginError: plugin mine raised SystemExit: 3 (...)
    """
    with _watched():
        try:
            yield
        except Exception:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and _is_pressed():
                raise
            author = whose if isinstance(whose, str) else whose(error)
            raised = f"{author} raised " if author else ""
            raise PluginError(f"{raised}{one_line(error)}{_where(error)}") from error


def files_of(error: BaseException) -> list[Path]:
    """The files that an error came through, innermost first."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return [Path(frame.filename) for frame in frames]


def _where(error: BaseException) -> str:
    """The innermost place that is not Python's own or iibench's, as ` (file:line)`."""
    others = (sysconfig.get_paths()["stdlib"], str(Path(__file__).parents[2]))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        library = {"site-packages", "dist-packages"} & set(path.parts)
        if library or not any(path.is_relative_to(other) for other in others):
            return f" ({path}:{frame.lineno})"
    return ""


@contextmanager
def _watched() -> Iterator[None]:
    """Notes Ctrl-C, where Python's own handler would take it."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    _pressed.clear()
    signal.signal(signal.SIGINT, _press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _press(number: int, frame: FrameType | None) -> None:
    _pressed.set()
    signal.default_int_handler(number, frame)


def _is_pressed() -> bool:
    """Whether an interruption comes from outside; where others handle Ctrl-C that cannot be told."""
    if threading.current_thread() is not threading.main_thread():
        return False
    return _pressed.is_set() or signal.getsignal(signal.SIGINT) is not _press
