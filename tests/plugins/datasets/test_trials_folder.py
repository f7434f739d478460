"""The dataset trials_folder: both layouts, both numberings, incomplete trials, equal pixels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from iibench.assets.local import LocalResources
from iibench.contract.errors import FileError, UsageError
from iibench_plugins.datasets import trials_folder

SPEC: Any = next(iter(trials_folder.iibench_register_datasets()))


def load(data: Path, **params: Any) -> Any:
    resources = LocalResources(data, data / "cache", base_dir=data / "suite", offline=True)
    return SPEC.load(SPEC.params(**{"path": "trials", **params}), "all", resources)


def colour(name: str) -> np.ndarray[Any, Any]:
    """A picture that depends on the name alone."""
    seed = int.from_bytes(name.encode(), "big")
    return np.random.default_rng(seed).integers(0, 256, (4, 5, 3)).astype(np.uint8)


def write(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colour(name)).save(root / name)
    return root


def numbered(folder: str, max_from: int, min_from: int, count: int = 9) -> list[str]:
    return [
        f"{folder}/{side}_{i}.png"
        for side, start in (("max", max_from), ("min", min_from))
        for i in range(start, start + count)
    ]


def trial(folder: str, min_from: int = 0, count: int = 9) -> list[str]:
    queries = [f"{folder}/queries/max.png", f"{folder}/queries/min.png"]
    return queries + numbered(f"{folder}/references", 0, min_from, count)


def shown(dataset: Any, row: int) -> dict[str, list[str]]:
    """The files that a trial shows, by part."""
    parts = {"queries": dataset.trials.queries, "references": dataset.trials.references}
    parts["opposite"] = dataset.trials.opposite
    return {
        part: [f"{dataset.files[i].parent.name}/{dataset.files[i].name}" for i in images[row]]
        for part, images in parts.items()
    }


# -------------------------------------------------------------------------- published trials


@pytest.mark.shared
def test_published_trials(shared: Path) -> None:
    dataset = load(shared / "data", path="imi_trials")
    trials = dataset.trials
    assert len(trials) == len(set(trials.names)) == 20
    assert Counter(trials.columns["condition"].tolist()) == {"natural": 10, "optimized": 10}
    assert len({tuple(pair) for pair in trials.queries.tolist()}) == 10
    assert len(list((shared / "data" / "imi_trials").rglob("*.png"))) == 398
    assert len(dataset) == 391
    assert dataset.image_size == (224, 224)
    assert trials.references.shape == trials.opposite.shape == (20, 9)
    assert trials.shown.all()
    for row in range(20):
        everything = [*trials.queries[row], *trials.references[row], *trials.opposite[row]]
        assert len(set(map(int, everything))) == 20
    assert len(trials.answers.stimulus) == 0
    text = "\n".join(dataset.notes)
    assert "398 PNG files with 391 distinct pixel contents" in text
    assert "1 greyscale images" in text
    assert "new in 17, old in 3 trials" in text
    assert "13 trials have images for both numberings" in text
    assert "among their references" not in text
    assert "incomplete" not in text


@pytest.mark.slow
@pytest.mark.shared
def test_published_trials_show_the_files_that_they_name(shared: Path) -> None:
    dataset = load(shared / "data", path="imi_trials")
    trials, root = dataset.trials, shared / "data" / "imi_trials"
    for row, name in enumerate(trials.names):
        folder = root / str(name)
        if trials.columns["layout"][row] == "trial folder":
            queries = [folder / "queries" / f"{side}.png" for side in ("max", "min")]
            references, start = (
                folder / "references",
                int(trials.columns["condition"][row] == "natural"),
            )
        else:
            queries = [
                folder.parent / "natural_images" / f"{side}_9.png" for side in ("max", "min")
            ]
            references, start = folder, 0
            assert trials.columns["layer"][row] == folder.parents[1].name
        opposite = [references / f"min_{i}.png" for i in range(start, start + 9)]
        expected = queries + [references / f"max_{i}.png" for i in range(9)] + opposite
        found = np.concatenate([trials.queries[row], trials.references[row], trials.opposite[row]])
        for pixels, path in zip(dataset.images(found), expected, strict=True):
            np.testing.assert_array_equal(pixels, np.asarray(Image.open(path).convert("RGB")))


# --------------------------------------------------------------------------- made-up trials


def test_numbering_of_a_trial_folder(tmp_path: Path) -> None:
    write(tmp_path / "trials", *trial("new"), *trial("old", min_from=1))
    dataset = load(tmp_path)
    assert dataset.trials.names.tolist() == ["new", "old"]
    assert shown(dataset, 0)["opposite"] == [f"references/min_{i}.png" for i in range(9)]
    assert shown(dataset, 1)["opposite"] == [f"references/min_{i}.png" for i in range(1, 10)]
    assert shown(dataset, 1)["references"] == [f"references/max_{i}.png" for i in range(9)]
    assert shown(dataset, 1)["queries"] == ["queries/max.png", "queries/min.png"]
    assert load(tmp_path, numbering="new").trials.names.tolist() == ["new"]
    only_old = load(tmp_path, numbering="old")
    assert only_old.trials.names.tolist() == ["old"]
    assert any("1 incomplete trials left out, such as new" in note for note in only_old.notes)


def test_a_folder_with_all_twenty_files(tmp_path: Path) -> None:
    twenty = numbered("a/references", 0, 0, 10)
    write(tmp_path / "trials", "a/queries/max.png", "a/queries/min.png", *twenty)
    for numbering, first, taken in [("auto", 0, "new"), ("new", 0, "new"), ("old", 1, "old")]:
        dataset = load(tmp_path, numbering=numbering)
        assert shown(dataset, 0)["opposite"][0] == f"references/min_{first}.png"
        assert any("both numberings" in n and f"the {taken} one" in n for n in dataset.notes)
        assert dataset.trials.columns["condition"].tolist() == ["optimized"]


def test_unit_folders(tmp_path: Path) -> None:
    natural = numbered("mixed4a/channel_7/natural_images", 0, 0, 10)
    optimized = numbered("mixed4a/channel_7/optimized_images", 0, 0)
    write(tmp_path / "trials", *natural, *optimized)
    dataset = load(tmp_path)
    trials = dataset.trials
    assert trials.columns["condition"].tolist() == ["natural", "optimized"]
    assert trials.columns["layer"].tolist() == ["mixed4a", "mixed4a"]
    assert trials.units == ("mixed4a/channel_7",)
    for row in range(2):
        assert shown(dataset, row)["queries"] == [
            "natural_images/max_9.png",
            "natural_images/min_9.png",
        ]
    assert shown(dataset, 1)["references"] == [f"optimized_images/max_{i}.png" for i in range(9)]
    old = load(tmp_path, numbering="old")
    assert shown(old, 0)["queries"] == ["natural_images/max_9.png", "natural_images/min_0.png"]
    assert shown(old, 0)["opposite"][-1] == "natural_images/min_9.png"
    assert len(old.trials) == 1  # there is no optimized min_9


def test_a_trial_at_the_top(tmp_path: Path) -> None:
    root = tmp_path / "trials"
    write(root, "queries/max.png", "queries/min.png", *numbered("references", 0, 1))
    dataset = load(tmp_path)
    assert dataset.trials.names.tolist() == ["."]
    assert dataset.trials.columns["condition"].tolist() == ["natural"]
    assert any("no folder says natural or optimized" in note for note in dataset.notes)


def test_the_nearest_folder_names_the_condition(tmp_path: Path) -> None:
    write(tmp_path / "trials", *trial("natural_things/optimized_1/trial_1"))
    dataset = load(tmp_path)
    assert dataset.trials.columns["condition"].tolist() == ["optimized"]
    assert not any("no folder says" in note for note in dataset.notes)


@settings(max_examples=9, deadline=None)
@given(references=st.integers(1, 9))
def test_number_of_references(references: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    data = tmp_path_factory.mktemp("count")
    write(data / "trials", *trial("a", count=references))
    trials = load(data, references=references).trials
    assert trials.references.shape == trials.opposite.shape == (1, references)
    if references < 9:
        with pytest.raises(UsageError, match="a lacks a/references/max_"):
            load(data, references=references + 1)


def test_equal_pixels_are_one_image(tmp_path: Path) -> None:
    root = write(tmp_path / "trials", *trial("a"), *trial("b"))
    Image.open(root / "a/queries/max.png").save(root / "b/queries/max.png", compress_level=0)
    dataset = load(tmp_path)
    assert len(dataset) == 39
    assert dataset.trials.queries[0, 0] == dataset.trials.queries[1, 0]
    assert dataset.trials.queries[0, 1] != dataset.trials.queries[1, 1]


def test_a_query_among_its_references_is_counted(tmp_path: Path) -> None:
    root = write(tmp_path / "trials", *trial("a"), *trial("b"))
    for name in ("queries/min.png", "references/min_4.png"):
        Image.fromarray(colour("the same")).save(root / "a" / name)
    assert any("1 trials have a query among their references" in n for n in load(tmp_path).notes)


def test_greyscale_becomes_rgb(tmp_path: Path) -> None:
    root = write(tmp_path / "trials", *trial("a"))
    grey = Image.fromarray(colour("grey")[:, :, 0])
    grey.save(root / "a/queries/max.png")
    dataset = load(tmp_path)
    pixels = dataset.images(dataset.trials.queries[0, :1])[0]
    np.testing.assert_array_equal(pixels, np.repeat(np.asarray(grey)[:, :, None], 3, axis=2))
    assert any("1 greyscale images" in note for note in dataset.notes)


def test_fingerprint_follows_pixels(tmp_path: Path) -> None:
    root = write(tmp_path / "trials", *trial("a"))
    before = load(tmp_path).fingerprint
    assert load(tmp_path).fingerprint == before
    Image.fromarray(colour("other")).save(root / "a/references/max_3.png")
    assert load(tmp_path).fingerprint != before


# ------------------------------------------------------------------------------ what is refused


def test_missing_folder(tmp_path: Path) -> None:
    write(tmp_path / "trails", *trial("a"))
    with pytest.raises(
        FileError, match="(?s)nearest: trails.*queries.*brendel-group/imi.*put it at"
    ):
        load(tmp_path)


def test_no_complete_trial(tmp_path: Path) -> None:
    (tmp_path / "trials").mkdir()
    with pytest.raises(
        UsageError, match="no complete trial with 9 references a side; expected TRIAL"
    ):
        load(tmp_path)
    root = write(tmp_path / "trials", *trial("a"))
    (root / "a/queries/min.png").unlink()
    with pytest.raises(UsageError, match="a lacks a/queries/min.png"):
        load(tmp_path)


def test_optimized_images_without_natural_ones(tmp_path: Path) -> None:
    write(tmp_path / "trials", *numbered("l/channel_1/optimized_images", 0, 0))
    with pytest.raises(UsageError, match="lacks l/channel_1/natural_images/max_9.png"):
        load(tmp_path)


def test_sizes_must_agree(tmp_path: Path) -> None:
    root = write(tmp_path / "trials", *trial("a"))
    Image.new("RGB", (7, 3)).save(root / "a/references/min_2.png")
    with pytest.raises(UsageError, match="min_2.png has 7 x 3 pixels, but a/queries/max.png 5 x 4"):
        load(tmp_path)


def test_a_damaged_image(tmp_path: Path) -> None:
    root = write(tmp_path / "trials", *trial("a"))
    (root / "a/references/min_2.png").write_bytes(b"not a png")
    with pytest.raises(UsageError, match="min_2.png cannot be decoded"):
        load(tmp_path)


def test_a_link_out_of_the_folder(tmp_path: Path) -> None:
    root = write(tmp_path / "trials", *trial("a"))
    outside = write(tmp_path, "secret.png") / "secret.png"
    (root / "a/references/min_2.png").unlink()
    (root / "a/references/min_2.png").symlink_to(outside)
    with pytest.raises(UsageError, match="min_2.png is a link that leads out"):
        load(tmp_path)
    assert len(load(tmp_path, follow_links=True).trials) == 1


def test_links_inside_and_hidden_files(tmp_path: Path) -> None:
    root = write(tmp_path / "trials", *trial("a"))
    plain = load(tmp_path)
    for name in ("a/references/._max_0.png", "a/queries/._max.png", ".hidden/b/1.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"Mac OS X")
    assert load(tmp_path).fingerprint == plain.fingerprint
    (root / "again").symlink_to(root / "a")
    (root / "a/loop").symlink_to(root)
    assert load(tmp_path).trials.names.tolist() == ["a", "again"]
