"""The dataset borowski: published counts from stimuli and answers alone, and rows that are refused."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iibench.assets.local import LocalResources
from iibench.contract.errors import AssetError, UsageError
from iibench.contract.trials import TrialDatasetSpec
from iibench_plugins.datasets import borowski

SPEC: Any = next(iter(borowski.iibench_register_datasets()))
EVERYTHING = {"trial_types": ("main", "practice", "repeated"), "catch": "include"}

#: experiment, trial type, instructions, catch -> answers, correct ones
COUNTS = {
    ("I", "main", "natural", "False"): (450, 415),
    ("I", "main", "optimized", "False"): (450, 369),
    ("I", "main", "none_pre", "False"): (226, 101),
    ("I", "main", "none_post", "False"): (224, 93),
    ("I", "main", "natural", "True"): (90, 89),
    ("I", "main", "optimized", "True"): (90, 89),
    ("I", "practice", "natural", "False"): (50, 46),
    ("I", "practice", "optimized", "False"): (50, 37),
    ("I", "practice", "none_pre", "False"): (50, 27),
    ("I", "repeated", "natural", "False"): (60, 57),
    ("I", "repeated", "optimized", "False"): (60, 50),
    ("I", "repeated", "none_pre", "False"): (32, 21),
    ("I", "repeated", "none_post", "False"): (28, 22),
    ("II", "main", "natural", "False"): (1840, 1512),
    ("II", "main", "optimized", "False"): (1840, 1286),
    ("II", "main", "natural", "True"): (368, 360),
    ("II", "main", "optimized", "True"): (368, 363),
    ("II", "practice", "natural", "False"): (276, 222),
    ("II", "practice", "optimized", "False"): (276, 200),
}
#: instructions, condition -> correct of 460 answers of experiment II
BY_CONDITION = {
    ("natural", "Max-1"): 336,
    ("natural", "Max-9"): 373,
    ("natural", "Min-Max-1"): 385,
    ("natural", "Min-Max-9"): 418,
    ("optimized", "Max-1"): 300,
    ("optimized", "Max-9"): 307,
    ("optimized", "Min-Max-1"): 349,
    ("optimized", "Min-Max-9"): 330,
}
#: instructions, expertise -> answers, correct ones of experiment II
BY_EXPERTISE = {
    ("natural", "expert"): (800, 667),
    ("natural", "naive"): (1040, 845),
    ("optimized", "expert"): (800, 564),
    ("optimized", "naive"): (1040, 722),
}
#: experiment, instructions, confidence -> answers, correct ones
BY_CONFIDENCE = {
    ("I", "natural", 1): (58, 45),
    ("I", "natural", 2): (112, 97),
    ("I", "natural", 3): (280, 273),
    ("I", "optimized", 1): (155, 111),
    ("I", "optimized", 2): (162, 131),
    ("I", "optimized", 3): (133, 127),
    ("II", "natural", 1): (446, 310),
    ("II", "natural", 2): (627, 492),
    ("II", "natural", 3): (767, 710),
    ("II", "optimized", 1): (662, 431),
    ("II", "optimized", 2): (732, 514),
    ("II", "optimized", 3): (446, 341),
}


def load(data: Path, base: Path | None = None, **params: Any) -> Any:
    resources = LocalResources(data, data / "cache", base_dir=base or data, offline=True)
    return SPEC.load(SPEC.params(**params), "all", resources)


def per_answer(dataset: Any, name: str) -> Any:
    """A stimulus's attribute, for each answer."""
    return dataset.trials.columns[name][dataset.trials.answers.stimulus]


def tally(dataset: Any, where: Any) -> tuple[int, int]:
    answers = dataset.trials.answers
    return int(answers.count[where].sum()), int(answers.count[where & answers.first].sum())


# ------------------------------------------------------------------------- the real answers


