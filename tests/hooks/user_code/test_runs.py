"""Runs with a user's own code: what ends programs ends a case, and what else lies in a plugin's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

import iibench as package
from tests.conftest import run_json

METRIC = """
from iibench import MetricSpec, hookimpl
{code}
class Metric:
    fingerprint = ""
    def embed(self, images):
        {embed}
        return images.mean((2, 3)) * 2
def load(params, harness):
    {load}
    return Metric()
@hookimpl
def iibench_register_metrics():
    {hook}
    yield MetricSpec(name="mine", summary="s", load=load, distance="euclidean", size=lambda p: 8)
{more}
"""


def write(folder: Path, name: str = "mine", **parts: str) -> None:
    folder.mkdir(exist_ok=True)
    empty = {"code": "", "embed": "pass", "load": "pass", "hook": "pass", "more": ""}
    (folder / f"{name}.py").write_text(METRIC.format(**(empty | parts)))


ENDS = ["raise SystemExit(0)", "raise KeyboardInterrupt", "raise GeneratorExit"]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["load", "embed"])
@pytest.mark.parametrize("code", ENDS)
def test_a_metric_that_ends_the_program_ends_its_case(
    iibench, suite, place: str, code: str
) -> None:
    write(Path("own"), **{place: code})
    done = iibench(
        *("run", suite(), "-o", "out", "--plugins-dir", "own", "--metric", "mine"),
        *("-k", "neurons and ii and (mine or toybright)"),
    )
    assert done.code == 1
    cases = {case["metric"]["label"]: case for case in run_json(Path("out"))["cases"]}
    assert cases["toybright"]["status"] == "passed"
    assert cases["mine"]["status"] == "error"
    ending = code.removeprefix("raise ").partition("(")[0]
    assert cases["mine"]["reason"].startswith(f"plugin mine raised {ending}: ")
    assert "mine.py:" in cases["mine"]["reason"]


@pytest.mark.slow
def test_an_observer_that_ends_the_program_is_a_warning(iibench, suite) -> None:
    hook = "@hookimpl\ndef iibench_case_finish(report):\n    raise SystemExit(0)\n"
    write(Path("own"), more=hook)
    done = iibench(
        "run", suite(), "-o", "out", "--plugins-dir", "own", "-k", "neurons and toybright"
    )
    assert done.code == 0, done.err
    assert run_json(Path("out"))["cases"]
    texts = [note["text"] for note in run_json(Path("out"))["notes"]]
    assert any(t.startswith("plugin mine: iibench_case_finish raised SystemExit: 0") for t in texts)


def test_a_check_of_what_ends_the_program_fails(iibench) -> None:
    write(Path("own"), load="raise SystemExit(0)")
    done = iibench("plugin", "check", "mine", "--plugins-dir", "own", toys=False)
    assert done.code == 1
    assert "SystemExit: 0" in done.out


@pytest.mark.parametrize("code", ENDS)
def test_a_hook_that_ends_the_program_is_a_broken_plugin(iibench, code: str) -> None:
    write(Path("own"), hook=code)
    write(Path("own"), "good", more="iibench_register_metrics = None\n" + OTHER)
    done = iibench("plugin", "ls", "--plugins-dir", "own", toys=False)
    assert done.code == 0
    ending = code.removeprefix("raise ").partition("(")[0]
    assert f"reason: {ending}: " in done.out
    assert "registers: metric other" in done.out


OTHER = """
@hookimpl
def iibench_register_metrics():
    yield MetricSpec(name="other", summary="s", load=load, distance="euclidean")
