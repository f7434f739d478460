"""Finds trials in folders: which files are the queries and the references of each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from .._images.files import Folder

LAYOUTS = (
    "TRIAL/queries/{max,min}.png with TRIAL/references/{max,min}_I.png, "
    "or LAYER/channel_N/{natural,optimized}_images/{max,min}_I.png"
)
CONDITIONS = ("natural", "optimized")
#: The number of the max query, and under the new numbering of the min query, in a unit's folder.
QUERY = 9

Numbering = Literal["old", "new"]
#: Folder below the root -> names of the PNG files in it.
Folders = Mapping[str, Collection[str]]

_PARTS = ("queries", "references")
_UNIT_PARTS = tuple(f"{condition}_images" for condition in CONDITIONS)


@dataclass(frozen=True)
class FolderTrial:
    """A trial's files, as names below the root.

    `queries`: (max, min). `references` and `opposite`: from number 0 (or 1) up. `missing`: those of
    them that are not there. `files`: all PNG files of its folders, shown or not. `ambiguous`: the files
    would do for both numberings.
    """

    name: str
    layout: Literal["trial folder", "unit folder"]
    condition: str
    layer: str
    unit: str
    queries: tuple[str, str]
    references: tuple[str, ...]
    opposite: tuple[str, ...]
    numbering: Numbering
    ambiguous: bool
    condition_guessed: bool
    missing: tuple[str, ...]
    files: tuple[str, ...]


def find_trials(
    root: Path,
    references: int,
    numbering: Literal["auto", "old", "new"],
    follow_links: bool = False,
) -> list[FolderTrial]:
    """All trials below `root`, complete or not, by name.

    Links are followed as `Folder` follows them. Raises `UsageError` for one that leads out of `root`.
    """
    folders: dict[str, set[str]] = {}
    for name in map(PurePosixPath, sorted(Folder(root, follow_links).listing().names)):
        if name.suffix == ".png":
            folders.setdefault(name.parent.as_posix(), set()).add(name.name)
    return sorted(_trials(folders, references, numbering), key=lambda trial: trial.name)


def _trials(
    folders: Folders, references: int, numbering: Literal["auto", "old", "new"]
) -> Iterator[FolderTrial]:
    parents = {folder.rpartition("/")[0]: None for folder in folders if _last(folder) in _PARTS}
    for parent in parents:
        yield _trial_folder(folders, parent, references, numbering)
    for folder in folders:
        if _last(folder) in _UNIT_PARTS:
            yield _unit_folder(folders, folder, references, numbering)


def _trial_folder(
    folders: Folders, folder: str, references: int, numbering: Literal["auto", "old", "new"]
) -> FolderTrial:
    shown, asked = _join(folder, "references"), _join(folder, "queries")
    names = folders.get(shown, set())
    condition, guessed = _condition(folder, _all_twenty(names))
    return _trial(
        folders,
        shown=shown,
        queries=(_join(asked, "max.png"), _join(asked, "min.png")),
        kind=_numbering(names, numbering),
        references=references,
        name=folder or ".",
        layout="trial folder",
        condition=condition,
        condition_guessed=guessed,
        layer="",
        unit=folder or ".",
    )


def _unit_folder(
    folders: Folders, folder: str, references: int, numbering: Literal["auto", "old", "new"]
) -> FolderTrial:
    parent = folder.rpartition("/")[0]
    kind = _numbering(folders[folder], numbering)
    asked = _join(parent, "natural_images")
    min_query = QUERY if kind == "new" else 0
    return _trial(
        folders,
        shown=folder,
        queries=(_join(asked, f"max_{QUERY}.png"), _join(asked, f"min_{min_query}.png")),
        kind=kind,
        references=references,
        name=folder,
        layout="unit folder",
        condition=_last(folder).removesuffix("_images"),
        condition_guessed=False,
        layer=_last(parent.rpartition("/")[0]),
        unit=parent or ".",
    )


def _trial(
    folders: Folders,
    *,
    shown: str,
    queries: tuple[str, str],
    kind: Numbering,
    references: int,
    name: str,
    layout: Literal["trial folder", "unit folder"],
    condition: str,
    condition_guessed: bool,
    layer: str,
    unit: str,
) -> FolderTrial:
    """A trial whose references lie in `shown`; every folder that it takes images from is listed."""
    start = 0 if kind == "new" else 1
    positive = tuple(_join(shown, f"max_{i}.png") for i in range(references))
    opposite = tuple(_join(shown, f"min_{i + start}.png") for i in range(references))
    places = sorted({shown, queries[0].rpartition("/")[0]})
    files = [_join(place, file) for place in places for file in sorted(folders.get(place, ()))]
    needed = (*queries, *positive, *opposite)
    return FolderTrial(
        name=name,
        layout=layout,
        condition=condition,
        layer=layer,
        unit=unit,
        queries=queries,
        references=positive,
        opposite=opposite,
        numbering=kind,
        ambiguous=_all_twenty(folders.get(shown, ())),
        condition_guessed=condition_guessed,
        missing=tuple(file for file in needed if file not in files),
        files=tuple(files),
    )


def _numbering(names: Collection[str], asked: Literal["auto", "old", "new"]) -> Numbering:
    if asked == "auto":
        return "new" if "min_0.png" in names else "old"
    return asked


def _last(folder: str) -> str:
    return folder.rpartition("/")[2]


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _all_twenty(names: Collection[str]) -> bool:
    return all(f"{side}_{i}.png" in names for side in ("max", "min") for i in range(10))


def _condition(folder: str, everything: bool) -> tuple[str, bool]:
    """The condition of a trial's folder, and whether no folder of its path says it.

    Natural references come from the same twenty images as the two queries, of which eighteen are left.
    """
    for part in reversed(folder.split("/")):
        said = [condition for condition in CONDITIONS if condition in part]
        if len(said) == 1:
            return said[0], False
    return ("optimized" if everything else "natural"), True