@pytest.mark.shared
def test_every_published_count(shared: Path) -> None:
    dataset = load(shared / "data", **EVERYTHING)
    names = ("experiment", "trial_type", "instructions", "catch")
    rows = np.array([per_answer(dataset, name) for name in names]).T
    found = {
        tuple(key): tally(dataset, (rows == key).all(axis=1))
        for key in np.unique(rows, axis=0).tolist()
    }
    assert found == COUNTS


@pytest.mark.shared
def test_counts_by_condition_expertise_and_confidence(shared: Path) -> None:
    dataset = load(shared / "data")
    experiment = per_answer(dataset, "experiment")
    instructions = per_answer(dataset, "instructions")
    condition = per_answer(dataset, "condition")
    expertise = dataset.trials.answers.columns["expertise"]
    confidence = dataset.trials.answers.confidence
    for (kind, name), correct in BY_CONDITION.items():
        assert tally(dataset, (instructions == kind) & (condition == name)) == (460, correct)
    for (kind, name), expected in BY_EXPERTISE.items():
        assert tally(dataset, (instructions == kind) & (expertise == name)) == expected
    for (which, kind, level), expected in BY_CONFIDENCE.items():
        chosen = (experiment == which) & (instructions == kind) & (confidence == level)
        assert tally(dataset, chosen) == expected
    assert set(condition[experiment == "I"]) == set(expertise[experiment == "I"]) == {""}


@pytest.mark.shared
@pytest.mark.parametrize(
    ("experiment", "people", "each", "units"), [("I", 10, 135, 45), ("II", 23, 160, 20)]
)
def test_people_and_units(
    shared: Path, experiment: str, people: int, each: int, units: int
) -> None:
    trials = load(shared / "data", experiments=(experiment,)).trials
    _, counts = np.unique(trials.answers.participant, return_counts=True)
    assert counts.tolist() == [each] * people
    assert len(trials.units) == units
    assert all(name.startswith(f"{experiment}/layer_") for name in trials.units)


@pytest.mark.shared
def test_a_stimulus_is_one_pair_of_queries(shared: Path) -> None:
    """In experiment II a batch number recurs in several blocks, with other images."""
    folder = shared / "data" / "borowski2020"
    seen: set[tuple[str, ...]] = set()
    for experiment, name in borowski.TRIAL_FILES.items():
        with (folder / name).open(newline="") as file:
            for row in csv.DictReader(file):
                pair = sorted((row["query_image_a"], row["query_image_b"]))
                more = (row["trial_type"], row["instr_type"], row["catch_trial"])
                seen.add((experiment, *more, row.get("condition_name", ""), *pair))
    trials = load(shared / "data", **EVERYTHING).trials
    assert len(trials) == len(set(trials.names)) == len(seen)


@pytest.mark.shared
def test_what_is_kept_is_said(shared: Path) -> None:
    dataset = load(shared / "data")
    text = "\n".join(dataset.notes)
    assert "experiment I: 1,350 of 1,860 answers kept, of 10 people" in text
    assert "180 in catch trials, 150 in practice trials, 180 in repeated trials" in text
    assert "experiment II: 3,680 of 4,968 answers kept, of 23 people" in text
    assert text.count("a response time of 0 s or less in 1 of all answers") == 2
    ratings = dataset.sections[1].tables[0][1]
    assert [row[:2] for row in ratings] == [
        ("I, before", "30"),
        ("II, before", "69"),
        ("II, after", "69"),
    ]
    rows = list(
        csv.DictReader(
            (shared / "data/borowski2020" / borowski.INTUITIVENESS_FILES["II, after"]).open()
        )
    )
    assert ratings[2][2] == f"{np.mean([int(row['rating']) for row in rows]):.2f}"


# ----------------------------------------------------------------------------- made-up answers

