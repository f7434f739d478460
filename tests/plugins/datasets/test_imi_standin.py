"""datasets/imi_standin: the synthetic release has the study's layout, and a truth that is as stated."""

from __future__ import annotations

import ast
import csv
import dataclasses
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score
from torchvision import transforms

import iibench
from iibench.assets.local import LocalResources
from iibench.cache.entries import Cache
from iibench.compute.similarity.within_trials import TrialMetric, trial_similarities
from iibench.contract.errors import AssetError, UsageError
from iibench.contract.specs import Harness
from iibench.contract.trials import TrialDatasetSpec, TrialSimilarities
from iibench.hooks.loading import load_plugins
from iibench.stages.harness import LocalHarness
from iibench.statistics.observers import margin_eq2, margin_two_sided
from iibench_plugins.datasets._trials.files import FileTrials
from iibench_plugins.datasets.imi.pixels import as_shown
from iibench_plugins.datasets.imi.standin import load, release_folder
from iibench_plugins.datasets.imi.standin.files import truth
from iibench_plugins.datasets.imi.standin.params import Params
from tests.plugins.datasets.imi_release import COLUMNS, SIDES, make_release

SMALL = Params(
    images="photo_patches[n=300]",
    layers=("layer1.0.conv2", "layer2.0.conv1"),
    units=6,
    batches=4,
    answers=8,
    size=32,
)
LABEL = (
    'imi_standin[images="photo_patches[n=300]",layers=layer1.0.conv2+layer2.0.conv1,units=6,'
    "batches=4,answers=8,size=32]"
)
EXPERIMENTS = [
    "standin_a_natural",
    "standin_a_optimized",
    "standin_a_hard95_natural",
    "standin_a_hard95_optimized",
    "standin_b_natural",
]


def harness_in(folder: Path) -> Harness:
    resources = LocalResources(folder / "data", folder / "cache", base_dir=folder)
    return LocalHarness(load_plugins().registry, resources, Cache(folder / "cache"))


