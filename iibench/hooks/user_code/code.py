"""A file or module of the user's, imported, for plugins that run such code."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from iibench.hooks.user_code.folder import Folder, module_of
from iibench.hooks.user_code.guard import contained
from iibench.hooks.user_code.places import folder_of_module


@dataclass(frozen=True)
class UserCode:
    """A file or module of the user's, which `of` has imported.

    What it imports is looked for in its own folder first, and is its own: another file that imports a
    module of the same name from another folder has another one.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     text = Path(folder, "parts.py").write_text("width = 8")
    ...     text = Path(folder, "net.py").write_text("def build(): import parts; return parts.width")
    ...     code = UserCode.of(Path(folder, "net.py"))
    ...     with code.running():
    ...         code.module.build()
    8
    """

    module: ModuleType
    folder: Folder | None = None
    inside: str = ""

    @classmethod
    def of(cls, place: str | Path) -> UserCode:
        """Imports a file (a `Path`) or the module of a name, anew where it is not an installed one.

        Raises what the code raises; what would end the program is a `PluginError`.
        """
        with contained():
            if isinstance(place, Path):
                folder = Folder(place.parent)
                return cls(folder.load_file(place.name), folder, module_of(place.name))
            path = folder_of_module(place.partition(".")[0])
            if path is None:
                return cls(importlib.import_module(place))
            folder = Folder(path)
            return cls(folder.load(place), folder, place)

    @contextmanager
    def running(self) -> Iterator[None]:
        """While functions of it are called: whoever imports finds the modules of its folder.

        Its own files find them at any time. What would end the program is a `PluginError`.
        """
        with contained(), nullcontext() if self.folder is None else self.folder.active():
            yield

    def has(self, thing: object) -> bool:
        """Whether a function or class is defined in it, or in a module that it imports from its folder."""
        package = "" if self.folder is None else f"{self.folder.package}."
        return bool(package) and str(getattr(thing, "__module__", "")).startswith(package)

    def sha256(self) -> str:
        """SHA-256 (hex) of its source and of all that it imports from its folder; "" of an installed one.

        The name of a file and its place do not count.
        """
        if self.folder is None:
            return ""
        alone = Path(str(self.module.__file__)).parent == Path(self.folder.path)
        return self.folder.sha256(self.inside, known_as="__main__" if alone else "")
