"""The first images, or trials, of a dataset."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.compute.images import names_of
from iibench.contract.specs import GivenNames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iibench.contract.arrays import ImageArray, IntArray
    from iibench.contract.measures import Section
    from iibench.contract.specs import ImageDataset
    from iibench.contract.trials import Stimuli, TrialDataset


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
