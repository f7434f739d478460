"""Parts of a run that may fail without taking the scores along."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from iibench.contract.errors import one_line


@dataclass(frozen=True)
class Attempts:
    """Which parts of a run could not be made, and why. `note` is told of those that nothing makes later.

    >>> attempts = Attempts(print)
    >>> with attempts.at("the thumbnails"):
    ...     raise ValueError("no image")
    the thumbnails could not be made: ValueError: no image
    >>> attempts.missing
    ['the thumbnails could not be made: ValueError: no image']
    """

    note: Callable[[str], None]
    missing: list[str] = field(default_factory=list)

    @contextmanager
    def at(self, part: str, again: bool = False) -> Iterator[None]:
        """What is done within is this part; an error in it is noted. `again`: `iibench report` makes it."""
        try:
            yield
        except Exception as error:
            self.failed(part, error, again)

    def failed(self, part: str, error: Exception, again: bool = False) -> None:
        """Notes that a part could not be made."""
        text = f"{part} could not be made: {one_line(error)}"
        if text not in self.missing:
            self.missing.append(text)
            if not again:
                self.note(text)
