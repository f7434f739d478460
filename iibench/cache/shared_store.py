"""A place that several machines share: whole objects at any address that fsspec knows.

An object is written whole or not at all: on file systems under a temporary name and then renamed; object
stores put whole objects anyway. It begins with the SHA-256 of what follows, which is checked when it is
read, so that what is damaged or cut off is never taken for a value.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from iibench.contract.errors import CaseError, UsageError, one_line
from iibench.contract.paths import user_path

T = TypeVar("T")

#: Bytes before an object's content: its SHA-256 in hex and a line end.
SEAL = 65
#: Seconds to wait before each further try of an operation that failed.
PAUSES = (0.5, 2.0, 8.0, 20.0)
#: The object that is written when a store is opened, to see whether that can be done.
PROBE = "shared-cache"


class Damaged(Exception):  # noqa: N818 - what an object is found to be
    """An object is not what was written."""


class StoreError(CaseError):
    """The store cannot be written or read."""


def default_shared_cache() -> str | None:
    """`IIBENCH_SHARED_CACHE`, or None."""
    return os.environ.get("IIBENCH_SHARED_CACHE") or None


def open_shared_store(url: str) -> SharedStore:
    """The store at an fsspec address (`s3://bucket/x`, `file:///mnt/x`) or in a folder, tried out.

    Raises `UsageError` where the address is none, its protocol needs a package that is not installed, or
    nothing can be written there.
    """
    import fsspec

    address = url
    if "://" not in url and "::" not in url:
        address = str(user_path(url).absolute())
    try:
        system, root = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise UsageError(
            f"--shared-cache {url}: its protocol needs a package that is not installed ({error})"
        ) from error
    except Exception as error:
        raise UsageError(f"--shared-cache {url}: {one_line(error)}") from error
    store = SharedStore(address, system, root)
    try:
        store.write(PROBE, b"values that iibench computed\n")
    except StoreError as error:
        raise UsageError(f"--shared-cache {url}: {error}") from error
    return store


class SharedStore:
    """Objects by name, such as `v1/scores/ab/abcd.blob`, below `root` of an fsspec file system."""

    def __init__(self, url: str, system: Any, root: str) -> None:
        self.url = url
        self._system = system
        self._root = root.rstrip("/")
        self._is_local = "file" in _protocols(system)

    def read(self, name: str) -> bytes | None:
        """The content of an object, None where there is none. Raises `Damaged`."""
        data = self._try("read", lambda: self._system.cat_file(self._path(name)))
        if data is None:
            return None
        content = bytes(memoryview(data)[SEAL:])
        if hashlib.sha256(content).hexdigest().encode() + b"\n" != data[:SEAL]:
            raise Damaged(name)
        return content

    def read_part(self, name: str, start: int, stop: int) -> bytes:
        """Bytes [start, stop) of an object's content, unchecked; fewer where there are fewer."""
        part = self._try(
            "read",
            lambda: self._system.cat_file(self._path(name), start=SEAL + start, end=SEAL + stop),
        )
        return b"" if part is None else bytes(part)

    def write(self, name: str, content: bytes) -> None:
        """Writes an object, whole; one that is there is replaced."""
        data = hashlib.sha256(content).hexdigest().encode() + b"\n" + content
        put = self._put_file if self._is_local else self._put_object
        self._try("written", lambda: put(self._path(name), data))

    def exists(self, name: str) -> bool:
        """Whether there is an object of this name (it is checked only when it is read)."""
        self._system.invalidate_cache()
        return bool(self._try("read", lambda: self._system.exists(self._path(name))))

    def names(self, folder: str) -> list[str]:
        """Last parts of the names of the objects in a folder, sorted."""
        self._system.invalidate_cache()
        found = self._try("listed", lambda: self._system.ls(self._path(folder), detail=False))
        names = (str(path).rstrip("/").rpartition("/")[2] for path in found or ())
        return sorted(name for name in names if not name.startswith("."))

    def remove(self, name: str) -> None:
        """Removes an object, if it is there."""
        self._try("removed", lambda: self._system.rm_file(self._path(name)))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _put_file(self, path: str, data: bytes) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".new-{uuid.uuid4().hex}")
        try:
            temporary.write_bytes(data)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def _put_object(self, path: str, data: bytes) -> None:
        try:
            self._system.pipe_file(path, data)
        except FileNotFoundError:
            if not path.startswith("/") and not self._system.exists(path.partition("/")[0]):
                raise  # a misspelt bucket is not to be made
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(path, data)

    def _try(self, what: str, operation: Callable[[], T]) -> T | None:
        """What the operation gives, None where there is no such object; tried again where it fails.

        Raises `StoreError` where it keeps failing. Each fsspec package has errors of its own.
        """
        for pause in (*PAUSES, None):
            try:
                return operation()
            except FileNotFoundError:
                if what != "written":
                    return None
                problem = f"the shared cache {self.url} is not there"
            except Exception as error:
                problem = f"the shared cache {self.url} cannot be {what} ({one_line(error)})"
            if pause is not None:
                time.sleep(pause)
        raise StoreError(problem)


def _protocols(system: Any) -> tuple[str, ...]:
    protocol = system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