"""


def test_helpers_and_scripts_beside_a_plugin_are_neither_plugins_nor_broken(iibench) -> None:
    write(Path("own"), code="from helpers import scale")
    own = Path("own")
    (own / "helpers.py").write_text("from iibench import check_rgb\nscale = 2\n")
    (own / "train.py").write_text("import sys\nopen('was_run', 'w')\nsys.exit(1)\n")
    (own / "setup.py").write_text("raise RuntimeError\n")
    (own / "half.py").write_text("def f(:\n")
    (own / "test_mine.py").write_text("from mine import iibench_register_metrics as hooks\n")
    (own / "_impl.py").write_text(Path("own/mine.py").read_text().replace('"mine"', '"theirs"'))
    (own / "handed_on.py").write_text("from _impl import iibench_register_metrics\n")
    (own / "torn.py").write_text("from iibench import hookimpl\ndef f(:\n")
    done = iibench("plugin", "ls", "--plugins-dir", "own", toys=False)
    assert done.code == 0
    ours = [line.split()[0] for line in done.out.splitlines() if "(folder," in line]
    assert ours == ["handed_on", "mine", "torn"]
    assert done.err.count("warning") == 1
    assert "plugin torn: SyntaxError" in done.err
    assert "registers: metric theirs" in done.out
    assert not Path("was_run").exists()


@pytest.mark.parametrize(
    "name", ["random", "json", "numpy", "my-metric", "a.b.c", "a copy 2", "iibench_x"]
)
def test_a_plugin_may_be_called_as_a_library_is(iibench, name: str) -> None:
    """It, and what lies beside it, mean the library by that name."""
    write(
        Path("own"), name, code="import random, json, numpy\nrandom.random, json.dumps, numpy.zeros"
    )
    write(Path("own"), "second", code="import json\njson.dumps", more=OTHER)
    done = iibench("plugin", "ls", "--plugins-dir", "own", toys=False)
    assert done.code == 0
    assert not done.err
    assert "registers: metric mine" in done.out


# --------------------------------------------------------------------------------- asked for by name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nosuchmodule", "-p nosuchmodule: there is no such module"),
        ("minne", "-p minne: there is no such module; nearest: mine"),
        ("mine.deeper", "-p mine.deeper: there is no such module"),
        ("iibench.testing.toyz", "-p iibench.testing.toyz: there is no such module"),
        ("minne.py", "-p minne.py: there is no such file"),
        ("", "-p : expected the name of a module, or a file that ends in .py"),
        ("my module", "-p my module: expected the name of a module"),
        ("needs", "-p: plugin needs: ModuleNotFoundError: No module named 'nowhere'"),
        ("ends", "-p: plugin ends: SystemExit: 0"),
    ],
)
def test_a_module_that_cannot_be_had_is_an_error(iibench, suite, name: str, message: str) -> None:
    write(Path())
    write(Path(), "needs", code="import nowhere")
    write(Path(), "ends", code="raise SystemExit(0)")
    done = iibench("run", suite(), "-o", "out", "-p", name)
    assert done.code == 4
    assert f"iibench: error: {message}" in done.err
    assert not Path("out").exists()


def test_so_is_one_of_the_environment(iibench, suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IIBENCH_PLUGINS", "nosuchmodule")
    done = iibench("run", suite(), "-o", "out")
    assert (done.code, done.err) == (
        4,
        "iibench: error: IIBENCH_PLUGINS: nosuchmodule: there is no such module\n",
    )


@pytest.mark.slow
@pytest.mark.parametrize("option", ["-p", "--plugins-dir"])
def test_workers_have_the_helpers_too(
    iibench, suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """Those that are imported late, after the worker's copy of the folder is gone, too."""
    from tests.conftest import TOYS

    monkeypatch.setenv("TOY_TASKS", str(tmp_path / "tasks"))
    folder = tmp_path / ("own" if option == "--plugins-dir" else ".")
    write(folder, embed="from parts.late import scale", code="import helpers")
    (folder / "helpers.py").write_text("x = 1\n")
    (folder / "parts").mkdir()
    (folder / "parts" / "late.py").write_text("import helpers\nscale = 2\n")
    asked = (option, "own" if option == "--plugins-dir" else "mine")
    some = ("--metric", "mine", "-k", "neurons and mine", *asked)
    workers = ("--plugins-dir", TOYS / "executors", "--executor", "two")
    assert iibench("run", suite(), "-o", "workers", *some, *workers, "--cache-dir", "c").code == 0
    assert iibench("run", suite(), "-o", "local", *some).code == 0
    one, other = (package.load_run(name).units()["score"] for name in ("workers", "local"))
    assert one.equals(other)
