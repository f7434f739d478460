"""Values made once within a run, and the time that making them took."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True)
class _Failed:
    """An error in place of a value."""

    error: Exception


class Memo:
    """Values by name. A value that could not be made fails again with the same error.

    `limit`: bytes of large arrays that are kept between the cases of a run; mapped files do not count.
    """

    def __init__(self, limit: int = 4 << 30) -> None:
        self.limit = limit
        self._values: dict[str, Any] = {}
        self._arrays: OrderedDict[str, Any] = OrderedDict()

    def once(self, name: str, make: Callable[[], T]) -> T:
        """The value of `make`, which is called at most once per name."""
        if name not in self._values:
            try:
                self._values[name] = make()
            except Exception as error:
                self._values[name] = _Failed(error)
        value = self._values[name]
        if isinstance(value, _Failed):
            raise value.error
        return value  # type: ignore[no-any-return]

    def kept(self, name: str, make: Callable[[], T]) -> T:
        """Like `once` for large arrays that can be made again: the least recently used are let go."""
        if name in self._arrays:
            self._arrays.move_to_end(name)
            return self._arrays[name]  # type: ignore[no-any-return]
        failed = self._values.get(name)
        if isinstance(failed, _Failed):
            raise failed.error
        try:
            value = make()
        except Exception as error:
            self._values[name] = _Failed(error)
            raise
        self._arrays[name] = value
        while len(self._arrays) > 1 and self._held() > self.limit:
            self._arrays.popitem(last=False)
        return value

    def forget(self, name: str) -> None:
        """Has the value made, or read, again when it is asked for next."""
        self._values.pop(name, None)
        self._arrays.pop(name, None)

    def _held(self) -> int:
        return sum(a.nbytes for a in self._arrays.values() if not isinstance(a, np.memmap))
