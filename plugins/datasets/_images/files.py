"""Where image files lie: in a folder or in a zip, read in place and never outside of it.

A file's name is its path below the root, with slashes. Hidden files and what macOS adds to zips are
left out.
"""

from __future__ import annotations

import functools
import hashlib
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Protocol

from iibench import UsageError, nearest, user_path

from .decode import DecodeError, displayed_size

#: How far below the root files are looked for: class folders, in one folder around them.
DEPTH = 3


@dataclass(frozen=True)
class Facts:
    """What is known of an image file without decoding it; `size` is (height, width) as displayed."""

    sha256: str
    size: tuple[int, int]


class Source(Protocol):
    """A place that holds files."""

    @property
    def root(self) -> Path:
        """The folder, or the zip."""

    def names(self) -> list[str]:
        """Names of all files; raises `UsageError` where one would lead out of the root."""

    def read(self, name: str) -> bytes:
        """A file's bytes; raises `UsageError` naming the file where it cannot be read."""

    def stamp(self, name: str) -> tuple[int, int]:
        """Size and modification time: they change when the file (or the zip around it) does."""


def open_source(path: str, base_dir: Path) -> Source:
    """The folder or zip at `path`, relative to `base_dir`; raises `UsageError` where there is none."""
    root = user_path(path, base_dir).resolve()
    if root.is_dir():
        return Folder(root)
    if root.is_file() and zipfile.is_zipfile(root):
        return Zip(root)
    if root.exists():
        raise UsageError(f"path: {root} is neither a folder nor a zip")
    siblings = [p.name for p in root.parent.iterdir()] if root.parent.is_dir() else []
    close = nearest(root.name, siblings)
    hint = f"; nearest in {root.parent}: {', '.join(close)}" if close else ""
    raise UsageError(f"path: there is no {root}{hint}")


_FACTS: dict[tuple[Path, str, tuple[int, int]], Facts] = {}


def facts(source: Source, name: str) -> Facts:
    """Hash and displayed size of a file, remembered for this process while the file stays the same.

    Raises `UsageError` naming the file where it is no image.
    """
    key = (source.root, name, source.stamp(name))
    if key not in _FACTS:
        data = source.read(name)
        try:
            size = displayed_size(data)
        except DecodeError as error:
            raise UsageError(f"{name} in {source.root} cannot be decoded: {error}") from error
        _FACTS[key] = Facts(hashlib.sha256(data).hexdigest(), size)
    return _FACTS[key]


def _hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"


# ----------------------------------------------------------------------------------- folder


@dataclass(frozen=True)
class Folder:
    """A folder; links are followed as long as they stay inside it."""

    root: Path

    def names(self) -> list[str]:
        """See `Source`."""
        return [path.relative_to(self.root).as_posix() for path in self._files(self.root, DEPTH)]

    def _files(self, folder: Path, depth: int) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if _hidden(path.name):
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(self.root):
                raise UsageError(f"{path} is a link that leads out of {self.root}")
            if path.is_file():
                yield path
            elif path.is_dir() and depth > 1:
                yield from self._files(path, depth - 1)

    def read(self, name: str) -> bytes:
        """See `Source`."""
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise UsageError(f"{self.root / name} cannot be read: {error.strerror}") from error

    def stamp(self, name: str) -> tuple[int, int]:
        """See `Source`."""
        return _stamp(self.root / name)


# -------------------------------------------------------------------------------------- zip


@dataclass(frozen=True)
class Zip:
    """A zip; its members are read one by one, never unpacked."""

    root: Path

    def names(self) -> list[str]:
        """See `Source`."""
        found: list[str] = []
        for info in self._archive().infolist():
            name = info.filename
            parts = PurePosixPath(name.replace("\\", "/")).parts
            if ".." in parts or name.startswith(("/", "\\")) or PureWindowsPath(name).drive:
                raise UsageError(f"{self.root} has a member that leads out of it: {name!r}")
            if stat.S_ISLNK(info.external_attr >> 16):
                raise UsageError(f"{self.root} has a member that is a link: {name!r}")
            if not info.is_dir() and not any(_hidden(part) for part in parts):
                found.append(name)
        if len(set(found)) != len(found):
            twice = next(name for name in sorted(found) if found.count(name) > 1)
            raise UsageError(f"{self.root} has two members called {twice!r}")
        return found

    def read(self, name: str) -> bytes:
        """See `Source`."""
        try:
            return self._archive().read(name)
        except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UsageError(f"{name} in {self.root} cannot be read: {error}") from error

    def stamp(self, name: str) -> tuple[int, int]:
        """See `Source`."""
        return _stamp(self.root)

    def _archive(self) -> zipfile.ZipFile:
        try:
            return _opened_zip(self.root, _stamp(self.root))
        except (OSError, zipfile.BadZipFile) as error:
            raise UsageError(f"{self.root} cannot be read as a zip: {error}") from error


@functools.lru_cache(maxsize=4)
def _opened_zip(path: Path, stamp: tuple[int, int]) -> zipfile.ZipFile:
    """Kept open: reading the directory of 50,000 members again for every image takes far too long."""
    return zipfile.ZipFile(path)


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
