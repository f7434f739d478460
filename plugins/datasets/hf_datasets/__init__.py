"""Images in a dataset of the Hugging Face library `datasets`: a local folder, or one of the hub's.

Tables are mapped into memory, so that only the images of a batch are in it. Their files are decoded
as everywhere in iibench (EXIF orientation, transparency, 16 bits). Code that comes with a dataset is
never run. Lhoest et al. 2021, Datasets: A Community Library for Natural Language Processing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge

from iibench import DatasetSpec, Resources, UsageError, hookimpl, unknown_name

from ..._shared.bibliography import arxiv, entry
from ..._shared.loading import optional
from .._images.decode import SIZED
from .._images.streamed import Images, StreamedImages, common_names, joined
from .opening import EXTRA, open_tables
from .rows import AUTO, Columns, TableRows, find_columns, index_table

LHOEST2021 = entry(
    "inproceedings",
    "lhoest2021datasets",
    author="Quentin Lhoest and others",
    title="Datasets: A Community Library for Natural Language Processing",
    booktitle=(
        "Conference on Empirical Methods in Natural Language Processing: System Demonstrations"
    ),
    year=2021,
    **arxiv("2109.02846"),
)


VERSION = "1"


@dataclass(frozen=True)
class Params:
    """Parameters of a dataset of the library `datasets`."""

    path: str = field(
        metadata={
            "help": "a folder of parquet or Arrow files, or one made by save_to_disk, relative to the "
            "suite's folder or the data folder; else a name on the hub, with revision"
        }
    )
    config: str | None = field(
        default=None, metadata={"help": "the configuration of a dataset that has several"}
    )
    revision: str | None = field(
        default=None,
        metadata={"help": "the commit that is meant of a dataset of the hub (40 digits)"},
    )
    train_split: str = field(default="train", metadata={"help": "its split that is `train` here"})
    test_split: str | None = field(
        default="test",
        metadata={
            "help": "its split that is `test` here; none: the images of train_split are halved"
        },
    )
    image: str = field(
        default=AUTO, metadata={"help": "the column of images; auto: the only one of type Image"}
    )
    label: str | None = field(
        default=AUTO,
        metadata={
            "help": "the column of classes (ClassLabel, numbers or text); auto: the only ClassLabel, if "
            "there is one; none: no labels"
        },
    )
    size: Annotated[int, Ge(1)] | None = field(default=None, metadata=SIZED)
    seed: Annotated[int, Ge(0)] = field(default=0, metadata={"help": "of the split into halves"})
    verify: bool = field(
        default=False,
        metadata={
            "help": "the fingerprint covers every byte of the images, which are all read once for it; "
            "otherwise their sizes and both ends"
        },
    )


def load(params: Params, split: str, resources: Resources) -> StreamedImages:
    """The images of one split in the order of the table.

    Raises `AssetError` where the package or the data are missing, `FileError` where there are no such
    data, `UsageError` where the dataset has no such split or column, or a row no image or label. Images
    are decoded when they are asked for; one that is damaged or, without `size`, of another size than the
    first is an error then.
    """
    found = open_tables(params.path, params.config, params.revision, resources)
    tables = {f"{params.path}, {name}": found[name] for name in _split_names(params, found)}
    columns = _columns(params, tables)
    parts = [TableRows(table, columns.image, where) for where, table in tables.items()]
    indexes = [
        index_table(part, columns.label, params.verify, resources.cache_dir) for part in parts
    ]
    # named over both splits: a class has the same number in either
    labels, class_names = common_names([(index.labels, index.names) for index in indexes])
    chosen = slice(None)
    if split != "all" and len(parts) > 1:
        chosen = slice(0, 1) if split == "train" else slice(1, 2)
    images = Images(
        source=_one(parts[chosen], params.path),
        labels=None if columns.label is None else joined(labels[chosen]),
        class_names=class_names or _class_names(parts[0].table, columns),
        size=params.size,
        identity=(
            ("hf_datasets", VERSION),
            "every byte" if params.verify else "both ends",
            [index.digest for index in indexes[chosen]],
        ),
    )
    what = f"{split} of {params.path}"
    return images.split(split, what, halved=len(parts) == 1, seed=params.seed)


def _split_names(params: Params, tables: Mapping[str, Any]) -> list[str]:
    """The dataset's splits that are asked for; raises `UsageError` where it has no such split."""
    asked = {"train_split": params.train_split, "test_split": params.test_split}
    for parameter, name in asked.items():
        if name is not None and name not in tables:
            text = unknown_name(f"split of {params.path}", name, tables)
            hint = "; none halves the images of train_split" if parameter == "test_split" else ""
            raise UsageError(f"{parameter}: {text}{hint}")
    if params.test_split is None:
        return [params.train_split]
    if params.test_split == params.train_split:
        raise UsageError(
            f"train_split and test_split are both {params.train_split}: no image may be in both "
            "(test_split: none halves its images)"
        )
    return [params.train_split, params.test_split]


def _columns(params: Params, tables: Mapping[str, Any]) -> Columns:
    """The columns of all splits; raises `UsageError` where one has others, or other classes."""
    (first, table), *others = tables.items()
    columns = find_columns(table, params.image, params.label, first)
    for where, other in others:
        find_columns(other, columns.image, columns.label, where)
        for name in (columns.image, columns.label):
            if name is not None and other.features[name] != table.features[name]:
                raise UsageError(
                    f"{name} of {where} is {other.features[name]}, but of {first} "
                    f"{table.features[name]}"
                )
    return columns


def _one(parts: Sequence[TableRows], path: str) -> TableRows:
    """Several tables one after the other, without copying them."""
    if len(parts) == 1:
        return parts[0]
    column = parts[0].column
    tables = [part.table.select_columns([column]) for part in parts]
    return TableRows(optional("datasets", EXTRA).concatenate_datasets(tables), column, path)


def _class_names(table: Any, columns: Columns) -> tuple[str, ...]:
    """Those of a ClassLabel."""
    if columns.label is None:
        return ()
    return tuple(getattr(table.features[columns.label], "names", None) or ())


@hookimpl
def iibench_register_datasets() -> Iterable[DatasetSpec]:
    """Registers `hf_datasets`."""
    yield DatasetSpec(
        name="hf_datasets",
        summary="a dataset of the Hugging Face library datasets: a local folder, or one of the hub "
        "at a pinned commit",
        definition=(
            "Images in a column of a table of the library datasets (parquet or Arrow), in its "
            "order; the class is another column. All images have one size, or with `size` their "
            "shorter side is resized to it and the centre cut out. `train` and `test` are "
            "`train_split` and `test_split` of the dataset, or with `test_split` none two halves of "
            "`train_split` that share no row and have equally many of each class but for one; `all` "
            "has every image. The fingerprint covers sizes, labels and both ends (1 KiB) of the "
            "image files, with `verify` every byte."
        ),
        params=Params,
        headline=("path",),
        unlabelled=("verify",),
        load=load,
        splits=("train", "all", "test"),
        version=VERSION,
        citation="Lhoest et al., Datasets: A Community Library for Natural Language Processing, 2021",
        bibtex=LHOEST2021,
    )
