"""Where a dataset of human judgements lies, and files inside of it that may not lead out of it."""

from __future__ import annotations

import functools
import os
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from iibench import AssetError, FileError, Resources, UsageError, nearest, user_path

from ..._shared.files import nearest_files


@contextmanager
def named_by_user(named: bool) -> Iterator[None]:
    """Where the user `named` the data, their lack is a `FileError` and not an `AssetError`."""
    try:
        yield
    except AssetError as error:
        if named:
            raise FileError(str(error)) from error
        raise


def find_data(path: str, resources: Resources, expected: str, origin: str) -> Path:
    """The folder or file `path`: absolute, else below the suite's folder, else below the data folder.

    `expected`: the files that should be there, in words. `origin`: where the data come from. Both are
    for the `AssetError` that is raised where neither place has it.
    """
    try:
        given = user_path(path)
        places = [base / given for base in (resources.base_dir, resources.data_dir)]
        if given.is_absolute():
            places = [given]
        for place in places:
            if place.exists():
                return place.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"path: {path!r} is no path: {error}") from error
    looked = " nor ".join(str(place) for place in places)
    there_is = "there is neither" if len(places) > 1 else "there is no"
    siblings = [p.name for place in places if place.parent.is_dir() for p in place.parent.iterdir()]
    close = nearest(given.name, siblings)
    hint = f" (nearest: {', '.join(close)})" if close else ""
    raise AssetError(
        f"path: {there_is} {looked}{hint}\n"
        f"  expected: {expected}\n"
        f"  from: {origin}\n"
        f"  put it at {places[-1]}, or give its place as path"
    )


def find_folder(path: str, resources: Resources, expected: str, origin: str) -> Path:
    """`find_data` of what must be a folder."""
    found = find_data(path, resources, expected, origin)
    if not found.is_dir():
        raise AssetError(f"path: {found} is no folder; expected: {expected}")
    return found


def file_below(root: Path, name: str, where: str, follow_links: bool = False) -> Path:
    """The file `name` below the folder `root`; `where` names who asks for it, as in `data.csv:7: a`.

    Backslashes are slashes, and letters with accents match however they are composed (NFC, NFD): tables and
    files often come from different systems. Raises `UsageError` where there is no such file, and where
    the name or, without `follow_links`, a link on its way leads out of `root`.
    """
    path = root / name
    try:
        path = path if path.is_file() else _spelt_otherwise(root, name) or path
        resolved = path.resolve()
        there = resolved.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"{where} is {name!r}, which is no file name: {error}") from error
    if not Path(os.path.normpath(path)).is_relative_to(root):
        raise UsageError(f"{where} is {name!r}, which leads out of {root}")
    if not follow_links and not resolved.is_relative_to(root):
        raise UsageError(
            f"{where} is {name!r}, a link that leads out of {root}; follow_links: true follows it"
        )
    if not there:
        raise UsageError(
            f"{where} is {name!r}, and there is no such file in {root}{nearest_files(path)}"
        )
    return path


def _spelt_otherwise(root: Path, name: str) -> Path | None:
    """The file below `root` whose name is the same but for slashes and the composition of letters."""
    here = root
    for part in PurePosixPath(name.replace("\\", "/")).parts:
        if (here / part).exists():
            here /= part
            continue
        twin = _composed_names(here).get(unicodedata.normalize("NFC", part))
        if twin is None:
            return None
        here /= twin
    return here


def _composed_names(folder: Path) -> Mapping[str, str]:
    """The names in a folder by their composed form."""
    return _names_in(folder, folder.stat().st_mtime_ns) if folder.is_dir() else {}


@functools.lru_cache(maxsize=16)
def _names_in(folder: Path, time: int) -> Mapping[str, str]:
    """Kept: a table may name every file of a folder otherwise than it is stored."""
    names = sorted((path.name for path in folder.iterdir()), reverse=True)
    return {unicodedata.normalize("NFC", name): name for name in names}
