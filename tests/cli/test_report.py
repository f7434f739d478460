"""`iibench report`: pages, sites, single files and exports, from run folders alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, Done

Program = Callable[..., Done]
SAMPLE = ROOT / "reports" / "sample"


@pytest.fixture
def runs(tmp_path: Path, suite: Callable[..., Path], iibench: Program) -> Path:
    """A folder with two runs."""
    folder = tmp_path / "runs"
    assert iibench("run", suite(), "-o", folder / "one", "-q").code == 0
    assert iibench("run", suite(), "-o", folder / "two", "--seed", "7", "-q").code == 0
    return folder


@pytest.mark.slow
def test_pages_are_made_anew_from_the_results(runs: Path, iibench: Program) -> None:
    before = (runs / "one" / "index.html").read_text()
    for folder in ("one", "two"):
        (runs / folder / "index.html").unlink()
        shutil.rmtree(runs / folder / "data")
    done = iibench("report", runs)
    assert done.code == 0, done.err
    assert (runs / "one" / "index.html").read_text() == before
    assert (runs / "two" / "data").is_dir()
    (runs / "two" / "index.html").unlink()
    assert iibench("report", runs / "one").code == 0
    assert not (runs / "two" / "index.html").exists()


@pytest.mark.slow
def test_a_site_of_a_folder_of_runs(runs: Path, tmp_path: Path, iibench: Program) -> None:
    done = iibench("report", runs, "-o", tmp_path / "site")
    assert done.code == 0, done.err
    assert "2 runs" in done.out
    assert (tmp_path / "site" / "index.html").is_file()
    for name in ("one", "two"):
        assert (tmp_path / "site" / "runs" / name / "index.html").is_file()
    assert len(list((tmp_path / "site").rglob("plotly.min.js"))) == 1


def test_a_single_file(runs: Path, tmp_path: Path, iibench: Program) -> None:
    done = iibench("report", runs / "one", "--single-file")
    assert done.code == 0, done.err
    assert (runs / "one" / "report.html").stat().st_size < 20e6
    assert iibench("report", runs / "one", "--single-file", "-o", tmp_path / "x.html").code == 0
    assert (tmp_path / "x.html").is_file()
    assert not list(tmp_path.glob("assets"))


@pytest.mark.slow
def test_exports(runs: Path, tmp_path: Path, iibench: Program) -> None:
    for name in ("csv", "markdown", "latex", "bibtex", "junit"):
        done = iibench("report", runs / "one", "--format", name)
        assert done.code == 0, done.err
        assert len(done.out) > 100
    done = iibench("report", runs / "one", "--format", "json")
    assert json.loads(done.out)["format_version"] == "2.0"
    assert iibench("report", runs / "one", "--format", "parquet").code == 4
    assert (
        iibench("report", runs / "one", "--format", "parquet", "-o", tmp_path / "b.parquet").code
        == 0
    )
    import pandas as pd

    assert len(pd.read_parquet(tmp_path / "b.parquet")) > 5


def test_what_is_wrong_is_said_in_a_sentence(runs: Path, tmp_path: Path, iibench: Program) -> None:
    for arguments, words in {
        (runs, "--format", "csv"): "about one run; 2 were found",
        (runs, "--single-file"): "about one run",
        (runs / "one", "--format", "latx"): "nearest: latex",
        (runs / "one", "--format", "csv", "--single-file"): "exclude each other",
        (tmp_path / "nowhere",): "there is no run.json",
        (runs / "one", "--single-file", "-o", runs): "a file is expected",
    }.items():
        done = iibench("report", *arguments)
        assert done.code == 4
        assert words in done.err
        assert "Traceback" not in done.err


@pytest.mark.slow
def test_a_broken_run_among_others_is_named_and_left_out(
    runs: Path, tmp_path: Path, iibench: Program
) -> None:
    (runs / "two" / "run.json").write_text("{")
    done = iibench("report", runs, "-o", tmp_path / "site")
    assert done.code == 0
    assert "two" in done.err and "cannot be read" in done.err
    assert not (tmp_path / "site" / "runs" / "two").exists()
    assert iibench("report", runs / "two").code == 4


@pytest.mark.slow
def test_a_site_touches_only_what_is_its_own(iibench: Program, tmp_path: Path) -> None:
    mine, outside = tmp_path / "mine", tmp_path / "outside"
    for path in (mine / "data/survey.csv", mine / "index.html", outside / "a.txt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    done = iibench("report", SAMPLE, "-o", mine)
    assert done.code == 4 and "holds files that iibench did not make" in done.err
    done = iibench("report", SAMPLE, "-o", SAMPLE)
    assert done.code == 4 and "this is a run folder" in done.err
    assert iibench("report", SAMPLE, "-o", "site").code == 0
    for name in ("site/data/survey.csv", "site/runs/notes.md", "site/runs/sample/data/own.js"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("mine")
    assert iibench("report", SAMPLE, "-o", "site").code == 0
    for name in ("site/data/survey.csv", "site/runs/notes.md", "site/runs/sample/data/own.js"):
        assert Path(name).read_text() == "mine"
    shutil.rmtree("site/runs")
    Path("site/runs").symlink_to(outside)
    done = iibench("report", SAMPLE, "-o", "site")
    assert done.code == 4 and "does not follow links" in done.err
    assert [p.name for p in outside.iterdir()] == ["a.txt"]
    assert (mine / "data/survey.csv").read_text() == (mine / "index.html").read_text() == "mine"


def test_an_export_takes_the_place_of_no_results(iibench: Program, tmp_path: Path) -> None:
    run = Path(shutil.copytree(SAMPLE, tmp_path / "run"))
    done = iibench("report", run, "--format", "json", "-o", run / "run.json")
    assert done.code == 4 and "this is a file of a run's results" in done.err
    (run / "report.html").write_text("mine")
    done = iibench("report", run, "--single-file")
    assert done.code == 4 and "report.html was not made by iibench" in done.err
    assert (run / "report.html").read_text() == "mine"
