"""The IMI release's map of natural exemplars: which ImageNet image stands behind each stimulus image.

map[MODEL][LAYER/channel_N][batch_B][max_I.png or min_I.png] is WNID/FILE, relative to ImageNet's training
images; I is 0 to 9. The key of the second level is one key, with a slash in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iibench import AssetError, UsageError

PATH = "image_data/imagenet_exemplars_file_map.json"

#: The query is `max_9`, and less activating than all references. On the min side it is `min_9`: other
#: data sets count there the other way round.
QUERIES = ("max_9", "min_9")
REFERENCES = tuple(f"max_{i}" for i in range(9))
OPPOSITE = tuple(f"min_{i}" for i in range(9))


@dataclass(frozen=True)
class FileMap:
    """The map; `entries` is keyed by model first."""

    path: Path
    entries: Mapping[str, Any]

    def images(
        self, key: str, layer: str, channel: int, batch: int, names: tuple[str, ...]
    ) -> list[str] | None:
        """WNID/FILE of each of `names` of one batch, or None where the map has them not all.

        Raises `UsageError` naming an entry that is no such path.
        """
        unit = f"{layer}/channel_{channel}"
        found: Any = self.entries
        for step in (key, unit, f"batch_{batch}"):
            found = found.get(step) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping) or any(f"{name}.png" not in found for name in names):
            return None
        images = [found[f"{name}.png"] for name in names]
        for name, image in zip(names, images, strict=True):
            if not _is_image(image):
                entry = f"[{key!r}][{unit!r}]['batch_{batch}']['{name}.png']"
                raise UsageError(f"{self.path}: {entry} is {image!r}, expected WNID/FILE")
        return images


def read_map(root: Path) -> FileMap:
    """The map of a release folder; raises `AssetError` where there is none, `UsageError` if damaged."""
    path = root / PATH
    try:
        entries = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise AssetError(f"there is no {path}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(entries, dict):
        raise UsageError(f"{path} is no map, expected models at its top")
    return FileMap(path, entries)


def _is_image(value: object) -> bool:
    """Whether this is WNID/FILE: two plain names, nothing that leads elsewhere."""
    parts = value.split("/") if isinstance(value, str) else []
    return len(parts) == 2 and all(
        part not in {"", ".", ".."} and not set(part) & set("\\:\0") for part in parts
    )
