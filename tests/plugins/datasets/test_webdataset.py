"""The dataset webdataset: shards as the webdataset package writes them, read at any image."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from iibench.assets.local import LocalResources
from iibench.contract.errors import AssetError, FileError, UsageError
from iibench.contract.specs import DatasetSpec
from iibench.testing import check_dataset, toy_harness
from iibench_plugins.datasets import webdataset
from iibench_plugins.datasets._images.streamed import half
from iibench_plugins.datasets.webdataset import stored as _webdataset_stored
from iibench_plugins.datasets.webdataset.stored import shard_indexes

wds = pytest.importorskip("webdataset", reason="shards are written by the package webdataset")

SPEC: DatasetSpec = next(iter(webdataset.iibench_register_datasets()))
Sample = Mapping[str, Any]


def pixels(seed: int, height: int = 6, width: int = 8) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def encoded(image: np.ndarray[Any, Any], kind: str = "png", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def sample(i: int, **more: Any) -> dict[str, Any]:
    return {"__key__": f"{i:06d}", "png": encoded(pixels(i)), "cls": i % 3, **more}


def write(path: Path, samples: Iterable[Sample], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wds.TarWriter(str(path), **options) as writer:
        for one in samples:
            writer.write(dict(one))
    return path


def sequential(paths: Iterable[Path], kinds: str = "jpg;jpeg;png;webp") -> list[bytes]:
    """What the webdataset package reads from the shards, in its order."""
    pipe = wds.WebDataset([str(path) for path in paths], shardshuffle=False, empty_check=False)
    return [image for (image,) in pipe.to_tuple(kinds)]


def decoded(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.fixture
def resources(tmp_path: Path) -> LocalResources:
    return LocalResources(tmp_path / "data", tmp_path / "cache", base_dir=tmp_path, offline=True)


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Three shards of 7, 5 and 9 samples."""
    bounds = [(0, 7), (7, 12), (12, 21)]
    return [
        write(tmp_path / f"train-{i:06d}.tar", [sample(k) for k in range(*bound)])
        for i, bound in enumerate(bounds)
    ]


PATTERN = "train-{000000..000002}.tar"


def load(resources: LocalResources, split: str = "all", **params: Any) -> Any:
    return SPEC.load(SPEC.params(**{"shards": PATTERN, **params}), split, resources)


# ---------------------------------------------------------------------------- random access


def test_any_image_is_the_one_that_the_package_reads_there(
    resources: LocalResources, shards: list[Path]
) -> None:
    reference = np.stack([decoded(data) for data in sequential(shards)])
    dataset = load(resources)
    assert len(dataset) == 21
    assert dataset.image_size == (6, 8)
    assert dataset.labels.tolist() == [i % 3 for i in range(21)]
    assert dataset.class_names == ()
    order = np.random.default_rng(0).integers(0, 21, 60)
    np.testing.assert_array_equal(dataset.images(order), reference[order])
    np.testing.assert_array_equal(dataset.images(range(21)), reference)
    assert dataset.images([]).shape == (0, 6, 8, 3)


@pytest.mark.parametrize("format", ["USTAR_FORMAT", "GNU_FORMAT", "PAX_FORMAT"])
def test_tar_formats_and_long_names(resources: LocalResources, tmp_path: Path, format: str) -> None:
    long = "a" * 90 + "/" + "b" * 60 + "é"
    made = [{**sample(i), "__key__": f"{long}{i}"} for i in range(4)]
    path = write(tmp_path / "s.tar", made, format=format)
    dataset = load(resources, shards="s.tar")
    reference = [decoded(data) for data in sequential([path])]
    np.testing.assert_array_equal(
        dataset.images([2, 0, 3, 1]), [reference[i] for i in (2, 0, 3, 1)]
    )


MEMBERS = st.lists(
    st.tuples(
        st.sampled_from(["", "dir/", "d.ir/"]),
        st.lists(
            st.sampled_from(["png", "PNG", "jpg", "seg.png", "txt", "cls", "json"]),
            unique_by=str.lower,
        ),
    ),
    min_size=1,
    max_size=8,
)


