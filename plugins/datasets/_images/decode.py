"""Decodes image files of any kind to RGB, 8 bits a channel.

Images are turned as their EXIF orientation says; grey, palette and CMYK images become RGB; what is
transparent is laid over white; 16-bit grey levels are scaled to 8 bits (65,535 -> 255).
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

    from iibench import ImageArray

#: What the parameter `size` of a dataset of image files does.
SIZED = {
    "help": "the shorter side is resized to this many pixels, then the centre is cut out; "
    "without it all images must have one size"
}
_EXIF_ORIENTATION = 0x0112
_TIFF_WIDTH, _TIFF_HEIGHT = 0x0100, 0x0101
_PNG = b"\x89PNG\r\n\x1a\n"
#: Chunks of PNG files with EXIF or XMP.
_METADATA = frozenset({b"eXIf", b"iTXt", b"tEXt", b"zTXt"})
#: Values of the EXIF orientation that swap height and width.
_TURNED = frozenset({5, 6, 7, 8})


class DecodeError(Exception):
    """Why bytes are not an image that can be used, in one line."""


def displayed_size(data: bytes) -> tuple[int, int]:
    """(height, width) in pixels of an image file as displayed, from its header.

    Raises `DecodeError`.
    """
    from PIL import Image, TiffImagePlugin

    with opened(data) as image:
        width, height = image.size
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            # as stored: the size that PIL gives is turned already
            width, height = image.tag_v2[_TIFF_WIDTH], image.tag_v2[_TIFF_HEIGHT]
        if _has_late_metadata(data):
            image.load()
        # The base class's method: that of PNG files decodes the image to look behind it.
        turned = Image.Image.getexif(image).get(_EXIF_ORIENTATION) in _TURNED
        return (width, height) if turned else (height, width)


def _has_late_metadata(data: bytes) -> bool:
    """Whether a PNG file has chunks that may hold its orientation behind its pixels."""
    if bytes(data[: len(_PNG)]) != _PNG:  # what is read of a table of images is a buffer
        return False
    at, pixels = len(_PNG), False
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        pixels |= kind == b"IDAT"
        if pixels and kind in _METADATA:
            return True
        at += length + 12
    return False


def rgb(data: bytes, size: int | None = None) -> ImageArray:
    """uint8 (h, w, 3) RGB of an image file; of a film, its first picture.

    `size`: the shorter side is brought to `size` pixels (bicubic, antialiased), then the centre
    size x size is cut out. Raises `DecodeError`.
    """
    import numpy as np
    from PIL import ImageOps

    with opened(data) as image:
        if image.mode == "I" and image.format == "TIFF":
            raise DecodeError("its pixels have 32 bits, of which white is not known")
        picture = _to_rgb(ImageOps.exif_transpose(image))
        if size is not None:
            picture = _resized(picture, size)
        return np.asarray(picture)


@contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """The image, with everything that PIL raises for a damaged one turned into `DecodeError`."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            yield image
    except UnidentifiedImageError as error:
        raise DecodeError("it is no image of a known format") from error
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        raise DecodeError((str(error).splitlines() or [type(error).__name__])[0]) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    import numpy as np
    from PIL import Image

    if image.mode == "F":
        raise DecodeError("its pixels are floating-point numbers, whose white is not known")
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64)
        if levels.min() < 0 or levels.max() > 65535:
            raise DecodeError("its pixels have more than 16 bits, of which white is not known")
        grey = np.round(levels / 257).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        above = image.convert("RGBA")
        white = Image.new("RGBA", above.size, "white")
        return Image.alpha_composite(white, above).convert("RGB")
    return image.convert("RGB")


def _resized(image: Image.Image, size: int) -> Image.Image:
    from PIL import Image

    width, height = image.size
    scale = size / min(width, height)
    wide, high = max(size, round(width * scale)), max(size, round(height * scale))
    if (wide, high) != (width, height):
        image = image.resize((wide, high), Image.Resampling.BICUBIC)
    left, top = (wide - size) // 2, (high - size) // 2
    return image.crop((left, top, left + size, top + size))
