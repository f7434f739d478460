"""What calls of a plugin left behind, as findings: the same for plugins of every kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from iibench.testing.checks import Finding, Rule, good, wrong
from iibench.testing.state import Watched

T = TypeVar("T")

SEEDED = (
    "torch.manual_seed, numpy.random.seed or random.seed is called: everything random after it, in "
    "other plugins too, repeats without a word; use a generator of your own, or torch.random.fork_rng"
)
HUB = (
    "a setting of the whole process is changed for good; torch.hub.set_dir (as dreamsim calls it) makes "
    "other plugins look for their weights in another place; put it back, or pass a folder"
)
STATE = (
    "a setting of the whole process is changed for good, and other plugins compute differently after "
    "it; put it back"
)
WRITTEN = (
    "files are kept relative to the working folder (as dreamsim's ./models is), so they are there in "
    "one folder and missing in another; have them from harness.asset(...), or write below "
    "harness.cache_dir / 'derived'"
)
PRINTED = "a library talks while loading (lpips has verbose=False), or a print was left in"


def generators(calls: Mapping[str, tuple[Watched[Any], Watched[Any]]]) -> Finding:
    """Two calls each, begun with the generators in different states, must not end in one state."""
    for name, (first, second) in calls.items():
        reset = first.random_after.shared_with(second.random_after)
        if reset:
            generators = " and ".join(reset)
            return wrong(
                f"{name} sets the global generator of {generators} to a fixed state", SEEDED
            )
    return good("the global generators are not reset")


def left_as_found(calls: Callable[[T], Sequence[Watched[Any]]]) -> tuple[Rule[T], ...]:
    """The rules about what the calls of a thing under test must leave as it was."""
    return (
        Rule(
            "process state",
            "the settings of the process are left as they were",
            lambda subject: settings(calls(subject)),
        ),
        Rule(
            "working folder",
            "nothing is written to the working folder",
            lambda subject: working_folder(calls(subject)),
        ),
        Rule(
            "quiet",
            "nothing is printed to standard output",
            lambda subject: printed(calls(subject)),
        ),
    )


def settings(calls: Sequence[Watched[Any]]) -> Finding:
    """Settings of the process that calls changed."""
    changes = list(dict.fromkeys(change for call in calls for change in call.changes))
    if not changes:
        return good("unchanged")
    hub = any("hub" in change or "TORCH_HOME" in change for change in changes)
    return wrong("; ".join(changes[:4]), HUB if hub else STATE)


def working_folder(calls: Sequence[Watched[Any]]) -> Finding:
    """Files that calls left in the working folder."""
    written = list(dict.fromkeys(name for call in calls for name in call.written))
    if not written:
        return good("nothing was written")
    more = f" and {len(written) - 4} more" if len(written) > 4 else ""
    return wrong(f"new: {', '.join(written[:4])}{more}", WRITTEN)


def printed(calls: Sequence[Watched[Any]]) -> Finding:
    """What calls printed to standard output."""
    lines = [line for call in calls for line in call.printed.splitlines() if line.strip()]
    if not lines:
        return good("nothing was printed")
    return wrong(f"{len(lines)} lines, the first: {lines[0].strip()[:100]!r}", PRINTED)
