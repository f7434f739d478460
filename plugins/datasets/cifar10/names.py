"""CIFAR-10H: what about 51 people each called the test images of CIFAR-10 (Peterson et al. 2019)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench import AssetError, AssetFile, AssetSpec, GivenNames, Resources, Skip

from .._images.stored import Made, StoredImages

if TYPE_CHECKING:
    from iibench import IntArray

COMMIT = "597cbc5f07266c9405b830ee4a53463539124c4f"
COUNTS = AssetSpec(
    name="cifar10h",
    summary="CIFAR-10H, the names that people gave CIFAR-10's test images",
    files=(
        AssetFile(
            "cifar10h-counts.npy",
            "9b36b4550349af56c79083356312eb4af856cc5fd3caf1f669d40b9d0bbb69ff",
            800_128,
            url=f"https://raw.githubusercontent.com/jcpeterson/cifar-10h/{COMMIT}/data/cifar10h-counts.npy",
        ),
    ),
    licence="CC-BY-NC-SA-4.0",
    homepage="https://github.com/jcpeterson/cifar-10h",
)
#: Images of the test split, and classes.
SHAPE = (10_000, 10)
#: Share of images whose label must be the name that most people gave. It is a guard against counts in
#: another order than the images, which would agree with one in ten.
AGREEMENT = 0.9
#: Why there are no names.
NOT_TEST = "what people call CIFAR-10's images is known of its test split only (CIFAR-10H)"
OTHER_ORDER = (
    "CIFAR-10H names the test images in the order of the python batches; how the JPEG zip's order maps "
    "to that one is not known (the parameter source: torchvision takes the batches)"
)


class Cifar10Images(StoredImages):
    """A split of CIFAR-10. `unnamed`: why it is not known what people call its images, "" where it is."""

    def __init__(
        self,
        fingerprint: str,
        resources: Resources,
        class_names: tuple[str, ...],
        make: Callable[[], Made],
        *,
        labels: IntArray | None = None,
        unnamed: str = "",
        trial: Callable[[], float] = lambda: 0.0,
    ) -> None:
        super().__init__(
            fingerprint,
            resources.cache_dir / "derived",
            make,
            class_names=class_names,
            image_size=(32, 32),
            labels=labels,
            trial=trial,
        )
        self._resources = resources
        self._unnamed = unnamed

    def given_names(self) -> GivenNames:
        """Counts (10000, 10) of CIFAR-10H, names in the order of the classes.

        Raises `Skip` for images whose names are not known, `AssetError` where the counts are neither
        here nor to be had, or do not fit the images.
        """
        if self._unnamed:
            raise Skip(self._unnamed)
        if len(self) != SHAPE[0]:
            raise Skip(f"CIFAR-10H names {SHAPE[0]:,} images, these are {len(self):,}")
        return self._names

    @cached_property
    def _names(self) -> GivenNames:
        return read_names(self._resources.asset(COUNTS)[1], self.labels)


def read_names(path: Path, labels: IntArray) -> GivenNames:
    """The counts (10000, 10) in `path` of images with these labels.

    Raises `AssetError` where they are not counts, or not of these images in this order.
    """
    import numpy as np

    try:
        found: Any = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise AssetError(f"{path} cannot be read as a NumPy array: {error}") from error
    if not isinstance(found, np.ndarray) or found.shape != SHAPE or found.dtype.kind not in "iu":
        kind = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else "an archive"
        raise AssetError(f"{path} is {kind}, expected integers {SHAPE}")
    if found.min() < 0:
        raise AssetError(f"{path} has a count of {found.min()}, expected 0 or more")
    counts = np.ascontiguousarray(found, np.int64)
    agree = counts[np.arange(len(labels)), labels] == counts.max(axis=1)
    if agree.mean() < AGREEMENT:
        raise AssetError(
            f"{path}: most people's name is the label of {agree.mean():.1%} of the images, expected "
            f"at least {AGREEMENT:.0%}: its order is not that of CIFAR-10's test images"
        )
    return GivenNames(counts, hashlib.sha256(counts.tobytes()).hexdigest())
