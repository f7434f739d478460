"""The sections of a suite file, read one by one; what is wrong is noted in the document.

Each reader gets the document, the path of its value and the value, and returns what it could make
of it. Problems do not stop the reading, so that all of them are reported at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from iibench.contract.base import Spec
from iibench.contract.errors import PluginError, UsageError, unknown_name
from iibench.contract.specs import MetricSpec
from iibench.suite.cases import Choice
from iibench.suite.labels import format_value, read_label
from iibench.suite.param_types import shown
from iibench.suite.params import (
    ParamError,
    expand,
    label,
    label_values,
    parameter_names,
    parse_params,
    split_variant,
    unknown_parameter,
)
from iibench.suite.registry import Table
from iibench.suite.schema import RESERVED
from iibench.suite.yaml_lines import Document, Path


def read_mapping(
    doc: Document, path: Path, value: Any, required: Iterable[str], optional: Iterable[str]
) -> dict[str, Any] | None:
    """The value if it is a mapping, without its unknown keys; None if it is none."""
    if not isinstance(value, dict):
        doc.problem(path, f"found {shown(value)}; expected a mapping")
        return None
    known = [*required, *optional]
    for key in value:
        if key not in known:
            doc.problem((*path, key), unknown_name("key", key, known))
    for key in required:
        if key not in value:
            doc.problem(path, f"found no key {key!r}; expected it beside the others")
    return {key: item for key, item in value.items() if key in known}


def read_text(doc: Document, path: Path, value: Any) -> str:
    """The value if it is text that is not empty; "" if not."""
    if isinstance(value, str) and value.strip():
        return value
    hint = " (write it in quotes)" if isinstance(value, int | float) else ""
    doc.problem(path, f"found {shown(value)}; expected text{hint}")
    return ""


def read_number(
    doc: Document, path: Path, value: Any, ok: Callable[[float], bool], expected: str
) -> float | None:
    """The value if it is a number for which `ok` holds; None if not."""
    if not isinstance(value, bool) and isinstance(value, int | float) and ok(value):
        return value
    doc.problem(path, f"found {shown(value)}; expected {expected}")
    return None


def read_list(doc: Document, path: Path, value: Any) -> list[tuple[Path, Any]]:
    """The items of a list with their paths; a missing list is reported elsewhere."""
    if value is None and path not in doc.lines and path not in doc.overridden:
        return []
    if not isinstance(value, list):
        doc.problem(path, f"found {shown(value)}; expected a list")
        return []
    if not value:
        doc.problem(path, "found an empty list; expected at least one entry")
    return [((*path, i), item) for i, item in enumerate(value)]


# ------------------------------------------------------------------------------------- entries


@dataclasses.dataclass(frozen=True)
class EntryRead:
    """An entry that names a plugin: its spec, name as written, reserved keys, and parameters."""

    spec: Any
    name: str
    variant: str | None
    extras: dict[str, Any]
    values: dict[str, Any]
    reserved: tuple[str, ...]


def read_entry(doc: Document, path: Path, value: Any, table: Table[Any]) -> EntryRead | None:
    """A name, a label, or a mapping with `name`; None, and problems noted, where it is none."""
    reserved = RESERVED[table.kind]
    written: dict[str, Any] = value if isinstance(value, dict) else {"name": value}
    name, here = written.get("name"), (*path, "name") if isinstance(value, dict) else path
    if not isinstance(name, str):
        if isinstance(value, dict) and "name" not in value:
            doc.problem(path, f"found no key 'name'; expected the name of a {table.kind}")
        else:
            doc.problem(here, f"found {shown(name)}; expected the name of a {table.kind}")
        return None
    try:
        read = read_label(name)
        spec: Spec = table[read.name].spec
        variant = split_variant(spec, read.name)
        _check_reserved(spec, reserved)
    except PluginError:
        raise
    except UsageError as error:
        doc.problem(here, str(error))
        return None
    extras = {key: item for key, item in written.items() if key in reserved and key != "name"}
    values = {key: item for key, item in written.items() if key not in reserved}
    values = {**label_values(spec, read.params), **values}
    if read.part is not None:
        if "parts" not in reserved:
            doc.problem(here, f"found the part {read.part!r}; a {table.kind} has no parts")
        extras.setdefault("parts", read.part)
    return EntryRead(spec, read.name, variant, extras, values, reserved)


def _check_reserved(spec: Spec, reserved: tuple[str, ...]) -> None:
    for field in dataclasses.fields(spec.params):
        if field.name in reserved:
            raise PluginError(
                f"{spec.name}: its parameter {field.name!r} is a key of the suite format; "
                "the plugin must give it another name"
            )


def read_params(doc: Document, path: Path, read: EntryRead, reserved: Iterable[str]) -> list[Any]:
    """The params of every element of the product that the entry's lists span."""
    known = parameter_names(read.spec)
    for key in [key for key in read.values if key not in known]:
        doc.problem((*path, key), unknown_parameter(read.spec, key, reserved))
    values = {key: item for key, item in read.values.items() if key in known}
    found: list[Any] = []
    try:
        combinations = list(expand(read.spec, values))
    except ParamError as error:
        note(doc, path, error)
        return []
    for combination in combinations:
        try:
            found.append(parse_params(read.spec, combination, read.variant))
        except ParamError as error:
            note(doc, path, error)
    return found


def note(doc: Document, path: Path, error: ParamError) -> None:
    """Notes the problems of an entry's parameters, each with its key."""
    for key, message in error.problems:
        doc.problem((*path, key) if key else path, message)


def read_choices(
    doc: Document, path: Path, value: Any, table: Table[Any]
) -> Iterator[tuple[Path, EntryRead, Choice]]:
    """Every choice of a list of entries, each with its entry; the same label twice is a problem."""
    first: dict[str, Path] = {}
    for here, item in read_list(doc, path, value):
        read = read_entry(doc, here, item, table)
        if read is None:
            continue
        for choice in entry_choices(doc, here, read):
            if choice.label in first:
                line = doc.line(first[choice.label])
                doc.problem(
                    here, f"found {choice.label} again (first on line {line}); expected once"
                )
                continue
            first[choice.label] = here
            yield here, read, choice


def entry_choices(doc: Document, path: Path, read: EntryRead) -> Iterator[Choice]:
    """Every choice that one entry stands for: the product of its lists, and its parts."""
    for params in read_params(doc, path, read, read.reserved):
        for part in _parts(doc, path, read, params):
            shown_as = label(read.spec, params, part, read.name)
            yield Choice(read.name, params, shown_as, part)


def _parts(doc: Document, path: Path, read: EntryRead, params: Any) -> list[str | None]:
    """The parts of a metric that its entry asks for; None stands for the whole."""
    if not isinstance(read.spec, MetricSpec):
        return [None]
    known = read.spec.parts(params)
    asked = read.extras.get("parts", "sum")
    if asked == "all":
        return [None, *known]
    where = (*path, "parts")
    if asked == []:
        doc.problem(where, "found an empty list; expected sum, all or names of parts")
    found: list[str | None] = []
    for item in asked if isinstance(asked, list) else [asked]:
        name = format_value(item) if isinstance(item, int) else item
        if name == "sum":
            found.append(None)
        elif name in known:
            found.append(name)
        else:
            doc.problem(
                where, f"found {shown(item)}; expected sum, all, or of its parts: {_listed(known)}"
            )
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "(it has none)"
