"""The dataset image_folder: layouts, halves, decoding of all kinds of files, and what is refused."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from iibench.assets.local import LocalResources
from iibench.contract.errors import UsageError
from iibench.contract.specs import DatasetSpec
from iibench_plugins.datasets import image_folder
from iibench_plugins.datasets._images.decode import DecodeError, displayed_size, rgb
from tests.conftest import run_json

SPEC: DatasetSpec = next(iter(image_folder.iibench_register_datasets()))


@pytest.fixture
def resources(tmp_path: Path) -> LocalResources:
    return LocalResources(tmp_path / "data", tmp_path / "cache", base_dir=tmp_path, offline=True)


def pixels(seed: int, height: int = 6, width: int = 8) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray[Any, Any], kind: str = "png", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


FILES = {
    f"{name}/{i}.png": encoded(pixels(10 * c + i)) for c, name in enumerate("ab") for i in range(5)
}


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def load(resources: LocalResources, split: str = "all", **params: Any) -> Any:
    return SPEC.load(SPEC.params(**{"path": "images", **params}), split, resources)


# ------------------------------------------------------------------------------------ layout


def test_class_folders(resources: LocalResources, tmp_path: Path) -> None:
    write(tmp_path / "images", {**FILES, "notes.txt": b"x", ".hidden/1.png": b"", "a/.2.png": b""})
    dataset = load(resources)
    assert len(dataset) == 10
    assert dataset.class_names == ("a", "b")
    assert dataset.labels.tolist() == [0] * 5 + [1] * 5
    assert dataset.image_size == (6, 8)
    found = dataset.images([7, 0])
    np.testing.assert_array_equal(found, [pixels(12), pixels(0)])
    assert found.dtype == np.uint8


def test_a_flat_folder_has_no_labels(resources: LocalResources, tmp_path: Path) -> None:
    write(tmp_path / "images", {f"{i}.PNG": encoded(pixels(i)) for i in range(3)})
    dataset = load(resources)
    assert dataset.labels is None
    assert dataset.class_names == ()
    np.testing.assert_array_equal(dataset.images(np.array([2])), [pixels(2)])


@pytest.mark.parametrize("prefix", ["", "wrapped/"])
def test_a_zip_is_the_folder_it_was_made_of(
    resources: LocalResources, tmp_path: Path, prefix: str
) -> None:
    write(tmp_path / "images", FILES)
    members = {prefix + name: data for name, data in FILES.items()}
    write_zip(tmp_path / "images.zip", {**members, f"__MACOSX/{prefix}a/._0.png": b""})
    folder, zipped = load(resources), load(resources, path="images.zip")
    assert zipped.class_names == folder.class_names
    np.testing.assert_array_equal(zipped.labels, folder.labels)
    np.testing.assert_array_equal(zipped.images(range(10)), folder.images(range(10)))
    assert (zipped.fingerprint == folder.fingerprint) is (prefix == "")


def test_extensions_choose_files(resources: LocalResources, tmp_path: Path) -> None:
    write(tmp_path / "images", {"1.png": encoded(pixels(1)), "2.bmp": encoded(pixels(2), "bmp")})
    assert len(load(resources)) == 2
    assert len(load(resources, extensions=(".bmp",))) == 1
    with pytest.raises(UsageError, match=r"no image.*\.webp"):
        load(resources, extensions=(".webp",))


IMAGES = [encoded(pixels(100 + i)) for i in range(6)]
#: Layouts, and the class of each image that is read.
LAYOUTS = [
    # subfolders of classes, as data sets of video and of patients have them
    (["n01/images/0.png", "n01/images/1.png", "n02/images/2.png"], ["n01", "n01", "n02"]),
    (["x/0.png", "y/1.png", "y/cam/mon/raw/deeper/2.png", "y/cam/3.png"], ["x", "y", "y", "y"]),
    (["x/a/b/c/d/e/f/0.png", "y/1.png"], ["x", "y"]),
    # a stray image beside the classes
    (["cover.png", "x/1.png", "y/2.png"], [None, "x", "y"]),
    (["cover.png", "set/x/1.png", "set/y/z/2.png"], [None, "x", "y"]),
    # folders around the classes
    (["set/train/x/images/0.png", "set/train/y/images/1.png"], ["x", "y"]),
    (["set/only/0.png", "set/only/1.png"], ["only", "only"]),
    # one class, whose images lie on two levels
    (["x/0.png", "x/sub/1.png"], ["x", "x"]),
]


@pytest.mark.parametrize(("names", "classes"), LAYOUTS)
def test_any_depth_is_read_in_folders_and_archives(
    resources: LocalResources, tmp_path: Path, names: list[str], classes: list[str | None]
) -> None:
    files = dict(zip(names, IMAGES, strict=False))
    write(tmp_path / "images", files)
    write_zip(tmp_path / "images.zip", files)
    write_zip(tmp_path / "windows.zip", {n.replace("/", "\\"): d for n, d in files.items()})
    used = [(name, c) for name, c in zip(names, classes, strict=True) if c]
    for path in ("images", "images.zip", "windows.zip"):
        found = load(resources, path=path)
        assert [found.class_names[label] for label in found.labels] == [c for _, c in sorted(used)]
        assert list(found.names) == sorted(name for name, _ in used)
        left = len(names) - len(used)
        says = (f"left out: {left} x image at the top, beside the class folders",) if left else ()
        assert found.notes == says
    assert len({load(resources, path=p).fingerprint for p in ("images", "images.zip")}) == 1


def test_what_torchvision_reads_is_read(resources: LocalResources, tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    names = ["b/2.png", "b/s/t/u/0.png", "a/1.JPG", "a/x.y/3.ppm", "c/d/4.pgm", "top.png"]
    kinds = {".png": "png", ".JPG": "jpeg", ".ppm": "ppm", ".pgm": "ppm"}
    files = {
        name: encoded(pixels(i), kinds[Path(name).suffix], quality=90)
        for i, name in enumerate(names)
    }
    root = write(tmp_path / "images", files | {"a/notes.txt": b"x"})
    peer = ImageFolder(str(root))
    ours = load(resources)
    assert {(n, int(k)) for n, k in zip(ours.names, ours.labels, strict=True)} == {
        (Path(path).relative_to(root).as_posix(), label) for path, label in peer.samples
    }
    assert list(ours.class_names) == peer.classes


def test_what_is_left_out_is_counted_by_kind(resources: LocalResources, tmp_path: Path) -> None:
    more = {
        "notes.txt": b"",
        "a/Thumbs.db": b"",
        "b/more.TXT": b"",
        "a/README": b"",
        "a/._0.png": b"",
        "a/.git/x/y.png": b"",
        "a/.git/x/z.png": b"",
        "b/@eaDir/0.png": b"",
    }
    root = write(tmp_path / "images", FILES | more)
    write_zip(tmp_path / "images.zip", FILES | more)
    for path in ("images", "images.zip"):
        (note,) = load(resources, path=path).notes
        assert note == (
            "left out: 1 x .db file, 2 x .txt file, 1 x file without an ending, "
            "3 x hidden file or folder"
        )
    (root / "a/gone.png").symlink_to(root / "a/nowhere.png")
    (root / "a/up").symlink_to(root)
    (note,) = load(resources).notes
    assert "1 x link to a folder around it, 1 x link to nothing" in note
    for name in FILES:
        (root / name).unlink()
    with pytest.raises(UsageError, match="holds no image: .*; found 1 x .db file, 2 x .txt file"):
        load(resources)


def test_splits_that_are_read_as_classes_are_told(
    resources: LocalResources, tmp_path: Path
) -> None:
    write(
        tmp_path / "images", {f"{s}/x/{i}.png": IMAGES[i] for i, s in enumerate(("train", "val"))}
    )
    dataset = load(resources)
    assert dataset.class_names == ("train", "val")
    assert "where these are splits" in dataset.notes[0]


def test_the_run_says_what_is_left_out(iibench, suite, tmp_path: Path) -> None:
    root = write(tmp_path / "photos", {})
    for label in ("cat", "dog"):
        for i in range(20):
            write(root, {f"{label}/deep/er/still/{i}.png": encoded(pixels(i, 8, 8))})
    write(root, {"cover.png": IMAGES[0], "cat/notes.txt": b""})
    path = suite(("dataset: {name: toy}", "dataset: {name: image_folder, path: photos}"))
    for more in ([], ["--limit", "15"]):
        done = iibench("run", path, "-o", "out", "-k", "neurons and ii and toybright", *more)
        assert done.code == 0, done.out + done.err
        assert "left out: 1 x .txt file, 1 x image at the top, beside the class folders" in done.out
        (record,) = run_json(tmp_path / "out")["datasets"].values()
        assert record["splits"]["evaluate"]["notes"][0].startswith("left out: 1 x .txt file")
        assert record["n"] == (15 if more else 20)


def test_a_missing_path_is_named_with_its_neighbours(
    resources: LocalResources, tmp_path: Path
) -> None:
    (tmp_path / "imagse").mkdir()
    with pytest.raises(UsageError, match=r"there is no .*images; nearest .*imagse"):
        load(resources)
    (tmp_path / "images").write_bytes(b"no zip")
    with pytest.raises(UsageError, match="neither a folder nor a zip"):
        load(resources)


# ------------------------------------------------------------------------------------ halves


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=30), st.integers(0, 5))
def test_halves_are_disjoint_complete_and_balanced(labels: list[int], seed: int) -> None:
    first = image_folder.split_indices(labels, "first_half", seed)
    second = image_folder.split_indices(labels, "second_half", seed)
    assert sorted(first + second) == list(range(len(labels)))
    assert first == sorted(first)
    assert abs(len(first) - len(second)) <= 1
    for label in set(labels):
        counts = [sum(labels[i] == label for i in half) for half in (first, second)]
        assert abs(counts[0] - counts[1]) <= 1


def test_halves_depend_on_the_seed_and_have_their_own_fingerprints(
    resources: LocalResources, tmp_path: Path
) -> None:
    write(tmp_path / "images", FILES)
    first, second = load(resources, "first_half"), load(resources, "second_half")
    assert (len(first), len(second)) == (5, 5)
    fingerprints = {
        dataset.fingerprint
        for dataset in (first, second, load(resources), load(resources, "first_half", seed=3))
    }
    assert len(fingerprints) == 4
    assert load(resources, "first_half").fingerprint == first.fingerprint
    shown = {image.tobytes() for image in first.images(range(5))}
    assert not shown & {image.tobytes() for image in second.images(range(5))}


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a/0.png").write_bytes(encoded(pixels(99))),
        lambda root: (root / "a/0.png").rename(root / "a/00.png"),
        lambda root: (root / "a").rename(root / "c"),
        lambda root: (root / "b/4.png").unlink(),
    ],
)
def test_the_fingerprint_follows_every_change(
    resources: LocalResources, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    root = write(tmp_path / "images", FILES)
    before = load(resources).fingerprint
    assert load(resources, size=4).fingerprint != before
    change(root)
    assert load(resources).fingerprint != before


# -------------------------------------------------------------------------------------- size


def test_without_size_all_images_must_be_alike(resources: LocalResources, tmp_path: Path) -> None:
    write(tmp_path / "images", {**FILES, "b/9.png": encoded(pixels(0, 5, 9))})
    with pytest.raises(UsageError, match=r"b/9\.png .* 9 x 5 pixels, but a/0\.png 8 x 6.*size: 5"):
        load(resources)
    dataset = load(resources, size=4)
    assert dataset.image_size == (4, 4)
    assert dataset.images(range(len(dataset))).shape == (11, 4, 4, 3)


def test_size_resizes_the_shorter_side_and_cuts_out_the_centre() -> None:
    ramp = np.tile(np.arange(200, dtype=np.uint8)[None, :, None], (100, 1, 3))
    found = rgb(encoded(ramp), size=50)
    assert found.shape == (50, 50, 3)
    # Columns 50 to 149 of 200 remain, two of them averaged into one.
    np.testing.assert_allclose(found[25, :, 0], np.arange(50.5, 150, 2), atol=1.01)
    checked = np.zeros((64, 64, 3), np.uint8)
    checked[::2, ::2] = checked[1::2, 1::2] = 255
    assert np.ptp(rgb(encoded(checked), size=8).astype(int)) <= 40, "not antialiased"
    assert rgb(encoded(ramp[:20, :10]), size=16).shape == (16, 16, 3)


# ---------------------------------------------------------------------------------- decoding


def test_grey_palette_and_black_and_white() -> None:
    grey = pixels(3)[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(rgb(encoded(grey)), expected)
    palette = Image.fromarray(pixels(4)).quantize(16)
    np.testing.assert_array_equal(rgb(encoded(palette, "gif")), np.asarray(palette.convert("RGB")))
    bits = Image.fromarray((grey > 127).astype(np.uint8) * 255).convert("1")
    assert set(np.unique(rgb(encoded(bits)))) == {0, 255}


def test_sixteen_bit_grey_is_scaled() -> None:
    levels = np.array([[0, 257, 32768, 65535]], np.uint16)
    np.testing.assert_array_equal(rgb(encoded(levels))[0, :, 0], [0, 1, 128, 255])
    np.testing.assert_array_equal(rgb(encoded(levels, "tiff"))[0, :, 2], [0, 1, 128, 255])


def test_a_tiff_of_32_bit_integers_is_refused() -> None:
    """Its white may be 255, 65535 or anything."""
    for white in (200, 60_000, 100_000):
        with pytest.raises(DecodeError, match="32 bits, of which white is not known"):
            rgb(encoded(np.full((2, 2), white, np.int32), "tiff"))
    assert rgb(encoded(np.full((2, 2), 65535, np.uint16), "tiff")).min() == 255


def test_floating_point_images_are_refused() -> None:
    with pytest.raises(DecodeError, match="floating-point"):
        rgb(encoded(np.ones((2, 2), np.float32), "tiff"))


def test_cmyk() -> None:
    cmyk = Image.new("CMYK", (4, 4), (0, 255, 255, 0))
    found = rgb(encoded(cmyk, "jpeg", quality=100))
    assert found.shape == (4, 4, 3)
    np.testing.assert_allclose(found[0, 0], [255, 0, 0], atol=6)


def test_what_is_transparent_is_laid_over_white() -> None:
    layers = np.zeros((1, 3, 4), np.uint8)
    layers[0, :, 0], layers[0, :, 3] = 200, [0, 128, 255]
    np.testing.assert_allclose(
        rgb(encoded(layers))[0], [[255, 255, 255], [227, 127, 127], [200, 0, 0]], atol=1
    )
    named = Image.new("P", (2, 1))
    named.putpalette([10, 20, 30, 40, 50, 60])
    named.putpixel((1, 0), 1)
    found = rgb(encoded(named, transparency=0))
    np.testing.assert_array_equal(found[0], [[255, 255, 255], [40, 50, 60]])


def test_the_orientation_of_a_camera_is_followed(resources: LocalResources, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    data = encoded(pixels(5, 6, 8), "png", exif=exif)
    assert displayed_size(data) == (8, 6)
    np.testing.assert_array_equal(rgb(data), np.rot90(pixels(5, 6, 8), -1))
    photo = encoded(pixels(5, 6, 8), "jpeg", exif=exif)
    write(tmp_path / "images", {"1.png": data, "2.jpg": photo})
    assert load(resources).images([0]).shape == (1, 8, 6, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_as_it_says(
    resources: LocalResources, tmp_path: Path, orientation: int
) -> None:
    turned = encoded(pixels(5, 6, 8), "tiff", tiffinfo={0x0112: orientation})
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(rgb(turned), rgb(encoded(pixels(5, 6, 8), "png", exif=exif)))
    assert displayed_size(turned) == rgb(turned).shape[:2]
    write(tmp_path / "images", {"1.tif": turned, "2.tif": turned})
    np.testing.assert_array_equal(load(resources).images([1])[0], rgb(turned))


def test_an_orientation_behind_the_pixels_is_followed() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    data = encoded(pixels(5, 6, 8), "png", exif=exif)
    at = data.index(b"eXIf") - 4
    length = int.from_bytes(data[at : at + 4], "big") + 12
    chunk, end = data[at : at + length], data.index(b"IEND") - 4
    late = data[:at] + data[at + length : end] + chunk + data[end:]
    assert late.index(b"IDAT") < late.index(b"eXIf")
    signed: Any = memoryview(late).cast("b")  # as what lies in a table of images
    assert displayed_size(late) == displayed_size(signed) == (8, 6)
    np.testing.assert_array_equal(rgb(late), np.rot90(pixels(5, 6, 8), 1))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 400), st.integers(1, 255), st.sampled_from(["png", "jpeg", "gif", "bmp", "tiff"])
)
def test_damaged_bytes_are_an_image_or_a_decode_error(at: int, change: int, kind: str) -> None:
    data = bytearray(encoded(pixels(6, 12, 12), kind))
    data[at % len(data)] ^= change
    try:
        assert rgb(bytes(data)).shape[2] == 3
    except DecodeError as error:
        assert str(error)
        assert "\n" not in str(error)


# --------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("zipped", [False, True])
def test_a_corrupt_file_is_named(resources: LocalResources, tmp_path: Path, zipped: bool) -> None:
    bad = encoded(pixels(1, 60, 60))
    write(tmp_path / "images", {"a/1.png": b"no image"})
    files = {"a/1.png": encoded(pixels(0, 60, 60)), "a/2.png": bad[: len(bad) // 2]}
    if zipped:
        write_zip(tmp_path / "images.zip", {"a/1.png": b"no image"})
        write_zip(tmp_path / "cut.zip", files)
    write(tmp_path / "cut", files)
    ending = ".zip" if zipped else ""
    with pytest.raises(UsageError, match=r"a/1\.png in .*images.* no image of a known format"):
        load(resources, path=f"images{ending}")
    dataset = load(resources, path=f"cut{ending}")
    assert dataset.images([0]).shape == (1, 60, 60, 3)
    with pytest.raises(UsageError, match=r"a/2\.png in .*cut.* cannot be decoded"):
        dataset.images([0, 1])


@pytest.mark.parametrize(
    "name", ["../1.png", "a/../../1.png", "/etc/1.png", "C:/1.png", "..\\1.png", "\\\\host\\1.png"]
)
def test_zip_members_that_lead_out_are_refused(
    resources: LocalResources, tmp_path: Path, name: str
) -> None:
    write_zip(tmp_path / "images.zip", {**FILES, name: encoded(pixels(0))})
    with pytest.raises(UsageError, match="leads out of it"):
        load(resources, path="images.zip")


def test_zips_with_links_and_doubles_are_refused(resources: LocalResources, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "links.zip", "w") as archive:
        link = zipfile.ZipInfo("a/1.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/hostname")
    with pytest.raises(UsageError, match="is a link: 'a/1.png'"):
        load(resources, path="links.zip")
    with zipfile.ZipFile(tmp_path / "doubles.zip", "w") as archive:
        archive.writestr("a/1.png", encoded(pixels(0)))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a/1.png", encoded(pixels(1)))
    with pytest.raises(UsageError, match="two members called 'a/1.png'"):
        load(resources, path="doubles.zip")


@pytest.mark.parametrize("target", ["file", "folder"])
def test_links_that_lead_out_are_refused(
    resources: LocalResources, tmp_path: Path, target: str
) -> None:
    outside = write(tmp_path / "outside", {"secret.png": encoded(pixels(0))})
    root = write(tmp_path / "images", FILES)
    (root / "c").mkdir()
    if target == "file":
        (root / "c/1.png").symlink_to(outside / "secret.png")
    else:
        (root / "d").symlink_to(outside)
    with pytest.raises(UsageError, match="link that leads out .*follow_links: true"):
        load(resources)
    followed = load(resources, follow_links=True)
    assert len(followed) == 11
    assert followed.class_names == (*"ab", "c" if target == "file" else "d")


def test_links_inside_and_a_linked_root_are_followed(
    resources: LocalResources, tmp_path: Path
) -> None:
    root = write(tmp_path / "images", FILES)
    (root / "a/9.png").symlink_to(root / "b/0.png")
    (tmp_path / "linked").symlink_to(root)
    assert len(load(resources, path="linked")) == 11
    (root / "c").symlink_to(root / "b")
    assert load(resources, path="linked").labels.tolist() == [0] * 6 + [1] * 5 + [2] * 5


def test_a_relative_path_starts_at_the_suite(resources: LocalResources, tmp_path: Path) -> None:
    write(tmp_path / "deep/images", FILES)
    assert len(load(replace(resources, base_dir=tmp_path / "deep"))) == 10
    assert len(load(resources, path=str(tmp_path / "deep/images"))) == 10
    with pytest.raises(UsageError):
        load(resources)
