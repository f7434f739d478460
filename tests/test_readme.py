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
    (tmp_path / "plugins" / "thumbnail.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    arguments = re.search(r"`iibench (run quickstart --plugins-dir .*?)`:", README)
    assert arguments is not None

    assert run_program(
        [*shlex.split(arguments[1]), "-o", "out", "--limit", "120", "-k", "ii", "-q"]
    ) in {0, 1}
    import iibench

    run = iibench.load_run(tmp_path / "out")
    ours = [c for c in run.cases if c.metric is not None and c.metric.name == "thumbnail"]
    assert ours
    assert all(case.status == "passed" for case in ours)


@pytest.mark.parametrize(
    ("name", "case_id"),
    [
        ("name: mine", "cifar10/resnet50_cifar10/layer1/kmeans[k=256]/lpips/ii"),
        ("name: people", "triplets[format=csv,path=mine.csv]/lpips/triplets"),
    ],
)
def test_the_suites_in_the_readme_are_valid(tmp_path: Path, name: str, case_id: str) -> None:
    from iibench.hooks.loading import load_plugins
    from iibench.suite.collect import collect
    from iibench.suite.load import load_suite

    path = tmp_path / "mine.yaml"
    path.write_text(block("yaml", name))
    registry = load_plugins(environ="").registry
    assert case_id in {case.id for case in collect(load_suite(str(path), registry), registry)}


def test_the_suites_that_the_readme_names_are_those_that_are_shipped() -> None:
    from iibench.suite.load import shipped_suites

    table = README[README.index("| suite | data |") :].partition("\n\n")[0]
    listed = set(re.findall(r"^\| `([a-z0-9_]+)` \|", table, re.MULTILINE))
    assert listed <= set(shipped_suites())
    run = set(re.findall(r"iibench run ([a-z0-9_]+)(?!\S)", README)) | listed
    assert set(shipped_suites()) <= run


def test_the_readme_names_everything_that_comes_with_it() -> None:
    """Every metric, model and finder stands in a table, and every extra that a plugin needs exists."""
    import tomllib

    from iibench.hooks.loading import load_plugins

    tables = README[README.index("## What comes with it") : README.index("## Write, check")]
    named = {name.partition(":")[0] for name in re.findall(r"`([a-zA-Z0-9_:]+)`", tables)}
    registry = load_plugins(environ="").registry
    for table in (registry.metrics, registry.models, registry.finders):
        assert {entry.spec.name for entry in table} <= named
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    starred = set(re.findall(r"`([a-z0-9_]+)(?::NAME)?`\\\*", tables))
    others = {
        "efficientnet_lite0": "efficientnet",
        "hf_datasets": "datasets",
        "open_clip": "open-clip",
    }
    assert {others.get(name, name) for name in starred} == set(extras) - {"test"}


def test_every_file_of_the_architecture_is_there() -> None:
    listing = block("", "specs.py errors.py")
    names = re.findall(r"[a-z_]+\.py", listing)
    assert len(names) > 15
    for name in names:
        assert (ROOT / "iibench" / name).is_file(), name
    missing = {p.name for p in (ROOT / "iibench").glob("*.py")} - set(names)
    assert missing == {"__init__.py", "__main__.py"}
