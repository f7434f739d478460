"""Source that decides a value: a module and what it imports, followed to the end.

A plugin's source is what it imports of its own, and what that imports of the packages of iibench that
compute (`FOLLOWED`). Its own is its top-level package, and, where that lies in no folder of installed
packages, the modules and packages beside it. Other packages count by their version, which is not looked
at here.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import all_suffixes
from pathlib import Path
from types import MappingProxyType

from iibench.cache.imports import imports_of

#: Never one of a plugin's own modules, even where it lies beside them.
CORE = "iibench"
#: The packages of iibench whose code decides numbers.
FOLLOWED = tuple(
    f"{CORE}.{package}" for package in ("compute", "contract", "results", "statistics")
)


def source_sha256(
    path: str | Path,
    module: str,
    *,
    follow_installed: bool = True,
    imported: Mapping[str, Path] = MappingProxyType({}),
    beside: Iterable[Path] = (),
) -> str:
    """SHA-256 (hex) of the source of `module`, which stands in the file `path`, and of what it imports.

    Names and contents count, places do not: a copy elsewhere has the same hash. Without
    `follow_installed` all modules of an installed package count: imports of a large library take long to
    follow. `imported`: names and files of further modules of its own, where it is known that they are;
    `beside`: further folders with modules of its own. Of a module in an archive the whole archive counts.
    Raises `OSError` where the file cannot be read.

    >>> import json
    >>> len(source_sha256(json.__file__, json.__name__))
    64
    """
    path = Path(path).absolute()
    if not path.is_file():
        archive = next((around for around in path.parents if around.is_file()), path)
        return _hash_of({module: archive.read_bytes()})
    places = _Places(path, module, beside)
    if not follow_installed and not places.beside and places.folder is not None:
        return _hash_of(_read(dict(places.files(f"{places.top}.*"))))
    own, of_core = _followed(places, imported)
    return _hash_of(_read(own) | _core_sources(of_core))


@functools.cache
def core_sha256(*modules: str) -> str:
    """SHA-256 (hex) of modules of iibench, by name, and of what they import of `FOLLOWED`.

    >>> len(core_sha256("iibench.compute.encoding"))
    64
    """
    return _hash_of(_core_sources(modules))


def _read(files: Mapping[str, Path]) -> dict[str, bytes]:
    return {name: file.read_bytes() for name, file in files.items()}


def _hash_of(sources: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, source in sorted(sources.items()):
        digest.update(name.encode() + b"\0" + source + b"\0")
    return digest.hexdigest()


# ------------------------------------------------------------------------------------ a plugin's own


def source_files(
    path: str | Path,
    module: str,
    *,
    imported: Mapping[str, Path] = MappingProxyType({}),
    beside: Iterable[Path] = (),
) -> dict[str, Path]:
    """Names of a module and of what it imports of its own -> their files; see `source_sha256`."""
    return _followed(_Places(Path(path).absolute(), module, beside), imported)[0]


def _followed(
    places: _Places, imported: Mapping[str, Path] = MappingProxyType({})
) -> tuple[dict[str, Path], set[str]]:
    """The files of a module and of what it imports of its own, and what they import of `FOLLOWED`."""
    found: dict[str, Path] = {}
    of_core: set[str] = set()
    waiting = [*places.files(places.module), *imported.items(), (places.module, places.path)]
    while waiting:
        name, file = waiting.pop()
        if name in found:
            continue
        found[name] = file
        if file.suffix != ".py":  # compiled: its bytes count
            continue
        package = name if file.stem == "__init__" else name.rpartition(".")[0]
        for needed in imports_of(file.read_bytes(), package):
            if needed.partition(".")[0] == CORE:
                of_core |= {needed} if _decides(needed) else set()
            else:
                waiting += places.files(needed)
    return found, of_core


class _Places:
    """Where a module's own modules stand; looks into every folder once."""

    def __init__(self, path: Path, module: str, beside: Iterable[Path] = ()) -> None:
        """`path`: the file of `module`, `beside`: further folders with modules of its own. Links are not
        followed: imports look beside them."""
        self.path, self.module = path, module
        depth = module.count(".") + (path.stem == "__init__")
        around = path.parents[depth]
        self.top = module.partition(".")[0]
        #: the top-level package's, which may have another name; None where there is no package
        self.folder = path.parents[depth - 1] if depth else None
        self.beside = [*([] if is_installed(around) else [around]), *beside]
        #: whether it is the module that is imported under its name, and not a copy of it
        self.in_use = getattr(sys.modules.get(module), "__file__", None) == str(path)
        self.listings: dict[Path, frozenset[str]] = {}

    def files(self, name: str) -> Iterator[tuple[str, Path]]:
        """(name, file) of an own module and of the packages around it; of `a.*` also of all below `a`.

        Of a name inside a module it is that module, of what is not one's own nothing.
        """
        parts = [part for part in name.split(".") if part != "*"]
        folders = self.beside
        for end in range(1, len(parts) + 1):
            known = ".".join(parts[:end])
            file, folders = self._find(known, folders)
            if file is not None:
                yield known, file
            if not folders:
                return
        if name.endswith("*"):
            for folder in folders:
                yield from _below(folder, parts)

    def _find(self, name: str, around: list[Path]) -> tuple[Path | None, list[Path]]:
        """A module's file, looked for in `around`, and where its own modules are if it is a package."""
        last = name.rpartition(".")[2]
        inside = [folder / last for folder in around if last in self._listing(folder)]
        if name.partition(".")[0] == self.top and self.folder is not None:
            imported = getattr(sys.modules.get(name), "__path__", ()) if self.in_use else ()
            inside = [Path(place) for place in imported] or inside
            if name == self.top and not imported:
                inside = [self.folder]
        for stem, folders in (("__init__", inside), (last, around)):
            for folder in folders:
                for file in (f"{stem}{suffix}" for suffix in all_suffixes()):
                    if file in self._listing(folder):
                        return folder / file, inside if stem == "__init__" else []
        return None, [folder for folder in inside if folder.is_dir()]  # a package without a file

    def _listing(self, folder: Path) -> frozenset[str]:
        if folder not in self.listings:
            try:
                self.listings[folder] = frozenset(os.listdir(folder))  # noqa: PTH208 - names alone
            except OSError:
                self.listings[folder] = frozenset()
        return self.listings[folder]


