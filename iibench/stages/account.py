"""What cases would take before they run: each piece of work once, added up stage by stage.

The seconds of a piece are `measured` by earlier runs of the same work, `timed` on a little of it now,
`counted` in operations at this machine's speed, or a `guess`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from iibench.cache.memo import Memo
from iibench.contract.base import Work

Source = Literal["measured", "timed", "counted", "guess"]
#: From the best to the worst.
SOURCES: Final[tuple[Source, ...]] = ("measured", "timed", "counted", "guess")
#: Seconds that importing a module of `Work.imports` takes, with all that it imports.
IMPORT_SECONDS = 2.0


@dataclass(frozen=True)
class StageCost:
    """One stage: units of work to do and already cached, bytes of its arrays that are in memory at the same
    time, seconds and their source."""

    stage: str
    unit: str
    to_do: int
    cached: int
    memory: int
    seconds: float
    source: Source


@dataclass
class Account:
    """What stages say that they cost. `rates`: name -> seconds of one unit; `speed`: counted work ->
    seconds on the processor, `device_speed`: on the run's device; `limit`: bytes of arrays that are kept
    between cases."""

    rates: Mapping[str, float]
    speed: Callable[[Work], float]
    device_speed: Callable[[Work], float]
    limit: int
    clock: Callable[[], float] = time.perf_counter
    stages: dict[str, StageCost] = field(default_factory=dict)
    memo: Memo = field(default_factory=Memo)
    #: reason -> ids of the cases that are left out for it
    left_out: dict[str, list[str]] = field(default_factory=dict)
    _last: dict[str, tuple[str, Callable[[], None]]] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _kept: int = 0
    _between: int = 0
    _needed: int = 0

    def add(
        self,
        stage: str,
        unit: str,
        to_do: int,
        cached: int,
        seconds: float = 0.0,
        source: Source = "measured",
        memory: int = 0,
    ) -> None:
        """Adds work to a stage; its source is the worst of what it is made of."""
        old = self.stages.get(stage)
        if old is None:
            self.stages[stage] = StageCost(stage, unit, to_do, cached, memory, seconds, source)
            return
        self.stages[stage] = replace(
            old,
            to_do=old.to_do + to_do,
            cached=old.cached + cached,
            memory=old.memory + memory,
            seconds=old.seconds + seconds,
            source=max(old.source, source, key=SOURCES.index) if to_do else old.source,
        )

    def new(self, name: str) -> bool:
        """Whether this piece of work is met for the first time."""
        first = name not in self._seen
        self._seen.add(name)
        return first

    def at_end(self, name: str, case: str, add: Callable[[], None]) -> None:
        """Has `add` called when all cases have been added, once by name; `case`: on whose account."""
        self._last.setdefault(name, (case, add))

    def leave_out(self, case: str, reason: str) -> None:
        """Notes that a case is not counted from the stage on at which it fails."""
        ids = self.left_out.setdefault(reason, [])
        if case not in ids:
            ids.append(case)

    def last(self) -> list[tuple[str, Callable[[], None]]]:
        """(case, what is to be called at the end)."""
        return list(self._last.values())

    def imports(self, work: Work) -> float:
        """Seconds of what the work imports that nothing imported before it."""
        return IMPORT_SECONDS * sum(self.new(f"import {name}") for name in work.imports)

    # ------------------------------------------------------------------------------ memory

    def keep(self, size: int) -> None:
        """Bytes of an array that is held, or mapped from disk and read, until the run ends."""
        self._kept += size

    def keep_between(self, size: int) -> None:
        """Bytes of an array that is let go where there is no room for it."""
        self._between += size

    def need(self, size: int) -> None:
        """Bytes of arrays that one stage holds at the same time and lets go."""
        self._needed = max(self._needed, size)

    def peak(self) -> int:
        """Bytes of all arrays that are held when most are."""
        return self._kept + min(self._between, self.limit) + self._needed
