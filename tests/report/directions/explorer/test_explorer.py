"""The files behind the unit explorer hold what the run holds."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from iibench.report.directions.explorer.explorer import explorer
from iibench.report.directions.tables import places
from iibench.report.page import write_page
from iibench.report.shared.output import FolderOutput, SingleFile
from iibench.results.run import Run
from tests.report.conftest import EVIL_LABEL, make_case, make_meta, make_run
from tests.report.directions.explorer.unit_runs import UnitRun, unit_run

KINDS = {"i4": "<i4", "f4": "<f4", "u2": "<u2", "u4": "<u4"}


class Memory:
    """An output that keeps everything; `full` names what it refuses."""

    def __init__(self, full: str = "nothing") -> None:
        self.full = full
        self.files: dict[str, Any] = {}
        self.images: dict[str, bytes] = {}

    def data(self, name: str, value: Any) -> bool:
        if re.match(self.full, name):
            return False
        self.files[name] = json.loads(json.dumps(value, allow_nan=False))
        return True

    def image(self, name: str, content: bytes) -> str | None:
        if re.match(self.full, name):
            return None
        self.images[name] = content
        return name


def decoded(text: str) -> np.ndarray:
    """A column, by numpy alone."""
    kind, _, values = text.partition(":")
    return np.frombuffer(base64.b64decode(values), KINDS[kind])


def made(run: Run, full: str = "nothing") -> tuple[dict[str, Any], Memory]:
    output = Memory(full)
    return explorer(run, places(run, run.leaderboard()), output), output


@pytest.fixture(scope="module")
def run() -> UnitRun:
    return unit_run(finders=("neurons", "pca"), metrics=("lpips", "color", "lpips[3]"))


@pytest.fixture(scope="module")
def result(run: UnitRun) -> tuple[dict[str, Any], Memory]:
    return made(run)


def test_the_index_names_methods_best_first_and_every_measure(
    run: UnitRun, result: tuple[dict[str, Any], Memory]
) -> None:
    index, output = result
    (place,) = index["places"].values()
    table = run.leaderboard()
    main = table[(table.evaluation == "ii") & (table.metric == "lpips")]
    assert [finder["label"] for finder in place["finders"]] == main.finder.to_list()
    assert {(m["evaluation"], m["metric"]) for m in place["measures"]} == set(
        zip(table.evaluation, table.metric, strict=True)
    )
    first = place["measures"][0]
    assert (first["evaluation"], first["metric"], first["main"]) == ("ii", "lpips", True)
    assert not any(m["main"] for m in place["measures"] if m["metric"] == "lpips[3]")
    assert place["compared"] == ["neurons", "pca"]
    assert index["not_stored"] == index["no_room"] == 0
    assert len(json.dumps(index)) < 20_000
    assert {"units-0-0", "units-0-1", "gallery-0", "sprites"} <= set(output.files)


def test_units_have_the_scores_images_and_responses_of_the_run(
    run: UnitRun, result: tuple[dict[str, Any], Memory]
) -> None:
    index, output = result
    place = index["places"]["0"]
    scores = {
        (c.finder.label, c.evaluation.label, c.metric.label): c for c in run.cases if c.metric
    }
    exemplars, directions = run.exemplars(), run.directions()
    for f, finder in enumerate(place["finders"]):
        units = output.files[f"units-0-{f}"]
        assert units["k"] == finder["k"] == 70
        for m, measure in enumerate(place["measures"]):
            case = scores[finder["label"], measure["evaluation"], measure["metric"]]
            expected = np.array(case.scores, float)
            np.testing.assert_allclose(decoded(units["scores"][m]), expected, rtol=1e-6)
            codes = decoded(units["reasons"]["columns"][str(m)])
            texts = [None, *units["reasons"]["texts"]]
            assert [texts[code] for code in codes] == list(case.reasons)
        for side in ("top", "bottom"):
            rows = exemplars[(exemplars.finder == finder["label"]) & (exemplars.side == side)]
            rows = rows.sort_values(["unit", "rank"])
            assert decoded(units[side]["images"]).tolist() == rows.image.to_list()
            assert decoded(units[side]["responses"]).tolist() == rows.response.to_list()
        rows = directions[directions.finder == finder["label"]].sort_values("unit")
        counts = decoded(units["histogram"]["counts"]).reshape(70, units["histogram"]["bins"])
        assert (counts == np.stack(rows.counts.to_list())).all()
        for name, column in (
            ("low", units["histogram"]["low"]),
            ("sparseness", units["sparseness"]),
        ):
            np.testing.assert_allclose(decoded(column), rows[name], rtol=1e-6)


def test_trials_have_the_images_and_the_evidence_of_the_run(
    run: UnitRun, result: tuple[dict[str, Any], Memory]
) -> None:
    index, output = result
    finders = index["places"]["0"]["finders"]
    assert all(finder["trials"]["files"] == 2 for finder in finders)  # 64 + 6 units
    shown, seen = run.unit_trials(), run.unit_evidence().set_index(["case", "unit", "trial"])
    for f, finder in enumerate(finders):
        for unit in (0, 3, 63, 64, 69):
            chunk = output.files[f"trials-0-{f}-{unit // 64}"]
            at = unit - chunk["first"]
            for entry in chunk["evaluations"]:
                rows = shown[
                    (shown.finder == finder["label"])
                    & (shown.evaluation == entry["evaluation"])
                    & (shown.unit == unit)
                ].sort_values("trial")
                for name in ("strong", "weak"):
                    assert decoded(entry[name]).reshape(-1, 6)[at].tolist() == rows[name].to_list()
                for name, width in zip(
                    ("strong_references", "weak_references"), entry["references"], strict=True
                ):
                    found = decoded(entry[name]).reshape(
                        len(decoded(entry["weak"])) // 6, 6, width
                    )[at]
                    assert found.tolist() == [list(images) for images in rows[name]]
                for given in entry["evidence"]:
                    strong = decoded(given["strong"]).reshape(-1, 6)[at]
                    margin = decoded(given["margin"]).reshape(-1, 6)[at]
                    case = (
                        f"toy/net/layer1/{finder['label']}/{given['metric']}/{entry['evaluation']}"
                    )
                    if unit == 3:  # unscored
                        assert np.isnan(strong).all() and np.isnan(margin).all()
                        continue
                    expected = seen.loc[case].loc[unit]
                    np.testing.assert_allclose(strong, expected.strong, rtol=1e-6)
                    np.testing.assert_allclose(
                        margin, expected.strong - expected.weak, rtol=1e-6, atol=1e-12
                    )


def test_a_margin_keeps_its_sign_where_rounded_evidence_would_tie() -> None:
    run = unit_run(finders=("pca",), metrics=("lpips",), k=4, observers=("",), dead=())
    frame = run.unit_evidence()
    frame["weak"] = frame["strong"] + np.where(frame["trial"] % 2, 1e-12, -1e-12)
    _, output = made(dataclasses.replace(run, seen=frame))
    (given,) = output.files["trials-0-0-0"]["evaluations"][0]["evidence"]
    margins = decoded(given["margin"]).reshape(4, 6)
    assert (np.sign(margins) == [1, -1, 1, -1, 1, -1]).all()


def test_every_shown_image_is_on_a_sheet(
    run: UnitRun, result: tuple[dict[str, Any], Memory]
) -> None:
    index, output = result
    (entry,) = output.files["sprites"]
    tiles = dict(zip(decoded(entry["images"]), decoded(entry["tiles"]), strict=True))
    assert entry["dataset"] == "toy"
    assert set(run.exemplars().image) | set(run.unit_trials().strong) <= set(tiles)
    for image in (int(run.exemplars().image[0]), int(run.unit_trials().weak[0])):
        number, at = divmod(int(tiles[image]), index["tiles"])
        sheet = index["sheets"][number]
        pixels = np.asarray(Image.open(io.BytesIO(output.images[sheet["url"]])).convert("RGB"))
        y, x = at // index["columns"] * sheet["height"], at % index["columns"] * sheet["width"]
        expected = np.asarray(Image.open(io.BytesIO(run.images()["toy", image])))
        assert (pixels[y : y + 32, x : x + 32] == expected).all()


def test_what_there_is_no_room_for_is_said(run: UnitRun) -> None:
    index, _ = made(run, full="units-0-1")
    assert [finder["written"] for finder in index["places"]["0"]["finders"]] == [True, False]
    index, _ = made(run, full="trials-0-0-1")
    assert [f["trials"]["files"] for f in index["places"]["0"]["finders"]] == [1, 2]
    index, _ = made(run, full="sheet-1")
    assert (len(index["sheets"]), index["no_room"]) == (1, 300 - 256)
    index, _ = made(run, full="sprites")
    assert index["no_room"] == 300 and not index["pictures"]


def test_images_that_were_not_stored_are_counted(run: UnitRun) -> None:
    kept = {key: content for key, content in run.images().items() if key[1] >= 10}
    index, _ = made(dataclasses.replace(run, pngs=kept))
    assert index["not_stored"] == 10


def test_runs_without_trials_or_least_images_have_an_explorer() -> None:
    run = make_run([make_case("pca", "lpips", [0.1, 0.2, None])])
    tops = run.exemplars()
    old = dataclasses.replace(run, tops=tops[tops.side == "top"], facts=run.directions()[:0])
    index, output = made(old)
    units = output.files["units-0-0"]
    assert units["bottom"] is units["histogram"] is units["sparseness"] is None
    assert index["places"]["0"]["finders"][0]["trials"] == {"evaluations": [], "files": 0}


def test_a_method_without_a_score_says_why() -> None:
    cases = [
        make_case("pca", "lpips", [0.1, 0.2]),
        make_case("ica", "lpips", [0.1, 0.2]),
        make_case("pca", "color", [0.1, 0.3]),
        make_case("ica", "color", [], status="skipped", reason="no weights", summary=None),
        make_case("pca", "label", [0.5, 0.3]),
    ]
    index, output = made(make_run(cases))
    place = index["places"]["0"]
    f = [finder["label"] for finder in place["finders"]].index("ica")
    lost = {
        place["measures"][int(m)]["metric"]: reason
        for m, reason in place["finders"][f]["lost"].items()
    }
    assert lost == {"color": "no weights", "label": "no such case in this run"}
    assert [column is None for column in output.files[f"units-0-{f}"]["scores"]] == [
        measure["metric"] in lost for measure in place["measures"]
    ]


def test_without_scores_there_is_nothing() -> None:
    skipped = make_case("pca", "color", [], status="skipped", reason="no weights", summary=None)
    run = Run(Path("unused"), make_meta([skipped]), (skipped,))
    index, output = made(run)
    assert index == {} and not output.files and not output.images


def test_hostile_labels_stay_text_in_files_and_page(tmp_path: Path) -> None:
    run = unit_run(finders=(f"pca[{EVIL_LABEL}]",), metrics=(f"color[{EVIL_LABEL}]",), k=5)
    page = write_page(run, tmp_path)
    for file in [page, *(tmp_path / "data").iterdir()]:
        assert "<img src=x" not in file.read_text("utf-8")


def test_folder_and_single_file_have_the_same_index(run: UnitRun, tmp_path: Path) -> None:
    board = places(run, run.leaderboard())
    with FolderOutput(tmp_path) as folder:
        beside = explorer(run, board, folder)
    within = explorer(run, board, SingleFile())
    for index in (beside, within):
        for sheet in index["sheets"]:
            del sheet["url"]
    assert beside == within