def _below(folder: Path, package: list[str]) -> Iterator[tuple[str, Path]]:
    """(name, file) of every module below a package; of no package, of those directly in the folder."""
    for path in sorted(folder.rglob("*.py") if package else folder.glob("*.py")):
        inside = path.relative_to(folder).with_suffix("").parts
        if names := [*package, *(inside[:-1] if inside[-1] == "__init__" else inside)]:
            yield ".".join(names), path


@functools.cache
def is_installed(folder: Path) -> bool:
    """Whether a folder holds packages of many authors, so that what lies beside one is not its own."""
    paths = sysconfig.get_paths()
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    installed = {Path(paths[kind]).resolve() for kind in kinds}
    return folder.resolve() in installed or folder.name in {"site-packages", "dist-packages"}


# ------------------------------------------------------------------------------------------- iibench's


def _core_sources(modules: Iterable[str]) -> dict[str, bytes]:
    """The sources of modules of iibench and of what they import of `FOLLOWED`, by name."""
    found: dict[str, bytes] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        for known, source, imported in _core_modules(name):
            if known not in found:
                found[known] = source
                waiting += imported
    return found


@functools.cache
def _core_modules(name: str) -> list[tuple[str, bytes, list[str]]]:
    """(name, source, what it imports of `FOLLOWED`) of a module; of all of a package that is named alone."""
    root = Path(__file__).parents[1]
    place = root.joinpath(*name.removesuffix(".*").split(".")[1:])
    if place.is_dir() and (name in FOLLOWED or name.endswith(".*")):
        paths = sorted(place.rglob("*.py"))
    elif place.is_dir():
        paths = [place / "__init__.py"]
    else:
        paths = [place.with_name(f"{place.name}.py")]
    if not paths[0].is_file():  # a name inside a module
        return _core_modules(name.rpartition(".")[0])
    found = []
    for path in paths:
        parts = [CORE, *path.relative_to(root).with_suffix("").parts]
        package = ".".join(parts[:-1])
        known = package if parts[-1] == "__init__" else ".".join(parts)
        source = path.read_bytes()
        found.append((known, source, sorted(filter(_decides, imports_of(source, package)))))
    return found


def _decides(name: str) -> bool:
    """Whether a module of iibench is of `FOLLOWED`; what `iibench` itself hands on is the contract's."""
    return name.startswith(tuple(f"{package}." for package in FOLLOWED)) or name in FOLLOWED
