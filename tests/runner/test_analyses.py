"""Whole runs of the paper's analyses: what is written, read back, kept, and shown."""

from __future__ import annotations

import json
import os
import signal
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

import iibench as api
from iibench.contract.errors import UsageError
from tests.conftest import run_json
from tests.results.test_details_io import alike

SUITE = """
iibench: "1"
name: analyses
seed: 5
dataset: {name: reference_images, n: 120, size: 16}
models:
  - {name: reference_net, layers: [middle]}
finders:
  - neurons
  - {name: kmeans, k: 6}
metrics:
  - color
evaluations:
  - ii
  - {name: manifold, perplexity: 5, points: 3, resamples: 100}
  - {name: privileged_basis, resamples: 100}
  - {name: spectrum, low: 2, resamples: 50, finders: [neurons]}
  - {name: sensitivity, m: 3, pairs: 2}
  - {name: synergy, resamples: 100}
  - {name: split_half, finder: "kmeans[k=3]", finders: [neurons]}
expect:
  - {on: spectrum, finder: neurons, measure: exponent, at_least: -99, figure: Fig. 11}
  - {on: privileged_basis/color, finder: neurons, at_most: 1, interval: true, published: "-0.4"}
  - {text: "People [b]agree[/b]", figure: Fig. 4, not_testable: it takes people}
"""
TOYS = ("-p", "iibench.testing.toys")
#: Analyses of the suite, each with how many finders it runs with.
ANALYSES = {
    **dict.fromkeys(("manifold", "privileged_basis", "sensitivity", "synergy"), 2),
    **dict.fromkeys(("spectrum", "split_half"), 1),
}


@pytest.fixture
def suite(tmp_path: Path) -> Callable[..., Path]:
    def write(*replacements: tuple[str, str]) -> Path:
        text = SUITE
        for old, new in replacements:
            assert text.count(old) == 1
            text = text.replace(old, new)
        path = tmp_path / "analyses.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run as the Python API returns it, with what each analysis gave still in memory."""
    folder = tmp_path_factory.mktemp("analyses")
    (folder / "analyses.yaml").write_text(SUITE)
    return api.run(
        folder / "analyses.yaml",
        output=folder / "out",
        plugins=["iibench.testing.toys"],
        cache_dir=folder / "cache",
        data_dir=folder / "data",
    )


# ------------------------------------------------------------------------------------- results


def test_every_analysis_passes(done) -> None:
    assert {case.status for case in done.cases} == {"passed"}
    counts: dict[str, int] = {}
    for case in done.cases:
        assert case.is_analysis == (case.evaluation.name != "ii")
        if case.is_analysis:
            counts[case.evaluation.name] = counts.get(case.evaluation.name, 0) + 1
    assert counts == ANALYSES


def test_the_folder_holds_numbers_figures_and_tables(done) -> None:
    folders = {case.details_folder for case in done.cases if case.is_analysis}
    assert len(folders) == sum(ANALYSES.values())
    assert {path.name for path in (done.folder / "analyses").iterdir()} == folders
    for case in done.cases:
        if not case.is_analysis:
            assert case.details_folder == ""
            assert done.details(case) is None
            continue
        place = done.folder / "analyses" / case.details_folder
        content = json.loads((place / "details.json").read_text(), parse_constant=pytest.fail)
        assert content["headline"] == case.headline
        tables = {file.stem for file in place.glob("*.parquet")}
        assert tables == set(case.details.tables)
        for name in tables:
            assert len(pd.read_parquet(place / f"{name}.parquet")) == len(
                next(iter(case.details.tables[name].values()))
            )


def test_what_evaluate_returned_comes_back(done) -> None:
    read = api.load_run(done.folder)
    by_id = {case.id: case for case in read.cases}
    for case in done.cases:
        if not case.is_analysis:
            continue
        again = by_id[case.id]
        assert again.details is None  # read when asked for
        assert again.measures == case.measures
        assert (again.headline, again.scores) == (case.headline, case.scores)
        found = read.details(again)
        assert found.measures == case.measures
        assert alike(found.figures, case.details.figures)
        assert found.notes == case.details.notes
        assert dict(found.tables).keys() == case.details.tables.keys()
        for name, table in case.details.tables.items():
            assert list(found.tables[name]) == list(table)
            for column, values in table.items():
                assert alike(found.tables[name][column], values)


