"""Patches of photographs that are installed with scikit-image and scikit-learn: a dataset without a
download.

Every photograph is cut into 2 x 2 blocks; patches of the split `fit` lie in the blocks of one diagonal,
those of `evaluate` in the other two, so that no pixel is in both. A patch is a square of 32 to 256
pixels (its side drawn log-uniformly, at most the block's shorter side) reduced to 32 x 32 with
antialiasing. Patches with hardly any contrast are drawn again, and so are exact duplicates. The label
is the photograph. Ten of the photographs are in colour and four are grey.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from iibench import (
    AssetError,
    DatasetSpec,
    Resources,
    UsageError,
    hookimpl,
    packaged_path,
    sha256_of,
)

from .._shared.bibliography import entries, entry
from ._images.stored import Made, StoredImages, fingerprint_of

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from iibench import ImageArray, IntArray

SCIKIT_IMAGE = entry(
    "article",
    "vanderwalt2014scikitimage",
    author="St{\\'e}fan {van der Walt} and others",
    title="scikit-image: Image Processing in {Python}",
    journal="{PeerJ}",
    volume=2,
    pages="e453",
    year=2014,
)
SCIKIT_LEARN = entry(
    "article",
    "pedregosa2011scikit",
    author="Fabian Pedregosa and others",
    title="Scikit-learn: Machine Learning in {Python}",
    journal="Journal of Machine Learning Research",
    volume=12,
    pages="2825--2830",
    year=2011,
)


VERSION = "1"
SIDE = 32
LARGEST = 256
#: Least contrast of a patch in levels of 0 to 255: the standard deviation over its pixels, as the
#: root mean square over the three channels.
LEAST_CONTRAST = 8.0
#: With fewer photographs in their known form the dataset is not made.
LEAST_PHOTOS = 10
#: Draws per patch before a photograph is given up as too uniform.
DRAWS = 200


@dataclass(frozen=True)
class Photo:
    """A photograph: the `package:path` it is installed at and its SHA-256."""

    where: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name without its ending: the class name of its patches."""
        return PurePosixPath(self.where.partition(":")[2]).stem


