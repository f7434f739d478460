"""The dataset cifar10: batches in a folder and in an archive, JPEG zips, and the absence of both."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iibench.assets.local import LocalResources
from iibench.contract.errors import AssetError, UsageError
from iibench.contract.specs import DatasetSpec
from iibench_plugins.datasets import cifar10
from tests.conftest import SHARED

SPEC: DatasetSpec = next(iter(cifar10.iibench_register_datasets()))
PER_BATCH = 4


@pytest.fixture
def resources(tmp_path: Path) -> LocalResources:
    (tmp_path / "data").mkdir()
    return LocalResources(tmp_path / "data", tmp_path / "cache", offline=True)


def batches() -> dict[str, bytes]:
    """Six batches of random pixels, named and pickled as CIFAR-10's."""
    rng = np.random.default_rng(0)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    return {
        name: pickle.dumps(
            {
                b"data": rng.integers(0, 256, (PER_BATCH, 3072)).astype(np.uint8),
                b"labels": rng.integers(0, 10, PER_BATCH).tolist(),
            },
            protocol=2,
        )
        for name in names
    }


@pytest.fixture
def content(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The batches, with their own MD5s put in place of CIFAR-10's."""
    made = batches()
    sums = {name: hashlib.md5(data).hexdigest() for name, data in made.items()}
    table = {
        split: {name: sums[name] for name in names} for split, names in cifar10.BATCHES.items()
    }
    monkeypatch.setattr(cifar10, "BATCHES", table)
    return made


def write_folder(root: Path, content: dict[str, bytes]) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return folder


def write_archive(path: Path, content: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in content.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def write_zip(path: Path, classes: tuple[str, ...] = cifar10.CLASSES, side: int = 32) -> None:
    rng = np.random.default_rng(1)
    with zipfile.ZipFile(path, "w") as archive:
        for name in reversed(classes):
            for i in (1, 0):
                pixels = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
                buffer = io.BytesIO()
                Image.fromarray(pixels).save(buffer, "jpeg", quality=95)
                archive.writestr(f"{name}/{i:04}.jpg", buffer.getvalue())


def test_the_spec_says_what_it_needs() -> None:
    assert SPEC.splits == ("train", "test")
    assert "Krizhevsky" in SPEC.citation
    assert SPEC.assets[0].files[0].size == 170_498_071


def test_batches_of_a_folder(resources: LocalResources, content: dict[str, bytes]) -> None:
    write_folder(resources.data_dir, content)
    train = SPEC.load(SPEC.params(), "train", resources)
    test = SPEC.load(SPEC.params(), "test", resources)
    assert (len(train), len(test)) == (5 * PER_BATCH, PER_BATCH)
    assert train.fingerprint != test.fingerprint
    assert train.image_size == (32, 32)
    assert train.class_names[:2] == ("airplane", "automobile")
    second = pickle.loads(content["data_batch_2"])
    image = train.images([PER_BATCH + 1])[0]
    # A row holds all red pixels, row by row, then all green, then all blue ones.
    row = second[b"data"][1]
    assert image.dtype == np.uint8
    assert image[3, 5].tolist() == [row[3 * 32 + 5], row[1024 + 101], row[2048 + 101]]
    assert train.labels[PER_BATCH : 2 * PER_BATCH].tolist() == second[b"labels"]


def test_the_archive_gives_what_the_folder_gives(
    resources: LocalResources,
    content: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    folder = write_folder(resources.data_dir, content)
    expected = SPEC.load(SPEC.params(), "train", resources)
    pixels = expected.images(range(20))
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    path = resources.data_dir / "cifar-10-python.tar.gz"
    write_archive(path, content)
    data = path.read_bytes()
    file = replace(
        cifar10.ARCHIVE.files[0], sha256=hashlib.sha256(data).hexdigest(), size=len(data)
    )
    monkeypatch.setattr(cifar10, "ARCHIVE", replace(cifar10.ARCHIVE, files=(file,)))
    found = SPEC.load(SPEC.params(), "train", replace(resources, cache_dir=tmp_path / "other"))
    assert found.fingerprint == expected.fingerprint
    np.testing.assert_array_equal(found.images(range(20)), pixels)
    np.testing.assert_array_equal(found.labels, expected.labels)


def test_a_damaged_batch_is_named_and_not_used(
    resources: LocalResources, content: dict[str, bytes]
) -> None:
    folder = write_folder(resources.data_dir, content)
    (folder / "data_batch_3").write_bytes(b"damaged")
    with pytest.raises(AssetError) as caught:
        SPEC.load(SPEC.params(), "train", resources)
    found = hashlib.md5(b"damaged").hexdigest()
    assert f"{folder / 'data_batch_3'} has md5 {found}, expected" in str(caught.value)
    assert len(SPEC.load(SPEC.params(), "test", resources)) == PER_BATCH


def test_nothing_there_says_what_to_put_where(resources: LocalResources) -> None:
    with pytest.raises(AssetError) as caught:
        SPEC.load(SPEC.params(), "test", resources)
    for part in (
        str(resources.data_dir),
        "cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "cifar-10-batches-py",
        "cifar10-jpeg-test.zip",
    ):
        assert part in str(caught.value)
    with pytest.raises(AssetError, match=r"cifar10-jpeg-train\.zip"):
        SPEC.load(SPEC.params(source="zip"), "train", resources)


def test_zips_are_sorted_and_decoded_only_when_asked_for(
    resources: LocalResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = resources.data_dir / "cifar10-jpeg-test.zip"
    write_zip(path)
    opened: list[object] = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda *a, **k: (opened.append(a), real(*a, **k))[1])
    dataset = SPEC.load(SPEC.params(), "test", resources)
    assert len(dataset) == 20
    assert dataset.labels.tolist() == [label for label in range(10) for _ in range(2)]
    assert opened == []
    assert not (resources.cache_dir / "derived").exists()
    found = dataset.images([19, 0, 19])
    assert len(opened) == 20
    with zipfile.ZipFile(path) as archive:
        for row, name in enumerate(("truck/0001.jpg", "airplane/0000.jpg", "truck/0001.jpg")):
            with real(io.BytesIO(archive.read(name))) as image:
                np.testing.assert_array_equal(found[row], np.asarray(image.convert("RGB")))
    again = SPEC.load(SPEC.params(source="zip"), "test", resources)
    assert again.fingerprint == dataset.fingerprint
    np.testing.assert_array_equal(again.images([19, 0, 19]), found)
    assert len(opened) == 20


def test_source_decides_where_both_are_there(
    resources: LocalResources, content: dict[str, bytes]
) -> None:
    write_zip(resources.data_dir / "cifar10-jpeg-test.zip")
    from_zip = SPEC.load(SPEC.params(), "test", resources)
    with pytest.raises(AssetError):
        SPEC.load(SPEC.params(source="torchvision"), "test", resources)
    write_folder(resources.data_dir, content)
    assert len(SPEC.load(SPEC.params(), "test", resources)) == PER_BATCH
    assert len(SPEC.load(SPEC.params(source="zip"), "test", resources)) == 20
    other = SPEC.load(SPEC.params(source="torchvision"), "test", resources)
    assert other.fingerprint != from_zip.fingerprint


@pytest.mark.parametrize("array", ["images.npy", "labels.npy", "sha256.json"])
def test_a_damaged_cache_is_made_anew(resources: LocalResources, array: str) -> None:
    write_zip(resources.data_dir / "cifar10-jpeg-test.zip")
    dataset = SPEC.load(SPEC.params(), "test", resources)
    expected = dataset.images(range(20))
    stored = resources.cache_dir / "derived" / dataset.fingerprint / array
    good = stored.read_bytes()
    stored.write_bytes(good[:-9] + b"!" * 9)
    found = SPEC.load(SPEC.params(), "test", resources).images(range(20))
    np.testing.assert_array_equal(found, expected)
    assert stored.read_bytes() == good


def test_an_interrupted_decoding_leaves_nothing_that_is_taken_for_whole(
    resources: LocalResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_zip(resources.data_dir / "cifar10-jpeg-test.zip")
    dataset = SPEC.load(SPEC.params(), "test", resources)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(np, "save", _interrupted)
        dataset.images([0])
    assert not [p for p in (resources.cache_dir / "derived").iterdir() if p.is_dir()]
    assert dataset.images([0]).shape == (1, 32, 32, 3)


def _interrupted(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_a_zip_of_other_classes_or_sizes_is_refused(resources: LocalResources) -> None:
    path = resources.data_dir / "cifar10-jpeg-test.zip"
    write_zip(path, classes=(*cifar10.CLASSES[:9], "trucks"))
    with pytest.raises(AssetError, match=r"trucks; expected CIFAR-10's classes"):
        SPEC.load(SPEC.params(), "test", resources)
    write_zip(path, side=16)
    with pytest.raises(AssetError, match="16 x 16 pixels, expected 32 x 32"):
        SPEC.load(SPEC.params(), "test", resources).images([0])
    path.write_bytes(b"no zip")
    with pytest.raises(AssetError, match="cannot be read as a zip"):
        SPEC.load(SPEC.params(), "test", resources)


def test_a_cache_that_cannot_be_written_is_said(resources: LocalResources) -> None:
    write_zip(resources.data_dir / "cifar10-jpeg-test.zip")
    resources.cache_dir.write_text("a file where the folder should be")
    with pytest.raises(UsageError, match="IIBENCH_CACHE"):
        SPEC.load(SPEC.params(), "test", resources).images([0])


@pytest.mark.shared
@pytest.mark.slow
def test_the_real_zip(tmp_path: Path) -> None:
    data = SHARED / "data"
    if not (data / "cifar10-jpeg-test.zip").is_file():
        pytest.skip("no development data folder beside the checkout")
    resources = LocalResources(data, tmp_path, offline=True)
    dataset = SPEC.load(SPEC.params(), "test", resources)
    assert np.bincount(dataset.labels).tolist() == [1000] * 10
    pixels = dataset.images(range(len(dataset))) / 255
    # Channel means of CIFAR-10's test images, as published many times.
    np.testing.assert_allclose(pixels.mean(axis=(0, 1, 2)), [0.4942, 0.4851, 0.4504], atol=1e-3)
    train = SPEC.load(SPEC.params(), "train", resources)
    assert len(train) == 50_000
    assert np.bincount(train.labels).tolist() == [5000] * 10