def test_measures_stand_in_one_table(done) -> None:
    frame = api.load_run(done.folder).measures()
    assert len(frame) == sum(len(case.measures) for case in done.cases)
    assert set(frame["evaluation"]) == {c.evaluation.label for c in done.cases if c.is_analysis}


def test_analyses_are_ranked_nowhere(done) -> None:
    board = done.leaderboard()
    assert set(board["evaluation"]) == {"ii"}
    assert len(board) == 2


def test_a_run_without_its_details_says_which_file_is_missing(done, tmp_path) -> None:
    import shutil

    shutil.copytree(done.folder, tmp_path / "copy")
    run = api.load_run(tmp_path / "copy")
    case = next(case for case in run.cases if case.is_analysis)
    shutil.rmtree(tmp_path / "copy/analyses" / case.details_folder)
    with pytest.raises(UsageError, match=r"details\.json cannot be read"):
        run.details(case)


# ---------------------------------------------------------------------------------- on the line


@pytest.mark.slow
def test_the_program_shows_analyses_and_keeps_them(iibench, suite, tmp_path) -> None:
    first = iibench("run", suite(), "-o", "out", *TOYS, toys=False)
    assert first.code == 0, first.err
    lines = [line for line in first.out.splitlines() if line.startswith("PASSED ")]
    spectrum = next(line for line in lines if "/spectrum" in line)
    assert "  exponent" not in spectrum
    assert "  excess " in spectrum
    assert "  n=120  " in spectrum
    assert any("/privileged_basis  spearman " in line for line in lines)
    assert "relu2 / analyses" in first.out
    assert first.out.count("relu2 / ") == 2  # analyses have no leaderboard of their own
    assert "People [b]agree[/b] (not testable here: it takes people) <Fig. 4>" in first.out
    assert "<-0.4>" in first.out
    assert "expectations: 2 met, 0 not met, 0 skipped, 1 not testable" in first.out
    before = {p.name: p.read_bytes() for p in tmp_path.glob("out/analyses/*/details.json")}

    second = iibench("run", suite(), "-o", "out", *TOYS, toys=False)
    assert second.code == 0
    cases = run_json(tmp_path / "out")["cases"]
    assert all(case["cached"] for case in cases)
    assert f"{len(cases)} from the cache" in second.out
    after = {p.name: p.read_bytes() for p in tmp_path.glob("out/analyses/*/details.json")}
    assert after == before


def test_cached_details_are_those_that_were_computed(done, tmp_path) -> None:
    again = api.run(
        done.folder.parent / "analyses.yaml",
        output=tmp_path / "out",
        plugins=["iibench.testing.toys"],
        cache_dir=done.folder.parent / "cache",
        data_dir=done.folder.parent / "data",
    )
    before = {case.id: case for case in done.cases}
    for case in again.cases:
        assert case.cached
        if case.is_analysis:
            assert case.measures == before[case.id].measures
            assert alike(case.details.figures, before[case.id].details.figures)


@pytest.mark.slow
def test_another_finder_in_a_parameter_is_another_case(iibench, suite) -> None:
    only = ("-k", "split_half", *TOYS)
    iibench("run", suite(), "-o", "a", *only, toys=False)
    other = suite(('"kmeans[k=3]"', '"kmeans[k=4]"'))
    done = iibench("run", other, "-o", "b", *only, toys=False)
    assert "from the cache" not in done.out
    assert 'split_half[finder="kmeans[k=4]"]' in done.out


