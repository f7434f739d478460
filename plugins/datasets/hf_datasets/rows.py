"""The images and labels of one table of the `datasets` library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench import UsageError, unknown_name

from ..._shared.loading import optional
from .._images.npz import read_arrays, write_arrays
from .._images.streamed import sampled
from .opening import EXTRA

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from iibench import IntArray

AUTO = "auto"
#: Changes when what is kept of a table would be something else.
_FORMAT = "1"
#: Rows looked at at a time.
_ROWS = 256


@dataclass(frozen=True)
class Columns:
    """Names of the columns with images and labels (None: no labels)."""

    image: str
    label: str | None


@dataclass(frozen=True)
class TableIndex:
    """What one pass over a table finds.

    `labels` (n,), empty where none are wanted; they index `names` where the column is text. `digest`:
    SHA-256 (hex) of sizes, contents (see `streamed.sampled`) and labels.
    """

    labels: npt.NDArray[np.int32]
    names: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class TableRows:
    """The image files in a column of a table (`streamed.Encoded`). `where`: the table, for messages."""

    table: Any
    column: str
    where: str

    def __len__(self) -> int:
        """How many there are."""
        return len(self.table)

    def read(self, rows: IntArray) -> Iterator[bytes]:
        """The bytes of the images `rows`; only these are taken out of the memory map."""
        found = self.table.with_format("arrow")[rows.tolist()]
        for row, value in zip(rows, _files(found.column(self.column)), strict=True):
            yield self._bytes(int(row), value)

    def name(self, row: int) -> str:
        """`row N of where`."""
        return f"row {row:,} of {self.where}"

    def buffers(self) -> Iterator[memoryview]:
        """The bytes of every image in order, in the memory map."""
        row = 0
        parts = self.table.select_columns([self.column]).with_format("arrow")
        for part in parts.iter(batch_size=_ROWS):
            for value in _files(part.column(self.column)):
                yield memoryview(self._bytes(row, value))
                row += 1

    def _bytes(self, row: int, value: Any) -> Any:
        if value is None:
            raise UsageError(
                f"{self.name(row)} has no bytes in {self.column}; expected image files in the table, "
                "not paths to them (image_folder reads those)"
            )
        return value


def _files(column: Any) -> Iterator[Any]:
    """Buffers of the files in a column, None where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for chunk in column.chunks:
        values = pc.struct_field(chunk, "bytes") if pa.types.is_struct(chunk.type) else chunk
        for value in values:
            yield value.as_buffer()


# ------------------------------------------------------------------------------------ columns


