"""What iibench made in folders from before it kept a manifest there, known by names and contents."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

#: Tables of a run, without their ending.
TABLES = (
    *("results", "exemplars", "directions", "unit_trials", "unit_evidence", "images"),
    *("trials", "answers", "measures", "margins", "unit_measures", "curves", "resamples"),
)
#: What every page holds, in a folder or as one file.
MARKS = (b'<script type="application/json" id="places">', b'id="library-plotly.min.js"')
#: How every file of a page's data begins.
DATA = b"iibench.deliver("
SPRITE = re.compile(r"(sheet-\d+|[0-9a-f]{20})\.(png|jpg|webp)")
LIBRARIES = ("assets/plotly.min.js", "assets/tables.js")


def earlier_files(path: Path) -> list[str]:
    """Paths of what iibench made in a folder without a manifest; none where it is no folder of iibench."""
    found = [name for name in ("index.html", "report.html") if is_page(path / name)]
    is_run = is_run_folder(path)
    if not is_run and found[:1] != ["index.html"]:
        return []
    if is_run:
        found += ["run.json", "leaderboard.csv", *(f"{name}.parquet" for name in TABLES)]
        found += _analyses(path)
    found += LIBRARIES
    found += [name for name in _names(path, "data", "*.js") if _begins(path / name, DATA)]
    found += [n for n in _names(path, "sprites", "*") if SPRITE.fullmatch(n.partition("/")[2])]
    return [name for name in found if _is_file(path, name)]


def is_run_folder(path: Path) -> bool:
    """Whether there is a `run.json` of iibench."""
    record = _record(path)
    versions = record.get("versions")
    return (
        {"schema_version", "suite", "cases", "verdicts"} <= set(record)
        and isinstance(versions, dict)
        and "iibench" in versions
    )


def is_page(file: Path) -> bool:
    """Whether a file is a page of iibench."""
    try:
        return file.is_file() and any(mark in file.read_bytes() for mark in MARKS)
    except OSError:
        return False


def _record(path: Path) -> dict[str, object]:
    try:
        found = json.loads((path / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _analyses(path: Path) -> Iterator[str]:
    cases = _record(path).get("cases")
    for case in cases if isinstance(cases, list) else ():
        folder = case.get("details_folder") if isinstance(case, dict) else None
        if isinstance(folder, str) and re.fullmatch(r"[\w.+-]+-[0-9a-f]{8}", folder):
            yield f"analyses/{folder}/details.json"
            yield from _names(path, f"analyses/{folder}", "*.parquet")


def _names(path: Path, folder: str, pattern: str) -> list[str]:
    return [f"{folder}/{file.name}" for file in sorted((path / folder).glob(pattern))]


def _begins(file: Path, with_bytes: bytes) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(len(with_bytes)) == with_bytes
    except OSError:
        return False


def _is_file(path: Path, name: str) -> bool:
    """Whether it is a file of the folder, which no link leads to."""
    place = path
    for part in name.split("/"):
        place = place / part
        if place.is_symlink():
            return False
    return place.is_file()
