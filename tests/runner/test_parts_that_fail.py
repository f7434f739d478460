"""Whatever fails after the cases leaves their scores on disk, and is named."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from iibench import load_run
from iibench.statistics.scores import summarise
from tests.conftest import TOYS, Done

Program = Callable[..., Done]
Suite = Callable[..., Path]
SMALL = ("-k", "neurons and toybright and ii", "-q", "-o", "out")

#: what is replaced with a failure -> how the part is named
PARTS = {
    "iibench.report.page.write_page": "the page could not be made: ",
    "iibench.runner.run_folder.write_leaderboard": "leaderboard.csv could not be made: ",
    "iibench.runner.run_folder.write_unit_tables": "the tables of units could not be made: ",
    "iibench.runner.kept_units.image_file": "the thumbnails could not be made: ",
    "iibench.runner.kept_units._exemplars": "units of neurons at tap could not be made: ",
    "iibench.runner.execute._judge": "the verdicts on the expectations could not be made: ",
}


class Mute(Exception):
    def __str__(self) -> str:
        raise TypeError("no text either")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_fails_is_named_and_the_scores_stand(
    iibench: Program, suite: Suite, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise Mute

    with monkeypatch.context() as patch:
        patch.setattr(part, fail)
        done = iibench("run", suite(), *SMALL)
    assert done.code == 1
    assert PARTS[part] in done.out and "Mute" in done.out
    assert "iibench report out" in done.out
    assert ("page: " in done.out) == ("write_page" not in part)
    (case,) = load_run("out").cases
    assert case.scored and len(case.scores) == 6
    again = iibench("report", "out")
    assert again.code == 0
    assert Path("out/index.html").is_file() and Path("out/leaderboard.csv").is_file()


def test_a_dataset_that_cannot_be_loaded_for_the_record(
    iibench: Program, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iibench.runner import provenance
    from iibench.stages.inputs import Inputs

    describe = provenance._dataset_records

    def records(session: object, used: object, loading: bool) -> object:
        def load(*arguments: object) -> None:
            raise RuntimeError("the archive has moved")

        with monkeypatch.context() as patch:
            patch.setattr(Inputs, "dataset", load)
            return describe(session, used, loading)  # type: ignore[arg-type]

    monkeypatch.setattr(provenance, "_dataset_records", records)
    done = iibench("run", suite(), *SMALL)
    assert "raised RuntimeError: the archive has moved" in done.out
    assert load_run("out").cases[0].scored
    assert Path("out/index.html").is_file()


ODD = """
import numpy as np
from iibench import EvaluationSpec, Section, UnitScores, hookimpl

def evaluate(params, inputs):
    k = inputs.responses.shape[1]
    if FAILS:
        raise ValueError("odd \\udcff")
    values = np.ones(k)
    values[0] = np.nan
    return UnitScores(values, ("odd \\udcff", *(None for _ in values[1:])))

@hookimpl
def iibench_register_evaluations():
    return [EvaluationSpec(name="odd", summary="odd", evaluate=evaluate, needs_metric=False)]

@hookimpl
def iibench_report_sections(run):
    return [Section("odd \\udcff", ("more \\udcff",))]
"""


@pytest.mark.slow
@pytest.mark.parametrize("fails", [True, False])
def test_texts_that_utf8_cannot_hold(
    iibench: Program, suite: Suite, tmp_path: Path, fails: bool
) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/odd.py").write_text(ODD.replace("FAILS", str(fails)))
    path = suite(("  - activity", "  - odd"))
    done = iibench("run", path, "-k", "neurons and odd", "-o", "out", "--plugins-dir", "odd")
    assert done.code == int(fails), done.out + done.err
    assert "Traceback" not in done.err
    (case,) = load_run("out").cases
    assert r"odd \udcff" in ((case.reason if fails else case.reasons[0]) or "")
    assert r"more \udcff" in Path("out/index.html").read_text("utf-8")
    for name in ("json", "csv", "junit", "markdown", "latex", "bibtex"):
        assert iibench("report", "out", "--format", name).code == 0
    assert iibench("report", "out", "--single-file", "--plugins-dir", "odd").code == 0


def test_the_mean_of_large_scores_does_not_overflow() -> None:
    large = np.array([1.7e308, 1.7e308, -1e308, np.nan])
    found = summarise(large)
    assert found.mean == pytest.approx(0.8e308, rel=1e-12)
    assert found.median == 1.7e308 and found.scored == 3
    assert found.low is not None and np.isfinite(found.low)
    small = summarise(large / 1e300)
    assert found.sd is not None and small.sd is not None
    assert found.sd == pytest.approx(small.sd * 1e300)
    assert summarise(np.array([1.7e308, -1.7e308])).sd is None  # no float64 holds it


# ----------------------------------------------------------------------- the program's output


def started(tmp_path: Path, *arguments: str | Path, **options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "iibench", *map(str, arguments), "--plugins-dir", str(TOYS)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(command, cwd=tmp_path, **pipes)  # type: ignore[call-overload]


@pytest.mark.slow
def test_a_reader_that_goes_away_does_not_stop_a_run(suite: Suite, tmp_path: Path) -> None:
    process = started(tmp_path, "run", suite(), "-k", "neurons and ii", "-o", "out")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read().decode()
    assert process.wait() == 0, err
    assert err == ""
    assert len(load_run(tmp_path / "out").cases) == 4
    assert (tmp_path / "out/index.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_an_output_that_lacks_a_sign_gets_another(
    suite: Suite, tmp_path: Path, encoding: str
) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    path = suite(("A suite on toy data.", "Σ of − data → 字."), ("name: toysuite", "name: toy"))
    for arguments in (("run", path, *SMALL), ("ls", "metrics", "-v"), ("show", path)):
        process = started(tmp_path, *arguments, env=environment)
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert out and not err
    assert load_run(tmp_path / "out").cases[0].scored


@pytest.mark.slow
def test_a_disk_that_is_full_is_one_clear_error_or_a_named_part(
    suite: Suite, tmp_path: Path
) -> None:
    path = suite()
    for kib, code in ((1, 4), (200, 1)):

        def limit(size: int = kib * 1024) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        process = started(tmp_path, "run", path, *SMALL, preexec_fn=limit)
        out, err = (text.decode() for text in process.communicate())
        assert process.returncode == code, (out, err)
        assert "Traceback" not in err and "File too large" in out + err
        assert (tmp_path / "out/run.json").exists() == (code == 1)
    assert "the page could not be made" in out and "page: " not in out
    assert load_run(tmp_path / "out").cases[0].scored
    assert started(tmp_path, "report", "out").wait() == 0
    assert (tmp_path / "out/index.html").is_file()
