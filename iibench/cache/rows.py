"""Values that are rows, one per image: filled piece by piece, in any order, checked by a checksum each."""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from iibench.cache.mapped import RELEASE_BYTES, release
from iibench.cache.shared_rows import SharedRows

if TYPE_CHECKING:
    import numpy.typing as npt


#: Bytes of new rows after which they are written to the shared store, at the latest.
PUSH_BYTES = 64 << 20


class RowStore:
    """An (n, width) float32 array on disk whose rows are filled in any order (see the module).

    `shared`: the same rows in the shared store behind the cache. `exclusive`: whether `filling` locks.
    """

    def __init__(
        self,
        folder: Path,
        n: int,
        width: int,
        damaged: Callable[[], None],
        shared: SharedRows | None = None,
        exclusive: bool = True,
    ) -> None:
        self.folder = folder
        self.n = n
        self.width = width
        self._damaged = damaged
        self._shared = shared
        self._exclusive = exclusive
        self._filling = False
        #: bytes written since pages were let go of
        self._unreleased = 0
        #: indices of rows that are still to be written to the shared store
        self._new: list[npt.NDArray[np.int64]] = []
        for name, size in sizes_of_files(n, width).items():
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
        """Held while rows are computed, so that two processes do not compute the same ones.

        What was put meanwhile is in the shared store afterwards, if there is one.
        """
        with FileLock(self.folder / "lock") if self._exclusive else nullcontext():
            self._filling = True
            try:
                yield
            finally:
                self._filling = False
                self._push()

    def missing(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Those of `indices` whose rows are not there; rows that fail their checksum are dropped.

        Rows that the shared store has are taken over first.
        """
        absent = self._absent(indices)
        if self._shared is None or not absent.size:
            return absent
        for blob in self._shared.take(absent):
            new = self._sums[blob.indices] == 0
            self._write(blob.indices[new], blob.rows[new])
            release(self._rows)
        return self._absent(indices)

    def uncomputed(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Those of `indices` whose rows are neither here nor, by its account, in the shared store.

        Takes nothing over: for planning who computes what.
        """
        absent = self._absent(indices)
        if self._shared is None or not absent.size:
            return absent
        return absent[~self._shared.held(absent)]

    def publish(self, indices: npt.NDArray[np.int64]) -> None:
        """Writes those of `indices` whose rows are here to the shared store, where it does not hold them."""
        if self._shared is None:
            return
        new = indices[~self._shared.known[indices]]
        new = np.setdiff1d(new, self._absent(new))
        if new.size:
            self._shared.push(new[~self._shared.held(new)], lambda chosen: self._rows[chosen])
            release(self._rows)

    def _absent(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        present = self._sums[indices] != 0
        bad = False
        step = max(1, RELEASE_BYTES // (4 * self.width))
        for number, i in enumerate(indices[present & ~self._verified[indices]], 1):
            if _checksum(self._rows[i]) != self._sums[i]:
                self._sums[i] = 0
                bad = True
            else:
                self._verified[i] = True
            if number % step == 0:
                release(self._rows)
        if bad:
            self._damaged()
        absent: npt.NDArray[np.int64] = indices[self._sums[indices] == 0]
        return absent

    def count(self) -> int:
        """How many rows are there (unverified)."""
        return int(np.count_nonzero(self._sums))

    def put(self, indices: npt.NDArray[np.int64], rows: npt.NDArray[np.float32]) -> None:
        """Writes rows, then their checksums."""
        self._write(indices, rows)
        if self._shared is not None:
            self._new.append(np.asarray(indices, np.int64))
            if not self._filling or 4 * self.width * sum(map(len, self._new)) >= PUSH_BYTES:
                self._push()

    def _write(self, indices: npt.NDArray[np.int64], rows: npt.NDArray[np.float32]) -> None:
        self._rows[indices] = rows
        self._sums[indices] = [_checksum(row) for row in np.ascontiguousarray(rows)]
        self._verified[indices] = True
        self._unreleased += rows.nbytes
        if self._unreleased > RELEASE_BYTES:
            release(self._rows)
            self._unreleased = 0

    def _push(self) -> None:
        """Writes new rows to the shared store."""
        if self._shared is not None and self._new:
            indices = np.concatenate(self._new)
            self._new.clear()
            self._shared.push(indices, lambda chosen: self._rows[chosen])

    def array(self) -> npt.NDArray[np.float32]:
        """The whole array, memory-mapped; only rows for which `missing` says nothing are meaningful."""
        return self._rows


def sizes_of_files(n: int, width: int) -> dict[str, int]:
    """File name -> bytes, of an (n, width) row store."""
    return {"rows.bin": n * width * 4, "sums.bin": n * 4}


def has_size(folder: Path, n: int, width: int) -> bool:
    """Whether the files of a row store are as long as those of an (n, width) one are."""
    try:
        sizes = {name: (folder / name).stat().st_size for name in sizes_of_files(n, width)}
    except OSError:
        return False
    return sizes == sizes_of_files(n, width)


def _checksum(row: npt.NDArray[np.float32]) -> int:
    """CRC-32 of a row's bytes, never 0: 0 stands for a row that is not there."""
    return zlib.crc32(row) or 1  # type: ignore[arg-type]


def _write_atomically(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).replace(path)
