"""Thumbnails inside a page."""

from __future__ import annotations

import base64
import io

#: Images up to this side are shown as they are; larger ones are scaled down to `THUMBNAIL`.
SMALL, THUMBNAIL = 64, 96


def data_uri(content: bytes, side: int = THUMBNAIL) -> str:
    """A PNG or JPEG as a data: URI, photographs scaled down to at most `side` pixels a side (JPEG)."""
    from PIL import Image

    file = Image.open(io.BytesIO(content))
    if max(file.size) <= SMALL and file.format == "PNG":
        return "data:image/png;base64," + base64.b64encode(content).decode()
    image = file.convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
