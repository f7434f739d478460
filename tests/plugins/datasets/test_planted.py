"""The dataset planted: what its glyphs are, that features can be read back, what decides the images."""

from __future__ import annotations

import colorsys
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.assets.local import LocalResources
from iibench.contract.specs import DatasetSpec
from iibench_plugins._shared.planted.images import (
    BACKGROUND,
    HUES,
    SHAPES,
    filters,
    glyphs,
    grid_side,
    render,
)
from iibench_plugins.datasets import planted

#: Of 200 images of the split fit.
FINGERPRINT = "56a882d869c56c52a14dd6c60a5dfe4656dd7d067d7cd518b563a8156773816b"
SPEC: DatasetSpec = next(iter(planted.iibench_register_datasets()))
#: A number of features and an image size that holds them.
SHAPE = st.integers(2, 80).flatmap(
    lambda features: st.tuples(
        st.just(features), st.integers(6 * grid_side(features), 6 * grid_side(features) + 30)
    )
)


def load(split: str = "fit", **params: Any) -> Any:
    resources = LocalResources(Path("none"), Path("none"), offline=True)
    return SPEC.load(SPEC.params(**{"n": 200, **params}), split, resources)


@settings(deadline=None, max_examples=25)
@given(shape=SHAPE, seed=st.integers(0, 2**32))
def test_matched_filters_read_the_features_back(shape, seed) -> None:
    features, size = shape
    data = load(n=20, features=features, size=size, seed=seed, present=0.2)
    x = data.images(range(20)).transpose(0, 3, 1, 2).reshape(20, -1).astype(float)
    found = (x - BACKGROUND) / 255 @ filters(features, size).T
    # half a level a pixel, weighted as the filter weights it
    error = 0.5 / 255 * np.abs(filters(features, size)).sum(axis=1)
    assert (np.abs(found - data.values) <= error + 1e-9).all()
    assert (found[data.values == 0] == 0).all()


@settings(deadline=None, max_examples=25)
@given(shape=SHAPE)
def test_glyphs_do_not_overlap_and_none_is_empty(shape) -> None:
    drawn = np.abs(glyphs(*shape)).sum(axis=3) > 0
    assert drawn.sum(axis=0).max() == 1
    assert drawn.any(axis=(1, 2)).all()


def test_an_image_is_the_sum_of_its_features_pixel_by_pixel() -> None:
    features, size = 5, 19
    levels = np.array([[255, 0, 0, 128, 1], [0, 3, 77, 0, 200]], np.uint8)
    shapes = glyphs(features, size)
    for row, image in zip(levels, render(levels, size), strict=True):
        for y, x, c in itertools.product(range(size), range(size), range(3)):
            added = sum(int(f) * int(shapes[i, y, x, c]) for i, f in enumerate(row)) / 255
            assert image[y, x, c] == pytest.approx(BACKGROUND + added, abs=0.5)


def test_class_names_say_what_the_glyphs_look_like() -> None:
    features, size = 64, 64
    names = load(features=features, size=size).class_names
    assert len(set(names)) == features
    full = render(np.diag(np.full(features, 255, np.uint8)), size)
    masks: dict[str, set[bytes]] = {}
    for i, name in enumerate(names):
        number, words = name.split(": ")
        *dark, hue, shape = words.split()
        assert int(number) == i
        drawn = (full[i] != BACKGROUND).any(axis=2)
        (colour,) = np.unique(full[i][drawn], axis=0)
        angle, _, value = colorsys.rgb_to_hsv(*(colour / 255))
        # the nearest of twelve; dark colours are rounded
        off = abs(angle * 12 - HUES.index(hue)) % 12
        assert min(off, 12 - off) < 0.55
        assert (value < 0.6) == (dark == ["dark"])
        row, column = divmod(i, 8)
        assert drawn.sum() == drawn[8 * row : 8 * row + 8, 8 * column : 8 * column + 8].sum()
        masks.setdefault(shape, set()).add(
            drawn[8 * row : 8 * row + 8, 8 * column : 8 * column + 8].tobytes()
        )
    # a shape is one picture, and another one than each other shape
    assert set(masks) == set(SHAPES)
    assert all(len(pictures) == 1 for pictures in masks.values())
    assert len(set.union(*masks.values())) == len(SHAPES)


@pytest.mark.parametrize("size", [6, 7, 8, 9, 12, 16])
def test_the_shapes_differ_in_every_cell(size) -> None:
    cells = 64
    drawn = np.abs(glyphs(cells, 8 * size)).sum(axis=3) > 0
    first = [drawn[i, :size, size * i : size * (i + 1)].tobytes() for i in range(8)]
    assert len(set(first)) == len(SHAPES)


def test_strengths_are_distributed_as_the_definition_says() -> None:
    data = load(n=20_000, features=30, present=0.1)
    there = data.values > 0
    assert there.any(axis=1).all()
    # given that one is there at all
    assert there.mean() == pytest.approx(0.1 / (1 - 0.9**30), rel=0.01)
    strengths = data.values[there]
    assert strengths.mean() == pytest.approx((1 / 255 + 1) / 2, abs=0.01)
    assert np.quantile(strengths, [0.25, 0.75]) == pytest.approx([0.25, 0.75], abs=0.01)
    assert (strengths.min(), strengths.max()) == (1 / 255, 1)
    together = np.corrcoef(there.T) - np.eye(30)
    assert abs(together).max() < 0.04


def test_labels_are_the_strongest_features_the_first_of_equals() -> None:
    data = planted.PlantedImages(np.array([[0, 9, 200], [7, 7, 0], [0, 1, 0]], np.uint8), 12)
    assert data.labels.tolist() == [2, 0, 1]
    assert data.labels.dtype == np.int64


def test_the_same_parameters_give_the_same_images_and_others_do_not() -> None:
    one, two = load(), load()
    assert one.fingerprint == two.fingerprint
    np.testing.assert_array_equal(one.images(range(200)), two.images(range(200)))
    changes = [
        {"split": "evaluate"},
        *({"n": 201}, {"seed": 1}, {"present": 0.04}, {"size": 65}, {"features": 63}),
    ]
    prints = [load(**change).fingerprint for change in changes]
    assert len({one.fingerprint, *prints}) == len(changes) + 1


def test_the_fingerprint_is_the_same_everywhere() -> None:
    """Integer arithmetic and numpy's stable generator: results of one machine are those of another."""
    assert load().fingerprint == FINGERPRINT


def test_the_splits_have_hardly_an_image_in_common() -> None:
    rows = [load(split, n=2000).levels for split in SPEC.splits]
    common = {row.tobytes() for row in rows[0]} & {row.tobytes() for row in rows[1]}
    # an image of one feature alone is one of 64 x 255
    assert len(common) < 0.05 * 2000
    assert not (rows[0] == rows[1]).all(axis=1).any()


def test_images_come_in_the_order_asked_for() -> None:
    data = load()
    order = [7, 0, 7, 199]
    everything = data.images(range(200))
    np.testing.assert_array_equal(data.images(order), everything[order])
    assert everything.dtype == np.uint8
    assert everything.shape == (200, 64, 64, 3)
    assert data.image_size == (64, 64)


def test_glyphs_too_small_to_tell_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="size = 47 for 64 features; expected at least 48 pixels"):
        SPEC.params(size=47)
    assert SPEC.params(size=48).size == 48
