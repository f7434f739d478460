"""What a run folder keeps of single units: it must be what the scores were made of."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from iibench import load_run
from iibench.results.run import Run
from iibench.runner.kept_units import image_file
from tests.conftest import Done, alter_run

STEM = ["dataset", "model", "layer", "finder"]


@pytest.fixture
def run(tmp_path: Path, suite: Callable[..., Path], iibench: Callable[..., Done]) -> Run:
    assert iibench("run", suite(), "-o", tmp_path / "out", "-q").code == 0
    return load_run(tmp_path / "out")


def test_exemplars_are_the_extremes_on_both_sides(run: Run) -> None:
    frame = run.exemplars()
    assert set(frame["side"]) == {"top", "bottom"}
    facts = run.directions().set_index([*STEM, "unit"])
    for key, rows in frame.groupby([*STEM, "unit"], observed=True):
        top = rows[rows["side"] == "top"].sort_values("rank")["response"].to_numpy()
        bottom = rows[rows["side"] == "bottom"].sort_values("rank")["response"].to_numpy()
        assert (np.diff(top) <= 0).all() and (np.diff(bottom) >= 0).all()
        assert top[0] == np.float32(facts.loc[key, "high"])
        assert bottom[0] == np.float32(facts.loc[key, "low"])


def test_histograms_count_every_image(run: Run) -> None:
    n = run.meta["datasets"]["toy"]["n"]
    assert all(counts.sum() == n for counts in run.directions()["counts"])
    board = run.leaderboard()
    means = run.directions().groupby("finder", observed=True)["sparseness"].mean()
    for finder, mean in means.items():
        found = board.loc[board["finder"] == finder, "sparseness"]
        assert (found.to_numpy() == pytest.approx(mean, nan_ok=True)) if len(found) else True


def test_trials_give_the_scores(run: Run) -> None:
    evidence = run.unit_evidence()
    cases = {case.id: case for case in run.cases}
    assert set(evidence["case"]) == {
        case.id
        for case in run.cases
        if case.evaluation.params.get("difficulty") == 0 and case.metric and not case.metric.part
    }
    for case_id, rows in evidence.groupby("case", observed=True):
        right = np.sign(rows["strong"] - rows["weak"]) / 2 + 0.5
        accuracy = right.groupby(rows["unit"]).mean()
        scores = {i: s for i, s in enumerate(cases[str(case_id)].scores) if s is not None}
        assert accuracy.to_dict() == pytest.approx(scores)


def test_trials_are_kept_once_for_all_metrics_and_their_images_are_there(run: Run) -> None:
    trials = run.unit_trials()
    assert not trials.duplicated([*STEM, "evaluation", "unit", "trial"]).any()
    assert (
        set(trials["evaluation"]) == {"insilico[difficulty=0,references=3,trials=5]"}
        or len(set(trials["evaluation"])) == 1
    )
    images = run.images()
    for row in trials.itertuples():
        shown = {row.strong, row.weak, *row.strong_references, *row.weak_references}
        assert len(shown) == 2 + len(row.strong_references) + len(row.weak_references)
        assert {(row.dataset, int(image)) for image in shown} <= set(images)


@pytest.mark.slow
def test_a_second_run_from_the_cache_keeps_the_same_tables(
    run: Run, tmp_path: Path, suite: Callable[..., Path], iibench: Callable[..., Done]
) -> None:
    assert iibench("run", suite(), "-o", tmp_path / "again", "-q").code == 0
    again = load_run(tmp_path / "again")
    assert all(case.cached for case in again.cases)
    for name in ("exemplars", "directions", "unit_trials", "unit_evidence"):
        pd.testing.assert_frame_equal(getattr(run, name)(), getattr(again, name)())
    assert run.images() == again.images()


@pytest.mark.slow
def test_runs_of_the_first_schema_version_are_read(run: Run) -> None:
    record = json.loads((run.folder / "run.json").read_text())
    record["schema_version"] = "1"
    alter_run(run.folder, record)
    frame = run.exemplars()
    frame[frame["side"] == "top"].drop(columns="side").to_parquet(
        run.folder / "exemplars.parquet", index=False
    )
    for name in ("directions", "unit_trials", "unit_evidence"):
        (run.folder / f"{name}.parquet").unlink()
    old = load_run(run.folder)
    assert set(old.exemplars()["side"]) == {"top"}
    assert old.directions().empty and old.unit_trials().empty and old.unit_evidence().empty
    assert len(old.leaderboard()) == len(old.cases)
    record["schema_version"] = "3"
    alter_run(run.folder, record)
    with pytest.raises(Exception, match="reads 1 and 2"):
        load_run(run.folder)


def test_small_images_keep_their_pixels_and_large_ones_shrink() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 40, 3), dtype=np.uint8)
    kept = np.asarray(Image.open(io.BytesIO(image_file(pixels, 128))))
    np.testing.assert_array_equal(kept, pixels)
    large = np.repeat(np.repeat(pixels, 8, axis=0), 8, axis=1)
    image = Image.open(io.BytesIO(image_file(large, 128)))
    assert image.format == "JPEG" and max(image.size) == 128
