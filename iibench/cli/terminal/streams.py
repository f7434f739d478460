"""Standard output that no reader, no encoding and no full disk can stop a run with."""

from __future__ import annotations

import io
import os
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Steady(io.FileIO):
    """A file that loses what is written to it once that cannot be done, instead of failing.

    `lost`: why, where that is not for want of a reader (`iibench run SUITE | head`), or None.
    """

    lost: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        left = memoryview(data).cast("B")
        try:
            while left:
                written = super().write(left)
                if written is None:  # a pipe that is full, and set up not to wait
                    select.select([], [self.fileno()], [])
                else:
                    left = left[written:]
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.lost = error
            away = os.open(os.devnull, os.O_WRONLY)
            os.dup2(away, self.fileno())
            os.close(away)
        return memoryview(data).nbytes


def steady_output() -> None:
    """From here on signs that an output cannot encode are replaced, and an output may be gone or full."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            away = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, away)
        elif isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, _steady(stream))


def lost_output() -> OSError | None:
    """Why standard output could not be written to its end; None where it was, or nobody reads it."""
    sys.stdout.flush()
    return getattr(_raw(sys.stdout), "lost", None)


def _steady(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    errors = "backslashreplace" if stream.errors == "backslashreplace" else "replace"
    raw = _raw(stream)
    if not isinstance(raw, io.FileIO):  # in memory, or the console of Windows
        stream.reconfigure(errors=errors)
        return stream
    stream.flush()
    steady = _Steady(raw.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        steady if stream.write_through else io.BufferedWriter(steady),
        encoding=stream.encoding,
        errors=errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _raw(stream: object) -> object:
    """The file below a text stream, buffered or not; None where there is none."""
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)