ROW_I = {
    "": "0",
    "subject_id": "5",
    "instr_type": "natural",
    "trial_type": "main",
    "catch_trial": "False",
    "batch": "3",
    "layer": "layer_2",
    "kernel_size": "1",
    "channel": "channel_0",
    "query_order": "max_min",
    "correct": "True",
    "conf_rating": "-2",
    "abs_conf_rating": "2",
    "RT": "1.5",
    "timeout": "False",
    "response": "a",
    "correct_response": "a",
    "query_image_a": "../x/natural_images/batch_3/max_9.png",
    "query_image_b": "../x/natural_images/batch_3/min_0.png",
    "unit_name": "4a, 3x3 ",
}
ROW_II = {**ROW_I, "batch_block": "d", "condition_name": "Max-9", "expert_level": "naive"}
SWITCHED = {
    "query_order": "min_max",
    "correct_response": "b",
    "query_image_a": ROW_I["query_image_b"],
    "query_image_b": ROW_I["query_image_a"],
}
WRONG = {**SWITCHED, "correct": "False"}


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def made(
    tmp_path: Path, *changes: dict[str, str], second: list[dict[str, str]] | None = None
) -> Path:
    folder = tmp_path / "borowski2020"
    write(folder / borowski.TRIAL_FILES["I"], [{**ROW_I, **change} for change in changes])
    write(folder / borowski.TRIAL_FILES["II"], [{**ROW_II, **c} for c in second or [{}]])
    return tmp_path


def test_stimuli_answers_and_shapes(tmp_path: Path) -> None:
    made(
        tmp_path,
        {},
        {"subject_id": "7", **WRONG},
        {"batch": "4"},
        second=[{}, {"batch_block": "e"}],
    )
    dataset = load(tmp_path)
    trials, answers = dataset.trials, dataset.trials.answers
    assert isinstance(SPEC, TrialDatasetSpec)
    assert trials.has_truth
    assert len(trials) == 4
    assert answers.stimulus.tolist() == [0, 0, 1, 2, 3]
    assert answers.first.tolist() == [True, False, True, True, True]
    assert answers.confidence.tolist() == [2] * 5
    assert answers.participant.tolist() == [0, 1, 0, 2, 2]
    assert answers.columns["expertise"].tolist() == ["", "", "", "naive", "naive"]
    assert trials.columns["unit_name"].tolist() == ["4a, 3x3"] * 4
    assert trials.units == ("I/layer_2/1/channel_0", "II/layer_2/1/channel_0")
    assert trials.unit.tolist() == [0, 0, 1, 1]
    assert trials.queries.shape == (4, 2)
    assert trials.references.shape == trials.opposite.shape == (4, 0)
    assert not trials.shown.any()
    assert (len(dataset), dataset.image_size, dataset.labels) == (0, (1, 1), None)
    assert len(dataset.fingerprint) == 64


def test_choice_of_trials(tmp_path: Path) -> None:
    made(
        tmp_path,
        {},
        {"catch_trial": "True"},
        {"trial_type": "practice"},
        {"trial_type": "repeated"},
    )

    def kinds(**params: Any) -> list[tuple[str, str]]:
        columns = load(tmp_path, experiments=("I",), **params).trials.columns
        return list(zip(columns["trial_type"].tolist(), columns["catch"].tolist(), strict=True))

    assert kinds() == [("main", "False")]
    assert kinds(catch="include") == [("main", "False"), ("main", "True")]
    assert kinds(catch="only") == [("main", "True")]
    assert kinds(trial_types=("practice", "repeated")) == [
        ("practice", "False"),
        ("repeated", "False"),
    ]


def test_people_keep_their_number_whatever_is_kept(tmp_path: Path) -> None:
    made(tmp_path, {"trial_type": "practice"}, {"subject_id": "9"})
    assert load(tmp_path, experiments=("I",)).trials.answers.participant.tolist() == [1]


