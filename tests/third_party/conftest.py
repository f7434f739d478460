"""A virtual environment of its own, with iibench and third parties' distributions installed by pip.

The libraries that iibench needs (torch and friends, gigabytes) are taken from the environment that
runs the tests; iibench itself is built and installed as users install it, not editable.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = Path(__file__).resolve().parent / "example"
TOYS = ROOT / "tests" / "toys"


@dataclass(frozen=True)
class Environment:
    """A virtual environment: its interpreter, and an empty home and working folder."""

    python: Path
    work: Path

    def run(self, *words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """A program of the environment: `iibench`, `pytest`, `pip`, ..."""
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("IIBENCH", "PYTHON", "PYTEST"))
        }
        kept |= {"HOME": str(self.work), "XDG_CACHE_HOME": str(self.work / "cache")}
        command = [str(self.python), "-m", *map(str, words)]
        return subprocess.run(
            command, cwd=cwd or self.work, env=kept, capture_output=True, text=True, check=False
        )

    def install(self, *projects: Path) -> None:
        """Builds and installs projects; skips where pip cannot get setuptools to build them with."""
        done = self.run("pip", "install", "--quiet", "--no-deps", *projects)
        if done.returncode and "Could not find a version" in done.stderr:
            pytest.skip("pip cannot fetch setuptools to build the distributions with")
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """iibench and the example distribution, installed."""
    folder = tmp_path_factory.mktemp("third_party")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "venv" / "lib" / version / "site-packages"
    shared = sysconfig.get_paths()["purelib"]
    (packages / "shared.pth").write_text(f"import site; site.addsitedir({shared!r})\n")
    work = folder / "work"
    work.mkdir()
    made = Environment(python, work)
    made.install(copy_of(ROOT, folder / "iibench"), copy_of(EXAMPLE, folder / "example"))
    return made


def copy_of(project: Path, target: Path) -> Path:
    """The project's files, without what builds and tests leave there: pip builds where they lie."""
    unwanted = (".*", "build", "dist", "*.egg-info", "__pycache__", "tests", "reports")
    shutil.copytree(project, target, ignore=shutil.ignore_patterns(*unwanted))
    return target
