"""The dataset triplets: four formats of two-alternative judgements, and what is refused."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from iibench.assets.local import LocalResources
from iibench.contract.errors import AssetError, FileError, UsageError
from iibench_plugins.datasets import triplets

SPEC: Any = next(iter(triplets.iibench_register_datasets()))


def load(data: Path, kind: str, **params: Any) -> Any:
    resources = LocalResources(data, data / "cache", base_dir=data / "suite", offline=True)
    return SPEC.load(SPEC.params(format=kind, **params), "all", resources)


def picture(path: Path, seed: int, height: int = 4, width: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def votes(dataset: Any) -> list[list[int]]:
    """[votes for candidate a, for b] of each triplet, by a loop."""
    found = [[0, 0] for _ in range(len(dataset.trials))]
    answers = dataset.trials.answers
    for stimulus, first, count in zip(answers.stimulus, answers.first, answers.count, strict=True):
        assert count > 0
        found[stimulus][0 if first else 1] += int(count)
    return found


def shown(dataset: Any) -> list[tuple[str, ...]]:
    """File names of (reference, a, b) of each triplet."""
    trials = dataset.trials
    rows = np.concatenate([trials.references, trials.queries], axis=1)
    return [tuple(dataset.files[i].name for i in row) for row in rows]


# --------------------------------------------------------------------------- materials2019


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(
    ("half", "number", "decided", "people", "shares"),
    [("test", 3000, 2738, 11800, (0.8381, 0.8625)), ("train", 22801, 21406, 92892, None)],
)
def test_published_counts_of_materials(
    shared: Path,
    half: str,
    number: int,
    decided: int,
    people: int,
    shares: tuple[float, float] | None,
) -> None:
    dataset = load(shared / "data", "materials2019", answers=half)
    trials, given_votes = dataset.trials, np.array(votes(dataset))
    assert len(dataset) == len(trials.units) == 100
    assert len(trials) == len(set(trials.names)) == number
    clear = given_votes[:, 0] > given_votes[:, 1]
    assert clear.sum() == decided
    assert (trials.columns["majority"] == np.where(clear, "yes", "no")).all()
    assert (given_votes[~clear, 0] == given_votes[~clear, 1]).all()
    assert given_votes.sum() == people
    if shares:
        assert round(given_votes[:, 0].sum() / people, 4) == shares[0]
        assert round(given_votes[clear, 0].sum() / given_votes[clear].sum(), 4) == shares[1]
        rows = dataset.sections[0].tables[0][1]
        assert [float(row[-1]) for row in rows] == list(shares)


@pytest.mark.shared
def test_mean_colour_on_materials(shared: Path) -> None:
    """The majority's candidate is nearer in mean RGB colour in 0.6267 of the triplets that have one."""
    dataset = load(shared / "data", "materials2019")
    trials = dataset.trials
    colour = dataset.images(range(100)).mean(axis=(1, 2)) / 255
    reference = colour[trials.references]
    distance = np.linalg.norm(colour[trials.queries] - reference, axis=2)
    right = (np.sign(distance[:, 1] - distance[:, 0]) + 1) / 2
    assert round(right[trials.columns["majority"] == "yes"].mean(), 4) == 0.6267


