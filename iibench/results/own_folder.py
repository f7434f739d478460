"""Folders that iibench writes: what it made there stands in a manifest, and nothing else is touched.

The manifest (`iibench-files.json`) has each file's path and SHA-256. A folder that has none must be empty, or
hold a run or a page from before there was a manifest (earlier_folders.py). Only what the manifest names is
replaced or removed, never another file, and never through a link below the folder. While one process writes,
another that wants to is refused. Files are made in a folder inside and moved to their places when all of
them are there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from iibench.contract.errors import UsageError
from iibench.results.earlier_folders import earlier_files, is_run_folder

MANIFEST = "iibench-files.json"
#: Names of the lock of the process that writes, and of the folder in which files are made.
LOCK, NEW = ".iibench-lock", ".iibench-new"
#: Files that are put in place after the others: what is read first, and names the others.
LAST = ("run.json", "index.html")
#: Seconds to wait for another process to be done with a page.
WAIT = 30.0
#: What a folder may be.
RUN, PAGE = "run", "page"


class OwnFolder:
    """A folder that this process may write to; `files`: path of each file of iibench -> its SHA-256, both
    of the old and the new one where it was being replaced when a process ended."""

    def __init__(self, path: Path, kind: str, files: Mapping[str, tuple[str, ...]]) -> None:
        self.path = path
        self.files = dict(files)
        self._kind = kind

    def new(self) -> Path:
        """An empty folder for what `put` moves to its places."""
        folder = self.path / NEW
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def put(self, new: Path, instead_of: Collection[str] = ()) -> None:
        """Moves all files of `new` to the same paths of this folder; `instead_of` are removed first, but
        for those that somebody has changed.

        Raises `UsageError`, before anything is moved, where a file that iibench did not make, or that was
        changed since, is in the way, or a link.
        """
        made = {
            path.relative_to(new).as_posix(): _file_sha256(path)
            for path in sorted(new.rglob("*"))
            if path.is_file()
        }
        self.check(made)
        self._record(
            self.files | {n: (*self.files.get(n, ()), digest) for n, digest in made.items()}
        )
        for name in instead_of:
            self._remove(name)
        for name in sorted(made, key=lambda name: (name in LAST, name)):
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (new / name).replace(target)
        kept = {name: digests for name, digests in self.files.items() if name not in instead_of}
        self.files = kept | {name: (digest,) for name, digest in made.items()}
        self._record(self.files)
        shutil.rmtree(new, ignore_errors=True)

    def inside(self, name: str) -> Path:
        """A folder below this one; raises `UsageError` where a link leads to it."""
        self._check(f"{name}/{MANIFEST}", ours=True)
        return self.path / name

    def check(self, names: Iterable[str]) -> None:
        """Raises `UsageError` where one of these files could not be written without harm."""
        for name in names:
            self._check(name)
            if not _is(self.path / name, self.files.get(name, ())):
                raise UsageError(
                    f"{self.path / name} was changed since iibench wrote it, and would be replaced; move "
                    "it away, or choose another folder"
                )

    def _check(self, name: str, ours: bool = False) -> None:
        target = self.path / name
        for folder in [*reversed(target.relative_to(self.path).parents)][1:]:
            place = self.path / folder
            if place.is_symlink():
                raise UsageError(
                    f"{place} is a link, and iibench does not follow links out of a folder; "
                    "choose another folder"
                )
            if place.exists() and not place.is_dir():
                raise UsageError(f"{place} was not made by iibench; choose another folder")
        there = target.is_symlink() or target.exists()
        mine = (ours or name in self.files) and target.is_file() and not target.is_symlink()
        if there and not mine:
            raise UsageError(f"{target} was not made by iibench; choose another folder")

    def _remove(self, name: str) -> None:
        """Removes a file of ours and the folders that are empty then."""
        try:
            self.check([name])
        except UsageError:  # somebody put something else in its place
            return
        target = self.path / name
        target.unlink(missing_ok=True)
        for folder in target.relative_to(self.path).parents:
            if folder == Path():
                return
            try:
                (self.path / folder).rmdir()
            except OSError:
                return

    def _record(self, files: Mapping[str, Collection[str]]) -> None:
        content = {
            "about": "what iibench made in this folder; it replaces and removes nothing else",
            "kind": self._kind,
            "files": {name: list(files[name]) for name in sorted(files)},
        }
        temporary = self.path / NEW / MANIFEST
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
        temporary.replace(self.path / MANIFEST)


@contextmanager
def own_folder(path: Path, kind: str, wait: float = WAIT) -> Iterator[OwnFolder]:
    """The folder, made where it is missing, for this process alone to write to.

    `wait`: seconds to wait for another process that writes there. Raises `UsageError` where the folder
    holds files that iibench did not make, or something of another kind, or another process writes there;
    `OSError` where it cannot be written. A folder that was made for nothing is removed.
    """
    made = _made(path)
    known_files(path, kind)
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        raise UsageError(
            f"{path}: another iibench is writing there; wait for it, or choose another folder"
        ) from None
    try:
        yield OwnFolder(path, kind, known_files(path, kind))
    finally:
        shutil.rmtree(path / NEW, ignore_errors=True)
        with suppress(OSError):
            (path / LOCK).unlink()
        lock.release()
        if made:
            with suppress(OSError):
                path.rmdir()


def _made(path: Path) -> bool:
    """Makes the folder; whether it was not there before."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path}: this is a file, a folder is expected")
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        return False
    return True


