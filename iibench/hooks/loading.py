"""Loads plugins and fills the registry.

Order: first-party plugins, entry points of group `iibench`, modules asked for with `-p`, one-file
plugins of `--plugins-dir`, modules of `IIBENCH_PLUGINS`. A plugin that cannot be used is kept in the
list with the reason; the program goes on without it. There is no global plugin manager: every call of
`load_plugins` makes its own.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from iibench.cache.source import CORE, source_files, source_sha256
from iibench.contract.errors import PluginError, UsageError, nearest, one_line
from iibench.contract.executors import PluginsRequested
from iibench.contract.specs import API_VERSION, LayerSpec
from iibench.hooks import hookspecs
from iibench.hooks.checking import KINDS, all_of, check_hooks, check_version, checked_spec, kind_of
from iibench.hooks.finding import (
    FIRST_PARTY_PACKAGE,
    FOLDER_PREFIX,
    GROUP,
    Found,
    below_package,
    hook_names,
    in_folders,
    installed,
    module_of_file,
    named,
    python_files,
)
from iibench.hooks.loaded import PluginRecord, Plugins, call_hook
from iibench.hooks.user_code.folder import module_of
from iibench.hooks.user_code.guard import contained
from iibench.suite.registry import AnySpec, Registry


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
    plugin, or a module, file or folder that is asked for does not exist.
    """
    blocked = {name.removeprefix("no:") for name in names if name.startswith("no:")}
    modules = [name for name in names if not name.startswith("no:")]
    listed = os.environ.get("IIBENCH_PLUGINS", "") if environ is None else environ
    from_environment = [name.strip() for name in listed.split(",") if name.strip()]

    found = [
        *(installed() if entry_points else below_package(FIRST_PARTY_PACKAGE, "first-party")),
        *(named(name, "module") for name in modules),
        *in_folders(folders),
        *(named(name, "environment") for name in from_environment),
    ]
    _check_blocked(blocked, found)

    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    requested = _requested(names, folders, listed, entry_points)
    plugins = Plugins(manager, Registry(), [], requested)
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
        try:
            specs.extend((record, spec) for spec in _registered(candidate, record, manager))
        except Exception as error:  # whatever is wrong with it, the others go on
            _check_there(candidate, error, found)
            record.details = "" if isinstance(error, PluginError) else traceback.format_exc()
            _mark_broken(record, error)
    for record, spec in specs:
        plugins.registry.add(spec, record.name, record.sha256)
    _collect_layers(plugins)
    _collect_suite_metrics(plugins)
    return plugins


def _requested(
    names: Sequence[str], folders: Sequence[str | Path], listed: str, entry_points: bool
) -> PluginsRequested:
    """What was requested, as workers elsewhere are told: without the one-file plugins that are blocked by
    their module, whose name depends on the folder."""
    gone = {f"no:{module_of_file(p)}" for f in folders for p in python_files(f)}
    return PluginsRequested(
        tuple(_anywhere(name) for name in names if name not in gone),
        ",".join(_anywhere(name.strip()) for name in listed.split(",")),
        entry_points,
        tuple(
            _files(folder, {p for p in python_files(folder) if f"no:{module_of_file(p)}" in names})
            for folder in folders
        ),
        str(Path.cwd()),
    )


def _anywhere(name: str) -> str:
    """The value of `-p` as it is understood in any folder."""
    return str(Path(name).expanduser().absolute()) if name.endswith(".py") else name


def _files(folder: str | Path, blocked: set[Path]) -> tuple[tuple[str, bytes], ...]:
    """(name, content) of a folder's one-file plugins and of what they import of it."""
    root = Path(folder).expanduser().absolute()
    plugins = [path for path in python_files(root) if path not in blocked]
    own = {
        path for plugin in plugins for path in source_files(plugin, module_of(plugin.name)).values()
    }
    return tuple(
        (path.relative_to(root).as_posix(), path.read_bytes())
        for path in sorted({*plugins, *own} - blocked)
        if path.is_relative_to(root)
    )


def _check_blocked(blocked: set[str], found: Iterable[Found]) -> None:
    known = {name for f in found for name in (f.name, f.module)}
    for name in sorted(blocked - known):
        close = nearest(name, {n for n in known if not n.startswith(FOLDER_PREFIX)})
        hint = f"; nearest: {', '.join(close)}" if close else ""
        raise UsageError(f"-p no:{name}: no plugin has this name{hint} (all: iibench ls plugins)")


