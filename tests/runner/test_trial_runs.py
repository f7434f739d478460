"""Whole runs on a dataset of trials, through the program and the Python API."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import iibench as package
from iibench.results.trial_leaderboard import trial_leaderboard
from tests.conftest import TOYS, Done, run_json

SUITE = """
iibench: "1"
name: toyhuman
description: People and flat colours.
seed: 2
dataset: toytrials
metrics:
  - {name: toycolour, parts: [sum, r]}
  - toybright
evaluations:
  - {name: human, observer: [eq2, two_sided, mis], resamples: 60}
  - {name: human_accuracy, resamples: 60}
expect:
  - {on: human_accuracy, equals: 112/180, text: "exact counts"}
  - {on: "human[observer=eq2]/toycolour", at_least: 0.2}
  - {on: "human[observer=eq2]/toycolour", above: toybright, text: "a paired test"}
  - {on: human_accuracy, where: {model: net0}, at_most: 1}
references:
  - {on: "human[observer=eq2]/toycolour", where: {model: net0}, value: 0.71, n: 90, source: "made up"}
"""

Program = Callable[..., Done]


@pytest.fixture
def suite(tmp_path: Path) -> Callable[..., Path]:
    def write(*replacements: tuple[str, str]) -> Path:
        text = SUITE
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / "trials.yaml"
        path.write_text(text)
        return path

    return write


@pytest.mark.slow
def test_a_run_and_its_folder(iibench: Program, suite: Callable[..., Path]) -> None:
    done = iibench("run", suite(), "-o", "out")
    assert "made of flat colours" in done.out  # what was kept, and why, is printed
    run = package.load_run("out")
    assert not run.cases
    assert len(run.trial_cases) == len(run.reports) == 10
    ids = [case.id for case in run.trial_cases]
    assert "toytrials/toycolour[r]/human[observer=mis]" in ids
    assert "toytrials/human_accuracy" in ids
    board = run.leaderboard()
    assert list(board[board["evaluation"] == "human_accuracy"]["value"]) == [
        run.trials()["first"].sum() / 180
    ]
    record = run_json(Path("out"))
    assert record["references"][0]["value"] == 0.71
    split = record["datasets"]["toytrials"]["splits"]["evaluate"]
    assert (split["stimuli"], split["units"], split["answers"]) == (60, 12, 180)
    assert split["sections"][0]["title"] == "What was kept"
    names = {p.name for p in Path("out").iterdir()}
    assert {"index.html", "trials.parquet", "measures.parquet", "margins.parquet"} <= names


@pytest.mark.slow
def test_what_is_read_back_is_what_was_computed(
    iibench: Program, suite: Callable[..., Path], tmp_path: Path
) -> None:
    made = package.run(suite(), output="out", plugins_dirs=[TOYS])
    read = package.load_run("out")
    for a, b in zip(made.trial_cases, read.trial_cases, strict=True):
        assert (a.id, a.status, a.summary, a.notes, a.measures) == (
            *(b.id, b.status, b.summary, b.notes, b.measures),
        )
        assert (a.margins, a.resampled, a.per_unit) == (b.margins, b.resampled, b.per_unit)
        assert [(c.x, c.y, c.group) for c in a.curves] == [(c.x, c.y, c.group) for c in b.curves]
    pd.testing.assert_frame_equal(made.leaderboard(), read.leaderboard())


@pytest.mark.slow
def test_each_image_is_read_once_whatever_the_observers(
    iibench: Program, suite: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "read.txt"
    monkeypatch.setenv("TOY_IMAGES", str(log))
    iibench("run", suite(), "-o", "out", "-k", "toycolour")
    read = Counter(log.read_text().split())
    assert len(read) == 480
    pictured = len(package.load_run("out").images())
    # the metric and its part share one pass; one image more tells its width; the page shows a few
    assert sum(read.values()) == 481 + pictured


@pytest.mark.slow
def test_a_second_run_gives_the_same_numbers_from_the_cache(
    iibench: Program, suite: Callable[..., Path]
) -> None:
    iibench("run", suite(), "-o", "one")
    again = iibench("run", suite(), "-o", "two")
    assert "10 from the cache" in again.out
    for name in ("measures", "margins", "resamples", "curves", "unit_measures"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(f"one/{name}.parquet"), pd.read_parquet(f"two/{name}.parquet")
        )


@pytest.mark.slow
def test_damaged_similarities_are_computed_anew(
    iibench: Program, suite: Callable[..., Path]
) -> None:
    iibench("run", suite(), "-o", "one", "--cache-dir", "c")
    for file in Path("c").rglob("trial_similarities/*/*/rows.bin"):
        data = bytearray(file.read_bytes())
        data[10] ^= 255
        file.write_bytes(bytes(data))
    for folder in Path("c").rglob("trial_scores"):
        folder.rename(folder.with_name("gone"))
    done = iibench("run", suite(), "-o", "two", "--cache-dir", "c")
    assert "damaged rows" in done.out
    pd.testing.assert_frame_equal(
        pd.read_parquet("one/margins.parquet"), pd.read_parquet("two/margins.parquet")
    )


@pytest.mark.slow
def test_verdicts(iibench: Program, suite: Callable[..., Path]) -> None:
    iibench("run", suite(), "-o", "out")
    run = package.load_run("out")
    right = int(run.trials()["first"].sum())
    iibench("run", suite(("112/180", f"{right}/180")), "-o", "out")
    verdicts = {v.text: v for v in package.load_run("out").verdicts}
    assert verdicts["exact counts"].status == "passed"
    assert f"{right / 180:.10g}" in verdicts["exact counts"].detail
    paired = verdicts["a paired test"]
    assert paired.status in {"passed", "failed"}
    assert "one-sided p = " in paired.detail
    done = iibench("run", suite(("112/180", f"{right + 1}/180")), "-o", "out")
    assert done.code == 1
    failed = [c for c in package.load_run("out").trial_cases if c.status == "failed"]
    assert "toytrials/human_accuracy" in [c.id for c in failed]
    # the right share of another number of answers is not the same statement
    done = iibench("run", suite(("112/180", f"{2 * right}/360")), "-o", "out")
    assert done.code == 1


@pytest.mark.slow
def test_a_group_or_measure_that_is_not_there_names_the_nearest(
    iibench: Program, suite: Callable[..., Path]
) -> None:
    path = suite(("{model: net0}, at_most: 1", "{model: net7}, at_most: 1"))
    iibench("run", path, "-o", "out")
    details = [v.detail for v in package.load_run("out").verdicts]
    assert any("there is no group 'model: net7'; nearest: model: net" in d for d in details)
    path = suite(('text: "exact counts"', "measure: human_acuracy"))
    iibench("run", path, "-o", "out")
    details = [v.detail for v in package.load_run("out").verdicts]
    assert any("there is no measure 'human_acuracy'; nearest: human_accuracy" in d for d in details)


@pytest.mark.slow
def test_an_expectation_about_another_dataset_is_skipped(
    iibench: Program, suite: Callable[..., Path]
) -> None:
    path = suite(('text: "exact counts"', 'dataset: borowski, text: "exact counts"'))
    iibench("run", path, "-o", "out")
    verdict = next(v for v in package.load_run("out").verdicts if v.text == "exact counts")
    assert (verdict.status, verdict.detail) == (
        "skipped",
        "it is about borowski; toytrials was used",
    )


@pytest.mark.slow
def test_limit_takes_stimuli(iibench: Program, suite: Callable[..., Path]) -> None:
    iibench("run", suite(), "-o", "out", "--limit", "20")
    run = package.load_run("out")
    assert len(run.trials()) == 20
    assert run.trial_cases[0].id.startswith("toytrials[limit=20]/")
    notes = run.meta["datasets"]["toytrials[limit=20]"]["splits"]["evaluate"]["notes"]
    assert "limited to 20 of 60 stimuli (a seeded choice)" in notes


def test_show_says_what_a_suite_on_trials_would_run(
    iibench: Program, suite: Callable[..., Path]
) -> None:
    shown = iibench("show", suite()).out.splitlines()
    assert "dataset: toytrials" in shown
    assert not any(line.startswith(("finders", "model")) for line in shown)
    assert "expects: exact counts" in shown
    assert "expects: the main measure of human_accuracy for model net0 is at most 1" in shown
    assert "beside: 1 published values" in shown


def test_selection_and_plan(iibench: Program, suite: Callable[..., Path]) -> None:
    done = iibench("run", suite(), "--collect-only", "-k", "mis and not bright")
    assert done.code == 0
    assert done.out.count("human[observer=mis]") == 2
    assert "similarities toycolour on toytrials" in done.out
    assert "60" in done.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "dataset: toytrials",
            "dataset: toytrials\nmodels: [{name: toynet, layers: [mixed]}]",
            "found models beside a dataset of trials, which has units of its own; expected no such key",
        ),
        (
            "  - {name: human_accuracy, resamples: 60}",
            "  - {name: human_accuracy, resamples: 60}\n  - ii",
            "found ii; expected one for a dataset of trials: human",
        ),
        ("equals: 112/180", "equals: many", "expected a number, or a ratio such as 415/450"),
        ("equals: 112/180", "equals: 0.5, at_least: 0.1", "expected one of above, equals"),
        ("above: toybright", "above: toybrite", "nearest: toybright"),
        ("at_least: 0.2", "at_least: 0.2, within: 0.1", "found within without equals"),
        ("value: 0.71, n: 90", "value: 0.71, n: 9.5", "expected a whole number"),
        ("where: {model: net0}, at_most", "where: [net0], at_most", "expected attributes"),
        ("observer: [eq2, two_sided, mis]", "observer: eq3", "nearest: eq2"),
    ],
)
def test_mistakes_in_suites(
    iibench: Program, suite: Callable[..., Path], old: str, new: str, message: str
) -> None:
    done = iibench("run", suite((old, new)), "-o", "out")
    assert done.code == 4
    assert message in done.err
    assert "trials.yaml:" in done.err
    assert "Traceback" not in done.err
    assert not Path("out").exists()


def test_images_need_models_and_no_references(iibench: Program, suite: Callable[..., Path]) -> None:
    path = suite(("dataset: toytrials", "dataset: toy"))
    done = iibench("run", path)
    assert done.code == 4
    assert "found no key 'models'" in done.err
    assert "found references beside images alone" in done.err


@pytest.mark.slow
def test_metrics_are_compared_in_pairs(iibench: Program, suite: Callable[..., Path]) -> None:
    iibench("run", suite(), "-o", "out")
    run = package.load_run("out")
    board = trial_leaderboard(run.trial_cases)
    table = board[board["evaluation"] == "human[observer=eq2]"]
    best, *others = table.to_dict("records")
    assert best["value"] == table["value"].max()
    drawn = {c.id: np.array(c.resampled) for c in run.trial_cases}
    for row in others:
        difference = drawn[row["case"]] - drawn[best["case"]]
        assert row["diff_to_best"] == pytest.approx(row["value"] - best["value"])
        low, high = np.percentile(difference, [2.5, 97.5])
        assert (row["diff_low"], row["diff_high"]) == (pytest.approx(low), pytest.approx(high))
    assert (table["p_holm"].dropna() >= table["p_value"].dropna() - 1e-12).all()


@pytest.mark.slow
def test_an_interrupted_run_continues_where_it_was(
    iibench: Program, suite: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was computed before the interruption is neither lost nor computed again."""
    from iibench.runner import session
    from iibench.stages import trials as trial_bench

    real = trial_bench.iter_rows
    monkeypatch.setattr(session, "default_budget", lambda: 2 * 16 * 12)  # 16 images

    def breaks_off(*arguments, **options):
        for number, block in enumerate(real(*arguments, **options)):
            if number == 10:
                signal.raise_signal(signal.SIGINT)
            yield block

    whole = iibench("run", suite(), "-o", "whole", "-k", "toycolour/", "--cache-dir", "other")
    assert whole.code in {0, 1}
    monkeypatch.setattr(trial_bench, "iter_rows", breaks_off)
    assert iibench("run", suite(), "-o", "out", "-k", "toycolour/").code == 2
    monkeypatch.setattr(trial_bench, "iter_rows", real)
    log = tmp_path / "read.txt"
    monkeypatch.setenv("TOY_IMAGES", str(log))
    iibench("run", suite(), "-o", "out", "-k", "toycolour/")
    pictured = len(package.load_run("out").images())
    assert len(log.read_text().split()) < 480 - 60 + pictured
    for name in ("measures", "margins"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(f"out/{name}.parquet"), pd.read_parquet(f"whole/{name}.parquet")
        )