def find_columns(table: Any, image: str, label: str | None, where: str) -> Columns:
    """The columns asked for, or by `auto` the only one of type Image and the only ClassLabel.

    Raises `UsageError` where there is no such column or another type in it, and by `auto` where several
    could be meant, or none has images.
    """
    datasets = optional("datasets", EXTRA)
    features = table.features
    has_files = {name for name in features if _has_files(features[name], datasets)}
    if image == AUTO:
        typed = [n for n, feature in features.items() if isinstance(feature, datasets.Image)]
        image = _only(typed or sorted(has_files), "image", features, where)
    elif image not in features:
        raise UsageError(f"image: {unknown_name(f'column of {where}', image, features)}")
    elif image not in has_files:
        raise UsageError(f"image: {image} of {where} is {features[image]}; expected image files")
    if label == AUTO:
        classes = [n for n, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
        label = _only(classes, "label", features, where) if classes else None
    elif label is not None and label not in features:
        raise UsageError(f"label: {unknown_name(f'column of {where}', label, features)}")
    elif label is not None and not _is_label(features[label]):
        raise UsageError(f"label: {label} of {where} is {features[label]}; expected classes")
    return Columns(image, label)


def _only(names: list[str], parameter: str, features: Any, where: str) -> str:
    if len(names) == 1:
        return names[0]
    found = ", ".join(names or features)
    which = "several columns may be meant" if names else "no column has images"
    raise UsageError(f"{where}: {which} ({found}); name one with {parameter}")


def _has_files(feature: Any, datasets: Any) -> bool:
    """Image files, typed as such or as bytes, alone or beside a path."""
    if isinstance(feature, dict):
        feature = feature.get("bytes")
    binary = getattr(feature, "dtype", "") in {"binary", "large_binary"}
    return isinstance(feature, datasets.Image) or binary


def _is_label(feature: Any) -> bool:
    kind = str(getattr(feature, "dtype", ""))
    return kind.startswith(("int", "uint")) or kind in {"string", "large_string"}


# -------------------------------------------------------------------------------- digest, labels


def index_table(rows: TableRows, label: str | None, whole: bool, cache_dir: Path) -> TableIndex:
    """Labels and digest of a table, from one pass over it, kept below the cache folder.

    They are known by paths, sizes and times of change of the files that are mapped. Raises `UsageError`
    naming a row without an image, or without a label from 0 on.
    """
    from filelock import FileLock

    if not rows.table.cache_files:  # an empty table: there is nothing to know it by
        return _indexed(rows, label, whole)
    folder = cache_dir / "derived" / "hf_datasets"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / f"{_key(rows, label, whole)}.npz"
        with FileLock(place.with_suffix(".lock")):
            return _found_or_made(rows, label, whole, place)
    except OSError as error:
        raise UsageError(
            f"{error.filename or folder} cannot be used as a cache ({error.strerror}); "
            "choose another with --cache-dir or IIBENCH_CACHE"
        ) from error


def _found_or_made(rows: TableRows, label: str | None, whole: bool, place: Path) -> TableIndex:
    import numpy as np

    kept = read_arrays(place, "labels", "names", "digest")
    if kept is not None:
        return TableIndex(kept["labels"], tuple(kept["names"].tolist()), str(kept["digest"]))
    made = _indexed(rows, label, whole)
    names = np.array(made.names, np.str_)
    write_arrays(place, labels=made.labels, names=names, digest=np.array(made.digest))
    return made


def _key(rows: TableRows, label: str | None, whole: bool) -> str:
    files = []
    for file in rows.table.cache_files:
        stat = Path(file["filename"]).stat()
        files.append([file["filename"], stat.st_size, stat.st_mtime_ns])
    parts = [_FORMAT, files, len(rows), rows.column, label, whole]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _indexed(rows: TableRows, label: str | None, whole: bool) -> TableIndex:
    import numpy as np

    digest = hashlib.sha256()
    for data in rows.buffers():
        content = sampled(len(data), partial(_part, data), whole)
        digest.update(b"%d %d\n" % (len(data), len(content)) + content)
    labels, names = _labels(rows, label)
    digest.update(json.dumps([len(labels), names]).encode() + labels.astype("<i4").tobytes())
    return TableIndex(np.asarray(labels, np.int32), names, digest.hexdigest())


def _part(data: memoryview, start: int, length: int) -> bytes:
    return bytes(data[start : start + length])


def _labels(rows: TableRows, label: str | None) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """(n,) labels and the names that they index, empty where they are numbers."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if label is None:
        return np.empty(0, np.int32), ()
    column = rows.table.select_columns([label]).with_format("arrow")[:].column(label)
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise UsageError(f"{rows.name(row)} has no {label} (label: none for images without labels)")
    if str(column.type) in {"string", "large_string"}:
        names = sorted(pc.unique(column).to_pylist())
        codes = pc.index_in(column, value_set=pa.array(names, column.type)).to_numpy()
        return codes.astype(np.int32), tuple(names)
    numbers = column.to_numpy()
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < 2**31:
        row = int(np.flatnonzero((numbers < 0) | (numbers >= 2**31))[0])
        raise UsageError(
            f"{rows.name(row)} has the {label} {numbers[row]}; expected a class number from 0 on "
            "(label: none for images without labels)"
        )
    return numbers.astype(np.int32), ()
