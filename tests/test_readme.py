"""What the README says is so: commands, the plugin of 20 lines, the API."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks() -> list[tuple[str, str]]:
    """(language, content) of every fenced block."""
    found: list[tuple[str, str]] = []
    inside = False
    for line in README.splitlines():
        if line.startswith("```"):
            inside = not inside
            if inside:
                found.append((line[3:], ""))
        elif inside:
            found[-1] = (found[-1][0], found[-1][1] + line + "\n")
    return found


def block(language: str, containing: str) -> str:
    """The one block of this language that contains a text."""
    matching = [text for name, text in blocks() if name == language and containing in text]
    assert len(matching) == 1
    return matching[0]


def test_ci_runs_the_second_command() -> None:
    command = block("", "pytest").strip()
    assert command.endswith("&& .venv/bin/pytest")
    script = (ROOT / ".ci" / "run").read_text()
    setup, _, test = command.rpartition(" && ")
    assert setup in script
    assert test in script


def test_the_first_command_names_a_suite_that_is_there() -> None:
    command = block("", "pip install . ").strip()
    suite = command.split()[-1]
    assert (ROOT / suite).is_file()


def test_the_plugin_of_20_lines_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from iibench.cli.main import run_program

    code = block("python", "MetricSpec")
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "pixel.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    arguments = re.search(r"`iibench (run quickstart --plugins-dir .*?)`:", README)
    assert arguments is not None

    assert run_program(
        [*shlex.split(arguments[1]), "-o", "out", "--limit", "120", "-k", "ii", "-q"]
    ) in {0, 1}
    import iibench

    run = iibench.load_run(tmp_path / "out")
    pixel = [case for case in run.cases if case.metric is not None and case.metric.name == "pixel"]
    assert pixel
    assert all(case.status == "passed" for case in pixel)


@pytest.mark.parametrize(
    ("name", "case_id"),
    [
        ("name: mine", "cifar10/resnet50_cifar10/layer1/kmeans[k=256]/lpips/ii"),
        ("name: people", "triplets[format=csv,path=mine.csv]/lpips/triplets"),
    ],
)
def test_the_suites_in_the_readme_are_valid(tmp_path: Path, name: str, case_id: str) -> None:
    from iibench.plugins import load_plugins
    from iibench.suite.cases import collect
    from iibench.suite.load import load_suite

    path = tmp_path / "mine.yaml"
    path.write_text(block("yaml", name))
    registry = load_plugins(environ="").registry
    assert case_id in {case.id for case in collect(load_suite(str(path), registry), registry)}


def test_the_suites_that_the_readme_lists_are_shipped() -> None:
    from iibench.suite.load import shipped_suites

    listed = set(re.findall(r"^\| `([a-z0-9_]+)` \|", README, re.MULTILINE))
    suites = set(shipped_suites()) - {"quickstart", "cifar_layer1"}
    assert suites == {name for name in listed if not name.startswith("iibench_")}


def test_every_file_of_the_architecture_is_there() -> None:
    listing = block("", "specs.py errors.py")
    names = re.findall(r"[a-z_]+\.py", listing)
    assert len(names) > 15
    for name in names:
        assert (ROOT / "iibench" / name).is_file(), name
    missing = {p.name for p in (ROOT / "iibench").glob("*.py")} - set(names)
    assert missing == {"__init__.py", "__main__.py"}
