"""Where plugins are: entry points, modules, folders."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from iibench.contract.errors import UsageError
from iibench.hooks.loaded import Source

#: The group of entry points, and what pluggy calls the project.
GROUP = "iibench"
FIRST_PARTY_PACKAGE = "iibench_plugins"
#: What the module names of one-file plugins begin with.
FOLDER_PREFIX = "iibench_folder_plugin_"


@dataclass(frozen=True)
class Found:
    """A plugin before it is imported: `load` returns the module or object, or raises."""

    name: str
    source: Source
    module: str
    load: Callable[[], Any]
    distribution: str = ""
    version: str = ""


def installed() -> Iterator[Found]:
    """Plugins of installed distributions: our own first, then by distribution and name."""
    points = sorted(
        importlib.metadata.entry_points(group=GROUP),
        key=lambda p: (p.value != FIRST_PARTY_PACKAGE, p.dist.name if p.dist else "", p.name),
    )
    values = [p.value for p in points]
    if FIRST_PARTY_PACKAGE not in values:  # a source tree put on the path without installing it
        yield from below_package(FIRST_PARTY_PACKAGE, "first-party")
    for point in points:
        distribution = point.dist.name if point.dist else ""
        version = point.dist.version if point.dist else ""
        if point.value == FIRST_PARTY_PACKAGE:
            yield from below_package(point.value, "first-party", distribution, version)
            continue
        if ":" not in point.value and _is_bare_package(point.module):
            yield from below_package(point.module, "entry point", distribution, version, point.name)
            continue
        yield Found(point.name, "entry point", point.value, point.load, distribution, version)


def _is_bare_package(name: str) -> bool:
    """Whether `name` is a package without hook implementations of its own; False if it won't import."""
    try:
        module = importlib.import_module(name)
    except Exception:
        return False
    return hasattr(module, "__path__") and not hook_names(module)


def below_package(
    name: str, source: Source, distribution: str = "", version: str = "", prefix: str = ""
) -> Iterator[Found]:
    """The plugins below a package: modules, and folders whose `__init__.py` has hooks.

    Names that begin with an underscore are none, and nothing below a plugin is looked for.
    """
    try:
        package = importlib.import_module(name)
    except ImportError:
        return
    for module in _plugins_below(package):
        short = module.removeprefix(f"{name}.")
        yield Found(
            f"{prefix}.{short}" if prefix else short,
            source,
            module,
            partial(importlib.import_module, module),
            distribution,
            version,
        )


def _plugins_below(package: ModuleType) -> Iterator[str]:
    inside = pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    for info in sorted(inside, key=lambda info: info.name):
        if info.name.rpartition(".")[2].startswith("_"):
            continue
        if info.ispkg and _is_bare_package(info.name):
            yield from _plugins_below(importlib.import_module(info.name))
        else:  # one that cannot be imported is a plugin that is broken
            yield info.name


def named(name: str, source: Source) -> Found:
    """The plugin that is the module `name`, which may stand in the current folder."""

    def load() -> ModuleType:
        # as `python -m` does: a module beside the suite is found
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        return importlib.import_module(name)

    return Found(name, source, name, load)


def in_folders(folders: Sequence[str | Path]) -> Iterator[Found]:
    """Every `.py` directly in each folder, by name; each is a module of its own."""
    for folder in folders:
        root = Path(folder)
        if not root.is_dir():
            raise UsageError(f"--plugins-dir {folder}: there is no such folder")
        for path in python_files(root):
            if path.name.startswith("_"):
                continue
            module = module_of_file(path)
            yield Found(path.stem, "folder", module, partial(_from_file, path, module))


def module_of_file(path: Path) -> str:
    """The module name of a one-file plugin: unique to the file."""
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    return f"{FOLDER_PREFIX}{digest}_{path.stem}"


def python_files(folder: str | Path) -> list[Path]:
    """The Python files directly in a folder, by name; those that begin with an underscore are helpers."""
    return sorted(Path(folder).glob("*.py"))


def _from_file(path: Path, name: str) -> ModuleType:
    """Imports a one-file plugin under a unique module name, so that it can be pickled and reloaded."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def hook_names(plugin: Any) -> list[str]:
    """Names of the attributes marked as hook implementations."""
    mark = f"{GROUP}_impl"
    return [
        name
        for name in dir(plugin)
        if not name.startswith("__")
        and isinstance(getattr(getattr(plugin, name, None), mark, None), dict)
    ]