def _check_there(candidate: Found, error: Exception, found: Iterable[Found]) -> None:
    """Raises `UsageError` where it is the module itself, asked for by name, that cannot be found."""
    name, asked = candidate.name, {"module": "-p ", "environment": "IIBENCH_PLUGINS: "}
    if candidate.source not in asked or not isinstance(error, ModuleNotFoundError):
        return
    if error.name and f"{name}.".startswith(f"{error.name}."):
        known = {path.stem for path in (*Path.cwd().glob("*.py"), *Path.cwd().glob("*/"))}
        close = nearest(name, known | {f.module for f in found if f is not candidate} - {name})
        hint = f"; nearest: {', '.join(close)}" if close else ""
        raise UsageError(
            f"{asked[candidate.source]}{name}: there is no such module{hint}"
        ) from error


# ---------------------------------------------------------------------------------- taking one in


def _registered(
    candidate: Found, record: PluginRecord, manager: pluggy.PluginManager
) -> Sequence[AnySpec]:
    """Imports, checks and registers one plugin; returns its specs. Raises where it cannot be used."""
    with contained():
        plugin = candidate.load()
    record.path = getattr(plugin, "__file__", None) or ""
    check_version(str(getattr(plugin, "IIBENCH_API", API_VERSION)))
    names = hook_names(plugin)
    check_hooks(names)
    if candidate.folder is None:
        record.sha256 = _source_sha256(plugin, candidate.module, names)
    else:
        record.sha256 = candidate.folder.sha256(candidate.inside)
    manager.register(plugin, record.name)
    specs: list[AnySpec] = []
    try:
        for hook in KINDS:
            for impl in getattr(manager.hook, hook).get_hookimpls():
                if impl.plugin is plugin:
                    given = [checked_spec(spec, hook) for spec in call_hook(impl, {})]
                    ours = candidate.source == "first-party"
                    specs.extend(given if ours else [_guarded(s, candidate) for s in given])
    except Exception:
        manager.unregister(plugin)
        raise
    record.registers = (
        *(f"{kind_of(spec)} {spec.name}" for spec in specs),
        *(name.removeprefix("iibench_") for name in names if name not in KINDS),
    )
    return specs


def _guarded(spec: AnySpec, candidate: Found) -> AnySpec:
    """The spec, whose functions find the modules of the user's folder however they import them, and end no
    program."""

    def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            around = nullcontext() if candidate.folder is None else candidate.folder.active()
            with contained(f"plugin {candidate.name}"), around:
                return function(*args, **kwargs)

        return call

    values = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec) if f.init}
    called = {n: v for n, v in values.items() if callable(v) and not isinstance(v, type)}
    changed: dict[str, Any] = {n: guarded(v) for n, v in called.items()}
    return dataclasses.replace(spec, **changed)


def _source_sha256(plugin: Any, place: str, hooks: Iterable[str]) -> str:
    """SHA-256 of the source that decides what a plugin computes: part of every cache key.

    Of an object these are the modules of its entry point (`place`), of its class and of its hooks.
    """
    names = {plugin.__name__} if isinstance(plugin, ModuleType) else {place.partition(":")[0]}
    if not isinstance(plugin, ModuleType):
        names.add((plugin if isinstance(plugin, type) else type(plugin)).__module__)
        names |= {getattr(getattr(plugin, hook), "__module__", "") for hook in hooks}
    hashes = [
        _module_sha256(sys.modules[name])
        for name in sorted(names & sys.modules.keys())
        if name.partition(".")[0] not in {CORE, *sys.stdlib_module_names}
    ]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _module_sha256(module: ModuleType) -> str:
    """SHA-256 of a module's source; "" where it has none, such as one that was typed in."""
    file = getattr(module, "__file__", None)
    if file is None:
        return ""
    return source_sha256(file, module.__name__)


def _collect_layers(plugins: Plugins) -> None:
    for impl in plugins.manager.hook.iibench_register_layers.get_hookimpls():
        for entry in plugins.registry.models:
            try:
                given = call_hook(impl, {"model": entry.spec})
                layers = all_of(given, LayerSpec, "iibench_register_layers", "LayerSpec objects")
            except Exception as error:
                _mark_broken(_record_of(plugins, impl), error)
                break
            plugins.registry.layers.setdefault(entry.spec.name, []).extend(layers)


def _collect_suite_metrics(plugins: Plugins) -> None:
    for impl in plugins.manager.hook.iibench_suite_metrics.get_hookimpls():
        try:
            given = call_hook(impl, {})
            labels = all_of(given, str, "iibench_suite_metrics", "labels of metrics, as text")
        except Exception as error:
            _mark_broken(_record_of(plugins, impl), error)
            continue
        plugins.registry.suite_metrics.extend((impl.plugin_name, label) for label in labels)


def _origin(record: PluginRecord) -> str:
    """Where a plugin came from, in words."""
    return f"{record.distribution} {record.version}".strip() or record.source


def _record_of(plugins: Plugins, impl: pluggy.HookImpl) -> PluginRecord:
    return next(record for record in plugins.records if record.name == impl.plugin_name)


def _mark_broken(record: PluginRecord, error: Exception) -> None:
    record.status = "broken"
    record.reason = one_line(error)
