"""The modules of one folder of the user's, imported by names that no other folder's modules have.

Two folders may each have a `model.py`: what a file imports is looked for beside it first, whenever it
asks, in any thread. A `Folder` imports every file anew, from the text that is there now.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import os
import sys
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from iibench.cache.source import is_installed, source_files, source_sha256
from iibench.hooks.user_code.names import PREFIX, folder_of, package_name
from iibench.hooks.user_code.places import FIRST, OURS, is_bare, is_elsewhere, spec_in

#: Held while a folder is put on `sys.path`, of which there is one for all threads, or taken off.
_PATH = threading.RLock()
#: Name of the package -> the folder, as long as anything of it is in use.
_FOLDERS: weakref.WeakValueDictionary[str, Folder] = weakref.WeakValueDictionary()
#: Those on `sys.path` at present, the last first.
_ACTIVE: list[Folder] = []


class Folder:
    """A folder whose files are imported apart from all others.

    `others`: files in it that are no helpers; a library of such a name is preferred to them.
    """

    def __init__(self, path: str | Path, others: Iterable[str] = (), package: str = "") -> None:
        self.path = os.path.abspath(path)  # noqa: PTH100 - links are kept: imports look beside them
        self.others = frozenset(others)
        self.package = package or package_name(self.path)
        #: where modules are looked for: the folder, and what its files add to `sys.path`
        self.places = [self.path]
        self._modules: dict[str, ModuleType] = {}
        self._imports: dict[str, set[str]] = {}
        #: name -> file, and file -> text, of what counts as source: later imports run what was counted
        self._held: dict[str, str] = {}
        self._texts: dict[str, bytes] = {}
        self._owned: dict[str, bool] = {}
        self._known_path = frozenset(sys.path)
        self._importlib = _Importlib(self)
        self.builtins = {**vars(builtins), "__import__": self._import}
        importlib.invalidate_caches()
        for older in list(_FOLDERS.values()):
            if older.path == self.path:
                older._forget()
        _FOLDERS[self.package] = self

    def load(self, name: str) -> ModuleType:
        """The module `name` of the folder; raises whatever its code raises, `ImportError` where it is not."""
        with self.active(), self._reworded(), _arguments(name):
            return importlib.import_module(f"{self.package}.{name}")

    def load_file(self, file: str) -> ModuleType:
        """The module of a file of the folder, which may have any name; raises whatever its code raises."""
        path = os.path.join(self.path, file)  # noqa: PTH118 - links are kept
        full = f"{self.package}.{module_of(file)}"
        with self.active(), self._reworded():
            importlib.import_module(self.package)
            if full in sys.modules:  # another file of the folder has imported it
                return sys.modules[full]
            loader = _FileLoader(self, full, path)
            spec = importlib.util.spec_from_file_location(full, path, loader=loader)
            assert spec is not None
            module = sys.modules[full] = importlib.util.module_from_spec(spec)
            try:
                with _arguments(path):
                    loader.exec_module(module)
            except BaseException:
                sys.modules.pop(full, None)
                raise
        return module

    def sha256(self, name: str, known_as: str = "") -> str:
        """SHA-256 (hex) of the source of a module: its file, what that may import of its own, and all that
        it has imported from the folder. `known_as`: in place of the module's name."""
        path = str(self._modules[name].__file__)
        reached: dict[str, Path] = {}
        waiting = [name, *self._imports.get("", ())]
        while waiting:
            at = waiting.pop()
            file = getattr(self._modules.get(at), "__file__", None)
            if at not in reached and file is not None:
                reached[at] = Path(file)
                waiting += [*self._imports.get(at, ()), at.rpartition(".")[0]]
        del reached[name]
        beside = [Path(place) for place in self.places[1:]]
        self._hold(source_files(path, name, imported=reached, beside=beside))
        return source_sha256(path, known_as or name, imported=reached, beside=beside)

    def _hold(self, files: Mapping[str, Path]) -> None:
        for name, path in files.items():
            if path.suffix == ".py" and str(path) not in self._texts:
                self._held[name] = str(path)
                self._texts[str(path)] = path.read_bytes()

    @contextmanager
    def active(self) -> Iterator[None]:
        """As if a file of the folder were run as a script: whoever imports finds the folder's modules.

        Afterwards `sys.path` and the modules of other folders are as they were before.
        """
        with _PATH:
            names = self._plain_names()
            hidden = {name: sys.modules.pop(name) for name in _below(names)}
            places = list(self.places)
            sys.path[:0] = places
            _ACTIVE.insert(0, self)
        try:
            yield
        finally:
            with _PATH:
                self._adopt()
                _ACTIVE.remove(self)
                for name in _below(names | self._plain_names()):
                    del sys.modules[name]
                sys.modules.update(hidden)
                for place in (*places, *(p for p in self.places if p not in places)):
                    if place in sys.path:
                        sys.path.remove(place)

    # ------------------------------------------------------------------------------ what is whose

    def owns(self, name: str, importer: str = "") -> bool:
        """Whether the top-level module `name`, asked for by a file of the folder, is the folder's."""
        if name in OURS or name in FIRST:
            return False
        full = f"{self.package}.{name}"
        if importer == full and not hasattr(sys.modules.get(full), "__path__"):
            return not is_elsewhere(name, self.places)  # lpips.py imports lpips: not itself
        if name not in self._owned:
            spec = spec_in(name, self.places)
            own = spec is not None or name in self._held
            if spec is not None and (is_bare(spec) or name in self.others):
                own = not is_elsewhere(name, self.places)
            if not own:  # it may come to be
                return False
            self._owned[name] = True
        return True

    def _plain_names(self) -> set[str]:
        """Top-level modules that anybody finds in the folder while it is on `sys.path`."""
        names = set()
        for place in self.places:
            try:
                names |= {entry.partition(".")[0] for entry in os.listdir(place)}  # noqa: PTH208 - names
            except OSError:
                continue
        there = {name for name in names if name in sys.modules}
        return {name for name in there if self.owns(name) and not is_elsewhere(name, self.places)}

    def _adopt(self) -> None:
        """What files of the folder add to `sys.path` is theirs alone."""
        for place in sys.path:
            if place in self._known_path or place in self.places or is_installed(Path(place)):
                continue
            if not any(place in other.places for other in _ACTIVE):
                self.places.append(place)

    # ---------------------------------------------------------------------------------- imports

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """`__import__` of the folder's files."""
        importer = str((globals or {}).get("__name__", ""))
        self._adopt()
        top = name.partition(".")[0]
        from_c = isinstance(fromlist, list) and not fromlist  # looks the name up in sys.modules
        if level or from_c or not self.owns(top, importer):
            module = builtins.__import__(name, globals, locals, fromlist or (), level)
            if module is importlib:
                return self._importlib
            if level:
                self._note(importer, module.__name__, fromlist or ())
            return module
        full = f"{self.package}.{name}"
        with self._reworded():
            if fromlist:
                module = builtins.__import__(full, None, None, fromlist)
            else:
                importlib.import_module(full)
                module = importlib.import_module(f"{self.package}.{top}")
        self._note(importer, full, fromlist or ())
        return module

    def import_module(
        self, name: str, package: str | None = None, importer: str = ""
    ) -> ModuleType:
        """`importlib.import_module` of the folder's files."""
        self._adopt()
        full = name
        if name.startswith("."):
            full = importlib.util.resolve_name(name, package)
        elif self.owns(name.partition(".")[0], importer):
            full = f"{self.package}.{name}"
        with self._reworded():
            module = importlib.import_module(full)
        self._note(importer, full)
        return module

    def _note(self, importer: str, name: str, inside: Iterable[str] = ()) -> None:
        """Keeps that a module has imported another of the folder."""
        start = f"{self.package}."
        for each in (name, *(f"{name}.{part}" for part in inside)):
            if each.startswith(start):
                mine = importer.removeprefix(start) if importer.startswith(start) else ""
                self._imports.setdefault(mine, set()).add(each.removeprefix(start))

    def keep(self, module: ModuleType) -> None:
        """Takes in a module that has been imported."""
        self._modules[module.__name__.removeprefix(f"{self.package}.")] = module

    def spec(self, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
        """How the module `name` of the folder is imported; None where there is none."""
        known = self._modules.get(name)
        full = f"{self.package}.{name}".rstrip(".")
        if known is not None:
            return ModuleSpec(full, _Alias(known), is_package=hasattr(known, "__path__"))
        if not name:
            spec = ModuleSpec(full, None, is_package=True)
            spec.submodule_search_locations = self.places
            return spec
        there = PathFinder.find_spec(full, path)
        file = self._held.get(name) if there is None else there.origin
        if file is None or (there is not None and type(there.loader) is not SourceFileLoader):
            return there
        inside = [os.path.dirname(file)] if Path(file).stem == "__init__" else None  # noqa: PTH120 - links
        return importlib.util.spec_from_file_location(
            full, file, loader=_FileLoader(self, full, file), submodule_search_locations=inside
        )

    def plain_spec(self, name: str) -> ModuleSpec | None:
        """How others import a module of the folder while it is on `sys.path`: it is the same one."""
        top = name.partition(".")[0]
        if not self.owns(top) or is_elsewhere(top, self.places):
            return None
        try:
            module = importlib.import_module(f"{self.package}.{name}")
        except ModuleNotFoundError:
            return None
        self._note("", f"{self.package}.{name}")
        return ModuleSpec(name, _Alias(module), is_package=hasattr(module, "__path__"))

    def _forget(self) -> None:
        """Its modules are known to those alone that use them."""
        for name in [self.package, *(f"{self.package}.{inside}" for inside in self._modules)]:
            sys.modules.pop(name, None)
        vars(sys.modules[str(__package__)]).pop(self.package.rpartition(".")[2], None)

    @contextmanager
    def _reworded(self) -> Iterator[None]:
        """Names in errors are as the user's files have them."""
        start = f"{self.package}."
        try:
            yield
        except ImportError as error:
            error.msg = str(error.msg).replace(start, "")
            error.args = (error.msg, *error.args[1:])
            error.name = (error.name or "").removeprefix(start) or None
            raise


@contextmanager
def _arguments(*words: str) -> Iterator[None]:
    """A file that reads the program's arguments while it is imported finds none of iibench's."""
    before = list(sys.argv)
    sys.argv[:] = words
    try:
        yield
    finally:
        sys.argv[:] = before


def module_of(file: str) -> str:
    """The name of a file's module within its folder.

    >>> module_of("my.metric.py")
    'my_metric'
    """
    return Path(file).stem.replace(".", "_")


def around(module: object) -> AbstractContextManager[None]:
    """`Folder.active` of the folder that a module comes from, if it does from one."""
    name = str(getattr(module, "__name__", ""))
    folder = _FOLDERS.get(".".join(name.split(".")[:4])) if name.startswith(PREFIX) else None
    return nullcontext() if folder is None else folder.active()


def _below(names: set[str]) -> list[str]:
    """Modules that are imported by these names, with all below them."""
    return [name for name in sys.modules if name.partition(".")[0] in names] if names else []


class _Importlib(ModuleType):
    """`importlib` as files of a folder see it."""

    def __init__(self, folder: Folder) -> None:
        super().__init__("importlib")
        self._folder = weakref.ref(folder)

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib, name)

    def import_module(self, name: str, package: str | None = None) -> ModuleType:
        folder = self._folder()
        if folder is None:
            return importlib.import_module(name, package)
        importer = str(sys._getframe(1).f_globals.get("__name__", ""))
        return folder.import_module(name, package, importer)


class _FileLoader(SourceFileLoader):
    """Runs the text of a file as it is now: compiled files tell of edits by the second alone."""

    def __init__(self, folder: Folder, name: str, path: str) -> None:
        super().__init__(name, path)
        self.folder = folder

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code

    def get_data(self, path: str) -> bytes:
        held = self.folder._texts.get(str(path))
        return super().get_data(path) if held is None else held

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = self.folder.builtins
        super().exec_module(module)
        self.folder.keep(module)


class _Alias(Loader):
    """Gives a module that is there already."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


class _Finder(MetaPathFinder):
    """Finds the modules of folders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(PREFIX):
            specs = (folder.plain_spec(fullname) for folder in _ACTIVE)
            return next((spec for spec in specs if spec is not None), None)
        name, _, inside = fullname.removeprefix(PREFIX).partition(".")
        package = PREFIX + name
        folder = _FOLDERS.get(package) or Folder(folder_of(package), package=package)
        return folder.spec(inside, path)


sys.meta_path.insert(0, _Finder())
