"""Content-keyed storage on disk for what is expensive to compute.

A key is the SHA-256 of a description (plain JSON) of everything that decides the value; the
description is kept beside the value for people to read. Two kinds of entry:

- a *blob*: a few named arrays and a JSON object, written under a temporary name and renamed when
  complete, both checked by hash when read;
- a *row store*: one row per image of one large array, filled in any order. Each row has a checksum,
  written after the row, that says the row is there and undamaged. A run that is killed loses at most
  the batch in flight, and a run that needs only some images computes only those.

Two processes may share a cache. A damaged entry is dropped, reported and computed anew.

Behind a cache there may be a shared store (shared_store.py), for processes on several machines: what is not
here is taken over from there, and what is computed here is written there too.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.cache.rows import RowStore, _write_atomically, has_size
from iibench.cache.shared_rows import ENTRY, SharedRows
from iibench.cache.shared_store import Damaged, SharedStore
from iibench.contract.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

#: Version of the layout on disk; part of the path, so that an old cache is ignored, not misread.
LAYOUT = "v1"
#: What the names of caches begin with that are for one run alone (see `Cache.without_entries`).
FRESH = ".fresh-"
#: What the names of caches begin with that belong to the workers of one machine (see `Cache.of_node`).
NODE = ".node-"
#: Where a blob's `entry.json` has the SHA-256 of all else in it, which has that of the arrays.
SEAL = "seal"


def key_of(description: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of a description: equal descriptions, whatever the order of keys, give one key."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Blob:
    """A cached value: named arrays and a JSON object."""

    arrays: Mapping[str, npt.NDArray[Any]]
    meta: Mapping[str, Any]


class Cache:
    """A folder of entries by kind and key; `warn` is told of damaged entries.

    `shared`: the store behind it, or None. `exclusive`: False where processes that share the folder never
    fill the same rows, so that they need not wait for each other.
    """

    def __init__(
        self,
        root: Path,
        warn: Callable[[str], None] = lambda text: None,
        shared: SharedStore | None = None,
        exclusive: bool = True,
    ) -> None:
        self.root = root / LAYOUT
        self.warn = warn
        self.shared = shared
        self._exclusive = exclusive
        self._shared_rows: dict[tuple[str, str], SharedRows] = {}
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"the cache folder {root} cannot be made ({error.strerror}); "
                "choose another with --cache-dir or IIBENCH_CACHE"
            ) from error

    def without_entries(self) -> Cache:
        """An empty cache beside this one's entries, for a run that takes nothing from it.

        There is no shared store behind it. It is removed by `discard`; where a run was killed before
        that, by `clear`.
        """
        return self._at(Path(tempfile.mkdtemp(prefix=FRESH, dir=self.root)), None)

    def of_node(self, node: str) -> Cache:
        """The cache of the workers on a machine, beside this one's entries: a folder that machines share
        (NFS) is no place for memory-mapped rows, so each has one of its own."""
        root = self.root / f"{NODE}{node}"
        root.mkdir(exist_ok=True)
        return self._at(root, self.shared, exclusive=False)

    def _at(self, root: Path, shared: SharedStore | None, exclusive: bool = True) -> Cache:
        other = copy(self)
        other.root = root
        other.shared = shared
        other._exclusive = exclusive
        other._shared_rows = {}
        return other

    def discard(self) -> None:
        """Removes this cache, all of it."""
        shutil.rmtree(self.root, ignore_errors=True)

    def _folder(self, kind: str, key: str) -> Path:
        return self.root / entry_name(kind, key)

    def place(self, kind: str, key: str) -> Path:
        """The folder of an entry that is written in a way of its own (see by_direction.py)."""
        return self._folder(kind, key)

    # ------------------------------------------------------------------------------ blobs

    def has(self, kind: str, key: str) -> bool:
        """Whether a blob is there (its hash is checked only when it is loaded)."""
        if (self._folder(kind, key) / "entry.json").is_file():
            return True
        return self.shared is not None and self.shared.exists(_blob_name(kind, key))

    def load(self, kind: str, key: str) -> Blob | None:
        """The blob, or None where there is none or it is damaged (which is reported)."""
        found = self._read(kind, key)
        if found is None:
            return self._load_shared(kind, key)
        entry, data = found
        return _read_blob(data, entry["meta"])

    def store(
        self,
        kind: str,
        key: str,
        description: Mapping[str, Any],
        arrays: Mapping[str, npt.NDArray[Any]],
        meta: Mapping[str, Any],
    ) -> None:
        """Writes a blob; another process that wrote the same key first wins."""
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        data = buffer.getvalue()
        entry = {
            "sha256": hashlib.sha256(data).hexdigest(),
            "description": description,
            "meta": dict(meta),
        }
        self._write(kind, key, entry, data)
        if self.shared is not None:
            self.shared.write(_blob_name(kind, key), _shared_content(entry, data))

    def publish(self, kind: str, key: str) -> None:
        """Writes a blob that is here to the shared store, where that does not have it yet."""
        if self.shared is None or self.shared.exists(_blob_name(kind, key)):
            return
        found = self._read(kind, key)
        if found is not None:
            self.shared.write(_blob_name(kind, key), _shared_content(*found))

    def _read(self, kind: str, key: str) -> tuple[dict[str, Any], bytes] | None:
        """The entry and the arrays of a blob that is here; None where there is none or it is damaged."""
        folder = self._folder(kind, key)
        try:
            entry = json.loads((folder / "entry.json").read_bytes())
            data = (folder / "arrays.npz").read_bytes()
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError):
            entry, data = {}, b""
        if not _is_whole(entry, data):
            self._drop(kind, folder)
            return None
        return entry, data

    def _write(self, kind: str, key: str, entry: Mapping[str, Any], data: bytes) -> None:
        folder = self._folder(kind, key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        try:
            (temporary / "arrays.npz").write_bytes(data)
            sealed = {**entry, SEAL: _seal(entry)}
            (temporary / "entry.json").write_text(json.dumps(sealed, indent=1))
            temporary.rename(folder)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            if not (folder / "entry.json").is_file():
                raise

    def _load_shared(self, kind: str, key: str) -> Blob | None:
        """The shared store's blob, which is kept here too; None as for `load`."""
        if self.shared is None:
            return None
        try:
            content = self.shared.read(_blob_name(kind, key))
        except Damaged:
            self.warn(
                f"shared cache: a damaged entry of kind {kind} was left out and is computed anew"
            )
            return None
        if content is None:
            return None
        head, _, data = content.partition(b"\n")
        entry = json.loads(head)
        self._write(kind, key, entry, data)
        return _read_blob(data, entry["meta"])

    def _drop(self, kind: str, folder: Path) -> None:
        self.warn(f"cache: a damaged entry of kind {kind} was dropped and is computed anew")
        shutil.rmtree(folder, ignore_errors=True)

    # ------------------------------------------------------------------------------ rows

    def rows(
        self, kind: str, key: str, description: Mapping[str, Any], n: int, width: int
    ) -> RowStore:
        """The (n, width) float32 row store of this key, made empty where there is none."""
        folder = self._folder(kind, key)
        folder.mkdir(parents=True, exist_ok=True)
        if _shape_of_rows(folder) != (n, width):
            _write_atomically(
                folder / "entry.json",
                json.dumps({"n": n, "width": width, "description": description}, indent=1),
            )
        return self._row_store(kind, key, n, width)

    def existing_rows(self, kind: str, key: str) -> RowStore | None:
        """The row store of this key, or None; its shape is read from disk or from the shared store."""
        folder = self._folder(kind, key)
        shape = _shape_of_rows(folder)
        if shape is not None and has_size(folder, *shape):
            return self._row_store(kind, key, *shape)
        entry = self._shared_entry(kind, key)
        if entry is None:
            return None
        return self.rows(kind, key, entry["description"], entry["n"], entry["width"])

    def _row_store(self, kind: str, key: str, n: int, width: int) -> RowStore:
        folder = self._folder(kind, key)
        shared = None
        if self.shared is not None:
            shared = self._shared_rows.get((kind, key))
            if shared is None:
                self._shared_rows[kind, key] = shared = SharedRows(
                    *(self.shared, shared_name(kind, key), n, width),
                    lambda: self.warn(f"shared {_damaged_rows(kind)}"),
                    (folder / "entry.json").read_bytes(),
                )
        return RowStore(
            *(folder, n, width, lambda: self.warn(_damaged_rows(kind))), shared, self._exclusive
        )

    def _shared_entry(self, kind: str, key: str) -> dict[str, Any] | None:
        if self.shared is None:
            return None
        try:
            content = self.shared.read(f"{shared_name(kind, key)}/{ENTRY}")
        except Damaged:
            return None
        return None if content is None else dict(json.loads(content))

    # ------------------------------------------------------------------------------ upkeep

    def sizes(self) -> dict[str, tuple[int, int]]:
        """kind -> (number of entries, bytes on disk; the holes of sparse files are not counted)."""
        found: dict[str, tuple[int, int]] = {}
        for kind in sorted(p for p in self.root.iterdir() if p.is_dir() and p.name[0] != "."):
            entries = [p for p in kind.glob("??/*") if p.is_dir()]
            size = sum(_on_disk(f.stat()) for e in entries for f in e.iterdir() if f.is_file())
            found[kind.name] = (len(entries), size)
        return found

    def clear(self, kind: str | None = None) -> None:
        """Removes all entries, or those of one kind; nothing else, and nothing behind a link."""
        for folder in self.root.iterdir():
            if kind not in {None, folder.name} or not _is_folder(folder):
                continue
            if folder.name.startswith((FRESH, NODE)):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            for part in filter(_is_folder, folder.glob("??")):
                for entry in filter(_is_folder, part.iterdir()):
                    whole = entry.name.startswith(part.name) and (entry / "entry.json").is_file()
                    if whole or entry.name.startswith(".new-"):
                        shutil.rmtree(entry, ignore_errors=True)
                _remove_if_empty(part)
            _remove_if_empty(folder)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _on_disk(file: os.stat_result) -> int:
    """Bytes of blocks that a file takes; where the system does not count blocks (Windows), its length."""
    blocks: int | None = getattr(file, "st_blocks", None)
    return file.st_size if blocks is None else blocks * 512


