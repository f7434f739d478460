"""`iibench run` from end to end on toy data: results, cache, resumption, selection, statuses, exit codes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import iibench as package
from tests.conftest import TOYS, run_json


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """How many images the network has seen so far."""
    file = tmp_path / "passes.txt"
    monkeypatch.setenv("TOY_COUNT", str(file))
    return lambda: sum(map(int, file.read_text().split())) if file.exists() else 0


def test_a_run_writes_everything(iibench, suite, tmp_path: Path, counted) -> None:
    done = iibench("run", suite(), "--output", "out")
    assert done.code == 0, done.err + done.out
    out = tmp_path / "out"
    files = {path.name for path in out.iterdir()}
    assert {
        "run.json",
        "results.parquet",
        "exemplars.parquet",
        "images.parquet",
        "leaderboard.csv",
        "index.html",
    } <= files
    content = run_json(out)
    # 3 finders x (4 metrics ii + 2 metrics x 2 difficulties insilico + activity)
    assert len(content["cases"]) == 3 * (4 + 4 + 1)
    assert {case["status"] for case in content["cases"]} == {"passed"}
    ids = {case["id"] for case in content["cases"]}
    assert "toy/toynet/tap/pick[k=2]/toycolour[r]/ii" in ids or (
        "toy/toynet/mixed/pick[k=2]/toycolour[r]/ii" in ids
    )
    assert content["seed"] == 5
    seeds = {case["finder"]["label"]: case["seeds"]["finder"] for case in content["cases"]}
    assert len(set(seeds.values())) == 3
    assert content["versions"]["iibench"] == package.__version__
    assert content["datasets"]["toy"]["splits"]["fit"]["n"] == 240
    assert len(content["models"]["toynet"]["weights_sha256"]) == 64
    assert [v["status"] for v in content["verdicts"]] == ["passed"]
    units = pd.read_parquet(out / "results.parquet")
    assert set(units.columns) >= {
        "case",
        "finder",
        "metric",
        "evaluation",
        "unit",
        "score",
        "reason",
    }
    assert len(units) == (6 + 1 + 2) * 9
    exemplars = pd.read_parquet(out / "exemplars.parquet")
    assert len(exemplars) == (6 + 1 + 2) * 5 * 2  # the most and the least activating
    # every image of both splits once, whatever the number of cases, and two passes of two images that
    # show how the layer's output lies
    assert counted() == 480 + 4
    assert not list(tmp_path.glob(".out-*"))


@pytest.mark.slow
def test_the_scores_are_those_of_a_naive_computation(iibench, suite, tmp_path: Path) -> None:
    assert iibench("run", suite(), "--output", "out").code == 0
    import importlib.util

    spec = importlib.util.spec_from_file_location("toy_again", TOYS / "toy.py")
    assert spec is not None
    assert spec.loader is not None
    toy = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["toy_again"] = toy
    spec.loader.exec_module(toy)
    images = toy.load_images(toy.ToyParams(), "test", None).array / 255
    response = np.maximum(images - 0.1, 0).mean((1, 2))[:, 0]  # neuron 0: rectified red
    top = np.argsort(-response, kind="stable")[:5]
    colours = images.mean((1, 2))
    expected = np.mean([-np.linalg.norm(colours[a] - colours[b]) for a in top for b in top])
    units = package.load_run(tmp_path / "out").units()
    mine = units[
        (units.finder == "neurons")
        & (units.metric == "toycolour")
        & (units.evaluation == "ii")
        & (units.unit == 0)
    ]
    assert mine.score.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_a_second_run_is_from_the_cache_and_equal_to_the_last_digit(
    iibench, suite, tmp_path: Path, counted
) -> None:
    first = iibench("run", suite(), "--output", "one")
    assert "cached" not in first.out
    passes = counted()
    second = iibench("run", suite(), "--output", "two")
    assert second.code == 0
    assert counted() == passes
    assert second.out.count("cached") >= 27
    assert "27 from the cache" in second.out
    one, two = (pd.read_parquet(tmp_path / name / "results.parquet") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    assert all(case["cached"] for case in run_json(tmp_path / "two")["cases"])


@pytest.mark.slow
def test_neither_batch_size_nor_order_nor_selection_changes_a_score(
    iibench, suite, tmp_path: Path
) -> None:
    assert iibench("run", suite(), "-o", "a", "--cache-dir", "c1").code == 0
    assert iibench("run", suite(), "-o", "b", "--cache-dir", "c2", "--batch-size", "7").code == 0
    backwards = suite(
        ("[1, 2]", "[2, 1]"), ("  - toybright\n  - toylabel", "  - toylabel\n  - toybright")
    )
    assert iibench("run", backwards, "-o", "c", "--cache-dir", "c3", "-k", "not activity").code == 0
    frames = [
        package.load_run(tmp_path / name).units().astype({"case": str}).set_index(["case", "unit"])
        for name in "abc"
    ]
    for other in frames[1:]:
        both = frames[0].merge(other.add_suffix("_other"), left_index=True, right_index=True)
        assert len(both) in {81, 72}
        np.testing.assert_allclose(both.score, both.score_other, atol=1e-5)


@pytest.mark.slow
def test_selection_and_exit_codes(iibench, suite) -> None:
    done = iibench("run", suite(), "-k", "pick[k=2] and ii and not toylabel")
    assert done.code == 0
    assert "3 passed" in done.out
    assert "24 deselected" in done.out
    assert iibench("run", suite(), "-k", "nothing-like-this").code == 5
    assert iibench("run", suite(), "-k", "and and").code == 4


def test_an_expectation_that_is_not_met_fails_the_run(iibench, suite) -> None:
    done = iibench("run", suite(("at_least: -10", "at_least: 10")), "-k", "neurons and ii")
    assert done.code == 1
    assert "FAILED" in done.out
    assert "expectation not met: the mean of neurons" in done.out
    again = iibench("run", suite(("at_least: -10", "at_least: 10")), "--lf", "--collect-only")
    assert [line for line in again.out.splitlines() if line.startswith("toy/")] == [
        "toy/toynet/tap/neurons/toycolour/ii"
    ]


def test_a_case_without_a_scored_direction_is_skipped(iibench, suite, tmp_path: Path) -> None:
    flat = suite(("- neurons", "- {name: random, k: 3}"), ("{name: pick, k: [1, 2]}", "flat"))
    flat.write_text(flat.read_text().partition("expect:")[0])
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "flat.py").write_text(
        "import numpy as np\n"
        "from iibench import Directions, FinderSpec, hookimpl\n\n"
        "@hookimpl\n"
        "def iibench_register_finders():\n"
        "    yield FinderSpec(\n"
        "        name='flat', summary='no response',\n"
        "        fit=lambda p, A, c: Directions(np.ones((2, A.shape[1]), np.float32)),\n"
        "        encode=lambda p, d, A: np.zeros((len(A), 2), np.float32),\n"
        "    )\n"
    )
    done = iibench(
        "run", flat, "-o", "out", "--plugins-dir", tmp_path / "plugins", "-k", "flat and ii"
    )
    assert done.code == 5, done.out
    ((status, reason),) = {(c["status"], c["reason"]) for c in run_json(tmp_path / "out")["cases"]}
    assert status == "skipped"
    assert reason == "no direction could be scored: dead: every image has the same response"


@pytest.mark.slow
def test_one_failing_case_is_one_report(iibench, suite, tmp_path: Path) -> None:
    broken = suite(
        ("{name: pick, k: [1, 2]}", "{name: pick, k: [1, 99]}\n  - {name: explodes, k: 2}")
    )
    done = iibench("run", broken, "-o", "out", "-v")
    assert done.code == 1
    cases = run_json(tmp_path / "out")["cases"]
    by_finder = {}
    for case in cases:
        by_finder.setdefault(case["finder"]["label"], set()).add((case["status"], case["reason"]))
    assert by_finder["neurons"] == {("passed", None)}
    assert by_finder["pick[k=1]"] == {("passed", None)}
    assert by_finder["pick[k=99]"] == {("error", "k=99 is more than the 6 neurons")}
    ((status, reason),) = by_finder["explodes[k=2]"]
    assert (status, reason) == ("error", "ZeroDivisionError: a bug in a plugin")
    assert "in explode" in done.out  # -v shows the traceback of what no plugin foresaw
    stopped = iibench("run", broken, "-o", "out2", "-x")
    assert stopped.code == 1
    assert sum(c["status"] == "error" for c in run_json(tmp_path / "out2")["cases"]) == 1


def test_what_cannot_be_had_is_skipped_with_its_reason(iibench, suite, tmp_path: Path) -> None:
    done = iibench(
        "run",
        suite(("- toybright", "- toymissing"), ("{name: toy}", "{name: toy, labelled: false}")),
        "-o",
        "out",
    )
    assert done.code == 0
    skipped = {
        case["metric"]["label"]: case["reason"]
        for case in run_json(tmp_path / "out")["cases"]
        if case["status"] == "skipped"
    }
    assert skipped == {
        "toymissing": "nowhere.zip is not in the data folder and cannot be downloaded",
        "toylabel": "toylabel needs labels and toy[labelled=false] has none",
    }
    assert "nowhere.zip" in done.out


@pytest.mark.slow
def test_last_failed(iibench, suite) -> None:
    broken = suite(("k: [1, 2]", "k: [1, 99]"))
    assert iibench("run", broken, "-o", "one").code == 1
    again = iibench("run", broken, "-o", "two", "--lf", "--collect-only")
    ids = [line for line in again.out.splitlines() if line.startswith("toy/")]
    assert len(ids) == 9
    assert all("pick[k=99]" in line for line in ids)


@pytest.mark.slow
def test_collect_only_shows_the_work_and_what_is_cached(iibench, suite, counted) -> None:
    first = iibench("run", suite(), "--collect-only")
    assert first.code == 0
    assert counted() > 0  # batches of random pixels that were timed
    assert "27 cases, 720 forward passes" in first.out  # 480 images and 240 embeddings
    again = iibench("run", suite(), "--collect-only")
    assert "27 cases, 720 forward passes" in again.out  # nothing was kept
    assert iibench("run", suite()).code == 0
    second = iibench("run", suite(), "--collect-only")
    assert "27 cases, 0 forward passes" in second.out


def test_the_fallback_dataset_is_used_named_and_kept_apart(iibench, suite, tmp_path: Path) -> None:
    path = suite(
        ("dataset: {name: toy}", "dataset:\n  name: toy_missing\n  fallback: {name: toy}"),
        (
            "at_least: -10}",
            "at_least: 10}\n  - {on: ii/toycolour, finder: neurons, at_least: -9, dataset: toy}",
        ),
    )
    done = iibench("run", path, "-o", "out")
    assert done.code == 0
    content = run_json(tmp_path / "out")
    assert {case["dataset"] for case in content["cases"]} == {"toy"}
    assert [v["status"] for v in content["verdicts"]] == ["skipped", "passed"]
    warnings = [n["text"] for n in content["notes"] if n["level"] == "warning"]
    assert any("toy_missing could not be had, so toy was used" in text for text in warnings)
    assert done.out.count("toy_missing could not be had") == 2  # at the start and at the end
    assert "toy_missing could not be had" in (tmp_path / "out" / "index.html").read_text()


def test_settings_limit_and_seed(iibench, suite, tmp_path: Path) -> None:
    done = iibench(
        "run", suite(), "-o", "out", "--set", "finders.pick.k=[1]", "--limit", "100", "--seed", "9",
        "-k", "ii",
    )  # fmt: skip
    assert done.code == 0, done.err
    content = run_json(tmp_path / "out")
    assert content["seed"] == 9
    assert {case["dataset"] for case in content["cases"]} == {"toy[limit=100]"}
    assert {c["finder"]["label"] for c in content["cases"]} == {"neurons", "pick[k=1]"}
    assert content["datasets"]["toy[limit=100]"]["n"] == 100


def test_output_that_cannot_be_written(iibench, suite, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = iibench("run", suite(), "--output", "file/below")
    assert done.code == 4
    assert "cannot be written" in done.err
    assert "Traceback" not in done.err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    done = iibench("run", suite(), "--output", "mine")
    assert done.code == 4
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_a_device_that_is_not_there(iibench, suite, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = iibench("run", suite(), "--device", "cuda")
    assert done.code == 4
    assert "--device cuda: there is no such device here" in done.err


def test_a_wrong_layer_names_the_nearest(iibench, suite) -> None:
    done = iibench("run", suite(("layers: [mixed]", "layers: [tapp]")), "-o", "out")
    assert "unknown layer 'tapp'; nearest: tap" in done.err
    assert done.code == 4


def test_a_finder_that_trains_on_nothing_needs_no_fit_split(iibench, suite, counted) -> None:
    path = suite(("  - {name: pick, k: [1, 2]}", "  - {name: random, k: 3}"))
    estimate = iibench("run", path, "--collect-only", "-k", "ii and toycolour")
    assert "480 forward passes" in estimate.out  # 240 activations and 240 embeddings
    timed = counted()
    assert iibench("run", path).code == 0
    assert counted() - timed == 240 + 4


@pytest.mark.slow
def test_kill_loses_no_finished_case(spawn, suite, tmp_path: Path) -> None:
    """kill -9 in the middle; the next run takes the finished cases from the cache."""
    path = suite()
    cache = tmp_path / "cache"
    common = ("run", path, "--cache-dir", cache, "--plugins-dir", TOYS, "--device", "cpu")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = spawn(*common, "-o", tmp_path / "one", env=environment)
    finished = []
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("PASSED"):
            finished.append(line.split()[1])
            if len(finished) == 5:
                process.send_signal(signal.SIGKILL)
                break
    process.wait()
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert names == {".iibench-lock", ".iibench-new"}  # it was claimed
    again = spawn(*common, "-o", tmp_path / "one", env=environment)
    _, err = again.communicate()
    assert again.returncode == 0, err
    cached = {c["id"] for c in run_json(tmp_path / "one")["cases"] if c["cached"]}
    assert set(finished) <= cached


def test_interrupt_writes_what_is_finished(
    iibench, suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iibench.stages.scores import ScoreStage

    whole = ScoreStage.of
    seen = []

    def scores(self, case):
        if len(seen) == 4:
            signal.raise_signal(signal.SIGINT)
        seen.append(case.id)
        return whole(self, case)

    monkeypatch.setattr(ScoreStage, "of", scores)
    done = iibench("run", suite(), "-o", "out")
    assert done.code == 2
    content = run_json(tmp_path / "out")
    assert content["interrupted"]
    assert [case["id"] for case in content["cases"]] == seen


def test_the_python_api_gives_the_same(suite, iibench, tmp_path: Path) -> None:
    run = package.run(
        suite(), device="cpu", output=tmp_path / "api", plugins_dirs=[TOYS], select="ii"
    )
    assert not run.failed
    board = run.leaderboard()
    assert {"finder", "mean", "low", "high"} <= set(board.columns)
    again = package.load_run(tmp_path / "api")
    pd.testing.assert_frame_equal(
        run.units().astype({"case": str}),
        again.units().astype({"case": str}),
        check_categorical=False,
    )
    assert [c.id for c in run.cases] == [c.id for c in again.cases]


def test_load_run_refuses_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(package.UsageError, match="no run folder"):
        package.load_run(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"schema_version": "99"}))
    with pytest.raises(package.UsageError, match="schema version '99'"):
        package.load_run(tmp_path)


def test_nothing_is_left_behind_when_the_suite_is_wrong(iibench, suite, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    done = iibench("run", suite(("- toybright", "- toybrighd")), "-o", "out")
    assert done.code == 4
    assert "toybright" in done.err
    assert "Traceback" not in done.err
    assert {p.name for p in set(tmp_path.iterdir()) - before} <= {"toy.yaml"}
