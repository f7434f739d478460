"""One check, a report of many, and how a rule becomes a check whatever the plugin does."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from iibench.contract.errors import AssetError, Skip, one_line
from iibench.hooks.user_code.guard import contained

Status = Literal["passed", "failed", "skipped"]
T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """What one rule found.

    `seen`: what the plugin did (of a skipped check, why it was skipped). `expected`: what it must do.
    `cause`: of a failed check, the likely cause and the remedy, in a sentence or two; else "".

    >>> Check("quiet", "failed", "3 lines", "nothing is printed", "a print was left in").status
    'failed'
    """

    name: str
    status: Status
    seen: str
    expected: str
    cause: str


@dataclass(frozen=True)
class CheckReport:
    """All checks of one registered thing: its `kind` (`metric`), its `name` or label, the `checks`.

    >>> quiet = Check("quiet", "failed", "3 lines", "nothing is printed", "a print was left in")
    >>> report = CheckReport("metric", "mine", (quiet,))
    >>> print(report)
    metric mine: 0 checks passed, 1 failed, 0 skipped
      quiet
        seen: 3 lines
        expected: nothing is printed
        likely cause: a print was left in
    >>> report["quiet"] is quiet
    True
    """

    kind: str
    name: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> tuple[Check, ...]:
        """The checks that passed."""
        return self._with("passed")

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return self._with("failed")

    @property
    def skipped(self) -> tuple[Check, ...]:
        """The checks that could not be made, or that do not apply."""
        return self._with("skipped")

    def __getitem__(self, name: str) -> Check:
        """The first check of that name; raises `KeyError` where there is none."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def __str__(self) -> str:
        """How many checks passed, failed and were skipped, and every failed one."""
        lines = [
            f"{self.kind} {self.name}: {len(self.passed)} checks passed, {len(self.failed)} failed, "
            f"{len(self.skipped)} skipped"
        ]
        for check in self.failed:
            lines.append(f"  {check.name}")
            lines.append(f"    seen: {check.seen}")
            lines.append(f"    expected: {check.expected}")
            lines.append(f"    likely cause: {check.cause}")
        return "\n".join(lines)

    def raise_if_failed(self) -> None:
        """Raises `AssertionError` that lists the failed checks; for a plugin's own tests."""
        if self.failed:
            raise AssertionError(str(self))

    def _with(self, status: Status) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.status == status)


@dataclass(frozen=True)
class Finding:
    """What a rule's look at a plugin gave; `expected`: instead of the rule's own, where not ""."""

    status: Status
    seen: str
    cause: str = ""
    expected: str = ""


def good(seen: str) -> Finding:
    """The rule is kept."""
    return Finding("passed", seen)


def wrong(seen: str, cause: str, expected: str = "") -> Finding:
    """The rule is broken."""
    return Finding("failed", seen, cause, expected)


def not_applicable(why: str) -> Finding:
    """The rule does not apply, or what it needs is not there."""
    return Finding("skipped", why)


@dataclass(frozen=True)
class Rule(Generic[T]):
    """`look` at what is under test; what it must do is `expected`.

    `cause`: the likely cause where `look` raises an error that it does not handle itself.
    """

    name: str
    expected: str
    look: Callable[[T], Finding]
    cause: str = "the plugin raised an error where it must give a value"


def judge(rules: Iterable[Rule[T]], subject: T) -> tuple[Check, ...]:
    """One check per rule, in their order.

    `Skip` and `AssetError` make it a skipped one, anything else that is raised a failed one with its message.
    """
    return tuple(_judged(rule, subject) for rule in rules)


def _judged(rule: Rule[T], subject: T) -> Check:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with contained():
                found = rule.look(subject)
        except (Skip, AssetError) as error:
            found = not_applicable(one_line(error))
        except Exception as error:
            found = wrong(f"raised {one_line(error)}", rule.cause)
    expected = found.expected or rule.expected
    return Check(rule.name, found.status, found.seen, expected, found.cause)


def failed_load(
    kind: str, name: str, rules: Iterable[Rule[T]], error: Exception, cause: str
) -> CheckReport:
    """The report where loading raised: `load` skipped for want of a file and failed for anything else.

    `cause`: what is likely; where a file was not found, that the working folder is an empty one.
    """
    if isinstance(error, FileNotFoundError):
        cause = "a file is sought relative to the working folder, which is an empty one in checks"
    expected = "what is registered can be loaded"
    missing = isinstance(error, Skip | AssetError)
    first = Check(
        "load",
        "skipped" if missing else "failed",
        one_line(error) if missing else f"load raised {one_line(error)}",
        expected,
        "" if missing else cause,
    )
    others = [Check(rule.name, "skipped", "it was not loaded", rule.expected, "") for rule in rules]
    return CheckReport(kind, name, (first, *others))
