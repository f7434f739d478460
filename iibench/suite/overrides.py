"""`--set KEY=VALUE`: changes to a suite's document before it is checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iibench.contract.errors import SuiteError, nearest
from iibench.suite.yaml_lines import Document, Path, parse_scalar


def override(document: Document, arguments: Sequence[str]) -> None:
    """Applies each `KEY=VALUE` in turn to the document's value.

    KEY is a dotted path; an entry of a list is named by its index or by its name, which stands for
    every entry of that name. VALUE is YAML. The last key may be new, so that a default can be
    changed; whether it exists is checked with the rest of the suite. Raises `SuiteError` naming the
    argument where the path leads nowhere.
    """
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals or not key:
            raise SuiteError(f"--set {argument}: found no '='; expected KEY=VALUE, such as seed=3")
        try:
            value = parse_scalar(text)
        except SuiteError as error:
            raise SuiteError(f"--set {argument}: {error}") from error
        _place(document, document.value, (), key.split("."), value, f"--set {argument}")


def _place(
    document: Document, inside: Any, path: Path, keys: list[str], value: Any, argument: str
) -> None:
    """Sets `value` at `keys` below `inside`, which stands at `path`."""
    key, rest = keys[0], keys[1:]
    if isinstance(inside, list):
        for index in _entries(inside, key, argument):
            if not rest:
                _set(document, inside, index, (*path, index), value, argument)
                continue
            if isinstance(inside[index], str):
                inside[index] = {"path" if path[-1:] == ("layers",) else "name": inside[index]}
            _place(document, inside[index], (*path, index), rest, value, argument)
    elif isinstance(inside, dict):
        if not rest:
            _set(document, inside, key, (*path, key), value, argument)
        elif key not in inside:
            raise SuiteError(f"{argument}: {_nothing(key, inside)}")
        else:
            if isinstance(inside[key], str):
                inside[key] = {"name": inside[key]}
            _place(document, inside[key], (*path, key), rest, value, argument)
    else:
        raise SuiteError(
            f"{argument}: found {'.'.join(keys)} below a single value; expected a shorter path"
        )


def _set(document: Document, inside: Any, key: Any, path: Path, value: Any, argument: str) -> None:
    inside[key] = value
    for places in (document.lines, document.overridden):
        for old in [place for place in places if place[: len(path)] == path]:
            del places[old]
    document.overridden[path] = argument


def _entries(inside: list[Any], key: str, argument: str) -> list[int]:
    """The indices that an index or a name stands for."""
    if key.isdecimal() and int(key) < len(inside):
        return [int(key)]
    names = [_name(entry) for entry in inside]
    found = [i for i, name in enumerate(names) if name == key or name.partition("[")[0] == key]
    if not found:
        raise SuiteError(f"{argument}: {_nothing(key, [n for n in names if n])}")
    return found


def _name(entry: Any) -> str:
    name = entry.get("name", entry.get("path", "")) if isinstance(entry, dict) else entry
    return str(name)


def _nothing(key: str, known: Any) -> str:
    close = nearest(key, known) or list(known)
    return f"found no {key!r} in the suite; expected a key of it; nearest: {', '.join(close)}"
