"""A dataset under test, and what every dataset must keep, rule by rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.compute.images import names_of
from iibench.contract.errors import Skip
from iibench.contract.specs import DatasetSpec, Harness
from iibench.contract.trials import TrialDatasetSpec
from iibench.testing.checks import Finding, Rule, good, wrong
from iibench.testing.state import Watched, watch
from iibench.testing.traces import generators, left_as_found

if TYPE_CHECKING:
    from iibench.contract.arrays import ImageArray

#: Images of a split that are looked at.
SAMPLE = 12


@dataclass
class DatasetUnderTest:
    """A dataset with its parameters; each split loaded twice, the global generators at other states."""

    spec: DatasetSpec
    params: Any
    harness: Harness
    loads: Mapping[str, tuple[Watched[Any], Watched[Any]]]

    @property
    def split(self) -> str:
        """The split that is looked at most: the one that is evaluated."""
        return self.spec.splits[-1]

    @property
    def loaded(self) -> Any:
        """That split."""
        return self.loads[self.split][0].value

    @cached_property
    def indices(self) -> list[int]:
        """Some images, out of order, one of them twice."""
        n = len(self.loaded)
        if not n:
            return []
        spread = np.linspace(0, n - 1, min(SAMPLE, n)).astype(int).tolist()
        return [spread[-1], *spread[:-1], spread[0]]

    @cached_property
    def reads(self) -> tuple[Watched[ImageArray], Watched[ImageArray]]:
        """Those images, read twice; raises `Skip` where there are none."""
        if not len(self.loaded):
            raise Skip("it has no images")
        first, second = (watch(lambda: self.loaded.images(self.indices), seed) for seed in (3, 4))
        return first, second

    @property
    def watched(self) -> tuple[Watched[Any], ...]:
        """Every call that is watched."""
        reads = self.reads if len(self.loaded) else ()
        return (*(load for pair in self.loads.values() for load in pair), *reads)


def images(dataset: DatasetUnderTest) -> Finding:
    """Type and shape of the images."""
    found: Any = dataset.reads[0].value
    size = tuple(int(side) for side in dataset.loaded.image_size)
    expected = (len(dataset.indices), *size, 3)
    if not isinstance(found, np.ndarray) or found.dtype != np.uint8:
        kind = getattr(found, "dtype", type(found).__name__)
        return wrong(f"images are {kind}", "values in [0, 1] were not made bytes", "uint8")
    if found.shape != expected:
        causes = {
            (expected[0], 3, *size): "channels stand first: they stand last in a dataset",
            (*expected[:3], 4): "the opacity is kept: convert to RGB",
            expected[:3]: "grey images have no channels: convert to RGB",
        }
        cause = causes.get(found.shape, "image_size or the number of images is another one")
        return wrong(f"images have shape {found.shape}", cause, f"{expected}")
    if found.max() == found.min():
        return wrong(
            f"every pixel of {len(found)} images is {found.max()}",
            "images in [0, 1] became bytes before they were multiplied by 255, or were not decoded",
        )
    return good(f"{len(dataset.loaded)} images of {size[0]} x {size[1]} pixels")


def order(dataset: DatasetUnderTest) -> Finding:
    """Each image on its own against all at once, by a list and by an array of indices."""
    found = dataset.reads[0].value
    single = np.concatenate([dataset.loaded.images([index]) for index in dataset.indices])
    array = dataset.loaded.images(np.asarray(dataset.indices, np.int64))
    if np.array_equal(found, single) and np.array_equal(found, array):
        return good("images come in the order of the indices, one asked for twice comes twice")
    return wrong(
        "images of several indices are not those of each index",
        "indices are sorted, made unique or taken as a mask (h5py wants them sorted: sort, read, and "
        "put the images back in order)",
    )


def repeated(dataset: DatasetUnderTest) -> Finding:
    """The same images read twice, after the first were changed by the reader."""
    first, second = (read.value.copy() for read in dataset.reads)
    if not np.array_equal(first, second):
        return wrong(
            f"{int((first != second).sum())} of {first.size} values differ when read again",
            "images are augmented or cropped at random: a dataset gives the same pixels always",
        )
    mine = dataset.loaded.images(dataset.indices)
    if mine.flags.writeable:
        mine[:] = 0
    if not np.array_equal(dataset.loaded.images(dataset.indices), first):
        return wrong(
            "writing into the images that were given changes those given later",
            "a view of the dataset's own array is handed out: copy it",
        )
    return good("the same pixels each time")


def labels(dataset: DatasetUnderTest) -> Finding:
    """Labels and the names of classes."""
    found: Any = dataset.loaded.labels
    names = tuple(dataset.loaded.class_names)
    if found is None:
        return good("no labels")
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iu":
        kind = getattr(found, "dtype", type(found).__name__)
        return wrong(
            f"labels are {kind}",
            "class names or one-hot rows were not made class numbers",
            "an integer array (n,), or None",
        )
    if found.shape != (len(dataset.loaded),):
        return wrong(f"labels have shape {found.shape}", "labels of another split", "one per image")
    if not len(found):
        return good("no images, so no labels")
    if found.min() < 0 or (names and found.max() >= len(names)):
        return wrong(
            f"labels from {found.min()} to {found.max()}, and {len(names)} class names",
            "labels count from 1, or names are missing",
        )
    return good(f"{len(np.unique(found))} classes; names: {', '.join(names[:4]) or 'none'}")


def names(dataset: DatasetUnderTest) -> Finding:
    """What people called the images, where the dataset knows."""
    given = names_of(dataset.loaded)
    counts = given.counts
    if counts.ndim != 2 or len(counts) != len(dataset.loaded) or counts.dtype.kind not in "iu":
        return wrong(
            f"counts are {counts.dtype} {counts.shape}",
            "shares instead of counts, or of other images",
            "integers (n, C)",
        )
    if counts.min() < 0:
        return wrong(
            "counts below zero", "-1 stands for what is not known", "how many people gave each name"
        )
    return good(f"{counts.shape[1]} names")


def two_loads(dataset: DatasetUnderTest) -> Finding:
    """Fingerprints, numbers and pixels of two loads of each split."""
    for split, (first, second) in dataset.loads.items():
        one, two = first.value, second.value
        if len(one) != len(two):
            return wrong(f"{split}: {len(one)} and then {len(two)} images", _CHANGES)
        some = [i for i in dataset.indices if i < len(one)]
        if some and not np.array_equal(one.images(some), two.images(some)):
            return wrong(f"{split}: two loads give other pixels or another order", _CHANGES)
        if one.fingerprint != two.fingerprint:
            return wrong(
                f"{split}: two loads of the same images have different fingerprints",
                "it contains a time, an id, an order of files or Python's hash(), which changes",
            )
    return good("two loads give the same images under the same fingerprint")


_CHANGES = (
    "images are drawn or listed in an order that changes (os.listdir, a set, a global generator)"
)


def fingerprints(dataset: DatasetUnderTest) -> Finding:
    """Fingerprints of the splits."""
    marks = {split: pair[0].value.fingerprint for split, pair in dataset.loads.items()}
    for split, mark in marks.items():
        if not isinstance(mark, str) or len(mark) < 16:
            return wrong(
                f"{split}: {mark!r}", "a name or version stays the same when images change"
            )
    if len(set(marks.values())) < len(marks):
        return wrong(
            f"the splits {', '.join(marks)} have one fingerprint",
            "it does not cover the split: cached results of one would be taken for the other",
        )
    return good(", ".join(f"{split}: {mark[:12]}..." for split, mark in marks.items()))


def trials(dataset: DatasetUnderTest) -> Finding:
    """Stimuli and answers of a dataset of trials."""
    if not isinstance(dataset.spec, TrialDatasetSpec):
        raise Skip("it is no dataset of trials")
    found, n = dataset.loaded.trials, len(dataset.loaded)
    s = len(found)
    for name in ("queries", "references", "opposite"):
        shown = getattr(found, name)
        if (
            shown.ndim != 2
            or len(shown) != s
            or (shown.size and not -1 <= shown.min() <= shown.max() < n)
        ):
            return wrong(
                f"{name} has shape {shown.shape} for {s} stimuli, values up to "
                f"{shown.max() if shown.size else 'none'} for {n} images",
                "indices into another list of images",
                "image indices, -1 where an image is not to be had",
            )
    if len(set(found.names.tolist())) < s:
        return wrong(
            "two stimuli have one name", "a name is made of the unit alone", "unique names"
        )
    if found.unit.shape != (s,) or not 0 <= found.unit.min() <= found.unit.max() < len(found.units):
        return wrong(
            "unit numbers do not fit units",
            "numbers count from 1, or units were dropped",
            "an index into units for each stimulus",
        )
    answers = found.answers
    fits = not len(answers.stimulus) or 0 <= answers.stimulus.min() <= answers.stimulus.max() < s
    if not fits or (answers.count < 1).any():
        return wrong(
            "answers to stimuli that are not there, or by nobody",
            "answers of dropped stimuli were kept",
        )
    return good(f"{s} stimuli of {len(found.units)} units, {int(answers.count.sum())} answers")


def global_seeds(dataset: DatasetUnderTest) -> Finding:
    """Are the global generators reset?"""
    reads = {"reading images": dataset.reads} if len(dataset.loaded) else {}
    return generators({**dataset.loads, **reads})


RULES: tuple[Rule[DatasetUnderTest], ...] = (
    Rule("images", "uint8 (n, h, w, 3), of image_size", images),
    Rule("order", "images in the order of the indices, doubles included", order),
    Rule("read again", "the same pixels each time", repeated),
    Rule("labels", "an integer per image within the class names, or None", labels),
    Rule("given names", "counts (n, C) of the names people gave", names),
    Rule("two loads", "the same images, order and fingerprint each time", two_loads),
    Rule("fingerprint", "a hash, another one for each split", fingerprints),
    Rule("trials", "indices, units and answers fit each other", trials),
    Rule("global seeds", "the global random generators are not reset", global_seeds),
    *left_as_found(lambda dataset: dataset.watched),
)
