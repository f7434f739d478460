"""Rows of one large array, exchanged with a shared store as blobs of (indices, rows) that never change.

A blob's name says which images it is about and what is in it:
`FIRST-LAST-COUNT-HASH.rows`, so any number of writers may write at once, and the same rows written
again are the same object. What a store holds is the union of its blobs; where two of them disagree about a
row, the first by name counts.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.cache.shared_store import Damaged, SharedStore

if TYPE_CHECKING:
    import numpy.typing as npt

    IntArray = npt.NDArray[np.int64]
    FloatArray = npt.NDArray[np.float32]

#: The object that says for people and readers what rows these are (the row store's `entry.json`).
ENTRY = "entry.json"
#: Bytes of rows in one blob, at most.
BLOB_BYTES = 64 << 20
#: Blobs read at once.
READERS = 4
#: Bytes before the indices: how many there are, and the width of a row.
_HEAD = 16
_NAME = re.compile(r"(\d+)-(\d+)-(\d+)-[0-9a-f]{32}\.rows")


@dataclass(frozen=True)
class RowBlob:
    """Rows (m, width) float32 of the images `indices` (m,), ascending."""

    indices: IntArray
    rows: FloatArray

    def content(self) -> bytes:
        """As bytes: m, width, indices (int64), rows (float32), little-endian."""
        head = np.array(self.rows.shape, "<i8").tobytes()
        return head + self.indices.astype("<i8").tobytes() + self.rows.astype("<f4").tobytes("C")


def read_blob(content: bytes, n: int, width: int) -> RowBlob:
    """The blob that `content` is. Raises `Damaged` where it holds no rows of an (n, width) array."""
    count, found = np.frombuffer(content, "<i8", 2) if len(content) >= _HEAD else (-1, -1)
    if found != width or len(content) != _HEAD + count * (8 + 4 * width):
        raise Damaged("a blob of rows has another shape")
    indices = np.frombuffer(content, "<i8", count, _HEAD).astype(np.int64)
    if count and not (indices[0] >= 0 and indices[-1] < n and (np.diff(indices) > 0).all()):
        raise Damaged("a blob of rows has other indices")
    rows = np.frombuffer(content, "<f4", count * width, _HEAD + 8 * count)
    return RowBlob(indices, rows.reshape(count, width).astype(np.float32))


class SharedRows:
    """The blobs of one (n, width) array in a folder of a store.

    `known` (n,): rows that this process has seen in the store or written to it. `warn` is told of damaged
    blobs. They are never removed, since another writer may just have repaired one: the same rows written
    anew replace them. `entry`: written beside the first blob.
    """

    def __init__(
        self,
        store: SharedStore,
        folder: str,
        n: int,
        width: int,
        warn: Callable[[], None],
        entry: bytes,
    ) -> None:
        self._store = store
        self._folder = folder
        self._n = n
        self._width = width
        self._warn = warn
        self.known = np.zeros(n, bool)
        self._contents: dict[str, IntArray] = {}
        self._damaged: set[str] = set()
        self._entry: bytes | None = entry

    def take(self, wanted: IntArray) -> Iterator[RowBlob]:
        """Every blob with one of the wanted rows, as far as that is known before it is read."""
        names = list(self._with_any(np.unique(wanted)))
        for name, reading in self._read_ahead(names):
            try:
                content = reading.result()
                if content is None:
                    continue
                blob = read_blob(content, self._n, self._width)
            except Damaged:
                self._damaged.add(name)
                self._warn()
                continue
            self._contents[name] = blob.indices
            self.known[blob.indices] = True
            yield blob

    def held(self, wanted: IntArray) -> npt.NDArray[np.bool_]:
        """Which of the wanted rows the store holds, by the names of its blobs; reads no row."""
        found = np.zeros(self._n, bool)
        for name in self._with_any(np.unique(wanted)):
            if name not in self._contents:
                stop = _HEAD + 8 * _bounds(name)[2]
                part = self._store.read_part(f"{self._folder}/{name}", _HEAD, stop)
                indices = np.frombuffer(part[: len(part) // 8 * 8], "<i8").astype(np.int64)
                self._contents[name] = indices[(indices >= 0) & (indices < self._n)]
            found[self._contents[name]] = True
        return found[wanted]

    def push(self, indices: IntArray, read: Callable[[IntArray], FloatArray]) -> None:
        """Writes the rows `read(indices)`, in blobs."""
        if not len(indices):
            return
        indices = np.unique(indices)
        if self._entry is not None:
            self._store.write(f"{self._folder}/{ENTRY}", self._entry)
            self._entry = None
        for chosen in self._blobs_of(indices):
            content = RowBlob(chosen, read(chosen)).content()
            digest = hashlib.sha256(content).hexdigest()[:32]
            name = f"{chosen[0]:010d}-{chosen[-1]:010d}-{len(chosen)}-{digest}.rows"
            self._store.write(f"{self._folder}/{name}", content)
            self._contents[name] = chosen
            self.known[chosen] = True
            self._damaged.discard(name)

    def _blobs_of(self, indices: IntArray) -> Iterator[IntArray]:
        """The indices of each blob: those of a damaged one together, so that it is replaced."""
        for name in sorted(self._damaged):
            first, last, count = _bounds(name)
            inside = (indices >= first) & (indices <= last)
            if inside.sum() == count:
                yield indices[inside]
                indices = indices[~inside]
        step = max(1, BLOB_BYTES // (4 * self._width))
        for start in range(0, len(indices), step):
            yield indices[start : start + step]

    def _with_any(self, wanted: IntArray) -> Iterator[str]:
        """Names of blobs that may hold one of the wanted rows (ascending), in order."""
        for name in self._store.names(self._folder):
            if name in self._damaged or not _NAME.fullmatch(name):
                continue
            first, last, count = _bounds(name)
            if name not in self._contents and count == last - first + 1 and last < self._n:
                self._contents[name] = np.arange(first, last + 1)
            inside = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, last + 1)]
            contents = self._contents.get(name)
            if inside.size and (contents is None or np.isin(inside, contents).any()):
                yield name

    def _read_ahead(self, names: Sequence[str]) -> Iterator[tuple[str, Future[bytes | None]]]:
        """Each name with its content, a few read at once."""
        with ThreadPoolExecutor(READERS, "iibench-shared") as pool:
            ahead: deque[tuple[str, Future[bytes | None]]] = deque()
            for name in names:
                ahead.append((name, pool.submit(self._store.read, f"{self._folder}/{name}")))
                if len(ahead) >= READERS:
                    yield ahead.popleft()
            yield from ahead


def _bounds(name: str) -> tuple[int, int, int]:
    """(first image, last image, number of rows) as a blob's name says."""
    first, last, count, _ = name.split("-")
    return int(first), int(last), int(count)
