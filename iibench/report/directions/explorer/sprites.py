"""Images packed into sprite sheets: a page loads the few sheets that a view needs.

A sheet holds up to `TILES` tiles of one size, in rows of `COLUMNS`. The tile number of an image is
`TILES` times its sheet's position plus its place on the sheet.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from iibench.report.shared.thumbnails import SMALL, THUMBNAIL

if TYPE_CHECKING:
    from PIL import Image

    from iibench.contract.arrays import ImageArray
    from iibench.report.shared.output import Output

COLUMNS = 16
TILES = COLUMNS * COLUMNS
#: Quality of sheets of photographs; sheets of small images are lossless.
QUALITY = 85
#: WebP's effort for sheets without loss: 4 times as fast as its default, for files 2 % larger.
EFFORT = {"lossless": True, "quality": 25, "method": 1}
#: What a smaller image in a larger tile is surrounded with.
GREY = 128

#: A dataset's label and the index of an image in its evaluated split.
Key = tuple[str, int]


@dataclass(frozen=True)
class Sheet:
    """A sheet of tiles of `width` x `height` pixels. `exact`: pixels are those of the images."""

    url: str
    width: int
    height: int
    exact: bool


@dataclass
class Sheets:
    """Sheets in the order in which they were filled, and the tile number of each image on them."""

    sheets: list[Sheet] = field(default_factory=list)
    tiles: dict[Key, int] = field(default_factory=dict)
    #: images for which the output had no room
    left_out: int = 0


@dataclass
class _Open:
    """The sheet of a dataset that is being filled."""

    size: tuple[int, int]
    exact: bool
    keys: list[Key] = field(default_factory=list)
    images: list[Image.Image] = field(default_factory=list)


def pack(images: Mapping[Key, bytes], order: Sequence[Key], output: Output) -> Sheets:
    """Writes the images of `order` to sheets, each once; those that are not in `images` are passed over.

    `images`: PNG or JPEG files. Images of a dataset up to `SMALL` pixels a side keep their pixels;
    larger ones are scaled down to `THUMBNAIL`. Once `output` has no room for a sheet, the images of
    this and of later sheets are left out.
    """
    made = Sheets()
    filling: dict[str, _Open] = {}
    for key in dict.fromkeys(order):
        content = images.get(key)
        if content is None:
            continue
        if made.left_out:
            made.left_out += 1
            continue
        image = _decode(content)
        sheet = filling.get(key[0])
        if sheet is None:
            exact = max(image.size) <= SMALL
            sheet = filling[key[0]] = _Open(image.size, exact)
        sheet.keys.append(key)
        sheet.images.append(image)
        if len(sheet.keys) == TILES:
            _close(filling.pop(key[0]), made, output)
    for sheet in filling.values():
        _close(sheet, made, output)
    return made


def _decode(content: bytes) -> Image.Image:
    from PIL import Image

    file = Image.open(io.BytesIO(content))
    file.draft("RGB", (THUMBNAIL, THUMBNAIL))  # JPEG: decoded at a fraction of its size
    image = file.convert("RGB")
    if max(image.size) > SMALL:
        image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return image


def _close(sheet: _Open, made: Sheets, output: Output) -> None:
    """Encodes the sheet and hands it to the output, or counts what is left out."""
    content, kind = _encode(_joined(sheet.images, sheet.size), sheet.exact)
    number = len(made.sheets)
    url = None if made.left_out else output.image(f"sheet-{number}.{kind}", content)
    if url is None:
        made.left_out += len(sheet.keys)
        return
    made.sheets.append(Sheet(url, *sheet.size, sheet.exact))
    for place, key in enumerate(sheet.keys):
        made.tiles[key] = number * TILES + place


def _joined(images: Sequence[Image.Image], size: tuple[int, int]) -> ImageArray:
    """The images as one picture; one of another size than the tile is centred in it."""
    width, height = size
    rows, columns = -(-len(images) // COLUMNS), min(COLUMNS, len(images))
    sheet = np.full((rows * height, columns * width, 3), GREY, np.uint8)
    for i, image in enumerate(images):
        if image.size != size:
            image.thumbnail(size)
        pixels = np.asarray(image)
        h, w = pixels.shape[:2]
        top = i // COLUMNS * height + (height - h) // 2
        left = i % COLUMNS * width + (width - w) // 2
        sheet[top : top + h, left : left + w] = pixels
    return sheet


def _encode(pixels: ImageArray, exact: bool) -> tuple[bytes, str]:
    """(file, its extension): WebP where Pillow has it, else PNG or JPEG."""
    from PIL import Image, features

    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    if features.check("webp"):
        options = EFFORT if exact else {"quality": QUALITY, "method": 4}
        image.save(buffer, "WEBP", **options)
        return buffer.getvalue(), "webp"
    image.save(buffer, "PNG" if exact else "JPEG", quality=QUALITY)
    return buffer.getvalue(), "png" if exact else "jpg"
