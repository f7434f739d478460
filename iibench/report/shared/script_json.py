"""JSON that can stand inside HTML and inside scripts."""

from __future__ import annotations

import json
from typing import Any


def script_json(value: Any) -> str:
    """Compact JSON that can stand inside a <script> element: it holds no `<`, `>` or `&`.

    Raises `ValueError` for a number that is not finite.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text
