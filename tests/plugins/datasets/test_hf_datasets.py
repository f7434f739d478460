"""The dataset hf_datasets: folders that the library datasets wrote, and the hub, without a network."""

from __future__ import annotations

import io
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from iibench.assets.local import LocalResources
from iibench.contract.errors import AssetError, UsageError
from iibench.contract.specs import DatasetSpec
from iibench.testing import check_dataset, toy_harness
from iibench_plugins.datasets import hf_datasets
from iibench_plugins.datasets.hf_datasets import rows as _hf_rows

datasets = pytest.importorskip("datasets", reason="folders are written by the package datasets")
hub = pytest.importorskip("huggingface_hub", reason="datasets comes with it")

SPEC: DatasetSpec = next(iter(hf_datasets.iibench_register_datasets()))
REVISION = "0123456789abcdef0123456789abcdef01234567"
NAMES = ["ant", "bee", "cat"]


def pixels(seed: int, height: int = 6, width: int = 8) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def encoded(image: np.ndarray[Any, Any], kind: str = "png", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def table(
    seeds: Any, labels: Any = None, feature: Any = None, files: list[Any] | None = None
) -> Any:
    """Images of noise with the labels 0, 1, 2, 0, ..., or those given."""
    seeds = list(seeds)
    files = [{"bytes": encoded(pixels(i)), "path": None} for i in seeds] if files is None else files
    labels = [i % 3 for i in seeds] if labels is None else labels
    kinds = {"image": datasets.Image(), "label": feature or datasets.ClassLabel(names=NAMES)}
    columns = {"image": files, "label": labels}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))