@pytest.mark.slow
def test_the_page_is_made_from_the_folder_alone(iibench, suite, tmp_path) -> None:
    iibench("run", suite(), "-o", "out", *TOYS, toys=False)
    (tmp_path / "out/index.html").unlink()
    done = iibench("report", "out", toys=False)
    assert done.code == 0, done.err
    page = (tmp_path / "out/index.html").read_text()
    assert "People [b]agree[/b]" in page
    assert "relu2 / analyses" in done.out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["json", "csv", "junit", "markdown", "latex", "bibtex"])
def test_exports_of_a_run_with_analyses(iibench, done, name: str) -> None:
    found = iibench("report", done.folder, "--format", name, toys=False)
    assert found.code == 0, found.err
    if name == "junit":
        suites = ElementTree.fromstring(found.out)
        assert int(suites.get("tests", "0")) == len(done.cases) + len(done.verdicts)


def test_the_plan(iibench, suite) -> None:
    done = iibench("run", suite(), "--collect-only", *TOYS, toys=False)
    assert done.code == 0
    ids = [line for line in done.out.splitlines() if line.startswith("reference_images[")]
    assert len(ids) == 2 + sum(ANALYSES.values())
    for name, count in ANALYSES.items():
        row = next(line for line in done.out.splitlines() if f"evaluation {name} " in line)
        assert f" {count} " in row
        assert "guess" in row


@pytest.mark.slow
def test_the_plan_counts_the_fit_split_of_an_analysis_that_fits_finders(iibench, suite) -> None:
    done = iibench("run", suite(), "--collect-only", "-k", "split_half", *TOYS, toys=False)
    assert "relu2 on fit" in done.out
    without = iibench("run", suite(), "--collect-only", "-k", "spectrum", *TOYS, toys=False)
    assert "relu2 on evaluate" in without.out
    assert "relu2 on fit" not in without.out


def test_show_and_validate(iibench, suite) -> None:
    shown = iibench("show", suite(), *TOYS, toys=False)
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert "evaluation: spectrum[low=2] (only finders neurons)" in lines
    assert "evaluation: synergy" in lines
    assert "expects: exponent of neurons on spectrum[low=2] is at least -99 (Fig. 11)" in lines
    assert (
        "expects: the main measure of neurons on privileged_basis/color is at most 1, with its "
        "whole interval (-0.4)"
    ) in lines
    assert "cannot test: People [b]agree[/b] (Fig. 4): it takes people" in lines
    assert "valid, 12 cases" in iibench("validate", suite(), *TOYS, toys=False).out


def test_ls_says_what_an_evaluation_gives(iibench) -> None:
    out = iibench("ls", "evaluations", "-v", toys=False).out
    analysis = "    gives: an analysis: measures, figures and tables, ranked nowhere; needs"
    assert out.count(analysis) == 6
    assert f"{analysis} no metric" in out
    assert "    gives: a score per direction" in out
    assert "    gives: agreement with people on a dataset of trials" in out


# ------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"kmeans[k=3]"', "kmeens", "evaluations[6].finder: unknown finder 'kmeens'; nearest: km"),
        ("low: 2, resamples: 50, finders: [neurons]", "low: 2, finders: [pca]",
         "evaluations[3].finders[0]: found 'pca'; expected one of this suite's finders"),
        ("measure: exponent", "above: neurons",
         "expect[0]: found above, at_least; expected either above or at_least / at_most"),
        ("not_testable: it takes people", "not_testable: it takes people, at_least: 0",
         "expect[2].at_least: found at_least beside not_testable; expected text, figure, published"),
    ],
)  # fmt: skip
def test_mistakes_of_suites(iibench, suite, tmp_path, old: str, new: str, message: str) -> None:
    done = iibench("run", suite((old, new)), "-o", "out", *TOYS, toys=False)
    assert done.code == 4
    assert message in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_measure_that_is_not_there_fails_and_names_those_that_are(iibench, suite) -> None:
    wrong = suite(("measure: exponent", "measure: exponnent"))
    done = iibench("run", wrong, "-k", "spectrum", "-o", "out", *TOYS, toys=False)
    assert done.code == 1
    assert "unknown measure 'exponnent'; nearest: exponent" in done.out


