"""Parameters of plugins: checked against a spec's dataclass, expanded from lists, described.

Values are checked as JSON and strictly: an integer does for a number and a list for a tuple, but "256"
does not do for 256 nor `true` for 1.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, get_type_hints

from iibench.contract.base import Spec
from iibench.contract.errors import PluginError, UsageError, nearest, unknown_name
from iibench.contract.specs import ModelSpec
from iibench.suite.labels import (
    VARIANT,
    default_of,
    format_value,
    join_label,
    read_value,
    split_outside,
)
from iibench.suite.param_types import literals, shown, type_depth, type_text, value_depth

if TYPE_CHECKING:
    from pydantic import TypeAdapter


class ParamError(UsageError):
    """Values that are no parameters of a spec: `problems` are (key or None, message) pairs."""

    def __init__(self, problems: Sequence[tuple[str | None, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{k}: {m}" if k else m for k, m in self.problems))


def joined(error: UsageError) -> str:
    """The lines of an error, such as the problems of a `ParamError`, as one."""
    return "; ".join(str(error).splitlines())


@dataclass(frozen=True)
class ParamDoc:
    """One parameter for people: `type` in words, `default` as labels show it (None: required)."""

    name: str
    type: str
    default: str | None
    help: str
    required: bool


# ------------------------------------------------------------------------------------- checking


def has_variants(spec: Spec) -> bool:
    """Whether the spec is a model whose name carries a variant after a colon."""
    return isinstance(spec, ModelSpec) and spec.variants is not None


def parameter_names(spec: Spec) -> list[str]:
    """The parameters that a suite may give: all fields but the variant, which stands in the name."""
    names = [field.name for field in dataclasses.fields(spec.params)]
    return [name for name in names if not (name == VARIANT and has_variants(spec))]


def parse_params(spec: Spec, values: Mapping[str, Any], variant: str | None = None) -> Any:
    """The spec's params dataclass made of `values` (plain JSON values) and defaults.

    `variant` is the part of a model's name after its colon. Raises `ParamError` that names every
    unknown, missing or wrong parameter, with what was found and what is expected.
    """
    from pydantic import ValidationError

    hints = _hints(spec)
    given = {} if variant is None else {VARIANT: variant}
    problems: list[tuple[str | None, str]] = []
    known = parameter_names(spec)
    for key, value in values.items():
        if key not in known:
            problems.append((key, unknown_parameter(spec, key)))
        elif not _finite(value):
            problems.append((key, f"found {shown(value)}; expected finite numbers"))
        else:
            given[key] = value
    try:
        made = _adapter(spec.params).validate_json(json.dumps(given), strict=True)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            problem = _explained(detail, hints, given)
            if problem not in problems and (problem[0] is None or problem[0] in (*given, *known)):
                problems.append(problem)
    if problems:
        raise ParamError(problems)
    return made


def split_variant(spec: Spec, name: str) -> str | None:
    """The variant that `name` asks of the spec (`torchvision:resnet18` -> `resnet18`), or None.

    Raises `UsageError` where the spec has no variants, none is given, or it is an unknown one.
    """
    base, colon, variant = name.partition(":")
    variants = spec.variants if isinstance(spec, ModelSpec) else None
    if variants is None:
        if colon:
            raise UsageError(f"found {name!r}, but {base} has no variants; expected {base!r}")
        return None
    names = tuple(variants())
    if not variant:
        raise UsageError(f"found {name!r}; expected {base}:VARIANT, such as {base}:{names[0]}")
    if variant not in names:
        raise UsageError(unknown_name(f"variant of {base}", variant, names))
    return variant


def unknown_parameter(spec: Spec, key: str, reserved: Iterable[str] = ()) -> str:
    """The sentence for a key that is none of the spec's parameters (nor a `reserved` key)."""
    if key == VARIANT and has_variants(spec):
        return f"is given with the name, as in {spec.name}:VARIANT"
    known = [*parameter_names(spec), *reserved]
    text = unknown_name(f"parameter of {spec.name}", key, known)
    return text if known else f"{text}; it has none"


