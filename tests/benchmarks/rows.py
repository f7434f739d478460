"""All rows by name, and what a child process is told to set up."""

from __future__ import annotations

from typing import Literal

from tests.benchmarks import activations_rows, extremes_rows, finder_rows, similarity_rows
from tests.benchmarks.processes import Prepared
from tests.benchmarks.row import Row
from tests.benchmarks.sizes import Sizes

ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        *activations_rows.ROWS,
        *similarity_rows.ROWS,
        *finder_rows.ROWS,
        *extremes_rows.ROWS,
    )
}


def prepare(name: str, side: Literal["ours", "theirs"], sizes: Sizes) -> Prepared:
    """One side of a row, in the process that runs it."""
    set_up = ROWS[name].ours if side == "ours" else ROWS[name].theirs
    return set_up(sizes)
