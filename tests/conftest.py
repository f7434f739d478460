"""Fixtures that many tests share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # workers share the processors, and more threads than those wait for each other; set before torch is
    # imported, and for the programs that tests start
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "../shared"


@pytest.fixture
def shared() -> Path:
    """The development data folder beside the checkout; skips where it is missing."""
    if not SHARED.is_dir():
        pytest.skip("the development data folder ../shared is not there")
    return SHARED.resolve()


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's data, cache or plugin settings."""
    root = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("IIBENCH_DATA", str(root / "data"))
    monkeypatch.setenv("IIBENCH_CACHE", str(root / "cache"))
    monkeypatch.delenv("IIBENCH_PLUGINS", raising=False)
    monkeypatch.delenv("IIBENCH_SHARED_CACHE", raising=False)


TOYS = Path(__file__).resolve().parent / "toys"

SUITE = """
iibench: "1"
name: toysuite
description: A suite on toy data.
seed: 5
dataset: {name: toy}
models:
  - {name: toynet, layers: [mixed]}
finders:
  - neurons
  - {name: pick, k: [1, 2]}
metrics:
  - {name: toycolour, parts: [sum, r]}
  - toybright
  - toylabel
evaluations:
  - ii
  - {name: insilico, difficulty: [0, 0.2], trials: 5, references: 3, metrics: [toycolour, toylabel]}
  - activity
expect:
  - {on: ii/toycolour, finder: neurons, at_least: -10}
"""


@dataclass
class Done:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def suite(tmp_path: Path) -> Callable[..., Path]:
    """Writes the toy suite, with replacements, and returns its path."""

    def write(*replacements: tuple[str, str], name: str = "toy.yaml") -> Path:
        text = SUITE
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def iibench(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Done]:
    """Runs the program in this process, in an empty folder, with the toy plugin."""
    from iibench.cli.main import run_program

    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path, toys: bool = True) -> Done:
        extra = ["--plugins-dir", str(TOYS)] if toys else []
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["iibench", *map(str, arguments), *extra])
        code = run_program([*map(str, arguments), *extra])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return call


@pytest.fixture
def spawn(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts the program in a process of its own."""

    def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "iibench", *map(str, arguments)]
        return subprocess.Popen(
            command,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    return start


def run_json(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return content


def alter_run(folder: Path, record: dict[str, Any]) -> None:
    """Another `run.json`, as if the run had been made before there was a manifest."""
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "iibench-files.json").unlink(missing_ok=True)


def number_of_calls(function: Callable[[], object]) -> int:
    """How many functions, of Python and of C, are called: what a loop in Python over many things shows."""
    found = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal found
        found += event in {"call", "c_call"}

    function()  # what is imported and compiled at first use does not count
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return found
