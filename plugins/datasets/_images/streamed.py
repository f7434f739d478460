"""Images too many to keep: read where they lie when asked for, and decoded by a few threads."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from iibench import UsageError

from .decode import DecodeError, displayed_size, rgb
from .stored import fingerprint_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench import ImageArray, IntArray

T = TypeVar("T")

#: Images that a thread reads and decodes before it takes the next ones.
CHUNK = 8
#: Threads that decode; PIL lets others run while it does.
THREADS = min(8, os.cpu_count() or 1)
#: Bytes at either end of an image that a fingerprint is made of where it is not made of all bytes.
EDGE = 1024
_BLOCK = 1 << 20


class Encoded(Protocol):
    """Image files that lie somewhere, in an order of theirs."""

    def __len__(self) -> int:
        """How many there are."""

    def read(self, rows: IntArray) -> Iterable[bytes]:
        """The bytes of the images `rows`, ascending; called from several threads at once."""

    def name(self, row: int) -> str:
        """Where an image lies, for messages."""


@dataclass(frozen=True)
class Images:
    """All images that a split is made of.

    `labels` (n,) or None. `size`: as in `decode.rgb`. `identity`: plain values that decide the bytes
    of the images, their order and their labels.
    """

    source: Encoded
    labels: IntArray | None
    class_names: tuple[str, ...]
    size: int | None
    identity: tuple[object, ...]

    def split(self, name: str, what: str, *, halved: bool, seed: int) -> StreamedImages:
        """Every image, or where `halved` those of `train` or `test`, one of two halves.

        Raises `UsageError` where that leaves no image; `what` names the split.
        """
        import numpy as np

        if name == "all" or not halved:
            return self._chosen(what, np.arange(len(self.source)), None)
        second = name == "test"
        rows = half(len(self.source), self.labels, second, seed)
        return self._chosen(what, rows, (int(second), seed))

    def _chosen(self, what: str, rows: IntArray, drawn: tuple[int, int] | None) -> StreamedImages:
        if not len(rows):
            raise UsageError(f"{what} is empty: there are {len(self.source)} images in all")
        labels = self.labels
        if labels is not None and drawn is not None:
            labels = labels[rows]
        return StreamedImages(
            source=self.source,
            chosen=rows,
            labels=labels,
            class_names=self.class_names,
            image_size=_image_size(self.source, int(rows[0]), self.size),
            size=self.size,
            fingerprint=fingerprint_of(self.identity, self.size, self.class_names, drawn),
        )


@dataclass(frozen=True)
class StreamedImages:
    """An `ImageDataset` over image files; only the images asked for are in memory.

    `chosen` (n,): which images of `source` these are. `size`: as in `decode.rgb`.
    """

    source: Encoded
    chosen: IntArray
    labels: IntArray | None
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    size: int | None
    fingerprint: str

    def __len__(self) -> int:
        """n, the number of images."""
        return len(self.chosen)

    def images(self, indices: Sequence[int] | IntArray) -> ImageArray:
        """uint8 (len(indices), h, w, 3), read in the order in which the images lie.

        Raises `UsageError` naming an image that is damaged or has another size.
        """
        import numpy as np

        rows = self.chosen[np.asarray(indices, np.int64)]
        order = np.argsort(rows, kind="stable")
        out = np.empty((len(rows), *self.image_size, 3), np.uint8)

        def fill(places: IntArray) -> None:
            asked = rows[places]
            for place, row, data in zip(places, asked, self.source.read(asked), strict=True):
                out[place] = self._decoded(int(row), data)

        in_parallel(fill, [order[i : i + CHUNK] for i in range(0, len(order), CHUNK)])
        return out

    def _decoded(self, row: int, data: bytes) -> ImageArray:
        try:
            found = rgb(data, self.size)
        except DecodeError as error:
            raise UsageError(f"{self.source.name(row)} cannot be decoded: {error}") from error
        if found.shape[:2] != self.image_size:
            high, wide = self.image_size
            raise UsageError(
                f"{self.source.name(row)} has {found.shape[1]} x {found.shape[0]} pixels, but the "
                f"first image {wide} x {high}; give size to bring all images to one, such as "
                f"size: {min(*self.image_size, *found.shape[:2])}"
            )
        return found


def _image_size(source: Encoded, row: int, size: int | None) -> tuple[int, int]:
    """(height, width) of all images: as asked for, or that of one of them, from its header."""
    import numpy as np

    if size is not None:
        return size, size
    (data,) = source.read(np.array([row], np.int64))
    try:
        return displayed_size(data)
    except DecodeError as error:
        raise UsageError(f"{source.name(row)} cannot be decoded: {error}") from error


def in_parallel(work: Callable[[T], None], jobs: Sequence[T]) -> None:
    """Does every job, some at a time; raises what the first of them in order that fails raises."""
    if len(jobs) < 2:
        for job in jobs:
            work(job)
        return
    with ThreadPoolExecutor(min(THREADS, len(jobs)), "iibench-decode") as pool:
        for _ in pool.map(work, jobs):
            pass


def sampled(size: int, read: Callable[[int, int], bytes], whole: bool) -> bytes:
    """What a fingerprint is made of besides an image's size: both its ends, or a hash of all bytes.

    `read(start, length)` gives bytes of the image. The ends change with nearly every change of an
    encoded image (compressed data depend on all before them); one byte that is damaged in the middle
    changes only the hash of all.
    """
    if whole:
        digest = hashlib.sha256()
        for start in range(0, size, _BLOCK):
            digest.update(read(start, min(_BLOCK, size - start)))
        return digest.digest()
    if size <= 2 * EDGE:
        return read(0, size)
    return read(0, EDGE) + read(size - EDGE, EDGE)


def half(n: int, labels: IntArray | None, second: bool, seed: int) -> IntArray:
    """Ascending indices of one of two halves of n images, drawn at random with `seed`.

    The halves have no image in common, and equally many of every class but for one.
    """
    import numpy as np

    # 32 bits: of tens of millions of images every array counts
    drawn = np.random.default_rng(seed).permutation(np.arange(n, dtype=np.uint32))
    if labels is None:
        return np.sort(drawn[int(second) :: 2]).astype(np.int64)
    by_class = np.argsort(labels.astype(np.int32)[drawn], kind="stable")
    return np.sort(drawn[by_class[int(second) :: 2]]).astype(np.int64)


def common_names(
    parts: Sequence[tuple[npt.NDArray[Any], tuple[str, ...]]],
) -> tuple[list[npt.NDArray[Any]], tuple[str, ...]]:
    """Labels of several parts by one list of class names, in alphabetical order.

    Each part has labels (n,) and the names that they index, or none where labels are numbers; then
    they stay as they are. Raises `UsageError` where some parts have names and some have not.
    """
    import numpy as np

    filled = [names for labels, names in parts if len(labels)]
    if not any(filled):
        return [labels for labels, _ in parts], ()
    if not all(filled):
        example = next(names[0] for names in filled if names)
        raise UsageError(f"some labels are numbers and some are text, such as {example!r}")
    union = sorted(set().union(*filled))
    number = {name: i for i, name in enumerate(union)}
    mapped = [
        np.array([number[name] for name in names], np.int32)[labels] if len(labels) else labels
        for labels, names in parts
    ]
    return mapped, tuple(union)


def joined(parts: Sequence[npt.NDArray[Any]]) -> IntArray:
    """Labels of several parts (n,), one after the other, as int64."""
    import numpy as np

    return np.concatenate([np.empty(0, np.int64), *parts])
