"""Assets made from a public record: its files listed, downloaded, checked, unpacked into a folder."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from iibench.assets.archives import unpack
from iibench.assets.download import FetchError
from iibench.assets.local import LocalResources, by_hand, find_local, status
from iibench.cli.main import run_program
from iibench.contract.base import AssetFile, AssetSpec
from iibench.contract.errors import AssetError

CONTENTS = ("answers/main.csv", "images/map.json")


@dataclass
class Archive:
    """A public archive: `files` of one record by name, and what it says of them."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    listing: Any = None
    md5: dict[str, str] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def answer(self) -> bytes:
        if isinstance(self.listing, bytes):
            return self.listing
        listed = self.listing or {
            "files": [
                {
                    "key": name,
                    "size": len(body),
                    "checksum": f"md5:{self.md5.get(name, hashlib.md5(body).hexdigest())}",
                    "links": {"self": f"{self.url}/files/{name}/content"},
                }
                for name, body in self.files.items()
            ]
        }
        return json.dumps(listed).encode()


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    state = Archive()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removesuffix("/content").rpartition("/")[2]
            state.requests.append(name)
            body = state.answer() if self.path == "/records/1" else state.files.get(name)
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.cut.get(name, len(body))])

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    state.url = f"http://127.0.0.1:{http.server_port}/records/1"
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield state
    http.shutdown()
    http.server_close()


