"""The time that stages took, and what one unit of their work takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Clock:
    """Seconds and units of work per stage."""

    def __init__(self) -> None:
        #: stage -> (seconds, units of work) of the whole run
        self.work: dict[str, tuple[float, int]] = {}
        self._recent: dict[str, float] = {}
        self._rated: dict[str, tuple[float, int]] = {}

    @contextmanager
    def stage(self, name: str, amount: int = 1, rate: str = "") -> Iterator[None]:
        """Times a stage of `amount` units of work; stages within it are not counted twice.

        `rate`: the name of this work, whose seconds of one unit a later run may go by; work that raises
        gives none.
        """
        before = sum(self._recent.values())
        start = time.perf_counter()
        ended = False
        try:
            yield
            ended = True
        finally:
            within = sum(self._recent.values()) - before
            spent = time.perf_counter() - start - within
            self._recent[name] = self._recent.get(name, 0.0) + spent
            _add(self.work, name, spent, amount)
            if rate and ended:
                _add(self._rated, rate, spent, amount)

    def take(self) -> dict[str, float]:
        """Seconds per stage since the last call."""
        recent, self._recent = self._recent, {}
        return recent

    def rates(self) -> Mapping[str, float]:
        """Name of a rate -> seconds of one unit."""
        return {name: seconds / units for name, (seconds, units) in self._rated.items() if units}


def _add(times: dict[str, tuple[float, int]], name: str, seconds: float, amount: int) -> None:
    before, units = times.get(name, (0.0, 0))
    times[name] = (before + seconds, units + amount)
