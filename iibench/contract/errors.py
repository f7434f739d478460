"""What can go wrong, as types. Each error is one sentence (or a few) for the person at the terminal.

`UsageError` and its subclasses end the program with exit code 4 and no traceback. `Skip` ends one
case, with its reason, and never the run.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from iibench.contract.texts import text_of

#: Characters of a message that `one_line` shows.
LONGEST = 300


class IibenchError(Exception):
    """Base of every error that iibench raises on purpose; `str(error)` is the message shown.

    >>> try:
    ...     raise CaseError("NMF needs activations that are not negative")
    ... except IibenchError as error:
    ...     print(error)
    NMF needs activations that are not negative
    """


class UsageError(IibenchError):
    """The user asked for something that cannot be done as asked (exit code 4).

    >>> raise UsageError("--limit 0: expected 1 or more")
    Traceback (most recent call last):
    iibench.contract.errors.UsageError: --limit 0: expected 1 or more
    """


class SuiteError(UsageError):
    """A suite file is wrong. The message starts with `file:line`, then names key, value, expectation.

    >>> raise SuiteError("mine.yaml:7: metrics: found an empty list; expected at least one entry")
    Traceback (most recent call last):
    iibench.contract.errors.SuiteError: mine.yaml:7: metrics: found an empty list; expected at least one entry
    """


class PluginError(UsageError):
    """A plugin cannot be imported, registers nonsense, or two plugins claim one name.

    >>> raise PluginError("metric mine: embed of 2 inputs gave shape (2,), expected (2, d)")
    Traceback (most recent call last):
    iibench.contract.errors.PluginError: metric mine: embed of 2 inputs gave shape (2,), expected (2, d)
    """


class FileError(UsageError):
    """A file that the user named is missing, cannot be read, or does not hold what it must.

    It ends the program before a case runs. What the user did not name and cannot be had here is an
    `AssetError`.

    >>> raise FileError("directions 'dirs.npy': no such file; nearest: directions.npy")
    Traceback (most recent call last):
    iibench.contract.errors.FileError: directions 'dirs.npy': no such file; nearest: directions.npy
    """


class AssetError(UsageError):
    """A file or package that a plugin needs, and that the user did not name, cannot be had here.

    Inside a run it turns the cases that need it into skipped ones, with this message. A file that the
    user named is never such a reason: that is a `FileError`.

    >>> def load(params, split, harness):
    ...     raise AssetError("pictures.zip is not there; it can be had from https://example.org")
    >>> load(None, "test", None)
    Traceback (most recent call last):
    iibench.contract.errors.AssetError: pictures.zip is not there; it can be had from https://example.org
    """


class CaseError(IibenchError):
    """The input of one case does not allow its computation (NMF on negative activations, K > n).

    The case gets status `error` with this message and no traceback; the run goes on.

    >>> def fit(params, activations, context):
    ...     raise CaseError(f"16 directions are asked for and there are {len(activations)} images")
    >>> fit(None, np.ones((9, 4)), FitContext(seed=0))
    Traceback (most recent call last):
    iibench.contract.errors.CaseError: 16 directions are asked for and there are 9 images
    """


class Skip(IibenchError):  # noqa: N818 - named as pytest names it
    """Raised by a plugin to skip one case with a reason, e.g. labels asked of a dataset without any.

    >>> def evaluate(params, inputs):
    ...     if inputs.labels is None:
    ...         raise Skip("the images of this dataset have no labels")
    >>> evaluate(None, EvaluationInputs(None, None, None, labels=None, seed=0))
    Traceback (most recent call last):
    iibench.contract.errors.Skip: the images of this dataset have no labels
    """


def one_line(error: BaseException) -> str:
    """An error as part of a sentence: its type, unless it is iibench's own, and its message, cut.

    >>> one_line(ValueError("no   good")), one_line(Skip("no labels"))
    ('ValueError: no good', 'no labels')
    """
    text = " ".join(text_of(error).split()) or "no message"
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} ..."
    return text if isinstance(error, IibenchError) else f"{type(error).__name__}: {text}"


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names closest to `name`, best first (difflib ratio, cutoff 0.4).

    >>> nearest("kmean", ["kmeans", "nmf", "ica"])
    ['kmeans']
    """
    pool = sorted(set(known))
    close = difflib.get_close_matches(name, pool, n=limit, cutoff=0.4)
    inside = [n for n in pool if name and name.lower() in n.lower() and n not in close]
    return (close + inside)[:limit]


def unknown_name(kind: str, name: str, known: Iterable[str], listing: str | None = None) -> str:
    """One sentence: unknown `kind` `name`, its nearest names, and where all of them are listed.

    >>> unknown_name("finder", "kmean", ["kmeans", "nmf"])
    "unknown finder 'kmean'; nearest: kmeans"
    """
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