@dataclasses.dataclass(frozen=True)
class Made:
    """One stand-in, as it lies on disk and as it is loaded."""

    harness: Harness
    folder: Path
    dataset: FileTrials
    rows: list[dict[str, str]]
    file_map: dict[str, Any]

    def main(self, namespace: str | None = None) -> list[dict[str, str]]:
        return [
            row
            for row in self.rows
            if row["is_demo"] == row["catch_trial"] == "False"
            and namespace in {None, row["task_id"].rpartition("-")[0]}
        ]

    def similarities(self) -> TrialSimilarities:
        chosen = self.harness.metric("color")
        (found,) = trial_similarities(TrialMetric(chosen.spec, chosen.metric, None), self.dataset)
        return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    harness = harness_in(tmp_path_factory.mktemp("standin"))
    folder = release_folder(SMALL, harness)
    with (folder / "human_responses" / "responses_main.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        assert reader.fieldnames == COLUMNS
    text = (folder / "image_data" / "imagenet_exemplars_file_map.json").read_text()
    return Made(harness, folder, load(SMALL, "all", harness), rows, json.loads(text))


# ---------------------------------------------------------------------------------- layout


def test_rows_are_as_the_study_recorded_them(made: Made) -> None:
    for row in made.rows:
        button = int(row["button_pressed"])
        assert (row["correct"] == "True") == (row["choice"] == "b")
        assert int(row["confidence"]) == button % 3 + 1
        assert (button < 3) == ((row["choice"] == "a") != (row["switched_queries"] == "True"))
        assert row["passed_checks"] == "True"
        assert row["multi_participation"] == "False"
        if row["is_demo"] == "True":
            assert {row[c] for c in ("batch", "channel", "layer", "mode", "model")} == {""}
            assert int(row["corrected_trial_index"]) < 0
        elif row["catch_trial"] == "True":
            assert (row["batch"], row["model"]) == ("-1.0", "catch/manual")
        else:
            assert row["batch"] in {f"{batch}.0" for batch in range(4)}


def test_a_submission_has_practice_main_and_catch_rows_and_one_summary(made: Made) -> None:
    tasks: dict[str, list[dict[str, str]]] = {}
    for row in made.rows:
        tasks.setdefault(row["task_id"], []).append(row)
    assert len({rows[0]["participant_id"] for rows in tasks.values()}) == len(tasks)
    for rows in tasks.values():
        shown = [row for row in rows if row["is_demo"] == "False"]
        main = [row for row in shown if row["catch_trial"] == "False"]
        assert len({(row["layer"], row["channel"]) for row in main}) == len(main) == 6
        assert len(shown) == 11
        assert [int(row["corrected_trial_index"]) for row in shown] == list(range(11))
        for column in COLUMNS[26:]:
            assert len({row[column] for row in rows}) == 1, column
        rows_used = ast.literal_eval(shown[0]["row_variability_details"])
        upper = sum(int(row["button_pressed"]) < 3 for row in shown)
        assert rows_used == {"n_upper_row": upper, "n_lower_row": 11 - upper}
        caught = ast.literal_eval(shown[0]["catch_trials_details"])["correctly_answered"]
        assert sum(caught) == sum(
            row["correct"] == "True" for row in shown if row["catch_trial"] == "True"
        )
        assert sum(caught) >= 4
        demo = [row for row in rows if row["is_demo"] == "True"]
        assert len(demo) == 5 * int(demo[0]["demo_trials_details_extracted"])
        assert all(row["correct"] == "True" for row in demo[-5:])


def test_experiments_come_one_after_the_other_practice_first(made: Made) -> None:
    names = [row["task_id"].rpartition("-")[0] for row in made.rows]
    assert list(dict.fromkeys(names)) == EXPERIMENTS
    for name in EXPERIMENTS:
        demo = [r["is_demo"] for r, n in zip(made.rows, names, strict=True) if n == name]
        assert demo == sorted(demo, reverse=True)
        tasks = [r["task_number"] for r in made.main(name)]
        assert list(dict.fromkeys(tasks)) == sorted(set(tasks))


def test_hard_optimized_rows_bear_the_base_model(made: Made) -> None:
    columns = {name: {row["model"] for row in made.main(name)} for name in EXPERIMENTS}
    assert columns == {
        "standin_a_natural": {"standin_a"},
        "standin_a_optimized": {"standin_a"},
        "standin_a_hard95_natural": {"standin_a_hard95"},
        "standin_a_hard95_optimized": {"standin_a"},
        "standin_b_natural": {"standin_b"},
    }


def test_every_natural_stimulus_has_20_images_and_one_photograph_is_missing(made: Made) -> None:
    missing = set()
    for row in made.main():
        key = row["task_id"].rpartition("_")[0]
        unit = f"{row['layer']}/channel_{float(row['channel']):.0f}"
        images = made.file_map[key][unit][f"batch_{float(row['batch']):.0f}"]
        assert sorted(images) == sorted(f"{side}.png" for side in SIDES)
        assert len(set(images.values())) == 20
        missing |= {i for i in images.values() if not (made.folder / "train" / i).is_file()}
        if row["mode"] == "optimized":
            channel = made.folder / "stimuli" / "standin_a" / unit / "optimized_images"
            assert len(list(channel.iterdir())) == 18
    assert len(missing) == 1
    assert 0 < (~made.dataset.trials.shown).sum() < 10
    modes = Counter(Image.open(file).mode for file in (made.folder / "train").rglob("*.JPEG"))
    assert modes == {"RGB": 297, "L": 1, "CMYK": 1}
    assert "standin_b_hard95" in made.file_map  # without answers


def test_images_are_ranked_by_the_units_activation(made: Made) -> None:
    tops: dict[str, list[float]] = {}
    for layer in SMALL.layers:
        activations = made.harness.activations(SMALL.images, None, SMALL.model, layer)
        for key, units in made.file_map.items():
            for unit, batches in units.items():
                name, channel = unit.split("/channel_")
                if name != layer.replace(".", "_"):
                    continue
                values = activations[:, int(channel)].astype(float)
                ranked = np.sort(values)
                references = []
                for images in batches.values():
                    act = {
                        side.removesuffix(".png"): values[int(path[:-5].rpartition("_")[2])]
                        for side, path in images.items()
                    }
                    strong = [act[f"max_{i}"] for i in range(9)]
                    weak = [act[f"min_{i}"] for i in range(9)]
                    assert strong == sorted(strong)
                    assert weak == sorted(weak, reverse=True)
                    assert act["max_9"] <= strong[0]
                    assert act["min_9"] >= weak[0]
                    references += strong
                    tops.setdefault(key, []).append(float((ranked < act["max_9"]).mean()))
                assert np.allclose(np.sort(references), ranked[-len(references) :])
    assert np.mean(tops["standin_a"]) > np.mean(tops["standin_a_hard95"]) + 0.1


def test_one_group_has_a_single_class(made: Made) -> None:
    trials = made.dataset.trials
    answers = trials.answers
    columns = {name: values[answers.stimulus] for name, values in trials.columns.items()}
    classes = {
        (experiment, layers): set(
            answers.first[
                (columns["experiment"] == experiment)
                & (columns["layers"] == layers)
                & (answers.confidence == 3)
            ].tolist()
        )
        for experiment in EXPERIMENTS
        for layers in ("layer1", "layer2")
    }
    assert [group for group, found in classes.items() if found == {True}] == [
        ("standin_b_natural", "layer2")
    ]
    assert all(
        len(found) == 2 for group, found in classes.items() if group[0] != "standin_b_natural"
    )


# ----------------------------------------------------------------------------------- truth


def test_the_truth_is_the_margin_of_the_observer(made: Made) -> None:
    trials = made.dataset.trials
    with (made.folder / "truth.csv").open(newline="") as file:
        margin = {row["stimulus"]: float(row["margin"]) for row in csv.DictReader(file)}
    found = made.similarities()
    expected = margin_two_sided(found.references, found.opposite, "max")
    stated = np.array([margin[name] for name in trials.names.tolist()])
    assert len(margin) == len(trials)
    np.testing.assert_allclose(stated[trials.shown], expected[trials.shown], atol=1e-6)
    # p is a logistic function of it, with the mean that was asked for
    known = truth(made.folder)
    p = np.array([known[name] for name in trials.names.tolist()])
    easy = (trials.columns["condition"] == "natural") & (trials.columns["difficulty"] == "easy")
    shift = logit((p - 0.01) / 0.98) - stated / stated[easy].std()
    np.testing.assert_allclose(shift, shift[0], atol=1e-8)
    assert p[easy].mean() == pytest.approx(0.83, abs=1e-9)
    np.testing.assert_allclose(p, 0.98 * expit(stated / stated[easy].std() + shift[0]) + 0.01)


def test_answers_are_drawn_from_the_truth(made: Made) -> None:
    trials = made.dataset.trials
    known = truth(made.folder)
    p = np.array([known[name] for name in trials.names.tolist()])
    n = np.bincount(trials.answers.stimulus)
    right = np.bincount(trials.answers.stimulus, trials.answers.first)
    assert (n == 8).all()
    variance = n * p * (1 - p)
    assert abs((right - n * p).sum()) < 4 * np.sqrt(variance.sum())
    # Pearson's statistic: its mean is the number of stimuli, its variance that of binomial counts
    statistic = ((right - n * p) ** 2 / variance).sum()
    deviation = np.sqrt((2 + (1 / (p * (1 - p)) - 6) / n).sum())
    assert abs(statistic - len(trials)) < 4 * deviation
    # they do vary with p: a constant probability fits far worse
    constant = right.sum() / n.sum()
    wrong = ((right - n * constant) ** 2 / (n * constant * (1 - constant))).sum()
    assert wrong > len(trials) + 4 * np.sqrt(2 * len(trials))


def test_the_observer_that_answered_predicts_best(made: Made) -> None:
    trials = made.dataset.trials
    found = made.similarities()
    margin = margin_two_sided(found.references, found.opposite, "max")
    seen = trials.shown[trials.answers.stimulus]
    stimulus, first = trials.answers.stimulus[seen], trials.answers.first[seen]
    own = roc_auc_score(first, margin[stimulus])
    shuffled = np.random.default_rng(0).permutation(margin[trials.shown])
    other = np.full(len(trials), np.nan)
    other[trials.shown] = shuffled
    assert own > roc_auc_score(first, other[stimulus]) + 0.1
    assert own > roc_auc_score(first, margin_eq2(found.references)[stimulus])
    # the table's ceiling is about what it reaches
    table = {row[0]: row for row in made.dataset.sections[0].tables[0][1]}
    assert own == pytest.approx(float(table["all"][5]), abs=0.05)
    assert int(table["all"][2].replace(",", "")) == len(first)


def test_confidence_rises_with_the_margin(made: Made) -> None:
    trials = made.dataset.trials
    with (made.folder / "truth.csv").open(newline="") as file:
        size = {row["stimulus"]: abs(float(row["margin"])) for row in csv.DictReader(file)}
    sizes = np.array([size[name] for name in trials.names.tolist()])[trials.answers.stimulus]
    means = [sizes[trials.answers.confidence == level].mean() for level in (1, 2, 3)]
    assert means == sorted(means)


# --------------------------------------------------------------------------- as a dataset


def test_it_says_that_it_is_synthetic(made: Made) -> None:
    first = made.dataset.notes[0]
    assert first.startswith("SYNTHETIC")
    for told in ("color", "two_sided", "noise 1", "lapse 0.02"):
        assert told in first
    assert (made.folder / "README.txt").read_text().startswith("SYNTHETIC")
    assert made.dataset.sections[0].title.startswith("SYNTHETIC")
    spec = load_plugins().registry.datasets["imi_standin"].spec
    assert isinstance(spec, TrialDatasetSpec)
    assert "SYNTHETIC" in spec.summary


def test_the_label_names_the_same_data_which_are_made_once(made: Made) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}
    assert made.harness.images(LABEL).fingerprint == made.dataset.fingerprint
    assert {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")} == before
    chosen = dataclasses.replace(SMALL, models=("standin_b",), confidences=(3,))
    assert release_folder(chosen, made.harness) == made.folder
    fewer = load(chosen, "all", made.harness)
    assert set(fewer.trials.columns["model"].tolist()) == {"standin_b"}
    assert set(fewer.trials.answers.confidence.tolist()) == {3}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_the_seed_decides_everything(made: Made, tmp_path: Path) -> None:
    again = release_folder(SMALL, harness_in(tmp_path))
    assert contents(again) == contents(made.folder)
    other = release_folder(dataclasses.replace(SMALL, release_seed=1), made.harness)
    units = {key: set(found) for key, found in made.file_map.items()}
    text = (other / "image_data" / "imagenet_exemplars_file_map.json").read_text()
    assert units != {key: set(found) for key, found in json.loads(text).items()}


@pytest.mark.slow
def test_a_run_reports_agreement_with_it(tmp_path: Path) -> None:
    suite = tmp_path / "suite.yaml"
    params = json.dumps(dataclasses.asdict(SMALL) | {"name": "imi_standin"})
    suite.write_text(
        f'iibench: "1"\nname: standin\ndataset: {params}\nmetrics: [color]\nevaluations: [human]\n'
    )
    run = iibench.run(suite, device="cpu", output=tmp_path / "out", cache_dir=tmp_path / "cache")
    assert {case.status for case in run.reports} == {"passed"}
    (label,) = run.meta["datasets"]
    assert label.startswith("imi_standin[")
    assert "observer=color" in label


# ---------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"observer": "color[0]"}, "part of color"),
        ({"observer": "lpips[net=vg]"}, "expected alex"),
        ({"observer": "colour"}, "color"),
        ({"batches": 7}, "at least 350"),
        ({"units": 200}, "of its 64 neurons"),
        ({"accuracy": 0.995}, "between 0.01 and 0.99"),
    ],
)
def test_what_cannot_be_had_is_said(made: Made, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        release_folder(dataclasses.replace(SMALL, **changes), made.harness)
    assert not list(made.folder.parent.glob(".new-*"))


def test_truth_of_no_stand_in(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"truth\.csv"):
        truth(tmp_path)
    (tmp_path / "truth.csv").write_text("stimulus,q\na,1\n")
    with pytest.raises(UsageError, match="stimulus and p"):
        truth(tmp_path)


# --------------------------------------------------------------- the size of trials' images


@pytest.mark.parametrize(("size", "shorter"), [(64, 73), (100, 114), (224, 256)])
def test_another_size_scales_the_studys_pixels(size: int, shorter: int) -> None:
    noise = np.random.default_rng(0)
    image = Image.fromarray(noise.integers(0, 256, (90, 130, 3), np.uint8))
    out = io.BytesIO()
    image.save(out, "PNG")
    expected = transforms.CenterCrop(size)(transforms.Resize(shorter)(image))
    assert np.array_equal(as_shown(out.getvalue(), size), np.asarray(expected))
    finished = image.resize((size, size))
    out = io.BytesIO()
    finished.save(out, "PNG")
    assert np.array_equal(as_shown(out.getvalue(), size), np.asarray(finished))


def test_a_release_is_read_at_another_size(tmp_path: Path) -> None:
    from iibench_plugins.datasets.imi.release import Choice, read_release

    release = make_release(tmp_path)
    small, usual = (
        read_release(release.root, choice, release.train)
        for choice in (Choice(missing="count", size=48), Choice(missing="count"))
    )
    natural = small.trials.queries[small.trials.columns["condition"] == "natural"][0]
    assert small.images(natural).shape == (2, 48, 48, 3)
    assert usual.images(natural).shape == (2, 224, 224, 3)
    assert small.fingerprint != usual.fingerprint