@given(MEMBERS, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_samples_are_those_of_the_package(layout: list[Any], random: Any) -> None:
    """Members that the package groups into samples, of which every one with an image is the same."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        seed = 0
        with tarfile.open(root / "s.tar", "w") as tar:
            for i, (folder, kinds) in enumerate(layout):
                listed = (
                    [*kinds] if any(k.lower() in {"png", "jpg"} for k in kinds) else [*kinds, "png"]
                )
                random.shuffle(listed)
                for kind in listed:
                    seed += 1
                    data = encoded(pixels(seed), "jpeg" if kind == "jpg" else "png")
                    data = b"1" if kind in {"cls", "json", "txt"} else data
                    info = tarfile.TarInfo(f"{folder}{i}.{kind}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
                if i % 2:  # what belongs to no sample
                    for extra in ("__meta__", "README", "__index__/a.txt"):
                        tar.addfile(tarfile.TarInfo(f"{extra}"))
                    folder_of = tarfile.TarInfo("empty.png")
                    folder_of.type = tarfile.DIRTYPE
                    tar.addfile(folder_of)
        resources = LocalResources(root / "data", root / "cache", base_dir=root, offline=True)
        dataset = load(resources, shards="s.tar", label=None)
        reference = [decoded(data) for data in sequential([root / "s.tar"])]
        np.testing.assert_array_equal(dataset.images(range(len(dataset))), reference)
        assert dataset.labels is None


def test_threads_and_processes_get_the_same_images(
    resources: LocalResources, shards: list[Path]
) -> None:
    dataset = load(resources)
    whole = dataset.images(range(21))
    orders = [np.random.default_rng(i).permutation(21) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for order, found in zip(orders, pool.map(dataset.images, orders), strict=True):
            np.testing.assert_array_equal(found, whole[order])
    copy = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(copy.images([20, 3]), whole[[20, 3]])


def test_size_cuts_the_centre_and_no_size_needs_equal_ones(
    resources: LocalResources, tmp_path: Path
) -> None:
    odd = encoded(pixels(9, 10, 12))
    write(tmp_path / "s.tar", [sample(0), sample(1, png=odd)])
    dataset = load(resources, shards="s.tar", size=4)
    assert dataset.images([0, 1]).shape == (2, 4, 4, 3)
    small = Image.fromarray(pixels(0)).resize((5, 4), Image.Resampling.BICUBIC).crop((0, 0, 4, 4))
    np.testing.assert_array_equal(dataset.images([0])[0], np.asarray(small))
    unequal = load(resources, shards="s.tar")
    message = r"'000001\.png' in .*s\.tar has 12 x 10 pixels, but the first image 8 x 6; .* size: 6"
    with pytest.raises(UsageError, match=message):
        unequal.images([0, 1])


def test_images_are_turned_as_exif_says(resources: LocalResources, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(pixels(1), exif=exif)
    write(tmp_path / "s.tar", [sample(0, png=turned)])
    dataset = load(resources, shards="s.tar")
    assert dataset.image_size == (8, 6)
    np.testing.assert_array_equal(dataset.images([0])[0], np.rot90(pixels(1), -1))


# --------------------------------------------------------------------------------- patterns


@pytest.mark.parametrize(
    "pattern",
    [
        PATTERN,
        "train-*.tar",
        "train-0000{00,01,02}.tar",
        ("train-000000.tar", "train-00000[12].tar"),
        ("{FOLDER}/train-{000000..000001}.tar", "train-000002.tar"),
    ],
)
def test_patterns_of_shards(
    resources: LocalResources, shards: list[Path], tmp_path: Path, pattern: Any
) -> None:
    if isinstance(pattern, tuple):
        pattern = tuple(p.replace("{FOLDER}", str(tmp_path)) for p in pattern)
    found = load(resources, shards=pattern)
    assert found.fingerprint == load(resources).fingerprint
    np.testing.assert_array_equal(found.images([20, 0]), [pixels(20), pixels(0)])


@pytest.mark.parametrize(
    ("pattern", "error", "message"),
    [
        ("train-{000000..000003}.tar", FileError, r"no shard .*train-000003\.tar; nearest"),
        ("tain-*.tar", FileError, r"no shard matches .*tain-\*\.tar"),
        ("train-{000000..", UsageError, r"braces of 'train-\{000000\.\.' cannot be expanded"),
        ("https://host/{0..3}.tar", UsageError, r"found 'https:.*; expected files"),
        ("pipe:cat train-000000.tar", UsageError, r"found 'pipe:.*; expected files"),
        (("train-000000.tar", "train-*.tar"), UsageError, r"train-000000\.tar is named twice"),
        ((), UsageError, r"is empty"),
    ],
)
def test_patterns_that_are_refused(
    resources: LocalResources,
    shards: list[Path],
    pattern: Any,
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=f"shards: .*{message}" if pattern else message):
        load(resources, shards=pattern)


def test_braces_without_their_package(
    resources: LocalResources, shards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "braceexpand", None)
    with pytest.raises(AssetError, match=r"pip install 'iibench\[webdataset\]'"):
        load(resources)
    assert len(load(resources, shards="train-*.tar")) == 21


# ----------------------------------------------------------------------------------- labels


def test_labels_of_names_have_one_number_in_both_splits(
    resources: LocalResources, tmp_path: Path
) -> None:
    names = ["cat", "ant", "dog", "bee"]
    write(tmp_path / "a.tar", [sample(i, cls=name) for i, name in enumerate(names[:2])])
    write(tmp_path / "b.tar", [sample(i, cls=name) for i, name in enumerate(names[1:])])
    for split, expected in (("train", [2, 0]), ("test", [0, 3, 1]), ("all", [2, 0, 0, 3, 1])):
        dataset = load(resources, split, shards="a.tar", test_shards="b.tar")
        assert dataset.class_names == ("ant", "bee", "cat", "dog")
        assert dataset.labels.tolist() == expected
        assert dataset.labels.dtype == np.int64


@pytest.mark.parametrize(
    ("label", "values", "expected"),
    [
        ("json:label", [{"label": 4}, {"label": 0}], [4, 0]),
        ("json:label", [{"label": "b"}, {"label": "a"}], [1, 0]),
        ("json:label", [{"label": "07"}, {"label": "1"}], [0, 1]),
        ("label.txt", [b"12\n", b" 3"], [12, 3]),
        (None, [{}, {}], None),
    ],
)
def test_where_labels_stand(
    resources: LocalResources,
    tmp_path: Path,
    label: str | None,
    values: list[Any],
    expected: list[int] | None,
) -> None:
    kind = "json" if label is None else label.partition(":")[0]
    made = [
        sample(i, **{kind: v if isinstance(v, bytes) else json.dumps(v).encode()})
        for i, v in enumerate(values)
    ]
    write(tmp_path / "s.tar", made)
    found = load(resources, shards="s.tar", label=label).labels
    assert (None if found is None else found.tolist()) == expected


@pytest.mark.parametrize(
    ("label", "more", "message"),
    [
        (
            "cls",
            {"cls": -1},
            r"'000001\.cls' in .*s\.tar: the label is -1; expected a class number",
        ),
        ("cls", {"cls": b""}, r"'000001\.cls' .* the label is ''"),
        ("cls", {"cls": b"\xff"}, r"'000001\.cls' .* cannot be read as cls"),
        ("cls", {"cls": "cat"}, r"some labels in .*s\.tar are numbers and some are text.*'cat'"),
        ("class", {}, r"'000000' in .*s\.tar has no label: found cls, json, png; expected class"),
        ("json:label", {"json": b"{"}, r"'000001\.json' in .*s\.tar cannot be read as json"),
        ("json:label", {"json": b'{"lable": 1}'}, r"has no field 'label' .*it has lable"),
        ("json:label", {"json": b"3"}, r"'000001\.json' .* has no field 'label' \(label\)"),
        ("json:label", {"json": b'{"label": [1]}'}, r"the label is \[1\]"),
        ("json:label", {"json": b'{"label": true}'}, r"the label is True"),
    ],
)
def test_labels_that_are_refused(
    resources: LocalResources, tmp_path: Path, label: str, more: dict[str, Any], message: str
) -> None:
    first = sample(0, json=b'{"label": 0}')
    write(tmp_path / "s.tar", [first, sample(1, **{"json": b'{"label": 1}', **more})])
    with pytest.raises(UsageError, match=message):
        load(resources, shards="s.tar", label=label)


# ----------------------------------------------------------------------------------- splits


def test_test_shards_are_the_split_test(resources: LocalResources, shards: list[Path]) -> None:
    kinds = {"shards": "train-00000[01].tar", "test_shards": "train-000002.tar"}
    found = {split: load(resources, split, **kinds) for split in SPEC.splits}
    assert {split: len(dataset) for split, dataset in found.items()} == {
        "train": 12,
        "all": 21,
        "test": 9,
    }
    np.testing.assert_array_equal(found["test"].images([0]), [pixels(12)])
    np.testing.assert_array_equal(found["all"].images([12]), [pixels(12)])
    with pytest.raises(UsageError, match=r"train-000002\.tar is in shards and in test_shards"):
        load(resources, test_shards="train-000002.tar")


def test_halves_share_no_sample(resources: LocalResources, shards: list[Path]) -> None:
    train, test = (load(resources, split) for split in ("train", "test"))
    contents = [{image.tobytes() for image in d.images(range(len(d)))} for d in (train, test)]
    assert len(contents[0]) + len(contents[1]) == len(contents[0] | contents[1]) == 21
    assert np.abs(np.bincount(train.labels) - np.bincount(test.labels)).max() <= 1
    assert load(resources, "train", seed=1).fingerprint != train.fingerprint
    assert len({train.fingerprint, test.fingerprint, load(resources).fingerprint}) == 3


@given(st.lists(st.integers(0, 4), max_size=40), st.booleans(), st.integers(0, 5))
def test_halves_are_balanced_and_complete(labels: list[int], labelled: bool, seed: int) -> None:
    given_labels = np.array(labels, np.int64) if labelled else None
    one, two = (half(len(labels), given_labels, second, seed) for second in (False, True))
    assert sorted([*one, *two]) == list(range(len(labels)))
    assert (np.diff(one) > 0).all() and (np.diff(two) > 0).all()
    assert 0 <= len(one) - len(two) <= 1
    if labelled:
        for label in set(labels):
            counts = [sum(labels[i] == label for i in chosen) for chosen in (one, two)]
            assert abs(counts[0] - counts[1]) <= 1


def test_a_half_without_images_is_refused(resources: LocalResources, tmp_path: Path) -> None:
    write(tmp_path / "s.tar", [sample(0)])
    assert len(load(resources, "train", shards="s.tar")) == 1
    with pytest.raises(UsageError, match=r"test of s\.tar is empty: there are 1 images in all"):
        load(resources, "test", shards="s.tar")


# ------------------------------------------------------------------------------ fingerprint


def changed(path: Path, position: int) -> None:
    """Changes one byte of a file, and its time."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(bytes(data))
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 10**9))


