"""The run folder: claimed at the start, refused before anything is computed; no other file is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from iibench import load_run
from iibench.results.own_folder import MANIFEST
from iibench.runner import claim
from tests.conftest import ROOT, TOYS, Done, run_json

Program = Callable[..., Done]
Suite = Callable[..., Path]
SMALL = (
    "-k",
    "neurons and toybright and ii",
    "-q",
)
LONG = "x" * 300


@pytest.mark.slow
def test_what_cannot_be_written_is_refused_before_anything_is_loaded(
    iibench: Program, suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = suite()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.md").write_text("mine")
    (tmp_path / "file").write_text("")

    def load(*arguments: object) -> None:
        raise AssertionError("a dataset was loaded")

    monkeypatch.setattr("iibench.stages.inputs.Inputs.dataset", load)
    for output, words in {
        "": "this is the current folder",
        ".": "this is the current folder",
        "..": "or holds it",
        LONG: "cannot be written: File name too long",
        f"new/{LONG}": "cannot be written: File name too long",
        "mine": "holds files that iibench did not make (notes.md)",
        "file": "this is a file, a folder is expected",
        "file/below": "cannot be written",
        "/proc/run": "cannot be written",
    }.items():
        done = iibench("run", path, "-o", output)
        assert done.code == 4, (output, done)
        assert words in done.err, (output, done.err)
        assert "Traceback" not in done.err
    assert {p.name for p in tmp_path.iterdir()} >= {"mine", "file"}
    assert (tmp_path / "mine/notes.md").read_text() == "mine"
    assert not (tmp_path / "new").is_dir() or not any((tmp_path / "new").iterdir())


class Clock(datetime):
    """A second that does not end."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:
        return datetime(2024, 2, 29, 12, 0, 0)


@pytest.mark.slow
def test_runs_of_one_second_have_folders_of_their_own(
    iibench: Program, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "datetime", Clock)
    path = suite()
    for seed in ("1", "2", "3"):
        assert iibench("run", path, *SMALL, "--seed", seed).code == 0
    folders = sorted(Path("reports").iterdir())
    assert [folder.name for folder in folders] == [
        f"toysuite-20240229-120000{number}" for number in ("", "-2", "-3")
    ]
    assert [run_json(folder)["seed"] for folder in folders] == [1, 2, 3]


@pytest.mark.slow
def test_of_two_runs_into_one_folder_at_once_the_second_is_refused(
    suite: Suite, tmp_path: Path
) -> None:
    """Each of the two either has its result there or says that it has none."""
    command = [sys.executable, "-m", "iibench", "run", str(suite()), "-o", "out", *SMALL]
    started = [
        subprocess.Popen(
            [*command, "--plugins-dir", str(TOYS), "--seed", seed],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    ended = [(process.communicate()[1], process.returncode) for process in started]
    assert {code for _, code in ended} <= {0, 4} and 0 in {code for _, code in ended}
    for err, code in ended:
        assert (code == 4) == ("another iibench is writing there" in err)
    load_run(tmp_path / "out")


def test_a_run_into_its_folder_keeps_what_is_not_its_own(iibench: Program, suite: Suite) -> None:
    path = suite()
    assert iibench("run", path, *SMALL, "-o", "out").code == 0
    assert iibench("run", path, *SMALL, "-o", "out/inner", "--seed", "7").code == 0
    mine = ["notes.md", "data/mine.csv", "sprites/deep/mine.png", ".hidden"]
    for name in mine:
        Path("out", name).parent.mkdir(parents=True, exist_ok=True)
        Path("out", name).write_text("mine")
    old = set(json.loads(Path("out", MANIFEST).read_text())["files"])
    assert iibench("run", path, "-k", "neurons and ii", "-q", "-o", "out").code == 0
    assert all(Path("out", name).read_text() == "mine" for name in mine)
    assert run_json(Path("out/inner"))["seed"] == 7
    assert len(run_json(Path("out"))["cases"]) > 1
    assert {"run.json", "index.html"} <= old
    load_run("out/inner")


@pytest.mark.slow
def test_a_run_removes_what_only_the_older_one_made(iibench: Program, suite: Suite) -> None:
    path = suite()
    assert iibench("run", path, "-q", "-o", "out").code == 0
    before = set(json.loads(Path("out", MANIFEST).read_text())["files"])
    assert iibench("report", "out", "--single-file").code == 0
    assert iibench("run", path, *SMALL, "-o", "out").code == 0
    after = set(json.loads(Path("out", MANIFEST).read_text())["files"])
    there = {p.relative_to("out").as_posix() for p in Path("out").rglob("*") if p.is_file()}
    assert there == after | {MANIFEST}
    assert before - after and "report.html" not in after  # it showed the older run


@pytest.mark.slow
@pytest.mark.parametrize("name", ["leaderboard.csv", "index.html"])
def test_a_file_that_was_edited_is_not_replaced(iibench: Program, suite: Suite, name: str) -> None:
    path = suite()
    assert iibench("run", path, *SMALL, "-o", "out").code == 0
    Path("out", name).write_text("with my remarks")
    done = iibench("run", path, *SMALL, "-o", "out")
    assert done.code == 4
    assert f"{name} was changed since iibench wrote it" in done.err
    assert Path("out", name).read_text() == "with my remarks"


def test_results_are_kept_where_something_came_in_the_way(
    iibench: Program, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iibench.runner import execute

    judge = execute._judge

    def meanwhile(*arguments: object) -> object:
        Path("out/run.json").write_text("mine")
        return judge(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(execute, "_judge", meanwhile)
    done = iibench("run", suite(), *SMALL, "-o", "out")
    assert Path("out/run.json").read_text() == "mine"
    assert "the run stands in out-kept" in done.out
    assert len(load_run("out-kept").cases) == 1


@pytest.mark.slow
def test_a_run_from_before_there_was_a_manifest_is_reported_and_replaced(
    iibench: Program, suite: Suite
) -> None:
    old = Path(shutil.copytree(ROOT / "reports" / "sample", "old"))
    (old / "notes.md").write_text("mine")
    assert iibench("report", "old").code == 0
    assert (old / "index.html").is_file() and (old / MANIFEST).is_file()
    assert iibench("run", suite(), *SMALL, "-o", "old").code == 0
    assert run_json(old)["name"] == "toysuite"
    assert (old / "notes.md").read_text() == "mine"
    assert (old / "leaderboard.png").is_file()
    assert not (old / "unit_trials.parquet").exists() or len(load_run(old).unit_trials()) == 0
