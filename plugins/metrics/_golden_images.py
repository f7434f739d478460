"""Two pairs of images for values that a metric is known to give, and the values made of them.

Both pairs are crops of photographs that scikit-image installs, so that they are there wherever
iibench is, without a download.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from iibench import AssetFile, AssetSpec, Golden

if TYPE_CHECKING:
    from iibench import ImageArray, Resources

#: Side of a crop in pixels: the size that LPIPS was validated at.
SIDE = 64


@dataclass(frozen=True)
class Crop:
    """A square of SIDE x SIDE pixels of a photograph, `top` and `left` its first row and column."""

    photo: AssetSpec
    top: int
    left: int

    def __str__(self) -> str:
        rows = f"rows {self.top} to {self.top + SIDE - 1}"
        columns = f"columns {self.left} to {self.left + SIDE - 1}"
        return f"{self.photo.name}.png {rows}, {columns}"

    def pixels(self, resources: Resources) -> ImageArray:
        """uint8 (SIDE, SIDE, 3) RGB; raises `AssetError` where the photograph is not as known."""
        import numpy as np
        from PIL import Image

        _, path = resources.asset(self.photo)
        with Image.open(path) as file:
            picture = file.convert("RGB")
        box = (self.left, self.top, self.left + SIDE, self.top + SIDE)
        return np.asarray(picture.crop(box))


def _photo(name: str, sha256: str, size: int) -> AssetSpec:
    file = AssetFile(f"{name}.png", sha256, size, packaged=f"skimage:data/{name}.png")
    return AssetSpec(name, "a photograph that scikit-image installs", (file,))


ASTRONAUT = _photo(
    "astronaut", "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5", 791_555
)
COFFEE = _photo(
    "coffee", "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7", 466_706
)
FACE, FACE_MOVED = Crop(ASTRONAUT, 90, 190), Crop(ASTRONAUT, 93, 193)
CUP = Crop(COFFEE, 170, 270)


def different(label: str, similarity: float, tolerance: float, source: str) -> Golden:
    """The similarity of a face and a cup of coffee; see `iibench.Golden`."""
    return _golden(label, FACE, CUP, similarity, tolerance, source)


def moved(label: str, similarity: float, tolerance: float, source: str) -> Golden:
    """The similarity of a face and the same face cut out three pixels further down and right."""
    return _golden(label, FACE, FACE_MOVED, similarity, tolerance, source)


def _golden(
    label: str, first: Crop, second: Crop, similarity: float, tolerance: float, source: str
) -> Golden:
    images = partial(_both, first, second)
    return Golden(label, f"{first}; {second}", images, similarity, tolerance, source)


def _both(first: Crop, second: Crop, resources: Resources) -> tuple[ImageArray, ImageArray]:
    return first.pixels(resources), second.pixels(resources)
