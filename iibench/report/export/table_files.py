"""CSV and Parquet: the leaderboard (`Run.leaderboard`), a row per case."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iibench.results.run import Run


def write_csv(run: Run) -> bytes:
    """UTF-8 CSV with a header: numbers to eight significant digits, missing cells empty, NUL as U+FFFD."""
    text: str = run.leaderboard().to_csv(index=False, float_format="%.8g", lineterminator="\n")
    return text.replace("\0", "\ufffd").encode("utf-8", "replace")


def write_parquet(run: Run) -> bytes:
    """The same as Parquet, with numbers to the last bit."""
    buffer = io.BytesIO()
    run.leaderboard().to_parquet(buffer, index=False)
    return buffer.getvalue()
