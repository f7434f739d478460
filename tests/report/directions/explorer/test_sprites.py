"""Images on sprite sheets: every pixel in its place, each image once, the first ones first."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from iibench.report.directions.explorer.sprites import COLUMNS, TILES, Sheets, pack
from tests.report.conftest import make_images


class Memory:
    """An output that keeps files in memory, at most `room` images."""

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.files: dict[str, bytes] = {}

    def data(self, name: str, value: object) -> bool:
        raise AssertionError("no data are written here")

    def image(self, name: str, content: bytes) -> str | None:
        if len(self.files) == self.room:
            return None
        self.files[f"sprites/{name}"] = content
        return f"sprites/{name}"


def tile(output: Memory, made: Sheets, key: tuple[str, int]) -> np.ndarray:
    """The pixels of an image as a reader of the index finds them."""
    number, place = divmod(made.tiles[key], TILES)
    sheet = made.sheets[number]
    pixels = np.asarray(Image.open(io.BytesIO(output.files[sheet.url])).convert("RGB"))
    top, left = place // COLUMNS * sheet.height, place % COLUMNS * sheet.width
    return pixels[top : top + sheet.height, left : left + sheet.width]


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def noise(indices: Sequence[int], size: int = 8) -> dict[tuple[str, int], bytes]:
    found = {}
    for index in indices:
        values = np.random.default_rng(index).integers(0, 256, (size, size, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "PNG")
        found["d", index] = buffer.getvalue()
    return found


@settings(max_examples=20, deadline=None)
@given(order=st.lists(st.integers(0, 9), max_size=30), stored=st.sets(st.integers(0, 9)))
def test_every_stored_image_is_kept_exactly_and_once(order: list[int], stored: set[int]) -> None:
    images, output = noise(sorted(stored)), Memory()
    made = pack(images, [("d", i) for i in order], output)
    expected = [i for i in dict.fromkeys(order) if i in stored]
    assert list(made.tiles) == [("d", i) for i in expected]
    assert sorted(made.tiles.values()) == list(range(len(expected)))
    for key in made.tiles:
        np.testing.assert_array_equal(tile(output, made, key), pixels(images[key]))
    assert made.left_out == 0


def test_sheets_are_filled_in_the_order_of_use() -> None:
    order = list(np.random.default_rng(0).permutation(TILES + 20))
    output = Memory()
    made = pack(noise(order), [("d", int(i)) for i in order], output)
    assert [made.tiles["d", int(i)] for i in order] == list(range(TILES + 20))
    assert len(made.sheets) == len(output.files) == 2
    last = Image.open(io.BytesIO(output.files[made.sheets[1].url]))
    assert last.size == (COLUMNS * 8, 2 * 8)  # no larger than its tiles need


def test_what_has_no_room_is_left_out_and_counted() -> None:
    order = [("d", i) for i in range(3 * TILES)]
    made = pack(noise(range(3 * TILES)), order, Memory(room=1))
    assert len(made.sheets) == 1
    assert list(made.tiles) == order[:TILES]
    assert made.left_out == 2 * TILES


def test_datasets_have_sheets_of_their_own() -> None:
    small = make_images("small", [1, 2], 32)
    large = make_images("large", [1, 2], 224)
    output = Memory()
    order = [("small", 1), ("large", 1), ("small", 2), ("large", 2)]
    made = pack(small | large, order, output)
    sizes = {(s.width, s.height, s.exact) for s in made.sheets}
    assert sizes == {(32, 32, True), (96, 96, False)}
    for key in small:
        np.testing.assert_array_equal(tile(output, made, key), pixels(small[key]))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_photographs_become_thumbnails_that_look_alike(kind: str) -> None:
    (content,) = make_images("d", [5], 224).values()
    image, buffer = Image.open(io.BytesIO(content)), io.BytesIO()
    image.save(buffer, kind)
    output = Memory()
    made = pack({("d", 5): buffer.getvalue()}, [("d", 5)], output)
    expected = np.asarray(image.resize((96, 96), Image.Resampling.LANCZOS), float)
    error = np.abs(tile(output, made, ("d", 5)) - expected)
    assert error.mean() < 4


def test_an_image_of_another_shape_is_centred_on_grey() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 4), (255, 0, 0)).save(buffer, "PNG")
    images = noise([0]) | {("d", 1): buffer.getvalue()}
    output = Memory()
    found = tile(output, pack(images, [("d", 0), ("d", 1)], output), ("d", 1))
    assert (found[2:6] == (255, 0, 0)).all()
    assert (found[:2] == 128).all() and (found[6:] == 128).all()
