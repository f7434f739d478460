"""Unpacks archives from the network into a folder, and nothing beside it."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from iibench.assets.download import CHUNK, FetchError, fetch_errors

_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
#: What macOS adds to zips for itself.
_IGNORED = "__MACOSX"


@dataclass(frozen=True)
class _Member:
    """A file in an archive; `open` gives its bytes."""

    path: PurePosixPath
    open: Callable[[], IO[bytes]]


def is_archive(name: str) -> bool:
    """Whether a file of this name is unpacked: a zip, or a tar, compressed or not."""
    return name.lower().endswith(_ENDINGS)


def unpack(archive: Path, folder: Path) -> None:
    """Writes the files of an archive below `folder`.

    Where all of them lie in one folder inside the archive, they go to that folder; else to one that is
    called as the archive is. Raises `FetchError`, before anything is written, for a member that leads
    out of the folder or is a link or a device, and for a file that is there already.
    """
    with fetch_errors(), _members(archive) as members:
        kept = [member for member in members if member.path.parts[0] != _IGNORED]
        tops = {member.path.parts[0] for member in kept}
        together = len(tops) == 1 and all(len(member.path.parts) > 1 for member in kept)
        below = folder if together else folder / _stem(archive.name)
        for member in kept:
            if (below / member.path).exists():
                raise FetchError(f"{archive.name} has {member.path}, which is there already")
        for member in kept:
            target = below / member.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with member.open() as source, target.open("xb") as out:
                shutil.copyfileobj(source, out, CHUNK)


def _stem(name: str) -> str:
    ending = next(e for e in sorted(_ENDINGS, key=len, reverse=True) if name.lower().endswith(e))
    return name[: -len(ending)]


@contextmanager
def _members(archive: Path) -> Iterator[list[_Member]]:
    """The archive's files, all of them checked."""
    if archive.name.lower().endswith(".zip"):
        try:
            with zipfile.ZipFile(archive) as opened:
                yield [
                    _Member(_inside(archive, info.filename), partial(opened.open, info))
                    for info in opened.infolist()
                    if not info.is_dir() and _plain_zip(archive, info)
                ]
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise FetchError(f"{archive.name} cannot be unpacked: {error}") from error
        return
    with tarfile.open(archive, "r:*") as tar:

        def stream(info: tarfile.TarInfo) -> IO[bytes]:
            found = tar.extractfile(info)
            if found is None:
                raise FetchError(f"{info.name} in {archive.name} is no file")
            return found

        yield [
            _Member(_inside(archive, info.name), partial(stream, info))
            for info in tar
            if not info.isdir() and _plain_tar(archive, info)
        ]


def _inside(archive: Path, name: str) -> PurePosixPath:
    """The member's path; raises `FetchError` where it leads out of the folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive:
        raise FetchError(f"{archive.name} has a member that leads out of it: {name!r}")
    return path


def _plain_zip(archive: Path, info: zipfile.ZipInfo) -> bool:
    if stat.S_ISLNK(info.external_attr >> 16):
        raise FetchError(f"{archive.name} has a member that is a link: {info.filename!r}")
    return True


def _plain_tar(archive: Path, info: tarfile.TarInfo) -> bool:
    if not info.isfile():
        raise FetchError(f"{archive.name} has a member that is a link or a device: {info.name!r}")
    return True
