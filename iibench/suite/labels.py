"""Labels as text: `kmeans[k=256]`, `lpips[3,input=paper2310]`, how they are written and read.

A label is a name and, in brackets, items separated by commas: an item without `=` is a part, the
others are parameters. Text that would be misread is in JSON quotes.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from iibench.contract.errors import SuiteError, UsageError, nearest
from iibench.suite.cases import Choice
from iibench.suite.yaml_lines import parse_scalar

if TYPE_CHECKING:
    from iibench.contract.reports import Named


#: The parameter that a model's name carries after a colon, instead of its label's brackets.
VARIANT = "variant"
_SPECIAL = re.compile(r'[/\[\],="+\s]')


@dataclass(frozen=True)
class Written:
    """A label taken apart; parameter values are still text."""

    name: str
    part: str | None = None
    params: dict[str, str] = field(default_factory=dict)


def format_value(value: Any, inside: bool = False) -> str:
    """A parameter's value in a label: 0.05, 256, true, none, a+b+c, text (quoted where it must be).

    `inside`: the value is an element of a list, where a `+` must be quoted too.
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "0" if value == 0 else repr(value).removesuffix(".0")
    if isinstance(value, tuple | list):
        return "+".join(format_value(item, inside=True) for item in value)
    if isinstance(value, str):
        special = _SPECIAL.search(value if inside else value.replace("+", ""))
        return json.dumps(value, ensure_ascii=False) if special or not value else value
    if isinstance(value, int):
        return str(value)
    return json.dumps(json.dumps(value, sort_keys=True, default=str))


def read_value(text: str) -> Any:
    """A value in a label as a plain value; what is no YAML stands for itself."""
    if text.startswith(("|", ">")):  # the head of a block, which a label never holds
        return text
    try:
        value = parse_scalar(text)
    except SuiteError:
        return text
    return text if isinstance(value, dict | list) or value is None else value


def default_of(field: dataclasses.Field[Any]) -> Any:
    """The field's default, `dataclasses.MISSING` where it has none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def join_label(name: str, items: Sequence[str]) -> str:
    """`name[item,item]`, or the name alone where there are no items."""
    return f"{name}[{','.join(items)}]" if items else name


def split_outside(text: str, separator: str) -> list[str]:
    """`text` at each separator that stands neither in brackets nor in double quotes."""
    pieces, start = [], 0
    for i in outside(text):
        if text[i] == separator:
            pieces.append(text[start:i])
            start = i + 1
    return [*pieces, text[start:]]


def outside(text: str) -> Iterator[int]:
    """Positions of the characters that stand neither in brackets nor in double quotes."""
    depth, quoted, i = 0, False, 0
    while i < len(text):
        char = text[i]
        if quoted and char == "\\":
            i += 1
        elif char == '"':
            quoted = not quoted
        elif not quoted:
            depth += (char == "[") - (char == "]")
            if depth == 0:
                yield i
        i += 1


def read_label(text: str) -> Written:
    """Takes a label apart; raises `UsageError` where its brackets or items are wrong."""
    name, bracket, rest = text.partition("[")
    if not bracket:
        return Written(text.strip())
    if not rest.endswith("]") or not name:
        raise UsageError(f"found {text!r}; expected a name or a label such as name[key=value]")
    part: str | None = None
    params: dict[str, str] = {}
    for number, item in enumerate(split_outside(rest[:-1], ",")):
        key, equals, value = item.strip().partition("=")
        if not equals and number == 0 and key:
            part = key
        elif not equals or not key or key in params:
            raise UsageError(f"found {item!r} in {text!r}; expected key=value, each key once")
        else:
            params[key] = value
    return Written(name.strip(), part, params)


def resolve(kind: str, reference: str, choices: Iterable[Choice]) -> Choice:
    """The choice that a reference names: by its label, or by as much of it as tells it apart.

    Parameters that the reference leaves out are at their default, or else only one choice has the
    ones that it gives. Raises `UsageError` with the nearest labels where none or several fit.
    """
    pool = list(choices)
    for choice in pool:
        if choice.label == reference:
            return choice
    wanted = read_label(reference)
    given = {key: format_value(read_value(text)) for key, text in wanted.params.items()}
    fitting = [
        c for c in pool if c.name == wanted.name and c.part == wanted.part and _has(c, given)
    ]
    plain = [c for c in fitting if _others_default(c, given)]
    for found in (plain, fitting):
        if len(found) == 1:
            return found[0]
    labels = [c.label for c in pool]
    if fitting:
        raise UsageError(
            f"{reference!r} is any of {', '.join(c.label for c in fitting)}; expected one {kind}"
        )
    names = nearest(wanted.name, (c.name for c in pool))
    close = nearest(reference, labels) or [c.label for c in pool if c.name in names][:3]
    listed = f"nearest: {', '.join(close)}" if close else f"known: {', '.join(labels[:12])}"
    raise UsageError(f"found {reference!r}; expected one of this suite's {kind}s; {listed}")


def _has(choice: Choice, given: dict[str, str]) -> bool:
    values = {f.name: getattr(choice.params, f.name) for f in dataclasses.fields(choice.params)}
    return all(key in values and format_value(values[key]) == text for key, text in given.items())


def _others_default(choice: Choice, given: dict[str, str]) -> bool:
    return all(
        getattr(choice.params, f.name) == default_of(f)
        for f in dataclasses.fields(choice.params)
        if f.name not in given and f.name != VARIANT
    )


def base_of(metric: Named) -> str:
    """A metric's name and parameters without its part, as text to compare."""
    return json.dumps([metric.name, metric.params], sort_keys=True)
