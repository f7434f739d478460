"""Where a module that is asked for by name lies."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from iibench.cache.source import CORE, is_installed

#: Packages that are never the user's own, wherever they lie.
OURS = {CORE, "iibench_plugins", "iibench_suites"}
#: Modules that Python itself imports before any file of a user: a file of such a name is never found.
FIRST = {
    *sys.builtin_module_names,
    *("abc", "codecs", "encodings", "genericpath", "io"),
    *("ntpath", "os", "posixpath", "site", "stat"),
}


def spec_in(name: str, folders: list[str]) -> ModuleSpec | None:
    """The top-level module or package `name` in the first of the folders that has it.

    A package without a file (a bare folder) is one only where none of the folders has another.
    """
    return PathFinder.find_spec(name, folders)


def is_bare(spec: ModuleSpec) -> bool:
    """Whether it is a folder without `__init__.py`."""
    return not spec.has_location and spec.submodule_search_locations is not None


def folder_of_module(name: str) -> Path | None:
    """The folder that holds the top-level module or package `name`, where that is the user's own.

    The current folder is looked into first, as `python -m` does. None of what is installed, part of
    Python or of iibench, in an archive, or nowhere.
    """
    if name in OURS or name in FIRST:
        return None
    spec = spec_in(name, [str(Path.cwd()), *sys.path]) or _of_other_finders(name)
    if spec is None:
        return None
    where = list(spec.submodule_search_locations or ())
    place = Path(where[0]) if where else Path(spec.origin or "")
    if not place.exists() or is_installed(place.parent):
        return None
    return place.absolute().parent


def is_elsewhere(name: str, folders: list[str]) -> bool:
    """Whether there is a module `name` that is part of Python or installed, outside the folders."""
    if name in sys.stdlib_module_names:
        return True
    spec = spec_in(name, [place for place in sys.path if place not in folders])
    spec = spec or _of_other_finders(name)
    if spec is None or is_bare(spec) or spec.origin is None:
        return False
    inside = Path(spec.origin)
    return is_installed(inside.parents[1 if spec.submodule_search_locations else 0])


def _of_other_finders(name: str) -> ModuleSpec | None:
    """What finders other than those of `sys.path` say, such as those of editable installations."""
    for finder in sys.meta_path:
        if getattr(finder, "__module__", "").startswith("__editable__"):
            spec: ModuleSpec | None = finder.find_spec(name, None)
            if spec is not None:
                return spec
    return None
