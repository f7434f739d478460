"""`iibench report`: pages, sites, single files and exports, from run folders alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Done

Program = Callable[..., Done]


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
