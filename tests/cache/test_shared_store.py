"""Objects that machines share: whole, checked, at any address; and what is wrong with an address."""

from __future__ import annotations

import socket
import uuid
from pathlib import Path

import fsspec
import pytest

from iibench.cache import shared_store
from iibench.cache.shared_store import Damaged, SharedStore, default_shared_cache, open_shared_store
from iibench.contract.errors import CaseError, UsageError


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_store, "PAUSES", (0.0,))


@pytest.fixture(params=["memory", "file", "path"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SharedStore:
    if request.param == "memory":
        return open_shared_store(f"memory://{uuid.uuid4().hex}/x")
    prefix = "file://" if request.param == "file" else ""
    return open_shared_store(f"{prefix}{tmp_path}/shared/x")


def test_objects_are_written_read_listed_and_removed(store: SharedStore) -> None:
    assert store.read("a/b.blob") is None
    assert not store.exists("a/b.blob")
    assert store.names("a") == []
    store.write("a/b.blob", b"one")
    store.write("a/b.blob", b"other")
    store.write("a/c.blob", b"")
    assert store.read("a/b.blob") == b"other"
    assert store.read("a/c.blob") == b""
    assert store.exists("a/b.blob")
    assert store.names("a") == ["b.blob", "c.blob"]
    assert store.read_part("a/b.blob", 1, 3) == b"th"
    store.remove("a/b.blob")
    store.remove("a/b.blob")
    assert store.names("a") == ["c.blob"]


def test_two_processes_at_one_address_see_each_other(store: SharedStore) -> None:
    store.write("v1/x.blob", b"here")
    assert open_shared_store(store.url).read("v1/x.blob") == b"here"


@pytest.mark.parametrize("change", [b"", b"short", None])
def test_what_is_damaged_is_never_taken_for_a_value(store: SharedStore, change: bytes) -> None:
    store.write("x.blob", b"a value of some length")
    system, path = fsspec.core.url_to_fs(f"{store.url}/x.blob")
    data = system.cat_file(path)
    system.pipe_file(path, data[:-1] + b"!" if change is None else change)
    with pytest.raises(Damaged):
        store.read("x.blob")


def test_a_file_is_written_under_another_name_first(tmp_path: Path, monkeypatch) -> None:
    """A writer that dies leaves no object, and a reader meanwhile sees none."""
    store = open_shared_store(str(tmp_path / "s"))

    def dies(self: Path, target: Path) -> None:
        assert store.names("a") == []
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(CaseError, match=r"cannot be written \(OSError: no space left\)"):
        store.write("a/b.blob", b"content")
    monkeypatch.undo()
    assert store.read("a/b.blob") is None
    assert [path.name for path in (tmp_path / "s" / "a").iterdir()] == []


def test_an_operation_that_fails_is_tried_again(tmp_path: Path, monkeypatch) -> None:
    store = open_shared_store(f"memory://{uuid.uuid4().hex}")
    store.write("a", b"content")
    failures = [OSError("connection reset")]
    system = fsspec.filesystem("memory")
    whole = type(system).cat_file

    def flaky(self, path, **options):
        if failures:
            raise failures.pop()
        return whole(self, path, **options)

    monkeypatch.setattr(type(system), "cat_file", flaky)
    assert store.read("a") == b"content"
    assert not failures


def test_a_relative_folder_is_made_absolute(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_shared_store("shared")
    assert store.url == str(tmp_path / "shared")
    assert (tmp_path / "shared").is_dir()


def test_the_environment_names_the_store(monkeypatch) -> None:
    assert default_shared_cache() is None
    monkeypatch.setenv("IIBENCH_SHARED_CACHE", "s3://bucket/x")
    assert default_shared_cache() == "s3://bucket/x"


def test_addresses_that_cannot_be_used(tmp_path: Path) -> None:
    """Each is one sentence that names the option and the address."""
    fsspec.register_implementation(
        "lostproto", "nowhere_to_be_found.Store", errtxt="Install lostfs to access it", clobber=True
    )
    with socket.socket() as taken:  # a port where nobody listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    (tmp_path / "file").write_text("in the way")
    for url, expected in (
        ("lostproto://x/y", "needs a package that is not installed (Install lostfs"),
        ("nosuch://x/y", "nosuch"),
        (f"ftp://127.0.0.1:{port}/x", "refused"),
        (str(tmp_path / "file" / "x"), "cannot be written"),
        ("http://127.0.0.1:1/x", ""),
    ):
        with pytest.raises(UsageError) as caught:
            open_shared_store(url)
        text = str(caught.value)
        assert text.startswith(f"--shared-cache {url}: "), text
        assert expected.lower() in text.lower()
        assert "\n" not in text