def entry_name(kind: str, key: str) -> str:
    """Where an entry is, below the folder of its cache."""
    return f"{kind}/{key[:2]}/{key}"


def shared_name(kind: str, key: str) -> str:
    """Where an entry is in the shared store."""
    return f"{LAYOUT}/{entry_name(kind, key)}"


def _blob_name(kind: str, key: str) -> str:
    """The name of a blob in the shared store."""
    return f"{shared_name(kind, key)}.blob"


def _shared_content(entry: Mapping[str, Any], data: bytes) -> bytes:
    """A blob as one object: its entry in one line, then its arrays."""
    return json.dumps(entry).encode() + b"\n" + data


def _seal(entry: Mapping[str, Any]) -> str:
    content = {name: value for name, value in entry.items() if name != SEAL}
    read_back = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(read_back, sort_keys=True).encode()).hexdigest()


def _is_whole(entry: Any, data: bytes) -> bool:
    """Whether an entry and its arrays are what was written; one from before there were seals is not."""
    try:
        seals = entry[SEAL], entry["sha256"]
        return seals == (_seal(entry), hashlib.sha256(data).hexdigest())
    except (TypeError, KeyError, ValueError):
        return False


def _read_blob(data: bytes, meta: Mapping[str, Any]) -> Blob:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return Blob({name: arrays[name] for name in arrays.files}, meta)


def _shape_of_rows(folder: Path) -> tuple[int, int] | None:
    """(n, width) of the row store in a folder, None where its entry does not say so."""
    try:
        entry = json.loads((folder / "entry.json").read_bytes())
        n, width = entry["n"], entry["width"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    return (n, width) if type(n) is int and type(width) is int else None


def _damaged_rows(kind: str) -> str:
    return f"cache: damaged rows of kind {kind} were dropped and are computed anew"