@pytest.mark.parametrize(
    ("part", "verify", "seen"),
    [
        (0.0, False, True),
        (1.0, False, True),
        (0.5, False, False),
        (0.0, True, True),
        (0.5, True, True),
        (1.0, True, True),
    ],
)
def test_which_bytes_the_fingerprint_covers(
    resources: LocalResources, tmp_path: Path, part: float, verify: bool, seen: bool
) -> None:
    big = encoded(pixels(3, 80, 80), compress_level=0)
    path = write(tmp_path / "s.tar", [sample(0, png=big)])
    before = load(resources, shards="s.tar", size=8, verify=verify)
    start = path.read_bytes().index(big)
    # the first and the last byte of a PNG belong to what a decoder looks at: only the header is read here
    changed(path, start + 30 + int(part * (len(big) - 40)))
    after = load(resources, shards="s.tar", size=8, verify=verify)
    assert (after.fingerprint != before.fingerprint) is seen


def test_the_fingerprint_is_of_contents(
    resources: LocalResources, shards: list[Path], tmp_path: Path
) -> None:
    found = load(resources).fingerprint
    again = [
        write(tmp_path / f"moved/{i}.tar", [sample(k) for k in range(*bound)], mtime=5.5 + i)
        for i, bound in enumerate([(0, 7), (7, 12), (12, 21)])
    ]
    names = tuple(str(path) for path in again)
    assert load(resources, shards=names).fingerprint == found
    other = {
        load(resources, shards=names[::-1]).fingerprint,
        load(resources, shards=names[:2]).fingerprint,
        load(resources, label=None).fingerprint,
        load(resources, size=4).fingerprint,
        load(resources, verify=True).fingerprint,
    }
    assert len(other | {found}) == 6
    write(again[0], [sample(k, cls=2 if k == 3 else k % 3) for k in range(7)])
    assert load(resources, shards=names).fingerprint != found


