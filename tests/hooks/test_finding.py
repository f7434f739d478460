"""What is a plugin in a package: modules, folders with hooks, bare folders, names that begin with `_`."""

from __future__ import annotations

from pathlib import Path

import pytest

from iibench.hooks.finding import below_package
from iibench.hooks.loaded import PluginRecord
from iibench.hooks.loading import load_plugins

METRIC = """
from iibench import MetricSpec, hookimpl

@hookimpl
def iibench_register_metrics():
    yield MetricSpec(name="{name}", summary="a toy", load=print)
"""


def distribution(folder: Path, files: dict[str, str], point: str) -> None:
    """Writes an installed distribution with an entry point; a text is the name of its metric, or code."""
    info = folder / "iibench_test_dist-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: iibench-test-dist\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[iibench]\nours = {point}\n")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(METRIC.format(name=text) if text.isidentifier() else text)


def ours() -> dict[str, PluginRecord]:
    records = load_plugins(environ="").records
    return {r.name: r for r in records if r.distribution == "iibench-test-dist"}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def installed(files: dict[str, str], point: str) -> dict[str, PluginRecord]:
        distribution(tmp_path / "site-packages", files, point)
        monkeypatch.syspath_prepend(tmp_path / "site-packages")
        return ours()

    return installed


def test_a_folder_with_hooks_is_one_plugin_and_nothing_below_it_is_looked_for(install) -> None:
    files = {
        "iibench_t1/__init__.py": "",
        "iibench_t1/one.py": "one",
        "iibench_t1/folder/__init__.py": "folder",
        "iibench_t1/folder/below.py": "below",
        "iibench_t1/folder/deeper/__init__.py": "deeper",
    }
    found = install(files, "iibench_t1")
    assert list(found) == ["ours.folder", "ours.one"]
    assert [record.registers for record in found.values()] == [("metric folder",), ("metric one",)]
    assert {record.version for record in found.values()} == {"1.2"}


def test_a_bare_folder_is_descended_into(install) -> None:
    files = {
        "iibench_t2/__init__.py": "'''Only words.'''",
        "iibench_t2/bare/__init__.py": "",
        "iibench_t2/bare/one.py": "one",
        "iibench_t2/bare/barer/__init__.py": "x = 1",
        "iibench_t2/bare/barer/two.py": "two",
        "iibench_t2/data/notes.txt": "no package",
    }
    assert list(install(files, "iibench_t2")) == ["ours.bare.barer.two", "ours.bare.one"]


def test_names_that_begin_with_an_underscore_are_no_plugins(install) -> None:
    broken = "raise RuntimeError('not to be imported')"
    files = {
        "iibench_t3/__init__.py": "",
        "iibench_t3/_helper.py": broken,
        "iibench_t3/_shared/__init__.py": broken,
        "iibench_t3/_shared/one.py": broken,
        "iibench_t3/two.py": "two",
    }
    assert list(install(files, "iibench_t3")) == ["ours.two"]


def test_a_folder_that_cannot_be_imported_is_one_broken_plugin(install) -> None:
    files = {
        "iibench_t4/__init__.py": "",
        "iibench_t4/bad/__init__.py": "import no_such_library",
        "iibench_t4/bad/inner.py": "inner",
        "iibench_t4/good.py": "good",
    }
    found = install(files, "iibench_t4")
    assert {name: record.status for name, record in found.items()} == {
        "ours.bad": "broken",
        "ours.good": "ok",
    }
    reason = "ModuleNotFoundError: No module named 'no_such_library'"
    assert found["ours.bad"].reason == reason


def test_a_module_without_hooks_is_broken_and_a_package_that_is_not_there_holds_none(
    install,
) -> None:
    found = install({"iibench_t5/__init__.py": "", "iibench_t5/words.py": "x = 1"}, "iibench_t5")
    assert found["ours.words"].reason == "no function in it is marked with @iibench.hookimpl"
    assert not list(below_package("no_such_package", "first-party"))


# ------------------------------------------------------------------------------- sources of plugins

OBJECT = """
from iibench import MetricSpec, hookimpl
from . import helper

class Plugin:
    @hookimpl
    def iibench_register_metrics(self):
        yield MetricSpec(name="object", summary="a toy", load=print)

class Static:
    @staticmethod
    @hookimpl
    def iibench_register_metrics():
        yield MetricSpec(name="static", summary="a toy", load=print)

plugin = Plugin()
"""


@pytest.mark.parametrize(
    ("number", "point"), [(6, "plugin:made"), (7, "base:plugin"), (8, "base:Static")]
)
def test_the_source_of_an_object_is_that_of_its_module_and_of_its_class(
    install, tmp_path: Path, number: int, point: str
) -> None:
    package = f"iibench_t{number}"
    files = {
        f"{package}/__init__.py": "",
        f"{package}/plugin.py": "from .base import Plugin\nmade = Plugin()",
        f"{package}/base.py": OBJECT,
        f"{package}/helper.py": "x = 1",
        f"{package}/other.py": "x = 1",
    }
    before = install(files, f"{package}.{point}")["ours"]
    assert (before.status, len(before.sha256)) == ("ok", 64)
    folder = tmp_path / "site-packages" / package
    (folder / "other.py").write_text("x = 2")
    assert ours()["ours"].sha256 == before.sha256
    (folder / "helper.py").write_text("x = 2")
    assert ours()["ours"].sha256 != before.sha256


HELPED = "import iibench_t_helper\n" + METRIC


@pytest.mark.parametrize("way", ["module", "folder"])
def test_a_helper_beside_a_module_or_a_one_file_plugin_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    (tmp_path / "iibench_t_plugin.py").write_text(HELPED.format(name="helped"))
    (tmp_path / "iibench_t_helper.py").write_text("import iibench_t_deeper")
    (tmp_path / "iibench_t_deeper.py").write_text("x = 1")
    (tmp_path / "iibench_t_other.py").write_text("x = 1")
    monkeypatch.syspath_prepend(tmp_path)
    folders = [tmp_path] if way == "folder" else []

    def sha256() -> str:
        names = ["iibench_t_plugin"] if way == "module" else []
        records = load_plugins(names, folders, environ="").records
        return next(r for r in records if r.name == "iibench_t_plugin").sha256

    before = sha256()
    (tmp_path / "iibench_t_other.py").write_text("x = 2")
    assert sha256() == before
    (tmp_path / "iibench_t_deeper.py").write_text("x = 2")
    assert sha256() != before


def test_a_one_file_plugin_may_be_moved(tmp_path: Path) -> None:
    def sha256(folder: Path, name: str) -> str:
        folder.mkdir()
        (folder / f"{name}.py").write_text(METRIC.format(name="moved"))
        return load_plugins(folders=[folder], environ="").records[-1].sha256

    assert sha256(tmp_path / "a", "mine") == sha256(tmp_path / "b", "mine")
    assert len(sha256(tmp_path / "c", "a.name.with.dots")) == 64
