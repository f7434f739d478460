"""Whether a plugin can be used: the version of the API that it wants, its hooks, what they return."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any

from iibench.contract.base import Spec
from iibench.contract.errors import PluginError, nearest
from iibench.contract.evaluations import EvaluationBase
from iibench.contract.executors import ExecutorSpec
from iibench.contract.specs import API_VERSION, DatasetSpec, FinderSpec, MetricSpec, ModelSpec
from iibench.hooks import hookspecs

#: registration hook -> the spec it must return
KINDS: dict[str, type[Spec]] = {
    "iibench_register_datasets": DatasetSpec,
    "iibench_register_models": ModelSpec,
    "iibench_register_finders": FinderSpec,
    "iibench_register_metrics": MetricSpec,
    "iibench_register_evaluations": EvaluationBase,
    "iibench_register_executors": ExecutorSpec,
}
#: What the name of a registered thing may be.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def kind_of(spec: Spec) -> str:
    """What a spec registers, as the tables of the registry call it: dataset, model, finder, ..."""
    hook = next(hook for hook, kind in KINDS.items() if isinstance(spec, kind))
    return hook.removeprefix("iibench_register_").removesuffix("s")


def check_version(wanted: str) -> None:
    """Raises `PluginError` where a plugin that declares this version of the API cannot be used."""
    if not re.fullmatch(r"\d+(\.\d+)*", wanted):
        raise PluginError(
            f'declares IIBENCH_API = {wanted!r}; expected a version such as "{API_VERSION}"'
        )
    needed, spoken = ([int(n) for n in v.split(".")] for v in (wanted, API_VERSION))
    if needed[0] == spoken[0] and needed <= [*spoken, *(0 for _ in needed)]:
        return
    speaks = f"built for plugin API {wanted}, and this iibench speaks {API_VERSION}"
    if needed > spoken:
        raise PluginError(f"{speaks}: a newer iibench is needed (pip install --upgrade iibench)")
    raise PluginError(f"{speaks}: a newer version of the plugin is needed")


def check_hooks(names: Sequence[str]) -> None:
    """Raises `PluginError` where there is no hook among a plugin's, or one that iibench does not have."""
    known = {name for name in vars(hookspecs) if name.startswith("iibench_")}
    for name in names:
        if name not in known:
            close = ", ".join(nearest(name, known))
            raise PluginError(f"there is no hook {name}; nearest: {close}")
    if not names:
        raise PluginError("no function in it is marked with @iibench.hookimpl")


def checked_spec(spec: Any, hook: str) -> Any:
    """The spec that a registration hook gave; raises `PluginError` with what is wrong with it."""
    kind = KINDS[hook]
    if not isinstance(spec, kind):
        raise PluginError(f"{hook} returned {spec!r}, not a {kind.__name__}")
    if not isinstance(spec.name, str) or not NAME.fullmatch(spec.name):
        raise PluginError(
            f"{hook}: {spec.name!r} is no name (letters, digits and _ . + - are allowed)"
        )
    if not dataclasses.is_dataclass(spec.params) or not isinstance(spec.params, type):
        raise PluginError(f"{hook}: params of {spec.name!r} must be a dataclass")
    if not spec.params.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise PluginError(f"{hook}: params of {spec.name!r} must be a frozen dataclass")
    fields = {item.name for item in dataclasses.fields(spec.params)}
    for name in spec.headline:
        if name not in fields:
            raise PluginError(f"{hook}: headline of {spec.name!r} names {name!r}, not a parameter")
    for name in ("load", "fit", "encode", "evaluate", "judge", "start", "one_machine"):
        value = getattr(spec, name, None)
        may_lack = name == "start" and value is None
        if hasattr(spec, name) and not may_lack and not callable(value):
            raise PluginError(f"{hook}: {name} of {spec.name!r} must be callable")
    return spec


def all_of(values: Iterable[Any] | None, kind: type, hook: str, what: str) -> list[Any]:
    """What a hook gave as a list; raises `PluginError` where one is not of `kind`, `what` in words."""
    given = list(values or ())
    if any(not isinstance(value, kind) for value in given):
        raise PluginError(f"{hook} must return {what}")
    return given
