"""The shipped suites on human data, run whole: on made-up releases, and on the real data where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import iibench
from tests.plugins.datasets.imi_release import make_release


@pytest.mark.slow
def test_zimmermann_resnet50_on_a_made_up_release(tmp_path: Path) -> None:
    """ResNet50's natural, easy trials alone, beside the published values."""
    release = make_release(tmp_path / "data").write()
    run = iibench.run(
        "zimmermann_resnet50",
        data_dir=tmp_path / "data",
        output=tmp_path / "out",
        overrides=[
            f'dataset.path="{release.root}"',
            f'dataset.imagenet="{release.train}"',
            "metrics=[color]",
            "evaluations=[{name: human, observer: two_sided, resamples: 50}, human_accuracy]",
            "expect=[{on: human_accuracy, at_least: 0}]",
            "references=[{on: human/color, where: {model: resnet50, layers: layer1}, value: 0.5}]",
        ],
    )
    assert {case.status for case in run.trial_cases} <= {"passed", "skipped"}
    trials = run.trials()
    assert set(trials["experiment"]) == {"resnet50_natural"}
    assert len(trials) == 6  # two units, three batches
    answered = sum(row["correct"] == "True" for row in release.main("resnet50_natural"))
    assert trials["first"].sum() == answered
    (record,) = run.meta["datasets"].values()
    notes = " ".join(record["splits"]["evaluate"]["notes"])
    assert "kept are" in notes
    assert (tmp_path / "out" / "index.html").is_file()


@pytest.mark.slow
def test_human_agreement_finds_the_observer_that_answered(tmp_path: Path) -> None:
    """A small stand-in, answered by people who look at mean colours: colour wins, on its ceiling."""
    run = iibench.run(
        "human_agreement",
        data_dir=tmp_path / "data",
        cache_dir=tmp_path / "cache",
        output=tmp_path / "out",
        overrides=[
            'dataset.images="photo_patches[n=700]"',
            "dataset.units=24",
            "dataset.noise=0.5",
            "metrics=[color]",
            "evaluations=[{name: human, observer: [two_sided, eq2], resamples: 200}, human_accuracy]",
            'expect=[{on: "human[observer=two_sided]/color", measure: auc_of_ceiling, at_least: 0.8}]',
        ],
    )
    assert [v.status for v in run.verdicts] == ["passed"], run.verdicts
    board = run.leaderboard().set_index("evaluation")
    own, other = board.loc["human[observer=two_sided]"], board.loc["human[observer=eq2]"]
    assert own["value"] > other["value"]
    measured = {m.name: m for m in run.trial_cases[0].measures if not m.group}
    (record,) = run.meta["datasets"].values()
    split = record["splits"]["evaluate"]
    assert split["notes"][0].startswith("SYNTHETIC")
    table = next(s for s in split["sections"] if "put into" in s["title"])["tables"][0]
    put_in = {row[0]: dict(zip(table[0], row, strict=True)) for row in table[1]}
    ceiling = measured["auc_ceiling"]
    # the family of the fit is not that of these people: close, if not always within the interval
    assert abs(ceiling.value - float(put_in["all"]["ideal AUC"])) < 0.03
    accuracy = measured["human_accuracy"]
    assert accuracy.low <= float(put_in["all"]["accuracy put in"]) <= accuracy.high


@pytest.mark.slow
@pytest.mark.shared
def test_borowski2020_comes_out_exactly(shared: Path, tmp_path: Path) -> None:
    run = iibench.run(
        "borowski2020",
        output=tmp_path / "out",
        overrides=[f'dataset.path="{shared / "data/borowski2020"}"'],
    )
    assert len(run.verdicts) == 34
    assert {v.status for v in run.verdicts} == {"passed"}
    assert all("expected exactly" in v.detail for v in run.verdicts)


@pytest.mark.slow
@pytest.mark.shared
def test_materials_colour_is_as_published(shared: Path, tmp_path: Path) -> None:
    run = iibench.run(
        "human_triplets",
        select="color",
        output=tmp_path / "out",
        overrides=[f'dataset.path="{shared / "data/materials2019"}"'],
    )
    measures = {m.name: m for m in run.trial_cases[0].measures if not m.group}
    assert round(measures["majority_agreement"].value, 4) == 0.6267
    assert (measures["majority_agreement"].stimuli, measures["majority_agreement"].n) == (
        2738,
        11008,
    )
    assert round(measures["vote_ceiling"].value, 4) == 0.8381
    assert round(measures["vote_ceiling_of_majorities"].value, 4) == 0.8625
    assert measures["vote_agreement"].units == 100  # reference images, not triplets


@pytest.mark.slow
@pytest.mark.shared
def test_choices_on_real_trials(shared: Path, tmp_path: Path) -> None:
    run = iibench.run(
        "imi_trials",
        select="color and eq2",
        output=tmp_path / "out",
        overrides=[f'dataset.path="{shared / "data/imi_trials"}"'],
    )
    (case,) = run.trial_cases
    assert len(case.margins) == 20
    assert case.summary.mean == np.mean([m > 0 for m in case.margins])
    assert case.summary.mean > 0.5