def known_files(path: Path, kind: str) -> dict[str, tuple[str, ...]]:
    """Path -> SHA-256 of what iibench made in a folder; raises `UsageError` where others did."""
    there = sorted({entry.name for entry in path.iterdir()} - {LOCK, NEW})
    if MANIFEST in there:
        found, files = read_manifest(path)
        _check_kind(path, found, kind)
        return files
    if not there:
        return {}
    names = earlier_files(path)
    if not names:
        raise UsageError(
            f"{path}: the folder holds files that iibench did not make ({there[0]}); "
            "choose another one, or an empty one"
        )
    _check_kind(path, RUN if is_run_folder(path) else PAGE, kind)
    return {name: (_file_sha256(path / name),) for name in names}


def _check_kind(path: Path, found: str, kind: str) -> None:
    if found != kind:
        raise UsageError(
            f"{path}: this is a {found} folder, a {kind} is to be written; choose another one"
        )


def read_manifest(path: Path) -> tuple[str, dict[str, tuple[str, ...]]]:
    """(the kind of a folder, path -> SHA-256 of each file, two while it is being replaced).

    Raises `UsageError` where the manifest is none, or names something outside the folder.
    """
    file = path / MANIFEST
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        kind, files = content["kind"], content["files"]
        found = {str(name): tuple(map(str, digests)) for name, digests in files.items()}
        inside = all(_is_inside(name) and digests for name, digests in found.items())
        if file.is_symlink() or kind not in {RUN, PAGE} or not inside:
            raise ValueError("it is no list of files of this folder")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{file} is damaged ({error}), so that it is not known what iibench made in the folder; "
            "choose another folder"
        ) from None
    return kind, found


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(
        path.parts
        and not path.is_absolute()
        and not {"..", "."} & set(name.split("/"))
        and not set("\\:\0") & set(name)
    )


def check_results(path: Path) -> None:
    """Raises `UsageError` where a file of results is not what was written.

    A folder without a manifest, and a file that is gone, are left to the reader.
    """
    if not (path / MANIFEST).is_file():
        return
    for name, digests in read_manifest(path)[1].items():
        if name.endswith((".json", ".parquet")) and not _is(path / name, digests):
            raise UsageError(
                f"{path / name} is not what iibench wrote: it was changed, or the disk is not sound "
                f"(its SHA-256 is not that in {MANIFEST}); run the suite again"
            )


def _is(path: Path, digests: Collection[str]) -> bool:
    return not path.is_file() or _file_sha256(path) in digests


def _file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_file(path: Path, content: bytes) -> None:
    """Writes beside the file and renames, so that a reader never sees half of it.

    A link leads to the file that is written; what is no file (`/dev/stdout`) is written to as it is.
    """
    target = path.resolve() if path.is_symlink() else path
    if target.exists() and not target.is_file():
        with path.open("wb") as stream:
            stream.write(content)
        return
    temporary = target.with_name(f".{target.name[:100]}-{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
        temporary.replace(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
