"""What a stage keeps in the cache, and how it reaches the store that machines share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from iibench.cache.shared_by_direction import fetch_by_direction, publish_by_direction

if TYPE_CHECKING:
    from iibench.cache.entries import Cache


@dataclass(frozen=True)
class Kept:
    """A value in the cache by kind and key: one entry, rows of images, or an array by direction."""

    kind: str
    key: str
    form: Literal["entry", "rows", "by direction"] = "entry"

    def publish(self, cache: Cache) -> None:
        """Writes what the cache has of it to the shared store."""
        if self.form == "entry":
            cache.publish(self.kind, self.key)
        elif self.form == "by direction":
            publish_by_direction(cache, self.kind, self.key)
        else:
            rows = cache.existing_rows(self.kind, self.key)
            if rows is not None:
                rows.publish(np.arange(rows.n))

    def fetch(self, cache: Cache) -> None:
        """Has an array by direction here too; the others are fetched as they are read."""
        if self.form == "by direction":
            fetch_by_direction(cache, self.kind, self.key)
