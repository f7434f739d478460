"""Work in child processes: seconds, peak memory, and what was computed.

A child imports the libraries, sets up its inputs, and runs one repetition each time it is told to. The
parent stays small and loads neither torch nor inputs, so the memory of a child is its work's alone.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Arrays = Mapping[str, npt.NDArray[Any]]

#: Variables that tell the libraries' thread pools how many threads to use.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
#: Runs one command of the program and writes its peak memory in bytes where the last argument says.
WITH_PEAK = """
import sys
from iibench.cli.main import run_program
from iibench.runner.estimate.peak import resident
code = run_program(sys.argv[1:-1])
open(sys.argv[-1], "w").write(str(resident()))
sys.exit(code)
"""


class ChildError(Exception):
    """A child ended before its time; the text is its traceback, or how it ended."""


class Clock:
    """Seconds of one repetition, without what is inside `paused`."""

    def __init__(self) -> None:
        self._excluded = 0.0
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since the start that were not excluded."""
        return time.perf_counter() - self._start - self._excluded

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done here does not count."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._excluded += time.perf_counter() - start


@dataclass(frozen=True)
class Prepared:
    """A piece of work whose inputs are there.

    `run(clock)` returns named arrays, for comparison. `scale`: seconds are multiplied by it, where
    only a part of the work is done. `note`: what the inputs are.
    """

    run: Callable[[Clock], Arrays]
    scale: float = 1.0
    note: str = ""


@dataclass(frozen=True)
class Ready:
    """Bytes of memory with torch alone and after set-up; `Prepared.scale` and `note`."""

    libraries: int
    set_up: int
    scale: float
    note: str


@dataclass(frozen=True)
class Repetition:
    """Seconds (not scaled) and the largest memory in bytes since the inputs were there."""

    seconds: float
    peak: int


@dataclass
class Child:
    """A process that sets up `target(*arguments)`, a `Prepared`, and runs it when told to.

    `target` is `module:function`. Raises `ChildError` where the child fails.
    """

    target: str
    arguments: tuple[Any, ...]
    threads: int
    ready: Ready = field(init=False)

    def __post_init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(other, self.target, self.arguments, self.threads), daemon=True
        )
        with _environment(dict.fromkeys(THREADS, str(self.threads))):
            self._process.start()  # the child's libraries read these when they are loaded
        other.close()
        try:
            self.ready = self._answer(Ready)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self) -> tuple[Repetition, Arrays]:
        """One repetition, and what it computed."""
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            path = Path(folder) / "result.npz"
            self._connection.send(path)
            repetition = self._answer(Repetition)
            with np.load(path, allow_pickle=False) as arrays:
                return repetition, {name: arrays[name] for name in arrays.files}

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()

    def _answer(self, kind: type[Any]) -> Any:
        try:
            answer = self._connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(timeout=10)
            raise ChildError(f"{self.target} ended with {self._process.exitcode}") from None
        if not isinstance(answer, kind):
            raise ChildError(str(answer))
        return answer


def _serve(connection: Connection, target: str, arguments: tuple[Any, ...], threads: int) -> None:
    """The child's side of `Child`: an answer per question, a traceback where one cannot be given."""
    try:
        import torch

        torch.set_num_threads(threads)
        module, _, name = target.partition(":")
        set_up = getattr(importlib.import_module(module), name)
        libraries = peak_bytes()
        prepared: Prepared = set_up(*arguments)
        gc.collect()
        _forget_peak()
        connection.send(Ready(libraries, peak_bytes(), prepared.scale, prepared.note))
        while True:
            path = connection.recv()
            clock = Clock()
            found = prepared.run(clock)
            repetition = Repetition(clock.seconds, peak_bytes())
            np.savez(path, **found)  # type: ignore[arg-type]
            connection.send(repetition)
    except (EOFError, KeyboardInterrupt):  # the parent is done, or gone
        return
    except Exception:
        connection.send(traceback.format_exc())


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables for the processes that are started here."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def peak_bytes() -> int:
    """The largest resident memory of this process so far, or since `_forget_peak`.

    Linux counts the peak of `getrusage` on from the process that started this one; its `VmHWM` does not.
    """
    if STATUS.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
        if found:
            return int(found[1]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _forget_peak() -> None:
    """Sets the peak back to what is in memory now, where the system can; setting up may need more."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return
