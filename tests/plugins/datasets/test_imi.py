"""datasets/imi: the IMI release's answers, images and experiments, and what is told about them."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from iibench.assets.local import LocalResources
from iibench.cli.main import run_program
from iibench.contract.errors import AssetError, UsageError
from iibench.contract.trials import TrialDatasetSpec
from iibench.hooks.loading import load_plugins
from iibench_plugins.datasets._trials.files import FileTrials
from iibench_plugins.datasets.imi import Params, load
from iibench_plugins.datasets.imi import hashes as _imi_hashes
from iibench_plugins.datasets.imi.names import LATER_EXPERIMENTS, experiment_of, layer_group
from iibench_plugins.datasets.imi.pixels import as_shown
from iibench_plugins.datasets.imi.release import Choice, needed_photographs, read_release
from tests.plugins.datasets.imi_release import (
    CMYK,
    EXPERIMENTS,
    GREY,
    MISSING,
    Release,
    make_release,
)

COUNT = Choice(missing="count")


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return make_release(tmp_path)


def read(release: Release, choice: Choice = COUNT) -> FileTrials:
    return read_release(release.root, choice, image_root=release.train)


def row_of(dataset: FileTrials, name: str) -> int:
    """The number of the stimulus of this name."""
    return dataset.trials.names.tolist().index(name)


def files_of(dataset: FileTrials, name: str) -> tuple[list[Path], list[Path], list[Path]]:
    """Queries, references and opposite references of a stimulus, as files."""
    trials, row = dataset.trials, row_of(dataset, name)
    first, second, third = (
        [dataset.files[int(i)] for i in images[row]]
        for images in (trials.queries, trials.references, trials.opposite)
    )
    return first, second, third


def note(dataset: FileTrials, text: str) -> str:
    """The one note that contains a text."""
    (found,) = [sentence for sentence in dataset.notes if text in sentence]
    return found


# -------------------------------------------------------------------------------- the whole


def test_every_answer_is_what_its_row_says(release: Release) -> None:
    trials = read(release).trials
    expected = sorted(
        (
            f"{row['task_id'].rpartition('-')[0]}/{row['layer']}/{float(row['channel']):.0f}/"
            f"{float(row['batch']):.0f}",
            row["correct"] == "True",
            int(row["confidence"]),
        )
        for row in release.main()
    )
    answers = trials.answers
    found = zip(trials.names[answers.stimulus], answers.first, answers.confidence, strict=True)
    assert sorted((str(name), bool(first), int(sure)) for name, first, sure in found) == expected
    assert (answers.count == 1).all()
    assert trials.has_truth
    assert len(set(trials.names.tolist())) == len(trials)


def test_every_natural_stimulus_has_the_20_files_of_the_map(release: Release) -> None:
    dataset = read(release)
    asked = [f"max_{i}.png" for i in range(10)], [f"min_{i}.png" for i in range(10)]
    for name in dataset.trials.names.tolist():
        namespace, layer, channel, batch = name.split("/")
        key = namespace.removesuffix("_natural")
        if key == namespace or not dataset.trials.shown[row_of(dataset, name)]:
            continue
        images = release.file_map[key][f"{layer}/channel_{channel}"][f"batch_{batch}"]
        strong, weak = ([release.train / images[file] for file in side] for side in asked)
        assert files_of(dataset, name) == ([strong[9], weak[9]], strong[:9], weak[:9])


def test_columns_say_what_the_experiment_is(release: Release) -> None:
    trials = read(release).trials
    row = trials.names.tolist().index("resnet50_hard95_optimized/layer4_2_bn3/763/1")
    assert {name: str(values[row]) for name, values in trials.columns.items()} == {
        "experiment": "resnet50_hard95_optimized",
        "model": "resnet50",
        "difficulty": "hard95",
        "condition": "optimized",
        "layer": "layer4_2_bn3",
        "layers": "layer4",
    }


def test_stimuli_and_images_are_in_the_order_of_use(release: Release) -> None:
    dataset = read(release)
    trials = dataset.trials
    batches = [int(name.rpartition("/")[2]) for name in trials.names.tolist()]
    order = list(zip(trials.unit.tolist(), batches, strict=True))
    assert order == sorted(order)
    used = np.concatenate([trials.queries, trials.references, trials.opposite], axis=1).ravel()
    first_uses = list(dict.fromkeys(used[used >= 0].tolist()))
    assert first_uses == list(range(len(dataset)))
    assert len(set(dataset.sha256)) == len(dataset)


def test_labels_are_wnids_where_every_image_is_natural(release: Release) -> None:
    dataset = read(release, Choice(conditions=("natural",), missing="count"))
    assert dataset.labels is not None
    found = [dataset.class_names[label] for label in dataset.labels]
    assert found == [path.parent.name for path in dataset.files]
    assert read(release).labels is None


def test_the_fingerprint_covers_answers_and_images(release: Release) -> None:
    before = read(release).fingerprint
    assert read(release).fingerprint == before
    row = release.main()[0]
    row.update(choice="ab".replace(row["choice"], ""), correct=str(row["correct"] == "False"))
    row["switched_queries"] = str(row["switched_queries"] == "False")
    release.write()
    after = read(release).fingerprint
    assert after != before
    Image.new("RGB", (30, 30), "red").save(release.train / GREY, "JPEG")
    assert read(release).fingerprint not in {before, after}


def test_choices_leave_out_and_count(release: Release) -> None:
    choice = Choice(models=("resnet50",), difficulties=("hard95",), confidences=(2, 3))
    dataset = read(release, choice)
    assert set(dataset.trials.columns["experiment"].tolist()) == {
        "resnet50_hard95_natural",
        "resnet50_hard95_optimized",
    }
    asked = release.main("resnet50_hard95_natural") + release.main("resnet50_hard95_optimized")
    kept = [row for row in asked if row["confidence"] in {"2", "3"}]
    assert len(dataset.trials.answers.first) == len(kept)
    others = [row for row in release.main() if row["model"].partition("_")[0] != "resnet50"]
    assert f"{len(others)} answers: their model is not asked for" in note(dataset, "their model")
    rows = dict(dataset.sections[0].tables[0][1])
    left_out = sum(int(n) for name, n in rows.items() if name.startswith("left out"))
    assert left_out + int(rows["kept"]) == len(release.main())
    assert int(rows["all"]) == len(release.rows)


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        (Choice(models=("resnet",)), "models: unknown model 'resnet'; nearest: resnet50"),
        (Choice(conditions=("optimised",)), "conditions: unknown condition .* nearest: optimized"),
        (Choice(difficulties=("hard",)), "difficulties: unknown difficulty 'hard'"),
        (Choice(confidences=(0,)), "confidences: unknown confidence '0'; known: 1, 2, 3"),
    ],
)
def test_unknown_choices_name_the_nearest(release: Release, choice: Choice, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        read(release, choice)


def test_nothing_left_is_an_error_with_the_reasons(release: Release) -> None:
    with pytest.raises(UsageError, match="no answer is left of 108: .*difficulty is not asked for"):
        read(release, Choice(models=("googlenet",), difficulties=("hard95",)))


def test_prefixed_notes_come_first(release: Release) -> None:
    dataset = read_release(release.root, COUNT, release.train, notes_prefix=("made up",))
    assert dataset.notes[0] == "made up"


# ------------------------------------------------------------------------------------ traps


def test_trap_3_stimuli_of_a_unit_share_its_number(release: Release) -> None:
    trials = read(release).trials
    for row, name in enumerate(trials.names.tolist()):
        namespace, layer, channel, _ = name.split("/")
        base = namespace.rpartition("_")[0].partition("_hard")[0]
        assert trials.units[trials.unit[row]] == f"{base}/{layer}/{channel}"
    assert len(set(trials.units)) == len(trials.units) == 6
    assert np.bincount(trials.answers.stimulus).max() > 1


def test_trap_9_the_file_map_key_decides_the_queries(release: Release) -> None:
    dataset = read(release)
    unit = "layer1_0_conv2/36/1"
    easy = files_of(dataset, f"resnet50_natural/{unit}")
    hard = files_of(dataset, f"resnet50_hard95_natural/{unit}")
    optimized = files_of(dataset, f"resnet50_hard95_optimized/{unit}")
    assert hard[0] != easy[0]
    assert hard[1:] == easy[1:]
    assert optimized[0] == hard[0]
    assert "the file map's resnet50_hard95" in note(dataset, "say model resnet50")
    table = dataset.sections[0].tables[1][1]
    assert ("resnet50_hard95_optimized", "resnet50", "optimized", "18", "yes") in table


@pytest.mark.parametrize(
    ("namespace", "column", "value"),
    [
        ("resnet50_hard95_natural", "model", "clip-resnet50"),
        ("resnet50_hard95_natural", "model", "resnet50"),
        ("resnet50_natural", "model", "resnet50_hard95"),
        ("wide_resnet50_natural", "model", "resnet50"),
        ("googlenet_natural", "mode", "optimized"),
    ],
)
def test_trap_9_rows_that_disagree_are_refused_or_dropped(
    release: Release, namespace: str, column: str, value: str
) -> None:
    for row in release.main(namespace)[:4]:
        row[column] = value
    release.write()
    with pytest.raises(UsageError) as caught:
        read(release)
    for part in (repr(value), repr(namespace), "4 rows", str(release.csv_path), "conflicts: drop"):
        assert part in str(caught.value)
    dataset = read(release, replace(COUNT, conflicts="drop"))
    assert len(dataset.trials.answers.first) == len(release.main()) - 4
    assert "4 answers" in note(dataset, "disagree with their task_id")
    assert [row for row in dataset.sections[0].tables[1][1] if row[4] == "no"]


def test_trap_9_disagreement_elsewhere_does_not_matter(release: Release) -> None:
    release.main("googlenet_natural")[0]["model"] = "resnet50"
    release.write()
    assert read(release, Choice(models=("resnet50",))).trials


def test_a_unit_that_the_map_lacks_is_left_out_and_counted(release: Release) -> None:
    del release.file_map["resnet50_hard95"]["layer1_0_conv2/channel_36"]
    release.write()
    dataset = read(release)
    assert "18 answers to 6 stimuli" in note(dataset, "not in the file map")
    assert len(dataset.trials.answers.first) == len(release.main()) - 18
    assert not [n for n in dataset.trials.names.tolist() if "hard95" in n and "/36/" in n]
    assert "resnet50_natural/layer1_0_conv2/36/0" in dataset.trials.names


def test_trap_10_names_are_read_whole(release: Release) -> None:
    dataset = read(release, Choice(models=("resnet50",), difficulties=("easy",)))
    assert set(dataset.trials.columns["experiment"].tolist()) == {"resnet50_natural"}
    for name in LATER_EXPERIMENTS:
        found = experiment_of(name)
        assert found.name == f"{found.key}_{found.condition}"
        assert "hard" not in found.model
    assert experiment_of("resnet50-l2_natural").model == "resnet50-l2"


@given(
    model=st.from_regex(r"[a-z][a-z0-9-]{0,8}(_[a-z0-9]{1,4})?", fullmatch=True),
    hard=st.sampled_from(["", "_hard99", "_hard95", "_hard85"]),
    condition=st.sampled_from(["natural", "optimized"]),
)
def test_trap_10_any_name_is_taken_apart_and_put_together(
    model: str, hard: str, condition: str
) -> None:
    found = experiment_of(f"{model}{hard}_{condition}")
    assert (found.model, found.condition) == (model, condition)
    assert (found.difficulty, found.key) == (hard.removeprefix("_") or "easy", f"{model}{hard}")


@pytest.mark.parametrize("namespace", ["resnet50", "resnet50_hard90_natural", "../x_natural"])
def test_trap_10_a_namespace_of_another_form_names_the_line(
    release: Release, namespace: str
) -> None:
    row = release.main()[3]
    row["task_id"] = f"{namespace}-1"
    release.write()
    line = release.rows.index(row) + 2
    with pytest.raises(UsageError, match=f"responses_main.csv:{line}: task_id"):
        read(release)


def test_trap_11_optimized_stimuli_show_optimized_references(release: Release) -> None:
    dataset = read(release)
    unit = "mixed3a_1x1_pre_relu_conv/5/2"
    queries, references, opposite = files_of(dataset, f"googlenet_optimized/{unit}")
    folder = release.root / "stimuli/googlenet/mixed3a_1x1_pre_relu_conv/channel_5/optimized_images"
    assert references == [folder / f"max_{i}.png" for i in range(9)]
    assert opposite == [folder / f"min_{i}.png" for i in range(9)]
    assert queries == files_of(dataset, f"googlenet_natural/{unit}")[0]
    shown = dataset.images(dataset.trials.opposite[row_of(dataset, f"googlenet_optimized/{unit}")])
    assert shown[:, 0, 0, 0].tolist() == list(range(9, 18))


def test_trap_11_without_optimized_images_these_stimuli_are_left_out(tmp_path: Path) -> None:
    release = make_release(tmp_path, optimized=False)
    dataset = read(release)
    assert set(dataset.trials.columns["condition"].tolist()) == {"natural"}
    assert "36 answers to 12 stimuli" in note(dataset, "optimized images are not in the release")


def test_optimized_images_are_also_found_below_image_data(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    (release.root / "stimuli").rename(release.root / "image_data" / "stimuli")
    assert "optimized" in read(release).trials.columns["condition"]
    for path in release.root.rglob("optimized_images/min_8.png"):
        path.unlink()
    assert "optimized" not in read(release).trials.columns["condition"]


def test_trap_12_queries_are_no_references(release: Release) -> None:
    dataset = read(release)
    trials = dataset.trials
    for row in np.flatnonzero(trials.shown):
        references = {*trials.references[row].tolist(), *trials.opposite[row].tolist()}
        assert len(references) == 18
        assert not references & set(trials.queries[row].tolist())


def test_trap_13_the_weak_query_is_min_9(release: Release) -> None:
    dataset = read(release)
    images = release.file_map["googlenet"]["mixed4c_pool_reduce_pre_relu_conv/channel_130"]
    name = "googlenet_natural/mixed4c_pool_reduce_pre_relu_conv/130/0"
    queries, _, opposite = files_of(dataset, name)
    assert queries[1] == release.train / images["batch_0"]["min_9.png"]
    assert opposite[0] == release.train / images["batch_0"]["min_0.png"]


def test_trap_14_practice_and_catch_rows_are_no_answers(release: Release) -> None:
    demo = sum(row["is_demo"] == "True" for row in release.rows)
    catch = sum(row["catch_trial"] == "True" for row in release.rows)
    dataset = read(release)
    assert len(dataset.trials.answers.first) == len(release.rows) - demo - catch
    counts = note(dataset, "of practice")
    assert f"{catch} to catch trials and {demo} of practice" in counts
    release.main()[2]["batch"] = "-1.0"
    release.write()
    with pytest.raises(UsageError, match="batch is '-1.0', expected a whole number from 0"):
        read(release)


def test_trap_15_bools_are_read_as_such(release: Release) -> None:
    assert not read(release).trials.answers.first.all()
    row = release.rows[7]
    row["catch_trial"] = "0"
    release.write()
    with pytest.raises(UsageError, match=r"csv:9: catch_trial is '0', expected True or False"):
        read(release)


def test_trap_16_details_are_python_literals(release: Release) -> None:
    text = release.csv_path.read_text()
    assert "'correctly_answered': [True, True" in text
    with pytest.raises(json.JSONDecodeError):
        json.loads(release.rows[0]["row_variability_details"])
    assert read(release)


def test_trap_17_the_key_of_a_unit_has_a_slash(release: Release) -> None:
    units = release.file_map["resnet50"]
    assert set(units) == {"layer1_0_conv2/channel_36", "layer4_2_bn3/channel_763"}
    release.file_map["resnet50"] = {
        layer: {channel.partition("/")[2]: batches}
        for channel, batches in units.items()
        for layer in [channel.partition("/")[0]]
    }
    release.write()
    assert "resnet50_natural" not in read(release).trials.columns["experiment"]


def test_trap_18_missing_images_are_an_error_that_tells_how_to_list_them(release: Release) -> None:
    for path in (release.train / "n00000011").iterdir():
        path.unlink()
    with pytest.raises(AssetError) as caught:
        read(release, Choice())
    message = str(caught.value)
    assert f"iibench assets imi --list-images FILE --folder {release.root}" in message
    number, _, total = message.partition(" of the ")
    needed = [p for p in needed_photographs(release.root) if not (release.train / p).is_file()]
    assert int(number) == len(needed) > 3
    assert total.startswith(str(len(needed_photographs(release.root)) + 72))
    assert ", ".join(needed[:3]) + ", ..." in message


def test_trap_18_missing_images_are_counted(release: Release) -> None:
    dataset = read(release)
    trials = dataset.trials
    hidden = np.flatnonzero(~trials.shown)
    assert trials.names[hidden].tolist() == ["wide_resnet50_natural/layer2_0_shortcut/1/2"]
    assert trials.queries[hidden[0], 1] == -1
    assert trials.queries[hidden[0], 0] >= 0
    answers = int((trials.answers.stimulus == hidden[0]).sum())
    assert f"1 images are missing: 1 stimuli with {answers} answers" in note(dataset, "are missing")


def test_trap_19_grey_and_cmyk_become_rgb_and_are_counted(release: Release) -> None:
    dataset = read(release)
    assert "1 grey images, 1 CMYK images and 0 images" in note(dataset, "converted to RGB")
    for name in (GREY, CMYK):
        index = dataset.files.index(release.train / name)
        (found,) = dataset.images([index])
        with Image.open(release.train / name) as image:
            assert np.array_equal(found, published(image))
    assert dataset.images([0]).shape == (1, 224, 224, 3)


def published(image: Image.Image) -> np.ndarray[Any, Any]:
    """As the study's stimuli were made: resized, cut, then converted."""
    made = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])(image)
    return np.asarray(made.convert("RGB"))


