"""Stimulus images as people saw them: 224 x 224 pixels, RGB; or the same at another size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._images.decode import opened

if TYPE_CHECKING:
    from PIL import Image

    from iibench import ImageArray

#: Pixels of a side in the study.
SIDE = 224
#: What a photograph's shorter side is brought to before that is cut out.
SHORTER = 256


def shorter_side(size: int) -> int:
    """What a photograph's shorter side is brought to, 256 for 224."""
    return round(size * SHORTER / SIDE)


def decoding(size: int = SIDE) -> str:
    """What `as_shown` does, for the fingerprint; changes whenever the pixels would."""
    return (
        f"imi: shorter side {shorter_side(size)} (PIL bilinear), centre {size}, RGB; "
        f"PNG of {size} x {size} as it is"
    )


def as_shown(data: bytes, size: int = SIDE) -> ImageArray:
    """uint8 (size, size, 3) RGB of a file: a finished stimulus, or the photograph that one is made from.

    A PNG of size x size pixels is a finished stimulus. Any other file is brought to 256 pixels on its
    shorter side (bilinear, antialiased), cut to its centre, and only then converted to RGB, as the
    published stimuli were made (torchvision's Resize(256) and CenterCrop(224) on the PIL image; EXIF
    orientation is not looked at); another `size` than 224 scales both. Raises `DecodeError`.
    """
    import numpy as np

    with opened(data) as image:
        finished = image.format == "PNG" and image.size == (size, size)
        picture = image if finished else _cut(image, size)
        return np.asarray(picture.convert("RGB"))


def mode_of(data: bytes) -> str:
    """How a file's pixels are coded, in PIL's words (`RGB`, `L` for grey, `CMYK`); from its header.

    Raises `DecodeError`.
    """
    with opened(data) as image:
        return image.mode


def _cut(image: Image.Image, size: int) -> Image.Image:
    from PIL import Image

    width, height = image.size
    shorter, target = min(width, height), shorter_side(size)
    # the longer side is truncated, not rounded
    wide, high = target * width // shorter, target * height // shorter
    if (wide, high) != (width, height):
        image = image.resize((wide, high), Image.Resampling.BILINEAR)
    left, top = round((wide - size) / 2), round((high - size) / 2)
    return image.crop((left, top, left + size, top + size))
