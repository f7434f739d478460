"""The time that stages took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Seconds and units of work per stage."""

    def __init__(self) -> None:
        #: stage -> (seconds, units of work) of the whole run
        self.work: dict[str, tuple[float, int]] = {}
        self._recent: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, amount: int = 1) -> Iterator[None]:
        """Times a stage of `amount` units of work; stages within it are not counted twice."""
        before = sum(self._recent.values())
        start = time.perf_counter()
        try:
            yield
        finally:
            within = sum(self._recent.values()) - before
            spent = time.perf_counter() - start - within
            self._recent[name] = self._recent.get(name, 0.0) + spent
            seconds, units = self.work.get(name, (0.0, 0))
            self.work[name] = (seconds + spent, units + amount)

    def take(self) -> dict[str, float]:
        """Seconds per stage since the last call."""
        recent, self._recent = self._recent, {}
        return recent
