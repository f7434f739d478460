"""What the READMEs say is so: commands, the plugin of 20 lines, suites, tables, packages, files, links."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from iibench.hooks.loading import load_plugins
from iibench.suite.collect import collect
from iibench.suite.load import load_suite, shipped_suites
from tests.test_layers import MAY_IMPORT

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PLUGINS = (ROOT / "plugins" / "README.md").read_text("utf-8")
SUITES = (ROOT / "suites" / "README.md").read_text("utf-8")
PAGES = (
    *("README.md", "CONTRIBUTING.md", "plugins/README.md", "plugins/executors/README.md"),
    *("suites/README.md", "reports/README.md", "tests/README.md"),
)
#: What a reader or a run makes.
MADE = ("plugins/thumbnail.py", "assets/", "data/", "sprites/")


def blocks(text: str, language: str) -> list[str]:
    """The content of every fenced block of this language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [content for name, content in found if name == language]


def block(text: str, language: str, containing: str) -> str:
    """The one block of this language that contains something."""
    matching = [content for content in blocks(text, language) if containing in content]
    assert len(matching) == 1
    return matching[0]


def first_cells(text: str, head: str) -> set[str]:
    """Names in the first cells of the table that begins so."""
    table = text[text.index(head) :].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    return {name for cell in cells for name in re.findall(r"`(\w+)(?::NAME)?`", cell)}


# ---------------------------------------------------------------------------------- the README


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 250


def test_ci_runs_the_second_command() -> None:
    command = block(README, "", "pytest").strip()
    assert command.endswith("&& .venv/bin/pytest")
    assert command in (ROOT / ".ci" / "run").read_text()


def test_the_first_command_names_a_suite_that_is_there() -> None:
    command = block(README, "", "pip install . ").strip()
    suite = command.split()[-1]
    assert (ROOT / suite).is_file()


def test_the_architecture_lists_the_packages() -> None:
    """All of them, one line each, in the order in which they may import each other."""
    listing = block(README, "", "iibench/contract/")
    folders = [line.split()[0] for line in listing.splitlines()]
    assert folders == [*(f"iibench/{name}/" for name in MAY_IMPORT), "plugins/KIND/", "suites/"]
    there = {p.name for p in (ROOT / "iibench").iterdir() if (p / "__init__.py").is_file()}
    assert there == set(MAY_IMPORT)


def test_what_is_public_can_be_imported() -> None:
    import iibench

    section = README[README.index("## What is public") : README.index("## Architecture")]
    for module in re.findall(r"`(iibench(?:\.[a-z]+)?)`", section):
        assert (ROOT / module.replace(".", "/") / "__init__.py").is_file()
    names = set(re.findall(r"`([A-Za-z_]+)`", section)) - {"iibench"}
    assert {"RunConfig", "hookimpl", "run", "load_run", "Run", "Worker"} <= names
    assert names <= set(iibench.__all__)


@pytest.mark.parametrize("page", PAGES)
def test_examples_import_what_is_public(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for code in blocks(text, "python"):
        modules = re.findall(r"^\s*(?:from|import) (iibench[\w.]*)", code, re.MULTILINE)
        assert set(modules) <= {"iibench", "iibench.testing"}


@pytest.mark.parametrize("page", PAGES)
def test_links_and_paths_lead_somewhere(page: str) -> None:
    """Relative links, and paths with a folder in backquotes, from the places that the pages speak of."""
    folder = (ROOT / page).parent
    bases = (ROOT, folder, ROOT / "tests", ROOT / "tests" / "plugins")
    text = (ROOT / page).read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (folder / target).exists(), target
    for target in re.findall(r"`([a-z_]+/[\w./-]*)`", text):
        if target not in MADE and not re.search(r"NAME|KIND|DATE|\.\.\.", target):
            assert any((base / target).exists() for base in bases), target


# ------------------------------------------------------------------------------ the other pages


@pytest.mark.slow
def test_the_plugin_of_20_lines_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from iibench.cli.main import run_program

    code = block(PLUGINS, "python", "MetricSpec")
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "thumbnail.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    arguments = re.search(r"`iibench (run quickstart --plugins-dir .*?)`:", PLUGINS)
    assert arguments is not None

    assert run_program(
        [*shlex.split(arguments[1]), "-o", "out", "--limit", "120", "-k", "ii", "-q"]
    ) in {0, 1}
    import iibench

    run = iibench.load_run(tmp_path / "out")
    ours = [c for c in run.cases if c.metric is not None and c.metric.name == "thumbnail"]
    assert ours
    assert all(case.status == "passed" for case in ours)


def test_plugins_readme_names_everything_that_comes_with_it() -> None:
    """Whatever is registered has its row, and what needs an extra has its star."""
    registry = load_plugins(environ="", entry_points=False).registry
    heads = {
        "datasets": "| datasets | |",
        "models": "| models | |",
        "finders": "| finders | |",
        "metrics": "| metrics | level |",
        "evaluations": "| evaluations | paper |",
        "executors": "| executors | |",
    }
    for kind, head in heads.items():
        registered = {entry.spec.name for entry in getattr(registry, kind)}
        assert first_cells(PLUGINS, head) == registered, kind


def test_plugins_readme_stars_what_needs_an_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    starred = set(re.findall(r"`([a-z0-9_]+)(?::NAME)?`\\\*", PLUGINS))
    others = {
        "efficientnet_lite0": "efficientnet",
        "hf_datasets": "datasets",
        "open_clip": "open-clip",
    }
    assert {others.get(name, name) for name in starred} == set(project["optional-dependencies"]) - {
        "test"
    }


@pytest.mark.parametrize(
    ("name", "case_id"),
    [
        ("name: mine", "cifar10/resnet50_cifar10/layer1/kmeans[k=256]/lpips/ii"),
        ("name: people", "triplets[format=csv,path=mine.csv]/lpips/triplets"),
    ],
)
def test_the_suites_in_suites_readme_are_valid(tmp_path: Path, name: str, case_id: str) -> None:
    registry = load_plugins(environ="").registry
    path = tmp_path / "mine.yaml"
    path.write_text(block(SUITES, "yaml", name))
    assert case_id in {case.id for case in collect(load_suite(str(path), registry), registry)}


def test_suites_readme_names_the_suites_that_are_shipped() -> None:
    listed = first_cells(SUITES, "| suite | what it asks |") | first_cells(
        SUITES, "| suite | data |"
    )
    assert listed == set(shipped_suites())
    assert set(re.findall(r"iibench run ([a-z0-9_]+)(?!\S)", README + SUITES)) <= listed


def test_reports_readme_names_files_that_are_there() -> None:
    text = (ROOT / "reports" / "README.md").read_text("utf-8")
    benchmarks = text[text.index("## Benchmarks") :]
    names = re.findall(r"`([\w/]+\.(?:md|log|json))`", benchmarks)
    assert len(names) >= 5
    for name in names:
        assert (ROOT / "reports" / "benchmarks" / name).is_file() or (ROOT / name).is_file(), name
    for file in (ROOT / "reports" / "sample").iterdir():
        assert f"`{file.name}`" in text or f"`sample/{file.name}`" in text, file.name
