"""Pictures of feature values: each feature is a glyph of its own shape, colour and place.

F features on a grid of g x g cells, g = ceil(sqrt(F)), on a square image of `size` pixels. The pixels of
feature i's glyph are b + f_i (c_i - b), with b the grey of the background, c_i the glyph's colour and
f_i in [0, 1] in steps of 1/255. Glyphs do not overlap, so one fixed linear filter per feature, matched to
its glyph, reads f_i back. All arithmetic is that of integers: pixels are the same on every platform.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from iibench import DoubleArray, ImageArray

    Integers = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

#: Level of all three channels of the background.
BACKGROUND = 128
#: The level of a feature at full strength.
FULL = 255
#: Pixels a side of the smallest cell in which all shapes differ.
SMALLEST_CELL = 6

SHAPES = ("disc", "frame", "plus", "cross", "bars", "columns", "checker", "diamond")
HUES = (
    *("red", "orange", "yellow", "lime", "green", "mint"),
    *("cyan", "azure", "blue", "violet", "magenta", "pink"),
)
#: Steps around the circle of hues, and about 0.618 of them from each feature's hue to the next.
CIRCLE, TURN = 6 * FULL, 945


def grid_side(features: int) -> int:
    """g, cells along each side of the grid."""
    return math.isqrt(features - 1) + 1


def too_small(features: int, size: int) -> str:
    """Why glyphs of so many features do not fit an image of `size` pixels, or ""."""
    least = SMALLEST_CELL * grid_side(features)
    if size >= least:
        return ""
    return f"found size = {size} for {features} features; expected at least {least} pixels"


def feature_names(features: int) -> tuple[str, ...]:
    """What each feature looks like, such as `9: dark lime frame`."""
    return tuple(
        f"{i}: {'dark ' if i % 2 else ''}{_hue_name(_hue(i))} {_shape(i, features)}"
        for i in range(features)
    )


def glyphs(features: int, size: int) -> Integers:
    """(F, size, size, 3) what each feature at full strength adds to the background; 0 off its glyph."""
    import numpy as np

    side = grid_side(features)
    cell = size // side
    margin = (size - cell * side) // 2
    out = np.zeros((features, size, size, 3), np.int64)
    for i in range(features):
        top, left = (margin + cell * place for place in divmod(i, side))
        mask = _mask(_shape(i, features), cell)
        out[i, top : top + cell, left : left + cell][mask] = _colour(i) - BACKGROUND
    return out


def render(levels: npt.NDArray[np.uint8], size: int) -> ImageArray:
    """(n, F) levels 0 to 255 of the features -> uint8 (n, size, size, 3) RGB images."""
    import numpy as np

    added = glyphs(levels.shape[1], size).reshape(levels.shape[1], -1)
    owner = np.abs(added).argmax(axis=0)  # the one feature that a value belongs to, if any
    change = added[owner, np.arange(added.shape[1])]
    # rounded to the nearest level, halves away from the background
    scaled = levels[:, owner] * np.abs(change).astype(np.int32)
    pixels = BACKGROUND + np.sign(change).astype(np.int32) * ((scaled + FULL // 2) // FULL)
    images: ImageArray = pixels.astype(np.uint8).reshape(-1, size, size, 3)
    return images


def filters(features: int, size: int) -> DoubleArray:
    """Matched filters (F, 3 size size): f = filters (x - b).

    x is an RGB image in [0, 1], channels first, flattened; b = BACKGROUND / 255. An absent feature is
    read as 0 exactly, a present one with the error of its pixels' rounding.
    """
    added = glyphs(features, size).transpose(0, 3, 1, 2).reshape(features, -1) / FULL
    weights: DoubleArray = added / (added**2).sum(axis=1, keepdims=True)
    return weights


def _shape(i: int, features: int) -> str:
    """Shapes and, by the turn of the hues, colours differ between neighbours of a row and a column."""
    row, column = divmod(i, grid_side(features))
    return SHAPES[(row + column) % len(SHAPES)]


def _hue(i: int) -> int:
    return (i * TURN) % CIRCLE


def _hue_name(hue: int) -> str:
    """The nearest of the twelve, which lie evenly around the circle."""
    step = CIRCLE // len(HUES)
    return HUES[(hue + step // 2) // step % len(HUES)]


def _colour(i: int) -> Integers:
    """(3,) a saturated colour; every other one at half its brightness."""
    import numpy as np

    sector, rest = divmod(_hue(i), FULL)
    up, down = rest, FULL - rest
    colour = (
        (FULL, up, 0),
        (down, FULL, 0),
        (0, FULL, up),
        (0, down, FULL),
        (up, 0, FULL),
        (FULL, 0, down),
    )[sector]
    return np.array(colour, np.int64) // (1 + i % 2)


def _mask(shape: str, cell: int) -> Mask:
    """(cell, cell) the pixels of a glyph; twice the distance to the cell's middle in y and x."""
    import numpy as np

    y, x = np.meshgrid(*[2 * np.arange(cell) - (cell - 1)] * 2, indexing="ij")
    far = np.maximum(abs(y), abs(x))
    edge, thick = cell - 1, max(1, cell // 3)
    found: Mask = {
        "disc": x**2 + y**2 <= edge**2,
        "frame": far > edge - thick - 1,
        "plus": np.minimum(abs(y), abs(x)) <= thick,
        "cross": abs(abs(y) - abs(x)) <= thick,
        "bars": (y + edge) // 2 % 4 < 2,
        "columns": (x + edge) // 2 % 4 < 2,
        "checker": ((y + edge) // 4 + (x + edge) // 4) % 2 == 0,
        "diamond": abs(y) + abs(x) <= edge + 1,
    }[shape]
    return found
