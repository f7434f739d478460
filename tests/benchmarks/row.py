"""A row: a named piece of work, iibench and its peer on the same inputs, and a goal."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.benchmarks.processes import Arrays, Child, Prepared, Ready, Repetition
from tests.benchmarks.sizes import Sizes


@dataclass(frozen=True)
class Row:
    """`ours` and `theirs` set up the two sides, each in its own process.

    `work` and `peer` say what they do. `check` compares the arrays of both and raises where they do not
    agree; None where there is nothing to compare. `goal`: the peer takes that many times as long, or
    more; where `peer_is_limit`, ours takes at most that many times as long. `memory_gib`: ours stays
    below that, too.
    """

    name: str
    work: Callable[[Sizes], str]
    peer: Callable[[Sizes], str]
    ours: Callable[[Sizes], Prepared]
    theirs: Callable[[Sizes], Prepared]
    check: Callable[[Arrays, Arrays], None] | None
    goal: float
    peer_is_limit: bool = False
    memory_gib: float | None = None


@dataclass
class Timed:
    """Scaled seconds of each repetition, and the memory of one side (bytes)."""

    ready: Ready
    seconds: list[float] = field(default_factory=list)
    peak: int = 0

    def add(self, repetition: Repetition, counts: bool) -> None:
        """Takes in a repetition; memory counts even where the time does not (warm-up)."""
        self.peak = max(self.peak, repetition.peak)
        if counts:
            self.seconds.append(repetition.seconds * self.ready.scale)

    def summary(self) -> dict[str, Any]:
        """As it is written; memory in MiB."""
        return {
            "seconds": [round(s, 6) for s in self.seconds],
            **spread(self.seconds),
            "scale": self.ready.scale,
            "mib_libraries": _mib(self.ready.libraries),
            "mib_set_up": _mib(self.ready.set_up),
            "mib_peak": _mib(self.peak),
            "mib_beyond_inputs": _mib(max(0, self.peak - self.ready.set_up)),
        }


def measure(row: Row, sizes: Sizes, repeat: int, threads: int) -> dict[str, Any]:
    """Both sides in turn, `repeat` times after a warm-up of each.

    Raises `ChildError` where a side fails, `AssertionError` where the two do not agree.
    """
    prepare = f"{__package__}.rows:prepare"
    with Child(prepare, (row.name, "ours", sizes), threads):
        pass  # the inputs that both share are made, so that neither side's memory has traces of that
    with (
        Child(prepare, (row.name, "ours", sizes), threads) as our_child,
        Child(prepare, (row.name, "theirs", sizes), threads) as their_child,
    ):
        ours, theirs = Timed(our_child.ready), Timed(their_child.ready)
        for turn in range(repeat + 1):
            mine, found = our_child.run()
            peer, expected = their_child.run()
            if row.check is not None:
                row.check(found, expected)
            ours.add(mine, turn > 0)
            theirs.add(peer, turn > 0)
    return result(row, sizes, ours, theirs)


def result(row: Row, sizes: Sizes, ours: Timed, theirs: Timed) -> dict[str, Any]:
    """The row as it is written: seconds, memory, the ratios of paired repetitions, the goal."""
    pairs = list(zip(ours.seconds, theirs.seconds, strict=True))
    ratios = [o / p if row.peer_is_limit else p / o for o, p in pairs]
    middle = statistics.median(ratios)
    reached = middle <= row.goal if row.peer_is_limit else middle >= row.goal
    if row.memory_gib is not None:
        reached = reached and ours.peak < row.memory_gib * 2**30
    plain = {f.name: getattr(sizes, f.name) for f in dataclasses.fields(sizes)}
    return {
        "kind": "peer",
        "name": row.name,
        "work": row.work(sizes),
        "inputs": ours.ready.note,
        "peer": row.peer(sizes),
        "compared": row.check is not None,
        "ours": ours.summary(),
        "theirs": theirs.summary(),
        "ratio": {"of": "ours / limit" if row.peer_is_limit else "peer / ours", **spread(ratios)},
        "goal": {"ratio": row.goal, "memory_gib": row.memory_gib},
        "reached": reached,
        "sizes": {name: v for name, v in plain.items() if isinstance(v, int)},
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    found = {"median": statistics.median(values), "low": min(values), "high": max(values)}
    return {name: round(float(value), 6) for name, value in found.items()}


def _mib(count: int) -> float:
    return round(count / 2**20, 1)


def close(atol: float) -> Callable[[Arrays, Arrays], None]:
    """A check: the arrays of the peer are the first columns of ours, to `atol`."""

    def check(ours: Arrays, theirs: Arrays) -> None:
        assert set(ours) == set(theirs), f"{sorted(ours)} against {sorted(theirs)}"
        for name, expected in theirs.items():
            found = ours[name][..., : expected.shape[-1]]
            np.testing.assert_allclose(found, expected, rtol=0, atol=atol, err_msg=name)

    return check


def nearly(mean: float, largest: float) -> Callable[[Arrays, Arrays], None]:
    """Like `close`, on average and at most.

    Which of images of equal response a trial shows is drawn by us and left to their order by the peer.
    """

    def check(ours: Arrays, theirs: Arrays) -> None:
        assert set(ours) == set(theirs), f"{sorted(ours)} against {sorted(theirs)}"
        for name, expected in theirs.items():
            gap = np.abs(ours[name][..., : expected.shape[-1]] - expected)
            assert gap.mean() <= mean and gap.max() <= largest, (
                f"{name}: differs by {gap.mean():.4f} on average and {gap.max():.4f} at most"
            )

    return check