def test_fingerprint_follows_the_answers(tmp_path: Path) -> None:
    before = load(made(tmp_path / "a", {})).fingerprint
    assert load(made(tmp_path / "b", {})).fingerprint == before
    assert load(made(tmp_path / "c", WRONG)).fingerprint != before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"correct": "False"}, "correct is 'False'; expected True: response a, right a"),
        ({"conf_rating": "2"}, "conf_rating is '2'; expected the sign of response a"),
        ({"conf_rating": "4"}, "conf_rating is '4'; expected -3 or -2"),
        ({"abs_conf_rating": "3"}, "abs_conf_rating is '3'; expected 2"),
        ({"timeout": "True"}, "timeout is 'True'"),
        ({"timeout": "1"}, "timeout is '1'; expected True or False"),
        ({"catch_trial": "no"}, "catch_trial is 'no'; expected True or False"),
        ({"query_order": "min_max"}, "correct_response is 'a'; expected the side of the max query"),
        ({"query_image_a": "x/min_0.png"}, "query_image_a is 'x/min_0.png'"),
        ({"RT": "nan"}, "RT is 'nan'; expected a number of seconds"),
        ({"RT": ""}, "RT is ''; expected a number of seconds"),
        ({"instr_type": "synthetic"}, "instr_type is 'synthetic'; expected natural or optimized"),
    ],
)
def test_rows_that_contradict_themselves(tmp_path: Path, change: dict[str, str], says: str) -> None:
    made(tmp_path, {}, change)
    with pytest.raises(UsageError) as error:
        load(tmp_path)
    assert f"{borowski.TRIAL_FILES['I']}:3: " in str(error.value)
    assert says in str(error.value)


def test_damaged_files(tmp_path: Path) -> None:
    path = made(tmp_path, {}) / "borowski2020" / borowski.TRIAL_FILES["I"]
    sound = path.read_text()
    for text, says in [
        ("", "has no row"),
        (sound.replace("subject_id", "subjectid", 1), "no column subject_id; found: .*nearest"),
        (sound.replace("timeout", "RT", 1), "two columns called 'RT'"),
        (sound + "1,2\n", ":3: 2 cells; expected 20"),
        (sound + '"open\n', "csv:3: "),
    ]:
        path.write_text(text)
        with pytest.raises(UsageError, match=says):
            load(tmp_path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        load(tmp_path)


def test_missing_folder_and_files(tmp_path: Path) -> None:
    with pytest.raises(AssetError) as error:
        load(tmp_path)
    for expected in (
        "bethgelab/testing_visualizations",
        *borowski.TRIAL_FILES.values(),
        "put it at",
    ):
        assert expected in str(error.value)
    made(tmp_path, {})
    (tmp_path / "borowski2020" / borowski.TRIAL_FILES["II"]).unlink()
    with pytest.raises(AssetError, match="experiment_II_main.*testing_visualizations"):
        load(tmp_path)
    assert len(load(tmp_path, experiments=("I",)).trials) == 1


def test_where_the_folder_is_looked_for(tmp_path: Path) -> None:
    made(tmp_path / "data", {})
    made(tmp_path / "suite", {}, {"batch": "8"})
    sizes = [
        len(load(tmp_path / "data", base, experiments=("I",), **params).trials)
        for base, params in [
            (tmp_path / "suite", {}),
            (tmp_path / "elsewhere", {}),
            (tmp_path / "elsewhere", {"path": str(tmp_path / "suite" / "borowski2020")}),
        ]
    ]
    assert sizes == [2, 1, 2]


def test_unknown_names_and_nothing_left(tmp_path: Path) -> None:
    made(tmp_path, {})
    with pytest.raises(UsageError, match="unknown experiment 'III'; nearest: II"):
        load(tmp_path, experiments=("III",))
    with pytest.raises(UsageError, match="unknown trial type 'repeat'; nearest: repeated"):
        load(tmp_path, trial_types=("repeat",))
    with pytest.raises(UsageError, match="none of the 2 answers .* catch: only"):
        load(tmp_path, catch="only")


def test_ratings_are_checked(tmp_path: Path) -> None:
    made(tmp_path, {})
    path = tmp_path / "borowski2020" / borowski.INTUITIVENESS_FILES["I, before"]
    write(path, [{"rating": "-20"}, {"rating": "50"}])
    assert load(tmp_path).sections[1].tables[0][1] == (("I, before", "2", "15.00"),)
    write(path, [{"rating": "-101"}])
    with pytest.raises(UsageError, match="rating is '-101'"):
        load(tmp_path)
