"""Where plugins are: entry points, modules, folders."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import os
import pkgutil
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from iibench.contract.errors import UsageError
from iibench.hooks.loaded import Source
from iibench.hooks.user_code.folder import Folder, module_of
from iibench.hooks.user_code.guard import contained
from iibench.hooks.user_code.places import folder_of_module

#: The group of entry points, and what pluggy calls the project.
GROUP = "iibench"
FIRST_PARTY_PACKAGE = "iibench_plugins"
#: What the module names of one-file plugins begin with.
FOLDER_PREFIX = "iibench_folder_plugin_"


@dataclass(frozen=True)
class Found:
    """A plugin before it is imported: `load` returns the module or object, or raises.

    `folder`: where the user's own file lies, whose module has the name `inside` there.
    """

    name: str
    source: Source
    module: str
    load: Callable[[], Any]
    distribution: str = ""
    version: str = ""
    folder: Folder | None = None
    inside: str = ""


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
        with contained():
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
    """The plugin that is the module `name`, which may stand in the current folder, or a file `name.py`.

    Raises `UsageError` where it is no name of a module, or there is no such file.
    """
    asked = f"-p {name}" if source == "module" else f"IIBENCH_PLUGINS: {name}"
    given = os.path.expanduser(name)  # noqa: PTH111 - a name is no path
    if given.endswith(".py"):
        if not Path(given).is_file():
            raise UsageError(f"{asked}: there is no such file")
        return _of_file(Path(given), Folder(Path(given).parent), source)
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"{asked}: expected the name of a module, or a file that ends in .py")
    path = folder_of_module(name.partition(".")[0])
    if path is None:
        return Found(name, source, name, partial(importlib.import_module, name))
    folder = Folder(path)
    return Found(name, source, name, partial(folder.load, name), folder=folder, inside=name)


def in_folders(folders: Sequence[str | Path]) -> Iterator[Found]:
    """Every `.py` directly in each folder that has hooks, by name."""
    for given in folders:
        root = Path(given).expanduser()
        if not root.is_dir():
            raise UsageError(f"--plugins-dir {given}: there is no such folder")
        files = files_with_hooks(root)
        folder = Folder(root, [path.stem for path in files])
        for path in files:
            yield _of_file(path, folder, "folder")


def _of_file(path: Path, folder: Folder, source: Source) -> Found:
    load = partial(folder.load_file, path.name)
    inside = module_of(path.name)
    return Found(path.stem, source, module_of_file(path), load, folder=folder, inside=inside)


def module_of_file(path: Path) -> str:
    """The name of a one-file plugin by which it can be blocked: unique to the file."""
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    return f"{FOLDER_PREFIX}{digest}_{path.stem}"


def python_files(folder: str | Path) -> list[Path]:
    """The Python files directly in a folder, by name."""
    return sorted(Path(folder).expanduser().glob("*.py"))


def files_with_hooks(folder: Path) -> list[Path]:
    """The files directly in a folder that are plugins: nothing is run to know it.

    Those that speak of `hookimpl`, define a hook, or take one from a file that is no plugin itself; one
    that cannot be read as Python is a plugin where its text has one of these. Names that begin with an
    underscore are none. What else lies there is a helper or none of our business.
    """
    trees = {path: _parsed(path) for path in python_files(folder) if path.name[0] != "_"}
    plugins = {path for path, tree in trees.items() if _has_hooks(tree)}
    names = {path.stem for path in plugins}
    for path, tree in trees.items():
        if isinstance(tree, ast.AST) and _takes_hooks(tree, names):
            plugins.add(path)
    return sorted(plugins)


def _parsed(path: Path) -> ast.AST | str:
    text = path.read_bytes()
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text.decode("utf-8", "replace")


def _has_hooks(tree: ast.AST | str) -> bool:
    if isinstance(tree, str):
        return bool(re.search(r"\bhookimpl\b|\bdef iibench_", tree))
    for node in ast.walk(tree):
        names = [getattr(node, "id", ""), getattr(node, "attr", "")]
        if isinstance(node, ast.ImportFrom):
            names += [alias.name for alias in node.names]
        defines = isinstance(node, ast.FunctionDef) and node.name.startswith("iibench_")
        if defines or "hookimpl" in names:
            return True
    return False


def _takes_hooks(tree: ast.AST, plugins: set[str]) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and (node.module or "") not in plugins
        and any(alias.name.startswith("iibench_") for alias in node.names)
        for node in ast.walk(tree)
    )


def hook_names(plugin: Any) -> list[str]:
    """Names of the attributes marked as hook implementations."""
    mark = f"{GROUP}_impl"
    return [
        name
        for name in dir(plugin)
        if not name.startswith("__")
        and isinstance(getattr(getattr(plugin, name, None), mark, None), dict)
    ]
