"""Datasets with one mistake each, and without: the toys' pictures."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

from iibench import DatasetSpec
from iibench.testing.pictures import pictures
from iibench.testing.toys import SPLITS, Pictures


def spec(kind=Pictures, load=None):
    def made(params, split, harness):
        pixels, labels = pictures(40, 16, seed=SPLITS.index(split))
        return kind(pixels, labels)

    return DatasetSpec(name="planted", summary="", load=load or made, splits=SPLITS)


class ByName(Pictures):
    """The fingerprint is a name."""

    fingerprint = hashlib.sha256(b"pictures v1").hexdigest()


class Sorted(Pictures):
    """As an HDF5 file wants its indices."""

    def images(self, indices):
        return self.pixels[np.sort(indices)]


class Cropped(Pictures):
    """Augmented while reading."""

    def images(self, indices):
        return np.roll(super().images(indices), np.random.randint(1, 8, 2), axis=(1, 2))


class ChannelsFirst(Pictures):
    def images(self, indices):
        return super().images(indices).transpose(0, 3, 1, 2)


class Floats(Pictures):
    def images(self, indices):
        return super().images(indices) / 255


_KEPT: dict = {}


class Shared(Pictures):
    """Images are kept once decoded, and everybody gets the same array."""

    def images(self, indices):
        key = (self.fingerprint, tuple(indices))
        if key not in _KEPT:
            _KEPT[key] = super().images(indices)
        return _KEPT[key]


def from_one():
    def load(params, split, harness):
        pixels, labels = pictures(40, 16, seed=SPLITS.index(split))
        return Pictures(pixels, labels + 1)

    return load


def shuffled(params, split, harness):
    """The order of a global generator, as that of a set or os.listdir."""
    pixels, labels = pictures(40, 16, seed=SPLITS.index(split))
    order = np.random.permutation(40)
    return dataclasses.replace(Pictures(pixels, labels), pixels=pixels[order], labels=labels[order])