# ------------------------------------------------------------------------------------ index


def test_shards_are_indexed_once(
    resources: LocalResources, shards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    original = _webdataset_stored.index_shard

    def watched(path: Path, wanted: Any) -> Any:
        asked.append(path.name)
        return original(path, wanted)

    monkeypatch.setattr(_webdataset_stored, "index_shard", watched)
    first = load(resources)
    assert sorted(asked) == [path.name for path in shards]
    asked.clear()
    assert load(resources, "train").labels is not None
    assert load(resources).fingerprint == first.fingerprint
    assert asked == []
    write(shards[1], [sample(50)])
    assert len(load(resources)) == 17
    assert asked == [shards[1].name]


def test_a_damaged_index_is_made_again(resources: LocalResources, shards: list[Path]) -> None:
    whole = load(resources)
    kept = sorted((resources.cache_dir / "derived" / "webdataset").glob("*.npz"))
    assert len(kept) == 3
    for i, path in enumerate(kept):
        path.write_bytes([b"", b"nonsense", path.read_bytes()[:-200]][i])
    again = load(resources)
    assert again.fingerprint == whole.fingerprint
    np.testing.assert_array_equal(again.images(range(21)), whole.images(range(21)))


@pytest.mark.slow
def test_two_processes_index_at_once(resources: LocalResources, shards: list[Path]) -> None:
    code = (
        "import sys; from pathlib import Path; from iibench.assets.local import LocalResources;"
        "from iibench_plugins.datasets import webdataset as w; root = Path(sys.argv[1]);"
        "r = LocalResources(root / 'data', root / 'cache', base_dir=root);"
        f"print(w.load(w.Params({PATTERN!r}), 'all', r).fingerprint)"
    )
    root = str(resources.base_dir)
    started = [
        subprocess.Popen([sys.executable, "-c", code, root], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    found = {process.communicate(timeout=60)[0].strip() for process in started}
    assert found == {load(resources).fingerprint}
    folder = resources.cache_dir / "derived" / "webdataset"
    assert len(list(folder.glob("*.npz"))) == 3
    assert not list(folder.glob(".new-*"))


def test_the_index_is_small(resources: LocalResources, shards: list[Path]) -> None:
    params = SPEC.params(PATTERN)
    wanted = webdataset.Wanted(params.image, params.label, False)
    for index in shard_indexes(shards, wanted, resources.cache_dir):
        arrays = (index.offsets, index.sizes, index.labels)
        assert sum(array.itemsize for array in arrays) == 16  # bytes an image


# ----------------------------------------------------------------------------------- damage


def test_every_cut_is_found(resources: LocalResources, tmp_path: Path) -> None:
    path = write(tmp_path / "s.tar", [sample(i) for i in range(2)])
    whole = path.read_bytes()
    end = len(whole.rstrip(b"\0"))  # within the last member
    cuts = {0, 1, 511, 512, 513, 1024, end - 1, end, *range(0, end + 512, 256)}
    for cut in sorted(c for c in cuts if c <= len(whole) - 1024):
        path.write_bytes(whole[:cut])
        os.utime(path, ns=(cut, cut))
        with pytest.raises(UsageError, match=r"s\.tar"):
            load(resources, shards="s.tar")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.replace(b"PNG", b"GNP"), r"'a\.png' in .*s\.tar cannot be decoded"),
        (lambda data: b"x" * 600 + data[600:], r"s\.tar cannot be read as a tar file"),
        (lambda data: b"\x1f\x8b" + data[2:], r"it is compressed: unpack it with gunzip"),
    ],
)
def test_damaged_shards(
    resources: LocalResources, tmp_path: Path, change: Any, message: str
) -> None:
    path = write(tmp_path / "s.tar", [{"__key__": "a", "png": encoded(pixels(0)), "zcls": b"1"}])
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UsageError, match=message):
        load(resources, shards="s.tar", label=None)


