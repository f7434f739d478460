"""Images made of known, sparse features: a dataset whose interpretable directions are not in doubt.

Every image shows a vector f in [0, 1]^F: feature i is there with probability p, its strength then
uniform on 1/255, ..., 1, and it is drawn as a glyph of its own shape, colour and place (see
`_shared.planted.images`). Such features are what the toy models of Elhage et al. (2022) represent in
superposition; the model `planted` is one of them. Images without any feature are drawn again. The label
is the strongest feature.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le

from iibench import DatasetSpec, Harness, hookimpl

from .._shared.planted import ELHAGE2022, FEATURES, SIZE
from .._shared.planted.images import FULL, feature_names, glyphs, render, too_small
from ._images.stored import fingerprint_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from iibench import ImageArray, IntArray

    Levels = npt.NDArray[np.uint8]

SPLITS = ("fit", "evaluate")


@dataclass(frozen=True)
class Params:
    """Parameters of the features and of the images."""

    n: Annotated[int, Ge(1)] = field(default=4000, metadata={"help": "images in each split"})
    features: Annotated[int, Ge(2)] = field(
        default=FEATURES, metadata={"help": "planted features, F; the model's must be the same"}
    )
    present: Annotated[float, Ge(0.001), Le(1)] = field(
        default=0.03, metadata={"help": "probability of each feature to be in an image, p"}
    )
    size: Annotated[int, Ge(1)] = field(
        default=SIZE, metadata={"help": "pixels a side; the model's must be the same"}
    )
    seed: Annotated[int, Ge(0)] = field(
        default=0, metadata={"help": "of which features are in which image, and how strongly"}
    )

    def __post_init__(self) -> None:
        """Raises `ValueError`, which the suite's reader reports, where glyphs would be too small."""
        if problem := too_small(self.features, self.size):
            raise ValueError(problem)


@dataclass(frozen=True)
class PlantedImages:
    """An `ImageDataset`, rendered as asked for. `levels` (n, F): strengths of the features x 255."""

    levels: Levels
    size: int

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the strengths and of what the features look like."""
        import hashlib

        looks = glyphs(self.levels.shape[1], self.size)
        sums = [
            hashlib.sha256(part).hexdigest()
            for part in (self.levels.tobytes(), looks.astype("<i8").tobytes())
        ]
        return fingerprint_of("planted", self.levels.shape, self.size, sums)

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """(n, F) strengths f of the features in each image, in [0, 1]."""
        strengths: npt.NDArray[np.float64] = self.levels / FULL
        return strengths

    @cached_property
    def labels(self) -> IntArray:
        """(n,) the strongest feature of each image; of equals the first."""
        import numpy as np

        strongest: IntArray = self.levels.argmax(axis=1).astype(np.int64)
        return strongest

    @property
    def class_names(self) -> tuple[str, ...]:
        """What each feature looks like."""
        return feature_names(self.levels.shape[1])

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.size, self.size

    def __len__(self) -> int:
        """n, the number of images."""
        return len(self.levels)

    def images(self, indices: Sequence[int] | IntArray) -> ImageArray:
        """uint8 (len(indices), size, size, 3) RGB images in the order of `indices`."""
        import numpy as np

        return render(self.levels[np.asarray(indices, np.int64)], self.size)


def load(params: Params, split: str, harness: Harness) -> PlantedImages:
    """One split of `n` images; the two have no draw in common."""
    import numpy as np

    rng = np.random.default_rng([params.seed, SPLITS.index(split)])
    return PlantedImages(draw(params.n, params.features, params.present, rng), params.size)


def draw(n: int, features: int, present: float, rng: np.random.Generator) -> Levels:
    """(n, F) uint8 strengths x 255: 0 where a feature is absent, else uniform on 1 to 255.

    Rows without any feature are drawn again.
    """
    import numpy as np

    levels = np.zeros((n, features), np.uint8)
    empty = np.arange(n)
    while empty.size:
        there = rng.random((len(empty), features)) < present
        strength = rng.integers(1, FULL, (len(empty), features), np.uint8, endpoint=True)
        levels[empty] = np.where(there, strength, 0)
        empty = empty[~there.any(axis=1)]
    return levels


@hookimpl
def iibench_register_datasets() -> Iterable[DatasetSpec]:
    """Registers `planted`."""
    yield DatasetSpec(
        name="planted",
        summary="images made of known, sparse features, each a glyph of its own; no download",
        definition=(
            "Every image shows a vector f in [0, 1]^F. Feature i is in an image with probability p = "
            "`present`, on its own; its strength f_i is then uniform on 1/255, ..., 1. Images "
            "without any feature are drawn again. Feature i is a glyph of its own shape, colour and "
            "cell of a grid on a grey background b: pixels of the glyph are b + f_i (c_i - b) with "
            "its colour c_i, and glyphs do not overlap. The label is the strongest feature. `fit` "
            "and `evaluate` are drawn from the same distribution."
        ),
        params=Params,
        load=load,
        splits=SPLITS,
        citation="features as in Elhage et al. 2022, Toy Models of Superposition",
        bibtex=ELHAGE2022,
    )
