"""The other verbs, and what the program imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "torch",
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "pydantic",
    "PIL",
    "lpips",
    "plotly",
    "rich",
)


def test_help_imports_nothing_heavy() -> None:
    """Loading every plugin for the list of commands included."""
    script = (
        "import sys; from iibench.cli.main import run_program; code = run_program(['--help']); "
        f"print([m for m in {HEAVY!r} if m in sys.modules], len(sys.modules) < 700, code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[] True 0"
    for verb in ("run", "ls", "show", "validate", "report", "assets", "cache", "schema"):
        assert f"  {verb} " in done.stdout


def test_an_unknown_command_names_the_nearest(iibench) -> None:
    done = iibench("rnu")
    assert done.code == 4
    assert "nearest: run" in done.err


def test_an_unknown_option_is_a_usage_error(iibench, suite) -> None:
    assert iibench("run", suite(), "--devise", "cpu").code == 4


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("datasets", "photo_patches"),
        ("models", "resnet50_cifar10"),
        ("layers", "toynet"),
        ("finders", "neurons"),
        ("metrics", "lpips"),
        ("evaluations", "insilico"),
        ("suites", "cifar_layer1"),
        ("plugins", "evaluations.ii"),
    ],
)
def test_ls(iibench, kind: str, expected: str) -> None:
    for arguments in ((), ("-v",)):
        done = iibench("ls", kind, *arguments)
        assert done.code == 0
        assert expected in done.out


def test_show_and_validate(iibench, suite) -> None:
    done = iibench("show", suite())
    assert done.code == 0
    assert "finders: neurons, pick[k=1], pick[k=2]" in done.out
    assert "27 cases" in done.out
    assert "valid, 27 cases" in iibench("validate", suite()).out
    good, bad = suite(), suite(("- toybright", "- toybrigth"), name="bad.yaml")
    done = iibench("validate", good, bad)
    assert done.code == 4
    assert "valid, 27 cases" in done.out
    assert "toybrigth" in done.err


def test_schema_is_a_json_schema_that_knows_the_plugins(iibench, suite) -> None:
    import jsonschema
    import yaml

    done = iibench("schema")
    schema = json.loads(done.out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(yaml.safe_load(suite().read_text().replace("{on:", '{"on":')))
    assert not validator.is_valid({"iibench": "1", "nonsense": 1})
    assert "toycolour" in done.out


@pytest.mark.slow
def test_report_makes_the_page_anew_from_the_folder_alone(iibench, suite, tmp_path: Path) -> None:
    assert iibench("run", suite(), "-o", "out", "-k", "ii").code == 0
    page = tmp_path / "out" / "index.html"
    before = page.read_text()
    page.unlink()
    moved = tmp_path / "moved"
    (tmp_path / "out").rename(moved)
    done = iibench("report", moved, toys=False)
    assert done.code == 0, done.err
    assert (moved / "index.html").read_text() == before
    assert "neurons" in done.out
    assert iibench("report", tmp_path / "nowhere").code == 4


def test_cache_size_and_clear(iibench, suite) -> None:
    assert iibench("run", suite(), "-k", "ii", "--cache-dir", "c").code == 0
    done = iibench("cache", "size", "--cache-dir", "c", toys=False)
    assert "embeddings" in done.out
    assert iibench("cache", "clear", "nonsense", "--cache-dir", "c", toys=False).code == 4
    assert iibench("cache", "clear", "--cache-dir", "c", toys=False).code == 0
    assert "scores" not in iibench("cache", "size", "--cache-dir", "c", toys=False).out


def test_assets(iibench) -> None:
    done = iibench("assets", "list", "--offline")
    assert done.code == 0
    assert "lpips-backbone-alex" in done.out
    done = iibench("assets", "fetch", "lpips-backbone-squeeze", "--offline")
    assert done.code == 1
    assert "squeezenet1_1-b8a52dc0.pth" in done.err  # how to put it in place by hand
    assert iibench("assets", "fetch", "lpips-backbone-alexa").code == 4
    assert iibench("assets", "verify").code == 0


def test_a_plugin_can_add_a_command(iibench, tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "greet.py").write_text(
        "import click\nfrom iibench import hookimpl\n\n"
        "@click.command('greet')\n@click.option('--plugins-dir')\n"
        "def greet(plugins_dir):\n    click.echo('hello from a plugin')\n\n"
        "@hookimpl\ndef iibench_register_commands(cli):\n    cli.add_command(greet)\n"
    )
    done = iibench("greet", "--plugins-dir", tmp_path / "plugins", toys=False)
    assert done.code == 0
    assert done.out == "hello from a plugin\n"


def test_the_module_is_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "iibench", "--version"], capture_output=True, text=True, check=True
    )
    assert "iibench" in done.stdout
