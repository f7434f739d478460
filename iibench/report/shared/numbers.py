"""Numbers and times as the page shows them. Missing values are an en dash; minus is U+2212."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

MISSING = "–"


def number(value: float | None, decimals: int = 4) -> str:
    """`value` with that many decimals; a zero has no sign."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def signed(value: float | None, decimals: int = 4) -> str:
    """Like `number`, with a plus sign where it is above zero."""
    text = number(value, decimals)
    above = value is not None and value > 0 and text.strip("0.") != ""
    return f"+{text}" if above and text != MISSING else text


def interval(low: float | None, high: float | None, decimals: int = 4) -> str:
    """`[low, high]`, or nothing where there is none."""
    if low is None or high is None:
        return ""
    return f"[{number(low, decimals)}, {number(high, decimals)}]"


def p_value(p: float | None) -> str:
    """Three decimals, or that it is below one thousandth."""
    if p is None or not math.isfinite(p):
        return MISSING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def decimals_for(means: Iterable[float | None], chance: float | None) -> int:
    """Decimals of a table: 3 for accuracies (they have a chance level), else 4, more for tiny scores."""
    if chance is not None:
        return 3
    sizes = [abs(m) for m in means if m is not None and math.isfinite(m) and m != 0]
    scale = max(sizes, default=1.0)
    if scale >= 100:
        return 1
    return 4 if scale >= 0.01 else min(8, 3 - math.floor(math.log10(scale)))


def duration(seconds: float | None) -> str:
    """`0.4 s`, `12 s`, `3 min 5 s` or `2 h 4 min`."""
    if seconds is None:
        return MISSING
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(iso: str | None) -> str:
    """An ISO time as `23 November 2026, 14:05 UTC`; any other text as it is."""
    try:
        time = datetime.fromisoformat(iso or "")
    except ValueError:
        return iso or MISSING
    return f"{time.day} {time:%B %Y, %H:%M} {time.tzname() or ''}".strip()


def compact(value: float | None) -> float | None:
    """Five significant digits, for plots; None where there is no finite value."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.5g}")


def real(value: Any) -> float | None:
    """A number of a table; None where it is missing or not finite."""
    return float(value) if value is not None and _finite(value) else None


def whole(value: Any) -> int | None:
    """The same for whole numbers."""
    return None if real(value) is None else int(value)


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except TypeError:  # pandas' missing integer
        return False


def inside(heading: str) -> str:
    """A heading within a sentence: without its capital, but for an abbreviation."""
    return heading if heading[1:2].isupper() else f"{heading[:1].lower()}{heading[1:]}"
