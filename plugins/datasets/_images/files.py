"""Where image files lie: in a folder or in a zip, read in place and never outside of it.

A file's name is its path below the root, with slashes. Hidden files, and what macOS and network drives
add for themselves, are left out and counted.
"""

from __future__ import annotations

import functools
import hashlib
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Protocol

from iibench import FileError, UsageError, user_path

from ..._shared.files import nearest_files
from .decode import DecodeError, displayed_size

#: What the parameter `follow_links` of a dataset of files does.
FOLLOWED = {"help": "links in the folder may lead out of it"}
#: What hidden things are counted as.
HIDDEN = "hidden file or folder"
#: Folders that macOS adds to zips, and network drives to folders.
_ADDED = frozenset({"__MACOSX", "@eaDir"})


@dataclass(frozen=True)
class Listing:
    """Names of all files at any depth, and how many things of which kind are left out."""

    names: list[str]
    left_out: Mapping[str, int]


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

    def listing(self) -> Listing:
        """All files; raises `UsageError` where one would lead out of the root."""

    def read(self, name: str) -> bytes:
        """A file's bytes; raises `UsageError` naming the file where it cannot be read."""

    def stamp(self, name: str) -> tuple[int, int]:
        """Size and modification time: they change when the file (or the zip around it) does."""


def open_source(path: str, base_dir: Path, follow_links: bool = False) -> Source:
    """The folder or zip at `path`, relative to `base_dir`; raises `FileError` where there is none.

    `follow_links`: links in a folder may lead out of it.
    """
    root = user_path(path, base_dir).resolve()
    if root.is_dir():
        return Folder(root, follow_links)
    if root.is_file() and zipfile.is_zipfile(root):
        return Zip(root)
    if root.exists():
        raise FileError(f"path: {root} is neither a folder nor a zip")
    raise FileError(f"path: there is no {root}{nearest_files(root)}")


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
    return part.startswith(".") or part in _ADDED


# ----------------------------------------------------------------------------------- folder


@dataclass(frozen=True)
class Folder:
    """A folder; links are followed as long as they stay inside it, or anywhere with `follow_links`."""

    root: Path
    follow_links: bool = False

    def listing(self) -> Listing:
        """See `Source`."""
        left_out: Counter[str] = Counter()
        try:
            paths = list(self._files(self.root, (self.root,), left_out))
        except OSError as error:
            raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error
        return Listing([path.relative_to(self.root).as_posix() for path in paths], left_out)

    def _files(
        self, folder: Path, around: tuple[Path, ...], left_out: Counter[str]
    ) -> Iterator[Path]:
        """The files below `folder`; `around`: where it and the folders around it really lie."""
        for path in sorted(folder.iterdir()):
            if _hidden(path.name):
                left_out[HIDDEN] += 1
                continue
            place = path.resolve() if path.is_symlink() else around[-1] / path.name
            inside = self.follow_links or place.is_relative_to(self.root)
            if not inside:
                raise UsageError(
                    f"{path} is a link that leads out of {self.root}; follow_links: true follows it"
                )
            if path.is_file():
                yield path
            elif not path.is_dir():
                left_out["link to nothing" if path.is_symlink() else "special file"] += 1
            elif place in around:
                left_out["link to a folder around it"] += 1
            else:
                yield from self._files(path, (*around, place), left_out)

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
    """A zip; its members are read one by one, never unpacked. Backslashes in names are slashes."""

    root: Path

    def listing(self) -> Listing:
        """See `Source`."""
        found: list[str] = []
        hidden: set[tuple[str, ...]] = set()
        for info in self._archive().infolist():
            name = _slashed(info.filename)
            parts = PurePosixPath(name).parts
            if ".." in parts or name.startswith("/") or PureWindowsPath(name).drive:
                raise UsageError(
                    f"{self.root} has a member that leads out of it: {info.filename!r}"
                )
            if stat.S_ISLNK(info.external_attr >> 16):
                raise UsageError(f"{self.root} has a member that is a link: {name!r}")
            first = next((i for i, part in enumerate(parts, 1) if _hidden(part)), None)
            if first is not None:
                hidden.add(parts[:first])
            elif not name.endswith("/"):
                found.append(name)
        if len(set(found)) != len(found):
            twice = next(name for name in sorted(found) if found.count(name) > 1)
            raise UsageError(f"{self.root} has two members called {twice!r}")
        return Listing(found, {HIDDEN: len(hidden)} if hidden else {})

    def read(self, name: str) -> bytes:
        """See `Source`."""
        archive = self._archive()
        try:
            return archive.read(_stored_names(self.root, _stamp(self.root))[name])
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


def _slashed(name: str) -> str:
    """The name as the format has it: some programs of Windows write backslashes."""
    return name.replace("\\", "/")


@functools.lru_cache(maxsize=4)
def _opened_zip(path: Path, stamp: tuple[int, int]) -> zipfile.ZipFile:
    """Kept open: reading the directory of 50,000 members again for every image takes far too long."""
    return zipfile.ZipFile(path)


@functools.lru_cache(maxsize=4)
def _stored_names(path: Path, stamp: tuple[int, int]) -> Mapping[str, str]:
    """Name of a file -> that of its member."""
    return {_slashed(name): name for name in _opened_zip(path, stamp).namelist()}


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
