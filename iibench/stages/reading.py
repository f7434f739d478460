"""What reading the images of a dataset takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.contract.specs import PreparedImages
from iibench.stages.subsets import CheckedImages, Subset

if TYPE_CHECKING:
    from iibench.contract.specs import ImageDataset
    from iibench.stages.account import Account

#: Seconds of hashing one byte.
HASH_SECONDS = 1.5e-9
#: Images that are read to see what reading takes.
SAMPLE = 16
#: Seconds of a dataset's first image from which on they are a stage of their own.
LONG = 0.1


@dataclass(frozen=True)
class Reading:
    """What reading a dataset takes: seconds `once` in a run, seconds of `each` image every time it is
    read, and the bytes `held` afterwards."""

    once: float
    each: float
    held: int


def reading(dataset: ImageDataset, clock: Callable[[], float]) -> Reading:
    """From reading a few images; from a trial where the first one would have all of them decoded."""
    whole = dataset
    while isinstance(whole, Subset | CheckedImages):
        whole = whole.whole
    height, width = dataset.image_size
    held = len(whole) * height * width * 3
    prepared = isinstance(whole, PreparedImages)
    pending = whole.seconds_to_prepare() if isinstance(whole, PreparedImages) else 0.0
    if pending:
        return Reading(pending, 0.0, 2 * held)
    chosen = np.linspace(0, len(dataset) - 1, min(SAMPLE, len(dataset))).astype(np.int64)
    start = clock()
    dataset.images(chosen[:1])
    first = clock() - start
    start = clock()
    dataset.images(chosen)
    each = (clock() - start) / len(chosen)
    # what is stored by now is hashed and mapped
    return Reading(held * HASH_SECONDS, each, held) if prepared else Reading(first, each, 0)


def reading_cost(dataset: ImageDataset, name: str, account: Account) -> float:
    """Seconds of reading one image of a dataset; what it does once, at its first image, is a stage."""

    def read() -> float:
        found = reading(dataset, account.clock)
        account.keep(found.held)
        if found.once > LONG:
            stage = f"first images of {name}"
            account.add(stage, "images", len(dataset), 0, found.once, "timed", found.held)
        return found.each

    return account.memo.once(f"reading {dataset.fingerprint}", read)
