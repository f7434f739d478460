"""What a run would take: the sum of what its stages say, with its start and its page."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iibench.cache.budget import share
from iibench.contract.base import Work
from iibench.runner.case_errors import task_error
from iibench.runner.estimate.machine import measured_machine
from iibench.runner.estimate.peak import resident
from iibench.stages.account import SOURCES, Account, Source, StageCost

if TYPE_CHECKING:
    from iibench.runner.estimate.machine import Machine
    from iibench.runner.session import Session

#: Seconds of Python itself, before the program can look at a clock.
INTERPRETER = 0.3
#: What took longer to load than this may have been made or downloaded just now.
LONG_LOAD = 5.0
#: Writing a run folder and its page: small operations in all, and for each case.
FOLDER_STEPS, CASE_STEPS = 1.2e6, 3.5e3
#: Bytes that the tables and pictures of a page take, with the programs that make them.
PAGE_BYTES = 200 << 20


@dataclass(frozen=True)
class Estimate:
    """The stages in the order in which they run, and the largest memory of the process in bytes.

    `left_out`: a line for each reason why cases are not counted to their end.
    """

    stages: tuple[StageCost, ...]
    peak: int
    left_out: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Of the whole run, from its start to its page."""
        return sum(stage.seconds for stage in self.stages)

    def shares(self) -> dict[Source, float]:
        """Seconds by where they come from."""
        found: dict[Source, float] = {}
        for source in SOURCES:
            stages = [s for s in self.stages if s.source == source and s.to_do]
            if stages:
                found[source] = sum(stage.seconds for stage in stages)
        return found


def estimate(
    session: Session,
    rates: Mapping[str, float],
    *,
    began: float | None = None,
    machine: Machine | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Estimate:
    """The stages that the session's cases need, what they share counted once, and the peak memory.

    Loads datasets, networks and metrics to make keys, and times a few batches; keeps nothing. Cases that
    the run will skip or end with an error, as far as that is seen here, are left out from the stage at
    which it does. `rates`: see `read_rates`. `began`: what `clock` showed when the program started.
    `machine`: how fast it is, None measures its processor and its GPU.
    """
    prepared = clock()
    context = session.stages.context
    processor = device = machine or measured_machine(clock)
    if machine is None and context.device == "cuda":
        device = measured_machine(clock, "cuda")
    limit = share(context.settings.memory, "arrays")
    account = Account(rates, processor.seconds, device.seconds, limit, clock)
    for case in session.cases:
        try:
            session.stages.of(case).cost(case, account)
        except Exception as error:
            account.leave_out(case.id, _first_line(error))
    for case_id, add in account.last():
        try:
            add()
        except Exception as error:
            account.leave_out(case_id, _first_line(error))
    start = _starting_seconds(session, 0.0 if began is None else prepared - began)
    account.keep(PAGE_BYTES)
    cases = len(session.cases)
    page = processor.seconds(Work(steps=FOLDER_STEPS + CASE_STEPS * cases))
    stages = (
        StageCost("start and loading", "runs", 1, 0, 0, start, "timed"),
        *account.stages.values(),
        StageCost("run folder and page", "cases", cases, 0, 0, page, "counted"),
    )
    left_out = (
        f"{ids[0]}{f' and {len(ids) - 1} more' if len(ids) > 1 else ''}: {reason}"
        for reason, ids in account.left_out.items()
    )
    return Estimate(stages, resident() + account.peak(), tuple(left_out))


def _first_line(error: Exception) -> str:
    return task_error(error).reason.partition("\n")[0]


def _starting_seconds(session: Session, before: float) -> float:
    """Seconds from the start until the first stage, and of loading metrics.

    `before`: what the program took until now. What it computed then (a dataset may be made of activations)
    is in the cache by now, and what took long to load was made or downloaded.
    """
    seconds = INTERPRETER + before
    for stage, (spent, _) in session.stages.context.clock.work.items():
        kind = stage.split()[0]
        if kind == "metric":  # loaded for the keys of the estimate, and not until now
            seconds += min(spent, LONG_LOAD)
        elif kind in {"dataset", "model"}:
            seconds -= max(0.0, spent - LONG_LOAD)
        else:
            seconds -= spent
    return max(INTERPRETER, seconds)
