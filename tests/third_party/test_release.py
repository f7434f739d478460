"""What is released: both distributions hold everything, describe themselves, install, and run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path

import pytest
import yaml

from tests.third_party.conftest import ROOT, Environment, copy_of

#: folder of the checkout -> the package that it is installed as
PACKAGES = {"iibench": "iibench", "plugins": "iibench_plugins", "suites": "iibench_suites"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_citation_is_of_this_version() -> None:
    """CITATION.cff has what its format (1.2.0) demands, and the version that is released."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["version"]
    assert citation["authors"] == PROJECT["authors"] == [{"name": "iibench developers"}]
    assert citation["license"] in PROJECT["license"]
    assert citation["title"] and citation["message"]
    (paper,) = citation["references"]
    assert {"value": "arXiv:2310.11431"}.items() <= paper["identifiers"][0].items()


@dataclass(frozen=True)
class Built:
    """A wheel, built from the source distribution."""

    wheel: Path
    sdist: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("release")
    source = copy_of(ROOT, folder / "iibench")
    command = (sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", source)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    return Built(wheel, sdist)


@pytest.mark.slow
def test_both_distributions_hold_every_file(built: Built) -> None:
    """Modules, plugins and their folders, templates, suites, weights, libraries of pages."""
    files = {
        path.relative_to(ROOT)
        for folder in PACKAGES
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "README.md"
    }
    assert len(files) > 400
    wheel = set(zipfile.ZipFile(built.wheel).namelist())
    installed = {"/".join((PACKAGES[path.parts[0]], *path.parts[1:])) for path in files}
    assert installed - wheel == set()
    assert {name for name in wheel - installed if ".dist-info/" not in name} == set()
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {path.as_posix() for path in files} - names == set()


@pytest.mark.slow
def test_the_description_stands_alone(built: Built) -> None:
    """It renders, and holds no picture or link that leads to a file beside it."""
    checked = subprocess.run(
        (sys.executable, "-m", "twine", "check", "--strict", built.wheel, built.sdist),
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    archive = zipfile.ZipFile(built.wheel)
    (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    metadata = message_from_bytes(archive.read(name))
    assert metadata["Description-Content-Type"] == "text/markdown"
    text = metadata.get_payload(decode=True).decode("utf-8")
    assert text.startswith("# iibench\n")
    assert "\npip install iibench\niibench run quickstart\n" in text
    assert "![" not in text
    assert re.findall(r"\]\((?!https?:)[^)]*\)", text) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_a_distribution_installs_and_runs(built: Built, kind: str, tmp_path: Path) -> None:
    """In an environment of its own, with the libraries of this one."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    packages = sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")})
    shared = sysconfig.get_path("purelib")
    (Path(packages) / "shared.pth").write_text(f"import site; site.addsitedir({shared!r})\n")
    install = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps")
    install = (*install, "--no-build-isolation", "--target", packages, getattr(built, kind))
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    work = tmp_path / "work"
    work.mkdir()
    environment = Environment(python, work)
    options = ("-k", "color and ii", "--limit", "200", "--offline", "-o", "out", "-q")
    ran = environment.run("iibench", "run", "quickstart", *options)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (work / "out" / "index.html").is_file()
    where = environment.run("iibench", "plugin", "ls", "-v")
    assert str(packages) in where.stdout
    assert str(ROOT) not in where.stdout
