"""Brings the files of a Zenodo record to a folder: listed by its API, checked, archives unpacked."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from iibench.assets.archives import is_archive, unpack
from iibench.assets.download import (
    FetchError,
    Progress,
    download,
    fetch_errors,
    md5_of_file,
    opener,
)
from iibench.contract.base import AssetFile

#: A record's JSON has a few kilobytes.
LARGEST_ANSWER = 16 << 20


def record_files(
    record: str, connect_timeout: float = 5.0, read_timeout: float = 30.0
) -> tuple[AssetFile, ...]:
    """The files of a record, with their sizes and MD5s; `record` is the address of its JSON.

    Raises `FetchError` where the answer is not what Zenodo answers.
    """
    request = urllib.request.Request(record, headers={"User-Agent": "iibench"})
    with fetch_errors(), opener(read_timeout).open(request, timeout=connect_timeout) as response:
        text = response.read(LARGEST_ANSWER)
    try:
        listed = json.loads(text)["files"]
        files = tuple(_file(entry, urlsplit(record).scheme) for entry in listed)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FetchError("the answer is no list of a record's files") from error
    if not files:
        raise FetchError("the record has no files that may be downloaded")
    return files


def _file(entry: Any, scheme: str) -> AssetFile:
    """One file of the record; names and addresses come from the network and are not trusted."""
    name, url = str(entry["key"]), str(entry["links"]["self"])
    kind, _, checksum = str(entry["checksum"]).partition(":")
    if not name or name in {".", ".."} or any(c in name for c in "/\\:\0"):
        raise FetchError(f"the record has a file of the unusable name {name!r}")
    if urlsplit(url).scheme not in {"https", scheme}:
        raise FetchError(f"the record's file {name} has the address {url}, expected https")
    if kind != "md5":
        raise FetchError(f"the record's file {name} has a checksum {kind}, expected md5")
    return AssetFile(name, sha256="", size=int(entry["size"]), url=url, md5=checksum)


def fetch_record(
    file: AssetFile,
    target: Path,
    progress: Progress,
    confirm: Callable[[AssetFile, Path], None],
    connect_timeout: float = 5.0,
    read_timeout: float = 30.0,
) -> None:
    """Makes the folder `target` from the files of `file.record`; archives are unpacked into it.

    The downloads lie in `target.files` until the folder is complete, so that an interrupted fetch goes
    on where it stopped. `confirm(file, path)` is called for each of them, checked by size and MD5; it
    raises `FetchError` for one that is not the file of an earlier time. Raises `FetchError`.
    """
    arrived = target.with_name(target.name + ".files")
    made = target.with_name(target.name + ".new")
    files = record_files(str(file.record), connect_timeout, read_timeout)
    with fetch_errors():
        arrived.mkdir(parents=True, exist_ok=True)
        for part in files:
            path = arrived / part.filename
            if not path.is_file() or md5_of_file(path) != part.md5:
                download(part, path, progress, connect_timeout, read_timeout)
            confirm(part, path)
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        for part in files:
            if is_archive(part.filename):
                unpack(arrived / part.filename, made)
            else:
                shutil.copyfile(arrived / part.filename, made / part.filename)
        if holding(made, file.contents) is None:
            raise FetchError(
                f"the record's files {', '.join(part.filename for part in files)} hold no folder "
                f"with {' and '.join(file.contents)}"
            )
        if target.exists():  # an incomplete folder of an earlier time
            shutil.rmtree(target)
        made.rename(target)
        shutil.rmtree(arrived, ignore_errors=True)


def holding(folder: Path, contents: tuple[str, ...]) -> Path | None:
    """`folder`, or a folder one or two levels below it, that holds all of `contents`; else None."""
    for pattern in ("", "*/", "*/*/"):
        if not contents:
            break
        for found in sorted(folder.glob(pattern + contents[0])):
            root = folder.joinpath(*found.relative_to(folder).parts[: pattern.count("/")])
            if all((root / inside).exists() for inside in contents):
                return root
    return folder if not contents and folder.is_dir() else None