@given(
    size=st.tuples(st.integers(8, 700), st.integers(8, 700)),
    mode=st.sampled_from(["RGB", "L", "CMYK", "P", "RGBA"]),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=40, deadline=None)
def test_trap_19_pixels_are_torchvisions(size: tuple[int, int], mode: str, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image = Image.fromarray(noise).convert(mode)
    out = io.BytesIO()
    image.save(out, "TIFF")
    assert np.array_equal(as_shown(out.getvalue()), published(image))


def test_trap_19_a_photograph_is_not_turned_by_its_orientation() -> None:
    image = Image.fromarray(
        np.arange(300 * 260 * 3, dtype=np.uint32).astype(np.uint8).reshape(300, 260, 3)
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif, quality=95)
    with Image.open(io.BytesIO(out.getvalue())) as stored:
        assert np.array_equal(as_shown(out.getvalue()), published(stored))


def test_finished_stimuli_come_before_photographs_and_stay_as_they_are(release: Release) -> None:
    release.add_finished("wide_resnet50", "layer2_0_shortcut", 1, 2)
    dataset = read(release, Choice())
    queries, _, _ = files_of(dataset, "wide_resnet50_natural/layer2_0_shortcut/1/2")
    folder = "stimuli/wide_resnet50/layer2_0_shortcut/channel_1/natural_images/batch_2"
    assert queries == [release.root / folder / f"{side}_9.png" for side in ("max", "min")]
    shown = dataset.images(dataset.trials.queries[-1])
    assert shown[:, 100, 100].tolist() == [[9, 2, 1], [19, 2, 1]]
    assert "20 finished stimuli" in note(dataset, "distinct images")
    assert MISSING not in needed_photographs(release.root)


def test_photographs_are_also_found_in_the_folders_of_the_competition(release: Release) -> None:
    elsewhere = release.root.parent / "imagenet"
    (elsewhere / "ILSVRC/Data/CLS-LOC").mkdir(parents=True)
    release.train.rename(elsewhere / "ILSVRC/Data/CLS-LOC/train")
    dataset = read_release(release.root, COUNT, image_root=elsewhere)
    assert len(dataset.trials) == 36
    nowhere = read_release(release.root, COUNT, image_root=None)
    assert nowhere.trials.shown.sum() == 0


def test_real_stimulus_images_are_shown_as_they_are(shared: Path) -> None:
    for path in sorted((shared / "data/imi_trials").rglob("*.png"))[::40]:
        with Image.open(path) as image:
            assert np.array_equal(as_shown(path.read_bytes()), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    ("drop", "add", "sentence"),
    [
        (r"hard99", "", "21 experiments of its first version"),
        ("nothing", "", "23 experiments of its later version"),
        ("googlenet", "", "19 experiments, not the 21 or 23"),
        (
            "hard99",
            "resnet50-linf_natural",
            "22 experiments.*not among those are resnet50-linf_natural",
        ),
    ],
)
def test_trap_25_the_version_is_told(tmp_path: Path, drop: str, add: str, sentence: str) -> None:
    names = [name for name in sorted(LATER_EXPERIMENTS) if drop not in name] + (
        [add] if add else []
    )
    if drop == "googlenet":
        names = [name for name in names if "hard99" not in name]
    release = make_release(tmp_path, experiments=tuple(names), optimized=False)
    dataset = read(release)
    assert len(dataset.sections[0].tables[1][1]) == len(names)
    (found,) = [n for n in dataset.notes if n.startswith("the release has")]
    assert re.search(sentence, found)


def test_trap_25_a_constant_participant_is_nobody(tmp_path: Path) -> None:
    anonymous = read(make_release(tmp_path / "a"))
    assert set(anonymous.trials.answers.participant.tolist()) == {-1}
    assert note(anonymous, "people cannot be told apart")
    release = make_release(tmp_path / "b", people=True)
    dataset = read(release)
    assert not [n for n in dataset.notes if "told apart" in n]
    people = sorted({row["participant_id"] for row in release.main()})
    expected = np.bincount([people.index(row["participant_id"]) for row in release.main()])
    assert np.array_equal(np.bincount(dataset.trials.answers.participant), expected)


def test_trap_26_people_who_failed_are_only_in_the_other_files(release: Release) -> None:
    row = release.main()[1]
    row["passed_checks"] = "False"
    release.write()
    with pytest.raises(UsageError, match="passed_checks is 'False', expected True"):
        read(release)
    release.write("all")
    dataset = read(release, Choice(responses="all", missing="count"))
    assert len(dataset.trials.answers.first) == len(release.main())
    assert note(dataset, "people who failed")
    with pytest.raises(AssetError, match="there is no .*responses_lower_quality.csv"):
        read(release, Choice(responses="lower_quality"))


def test_trap_26_nobody_took_part_twice(release: Release) -> None:
    release.main()[1]["multi_participation"] = "True"
    release.write()
    with pytest.raises(UsageError, match="multi_participation is 'True', expected False"):
        read(release)


def test_trap_27_hard_experiments_judge_the_units_of_the_easy_one(release: Release) -> None:
    dataset = read(release)
    trials = dataset.trials
    units = [
        {trials.units[trials.unit[i]] for i in np.flatnonzero(trials.columns["experiment"] == name)}
        for name in ("resnet50_natural", "resnet50_hard95_natural", "resnet50_hard95_optimized")
    ]
    assert units[0] == units[1] == units[2] != set()
    assert "count these units more than once" in note(dataset, "experiments of resnet50 judge")
    easy = read(release, Choice(difficulties=("easy",), missing="count"))
    assert not [n for n in easy.notes if "judge the same units" in n]


def test_trap_28_a_misspelt_column_is_the_right_one(release: Release) -> None:
    release.columns[39] = "row_variability_details_upper_extracted"
    release.write()
    with pytest.raises(UsageError) as caught:
        read(release)
    assert "lacks row_variability_details_details_upper_extracted" in str(caught.value)
    assert "may be 'row_variability_details_upper_extracted'" in str(caught.value)


# -------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda row: row.update(correct=str(row["correct"] == "False")), "correct is"),
        (lambda row: row.update(confidence=str(int(row["confidence"]) % 3 + 1)), "confidence is"),
        (
            lambda row: row.update(switched_queries=str(row["switched_queries"] == "False")),
            "button_pressed is .*upper row",
        ),
        (lambda row: row.update(button_pressed="6"), "button_pressed is '6', expected a whole"),
        (lambda row: row.update(choice="c"), "choice is 'c', expected a or b"),
        (lambda row: row.update(channel="1.5"), "channel is '1.5', expected a whole number"),
        (lambda row: row.update(channel=""), "channel is ''"),
        (lambda row: row.update(layer="../layer"), "layer is '../layer', expected a layer's name"),
        (lambda row: row.update(mode=""), "mode is ''"),
        (lambda row: row.update(task_id="resnet50_natural"), "task_id is .*TASKNUMBER"),
    ],
)
def test_a_row_that_cannot_be_names_file_and_line(
    release: Release, change: Callable[[dict[str, Any]], None], text: str
) -> None:
    row = release.main("resnet50_natural")[2]
    change(row)
    release.rows[0]["demo_trials_details"] = "two\nlines"  # lines are those of the file
    release.write()
    line = release.rows.index(row) + 3
    with pytest.raises(UsageError, match=f"responses_main.csv:{line}: {text}"):
        read(release)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: [*c, "extra"], "has the unknown 'extra'"),
        (lambda c: [*c[:-1], c[0]], "lacks multi_participation and has rt twice"),
        (lambda c: c[:3], "lacks confidence, choice"),
    ],
)
def test_another_header_is_told(
    release: Release, change: Callable[[list[str]], list[str]], text: str
) -> None:
    release.columns = change(release.columns)
    release.write()
    with pytest.raises(UsageError, match=f"responses_main.csv:1: the header {text}"):
        read(release)


