"""What can go wrong, as types. Each error is one sentence (or a few) for the person at the terminal.

`UsageError` and its subclasses end the program with exit code 4 and no traceback. `Skip` ends one
case, with its reason, and never the run.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Characters of a message that `one_line` shows.
LONGEST = 300


class IibenchError(Exception):
    """Base of every error that iibench raises on purpose; `str(error)` is the message shown."""


class UsageError(IibenchError):
    """The user asked for something that cannot be done as asked (exit code 4)."""


class SuiteError(UsageError):
    """A suite file is wrong. The message starts with `file:line`, then names key, value, expectation."""


class PluginError(UsageError):
    """A plugin cannot be imported, registers nonsense, or two plugins claim one name."""


class AssetError(UsageError):
    """A file that a plugin needs is missing, damaged or cannot be fetched.

    Inside a run it turns the cases that need the file into skipped ones, with this message.
    """


class CaseError(IibenchError):
    """The input of one case does not allow its computation (NMF on negative activations, K > n).

    The case gets status `error` with this message and no traceback; the run goes on.
    """


class Skip(IibenchError):  # noqa: N818 - named as pytest names it
    """Raised by a plugin to skip one case with a reason, e.g. labels asked of a dataset without any."""


def one_line(error: BaseException) -> str:
    """An error as part of a sentence: its type, unless it is iibench's own, and its message, cut."""
    text = " ".join(str(error).split()) or "no message"
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} ..."
    return text if isinstance(error, IibenchError) else f"{type(error).__name__}: {text}"


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names closest to `name`, best first (difflib ratio, cutoff 0.4)."""
    pool = sorted(set(known))
    close = difflib.get_close_matches(name, pool, n=limit, cutoff=0.4)
    inside = [n for n in pool if name and name.lower() in n.lower() and n not in close]
    return (close + inside)[:limit]


def unknown_name(kind: str, name: str, known: Iterable[str], listing: str | None = None) -> str:
    """One sentence: unknown `kind` `name`, its nearest names, and where all of them are listed."""
    pool = list(known)
    close = nearest(name, pool)
    text = f"unknown {kind} {name!r}"
    if close:
        text += f"; nearest: {', '.join(close)}"
    elif pool and len(pool) <= 12:
        text += f"; known: {', '.join(sorted(pool))}"
    if listing:
        text += f" (all of them: {listing})"
    return text
