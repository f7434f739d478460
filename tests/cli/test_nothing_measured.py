"""Every way to measure nothing ends with another code than 0 and a last line that says so."""

from __future__ import annotations

from pathlib import Path

import pytest

import iibench as api
from iibench.contract.errors import UsageError
from tests.conftest import TOYS

PLUGIN = """
from iibench import AssetError, AssetFile, AssetSpec, MetricSpec, hookimpl

WANTED = AssetSpec("wanted", "what it needs", (AssetFile("wanted.bin", "0" * 64, 3),))


class Whole:
    fingerprint = "whole"

    def pairwise(self, x, y):
        return 1 - (x.mean((1, 2, 3)) - y.mean((1, 2, 3))).abs()


def missing(params, harness):
    raise AssetError("wanted.bin is not there")


@hookimpl
def iibench_register_metrics():
    yield MetricSpec(
        name="wanting", summary="needs a file", range="[0, 1]", load=missing, assets=(WANTED,)
    )
"""


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


@pytest.fixture
def lacking(suite) -> Path:
    """A suite whose only metric cannot be had."""
    path = suite(("metrics:", "metrics:\n  - toymissing"))
    text = path.read_text().partition("expect:")[0]
    text = text.replace("  - {name: toycolour, parts: [sum, r]}\n  - toybright\n  - toylabel\n", "")
    path.write_text(text.partition("evaluations:")[0] + "evaluations: [ii]\n")
    return path


def test_every_case_is_skipped(iibench, lacking: Path) -> None:
    done = iibench("run", lacking, "-o", "out", "-q")
    assert done.code == 5
    assert last_line(done.out) == "NOTHING WAS MEASURED: every case was skipped (3)"
    assert "3 skipped" in done.out
    again = iibench("rerun", "out", "-o", "again")
    assert again.code == 5
    assert last_line(again.out) == "NOTHING WAS MEASURED: every case was skipped (3)"


def test_every_case_of_a_selection_is_skipped(iibench, suite) -> None:
    done = iibench("run", suite(("- toybright", "- toymissing")), "-k", "toymissing and ii")
    assert done.code == 5
    assert last_line(done.out).startswith("NOTHING WAS MEASURED")


def test_some_cases_are_skipped(iibench, suite) -> None:
    path = suite(("- toybright", "- toymissing"))
    done = iibench("run", path, "-k", "neurons and ii and (toymissing or toylabel)")
    assert done.code == 0
    assert "1 passed, 1 skipped" in done.out
    assert "NOTHING" not in done.out


@pytest.mark.parametrize("more", [[], ["--collect-only"], ["--lf"], ["-q"]])
def test_no_case_is_selected(iibench, suite, tmp_path: Path, more: list[str]) -> None:
    done = iibench("run", suite(), "-o", "out", "-k", "nothing-like-this", *more)
    assert done.code == 5
    assert last_line(done.out) == "NOTHING WAS MEASURED: no case selected (27 deselected)"
    assert not (tmp_path / "out").exists()


def test_in_python_no_selection_is_an_error_and_skips_alone_are_warned_of(
    lacking: Path, tmp_path: Path
) -> None:
    given = {"plugins_dirs": [TOYS], "device": "cpu", "output": tmp_path / "out"}
    with pytest.raises(UsageError, match="select 'nomatch': no case selected"):
        api.run(lacking, select="nomatch", **given)
    assert not (tmp_path / "out").exists()
    with pytest.warns(UserWarning, match=r"nothing was measured.*nowhere\.zip"):
        found = api.run(lacking, **given)
    assert not found.measured


@pytest.fixture
def wanting(tmp_path: Path) -> Path:
    folder = tmp_path / "wanting"
    folder.mkdir()
    (folder / "wanting.py").write_text(PLUGIN)
    return folder


def test_a_check_of_nothing_but_skips(iibench, wanting: Path) -> None:
    for verbose in ([], ["-v"]):
        done = iibench("plugin", "check", "wanting", "--plugins-dir", wanting, *verbose)
        assert done.code == 5, done.out + done.err
        assert last_line(done.out).startswith("NOTHING WAS CHECKED: every check was skipped")
        assert "wanted.bin is not there" in last_line(done.out)


def test_a_check_with_a_damaged_file_fails(iibench, wanting: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "wanted.bin").write_bytes(b"abc")
    done = iibench(*("plugin", "check", "wanting", "--plugins-dir", wanting, "--data-dir", "data"))
    assert done.code == 1, done.out + done.err
    assert "has sha256" in done.out


def test_a_verification_of_files_that_are_not_there(iibench, wanting: Path, tmp_path: Path) -> None:
    given = ("--plugins-dir", wanting, "--data-dir", "data")
    done = iibench("assets", "verify", "wanted", *given)
    assert done.code == 5
    assert last_line(done.out).startswith("NOTHING WAS CHECKED")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "wanted.bin").write_bytes(b"abc")
    assert iibench("assets", "verify", "wanted", *given).code == 1