def test_columns_in_another_order_are_the_same(release: Release) -> None:
    before = read(release).fingerprint
    release.columns = release.columns[::-1]
    release.write()
    assert read(release).fingerprint == before


@pytest.mark.parametrize("text", ["", "rt", "1,2", "\0"])
def test_a_file_that_is_no_table_of_answers(release: Release, text: str) -> None:
    release.csv_path.write_text(text)
    with pytest.raises(UsageError, match="responses_main.csv"):
        read(release)


@pytest.mark.parametrize("values", [44, 46])
def test_a_line_with_too_few_or_too_many_values(release: Release, values: int) -> None:
    lines = list(csv.reader(release.csv_path.read_text().splitlines()))
    lines[5] = [*lines[5], "x"][:values]
    with release.csv_path.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    with pytest.raises(UsageError, match="responses_main.csv"):
        read(release)
    with release.csv_path.open("w", newline="") as file:
        csv.writer(file).writerows([lines[0], *([*line, "x"][:values] for line in lines[1:])])
    with pytest.raises(UsageError, match="responses_main.csv"):
        read(release)


@pytest.mark.parametrize(
    "value",
    ["../../secret.JPEG", "/etc/passwd", "n1/../x", "a/b/c", "C:/x", "n1\\x", "n1/", 3, None],
)
def test_no_path_of_the_map_leads_out_of_imagenet(release: Release, value: object) -> None:
    release.file_map["resnet50"]["layer4_2_bn3/channel_763"]["batch_1"]["max_4.png"] = value
    release.write()
    with pytest.raises(UsageError) as caught:
        read(release)
    entry = "['resnet50']['layer4_2_bn3/channel_763']['batch_1']['max_4.png']"
    assert entry in str(caught.value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(("text", "reason"), [("{", "cannot be read as JSON"), ("[]", "is no map")])
def test_a_damaged_map(release: Release, text: str, reason: str) -> None:
    path = release.root / "image_data" / "imagenet_exemplars_file_map.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=reason):
        read(release)
    path.unlink()
    with pytest.raises(AssetError, match="there is no .*imagenet_exemplars_file_map.json"):
        read(release)


def test_a_photograph_that_is_no_image_is_named(release: Release) -> None:
    (release.train / GREY).write_text("no image")
    with pytest.raises(UsageError, match="n00000001_1.JPEG cannot be decoded: it is no image"):
        read(release)


# ---------------------------------------------------------------------------- layers' groups


@pytest.mark.parametrize(
    ("layer", "group"),
    [
        ("layer1_0_conv2", "layer1"),
        ("visual_layer3_5_bn2", "layer3"),
        ("mixed4c_pool_reduce_pre_relu_conv", "mixed4"),
        ("features_denseblock3_denselayer12_conv1", "denseblock3"),
        ("features_transition2_conv", "denseblock2"),
        ("blocks_3_mlp_fc1", "blocks_0-3"),
        ("blocks_11_ls2", "blocks_8-11"),
        ("visual_transformer_resblocks_4_ln_1", "blocks_4-7"),
        ("transformer_resblocks_4_ln_1", ""),
        ("stages_2_blocks_17", "stage2"),
        ("stages_0_blocks_1_mlp_fc1", "stage0"),
        ("conv1", ""),
    ],
)
def test_layers_belong_to_groups(layer: str, group: str) -> None:
    assert layer_group(layer) == group


# --------------------------------------------------------------------------------- the plugin


@pytest.fixture
def resources(tmp_path: Path) -> LocalResources:
    return LocalResources(tmp_path / "data", tmp_path / "cache", base_dir=tmp_path / "suite")


def test_it_is_registered_as_a_dataset_of_trials() -> None:
    spec = load_plugins((), ()).registry.datasets["imi"].spec
    assert isinstance(spec, TrialDatasetSpec)
    assert spec.assets[0].homepage == "https://zenodo.org/records/8131197"
    assert [file.sha256 for file in spec.assets[0].files] == [""]  # none was ever known


def in_data_folder(release: Release, resources: LocalResources) -> None:
    shutil.copytree(release.root, resources.data_dir / "imi")
    shutil.copytree(release.train, resources.data_dir / "imagenet" / "train")


def test_the_release_is_found_in_the_data_folder_beside_the_suite_and_anywhere(
    release: Release, resources: LocalResources
) -> None:
    expected = read(release)
    absolute = Params(missing="count", path=str(release.root), imagenet=str(release.train))
    assert load(absolute, "all", resources).fingerprint == expected.fingerprint
    in_data_folder(release, resources)
    assert load(Params(missing="count"), "all", resources).fingerprint == expected.fingerprint
    resources.data_dir.rename(resources.base_dir)
    assert load(Params(missing="count"), "all", resources).fingerprint == expected.fingerprint


def test_a_release_that_lies_deeper_is_found(release: Release, resources: LocalResources) -> None:
    shutil.copytree(release.root, resources.data_dir / "imi" / "unpacked")
    found = load(Params(missing="count", imagenet=str(release.train)), "all", resources)
    assert found.fingerprint == read(release).fingerprint


def test_a_release_that_is_not_there(resources: LocalResources) -> None:
    with pytest.raises(AssetError) as caught:
        load(Params(), "all", resources)
    for part in (
        str(resources.data_dir / "imi"),
        str(resources.base_dir / "imi"),
        "Zenodo record 8131197",
        "iibench assets fetch imi",
        "human_responses/responses_main.csv",
    ):
        assert part in str(caught.value)


def test_hashes_are_remembered_between_runs(
    release: Release, resources: LocalResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = Params(missing="count", path=str(release.root), imagenet=str(release.train))
    before = load(params, "all", resources)
    monkeypatch.setattr(_imi_hashes, "_KNOWN", {})
    read_bytes = Path.read_bytes
    images: list[Path] = []

    def counted(path: Path) -> bytes:
        if path.suffix in {".png", ".JPEG"}:
            images.append(path)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    assert load(params, "all", resources).fingerprint == before.fingerprint
    assert images == []
    Image.new("RGB", (40, 50), "red").save(release.train / GREY, "JPEG")
    assert load(params, "all", resources).fingerprint != before.fingerprint
    assert images == [release.train / GREY]
    (resources.cache_dir / "derived" / "imi_hashes.json").write_text("damaged")
    monkeypatch.setattr(_imi_hashes, "_KNOWN", {})
    assert len(load(params, "all", resources)) == len(before)
    assert len(images) == len(before) + 1


def test_the_photographs_that_are_needed_are_listed(
    release: Release, resources: LocalResources, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    in_data_folder(release, resources)
    shown = {
        release.file_map[key][f"{row['layer']}/channel_{float(row['channel']):.0f}"][
            f"batch_{float(row['batch']):.0f}"
        ][name]
        for row in release.main()
        for key in [row["task_id"].rpartition("_")[0]]
        for name in (
            ["max_9.png", "min_9.png"]
            if row["mode"] == "optimized"
            else [f"{side}_{i}.png" for side, i in itertools.product(("max", "min"), range(10))]
        )
    }
    arguments = ["assets", "imi", "--list-images"]
    folders = ["--data-dir", str(resources.data_dir), "--cache-dir", str(resources.cache_dir)]
    assert run_program([*arguments, *folders]) == 0
    assert capsys.readouterr().out.splitlines() == sorted(shown)
    assert (
        not [name for name in shown if name in str(release.file_map["googlenet_hard85"])] or shown
    )
    target = tmp_path / "list.txt"
    elsewhere = ["--folder", str(release.root), "--data-dir", str(tmp_path / "none")]
    assert run_program([*arguments, str(target), *elsewhere]) == 0
    assert target.read_text().splitlines() == sorted(shown)
    assert run_program([*arguments, "--data-dir", str(tmp_path / "none")]) == 4
    assert "iibench assets fetch imi" in capsys.readouterr().err


def test_a_stimulus_without_answers_needs_no_photographs(release: Release) -> None:
    whole = needed_photographs(release.root)
    release.rows = [row for row in release.rows if row["model"] != "wide_resnet50"]
    release.write()
    fewer = needed_photographs(release.root)
    assert set(fewer) < set(whole)
    assert MISSING in whole
    assert MISSING not in fewer
    release.rows = []
    release.write()
    assert needed_photographs(release.root) == []


def test_experiments_of_the_generator_are_the_ones_here(release: Release) -> None:
    assert set(read(release).trials.columns["experiment"].tolist()) == set(EXPERIMENTS)
