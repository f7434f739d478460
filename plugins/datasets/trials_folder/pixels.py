"""Image files by what they show: files of equal pixels are one image."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from iibench import UsageError

from .._images.decode import DecodeError, rgb


@dataclass(frozen=True)
class Pixels:
    """Distinct images: `files[i]` with the hash `sha256[i]` stands for all that show the same.

    `index`: file name below the root -> i. `size`: (height, width) of all. `grey`: how many of the
    files are greyscale.
    """

    files: Sequence[Path]
    sha256: Sequence[str]
    index: Mapping[str, int]
    size: tuple[int, int]
    grey: int


def read_pixels(root: Path, names: Sequence[str]) -> Pixels:
    """Decodes all files once; raises `UsageError` naming one that is damaged or of another size."""
    from PIL import Image

    files: list[Path] = []
    sha256: list[str] = []
    index: dict[str, int] = {}
    known: dict[bytes, int] = {}
    size: tuple[int, int] | None = None
    grey = 0
    for name in names:
        try:
            data = (root / name).read_bytes()
            decoded = rgb(data)
        except OSError as error:
            raise UsageError(f"{root / name} cannot be read: {error.strerror}") from error
        except DecodeError as error:
            raise UsageError(f"{root / name} cannot be decoded: {error}") from error
        found = (decoded.shape[0], decoded.shape[1])
        size = size or found
        if found != size:
            raise UsageError(
                f"{root / name} has {found[1]} x {found[0]} pixels, but {names[0]} {size[1]} x "
                f"{size[0]}; expected one size, as people see the images of a trial side by side"
            )
        with Image.open(io.BytesIO(data)) as image:
            grey += image.mode in {"L", "LA"}
        content = hashlib.sha256(decoded.tobytes()).digest()
        if content not in known:
            known[content] = len(files)
            files.append(root / name)
            sha256.append(hashlib.sha256(data).hexdigest())
        index[name] = known[content]
    return Pixels(files, sha256, index, size or (1, 1), grey)
