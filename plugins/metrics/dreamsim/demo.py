"""The images of the DreamSim repository's `demo.py`, and the similarities that its README gives."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from iibench import AssetFile, AssetSpec, Golden

from .network import SIDE

if TYPE_CHECKING:
    from iibench import ImageArray, Resources

COMMIT = "077b5571ebe171c41a2f41efa4da0644b48fb3f5"
IMAGES = f"https://raw.githubusercontent.com/ssundaram21/dreamsim/{COMMIT}/images"
SOURCE = "the README of dreamsim 0.2.1: 'running demo.py should produce distances (0.4453, 0.2756)'"


def _demo(name: str) -> AssetSpec:
    file = AssetFile(f"dreamsim_demo_{name}.png", "", 0, url=f"{IMAGES}/{name}.png")
    title = f"dreamsim-demo-{name.replace('_', '-')}"
    return AssetSpec(title, f"images/{name}.png of the DreamSim repository", (file,))


REFERENCE, FIRST, SECOND = _demo("ref_1"), _demo("img_a_1"), _demo("img_b_1")


def demo_pixels(image: AssetSpec, resources: Resources) -> ImageArray:
    """uint8 (224, 224, 3) RGB, resized as the demo does (Pillow, bicubic).

    Raises `AssetError` where the image is neither here nor to be had.
    """
    import numpy as np
    from PIL import Image

    _, path = resources.asset(image)
    with Image.open(path) as file:
        picture = file.convert("RGB")
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _pair(other: AssetSpec, resources: Resources) -> tuple[ImageArray, ImageArray]:
    return demo_pixels(REFERENCE, resources), demo_pixels(other, resources)


# Four digits are published; a GPU may round the last one differently.
GOLDEN = (
    Golden("dreamsim", "ref_1.png; img_a_1.png", partial(_pair, FIRST), 1 - 0.4453, 2e-4, SOURCE),
    Golden("dreamsim", "ref_1.png; img_b_1.png", partial(_pair, SECOND), 1 - 0.2756, 2e-4, SOURCE),
)
