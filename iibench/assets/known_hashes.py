"""Hashes of downloads that were not known beforehand: recorded on first use, checked ever after.

They are kept in `recorded.json` in the cache's folder of assets: one entry per address (or file name,
where a file was put in place by hand), with name, address, SHA-256, size and date.
"""

from __future__ import annotations

import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iibench.contract.base import AssetFile
from iibench.contract.errors import AssetError


def recorded_sha256(cache_dir: Path, file: AssetFile) -> str:
    """The SHA-256 recorded for a file, "" where there is none; raises `AssetError` where unreadable."""
    return str(_entries(recorded_path(cache_dir)).get(_key(file), {}).get("sha256", ""))


def record(cache_dir: Path, file: AssetFile, sha256: str, size: int) -> None:
    """Adds a file's SHA-256 and size in bytes; raises `OSError` where the cache cannot be written."""
    from filelock import FileLock

    path = recorded_path(cache_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(path.name + ".lock")):
        entries = _entries(path)
        entries[_key(file)] = {
            "name": file.filename,
            "url": file.url or "",
            "sha256": sha256,
            "size": size,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        handle, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        with os.fdopen(handle, "w") as out:
            json.dump(entries, out, indent=1)
        Path(name).replace(path)


def recorded_path(cache_dir: Path) -> Path:
    """The file that holds them."""
    return cache_dir / "assets" / "recorded.json"


def _key(file: AssetFile) -> str:
    return file.url or file.filename


def _entries(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise AssetError(f"{path} cannot be read ({error}); delete it to record anew") from error
    if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
        raise AssetError(f"{path} is no list of recorded files; delete it to record anew")
    return found