@pytest.mark.shared
@pytest.mark.parametrize(("illumination", "size"), [("ennis", 298), ("stpeters", 256)])
def test_order_of_the_materials(shared: Path, illumination: str, size: int) -> None:
    dataset = load(shared / "data", "materials2019", illumination=illumination)
    assert dataset.image_size == (size, size)
    names = [path.name for path in dataset.files]
    assert names == sorted(names)
    data = json.loads((shared / "data/materials2019/answers_processed_test.json").read_text())
    assert shown(dataset) == [tuple(names[i] for i in row) for row in data["answers"]]


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 100 made-up materials, of which some are judged."""
    data = tmp_path_factory.mktemp("materials")
    root = data / "materials2019"
    for i in range(100):
        picture(root / "havran1_ennis_298x298_LDR" / f"m{i:02}.jpg", i)
    return data


JUDGED = {
    "answers": [[3, 4, 5], [9, 0, 99], [3, 5, 6]],
    "answers_diff": [[3, 4, 5], [3, 5, 6]],
    "answers_equal": [[9, 0, 99]],
    "agreement": [[3, 1], [2, 2], [4, 0]],
    "agreement_diff": [[3, 1], [4, 0]],
    "agreement_equal": [[2, 2]],
}


def judge(data: Path, **changes: Any) -> None:
    path = data / "materials2019" / "answers_processed_test.json"
    path.write_text(json.dumps({**JUDGED, **changes}))


def test_materials(hundred: Path) -> None:
    judge(hundred)
    dataset = load(hundred, "materials2019")
    trials = dataset.trials
    assert votes(dataset) == [[3, 1], [2, 2], [4, 0]]
    assert trials.columns["majority"].tolist() == ["yes", "no", "yes"]
    assert len(trials.answers.stimulus) == 5  # nobody chose the other candidate of the third
    assert trials.names.tolist() == ["test/0", "test/1", "test/2"]
    assert [trials.units[i].rpartition("/")[2] for i in trials.unit] == [
        "m03.jpg",
        "m09.jpg",
        "m03.jpg",
    ]
    assert not trials.has_truth
    assert trials.opposite.shape == (3, 0)
    assert set(trials.answers.confidence) == {0}
    assert set(trials.answers.participant) == {-1}
    assert any(
        "query 0 is always the candidate that the majority chose" in n for n in dataset.notes
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"answers": [[3, 4, 5], [9, 0, 100], [3, 5, 6]]},
            r"answers\[1\] is \[9, 0, 100\].*0 to 99",
        ),
        ({"answers": [[3, 4, -1], [9, 0, 9], [3, 5, 6]]}, r"answers\[0\] is \[3, 4, -1\]"),
        ({"answers": [[3, 4], [9, 0, 9], [3, 5, 6]]}, r"answers\[0\] is \[3, 4\]"),
        ({"answers": [[3, 4, True], [9, 0, 9], [3, 5, 6]]}, r"answers\[0\] is \[3, 4, True\]"),
        ({"agreement": [[3, 1], [2, -2], [4, 0]]}, r"agreement\[1\] is \[2, -2\].*0 or more"),
        (
            {"agreement": [[3, 1], [2, 2], [0, 4]]},
            r"agreement\[2\] is \[0, 4\].*majority's votes first",
        ),
        ({"agreement": [[3, 1], [3, 2], [4, 0]]}, "0 ties, but answers_equal 1"),
        ({"agreement": [[3, 1]]}, "answers has 3 entries and agreement 1"),
        (
            {"answers_diff": [[3, 4, 5]], "agreement_diff": [[3, 1]]},
            "answers_diff has 1 and answers_equal 1 triplets; expected 3",
        ),
        ({"answers_equal": 7}, "no list 'answers_equal'"),
    ],
)
def test_answers_that_do_not_fit(hundred: Path, changes: dict[str, Any], says: str) -> None:
    judge(hundred, **changes)
    with pytest.raises(UsageError, match=says) as error:
        load(hundred, "materials2019")
    assert "answers_processed_test.json" in str(error.value)


def test_files_of_materials_that_are_missing_or_damaged(hundred: Path, tmp_path: Path) -> None:
    judge(hundred)
    with pytest.raises(AssetError, match="answers_processed_train.json cannot be read"):
        load(hundred, "materials2019", answers="train")
    with pytest.raises(AssetError, match="no .*havran1_stpeters.*mlagunas"):
        load(hundred, "materials2019", illumination="stpeters")
    with pytest.raises(
        AssetError, match="(?s)neither.*expected: answers_processed.*from: the public"
    ):
        load(tmp_path, "materials2019")
    for text, says in [("{", "is no JSON"), ("[]", "holds a list"), ("{}", "no list 'answers'")]:
        (hundred / "materials2019/answers_processed_test.json").write_text(text)
        with pytest.raises(UsageError, match=says):
            load(hundred, "materials2019")
    picture(tmp_path / "materials2019/havran1_ennis_298x298_LDR/a.jpg", 0)
    with pytest.raises(UsageError, match="holds 1 .jpg files; expected 100"):
        load(tmp_path, "materials2019")


# ----------------------------------------------------------------------------------- bapps


def patch(root: Path, subset: str, number: int, share: float) -> None:
    for i, part in enumerate(("ref", "p0", "p1")):
        picture(root / subset / part / f"{number:06}.png", 100 * number + i)
    save(root / subset / "judge" / f"{number:06}.npy", np.array([share]))


def save(path: Path, values: Any, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values, **options)


def test_bapps(tmp_path: Path) -> None:
    root = tmp_path / "bapps"
    patch(root, "val/cnn", 0, 0.4)
    patch(root, "val/cnn", 1, 0.0)
    patch(root, "val/color", 2, 1.0)
    picture(root / "val/color/ref/000009.png", 9)
    dataset = load(tmp_path, "bapps")
    assert votes(dataset) == [[3, 2], [5, 0], [0, 5]]
    assert dataset.trials.columns["subset"].tolist() == ["cnn", "cnn", "color"]
    assert dataset.trials.names.tolist() == ["val/cnn/000000", "val/cnn/000001", "val/color/000002"]
    parts = ("ref", "p0", "p1")
    for row, number in enumerate(range(3)):
        trials = dataset.trials
        images = dataset.images([*trials.references[row], *trials.queries[row]])
        subset = root / "val" / str(trials.columns["subset"][row])
        for pixels, part in zip(images, parts, strict=True):
            expected = np.asarray(Image.open(subset / part / f"{number:06}.png"))
            np.testing.assert_array_equal(pixels, expected)
    assert any("1 reference images" in note and "not judged" in note for note in dataset.notes)
    assert load(tmp_path, "bapps", path="bapps/val/color").trials.names.tolist() == ["000002"]


@settings(max_examples=20, deadline=None)
@given(data=st.data(), judges=st.integers(1, 12), single=st.booleans())
def test_shares_are_votes(
    data: Any, judges: int, single: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    second = data.draw(st.integers(0, judges))
    root = tmp_path_factory.mktemp("shares") / "bapps"
    patch(root, "x", 0, 0)
    values = np.array([second / judges], np.float32 if single else np.float64)
    save(root / "x/judge/000000.npy", values)
    assert votes(load(root.parent, "bapps", judges=judges)) == [[judges - second, second]]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.array([0.5]), "holds 0.5, which is no share of 5 people; expected judges: 5"),
        (np.array([0.413]), "holds 0.413, which is no share of 5"),
        (np.array([1.2]), "holds 1.2; expected the share"),
        (np.array([np.nan]), "holds nan; expected the share"),
        (np.array([0.2, 0.4]), "holds something else"),
        (np.array(["a"]), "holds something else"),
        (np.array([{}], object), "cannot be read"),
    ],
)
def test_judgements_that_are_no_shares(tmp_path: Path, values: Any, says: str) -> None:
    patch(tmp_path / "bapps", "x", 0, 0)
    save(tmp_path / "bapps/x/judge/000000.npy", values, allow_pickle=True)
    with pytest.raises(UsageError, match=f"000000.npy {says}"):
        load(tmp_path, "bapps")


def test_two_judges(tmp_path: Path) -> None:
    patch(tmp_path / "bapps", "train/mix", 0, 0.5)
    assert votes(load(tmp_path, "bapps", judges=2)) == [[1, 1]]


def test_incomplete_bapps(tmp_path: Path) -> None:
    (tmp_path / "bapps").mkdir()
    with pytest.raises(UsageError, match="holds no judgement; expected SUBSET"):
        load(tmp_path, "bapps")
    patch(tmp_path / "bapps", "x", 0, 0)
    (tmp_path / "bapps/x/p1/000000.png").unlink()
    with pytest.raises(UsageError, match=r"000000.npy judges .*p1.000000.png, which is missing"):
        load(tmp_path, "bapps")
    (tmp_path / "bapps/x/judge/000000.npy").write_bytes(b"")
    picture(tmp_path / "bapps/x/p1/000000.png", 0)
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path, "bapps")


# ---------------------------------------------------------------------------------- nights


def table(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def night(number: int, left: float, right: float, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        **{key: more[key] for key in more if key == "votes"},
        "left_vote": left,
        "right_vote": right,
        "ref_path": f"ref/000/{number:03}.png",
        "left_path": f"distort/000/{number:03}_0.png",
        "right_path": f"distort/000/{number:03}_1.png",
        **{key: more[key] for key in more if key != "votes"},
    }


@pytest.fixture
def nights(tmp_path: Path) -> Callable[[list[dict[str, Any]]], Path]:
    def make(rows: list[dict[str, Any]]) -> Path:
        for row in rows:
            for i, key in enumerate(("ref_path", "left_path", "right_path")):
                if key in row:
                    picture(tmp_path / "nights" / row[key], 10 * row["id"] + i)
        table(tmp_path / "nights" / "data.csv", rows)
        return tmp_path

    return make


def test_nights(nights: Any) -> None:
    """A vote of 1 stands for all `votes`; votes that add up to `votes` are counts."""
    more = {"prompt": "cat", "is_imagenet": True}
    data = nights(
        [
            night(7, 1, 0, votes=8, split="test", **more),
            night(3, 0.0, 1.0, votes=6, split="train", **more),
            night(5, 2, 3, votes=5, split="test", **more),
        ]
    )
    dataset = load(data, "nights")
    assert votes(dataset) == [[8, 0], [0, 6], [2, 3]]
    assert shown(dataset)[0] == ("007.png", "007_0.png", "007_1.png")
    assert dataset.trials.names.tolist() == ["7", "3", "5"]
    assert dataset.trials.columns["split"].tolist() == ["test", "train", "test"]
    assert set(dataset.trials.columns) == {"split", "is_imagenet"}


def test_nights_without_optional_columns(nights: Any) -> None:
    rows = [night(0, 4, 1), night(1, 0, 1)]
    data = nights(rows)
    table(data / "nights/data.csv", [{k: v for k, v in r.items() if k != "id"} for r in rows])
    dataset = load(data, "nights")
    assert votes(dataset) == [[4, 1], [0, 1]]
    assert dataset.trials.names.tolist() == ["line 2", "line 3"]
    assert dict(dataset.trials.columns) == {}


def test_nights_that_are_wrong(nights: Any, tmp_path: Path) -> None:
    nights([{k: v for k, v in night(0, 1, 0).items() if k != "left_vote"}])
    with pytest.raises(UsageError, match="no column left_vote; found: id, right_vote, .*nearest"):
        load(tmp_path, "nights")
    nights([night(0, 1, 0, votes=1), night(1, 2, 2, votes=5)])
    with pytest.raises(
        UsageError, match=r"data.csv:3: votes is '5'; expected left_vote \+ right_vote, 4"
    ):
        load(tmp_path, "nights")
    nights([night(0, 1, 0), night(0, 1, 0)])
    with pytest.raises(UsageError, match="data.csv:3: id is '0'; expected an id that no other row"):
        load(tmp_path, "nights")
    nights([night(0, 1, 0), night(1, 0.5, 0.5)])
    with pytest.raises(
        UsageError, match=r"data.csv:3: left_vote is '0.5'; expected a whole number"
    ):
        load(tmp_path, "nights")
    nights([night(0, 1, 0)])
    (tmp_path / "nights/distort/000/000_1.png").unlink()
    with pytest.raises(UsageError, match=r"data.csv:2: right_path is .*nearest in .*: .*000_0.png"):
        load(tmp_path, "nights")
    (tmp_path / "nights/data.csv").unlink()
    with pytest.raises(AssetError, match="data.csv cannot be read"):
        load(tmp_path, "nights")


# ------------------------------------------------------------------------------------- csv


def row(reference: str, a: str, b: str, votes_a: Any, votes_b: Any, **more: str) -> dict[str, Any]:
    return {"reference": reference, "a": a, "b": b, "votes_a": votes_a, "votes_b": votes_b, **more}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A data folder with six images beside a table."""
    for i in range(6):
        picture(tmp_path / "mine" / f"{i}.png", i)
    return tmp_path


