"""`~` in paths: on the command line, in the environment, in suites; and users without a home folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from iibench import UsageError, user_path
from iibench.assets import local
from iibench.assets.local import LocalResources, default_cache_dir, default_data_dir, is_temporary
from iibench_plugins.models.checkpoint import Params, load

METRIC = """
from iibench import MetricSpec, hookimpl
@hookimpl
def iibench_register_metrics():
    yield MetricSpec(name="{name}", summary="s", load=print, distance="euclidean")
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder, which is not the working folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user whom the machine does not know; the folder for temporary files."""
    pwd = pytest.importorskip("pwd")

    def unknown(user: object) -> object:
        raise KeyError(f"getpwuid(): uid not found: {user}")

    for name in ("HOME", "IIBENCH_CACHE", "IIBENCH_DATA", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(local.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


def test_a_path_begins_at_home_or_at_a_folder(home: Path) -> None:
    assert user_path("~/a b/c") == home / "a b/c"
    assert user_path("~", Path("/suites")) == home
    assert user_path("a", Path("/suites")) == Path("/suites/a")
    assert user_path("a~b/~") == Path("a~b/~")
    with pytest.raises(UsageError, match="'~nobody-of-this-name/a': the home folder"):
        user_path("~nobody-of-this-name/a")


@pytest.mark.parametrize("variable", [True, False])
def test_folders_of_the_program(
    iibench, suite, home: Path, monkeypatch: pytest.MonkeyPatch, variable: bool
) -> None:
    suite().rename(home / "toy.yaml")
    options = ["--cache-dir", "~/cache"]
    if variable:
        monkeypatch.setenv("IIBENCH_CACHE", options.pop())
        options.pop()
    some = ("-k", "neurons and toybright and ii")
    done = iibench("run", "~/toy.yaml", "-o", "~/runs/one", *some, *options)
    assert done.code == 0, done.err
    assert (home / "runs" / "one" / "index.html").is_file()
    assert (home / "cache").is_dir()
    assert not Path("~").exists()
    assert f"cache folder: {home / 'cache'}" in iibench("cache", "size", *options, toys=False).out
    assert iibench("report", "~/runs/one", toys=False).code == 0


def test_plugins(iibench, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "own").mkdir()
    (home / "own" / "one.py").write_text(METRIC.format(name="one"))
    (home / "two.py").write_text(METRIC.format(name="two"))
    (home / "three.py").write_text(METRIC.format(name="three"))
    monkeypatch.setenv("IIBENCH_PLUGINS", "~/three.py")
    options = ("--plugins-dir=~/own", "-p", "~/two.py")
    listed = iibench("plugin", "ls", *options, toys=False).out
    assert {f"metric {name}" for name in ("one", "two", "three")} <= set(
        listed.replace("    registers: ", "").splitlines()
    )


def test_data(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IIBENCH_DATA", "~/data")
    assert default_data_dir() == home / "data"


def test_a_suites_factory_and_weights(home: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    (home / "net.py").write_text("from torch import nn\ndef build():\n    return nn.Linear(2, 1)")
    state = {"weight": torch.ones(1, 2), "bias": torch.ones(1)}
    torch.save(state, home / "net.pt")
    where = LocalResources(tmp_path / "data", tmp_path / "cache", base_dir=tmp_path)
    model = load(Params("~/net.py:build", "~/net.pt"), "", where)
    assert torch.equal(model.module.weight, state["weight"])


def test_without_a_home_folder_there_is_a_temporary_one(homeless: Path) -> None:
    cache, data = default_cache_dir(), default_data_dir()
    assert {cache.parent, data.parent} == {homeless / f"iibench-{os.getuid()}"}
    assert is_temporary(cache)
    assert not is_temporary(homeless / "else")
    assert stat.S_IMODE(cache.parent.stat().st_mode) == 0o700
    with pytest.raises(UsageError, match=r"'~/x': the home folder that ~ stands for is not known"):
        user_path("~/x")
    local.torch_hub_dir()


def test_a_run_without_a_home_folder_says_where_it_keeps_values(
    homeless: Path, iibench, suite
) -> None:
    some = ("-k", "neurons and toybright and ii")
    done = iibench("run", suite(), "-o", "one", *some)
    assert done.code == 0, done.err
    assert "there is no home folder that can be written" in " ".join(done.out.split())
    named = iibench("run", suite(), "-o", "two", *some, "--cache-dir", "c", "--data-dir", "d")
    assert named.code == 0
    assert "home folder" not in named.out


def test_a_temporary_folder_of_somebody_else_is_refused(
    homeless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = homeless / f"iibench-{os.getuid()}"
    (homeless / "elsewhere").mkdir()
    folder.symlink_to(homeless / "elsewhere")
    with pytest.raises(UsageError, match="is somebody else's; choose folders with --cache-dir"):
        default_cache_dir()


def test_a_home_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IIBENCH_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(local.tempfile, "gettempdir", lambda: str(tmp_path))
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    kept = default_cache_dir()
    monkeypatch.setattr(local.os, "access", lambda place, mode: False)
    assert is_temporary(default_cache_dir())
    kept.mkdir(parents=True)  # what is there is used: of data, nothing but reading is asked
    assert default_cache_dir() == kept
