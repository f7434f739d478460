"""Parameter types in words, and how deep their lists are nested."""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from iibench.suite.labels import format_value

_WORDS: dict[Any, str] = {
    int: "integer",
    float: "number",
    str: "text",
    bool: "true | false",
    type(None): "none",
}
_SEQUENCES = (tuple, list, set, frozenset, Sequence, Iterable)
_BOUNDS = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))


def type_text(hint: Any) -> str:
    """A parameter's type in words: `integer >= 1`, `alex | vgg`, `list of number`, `text or none`."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _bounded(type_text(args[0]), args[1:])
    if origin is Literal:
        return " | ".join(format_value(arg) for arg in args)
    if origin in (Union, types.UnionType):
        return " or ".join(type_text(arg) for arg in args)
    if origin in _SEQUENCES:
        kinds = list(dict.fromkeys(type_text(arg) for arg in args if arg is not Ellipsis))
        size = f"{len(args)} " if origin is tuple and Ellipsis not in args else ""
        return f"list of {size}{' or '.join(kinds)}"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def _bounded(text: str, constraints: Iterable[Any]) -> str:
    """`text` with its bounds (annotated_types) in words."""
    found: dict[str, Any] = {}
    for constraint in constraints:
        for name in ("gt", "ge", "lt", "le", "min_length", "max_length"):
            bound = getattr(constraint, name, None)
            if bound is not None:
                found[name] = bound
    bounds = [f"{sign} {format_value(found[name])}" for name, sign in _BOUNDS if name in found]
    if found.get("min_length"):
        bounds.append(f"with at least {found['min_length']} items")
    if "max_length" in found:
        bounds.append(f"with at most {found['max_length']} items")
    return " ".join((text, " and ".join(bounds))).rstrip()


def shown(value: Any) -> str:
    """A value as it is quoted in a message: JSON, cut after 60 characters, text marked as text."""
    text = json.dumps(value, ensure_ascii=False)
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return f"{text} (text)" if isinstance(value, str) else text


def literals(hint: Any) -> Iterator[Any]:
    """Every value that a `Literal` anywhere in the type allows."""
    if get_origin(hint) is Literal:
        yield from get_args(hint)
    else:
        for arg in get_args(hint):
            yield from literals(arg)


def type_depth(hint: Any) -> int:
    """How many lists a value of the type is nested in: 0 for `int`, 1 for `tuple[int, ...]`."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return type_depth(args[0])
    inner = max((type_depth(arg) for arg in args if arg is not Ellipsis), default=0)
    if origin in (Union, types.UnionType):
        return inner
    return 1 + inner if origin in _SEQUENCES or hint in _SEQUENCES else 0


def value_depth(value: Any) -> int:
    """How many lists a value is nested in: 0 for 256, 1 for [1, 2]."""
    if not isinstance(value, list):
        return 0
    return 1 + max((value_depth(item) for item in value), default=0)
