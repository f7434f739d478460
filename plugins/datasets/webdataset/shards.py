"""Which files a pattern of shards names: braces, wildcards, lists."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from iibench import AssetError, FileError, UsageError, user_path

from ..._shared.files import nearest_files

EXTRA = "webdataset"
_ADDRESS = re.compile(r"[a-z][a-z0-9+]+:", re.IGNORECASE)


def find_shards(patterns: str | Sequence[str], base_dir: Path, key: str) -> tuple[Path, ...]:
    """The files that the patterns of the parameter `key` name: wildcards in alphabetical order.

    Raises `FileError` where a file is not there, `AssetError` where braces cannot be expanded for want of
    a package, `UsageError` where a pattern is no pattern of files or two name one file.
    """
    given = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    found = [path for pattern in given for path in _files(pattern, base_dir, key)]
    seen: set[Path] = set()
    for path in found:
        if path in seen:
            raise UsageError(f"{key}: {path} is named twice")
        seen.add(path)
    return tuple(found)


def _files(pattern: str, base_dir: Path, key: str) -> Iterator[Path]:
    if _ADDRESS.match(pattern):
        raise UsageError(
            f"{key}: found {pattern!r}; expected files, since images are read at any place in them"
        )
    for one in _expanded(pattern, key):
        place = str(user_path(one))
        if glob.has_magic(place):
            yield from _matching(place, base_dir, key)
            continue
        path = (base_dir / place).resolve()
        if not path.is_file():
            raise FileError(f"{key}: there is no shard {path}{nearest_files(path)}")
        yield path


def _expanded(pattern: str, key: str) -> Iterator[str]:
    """What the braces of a pattern stand for; `{000..012}` keeps its zeros."""
    if "{" not in pattern:
        yield pattern
        return
    try:
        import braceexpand
    except ImportError as error:
        raise AssetError(
            f"{key}: braces need the package braceexpand; install it with: "
            f"pip install 'iibench[{EXTRA}]'"
        ) from error
    try:
        yield from braceexpand.braceexpand(pattern)
    except ValueError as error:
        raise UsageError(f"{key}: the braces of {pattern!r} cannot be expanded: {error}") from error


def _matching(place: str, base_dir: Path, key: str) -> Iterator[Path]:
    whole = place if Path(place).is_absolute() else f"{glob.escape(str(base_dir))}/{place}"
    names = sorted(name for name in glob.glob(whole) if Path(name).is_file())  # noqa: PTH207
    if not names:
        wanted = base_dir / place
        raise FileError(f"{key}: no shard matches {wanted}{nearest_files(wanted)}")
    yield from (Path(name).resolve() for name in names)