@pytest.mark.parametrize("format", ["USTAR_FORMAT", "PAX_FORMAT"])
def test_a_damaged_header_in_the_middle(
    resources: LocalResources, tmp_path: Path, format: str
) -> None:
    path = write(tmp_path / "s.tar", [sample(i) for i in range(3)], format=format, mtime=1)
    place = path.read_bytes().index(b"000001.")
    changed(path, place + 3)
    with pytest.raises(UsageError, match=rf"s\.tar is damaged at byte {place:,}"):
        load(resources, shards="s.tar")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            [sample(0), {"__key__": "b", "cls": 1}],
            r"sample 'b' in .*s\.tar has no image: found cls",
        ),
        (
            [{"__key__": "b", "png": encoded(pixels(0))}],
            r"sample 'b' in .* has no label: found png",
        ),
        ([], r"all of s\.tar is empty"),
    ],
)
def test_samples_that_lack_something(
    resources: LocalResources, tmp_path: Path, made: list[Sample], message: str
) -> None:
    write(tmp_path / "s.tar", made)
    with pytest.raises(UsageError, match=message):
        load(resources, shards="s.tar")


def test_a_sample_with_a_member_twice(resources: LocalResources, tmp_path: Path) -> None:
    data = encoded(pixels(0))
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for name in ("a.png", "a.PNG"):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with pytest.raises(UsageError, match=r"sample 'a' in .* has two members of the kind png"):
        load(resources, shards="s.tar", label=None)


