"""Texts and numbers as files can hold them: the one place where they are made so.

Names of files may hold bytes that are no characters (Python has them as lone surrogates), and a plugin may
hand on anything; UTF-8, JSON and Parquet take neither.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")


def writable(value: T) -> T:
    r"""The same with every text in it such that UTF-8 can hold it: lone surrogates as `\udce9`.

    Goes through tuples, lists, mappings, dataclasses and arrays of text; what holds no such text is given
    back as it is.

    >>> print(writable(("caf\udce9.png", 3))[0])
    caf\udce9.png
    """
    return cast("T", _writable(value))


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return value if _is_writable(value) else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        found = {_writable(key): _writable(item) for key, item in value.items()}
        same = all(a is b for a, b in zip(value, found, strict=False)) and all(
            a is b for a, b in zip(value.values(), found.values(), strict=False)
        )
        return value if same else found
    if isinstance(value, tuple | list):
        items = [_writable(item) for item in value]
        if all(a is b for a, b in zip(value, items, strict=True)):
            return value
        return type(value)._make(items) if hasattr(value, "_make") else type(value)(items)
    if _is_of_numpy(value, "ndarray"):
        return _writable_array(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _writable_record(value)
    return value


def _writable_array(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype.kind not in "OTU":
        return array
    import numpy as np

    items = array.ravel().tolist()
    texts = _writable(items)
    if texts is items:
        return array
    return np.array(texts, object if array.dtype.kind == "O" else str).reshape(array.shape)


def _writable_record(record: Any) -> Any:
    changed = {}
    for field in dataclasses.fields(record):
        old = getattr(record, field.name)
        new = _writable(old)
        if new is not old and field.init:
            changed[field.name] = new
    return dataclasses.replace(record, **changed) if changed else record


def _is_of_numpy(value: object, *types: str) -> bool:
    numpy = sys.modules.get("numpy")  # a command that prints help does without it
    return numpy is not None and isinstance(value, tuple(getattr(numpy, name) for name in types))


def _is_writable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain_json(value: Any) -> Any:
    """A value as JSON can hold it: numbers that are not finite as None, what JSON does not know as text.

    >>> import numpy as np
    >>> plain_json({"mean": float("inf"), "size": np.int64(3), 4: {"a"}})
    {'mean': None, 'size': 3, '4': ['a']}
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _writable(str(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {text_of(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [plain_json(item) for item in value]
    if _is_of_numpy(value, "generic", "ndarray"):
        return plain_json(value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain_json(getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
    return text_of(value)


def text_of(value: object) -> str:
    """`str(value)` that can be written, also of what fails at it (an exception with a faulty `__str__`).

    >>> class Mute(Exception):
    ...     def __str__(self):
    ...         raise RuntimeError
    >>> text_of(Mute())
    'a Mute without a text'
    """
    try:
        return str(_writable(str(value)))
    except Exception:
        return f"a {type(value).__name__} without a text"
