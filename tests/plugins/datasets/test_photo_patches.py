"""The dataset photo_patches: what its patches are, where they lie, and what decides them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iibench.assets.local import LocalResources, packaged_path
from iibench.contract.errors import AssetError, UsageError
from iibench.contract.specs import DatasetSpec
from iibench_plugins.datasets import photo_patches
from iibench_plugins.datasets.photo_patches import LEAST_CONTRAST, PHOTOS, blocks

SPEC: DatasetSpec = next(iter(photo_patches.iibench_register_datasets()))
N = 420


@pytest.fixture
def resources(tmp_path: Path) -> LocalResources:
    return LocalResources(tmp_path / "data", tmp_path / "cache", offline=True)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    cache = tmp_path_factory.mktemp("cache")
    resources = LocalResources(cache / "data", cache, offline=True)
    return {split: SPEC.load(SPEC.params(n=N), split, resources) for split in SPEC.splits}


def test_there_are_enough_photographs_and_patches() -> None:
    assert len({photo.name for photo in PHOTOS}) == len(PHOTOS) >= 10
    assert all(packaged_path(photo.where) for photo in PHOTOS)
    assert len(SPEC.splits) * SPEC.params().n >= 10_000


def test_patches_are_even_over_photographs(splits: dict[str, Any]) -> None:
    for dataset in splits.values():
        images = dataset.images(range(N))
        assert images.shape == (N, 32, 32, 3)
        assert images.dtype == np.uint8
        assert dataset.image_size == (32, 32)
        assert np.bincount(dataset.labels).tolist() == [N // len(PHOTOS)] * len(PHOTOS)
        assert dataset.class_names == tuple(photo.name for photo in PHOTOS)
        assert dataset.notes == ()


def test_no_patch_is_uniform_and_none_is_there_twice(splits: dict[str, Any]) -> None:
    both = np.concatenate([splits[split].images(range(N)) for split in ("fit", "evaluate")])
    spread = both.reshape(2 * N, -1, 3).astype(np.float64).std(axis=1)
    assert np.sqrt((spread**2).mean(axis=1)).min() >= LEAST_CONTRAST
    assert len(np.unique(both.reshape(2 * N, -1), axis=0)) == 2 * N


@pytest.mark.parametrize(("width", "height"), [(451, 300), (640, 427), (64, 65)])
def test_the_splits_share_no_pixel_and_leave_none_out(width: int, height: int) -> None:
    covered = np.zeros((height, width), int)
    for split in ("fit", "evaluate"):
        for left, top, right, bottom in blocks(width, height, split):
            covered[top:bottom, left:right] += 1
    assert (covered == 1).all()


def test_patches_lie_in_the_blocks_of_their_split(
    resources: LocalResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_patches, "LARGEST", 32)  # cut, not resized: they can be found again
    for split, other in (("fit", "evaluate"), ("evaluate", "fit")):
        dataset = SPEC.load(SPEC.params(n=8 * len(PHOTOS)), split, resources)
        for label in (1, 10):
            picture = decoded(label)
            for patch in dataset.images(np.flatnonzero(dataset.labels == label)):
                assert occurs(patch, picture, split)
                assert not occurs(patch, picture, other)


def decoded(label: int) -> np.ndarray[Any, Any]:
    from PIL import Image

    path = packaged_path(PHOTOS[label].where)
    assert path is not None
    with Image.open(path) as file:
        return np.asarray(file.convert("RGB"))


def occurs(patch: np.ndarray[Any, Any], picture: np.ndarray[Any, Any], split: str) -> bool:
    """Whether the patch is somewhere in the split's blocks of the picture, pixel by pixel."""
    height, width = picture.shape[:2]
    for left, top, right, bottom in blocks(width, height, split):
        block = picture[top:bottom, left:right]
        for y, x in np.argwhere((block[:-31, :-31] == patch[0, 0]).all(axis=2)):
            if (block[y : y + 32, x : x + 32] == patch).all():
                return True
    return False


def test_the_same_parameters_give_the_same_patches(splits: dict[str, Any], tmp_path: Path) -> None:
    other = LocalResources(tmp_path / "data", tmp_path / "cache", offline=True)
    again = SPEC.load(SPEC.params(n=N), "fit", other)
    assert again.fingerprint == splits["fit"].fingerprint
    np.testing.assert_array_equal(again.images(range(N)), splits["fit"].images(range(N)))
    order = np.random.default_rng(0).permutation(N)[:50]
    np.testing.assert_array_equal(again.images(order), again.images(range(N))[order])


def test_split_seed_and_n_decide_the_fingerprint(resources: LocalResources) -> None:
    made = [
        SPEC.load(SPEC.params(n=n, seed=seed), split, resources)
        for n, seed, split in ((20, 0, "fit"), (20, 1, "fit"), (20, 0, "evaluate"), (21, 0, "fit"))
    ]
    assert len({dataset.fingerprint for dataset in made}) == 4
    assert len({dataset.images([0]).tobytes() for dataset in made[:3]}) == 3
    assert not np.array_equal(made[0].images(range(20)), made[1].images(range(20)))


def test_loading_cuts_nothing(resources: LocalResources) -> None:
    dataset = SPEC.load(SPEC.params(), "fit", resources)
    assert len(dataset) == 10_000
    assert len(dataset.labels) == 10_000
    assert not resources.cache_dir.exists()


def test_another_picture_is_left_out_with_a_note(
    resources: LocalResources, monkeypatch: pytest.MonkeyPatch, splits: dict[str, Any]
) -> None:
    changed = (
        *PHOTOS[:-2],
        replace(PHOTOS[-2], where="sklearn:gone.jpg"),
        replace(PHOTOS[-1], sha256="0" * 64),
    )
    monkeypatch.setattr(photo_patches, "PHOTOS", changed)
    dataset = SPEC.load(SPEC.params(n=24), "fit", resources)
    assert len(dataset.class_names) == len(PHOTOS) - 2
    assert len(dataset.notes) == 2
    assert "sklearn:gone.jpg is not installed" in dataset.notes[0]
    assert "flower.jpg is another picture" in dataset.notes[1]
    assert dataset.fingerprint != splits["fit"].fingerprint
    few = tuple(replace(photo, sha256="0" * 64) for photo in PHOTOS[:5]) + PHOTOS[5:]
    monkeypatch.setattr(photo_patches, "PHOTOS", few)
    with pytest.raises(AssetError, match="needs 10 of its 14 photographs.* found 9"):
        SPEC.load(SPEC.params(n=24), "fit", resources)


def test_more_patches_than_a_photograph_has(
    resources: LocalResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_patches, "DRAWS", 0)
    with pytest.raises(UsageError, match="n is too large, astronaut"):
        SPEC.load(SPEC.params(n=14), "fit", resources).images([0])


@pytest.mark.slow
def test_the_whole_dataset(tmp_path: Path) -> None:
    resources = LocalResources(tmp_path / "data", tmp_path / "cache", offline=True)
    both = []
    for split in SPEC.splits:
        dataset = SPEC.load(SPEC.params(), split, resources)
        both.append(dataset.images(range(len(dataset))))
    images = np.concatenate(both)
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == 20_000
    assert images.reshape(len(images), -1).std(axis=1).min() >= LEAST_CONTRAST
