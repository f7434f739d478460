"""One pass over a shard's tar headers: where its images lie, what their labels are.

The members of a sample stand one after the other and share their name up to the first dot of the
last part, as the webdataset package groups them; the rest, in lower case, is the kind of the member.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from iibench import UsageError, nearest

from .._images.streamed import sampled

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Name of a member -> the sample's key, and the member's kind.
_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)")
#: Members that describe the shard, and hidden ones such as macOS adds (`._0001.jpg`): of no sample.
_META = re.compile(r"__[^/]*__($|/)|(.*/)?\.[^./][^/]*$|(.*/)?__MACOSX/")
#: Bytes read at a time: a header, with the ends of the images around it.
_BUFFER = 8192
_TAR_BLOCK = 512


@dataclass(frozen=True)
class Wanted:
    """What is taken of a sample: the first of the kinds `image` that it has, and its label.

    `label`: a kind whose text is the label, `json:FIELD`, or None. `whole`: the digest is one of all
    bytes of the images.
    """

    image: tuple[str, ...]
    label: str | None
    whole: bool


@dataclass(frozen=True)
class ShardIndex:
    """The images of a shard in its order: `offsets` (n,) in the file and `sizes` (n,) in bytes.

    `labels` (n,), empty where none are wanted; they index `names` where labels are text, and are the
    labels themselves where `names` is empty. `digest`: SHA-256 (hex) of names, sizes, contents (see
    `streamed.sampled`) and labels.
    """

    offsets: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.uint32]
    labels: npt.NDArray[np.int32]
    names: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class _Image:
    name: str
    offset: int
    size: int
    content: bytes


@dataclass
class _Sample:
    key: str
    kinds: list[str] = field(default_factory=list)
    images: dict[str, _Image] = field(default_factory=dict)
    label: int | str | None = None


def index_shard(path: Path, wanted: Wanted) -> ShardIndex:
    """The index of one shard, from one pass over its headers, labels and the ends of its images.

    Raises `UsageError` naming shard and member: a tar file that is damaged, cut off or compressed, a
    sample without an image or label, a kind that a sample has twice, a label that is none.
    """
    try:
        return _indexed(path, wanted)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _indexed(path: Path, wanted: Wanted) -> ShardIndex:
    import numpy as np

    digest = hashlib.sha256()
    images: list[_Image] = []
    labels: list[int | str] = []
    for sample in _samples(path, wanted):
        chosen = next((sample.images[kind] for kind in wanted.image if kind in sample.images), None)
        where = f"sample {sample.key!r} in {path}"
        if chosen is None:
            raise UsageError(
                f"{where} has no image: found {', '.join(sample.kinds)}; "
                f"expected {' or '.join(wanted.image)} (image)"
            )
        if wanted.label is not None and sample.label is None:
            raise UsageError(
                f"{where} has no label: found {', '.join(sample.kinds)}; expected "
                f"{_kind(wanted.label)} (label; none for images without labels)"
            )
        line = json.dumps([chosen.name, chosen.size, sample.label, len(chosen.content)])
        digest.update(line.encode() + b"\n" + chosen.content)
        images.append(chosen)
        if sample.label is not None:
            labels.append(sample.label)
    names, numbers = _numbered(labels, path)
    return ShardIndex(
        np.array([image.offset for image in images], np.int64),
        np.array([image.size for image in images], np.uint32),
        np.array(numbers, np.int32),
        names,
        digest.hexdigest(),
    )


def member_at(path: Path, offset: int) -> str:
    """The name of the member whose data start at `offset` of the shard."""
    with path.open("rb", buffering=_BUFFER) as file:
        return next(info.name for info in _members(path, file) if info.offset_data == offset)


def _samples(path: Path, wanted: Wanted) -> Iterator[_Sample]:
    sample: _Sample | None = None
    with path.open("rb", buffering=_BUFFER) as file:
        for info in _members(path, file):
            matched = None if _META.match(info.name) else _NAME.fullmatch(info.name)
            if matched is None:
                continue
            key, kind = matched[1], matched[2].lower()
            if sample is None or sample.key != key:
                if sample is not None:
                    yield sample
                sample = _Sample(key)
            if kind in sample.kinds:
                raise UsageError(f"sample {key!r} in {path} has two members of the kind {kind}")
            sample.kinds.append(kind)
            _take(sample, kind, info, file, path, wanted)
    if sample is not None:
        yield sample


def _take(
    sample: _Sample, kind: str, info: tarfile.TarInfo, file: BinaryIO, path: Path, wanted: Wanted
) -> None:
    """Reads what is needed of a member now, while the file stands there."""

    def read(start: int, length: int) -> bytes:
        file.seek(info.offset_data + start)
        data = file.read(length)
        if len(data) != length:
            raise UsageError(f"{info.name!r} in {path} is cut off: the shard is not complete")
        return data

    if kind in wanted.image:
        if info.issparse() or info.size >= 2**32:
            raise UsageError(
                f"{info.name!r} in {path} is a sparse file or larger than 4 GiB; expected an image"
            )
        content = sampled(info.size, read, wanted.whole)
        sample.images[kind] = _Image(info.name, info.offset_data, info.size, content)
    elif wanted.label is not None and kind == _kind(wanted.label):
        sample.label = _label(read(0, info.size), wanted.label, f"{info.name!r} in {path}")


def _members(path: Path, file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """Headers of the regular files of an uncompressed tar file, which must be complete."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (info := tar.next()) is not None:
                # the list of all members would only grow
                tar.members.clear()  # type: ignore[attr-defined]
                if info.isreg():
                    yield info
            end = tar.offset
    except tarfile.TarError as error:
        file.seek(0)
        packed = file.read(2) == b"\x1f\x8b"
        hint = "; it is compressed: unpack it with gunzip" if packed else ""
        raise UsageError(f"{path} cannot be read as a tar file: {error}{hint}") from error
    # a damaged header ends the list of members without an error, and so does a cut between two
    file.seek(end)
    if (found := file.read(_TAR_BLOCK)) != bytes(_TAR_BLOCK):
        what = "is damaged" if found else "is cut off: there is no end of the archive"
        raise UsageError(f"{path} {what} at byte {end:,}")


