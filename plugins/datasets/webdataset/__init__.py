"""Images in WebDataset shards: tar files in which the members of a sample stand side by side.

Made for data that fill a file system: shards are read in place, at any image, and only the images of
a batch are in memory. For that every shard's tar headers are read once; the index is kept in the cache
folder (16 bytes an image, 24 with labels). The format needs no package of its own; only
braces in patterns do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, MinLen

from iibench import DatasetSpec, Resources, UsageError, hookimpl

from ..._shared.bibliography import arxiv, entry
from .._images.decode import SIZED
from .._images.streamed import Images, StreamedImages, common_names, joined
from .index import ShardIndex, Wanted, member_at
from .shards import find_shards
from .stored import shard_indexes

if TYPE_CHECKING:
    from iibench import IntArray

AIZMAN2019 = entry(
    "inproceedings",
    "aizman2019high",
    author="Alex Aizman and Gavin Maltby and Thomas Breuel",
    title="High Performance {I/O} For Large Scale Deep Learning",
    booktitle="IEEE International Conference on Big Data",
    year=2019,
    **arxiv("2001.01858"),
)


VERSION = "1"


@dataclass(frozen=True)
class Params:
    """Parameters of WebDataset shards."""

    shards: str | tuple[str, ...] = field(
        metadata={
            "help": 'tar files: braces ("train-{000000..001281}.tar"), wildcards or a list; relative '
            "paths start at the suite's folder"
        }
    )
    test_shards: str | tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "the shards of the split test; without them the images of shards are halved"
        },
    )
    image: Annotated[tuple[str, ...], MinLen(1)] = field(
        default=("jpg", "jpeg", "png", "webp"),
        metadata={"help": "kinds of members that are images; the first that a sample has is taken"},
    )
    label: str | None = field(
        default="cls",
        metadata={
            "help": "the kind of member whose text is the class (number or name), or json:FIELD; "
            "none: no labels"
        },
    )
    size: Annotated[int, Ge(1)] | None = field(default=None, metadata=SIZED)
    seed: Annotated[int, Ge(0)] = field(default=0, metadata={"help": "of the split into halves"})
    verify: bool = field(
        default=False,
        metadata={
            "help": "the fingerprint covers every byte of the images, which are all read once for it; "
            "otherwise their names, sizes and both ends"
        },
    )


def load(params: Params, split: str, resources: Resources) -> StreamedImages:
    """The images of one split in the order of shards and members.

    Raises `FileError` where a shard is not there, `UsageError` naming shard and member where one is
    not as it must be, and where a shard is in both splits. Images are decoded when they are asked for;
    one that is damaged or, without `size`, of another size than the first is an error then.
    """
    train = find_shards(params.shards, resources.base_dir, "shards")
    test = find_shards(params.test_shards, resources.base_dir, "test_shards")
    if both := sorted(set(train) & set(test)):
        raise UsageError(f"{both[0]} is in shards and in test_shards: no image may be in both")
    image = tuple(kind.lower() for kind in params.image)
    wanted = Wanted(image, params.label, params.verify)
    indexes = shard_indexes((*train, *test), wanted, resources.cache_dir)
    # named over both splits: a class has the same number in either
    labels, class_names = common_names([(index.labels, index.names) for index in indexes])
    first, last = _range(split, len(train), len(train) + len(test))
    chosen = indexes[first:last]
    images = Images(
        source=Shards((*train, *test)[first:last], chosen),
        labels=None if params.label is None else joined(labels[first:last]),
        class_names=class_names,
        size=params.size,
        identity=(
            ("webdataset", VERSION),
            "every byte" if params.verify else "both ends",
            [index.digest for index in chosen],
        ),
    )
    what = f"{split} of {params.shards}"
    return images.split(split, what, halved=not test, seed=params.seed)


def _range(split: str, train: int, both: int) -> tuple[int, int]:
    """Which of the shards, those of test last, a split is made of."""
    if split == "all" or train == both:
        return 0, both
    return (0, train) if split == "train" else (train, both)


class Shards:
    """Image files inside of shards, numbered through (`streamed.Encoded`)."""

    def __init__(self, paths: Sequence[Path], indexes: Sequence[ShardIndex]) -> None:
        import numpy as np

        self._paths = tuple(paths)
        self._indexes = tuple(indexes)
        #: the number of the first image after each shard
        self._ends = np.cumsum([len(index.offsets) for index in indexes], dtype=np.int64)

    def __len__(self) -> int:
        """How many images there are."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def read(self, rows: IntArray) -> Iterator[bytes]:
        """The bytes of the images `rows`, ascending; every shard is opened once."""
        import numpy as np

        shards = np.searchsorted(self._ends, rows, side="right")
        for shard in np.unique(shards):
            path = self._paths[shard]
            try:
                with path.open("rb") as file:
                    for row in rows[shards == shard]:
                        offset, size = self._place(int(row))
                        file.seek(offset)
                        data = file.read(size)
                        if len(data) != size:
                            raise UsageError(f"{path} is shorter than when it was indexed")
                        yield data
            except OSError as error:
                raise UsageError(f"{path} cannot be read: {error.strerror}") from error

    def name(self, row: int) -> str:
        """`'member' in shard`."""
        path, offset = self._path(row), self._place(row)[0]
        return f"{member_at(path, offset)!r} in {path}"

    def _path(self, row: int) -> Path:
        return self._paths[self._shard(row)]

    def _shard(self, row: int) -> int:
        return int(self._ends.searchsorted(row, side="right"))

    def _place(self, row: int) -> tuple[int, int]:
        """Where an image starts in its shard, and how many bytes it has."""
        index = self._indexes[self._shard(row)]
        i = row - int(self._ends[self._shard(row)]) + len(index.offsets)
        return int(index.offsets[i]), int(index.sizes[i])


@hookimpl
def iibench_register_datasets() -> Iterable[DatasetSpec]:
    """Registers `webdataset`."""
    yield DatasetSpec(
        name="webdataset",
        summary="shards of the WebDataset format (tar files), read in place: for very large data",
        definition=(
            "Images in tar files in which the members of a sample stand side by side and share "
            "their name up to the first dot. Order: that of the shards, then of their members. The "
            "class is a member's text or a field of a JSON member. All images have one size, or "
            "with `size` their shorter side is resized to it and the centre cut out. `train` and "
            "`test` are those of `shards` and `test_shards`, or without the latter two halves of "
            "`shards` that share no sample and have equally many of each class but for one; "
            "`all` has every image. The fingerprint covers names, sizes, labels and both ends "
            "(1 KiB) of the images, with `verify` every byte."
        ),
        params=Params,
        headline=("shards",),
        unlabelled=("verify",),
        load=load,
        splits=("train", "all", "test"),
        version=VERSION,
        citation="Aizman, Maltby and Breuel, High Performance I/O For Large Scale Deep Learning, 2019",
        bibtex=AIZMAN2019,
    )