def test_own_table(own: Path) -> None:
    rows = [
        row("0.png", "1.png", "2.png", 3, 0, room="lab"),
        row("3.png", "./1.png", "0.png", 2, 2, room="web"),
        row("0.png", "4.png", "0.png", 0, 0, room="web"),
    ]
    table(own / "mine/votes.csv", rows)
    dataset = load(own, "csv", path="mine/votes.csv")
    trials = dataset.trials
    assert votes(dataset) == [[3, 0], [2, 2], [0, 0]]
    assert trials.columns["room"].tolist() == ["lab", "web", "web"]
    assert trials.names.tolist() == ["line 2", "line 3", "line 4"]
    assert len(dataset) == 5  # 5.png is in no row
    assert trials.queries[0, 0] == trials.queries[1, 0]
    assert [trials.units[i] for i in trials.unit] == ["0.png", "3.png", "0.png"]
    assert "1 triplets have no vote: they are kept, without answers" in dataset.notes
    assert "in 1 triplets a candidate is the reference itself" in dataset.notes


@settings(max_examples=25, deadline=None)
@given(
    judged=st.lists(
        st.tuples(*[st.integers(0, 5)] * 3, *[st.integers(0, 10**9)] * 2), min_size=1, max_size=8
    )
)
def test_tables_are_read_as_written(
    judged: list[tuple[int, int, int, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = tmp_path_factory.mktemp("own")
    for i in range(6):
        picture(data / f"{i}.png", i)
    rows = [row(f"{r}.png", f"{a}.png", f"{b}.png", m, n) for r, a, b, m, n in judged]
    table(data / "votes.csv", rows)
    dataset = load(data, "csv", path="votes.csv")
    assert votes(dataset) == [[m, n] for *_, m, n in judged]
    assert shown(dataset) == [(f"{r}.png", f"{a}.png", f"{b}.png") for r, a, b, _, _ in judged]
    units = [dataset.trials.units[i] for i in dataset.trials.unit]
    assert units == [f"{r}.png" for r, *_ in judged]
    # exchanging the candidates exchanges their votes, and nothing else
    swapped = [row(f"{r}.png", f"{b}.png", f"{a}.png", n, m) for r, a, b, m, n in judged]
    table(data / "votes.csv", swapped)
    other = load(data, "csv", path="votes.csv")
    assert votes(other) == [pair[::-1] for pair in votes(dataset)]
    np.testing.assert_array_equal(other.trials.queries, dataset.trials.queries[:, ::-1])


def test_equal_files_are_one_image_and_one_unit(own: Path) -> None:
    (own / "mine/copy.png").write_bytes((own / "mine/0.png").read_bytes())
    rows = [row("0.png", "1.png", "2.png", 1, 0), row("copy.png", "1.png", "3.png", 1, 0)]
    table(own / "mine/votes.csv", rows)
    dataset = load(own, "csv", path="mine/votes.csv")
    assert len(dataset) == 4
    assert dataset.trials.units == ("0.png",)


def test_size_brings_images_to_one_size(own: Path) -> None:
    picture(own / "mine/wide.png", 8, height=6, width=10)
    table(own / "mine/votes.csv", [row("0.png", "wide.png", "2.png", 1, 0)])
    with pytest.raises(UsageError, match="wide.png .* 10 x 6 pixels, but 0.png 4 x 4; .*size: 4"):
        load(own, "csv", path="mine/votes.csv")
    dataset = load(own, "csv", path="mine/votes.csv", size=3)
    assert dataset.image_size == (3, 3)
    assert dataset.images([0, 1, 2]).shape == (3, 3, 3, 3)
    four = load(own, "csv", path="mine/votes.csv", size=4)
    assert four.fingerprint != dataset.fingerprint


def test_fingerprint_follows_votes_and_pixels(own: Path) -> None:
    def fingerprint(rows: list[dict[str, Any]]) -> str:
        table(own / "mine/votes.csv", rows)
        found: str = load(own, "csv", path="mine/votes.csv").fingerprint
        return found

    before = fingerprint([row("0.png", "1.png", "2.png", 3, 1)])
    assert fingerprint([row("0.png", "1.png", "2.png", 3, 1)]) == before
    assert fingerprint([row("0.png", "1.png", "2.png", 3, 2)]) != before
    assert fingerprint([row("0.png", "1.png", "3.png", 3, 1)]) != before


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (
            row("0.png", "1.png", "9.png", 1, 0),
            r"votes.csv:3: b is '9.png', and there is no such file",
        ),
        (row("0.png", "", "2.png", 1, 0), r"votes.csv:3: a is ''"),
        (row("../secret.png", "1.png", "2.png", 1, 0), r":3: reference is .*, which leads out of"),
        (row("0.png", "1.png", "2.png", -1, 0), r"votes.csv:3: votes_a is '-1'; expected a whole"),
        (row("0.png", "1.png", "2.png", 1, "many"), r"votes.csv:3: votes_b is 'many'"),
        (row("0.png", "1.png", "2.png", 1, 10**10), r"votes.csv:3: votes_b is '10000000000'"),
    ],
)
def test_rows_that_are_wrong(own: Path, bad: dict[str, Any], says: str) -> None:
    picture(own / "secret.png", 0)
    table(own / "mine/votes.csv", [row("0.png", "1.png", "2.png", 1, 0), bad])
    with pytest.raises(UsageError, match=says):
        load(own, "csv", path="mine/votes.csv")


def test_a_name_that_no_file_can_have(own: Path) -> None:
    table(own / "mine/votes.csv", [row("0.png", "1.png" * 100, "2.png", 1, 0)])
    with pytest.raises(UsageError, match="votes.csv:2: a is '1.png1"):
        load(own, "csv", path="mine/votes.csv")


def test_tables_that_are_wrong(own: Path) -> None:
    path = own / "mine/votes.csv"
    for text, says in [
        ("reference,a,b,vote_a,votes_b\n0.png,1.png,2.png,1,0\n", "no column votes_a; .*nearest"),
        ("reference,a,b,votes_a,votes_b\n", "has no row"),
        (
            "reference,a,b,votes_a,votes_b\n0.png,1.png,2.png,1\n",
            "votes.csv:2: 4 cells; expected 5",
        ),
    ]:
        path.write_text(text)
        with pytest.raises(UsageError, match=says):
            load(own, "csv", path="mine/votes.csv")
    with pytest.raises(UsageError, match="is a folder; format csv expects .*votes.csv"):
        load(own, "csv", path="mine")
    with pytest.raises(UsageError, match="format csv needs path"):
        load(own, "csv")
    with pytest.raises(FileError, match="nearest: votes.csv"):
        load(own, "csv", path="mine/vote.csv")
    with pytest.raises(UsageError, match="path: 'xxx.* is no path"):
        load(own, "csv", path="x" * 5000)


def test_a_column_without_a_name_is_left_out(own: Path) -> None:
    (own / "mine/votes.csv").write_text(
        ",reference,a,b,votes_a,votes_b\n0,0.png,1.png,2.png,1.0,2.0\n\n"
    )
    dataset = load(own, "csv", path="mine/votes.csv")
    assert votes(dataset) == [[1, 2]]
    assert dict(dataset.trials.columns) == {}
    assert "columns without a name are left out" in dataset.notes


HEADER = "reference,a,b,votes_a,votes_b"
ROWS = ("0.png,1.png,2.png,3,0", "3.png,4.png,5.png,1,2")


@pytest.mark.parametrize(
    "lines",
    [
        (HEADER, *ROWS, ",,,,", " , ,,,", ""),
        (",,,,", HEADER, ROWS[0], ",,", ROWS[1]),
        (HEADER + ",,", *(f"{row},," for row in ROWS)),
        (HEADER + ",,", *(f"{row},," for row in ROWS), ",,,,,,"),
        (HEADER, ROWS[0] + ",,,", ROWS[1] + ","),
        (",," + HEADER + ",", *(f",,{row}," for row in ROWS)),
    ],
)
def test_a_table_as_spreadsheets_write_it(own: Path, lines: tuple[str, ...]) -> None:
    (own / "mine/plain.csv").write_text("\n".join((HEADER, *ROWS)))
    (own / "mine/votes.csv").write_text("\r\n".join(lines) + "\r\n", "utf-8-sig")
    dataset, plain = (load(own, "csv", path=f"mine/{n}.csv") for n in ("votes", "plain"))
    assert votes(dataset) == votes(plain) == [[3, 0], [1, 2]]
    assert shown(dataset) == shown(plain)
    assert dict(dataset.trials.columns) == {}
    assert dataset.notes == plain.notes


def test_cells_that_are_too_many_are_still_told(own: Path) -> None:
    (own / "mine/votes.csv").write_text(f"{HEADER}\n{ROWS[0]},,7\n")
    with pytest.raises(UsageError, match=r"csv:2: 7 cells; expected 5"):
        load(own, "csv", path="mine/votes.csv")
    (own / "mine/votes.csv").write_text(f"{HEADER},a\n{ROWS[0]},7\n")
    with pytest.raises(UsageError, match="two columns called 'a'"):
        load(own, "csv", path="mine/votes.csv")


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_names_of_another_system_are_found(own: Path, stored: str, written: str) -> None:
    folder, name = (
        unicodedata.normalize(stored, "Übung"),
        unicodedata.normalize(stored, "Bär 1.png"),
    )
    (own / "mine" / folder).mkdir()
    (own / "mine/1.png").rename(own / "mine" / folder / name)
    asked = unicodedata.normalize(written, "Übung\\Bär 1.png")
    (own / "mine/votes.csv").write_text(
        f"{HEADER}\n0.png,{asked},2.png,3,0\n3.png,.\\4.png,5.png,1,2\n", "utf-8"
    )
    dataset = load(own, "csv", path="mine/votes.csv")
    assert len(dataset.images(range(len(dataset)))) == 6
    assert own / "mine" / folder / name in dataset.files
    (own / "mine/votes.csv").write_text(f"{HEADER}\n0.png,..\\..\\secret.png,2.png,3,0\n")
    picture(own / "secret.png", 0)
    picture(own.parent / "secret.png", 0)
    with pytest.raises(UsageError, match="which leads out of|no such file"):
        load(own, "csv", path="mine/votes.csv")


def test_hidden_files_beside_judged_patches_are_no_data(tmp_path: Path) -> None:
    patch(tmp_path / "bapps", "x", 0, 0)
    plain = load(tmp_path, "bapps")
    for part, ending in (("judge", "npy"), ("ref", "png"), ("p0", "png"), ("p1", "png")):
        (tmp_path / f"bapps/x/{part}/._000000.{ending}").write_bytes(b"Mac OS X")
    found = load(tmp_path, "bapps")
    assert found.fingerprint == plain.fingerprint
    assert found.notes == plain.notes


def test_a_link_out_of_the_folder(own: Path) -> None:
    (own / "mine/link.png").symlink_to(picture(own / "secret.png", 0))
    table(own / "mine/votes.csv", [row("0.png", "1.png", "link.png", 1, 0)])
    with pytest.raises(UsageError, match=r"csv:2: b is 'link.png', a link that .*follow_links"):
        load(own, "csv", path="mine/votes.csv")
    assert len(load(own, "csv", path="mine/votes.csv", follow_links=True)) == 2
    table(own / "mine/votes.csv", [row("0.png", "1.png", "../secret.png", 1, 0)])
    with pytest.raises(UsageError, match=r"csv:2: b is '../secret.png', which leads out of"):
        load(own, "csv", path="mine/votes.csv", follow_links=True)
    patch(own / "bapps", "x", 0, 0)
    (own / "bapps/x/p0/000000.png").unlink()
    (own / "bapps/x/p0/000000.png").symlink_to(own / "secret.png")
    with pytest.raises(UsageError, match=r"x/p0/000000.png is a link that .*follow_links"):
        load(own, "bapps")


def test_links_of_bapps_inside_of_it_and_asked_for_are_followed(tmp_path: Path) -> None:
    patch(tmp_path / "bapps", "x", 0, 0)
    before = load(tmp_path, "bapps")
    (tmp_path / "bapps/x/ref").rename(tmp_path / "bapps/kept")
    (tmp_path / "bapps/x/ref").symlink_to("../kept")
    (tmp_path / "bapps/x/judge/._000000.npy").write_bytes(b"Mac OS X")
    (tmp_path / "bapps/x/._ref").write_bytes(b"Mac OS X")
    assert load(tmp_path, "bapps").fingerprint == before.fingerprint
    (tmp_path / "bapps/x").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/ref").unlink()
    (tmp_path / "bapps/kept").rename(tmp_path / "elsewhere/ref")
    (tmp_path / "bapps/x").symlink_to("../elsewhere")
    assert load(tmp_path, "bapps", follow_links=True).fingerprint == before.fingerprint


def test_a_file_that_is_no_image(own: Path) -> None:
    (own / "mine/1.png").write_text("hello")
    table(own / "mine/votes.csv", [row("0.png", "1.png", "2.png", 1, 0)])
    with pytest.raises(UsageError, match=r"1.png in .* cannot be decoded"):
        load(own, "csv", path="mine/votes.csv")


def test_parameters_of_another_format(own: Path) -> None:
    with pytest.raises(
        UsageError, match="illumination is for format materials2019; found format csv"
    ):
        load(own, "csv", path="mine/votes.csv", illumination="stpeters")
    with pytest.raises(UsageError, match="judges is for format bapps"):
        load(own, "nights", judges=2)
