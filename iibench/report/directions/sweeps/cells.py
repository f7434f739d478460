"""A sweep as a grid of cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iibench.report.directions.tables import Row, View


@dataclass(frozen=True)
class Sparsity:
    """Of a finder's K directions: `l0`, how many respond above zero to an image, the mean over the
    evaluated images; `dead`, how many respond alike to all of them; `lowest`, the lowest response."""

    k: int
    l0: float
    dead: int
    lowest: float


@dataclass(frozen=True)
class Cell:
    """A case of a sweep: the values of the swept parameters, its row, and what its directions do."""

    at: tuple[float, ...]
    row: Row
    sparsity: Sparsity | None


@dataclass(frozen=True)
class Sweep:
    """Cases that differ in the parameters `over` alone, one or two of them, sorted by their values.

    `finder`: their label without these parameters; `family`: title of the evaluation's tables; `others`:
    what to compare them with, the baseline and the method with the highest mean of all others; `help`:
    parameter -> what it is; `images`: number of evaluated images, where known.
    """

    finder: str
    over: tuple[str, ...]
    family: str
    view: View
    unit: str
    cells: tuple[Cell, ...]
    others: tuple[Row, ...]
    help: Mapping[str, str]
    images: int | None

    @property
    def scored(self) -> tuple[Cell, ...]:
        """The cells with a mean."""
        return tuple(cell for cell in self.cells if cell.row.mean is not None)

    @property
    def title(self) -> str:
        return f"{self.finder} over {' and '.join(self.over)}"

    @property
    def no_sparsity(self) -> str:
        """Why its scores cannot be put against the sparsity of its responses; empty where they can."""
        facts = [cell.sparsity for cell in self.scored]
        known = [fact for fact in facts if fact is not None]
        if len(known) < len(facts) or not known:
            return "This run did not record the responses that sparsity is computed from."
        if len(known) < 2:
            return "Fewer than two cases have a score, so there is no sparsity axis."
        if any(fact.lowest < 0 for fact in known):
            return (
                "Its responses can be negative: how many are above zero says nothing about sparsity, so "
                "there is no sparsity axis."
            )
        if all(math.isclose(fact.l0, fact.k) for fact in known):
            return "Each of its directions responds above zero to every image, so there is no sparsity axis."
        return ""
