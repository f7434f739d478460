"""Third parties' plugins in a virtual environment of their own: installed, as a module, as one file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.third_party.conftest import EXAMPLE, TOYS, Environment

KINDS = ("metric", "finder", "model", "dataset", "evaluation")

SUITE = """
iibench: "1"
name: third
dataset: {name: toy, n: 60}
models: [{name: toynet, layers: [mixed]}]
finders: [neurons]
metrics: [toycolour]
evaluations: [ii, {name: insilico, difficulty: 0, trials: 3, references: 3, metrics: [toycolour]}]
"""

ONE_FILE = """
from iibench import MetricSpec, check_rgb, hookimpl

class Rows:
    fingerprint = ""
    def embed(self, x):
        check_rgb("rows", x)
        return x.mean(dim=3).flatten(1)

@hookimpl
def iibench_register_metrics():
    yield MetricSpec(name="rows", summary="row means", load=lambda p, h: Rows(), distance="cosine")
"""


@pytest.fixture(scope="module")
def suite(environment: Environment) -> Path:
    path = environment.work / "third.yaml"
    path.write_text(SUITE)
    return path


def run(environment: Environment, suite: Path, out: str, *words: str | Path) -> dict[str, float]:
    """Case id -> mean of a run with the toys."""
    arguments = ("run", suite, "-o", out, "--plugins-dir", TOYS, "-q", *words)
    done = environment.run("iibench", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = json.loads((environment.work / out / "run.json").read_text())["cases"]
    return {case["id"]: case["summary"]["mean"] for case in cases}


@pytest.mark.slow
def test_iibench_is_installed_and_not_the_checkout(environment: Environment) -> None:
    done = environment.run("iibench", "plugin", "ls", "-v")
    assert done.returncode == 0, done.stderr
    assert str(environment.python.parents[1]) in done.stdout
    assert done.stdout.count("evaluations.ii  (") == 1


@pytest.mark.slow
def test_an_installed_distribution(environment: Environment, suite: Path) -> None:
    """Found by its entry point; its metric is in every suite, its part on the page, its export there."""
    listed = environment.run("iibench", "plugin", "ls").stdout
    assert "edges  (entry point, iibench-edges 1.2.3)\n    registers: metric edges, " in listed
    found = run(environment, suite, "installed")
    assert [case for case in found if "/edges/insilico" in case]
    assert json.loads((environment.work / "installed" / "edges.json").read_text()) == found
    page = (environment.work / "installed" / "index.html").read_text()
    assert "What edges saw" in page
    assert "edges</td>" in page or ">edges<" in page  # its column on the leaderboard
    said = environment.run("iibench", "edges")
    assert (said.returncode, said.stdout) == (0, "edges 1.2.3\n")


@pytest.mark.slow
def test_the_check_of_an_installed_plugin(environment: Environment) -> None:
    done = environment.run("iibench", "plugin", "check", "edges")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "metric edges" in done.stdout
    assert "failed" not in done.stdout


@pytest.mark.slow
def test_one_file_a_module_and_an_installed_distribution_give_the_same(
    environment: Environment, suite: Path, tmp_path: Path
) -> None:
    folder = environment.work / "files"
    folder.mkdir()
    (folder / "rows.py").write_text(ONE_FILE)
    added = ("--metric", "rows", "-k", "rows")
    as_file = run(environment, suite, "as_file", "--plugins-dir", folder, *added)
    (environment.work / "rows_module.py").write_text(ONE_FILE)
    as_module = run(environment, suite, "as_module", "-p", "rows_module", *added)
    project = tmp_path / "rows"
    project.mkdir()
    (project / "rows_installed.py").write_text(ONE_FILE)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "rows"\nversion = "1"\n'
        '[project.entry-points.iibench]\nrows = "rows_installed"\n'
        '[tool.setuptools]\npy-modules = ["rows_installed"]\n'
    )
    environment.install(project)
    try:
        installed = run(environment, suite, "as_distribution", *added)
    finally:
        environment.run("pip", "uninstall", "--yes", "--quiet", "rows")
    assert as_file == as_module == installed
    assert len(installed) == 2


@pytest.mark.slow
def test_a_plugin_for_a_later_api_is_refused_and_the_rest_goes_on(
    environment: Environment, suite: Path
) -> None:
    folder = environment.work / "later"
    folder.mkdir()
    (folder / "rows.py").write_text(f'IIBENCH_API = "9.0"\n{ONE_FILE}')
    done = environment.run("iibench", "run", suite, "--plugins-dir", TOYS, "--plugins-dir", folder)
    sentence = "plugin rows: built for plugin API 9.0, and this iibench speaks 1.4: a newer iibench"
    assert done.returncode == 0, done.stderr
    assert sentence in done.stderr
    asked = environment.run("iibench", "plugin", "check", "rows", "--plugins-dir", folder)
    assert asked.returncode == 4
    assert "the plugin rows is not in use: broken: built for plugin API 9.0" in asked.stderr


@pytest.mark.slow
def test_what_plugin_new_writes_installs_and_passes_its_tests(environment: Environment) -> None:
    """Every kind: written, built, installed, listed, and its own tests run."""
    folders = []
    for kind in KINDS:
        made = environment.run("iibench", "plugin", "new", f"my-{kind}", "--kind", kind)
        assert made.returncode == 0, made.stderr
        folders.append(environment.work / f"iibench-my-{kind}")
    environment.install(*folders)
    listed = environment.run("iibench", "plugin", "ls").stdout
    for kind in KINDS:
        assert f"my-{kind}  (entry point, iibench-my-{kind} 0.1.0)" in listed
    for (
        folder
    ) in folders:  # its tests check it, as `iibench plugin check` does, and use it in a run
        done = environment.run("pytest", "-q", "-p", "no:cacheprovider", cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "2 passed" in done.stdout


@pytest.mark.slow
def test_the_example_checks_itself_as_its_author_would(environment: Environment) -> None:
    """`iibench.testing` from a plugin's own test, in the environment where both are installed."""
    test = environment.work / "test_edges.py"
    test.write_text(
        "from iibench.testing import check_metric, run_reference_suite\n"
        "from iibench_edges import SPEC\n"
        "def test_conformance(): check_metric(SPEC).raise_if_failed()\n"
        "def test_run():\n"
        "    run = run_reference_suite(metric='edges')\n"
        "    assert {case.status for case in run.cases} == {'passed'}\n"
    )
    done = environment.run("pytest", "-q", "-p", "no:cacheprovider", test)
    assert done.returncode == 0, done.stdout + done.stderr
    assert EXAMPLE.is_dir()
