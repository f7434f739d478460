"""Plugins as loaded: the record of each, and calls of their hooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pluggy

from iibench.contract.errors import one_line
from iibench.contract.executors import PluginsRequested
from iibench.hooks.user_code.folder import around
from iibench.hooks.user_code.guard import contained, files_of
from iibench.suite.registry import Registry

Source = Literal["first-party", "entry point", "module", "folder", "environment"]


@dataclass
class PluginRecord:
    """One plugin as it was found: where it came from, what it registers, and why it is not in use.

    `shadowed`: another plugin of its name was found before it. `repeated`: it is in use already, from
    another place. `path`: the file of its module, where it has one.
    """

    name: str
    source: Source
    module: str
    distribution: str = ""
    version: str = ""
    sha256: str = ""
    status: Literal["ok", "broken", "blocked", "shadowed", "repeated"] = "ok"
    reason: str = ""
    registers: tuple[str, ...] = ()
    details: str = ""
    path: str = ""


@dataclass
class Plugins:
    """The plugin manager, what plugins registered, the record of each plugin, and what was requested."""

    manager: pluggy.PluginManager
    registry: Registry
    records: list[PluginRecord]
    requested: PluginsRequested = field(default_factory=PluginsRequested)

    def broken(self) -> list[PluginRecord]:
        """Plugins that are not in use though nobody blocked them, each with its reason."""
        return [record for record in self.records if record.status in {"broken", "shadowed"}]

    def author_of(self, error: BaseException) -> str:
        """The plugin whose file an error came through last, in words."""
        for file in files_of(error):
            for record in self.records:
                path = Path(record.path)
                package = path.stem == "__init__" and file.is_relative_to(path.parent)
                if record.path and (file == path or package):
                    return f"plugin {record.name}"
        return "the code of a plugin"

    def notify(self, hook: str, **arguments: Any) -> list[str]:
        """Calls a life-cycle hook plugin by plugin; returns a sentence for each plugin that raised."""
        failures = []
        for impl in getattr(self.manager.hook, hook).get_hookimpls():
            try:
                call_hook(impl, arguments)
            except Exception as error:
                failures.append(f"plugin {impl.plugin_name}: {hook} raised {one_line(error)}")
        return failures

    def collect(self, hook: str, **arguments: Any) -> tuple[list[Any], list[str]]:
        """Like `notify`, for hooks that return an iterable: (all results in plugin order, failures)."""
        results: list[Any] = []
        failures = []
        for impl in getattr(self.manager.hook, hook).get_hookimpls():
            try:
                results.extend(call_hook(impl, arguments) or ())
            except Exception as error:
                failures.append(f"plugin {impl.plugin_name}: {hook} raised {one_line(error)}")
        return results, failures


def call_hook(impl: pluggy.HookImpl, arguments: Mapping[str, Any]) -> Any:
    """Calls one hook implementation with those of the arguments that it accepts.

    A hook that yields has run to its end. Raises `PluginError` where it tries to end the program.
    """
    with contained(), around(impl.plugin):
        result = impl.function(*(arguments[name] for name in impl.argnames))
        return list(result) if isinstance(result, Iterator) else result