def _kind(label: str) -> str:
    return label.partition(":")[0]


def _label(data: bytes, label: str, where: str) -> int | str:
    """A class number, or a class's name."""
    kind, _, key = label.partition(":")
    try:
        text = data.decode().strip()
        found = json.loads(text) if key else text
    except ValueError as error:
        raise UsageError(f"{where} cannot be read as {kind}: {error}") from error
    if key:
        if not isinstance(found, dict) or key not in found:
            fields = list(found) if isinstance(found, dict) else []
            close = nearest(key, fields) or fields[:3]
            hint = f"; it has {', '.join(close)}" if close else ""
            raise UsageError(f"{where} has no field {key!r} (label){hint}")
        found = found[key]
    elif re.fullmatch(r"-?[0-9]{1,18}", text):
        found = int(text)
    number = isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**31
    if not number and not (isinstance(found, str) and found):
        raise UsageError(
            f"{where}: the label is {found!r}; expected a class number from 0 on, or a class's name"
        )
    chosen: int | str = found
    return chosen


def _numbered(labels: list[int | str], path: Path) -> tuple[tuple[str, ...], list[int]]:
    """Names of classes, where labels are text, and the labels as numbers."""
    names = sorted({label for label in labels if isinstance(label, str)})
    number = {name: i for i, name in enumerate(names)}
    numbers = [number[label] if isinstance(label, str) else label for label in labels]
    if names and not all(isinstance(label, str) for label in labels):
        raise UsageError(
            f"some labels in {path} are numbers and some are text, such as {names[0]!r}"
        )
    return tuple(names), numbers
