"""Content-keyed storage on disk for what is expensive to compute.

A key is the SHA-256 of a description (plain JSON) of everything that decides the value; the
description is kept beside the value for people to read. Two kinds of entry:

- a *blob*: a few named arrays and a JSON object, written under a temporary name and renamed when
  complete, checked by hash when read;
- a *row store*: one row per image of one large array, filled in any order. Each row has a checksum,
  written after the row, that says the row is there and undamaged. A run that is killed loses at most
  the batch in flight, and a run that needs only some images computes only those.

Two processes may share a cache. A damaged entry is dropped, reported and computed anew.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from iibench.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

#: Version of the layout on disk; part of the path, so that an old cache is ignored, not misread.
LAYOUT = "v1"
#: What the names of caches begin with that are for one run alone (see `Cache.without_entries`).
FRESH = ".fresh-"


def key_of(description: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of a description: equal descriptions, whatever the order of keys, give one key."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def source_sha256(*files: str) -> str:
    """SHA-256 over source files: a stage's code is part of what decides its value."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Blob:
    """A cached value: named arrays and a JSON object."""

    arrays: Mapping[str, npt.NDArray[Any]]
    meta: Mapping[str, Any]


class Cache:
    """A folder of entries by kind and key; `warn` is told of damaged entries."""

    def __init__(self, root: Path, warn: Callable[[str], None] = lambda text: None) -> None:
        self.root = root / LAYOUT
        self.warn = warn
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"the cache folder {root} cannot be made ({error.strerror}); "
                "choose another with --cache-dir or IIBENCH_CACHE"
            ) from error

    def without_entries(self) -> Cache:
        """An empty cache beside this one's entries, for a run that takes nothing from it.

        It is removed by `discard`; where a run was killed before that, by `clear`.
        """
        empty = Cache.__new__(Cache)
        empty.root = Path(tempfile.mkdtemp(prefix=FRESH, dir=self.root))
        empty.warn = self.warn
        return empty

    def discard(self) -> None:
        """Removes this cache, all of it."""
        shutil.rmtree(self.root, ignore_errors=True)

    def _folder(self, kind: str, key: str) -> Path:
        return self.root / kind / key[:2] / key

    # ------------------------------------------------------------------------------ blobs

    def has(self, kind: str, key: str) -> bool:
        """Whether a blob is there (its hash is checked only when it is loaded)."""
        return (self._folder(kind, key) / "entry.json").is_file()

    def load(self, kind: str, key: str) -> Blob | None:
        """The blob, or None where there is none or it is damaged (which is reported)."""
        folder = self._folder(kind, key)
        try:
            entry = json.loads((folder / "entry.json").read_text())
            data = (folder / "arrays.npz").read_bytes()
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            entry, data = {}, b""
        if hashlib.sha256(data).hexdigest() != entry.get("sha256"):
            self._drop(kind, folder)
            return None
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return Blob({name: arrays[name] for name in arrays.files}, entry["meta"])

    def store(
        self,
        kind: str,
        key: str,
        description: Mapping[str, Any],
        arrays: Mapping[str, npt.NDArray[Any]],
        meta: Mapping[str, Any],
    ) -> None:
        """Writes a blob; another process that wrote the same key first wins."""
        folder = self._folder(kind, key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        data = buffer.getvalue()
        entry = {
            "sha256": hashlib.sha256(data).hexdigest(),
            "description": description,
            "meta": dict(meta),
        }
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        try:
            (temporary / "arrays.npz").write_bytes(data)
            (temporary / "entry.json").write_text(json.dumps(entry, indent=1))
            temporary.rename(folder)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            if not (folder / "entry.json").is_file():
                raise

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
        if not (folder / "entry.json").is_file():
            _write_atomically(
                folder / "entry.json",
                json.dumps({"n": n, "width": width, "description": description}, indent=1),
            )
        return RowStore(folder, n, width, lambda: self.warn(_damaged_rows(kind)))

    def existing_rows(self, kind: str, key: str) -> RowStore | None:
        """The row store of this key, or None; its shape is read from disk."""
        folder = self._folder(kind, key)
        try:
            entry = json.loads((folder / "entry.json").read_text())
        except (OSError, ValueError):
            return None
        warn = self.warn
        return RowStore(folder, entry["n"], entry["width"], lambda: warn(_damaged_rows(kind)))

    # ------------------------------------------------------------------------------ upkeep

    def sizes(self) -> dict[str, tuple[int, int]]:
        """kind -> (number of entries, bytes on disk; the holes of sparse files are not counted)."""
        found: dict[str, tuple[int, int]] = {}
        for kind in sorted(p for p in self.root.iterdir() if p.is_dir() and p.name[0] != "."):
            entries = [p for p in kind.glob("??/*") if p.is_dir()]
            size = sum(
                f.stat().st_blocks * 512 for e in entries for f in e.iterdir() if f.is_file()
            )
            found[kind.name] = (len(entries), size)
        return found

    def clear(self, kind: str | None = None) -> None:
        """Removes all entries, or those of one kind."""
        for folder in self.root.iterdir():
            if folder.is_dir() and kind in {None, folder.name}:
                shutil.rmtree(folder, ignore_errors=True)


class RowStore:
    """An (n, width) float32 array on disk whose rows are filled in any order (see the module)."""

    def __init__(self, folder: Path, n: int, width: int, damaged: Callable[[], None]) -> None:
        self.folder = folder
        self.n = n
        self.width = width
        self._damaged = damaged
        for name, size in (("rows.bin", n * width * 4), ("sums.bin", n * 4)):
            path = folder / name
            if not path.exists() or path.stat().st_size != size:
                with path.open("ab") as file:
                    file.truncate(size)  # sparse: takes no space until it is written
        shape = (n, width)
        self._rows = np.memmap(folder / "rows.bin", np.float32, "r+", shape=shape)
        self._sums = np.memmap(folder / "sums.bin", np.uint32, "r+", shape=(n,))
        self._verified = np.zeros(n, bool)

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Held while rows are computed, so that two processes do not compute the same ones."""
        with FileLock(self.folder / "lock"):
            yield

    def missing(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Those of `indices` whose rows are not there; rows that fail their checksum are dropped."""
        present = self._sums[indices] != 0
        bad = False
        for i in indices[present & ~self._verified[indices]]:
            if _checksum(self._rows[i]) != self._sums[i]:
                self._sums[i] = 0
                bad = True
            else:
                self._verified[i] = True
        if bad:
            self._damaged()
        absent: npt.NDArray[np.int64] = indices[self._sums[indices] == 0]
        return absent

    def count(self) -> int:
        """How many rows are there (unverified)."""
        return int(np.count_nonzero(self._sums))

    def put(self, indices: npt.NDArray[np.int64], rows: npt.NDArray[np.float32]) -> None:
        """Writes rows, then their checksums."""
        self._rows[indices] = rows
        self._sums[indices] = [_checksum(row) for row in np.ascontiguousarray(rows)]
        self._verified[indices] = True

    def array(self) -> npt.NDArray[np.float32]:
        """The whole array, memory-mapped; only rows for which `missing` says nothing are meaningful."""
        return self._rows


def _checksum(row: npt.NDArray[np.float32]) -> int:
    """CRC-32 of a row's bytes, never 0: 0 stands for a row that is not there."""
    return zlib.crc32(row) or 1  # type: ignore[arg-type]


def _damaged_rows(kind: str) -> str:
    return f"cache: damaged rows of kind {kind} were dropped and are computed anew"


def _write_atomically(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).replace(path)