PLUGIN = """
from pathlib import Path
import os, time
import numpy as np
from iibench import (
    Axis, Details, EvaluationSpec, Measure, Series, UnitScores, XYPlot, hookimpl
)

def evaluate(params, inputs):
    if os.environ.get("WAIT_FOR"):
        Path(os.environ["WAIT_FOR"]).touch()
        time.sleep(60)
    k = inputs.responses.shape[1]
    DETAILS
    return UnitScores(np.full(k, np.nan), ("the whole layer",) * k, details=details)

@hookimpl
def iibench_register_evaluations():
    return [EvaluationSpec(name="mine", summary="", evaluate=evaluate, needs_metric=False, plot="none")]
"""
RIGHT = 'details = Details((Measure("m", 1.5),), "m")'


@pytest.fixture
def with_mine(tmp_path: Path, suite) -> Callable[[str], tuple[Any, ...]]:
    """Arguments of a run with an analysis of the test's own, whose details are made by `code`."""

    def arguments(code: str) -> tuple[Any, ...]:
        (tmp_path / "plugins").mkdir(exist_ok=True)
        (tmp_path / "plugins/mine.py").write_text(PLUGIN.replace("DETAILS", textwrap.dedent(code)))
        file = suite(("  - ii\n", "  - ii\n  - {name: mine, finders: [neurons]}\n"))
        return ("run", file, "-o", "out", *TOYS, "--plugins-dir", tmp_path / "plugins")

    return arguments


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("details = None", "evaluation mine: details belong to analyses (plot 'none'), and each"),
        ('details = Details((Measure("m", float("nan")),), "m")', "the value of its measure m is nan"),
        ('details = Details((Measure("m", 1.0),), "rho")', "its headline 'rho' is none of its"),
        ('details = Details((Measure("m", 1.0),), "m", tables={"../../x": {"a": np.ones(2)}})',
         "'../../x' is no name for a table; expected letters, digits and _"),
        ('details = Details((Measure("m", 1.0),), "m", tables={"x": {"a": np.ones((2, 2))}})',
         "the column a is no array with one value per row"),
        ('details = Details((Measure("m", 1.0),), "m", (XYPlot("t", Axis("x"), Axis("y"), '
         '(Series("s", np.ones(2), np.ones(3)),), "c"),))',
         "y of the series 's' has shape (3,) and x (2,)"),
        ("details = inputs.context.responses_of('kmeans', np.arange(3))",
         "evaluation mine asks for the finder kmeans, which its spec does not name"),
    ],
)  # fmt: skip
def test_a_wrong_analysis_is_one_error_of_its_case(
    iibench, with_mine, tmp_path, code: str, message: str
) -> None:
    done = iibench(*with_mine(code), "-k", "mine or ii", toys=False)
    assert done.code == 1
    assert message in done.out
    assert "Traceback" not in done.err
    by_name = {
        case["evaluation"]["name"]: case["status"] for case in run_json(tmp_path / "out")["cases"]
    }
    assert by_name == {"ii": "passed", "mine": "error"}
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_a_killed_run_leaves_no_results_and_goes_on(spawn, iibench, with_mine, tmp_path) -> None:
    arguments = (*with_mine(RIGHT), "-k", "mine or ii")
    marker = tmp_path / "started"
    process = spawn(*arguments, env={**os.environ, "WAIT_FOR": str(marker)})
    deadline = time.monotonic() + 120
    while not marker.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left <= {".iibench-lock", ".iibench-new"}  # its claim

    done = iibench(*arguments, toys=False)
    assert done.code == 0, done.out
    found = {case["evaluation"]["name"]: case for case in run_json(tmp_path / "out")["cases"]}
    assert (found["ii"]["cached"], found["mine"]["cached"]) == (True, False)
    details = api.load_run(tmp_path / "out")
    case = next(case for case in details.cases if case.evaluation.name == "mine")
    assert details.details(case).measures[0].value == 1.5
    assert len(list(tmp_path.glob("out/analyses/*"))) == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out")]