def expand(spec: Spec, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The product of `values`: a list where one value is expected stands for each of its elements.

    Where the parameter is itself a list, a list is one value and a list of lists a product. The last
    key varies fastest. Raises `ParamError` where a list has no element.
    """
    hints = _hints(spec)
    axes: list[list[Any]] = []
    for key, value in values.items():
        several = value_depth(value) > type_depth(hints.get(key, str))
        if several and not value:
            raise ParamError([(key, "found an empty list; expected a value or a list of values")])
        axes.append(list(value) if several else [value])
    for chosen in product(*axes):
        yield dict(zip(values, chosen, strict=True))


def label_values(spec: Spec, written: Mapping[str, str]) -> dict[str, Any]:
    """Parameters as a label writes them (`k=256`, `sizes=1+2`) as plain values for `parse_params`."""
    hints = _hints(spec)
    values: dict[str, Any] = {}
    for key, text in written.items():
        hint = hints.get(key, str)
        tries: list[Any] = [None] if text == "none" else []
        if type_depth(hint):
            items = split_outside(text, "+") if text else []
            tries += [[read_value(item) for item in items], [_as_text(item) for item in items]]
        else:
            tries += [read_value(text), text]
        values[key] = next((value for value in tries if _fits(hint, value)), tries[-1])
    return values


# ------------------------------------------------------------------------------------- describing


def label(spec: Spec, params: Any, part: str | None = None, name: str | None = None) -> str:
    """The canonical label: name, then in brackets the part, headline and non-default parameters.

    `name` is the name as chosen, where it has a variant (`torchvision:resnet18`).
    """
    items = label_items(spec, params)
    return join_label(name or spec.name, ([] if part is None else [part]) + items)


def label_items(spec: Spec, params: Any) -> list[str]:
    """`key=value` of the headline parameters and of those that differ from their default, in order.

    A headline parameter that is None, its default, says nothing and is left out.
    """
    values = {
        f: getattr(params, f.name)
        for f in dataclasses.fields(params)
        if f.name in parameter_names(spec)
    }
    return [
        f"{f.name}={format_value(value)}"
        for f, value in values.items()
        if f.name not in spec.unlabelled
        and (value != default_of(f) or (f.name in spec.headline and value is not None))
    ]


def describe(spec: Spec) -> list[ParamDoc]:
    """The spec's parameters for `iibench ls -v`, in the order in which they are declared."""
    hints = _hints(spec)
    docs = []
    for f in dataclasses.fields(spec.params):
        if f.name not in parameter_names(spec):
            continue
        default = default_of(f)
        required = default is dataclasses.MISSING
        docs.append(
            ParamDoc(
                name=f.name,
                type=type_text(hints[f.name]),
                default=None if required else format_value(default),
                help=str(f.metadata.get("help", "")),
                required=required,
            )
        )
    return docs


def to_json(params: Any) -> dict[str, Any]:
    """The params dataclass as a mapping of plain JSON values, tuples as lists."""
    plain = json.loads(json.dumps(dataclasses.asdict(params), default=sorted))
    return dict(plain)


def json_types(spec: Spec) -> dict[str, dict[str, Any]]:
    """Parameter name -> its JSON Schema, with the default; {} where it needs definitions of its own."""
    schema = _adapter(spec.params).json_schema()
    own = schema.get("properties", {})
    return {
        name: {} if "$ref" in json.dumps(own[name]) else _untitled(own[name])
        for name in parameter_names(spec)
    }


def _untitled(schema: Any) -> Any:
    """The schema without the titles that pydantic makes of names."""
    if isinstance(schema, dict):
        return {key: _untitled(item) for key, item in schema.items() if key != "title"}
    return [_untitled(item) for item in schema] if isinstance(schema, list) else schema


# ------------------------------------------------------------------------------------- internals


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _hints(spec: Spec) -> dict[str, Any]:
    """Parameter name -> annotation, resolved; raises `PluginError` where that cannot be done."""
    try:
        return get_type_hints(spec.params, include_extras=True)
    except NameError as error:
        raise PluginError(
            f"{spec.name}: the annotations of its parameters ({spec.params.__name__}) cannot be "
            f"resolved: {error}"
        ) from error


def _fits(hint: Any, value: Any) -> bool:
    from pydantic import ValidationError

    try:
        _adapter(hint).validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    return True


def _as_text(item: str) -> Any:
    """A list's element in a label as text, where it may look like a number."""
    return read_value(item) if item.startswith('"') else item


def _finite(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_finite(v) for v in value.values())
    if isinstance(value, list):
        return all(_finite(v) for v in value)
    return not isinstance(value, float) or math.isfinite(value)


def _explained(
    detail: Mapping[str, Any], hints: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[str | None, str]:
    """One of pydantic's errors as (parameter, sentence)."""
    if not detail["loc"]:
        return None, str(detail["msg"]).removeprefix("Value error, ")
    key = str(detail["loc"][0])
    expected = f"expected {type_text(hints[key])}"
    if key not in given:
        return key, f"missing; {expected}"
    if detail["type"] == "value_error":
        expected = str(detail["msg"]).removeprefix("Value error, ")
    text = f"found {shown(given[key])}; {expected}"
    choices = [c for c in literals(hints[key]) if isinstance(c, str)]
    close = nearest(given[key], choices, 1) if isinstance(given[key], str) else []
    return key, f"{text}; nearest: {close[0]}" if close else text
