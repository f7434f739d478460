"""Small sets of arrays that are kept below the cache folder, each in a file that is whole or not there."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt


def read_arrays(place: Path, *names: str) -> dict[str, npt.NDArray[Any]] | None:
    """The arrays `names` that are kept at a place; None where they are not there or damaged."""
    import numpy as np

    try:
        with zipfile.ZipFile(place) as kept:  # a member that is read whole is checked whole
            members = {name: io.BytesIO(kept.read(f"{name}.npy")) for name in names}
        return {name: np.load(member, allow_pickle=False) for name, member in members.items()}
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None


def write_arrays(place: Path, **arrays: Any) -> None:
    """Keeps arrays at a place; the file gets its name when it is complete."""
    import numpy as np

    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=place.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.savez(file, **arrays)
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)