#: Photographs of scikit-image and scikit-learn; the last four of scikit-image's are grey.
PHOTOS = (
    Photo(
        "skimage:data/astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    ),
    Photo(
        "skimage:data/chelsea.png",
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    ),
    Photo(
        "skimage:data/coffee.png",
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    ),
    Photo(
        "skimage:data/hubble_deep_field.jpg",
        "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    ),
    Photo(
        "skimage:data/ihc.png", "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef"
    ),
    Photo(
        "skimage:data/motorcycle_left.png",
        "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    ),
    Photo(
        "skimage:data/retina.jpg",
        "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    ),
    Photo(
        "skimage:data/rocket.jpg",
        "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
    ),
    Photo(
        "skimage:data/brick.png", "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf"
    ),
    Photo(
        "skimage:data/camera.png",
        "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
    ),
    Photo(
        "skimage:data/coins.png", "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba"
    ),
    Photo(
        "skimage:data/grass.png", "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89"
    ),
    Photo(
        "sklearn:datasets/images/china.jpg",
        "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
    ),
    Photo(
        "sklearn:datasets/images/flower.jpg",
        "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
    ),
)


@dataclass(frozen=True)
class Params:
    """Parameters of the patches."""

    n: Annotated[int, Ge(1)] = field(default=10_000, metadata={"help": "patches in each split"})
    seed: Annotated[int, Ge(0)] = field(
        default=0, metadata={"help": "of the places and sizes of the patches"}
    )


def load(params: Params, split: str, resources: Resources) -> StoredImages:
    """One split of `n` patches, as many from each photograph as from the others (give or take one).

    A photograph that is missing, or is not the one known here, is left out, with a note in
    `.notes`. Raises `AssetError` where fewer than ten remain.
    """
    photos, notes = _present()
    counts = _shares(params.n, len(photos))
    hashes = [photo.sha256 for photo, _ in photos]
    return StoredImages(
        fingerprint_of("photo_patches", VERSION, split, params.n, params.seed, hashes),
        resources.cache_dir / "derived",
        partial(_made, photos, counts, split, params.seed),
        class_names=tuple(photo.name for photo, _ in photos),
        image_size=(SIDE, SIDE),
        labels=_labels(counts),
        notes=notes,
    )


def _present() -> tuple[list[tuple[Photo, Path]], tuple[str, ...]]:
    """The photographs in use with their files, and a sentence for each that is left out."""
    present, notes = [], []
    for photo in PHOTOS:
        path = packaged_path(photo.where)
        if path is None:
            notes.append(f"photo_patches: {photo.where} is not installed; it is left out")
        elif sha256_of(path) != photo.sha256:
            notes.append(f"photo_patches: {path} is another picture than expected; it is left out")
        else:
            present.append((photo, path))
    if len(present) < LEAST_PHOTOS:
        raise AssetError(
            f"photo_patches needs {LEAST_PHOTOS} of its {len(PHOTOS)} photographs, which "
            f"scikit-image and scikit-learn install; found {len(present)}\n  " + "\n  ".join(notes)
        )
    return present, tuple(notes)


def _shares(n: int, parts: int) -> list[int]:
    return [n // parts + (i < n % parts) for i in range(parts)]


def _labels(counts: Sequence[int]) -> IntArray:
    import numpy as np

    return np.repeat(np.arange(len(counts), dtype=np.int64), counts)


# ---------------------------------------------------------------------------------- cutting


def _made(
    present: Sequence[tuple[Photo, Path]], counts: Sequence[int], split: str, seed: int
) -> Made:
    """All patches; each photograph has its own random stream, whatever the others are."""
    import numpy as np
    from PIL import Image

    images = np.empty((sum(counts), SIDE, SIDE, 3), np.uint8)
    seen: set[bytes] = set()
    row = 0
    for (photo, path), count in zip(present, counts, strict=True):
        rng = np.random.default_rng([seed, split == "evaluate", int(photo.sha256[:15], 16)])
        with Image.open(path) as file:
            picture = file.convert("RGB")
        end = row + count
        for patch in _draws(picture, split, rng, count * DRAWS):
            if row == end:
                break
            key = patch.tobytes()
            if contrast(patch) >= LEAST_CONTRAST and key not in seen:
                seen.add(key)
                images[row] = patch
                row += 1
        if row < end:
            raise UsageError(f"photo_patches: n is too large, {photo.name} has no {count} patches")
    return images, _labels(counts)


def blocks(width: int, height: int, split: str) -> tuple[tuple[int, int, int, int], ...]:
    """The two blocks (left, top, right, bottom) of a picture that a split's patches lie in."""
    x, y = width // 2, height // 2
    if split == "fit":
        return (0, 0, x, y), (x, y, width, height)
    return (x, 0, width, y), (0, y, x, height)


def _draws(
    picture: Image.Image, split: str, rng: np.random.Generator, draws: int
) -> Iterator[ImageArray]:
    """uint8 (32, 32, 3) squares out of the split's blocks, at most `draws` of them."""
    import numpy as np
    from PIL import Image

    places = blocks(*picture.size, split)
    for _ in range(draws):
        left, top, right, bottom = places[int(rng.integers(2))]
        largest = min(LARGEST, right - left, bottom - top)
        side = int(math.exp(rng.uniform(math.log(SIDE), math.log(largest + 1))))
        x = left + int(rng.integers(right - left - side + 1))
        y = top + int(rng.integers(bottom - top - side + 1))
        # Cut before resizing: the filter must not see pixels of the neighbouring block.
        square = picture.crop((x, y, x + side, y + side))
        yield np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def contrast(patch: ImageArray) -> float:
    """Standard deviation over the pixels of (h, w, 3), root mean square over channels, in levels."""
    import numpy as np

    return float(np.sqrt(patch.reshape(-1, 3).var(axis=0, dtype=np.float64).mean()))


@hookimpl
def iibench_register_datasets() -> Iterable[DatasetSpec]:
    """Registers `photo_patches`."""
    yield DatasetSpec(
        name="photo_patches",
        summary="32 x 32 patches of 14 photographs that are already installed; no download",
        definition=(
            "Square patches of the photographs that scikit-image and scikit-learn install: 14, or as "
            "many of them as are there unchanged. Each is cut into 2 x 2 blocks; patches of `fit` lie "
            "in the blocks of one diagonal, those of `evaluate` in the other two, so no pixel is in "
            "both. A patch has a side of 32 to 256 pixels, drawn log-uniformly and at most the "
            "block's shorter side, and is reduced to 32 x 32 with antialiasing; patches with hardly "
            "any contrast and duplicates are drawn again. The label is the photograph."
        ),
        params=Params,
        load=load,
        splits=("fit", "evaluate"),
        version=VERSION,
        citation="photographs of scikit-image (skimage.data) and scikit-learn (load_sample_images)",
        bibtex=entries(SCIKIT_IMAGE, SCIKIT_LEARN),
        licence="the photographs' own, as listed by scikit-image; china and flower are CC BY 2.0",
    )