@pytest.fixture
def resources(tmp_path: Path) -> LocalResources:
    return LocalResources(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


def spec_of(archive: Archive) -> AssetSpec:
    file = AssetFile("study", sha256="", size=0, record=archive.url, contents=CONTENTS)
    return AssetSpec("study", "a study", (file,), homepage="https://example.org/records/1")


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as opened:
        for name, body in members.items():
            opened.writestr(name, body)
    return out.getvalue()


def tarred(members: dict[str, bytes], kind: bytes = tarfile.REGTYPE, mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as opened:  # type: ignore[call-overload]
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.type = kind
            info.linkname = "/etc/hostname" if kind != tarfile.REGTYPE else ""
            info.size = len(body) if kind == tarfile.REGTYPE else 0
            opened.addfile(info, io.BytesIO(body))
    return out.getvalue()


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def fill(archive: Archive) -> None:
    """One archive that holds its folder, one that holds the folder's files, and a plain file."""
    archive.files = {
        "answers.tar.gz": tarred({"./answers/main.csv": b"a,b\n", "./answers/all.csv": b"c\n"}),
        "images.zip": zipped({"map.json": b"{}", "png/1.png": b"1", "__MACOSX/._1.png": b"?"}),
        "README.md": b"read me",
    }


# -------------------------------------------------------------------------------- fetching


def test_the_files_of_a_record_become_a_folder(archive: Archive, resources: LocalResources) -> None:
    fill(archive)
    said: list[str] = []
    steps: list[str] = []
    told = replace(resources, say=said.append, progress=lambda name, *_: steps.append(name))
    spec = spec_of(archive)
    _, folder = told.asset(spec)
    assert tree(folder) == {
        "answers/main.csv": b"a,b\n",
        "answers/all.csv": b"c\n",
        "images/map.json": b"{}",
        "images/png/1.png": b"1",
        "README.md": b"read me",
    }
    assert len(said) == 3
    assert set(steps) == set(archive.files)
    entries = json.loads((resources.cache_dir / "assets/recorded.json").read_text())
    assert {(e["name"], e["sha256"], e["size"]) for e in entries.values()} == {
        (name, hashlib.sha256(body).hexdigest(), len(body)) for name, body in archive.files.items()
    }
    asked = len(archive.requests)
    assert told.asset(spec)[1] == folder
    assert find_local(spec, resources) == (spec.files[0], folder)
    assert len(archive.requests) == asked
    assert [p.name for p in folder.parent.iterdir() if p.suffix != ".lock"] == ["study"]


def test_a_record_that_changed_is_not_used(archive: Archive, resources: LocalResources) -> None:
    fill(archive)
    _, folder = resources.asset(spec_of(archive))
    folder.rename(folder.with_name("elsewhere"))
    archive.files["README.md"] = b"read me again"
    with pytest.raises(AssetError, match="README.md has sha256 .* was recorded on first use"):
        resources.asset(spec_of(archive))


def test_an_interrupted_fetch_keeps_what_has_arrived(
    archive: Archive, resources: LocalResources
) -> None:
    fill(archive)
    archive.cut = {"images.zip": 10}
    with pytest.raises(AssetError, match="broke off after 10 of"):
        resources.asset(spec_of(archive))
    assert status(spec_of(archive), resources).state == "missing"
    archive.cut = {}
    archive.requests.clear()
    assert resources.asset(spec_of(archive))
    assert "answers.tar.gz" not in archive.requests


def test_the_md5_that_the_archive_gives_is_checked(
    archive: Archive, resources: LocalResources
) -> None:
    fill(archive)
    archive.md5 = {"images.zip": "0" * 32}
    with pytest.raises(AssetError, match=f"what arrived has md5 .*, expected {'0' * 32}"):
        resources.asset(spec_of(archive))


@pytest.mark.parametrize(
    ("listing", "reason"),
    [
        (b"<html>log in</html>", "no list of a record's files"),
        ({"message": "gone"}, "no list of a record's files"),
        ({"files": 3}, "no list of a record's files"),
        ({"files": [{"key": "a"}]}, "no list of a record's files"),
        ([], "no list of a record's files"),
        ({"files": []}, "no files that may be downloaded"),
        ("../a.zip", "unusable name '../a.zip'"),
        ("..", "unusable name"),
        ("file:///etc/hostname", "expected https"),
        ("sha1:0", "checksum sha1, expected md5"),
    ],
)
def test_an_answer_that_makes_no_sense(
    archive: Archive, resources: LocalResources, listing: Any, reason: str
) -> None:
    entry = {"key": "a.zip", "size": 1, "checksum": "md5:0", "links": {"self": f"{archive.url}/a"}}
    if isinstance(listing, str):
        which = {"file": "links", "sha1": "checksum"}.get(listing.partition(":")[0], "key")
        entry[which] = {"self": listing} if which == "links" else listing
        listing = {"files": [entry]}
    archive.listing = listing if listing != [] else b"[]"
    with pytest.raises(AssetError, match=reason):
        resources.asset(spec_of(archive))


def test_a_record_without_what_is_looked_for(archive: Archive, resources: LocalResources) -> None:
    archive.files = {"README.md": b"moved"}
    with pytest.raises(AssetError) as caught:
        resources.asset(spec_of(archive))
    for part in ("README.md hold no folder with answers/main.csv and images/map.json", "by hand"):
        assert part in str(caught.value)
    assert "https://example.org/records/1" in str(caught.value)


def test_no_connection_and_offline_are_told(archive: Archive, resources: LocalResources) -> None:
    spec = spec_of(archive)
    with pytest.raises(AssetError, match="offline"):
        replace(resources, offline=True).asset(spec)
    assert archive.requests == []
    nobody = replace(spec, files=(replace(spec.files[0], record="http://127.0.0.1:9/records/1"),))
    with pytest.raises(AssetError, match="127.0.0.1:9/records/1: no connection"):
        resources.asset(nobody)


# ------------------------------------------------------------------------------- by hand


@pytest.mark.parametrize("below", ["", "study-1.0", "release/study-1.0"])
def test_a_folder_put_in_place_by_hand_is_found(
    archive: Archive, resources: LocalResources, below: str
) -> None:
    folder = resources.data_dir / "study" / below
    for name in CONTENTS:
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("x")
    assert resources.asset(spec_of(archive))[1] == folder
    assert status(spec_of(archive), resources).state == "ready"
    assert archive.requests == []


def test_a_folder_without_the_contents_is_told(archive: Archive, resources: LocalResources) -> None:
    (resources.data_dir / "study").mkdir(parents=True)
    found = status(spec_of(archive), replace(resources, offline=True))
    assert found.state == "damaged"
    assert "does not hold answers/main.csv and images/map.json" in found.detail
    text = by_hand(spec_of(archive), resources)
    assert "study, with answers/main.csv and images/map.json in it" in text
    assert str(resources.data_dir) in text


# ----------------------------------------------------------------------------- unpacking


def link_in_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as opened:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(info, "/etc/hostname")
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("a.zip", zipped({"ok": b"1", "../evil": b"x"}), "leads out of it: '../evil'"),
        ("a.zip", zipped({"ok": b"1", "/evil": b"x"}), "leads out of it"),
        ("a.zip", zipped({"ok": b"1", "b\\..\\..\\evil": b"x"}), "leads out of it"),
        ("a.zip", zipped({"ok": b"1", "C:/evil": b"x"}), "leads out of it"),
        ("a.zip", link_in_zip(), "is a link"),
        ("a.tar.gz", tarred({"ok/../../evil": b"x"}), "leads out of it"),
        ("a.tar", tarred({"/evil": b"x"}, mode="w"), "leads out of it"),
        ("a.tgz", tarred({"link": b""}, tarfile.SYMTYPE), "is a link or a device"),
        ("a.tgz", tarred({"link": b""}, tarfile.LNKTYPE), "is a link or a device"),
        ("a.tar.xz", tarred({"pipe": b""}, tarfile.FIFOTYPE, "w:xz"), "is a link or a device"),
        ("a.zip", b"no zip", "a.zip cannot be unpacked"),
        ("a.tar.gz", b"no tar", "the archive is damaged|not a gzip"),
        ("a.tar.gz", tarred({"a/b": b"1" * 9999})[:60], "."),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value,  # archives hold the time
)
def test_an_archive_that_must_not_be_unpacked(
    tmp_path: Path, name: str, body: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(body)
    folder = tmp_path / "out" / "deep"
    folder.mkdir(parents=True)
    with pytest.raises(FetchError, match=reason):
        unpack(tmp_path / name, folder)
    assert tree(tmp_path / "out") == {}


def test_two_archives_with_one_file_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("a.zip", "b.zip"):
        (tmp_path / name).write_bytes(zipped({"same/file": name.encode()}))
    unpack(tmp_path / "a.zip", folder)
    with pytest.raises(FetchError, match="same/file, which is there already"):
        unpack(tmp_path / "b.zip", folder)
    assert tree(folder) == {"same/file": b"a.zip"}


# --------------------------------------------------------------------------- command line


@pytest.mark.slow
def test_the_command_line_fetches_and_says_what_it_recorded(
    archive: Archive,
    resources: LocalResources,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill(archive)
    (tmp_path / "study_plugin.py").write_text(
        f"""
from iibench import AssetFile, AssetSpec, DatasetSpec, hookimpl

def listing(resources, folder):
    yield from (str(folder), "n1/n1_1.JPEG")

STUDY = AssetSpec(
    "study", "a study",
    (AssetFile("study", "", 0, record={archive.url!r}, contents={CONTENTS!r}),),
    listing=listing,
)

@hookimpl
def iibench_register_datasets():
    yield DatasetSpec(name="study", summary="s", load=lambda *a: None, assets=(STUDY,))
"""
    )
    options = [
        *("--plugins-dir", str(tmp_path)),
        *("--data-dir", str(resources.data_dir), "--cache-dir", str(resources.cache_dir)),
    ]
    assert run_program(["assets", "study", *options]) == 0
    assert "study  missing  size unknown" in capsys.readouterr().out
    assert run_program(["assets", "fetch", "study", *options]) == 0
    done = capsys.readouterr()
    assert done.err.count("is recorded on first use") == 3
    assert done.out.startswith("study: ")
    assert run_program(["assets", "verify", "study", *options]) == 0
    assert run_program(["assets", "study", *options]) == 0
    assert "study  ready" in capsys.readouterr().out
    assert run_program(["assets", "study", "--list-images", *options, "--folder", "here"]) == 0
    assert capsys.readouterr().out.splitlines() == ["here", "n1/n1_1.JPEG"]
    nowhere = str(tmp_path / "none" / "list.txt")
    assert run_program(["assets", "study", "--list-images", nowhere, *options]) == 4
    assert "cannot be written" in capsys.readouterr().err
    assert run_program(["assets", "cifar10", "--list-images", *options]) == 4
    assert "those that do: " in capsys.readouterr().err
    assert run_program(["assets", "studi", *options]) == 4
    assert "unknown asset or verb 'studi'; nearest: study" in capsys.readouterr().err