def write_parquet(folder: Path, **splits: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, one in splits.items():
        one.to_parquet(folder / f"{name}-00000-of-00001.parquet")
    return folder


@pytest.fixture
def resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalResources:
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return LocalResources(tmp_path / "data", tmp_path / "cache", base_dir=tmp_path, offline=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Parquet files of 21 and 6 images."""
    return write_parquet(tmp_path / "mine", train=table(range(21)), test=table(range(30, 36)))


def load(resources: LocalResources, split: str = "all", **params: Any) -> Any:
    return SPEC.load(SPEC.params(**{"path": "mine", **params}), split, resources)


# ---------------------------------------------------------------------------- random access


def test_any_image_is_the_one_that_the_library_decodes(
    resources: LocalResources, folder: Path, tmp_path: Path
) -> None:
    reads = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "own"))
    reference = np.stack([np.asarray(image) for image in reads["train"]["image"]])
    dataset = load(resources, "train")
    assert len(dataset) == 21
    assert dataset.image_size == (6, 8)
    assert dataset.labels.tolist() == reads["train"]["label"]
    assert dataset.labels.dtype == np.int64
    assert dataset.class_names == tuple(NAMES)
    order = np.random.default_rng(0).integers(0, 21, 60)
    np.testing.assert_array_equal(dataset.images(order), reference[order])
    np.testing.assert_array_equal(dataset.images(range(21)), reference)
    assert dataset.images([]).shape == (0, 6, 8, 3)


def disk_dict(tmp_path: Path) -> Path:
    splits = {"train": table(range(21)), "test": table(range(30, 36))}
    datasets.DatasetDict(splits).save_to_disk(
        str(tmp_path / "disk"), num_shards={"train": 3, "test": 1}
    )
    return tmp_path / "disk"


def test_a_saved_dataset_is_the_same_and_is_not_copied(
    resources: LocalResources, folder: Path, tmp_path: Path
) -> None:
    disk_dict(tmp_path)
    for split in SPEC.splits:
        ours, saved = load(resources, split), load(resources, split, path="disk")
        assert ours.fingerprint == saved.fingerprint
        order = np.random.default_rng(1).permutation(len(ours))
        np.testing.assert_array_equal(saved.images(order), ours.images(order))
    assert len(list((resources.cache_dir / "derived").rglob("*.arrow"))) == 2  # those of parquet


def test_a_saved_table_has_one_split(resources: LocalResources, tmp_path: Path) -> None:
    shuffled = table(range(10)).shuffle(seed=3)
    shuffled.save_to_disk(str(tmp_path / "one"))
    dataset = load(resources, path="one", test_split=None)
    reference = [np.asarray(image) for image in shuffled["image"]]
    np.testing.assert_array_equal(dataset.images(range(10)), reference)


@pytest.mark.parametrize("kind", ["binary", "struct", "large_binary"])
def test_plain_bytes_are_images_too(resources: LocalResources, tmp_path: Path, kind: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files: list[Any] = [encoded(pixels(i)) for i in range(5)]
    kind_of: Any = getattr(pa, kind)() if kind != "struct" else None
    if kind == "struct":
        kind_of = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        files = [{"bytes": data, "path": "x.png"} for data in files]
    made = pa.table({"photo": pa.array(files, kind_of), "group": pa.array([3, 1, 0, 1, 2])})
    (tmp_path / "mine").mkdir()
    pq.write_table(made, tmp_path / "mine" / "train.parquet")
    dataset = load(resources, test_split=None, label="group")
    np.testing.assert_array_equal(dataset.images([4, 0]), [pixels(4), pixels(0)])
    assert dataset.labels.tolist() == [3, 1, 0, 1, 2]
    assert dataset.class_names == ()
    assert load(resources, test_split=None).labels is None


def test_images_are_decoded_as_elsewhere(resources: LocalResources, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(pixels(1), exif=exif)
    clear = io.BytesIO()
    Image.new("RGBA", (6, 8), (0, 0, 0, 0)).save(clear, "png")
    files = [{"bytes": data, "path": None} for data in (turned, clear.getvalue())]
    write_parquet(tmp_path / "mine", train=table(range(2), files=files))
    dataset = load(resources, test_split=None)
    assert dataset.image_size == (8, 6)
    np.testing.assert_array_equal(dataset.images([0])[0], np.rot90(pixels(1), -1))
    assert (dataset.images([1]) == 255).all()
    assert load(resources, test_split=None, size=3).images([0, 1]).shape == (2, 3, 3, 3)


def test_images_of_another_size_need_size(resources: LocalResources, tmp_path: Path) -> None:
    files = [{"bytes": encoded(pixels(i, 6 + i, 8)), "path": None} for i in range(2)]
    write_parquet(tmp_path / "mine", train=table(range(2), files=files))
    dataset = load(resources, test_split=None)
    message = r"row 1 of mine, train has 8 x 7 pixels, but the first image 8 x 6; .* size: 6"
    with pytest.raises(UsageError, match=message):
        dataset.images([0, 1])


def test_threads_get_the_same_images(resources: LocalResources, folder: Path) -> None:
    dataset = load(resources)
    whole = dataset.images(range(27))
    orders = [np.random.default_rng(i).permutation(27) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for order, found in zip(orders, pool.map(dataset.images, orders), strict=True):
            np.testing.assert_array_equal(found, whole[order])


@given(indices=st.lists(st.integers(0, 20), max_size=30))
@settings(max_examples=30, deadline=None)
def test_any_order_of_indices(shared_split: Any, indices: list[int]) -> None:
    found = shared_split.images(indices)
    expected = np.array([pixels(i) for i in indices], np.uint8).reshape(-1, 6, 8, 3)
    np.testing.assert_array_equal(found, expected)


@pytest.fixture(scope="module")
def shared_split(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("hf")
    disk_dict(root)
    resources = LocalResources(root / "data", root / "cache", base_dir=root, offline=True)
    return load(resources, "train", path="disk")


# ----------------------------------------------------------------------- splits and columns


def test_splits(resources: LocalResources, folder: Path) -> None:
    found = {split: load(resources, split) for split in SPEC.splits}
    assert [len(found[split]) for split in SPEC.splits] == [21, 27, 6]
    np.testing.assert_array_equal(found["all"].images([0, 21]), [pixels(0), pixels(30)])
    np.testing.assert_array_equal(found["test"].images([0]), [pixels(30)])
    assert len({dataset.fingerprint for dataset in found.values()}) == 3
    swapped = load(resources, "train", train_split="test", test_split="train")
    assert swapped.fingerprint == found["test"].fingerprint


def test_halves_share_no_row(resources: LocalResources, folder: Path) -> None:
    train, test = (load(resources, split, test_split=None) for split in ("train", "test"))
    contents = [{image.tobytes() for image in d.images(range(len(d)))} for d in (train, test)]
    assert len(contents[0]) + len(contents[1]) == len(contents[0] | contents[1]) == 21
    assert np.abs(np.bincount(train.labels) - np.bincount(test.labels)).max() <= 1


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"test_split": "tset"},
            r"test_split: unknown split of mine 'tset'; nearest: test.*halves",
        ),
        ({"train_split": "trian"}, r"train_split: unknown split of mine 'trian'; nearest: train"),
        ({"test_split": "train"}, r"both train: no image may be in both"),
        ({"image": "imgae"}, r"image: unknown column of mine, train 'imgae'; nearest: image"),
        ({"image": "label"}, r"image: label of mine, train is .*; expected image files"),
        ({"label": "lable"}, r"label: unknown column of mine, train 'lable'; nearest: label"),
        ({"label": "image"}, r"label: image of mine, train is .*; expected classes"),
        ({"config": "other"}, r"mine cannot be read as a dataset: .*'?other'? not found"),
        ({"path": "mien"}, r"revision: found none for mien, which is no folder in"),
        ({"path": "./mien"}, r"path: there is no folder .*mien, .*nearest in .*: mine"),
        ({"path": "mine/train-00000-of-00001.parquet"}, r"is no folder; expected one of parquet"),
    ],
)
def test_what_is_not_there(
    resources: LocalResources, folder: Path, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        load(resources, **params)


def test_labels_of_text_have_one_number_in_both_splits(
    resources: LocalResources, tmp_path: Path
) -> None:
    text = datasets.Value("string")
    train = table(range(2), ["cat", "ant"], text)
    test = table(range(3), ["ant", "dog", "bee"], text)
    write_parquet(tmp_path / "mine", train=train, test=test)
    for split, expected in (("train", [2, 0]), ("test", [0, 3, 1]), ("all", [2, 0, 0, 3, 1])):
        dataset = load(resources, split, label="label")
        assert dataset.class_names == ("ant", "bee", "cat", "dog")
        assert dataset.labels.tolist() == expected


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, -1, 2], r"row 1 of mine, train has the label -1"), ([0, 1, None], r"row 2 .* no label")],
)
def test_rows_without_a_class(
    resources: LocalResources, tmp_path: Path, labels: list[Any], message: str
) -> None:
    write_parquet(tmp_path / "mine", train=table(range(3), labels))
    with pytest.raises(UsageError, match=message):
        load(resources, test_split=None)
    assert load(resources, test_split=None, label=None).labels is None


def test_several_columns_that_may_be_meant(resources: LocalResources, tmp_path: Path) -> None:
    made = table(range(3)).add_column("fine", [1, 2, 0])
    made = made.cast_column("fine", datasets.ClassLabel(names=["x", "y", "z"]))
    write_parquet(tmp_path / "mine", train=made)
    with pytest.raises(UsageError, match=r"several columns may be meant \(label, fine\).* label"):
        load(resources, test_split=None)
    assert load(resources, test_split=None, label="fine").labels.tolist() == [1, 2, 0]
    write_parquet(tmp_path / "plain", train=made.remove_columns("image"))
    with pytest.raises(UsageError, match=r"plain, train: no column has images \(label, fine\)"):
        load(resources, path="plain", test_split=None)


def test_splits_with_other_classes_are_refused(resources: LocalResources, tmp_path: Path) -> None:
    other = table(range(3), feature=datasets.ClassLabel(names=["x", "y", "z"]))
    datasets.DatasetDict({"train": table(range(3)), "test": other}).save_to_disk(
        str(tmp_path / "disk")
    )
    with pytest.raises(
        UsageError, match=r"label of disk, test is .*'x'.*, but of disk, train .*'ant'"
    ):
        load(resources, path="disk")


def test_rows_without_an_image(resources: LocalResources, tmp_path: Path) -> None:
    files = [{"bytes": encoded(pixels(0)), "path": None}, {"bytes": None, "path": "/etc/passwd"}]
    write_parquet(tmp_path / "mine", train=table(range(2), files=files).with_format("arrow"))
    with pytest.raises(UsageError, match=r"row 1 of mine, train has no bytes in image"):
        load(resources, test_split=None)


def test_a_damaged_image_is_named_when_it_is_read(
    resources: LocalResources, tmp_path: Path
) -> None:
    files = [
        {"bytes": encoded(pixels(i))[: -40 if i == 13 else None], "path": None} for i in range(20)
    ]
    write_parquet(tmp_path / "mine", train=table(range(20), files=files))
    dataset = load(resources, test_split=None)
    np.testing.assert_array_equal(dataset.images([12, 14]), [pixels(12), pixels(14)])
    with pytest.raises(UsageError, match=r"row 13 of mine, train cannot be decoded"):
        dataset.images(range(20))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", encoded(pixels(0)), r"data of the kind imagefolder; expected parquet or Arrow"),
        ("a.csv", b"x\n1\n", r"data of the kind csv"),
        ("train.parquet", b"PAR1 no", r"mine cannot be read as a dataset"),
        ("dataset_dict.json", b"{", r"mine cannot be read as a dataset"),
        ("notes.zzz", b"", r"mine "),
    ],
)
def test_folders_of_something_else(
    resources: LocalResources, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        load(resources, test_split=None)


def test_a_folder_that_names_its_splits_and_one_that_leads_out(
    resources: LocalResources, folder: Path
) -> None:
    text = "---\nconfigs:\n- config_name: few\n  data_files:\n  - {{split: train, path: {}}}\n---\n"
    (folder / "README.md").write_text(text.format("test-*.parquet"))
    assert len(load(resources, config="few", test_split=None)) == 6
    write_parquet(folder.parent / "secret", train=table(range(2)))
    (folder / "README.md").write_text(text.format("../secret/train-*.parquet"))
    with pytest.raises(
        UsageError, match=r"README\.md of .*mine names data outside of it: .*secret"
    ):
        load(resources, config="few", test_split=None)


# ------------------------------------------------------------------------------ fingerprint


def test_which_bytes_the_fingerprint_covers(resources: LocalResources, tmp_path: Path) -> None:
    big = bytearray(encoded(pixels(3, 80, 80), compress_level=0))
    marks: dict[bool, list[str]] = {False: [], True: []}
    for change in (None, len(big) // 2, 40, len(big) - 20):
        data = bytearray(big)
        if change is not None:
            data[change] ^= 1
        files = [{"bytes": bytes(data), "path": None}]
        write_parquet(tmp_path / f"mine{change}", train=table([0], files=files))
        for verify, found in marks.items():
            path = f"mine{change}"
            found.append(
                load(resources, path=path, test_split=None, size=8, verify=verify).fingerprint
            )
    same, middle, start, end = marks[False]
    assert same == middle
    assert len({same, start, end}) == 3
    assert len({*marks[True], same}) == 5


def test_the_fingerprint_is_of_contents(
    resources: LocalResources, folder: Path, tmp_path: Path
) -> None:
    found = load(resources, "train").fingerprint
    write_parquet(tmp_path / "moved", train=table(range(21)), test=table(range(3)))
    assert load(resources, "train", path="moved").fingerprint == found
    write_parquet(tmp_path / "label", train=table(range(21), [0] * 21), test=table(range(3)))
    write_parquet(tmp_path / "order", train=table(range(21)[::-1]), test=table(range(3)))
    others = {load(resources, "train", path=path).fingerprint for path in ("label", "order")}
    others |= {load(resources, "train", **p).fingerprint for p in ({"size": 4}, {"label": None})}
    assert len(others | {found}) == 5


def test_a_table_is_read_once(
    resources: LocalResources, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load(resources)

    def never(*_arguments: Any) -> Any:
        raise AssertionError("the table is read again")

    with monkeypatch.context() as patch:
        patch.setattr(_hf_rows, "_indexed", never)
        assert load(resources).fingerprint == whole.fingerprint
        assert load(resources, "test").labels.tolist() == [i % 3 for i in range(30, 36)]
    write_parquet(folder, train=table(range(5)))
    assert load(resources, "train").fingerprint != whole.fingerprint
    assert len(load(resources, "train")) == 5


# ------------------------------------------------------------------------------------- hub


def snapshot(tmp_path: Path) -> Path:
    """A repository in the hub's own cache, as a download leaves it."""
    place = tmp_path / "hub" / "datasets--someone--things" / "snapshots" / REVISION
    write_parquet(place / "data", train=table(range(4)), test=table(range(4, 7)))
    return place


def test_a_dataset_of_the_hub_needs_a_commit(resources: LocalResources) -> None:
    for revision in (None, "main", "v1.0", REVISION[:7]):
        with pytest.raises(UsageError, match=r"revision: found .*someone/things.*40 hexadecimal"):
            load(resources, path="someone/things", revision=revision)


def test_offline_the_hub_is_not_asked(
    resources: LocalResources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_arguments: Any, **_options: Any) -> Any:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(hub.HfApi, "dataset_info", never)
    message = (
        rf"someone/things at {REVISION} cannot be had \(offline: nothing is downloaded\).*"
        rf"hf download someone/things .*{tmp_path}/data/someone/things"
    )
    with pytest.raises(AssetError, match=message):
        load(resources, path="someone/things", revision=REVISION)
    snapshot(tmp_path)
    dataset = load(resources, "test", path="someone/things", revision=REVISION)
    np.testing.assert_array_equal(dataset.images([0, 2]), [pixels(4), pixels(6)])


def test_a_hub_that_cannot_be_reached(
    resources: LocalResources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    def unreachable(*_arguments: Any, **_options: Any) -> Any:
        raise ConnectionError("no route to the hub\nand more")

    monkeypatch.setattr(hub.HfApi, "dataset_info", unreachable)
    online = replace(resources, offline=False)
    with pytest.raises(AssetError, match=r"cannot be had \(no route to the hub\)"):
        load(online, path="someone/things", revision=REVISION)
    snapshot(tmp_path)
    assert len(load(online, "train", path="someone/things", revision=REVISION)) == 4


def test_a_download(
    resources: LocalResources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    asked: list[Any] = []

    def download(path: str, **options: Any) -> str:
        asked.append((path, options))
        if len(asked) == 1:
            raise OSError("the disk is full")
        return str(snapshot(tmp_path))

    monkeypatch.setattr(hub.HfApi, "dataset_info", lambda *_arguments, **_options: None)
    monkeypatch.setattr(hub, "snapshot_download", download)
    online = replace(resources, offline=False)
    with pytest.raises(AssetError, match=r"cannot be had \(the disk is full\)"):
        load(online, path="someone/things", revision=REVISION)
    assert len(load(online, path="someone/things", revision=REVISION)) == 7
    path, options = asked[-1]
    assert len(asked) == 2
    assert (path, options["revision"], options["repo_type"]) == (
        "someone/things",
        REVISION,
        "dataset",
    )


def test_files_put_in_the_data_folder_stand_for_the_hub(
    resources: LocalResources, tmp_path: Path
) -> None:
    write_parquet(tmp_path / "data/someone/things", train=table(range(4)))
    found = load(resources, path="someone/things", revision=REVISION, test_split=None)
    assert len(found) == 4


def test_without_the_package(
    resources: LocalResources, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(AssetError, match=r"package datasets.*pip install 'iibench\[datasets\]'"):
        load(resources)


# --------------------------------------------------------------------------------- programs


def test_it_is_a_dataset(resources: LocalResources, folder: Path) -> None:
    for more in ({}, {"test_split": None}):
        params = SPEC.params(**{"path": "mine", **more})
        check_dataset(SPEC, params, toy_harness(resources=resources)).raise_if_failed()


@pytest.mark.slow
def test_the_program_checks_and_runs_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iibench import load_run
    from iibench.cli.main import run_program

    monkeypatch.chdir(tmp_path)
    assert run_program(["plugin", "check", f'hf_datasets[path="{folder}"]']) == 0
    (tmp_path / "own.yaml").write_text(
        'iibench: "1"\n'
        "name: own\n"
        "dataset: {name: hf_datasets, path: mine, size: 8}\n"
        "models: [{name: reference_net, layers: [middle]}]\n"
        "finders: [neurons, {name: pca, k: 2}]\n"
        "metrics: [color, label]\n"
        "evaluations: [ii]\n"
    )
    options = ["-p", "iibench.testing.toys", "-o", "out", "--limit", "5", "-q"]
    assert run_program(["run", "own.yaml", *options]) == 0
    run = load_run(tmp_path / "out")
    assert len(run.cases) == 4
    assert {case.status for case in run.cases} == {"passed"}
    (record,) = run.meta["datasets"].values()
    assert record["splits"]["evaluate"]["n"] == 5
