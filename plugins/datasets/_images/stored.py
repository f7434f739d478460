"""Datasets that are decoded or generated once and then memory-mapped from the cache folder.

Each lies in `cache_dir / "derived" / fingerprint`: `images.npy` uint8 (n, h, w, 3), `labels.npy` int64
(n,), and `sha256.json` with the hash of either. The folder gets its name when it is complete; it is
checked by hash once per process, and made anew where it is damaged.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench import UsageError, sha256_of

if TYPE_CHECKING:
    from iibench import ImageArray, IntArray

#: What a dataset is made of: images uint8 (n, h, w, 3) and labels int64 (n,).
Made = tuple["ImageArray", "IntArray"]

_NAMES = ("images", "labels")


def fingerprint_of(*parts: object) -> str:
    """SHA-256 (hex) of a list of plain values."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class StoredImages:
    """An `ImageDataset` that calls `make` only when its images are asked for and not stored yet.

    `labels`: given where they are known without decoding; then neither they nor n need `make`.
    `notes`: sentences about what the dataset was made from. `trial`: seconds that `make` will take,
    from making a few; not given where it takes a moment.
    """

    def __init__(
        self,
        fingerprint: str,
        folder: Path,
        make: Callable[[], Made],
        *,
        class_names: tuple[str, ...],
        image_size: tuple[int, int],
        labels: IntArray | None = None,
        notes: tuple[str, ...] = (),
        trial: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.fingerprint = fingerprint
        self.class_names = class_names
        self.image_size = image_size
        self.notes = notes
        self._folder = folder / fingerprint
        self._make = make
        self._labels = labels
        self._trial = trial

    @cached_property
    def _stored(self) -> Made:
        return _load_or_make(self._folder, self._make)

    @property
    def labels(self) -> IntArray:
        """(n,) class index of each image."""
        return self._stored[1] if self._labels is None else self._labels

    def __len__(self) -> int:
        """n, the number of images."""
        return len(self.labels)

    def seconds_to_prepare(self) -> float:
        """See `iibench.PreparedImages`."""
        return 0.0 if (self._folder / "sha256.json").is_file() else self._trial()

    def images(self, indices: Sequence[int] | IntArray) -> ImageArray:
        """uint8 (len(indices), h, w, 3) RGB images in the order of `indices`."""
        import numpy as np

        return np.asarray(self._stored[0][np.asarray(indices, np.int64)])


def _load_or_make(folder: Path, make: Callable[[], Made]) -> Made:
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            found = _load(folder)
            if found is None:
                _store(folder, make())
                found = _load(folder)
    except OSError as error:
        raise UsageError(
            f"{error.filename or folder} cannot be used as a cache ({error.strerror}); "
            "choose another with --cache-dir or IIBENCH_CACHE"
        ) from error
    if found is None:
        raise UsageError(
            f"{folder} is damaged again right after it was written: is the disk sound?"
        )
    return found


def _load(folder: Path) -> Made | None:
    """Both arrays, memory-mapped; None where they are missing or damaged."""
    import numpy as np

    try:
        expected: dict[str, Any] = json.loads((folder / "sha256.json").read_text())
        for name in _NAMES:
            if sha256_of(folder / f"{name}.npy") != expected[name]:
                return None
        images, labels = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in _NAMES)
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return images, labels


def _store(folder: Path, made: Made) -> None:
    import numpy as np

    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        np.save(temporary / "images.npy", made[0])
        np.save(temporary / "labels.npy", made[1])
        sums = {name: sha256_of(temporary / f"{name}.npy") for name in _NAMES}
        (temporary / "sha256.json").write_text(json.dumps(sums))
        shutil.rmtree(folder, ignore_errors=True)  # what is there is damaged
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
