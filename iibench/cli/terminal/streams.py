"""Standard output that no reader and no encoding can stop a run with."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any


class _Pipe(io.FileIO):
    """A file that what is written to is lost once nobody reads it: `iibench run SUITE | head`."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            away = os.open(os.devnull, os.O_WRONLY)
            os.dup2(away, self.fileno())
            os.close(away)
            return len(data)


def steady_output() -> None:
    """From here on signs that an output cannot encode are replaced, and a pipe may be closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            away = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, away)
        elif isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, _steady(stream))


def _steady(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    errors = "backslashreplace" if stream.errors == "backslashreplace" else "replace"
    try:
        number = stream.fileno()
    except OSError:  # it only looks like a file
        number = -1
    if number < 0 or stream.isatty():
        stream.reconfigure(errors=errors)
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Pipe(number, "w", closefd=False)),
        encoding=stream.encoding,
        errors=errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
