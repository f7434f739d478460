"""Finds plugins, checks them and fills the registry.

Order: first-party plugins, entry points of group `iibench`, modules asked for with `-p`, one-file
plugins of `--plugins-dir`, modules of `IIBENCH_PLUGINS`. A plugin that cannot be used is kept in the
list with the reason; the program goes on without it. There is no global plugin manager: every call of
`load_plugins` makes its own.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from iibench.cache.source import source_sha256
from iibench.contract.base import Spec
from iibench.contract.errors import PluginError, UsageError, nearest, one_line
from iibench.contract.evaluations import EvaluationBase
from iibench.contract.executors import ExecutorSpec, PluginsAsked
from iibench.contract.specs import (
    API_VERSION,
    DatasetSpec,
    FinderSpec,
    LayerSpec,
    MetricSpec,
    ModelSpec,
)
from iibench.hooks import hookspecs
from iibench.hooks.finding import (
    FIRST_PARTY_PACKAGE,
    FOLDER_PREFIX,
    GROUP,
    _entry_points,
    _folder_module,
    _folders,
    _Found,
    _hook_names,
    _module,
    _modules,
    _package,
)
from iibench.hooks.loaded import PluginRecord, Plugins, _call
from iibench.suite.registry import AnySpec, Registry

#: registration hook -> the spec it must return
KINDS: dict[str, type[Spec]] = {
    "iibench_register_datasets": DatasetSpec,
    "iibench_register_models": ModelSpec,
    "iibench_register_finders": FinderSpec,
    "iibench_register_metrics": MetricSpec,
    "iibench_register_evaluations": EvaluationBase,
    "iibench_register_executors": ExecutorSpec,
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def load_plugins(
    names: Sequence[str] = (),
    folders: Sequence[str | Path] = (),
    environ: str | None = None,
    entry_points: bool = True,
) -> Plugins:
    """Loads all plugins.

    `names`: the values of `-p`, module names and `no:NAME` to block a plugin. `folders`: the values of
    `--plugins-dir`. `environ`: the value of `IIBENCH_PLUGINS` (module names separated by commas; None
    reads the environment). `entry_points`: False leaves installed third-party plugins out.

    Raises `PluginError` where two plugins register one name, `UsageError` where `no:NAME` names no
    plugin or a folder does not exist.
    """
    blocked = {name.removeprefix("no:") for name in names if name.startswith("no:")}
    asked = [name for name in names if not name.startswith("no:")]
    listed = os.environ.get("IIBENCH_PLUGINS", "") if environ is None else environ
    from_environment = [name.strip() for name in listed.split(",") if name.strip()]

    found = [
        *(_entry_points() if entry_points else _package(FIRST_PARTY_PACKAGE, "first-party")),
        *(_module(name, "module") for name in asked),
        *_folders(folders),
        *(_module(name, "environment") for name in from_environment),
    ]
    _check_blocked(blocked, found)

    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    kept = _asked(names, folders, listed, entry_points)
    plugins = Plugins(manager, Registry(), [], kept)
    by_module: dict[str, PluginRecord] = {}
    by_name: dict[str, PluginRecord] = {}
    specs: list[tuple[PluginRecord, AnySpec]] = []
    for candidate in found:
        record = PluginRecord(
            candidate.name,
            candidate.source,
            candidate.module,
            candidate.distribution,
            candidate.version,
        )
        plugins.records.append(record)
        first = by_module.setdefault(candidate.module, record)
        if first is not record:
            record.status = "repeated"
            record.reason = f"the same module as {first.name} ({first.source})"
            continue
        if blocked & {candidate.name, candidate.module}:
            record.status = "blocked"
            record.reason = f"-p no:{candidate.name}"
            continue
        namesake = by_name.setdefault(candidate.name, record)
        if namesake is not record:
            record.status = "shadowed"
            record.reason = (
                f"{namesake.module} ({_origin(namesake)}) has the same name and was found before it; "
                f"rename one, or block that one with -p no:{namesake.module}"
            )
            continue
        specs.extend((record, spec) for spec in _take(candidate, record, manager))
    for record, spec in specs:
        plugins.registry.add(spec, record.name, record.sha256)
    _collect_layers(plugins)
    _collect_suite_metrics(plugins)
    return plugins


def _asked(
    names: Sequence[str], folders: Sequence[str | Path], listed: str, entry_points: bool
) -> PluginsAsked:
    """What was asked for, as workers elsewhere are told: without the one-file plugins that are blocked by
    their module, whose name depends on the folder."""
    files = [[p for p in _modules(f) if f"no:{_folder_module(p)}" not in names] for f in folders]
    gone = {f"no:{_folder_module(p)}" for f in folders for p in _modules(f)}
    return PluginsAsked(
        tuple(name for name in names if name not in gone),
        listed,
        entry_points,
        tuple(tuple((p.name, p.read_bytes()) for p in paths) for paths in files),
        str(Path.cwd()),
    )


# ---------------------------------------------------------------------------------- discovery


def _check_blocked(blocked: set[str], found: Iterable[_Found]) -> None:
    known = {name for f in found for name in (f.name, f.module)}
    for name in sorted(blocked - known):
        close = nearest(name, {n for n in known if not n.startswith(FOLDER_PREFIX)})
        hint = f"; nearest: {', '.join(close)}" if close else ""
        raise UsageError(f"-p no:{name}: no plugin has this name{hint} (all: iibench ls plugins)")


# ---------------------------------------------------------------------------------- taking one in


def _take(
    candidate: _Found, record: PluginRecord, manager: pluggy.PluginManager
) -> Sequence[AnySpec]:
    """Imports, checks and registers one plugin; returns its specs, or marks the record broken."""
    try:
        plugin = candidate.load()
    except Exception as error:
        record.details = traceback.format_exc()
        return _broken(record, one_line(error))
    record.path = getattr(plugin, "__file__", None) or ""
    refusal = _refusal(str(getattr(plugin, "IIBENCH_API", API_VERSION)))
    if refusal:
        return _broken(record, refusal)
    names = _hook_names(plugin)
    known = {name for name in vars(hookspecs) if name.startswith("iibench_")}
    for name in names:
        if name not in known:
            close = ", ".join(nearest(name, known))
            return _broken(record, f"there is no hook {name}; nearest: {close}")
    if not names:
        return _broken(record, "no function in it is marked with @iibench.hookimpl")
    try:
        manager.register(plugin, record.name)
    except Exception as error:
        return _broken(record, " ".join(str(error).split()))
    record.sha256 = _source_sha256(plugin)
    specs: list[AnySpec] = []
    try:
        for hook, kind in KINDS.items():
            for impl in getattr(manager.hook, hook).get_hookimpls():
                if impl.plugin is plugin:
                    specs.extend(_checked(spec, kind, hook) for spec in _call(impl, {}))
    except Exception as error:
        manager.unregister(plugin)
        record.details = traceback.format_exc()
        return _broken(record, one_line(error))
    record.registers = (
        *(f"{kind_of(spec)} {spec.name}" for spec in specs),
        *(name.removeprefix("iibench_") for name in names if name not in KINDS),
    )
    return specs


def _refusal(wanted: str) -> str:
    """ "" where a plugin that declares this version of the API can be used, else why not."""
    if not re.fullmatch(r"\d+(\.\d+)*", wanted):
        return f'declares IIBENCH_API = {wanted!r}; expected a version such as "{API_VERSION}"'
    asked, spoken = ([int(n) for n in v.split(".")] for v in (wanted, API_VERSION))
    if asked[0] == spoken[0] and asked <= [*spoken, *(0 for _ in asked)]:
        return ""
    speaks = f"built for plugin API {wanted}, and this iibench speaks {API_VERSION}"
    if asked > spoken:
        return f"{speaks}: a newer iibench is needed (pip install --upgrade iibench)"
    return f"{speaks}: a newer version of the plugin is needed"


def _origin(record: PluginRecord) -> str:
    """Where a plugin came from, in words."""
    return f"{record.distribution} {record.version}".strip() or record.source


def kind_of(spec: Spec) -> str:
    """What a spec registers, as the tables of the registry call it: dataset, model, finder, ..."""
    hook = next(hook for hook, kind in KINDS.items() if isinstance(spec, kind))
    return hook.removeprefix("iibench_register_").removesuffix("s")


def _checked(spec: Any, kind: type[Spec], hook: str) -> Any:
    """The spec if it can be used; raises `PluginError` with what is wrong with it."""
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


def _collect_layers(plugins: Plugins) -> None:
    for impl in plugins.manager.hook.iibench_register_layers.get_hookimpls():
        for entry in plugins.registry.models:
            try:
                layers = list(_call(impl, {"model": entry.spec}) or ())
                if any(not isinstance(layer, LayerSpec) for layer in layers):
                    raise PluginError("iibench_register_layers must return LayerSpec objects")
            except Exception as error:
                for record in plugins.records:
                    if record.name == impl.plugin_name:
                        _broken(record, one_line(error))
                break
            plugins.registry.layers.setdefault(entry.spec.name, []).extend(layers)


def _collect_suite_metrics(plugins: Plugins) -> None:
    for impl in plugins.manager.hook.iibench_suite_metrics.get_hookimpls():
        try:
            labels = list(_call(impl, {}) or ())
            if any(not isinstance(label, str) for label in labels):
                raise PluginError("iibench_suite_metrics must return labels of metrics, as text")
        except Exception as error:
            for record in plugins.records:
                if record.name == impl.plugin_name:
                    _broken(record, one_line(error))
            continue
        plugins.registry.suite_metrics.extend((impl.plugin_name, label) for label in labels)


def _broken(record: PluginRecord, reason: str) -> tuple[()]:
    record.status = "broken"
    record.reason = reason
    return ()


def _source_sha256(plugin: Any) -> str:
    """SHA-256 of the source that decides what a plugin computes: part of every cache key."""
    module = plugin if isinstance(plugin, ModuleType) else sys.modules.get(type(plugin).__module__)
    file = getattr(module, "__file__", None)
    if module is None or file is None or not file.endswith(".py"):
        return ""  # no source to hash, e.g. an extension module
    alone = module.__spec__ is not None and module.__name__.startswith(FOLDER_PREFIX)
    return source_sha256(file, Path(file).stem if alone else module.__name__)
