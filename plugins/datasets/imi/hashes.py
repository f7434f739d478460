"""SHA-256 and colour mode of many image files: read in threads, and remembered between runs.

ImageNet's part of the IMI release has about 100,000 files. What is known of a file holds as long as its
path, size and modification time stay the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from iibench import UsageError

from .._images.decode import DecodeError
from .pixels import mode_of

#: (SHA-256, PIL's mode)
Facts = tuple[str, str]
#: path, size in bytes, modification time in ns
_Stamp = tuple[str, int, int]

THREADS = 8
#: Files read before what is known is written: a run that is killed goes on there.
CHUNK = 10_000

_KNOWN: dict[_Stamp, Facts] = {}


def facts_of(files: Sequence[Path], kept_in: Path | None) -> list[Facts]:
    """Facts of each file, in order; `kept_in` is the JSON file that remembers them, None for none.

    Raises `UsageError` naming a file that cannot be read or is no image.
    """
    if kept_in is not None:
        _KNOWN.update(_read(kept_in))
    with ThreadPoolExecutor(THREADS) as pool:
        stamps = list(pool.map(_stamp, files))
        new = [
            (file, stamp) for file, stamp in zip(files, stamps, strict=True) if stamp not in _KNOWN
        ]
        for start in range(0, len(new), CHUNK):
            part = new[start : start + CHUNK]
            found = pool.map(_facts, [file for file, _ in part])
            _KNOWN.update(zip([stamp for _, stamp in part], found, strict=True))
            if kept_in is not None:
                _write(kept_in)
    return [_KNOWN[stamp] for stamp in stamps]


def _stamp(file: Path) -> _Stamp:
    try:
        found = file.stat()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    return str(file), found.st_size, found.st_mtime_ns


def _facts(file: Path) -> Facts:
    try:
        data = file.read_bytes()
        return hashlib.sha256(data).hexdigest(), mode_of(data)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise UsageError(f"{file} cannot be decoded: {error}") from error


def _read(path: Path) -> dict[_Stamp, Facts]:
    """What is remembered; nothing where the file is missing or damaged, for it can be made anew."""
    try:
        return {
            (str(name), int(size), int(time)): (str(sha256), str(mode))
            for name, size, time, sha256, mode in json.loads(path.read_bytes())
        }
    except (OSError, ValueError, TypeError):
        return {}


def _write(path: Path) -> None:
    """All that is known to this process; what other processes wrote in between is computed again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        with os.fdopen(handle, "w") as out:
            json.dump([[*stamp, *facts] for stamp, facts in _KNOWN.items()], out)
        Path(name).replace(path)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror}); choose another cache folder with "
            "--cache-dir or IIBENCH_CACHE"
        ) from error
