"""The first images, or trials, of a dataset."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.compute.border import real_array
from iibench.compute.handed import handed, read_only
from iibench.compute.images import names_of
from iibench.contract.checks import is_count
from iibench.contract.errors import PluginError
from iibench.contract.specs import GivenNames
from iibench.stages.index_checks import check_stimuli

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iibench.contract.arrays import ImageArray, IntArray
    from iibench.contract.measures import Section
    from iibench.contract.specs import ImageDataset
    from iibench.contract.trials import Stimuli, TrialDataset


@dataclass(frozen=True)
class CheckedImages:
    """A plugin's dataset, everything it gives checked; `label` names it."""

    whole: Any
    label: str

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "whole":  # not there yet while it is unpickled
            raise AttributeError(name)
        return getattr(self.whole, name)

    @property
    def fingerprint(self) -> str:
        """As the dataset says."""
        found: Any = self.whole.fingerprint
        if not isinstance(found, str) or not found:
            raise self._wrong("fingerprint", found, "a text that the images decide")
        return found

    @property
    def labels(self) -> IntArray | None:
        """(n,) labels, or None."""
        labels = self.whole.labels
        if labels is None:
            return None
        who = f"dataset {self.label}"
        found = real_array(labels, who, "labels", (len(self),))
        if found.dtype.kind not in "iu":
            raise PluginError(f"{who} gave labels as {found.dtype}; expected whole numbers")
        known = len(self.class_names)
        if found.size and (found.min() < 0 or (known and found.max() >= known)):
            raise PluginError(
                f"{who} gave labels from {found.min()} to {found.max()} for {known} class names"
            )
        return found.astype(np.int64, copy=False)

    @property
    def class_names(self) -> tuple[str, ...]:
        """As the dataset says."""
        found: Any = self.whole.class_names
        if isinstance(found, str) or not all(isinstance(name, str) for name in found):
            raise self._wrong("class_names", found, "texts in a tuple")
        return tuple(found)

    @property
    def image_size(self) -> tuple[int, int]:
        """As the dataset says."""
        found: Any = tuple(self.whole.image_size)
        if len(found) != 2 or not all(is_count(side) and side for side in found):
            raise self._wrong("image_size", found, "(height, width) in pixels")
        return int(found[0]), int(found[1])

    @property
    def trials(self) -> Stimuli:
        """Stimuli whose images are there; only datasets of trials have any."""
        return check_stimuli(self.whole.trials, len(self), f"dataset {self.label}")

    def _wrong(self, what: str, found: Any, expected: str) -> PluginError:
        return PluginError(f"dataset {self.label} gave {what}={found!r}; expected {expected}")

    def __len__(self) -> int:
        return len(self.whole)

    def given_names(self) -> GivenNames:
        """What people called the images."""
        found = names_of(self.whole)
        counts = real_array(found.counts, f"dataset {self.label}", "given_names", (len(self), None))
        if counts.dtype.kind not in "iu" or (counts.size and counts.min() < 0):
            raise self._wrong("given_names", counts.dtype, "counts of people, whole numbers from 0")
        return found

    def images(self, indices: Sequence[int] | IntArray) -> ImageArray:
        """uint8 (len(indices), h, w, 3)."""
        asked = np.array(indices, np.int64)
        who = f"dataset {self.label}"
        with handed(who, "indices", read_only(asked)):
            found = self.whole.images(read_only(asked))
        expected = (len(asked), *self.image_size, 3)
        if not isinstance(found, np.ndarray) or isinstance(found, np.ma.MaskedArray):
            raise PluginError(
                f"{who} gave images as {type(found).__name__}; expected uint8 {expected}"
            )
        if found.dtype != np.uint8 or found.shape != expected:
            raise PluginError(
                f"{who} gave images of {found.dtype} {found.shape}; expected uint8 {expected}"
            )
        return found


@dataclass(frozen=True)
class Subset:
    """The images `indices` of a dataset, in that order, as a dataset of its own."""

    whole: ImageDataset
    indices: IntArray

    @property
    def fingerprint(self) -> str:
        """Of the whole dataset and of which images of it these are."""
        digest = hashlib.sha256(self.whole.fingerprint.encode())
        digest.update(np.ascontiguousarray(self.indices, np.int64).tobytes())
        return digest.hexdigest()

    @property
    def labels(self) -> IntArray | None:
        """(n,) labels of the chosen images, or None."""
        labels = self.whole.labels
        return None if labels is None else labels[self.indices]

    def given_names(self) -> GivenNames:
        """What people called the chosen images."""
        whole = names_of(self.whole)
        counts = np.ascontiguousarray(whole.counts[self.indices])
        return GivenNames(counts, hashlib.sha256(counts.tobytes()).hexdigest())

    @property
    def class_names(self) -> tuple[str, ...]:
        """Those of the whole dataset."""
        return self.whole.class_names

    @property
    def image_size(self) -> tuple[int, int]:
        """Those of the whole dataset."""
        return self.whole.image_size

    def __len__(self) -> int:
        return len(self.indices)

    def images(self, indices: Sequence[int] | IntArray) -> ImageArray:
        """uint8 (len(indices), h, w, 3)."""
        return self.whole.images(self.indices[np.asarray(indices, np.int64)])


def limited(dataset: ImageDataset, limit: int | None, seed: int) -> ImageDataset:
    """The first `limit` images of a seeded shuffle, in the dataset's order; all where there are fewer.

    A shuffle, since datasets are often stored class by class.
    """
    if limit is None or limit >= len(dataset):
        return dataset
    chosen = np.random.default_rng(seed).permutation(len(dataset))[:limit]
    return Subset(dataset, np.sort(chosen))


def notes_of(dataset: Any) -> tuple[str, ...]:
    """What a dataset has to say of what it was made from; a part of it says the same."""
    if isinstance(dataset, Subset) and not isinstance(dataset, TrialSubset):
        return notes_of(dataset.whole)
    return tuple(getattr(dataset, "notes", ()))


@dataclass(frozen=True)
class TrialSubset(Subset):
    """A dataset of trials that shows only some of its stimuli; images are those of the whole."""

    trials: Stimuli
    notes: tuple[str, ...]
    sections: tuple[Section, ...]

    @property
    def fingerprint(self) -> str:
        """Of the whole dataset and of which stimuli these are."""
        names = "\0".join(self.trials.names.tolist())
        return hashlib.sha256(f"{self.whole.fingerprint} {names}".encode()).hexdigest()


def limited_trials(dataset: Any, limit: int | None, seed: int) -> ImageDataset:
    """The trial dataset with the first `limit` stimuli of a seeded shuffle, in its order."""
    whole: TrialDataset = dataset
    trials = whole.trials
    if limit is None or limit >= len(trials):
        return whole
    chosen = np.sort(np.random.default_rng(seed).permutation(len(trials))[:limit])
    given = trials.answers
    number = np.full(len(trials), -1)
    number[chosen] = np.arange(limit)
    kept = given.chosen(number[given.stimulus] >= 0)
    answers = dataclasses.replace(kept, stimulus=number[kept.stimulus])
    fewer = dataclasses.replace(
        trials,
        names=trials.names[chosen],
        queries=trials.queries[chosen],
        references=trials.references[chosen],
        opposite=trials.opposite[chosen],
        unit=trials.unit[chosen],
        answers=answers,
        columns={name: values[chosen] for name, values in trials.columns.items()},
    )
    note = f"limited to {limit:,} of {len(trials):,} stimuli (a seeded choice)"
    everything = np.arange(len(whole))
    return TrialSubset(whole, everything, fewer, (*whole.notes, note), whole.sections)