def test_a_damaged_image_is_named_when_it_is_read(
    resources: LocalResources, tmp_path: Path
) -> None:
    broken = encoded(pixels(5))[:-40]
    write(
        tmp_path / "s.tar", [sample(i, **({"png": broken} if i == 13 else {})) for i in range(20)]
    )
    dataset = load(resources, shards="s.tar")
    np.testing.assert_array_equal(dataset.images([12, 14]), [pixels(12), pixels(14)])
    with pytest.raises(UsageError, match=r"'000013\.png' in .*s\.tar cannot be decoded"):
        dataset.images(range(20))


def test_a_shard_that_was_cut_after_it_was_indexed(
    resources: LocalResources, shards: list[Path]
) -> None:
    dataset = load(resources)
    shards[1].write_bytes(shards[1].read_bytes()[:700])
    with pytest.raises(UsageError, match=r"train-000001\.tar is shorter than when it was indexed"):
        dataset.images([0, 11])
    shards[1].unlink()
    with pytest.raises(UsageError, match=r"train-000001\.tar cannot be read"):
        dataset.images([7])


# --------------------------------------------------------------------------------- programs


def test_it_is_a_dataset(resources: LocalResources, shards: list[Path]) -> None:
    for more in ({}, {"test_shards": "train-000002.tar", "shards": "train-00000[01].tar"}):
        params = SPEC.params(**{"shards": PATTERN, **more})
        report = check_dataset(SPEC, params, toy_harness(resources=resources))
        report.raise_if_failed()
        assert {check.status for check in report.checks} <= {"passed", "skipped"}


@pytest.mark.slow
def test_the_program_checks_and_runs_it(
    shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iibench import load_run
    from iibench.cli.main import run_program

    monkeypatch.chdir(tmp_path)
    assert run_program(["plugin", "check", f'webdataset[shards="{tmp_path}/train-*.tar"]']) == 0
    (tmp_path / "mine.yaml").write_text(
        'iibench: "1"\n'
        "name: mine\n"
        'dataset: {name: webdataset, shards: "train-{000000..000001}.tar", '
        "test_shards: [train-000002.tar], size: 8}\n"
        "models: [{name: reference_net, layers: [middle]}]\n"
        "finders: [neurons, {name: pca, k: 2}]\n"
        "metrics: [color, label]\n"
        "evaluations: [ii]\n"
    )
    options = ["-p", "iibench.testing.toys", "-o", "out", "--limit", "8", "-q"]
    assert run_program(["run", "mine.yaml", *options]) == 0
    run = load_run(tmp_path / "out")
    assert len(run.cases) == 4
    assert {case.status for case in run.cases} == {"passed"}
    (record,) = run.meta["datasets"].values()
    assert record["splits"]["evaluate"]["n"] == 8


@pytest.mark.parametrize("folder", ["", "some/", "./"])
def test_what_macos_adds_to_shards_is_no_sample(
    resources: LocalResources, tmp_path: Path, folder: str
) -> None:
    def shard(name: str, hidden: bool) -> None:
        with tarfile.open(tmp_path / name, "w") as tar:
            for i in range(4):
                for kind, data in (("png", encoded(pixels(i))), ("cls", b"1")):
                    names = [(f"{folder}._{i}.{kind}", b"Mac OS X"), (f"{folder}{i}.{kind}", data)]
                    for member, content in names if hidden else names[1:]:
                        info = tarfile.TarInfo(member)
                        info.size = len(content)
                        tar.addfile(info, io.BytesIO(content))
            if hidden:
                for member in (f"{folder}.DS_Store", f"__MACOSX/{folder}x.png"):
                    tar.addfile(tarfile.TarInfo(member), io.BytesIO())

    shard("plain.tar", hidden=False)
    shard("mac.tar", hidden=True)
    plain, found = (load(resources, shards=f"{name}.tar") for name in ("plain", "mac"))
    assert found.labels.tolist() == [1] * 4
    assert found.fingerprint == plain.fingerprint
    np.testing.assert_array_equal(found.images(range(4)), plain.images(range(4)))
