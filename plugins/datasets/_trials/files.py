"""A dataset of trials whose images are files: what the loaders of human data hand over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from iibench import UsageError

from .._images.decode import DecodeError, rgb

if TYPE_CHECKING:
    from iibench import ImageArray, IntArray, Section, Stimuli


@dataclass(frozen=True)
class FileTrials:
    """A `TrialDataset` whose image i is the file `files[i]`; decodes on demand.

    `decode` turns a file's bytes into uint8 (h, w, 3) RGB of `image_size`; `decoding` names what it does,
    for the fingerprint. `sha256`: the files' hashes.
    """

    files: tuple[Path, ...]
    sha256: tuple[str, ...]
    image_size: tuple[int, int]
    trials: Stimuli
    notes: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    decode: Callable[[bytes], ImageArray] = rgb
    decoding: str = "rgb"
    label_of: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the images, how they are decoded, the stimuli and the answers."""
        parts = [
            list(self.sha256),
            self.decoding,
            list(self.image_size),
            list(self.label_of),
            trials_sha256(self.trials),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def labels(self) -> IntArray | None:
        """(n,) class index of each image, or None where not every image has one."""
        import numpy as np

        return np.array(self.label_of, np.int64) if self.label_of else None

    def __len__(self) -> int:
        """n, the number of distinct images."""
        return len(self.files)

    def images(self, indices: Sequence[int] | IntArray) -> ImageArray:
        """uint8 (len(indices), h, w, 3); raises `UsageError` naming a file that is damaged."""
        import numpy as np

        out = np.empty((len(indices), *self.image_size, 3), np.uint8)
        for row, index in enumerate(indices):
            path = self.files[int(index)]
            try:
                decoded = self.decode(path.read_bytes())
            except OSError as error:
                raise UsageError(f"{path} cannot be read: {error.strerror}") from error
            except DecodeError as error:
                raise UsageError(f"{path} cannot be decoded: {error}") from error
            if decoded.shape[:2] != self.image_size:
                high, wide = self.image_size
                raise UsageError(
                    f"{path} has {decoded.shape[1]} x {decoded.shape[0]} pixels; "
                    f"expected {wide} x {high}, as the other images have"
                )
            out[row] = decoded
        return out


def trials_sha256(trials: Stimuli) -> str:
    """SHA-256 (hex) of everything in `trials`: images of each stimulus, units, attributes, answers."""
    import numpy as np

    digest = hashlib.sha256()

    def take(name: str, values: object) -> None:
        array = np.asarray(values)
        data = (
            "\0".join(array.ravel().tolist()).encode()
            if array.dtype.kind == "U"
            else np.ascontiguousarray(array, np.int64).tobytes()
        )
        digest.update(f"{name} {array.shape} ".encode() + data)

    def take_columns(name: str, columns: Mapping[str, object]) -> None:
        for key in sorted(columns):
            take(f"{name}/{key}", columns[key])

    for name in ("names", "queries", "references", "opposite", "unit", "units"):
        take(name, getattr(trials, name))
    take_columns("columns", trials.columns)
    for name in ("stimulus", "first", "count", "confidence", "participant"):
        take(name, getattr(trials.answers, name))
    take_columns("answers", trials.answers.columns)
    take("has_truth", int(trials.has_truth))
    return digest.hexdigest()
