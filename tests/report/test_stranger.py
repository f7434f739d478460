"""A third party's metric, baseline and evaluations get the page that ours get, from their specs alone."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

import iibench
from iibench.report.directions.tables import places
from iibench.results.run import load_run
from iibench.results.trial_leaderboard import COLUMNS

PLUGINS = ["iibench.testing.toys", "tests.report.stranger"]
DIRECTIONS = """
iibench: "1"
name: strange
description: Nothing that is known.
dataset: {name: reference_images, n: 120, size: 16}
models: [{name: reference_net, layers: [middle]}]
finders: [spread, axes, fog]
metrics: [hue]
evaluations: [aside, unity]
"""
TRIALS = """
iibench: "1"
name: strange_trials
description: Nothing that is known.
dataset: reference_trials
metrics: [hue]
evaluations: [court]
"""


def page_of(folder: Path) -> str:
    """The text of the run's page, without tags."""
    written = next(folder.glob("*.html")).read_text("utf-8")
    bare = re.sub(r"<(script|style)\b.*?</\1>", " ", written, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", bare)).split())


def made(folder: Path, suite: str) -> Path:
    path = folder / "suite.yaml"
    path.write_text(suite)
    iibench.run(
        path, device="cpu", output=folder / "run", cache_dir=folder / "cache", plugins=PLUGINS
    )
    return folder / "run"


@pytest.fixture(scope="module")
def directions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("directions"), DIRECTIONS)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("trials"), TRIALS)


def test_methods_are_compared_with_its_baseline_and_its_control(directions: Path) -> None:
    run = load_run(directions)
    board = run.leaderboard().set_index(["evaluation", "finder"])
    for evaluation in ("aside", "unity"):
        row = board.loc[evaluation, "spread"]
        assert (row["baseline"], row["control"]) == ("axes", "fog")
        means = {finder: board.loc[(evaluation, finder), "mean"] for finder in ("axes", "fog")}
        assert row["diff_to_baseline"] == pytest.approx(row["mean"] - means["axes"])
        assert row["diff_to_control"] == pytest.approx(row["mean"] - means["fog"])
    text = page_of(directions)
    for words in ("Difference to axes", "Difference to fog", "p to axes"):
        assert words in text
    assert "against coordinate axes" in text or "exceeds the coordinate axes" in text
    assert "of the coordinate axes, or of foggy directions, in the same table" in text
    assert "the neurons" not in text and "random directions" not in text


def test_what_leads_comes_first_and_is_described_in_its_own_words(directions: Path) -> None:
    run = load_run(directions)
    (place,) = places(run, run.leaderboard())
    assert [family.name for family in place.families] == ["unity", "aside"]
    text = page_of(directions)
    assert "How much the top images agree." in text
    assert "Hue seen at 16x16." in text
    assert "mean similarity of a direction's 5 most activating images, for checks" in text  # aside


def test_measures_of_trials_are_shown_as_its_spec_says(trials: Path) -> None:
    run = load_run(trials)
    assert "assent" not in COLUMNS and run.trial_cases[0].headline == "assent"
    text = page_of(trials)
    for words in (
        "hue pleases people most: assent",
        "50 % of what is possible above chance",
        "Its wit is 0.125, a coin's 0.250 (−0.125).",
        "The court hears every answer once.",
        "against a coin",
        *("Share of answers that assent.", "What a coin gets.", "The most there is."),
        "Heads 12",
        "How charming a unit is.",
        "Charm of 16 units under hue",
    ):
        assert words in text, words


def test_a_run_from_before_has_the_roles_that_were_known_then(tmp_path: Path) -> None:
    from iibench.results.earlier import complete

    earlier = {
        "finders": {"neurons": {"name": "neurons"}, "pca": {"name": "pca"}},
        "evaluations": {
            "ii": {"name": "ii", "plot": "box"},
            "human": {"name": "human", "headline_measure": "auc"},
        },
    }
    complete(earlier)
    assert [record["role"] for record in earlier["finders"].values()] == ["baseline", "method"]
    assert earlier["evaluations"]["ii"]["leads"] is True
    assert earlier["evaluations"]["human"]["measures"]["auc"]["title"] == "AUC"
    said = {"finders": {"neurons": {"name": "neurons", "role": "method", "called": "x"}}}
    complete(said)
    assert said["finders"]["neurons"]["role"] == "method"
