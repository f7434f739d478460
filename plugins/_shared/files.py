"""Files that users name."""

from __future__ import annotations

from pathlib import Path

from iibench import nearest


def nearest_files(path: Path) -> str:
    """The names beside `path`, which is not there, that are like its own, for the end of a message."""
    siblings = [found.name for found in path.parent.iterdir()] if path.parent.is_dir() else []
    close = nearest(path.name, siblings)
    return f"; nearest in {path.parent}: {', '.join(close)}" if close else ""
