"""Tables of groups of answers: one per kind of group, such as all layers of each model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iibench.report.trials.tables import decimals

if TYPE_CHECKING:
    from iibench.contract.measures import Measure
    from iibench.report.trials.tables import Board, Group, Row

#: A table with more rows than this is folded.
MANY_ROWS = 12


@dataclass(frozen=True)
class GroupRow:
    """One group: the values of its attributes, and a measure per column (None where there is none)."""

    values: tuple[str, ...]
    cells: tuple[Measure | None, ...]
    answers: int
    stimuli: int
    units: int


@dataclass(frozen=True)
class GroupTable:
    """The groups of one kind: `attributes`, and columns with their decimals; `title`: what is shown."""

    title: str
    attributes: tuple[str, ...]
    columns: tuple[tuple[str, int], ...]
    rows: tuple[GroupRow, ...]
    #: why numbers are undefined, with how many there are, the most common first
    reasons: tuple[tuple[str, int], ...]

    @property
    def name(self) -> str:
        """The attributes in words."""
        return ", ".join(self.attributes)

    @property
    def folded(self) -> bool:
        """Whether it has too many rows to stand open."""
        return len(self.rows) > MANY_ROWS

    @property
    def answered(self) -> bool:
        """Whether there are answers at all."""
        return any(row.answers for row in self.rows)


def kinds(board: Board) -> dict[tuple[str, ...], list[Group]]:
    """The attributes that groups are made of -> the groups, in order of appearance."""
    found: dict[tuple[str, ...], dict[Group, None]] = {}
    for row in board.scored:
        for measure in row.report.measures:
            if measure.group:
                group = tuple((str(k), str(v)) for k, v in measure.group.items())
                found.setdefault(tuple(k for k, _ in group), {})[group] = None
    return {attributes: list(groups) for attributes, groups in found.items()}


def group_tables(board: Board, parts: bool = False) -> list[GroupTable]:
    """A table per kind of group: the headline of every whole metric (or of every part)."""
    rows = [row for row in board.scored if row.part == parts]
    if not rows:
        return []
    return [_table(board, rows, *kind, parts) for kind in kinds(board).items()]


def further_tables(board: Board) -> list[GroupTable]:
    """Other measures of the groups of stimuli (not of those by confidence), of every whole metric.

    Those that say what stands beside them, which is in the last column.
    """
    rows = [row for row in board.scored if not row.part]
    if not rows or not board.compared:
        return []
    found = []
    measures = board.measures
    for name in (*measures.known, *(f"pearson_{number}" for number in measures.unit_numbers)):
        beside = measures.against(name)
        if not beside or name == board.headline:
            continue
        for attributes, groups in kinds(board).items():
            measured = any(row.of(name, group) for row in rows for group in groups)
            if measured and "confidence" not in attributes:
                columns = [(row.metric, 3, row, name) for row in rows]
                columns.append((measures.title(beside), 3, rows[0], beside))
                found.append(_made(measures.title(name), columns, attributes, groups))
    return found


def _table(
    board: Board, rows: Sequence[Row], attributes: tuple[str, ...], groups: list[Group], parts: bool
) -> GroupTable:
    columns = [(row.metric, board.decimals, row, board.headline) for row in rows]
    if not board.compared:
        columns = [(board.title, board.decimals, rows[0], board.headline)]
    if not parts:
        for name in _beside(board, rows, groups):
            places = decimals(name, rows, board.measures)
            columns.append((board.measures.title(name), places, rows[0], name))
    return _made(board.title, columns, attributes, groups)


def _made(
    what: str,
    columns: Sequence[tuple[str, int, Row, str]],
    attributes: tuple[str, ...],
    groups: Sequence[Group],
) -> GroupTable:
    """The table of `columns`: heading, decimals, row of the board, name of the measure."""
    made = []
    for group in groups:
        cells = tuple(row.of(name, group) for _, _, row, name in columns)
        counted = next((cell for cell in cells if cell is not None), None)
        made.append(
            GroupRow(
                tuple(value for _, value in group),
                cells,
                counted.n if counted else 0,
                counted.stimuli if counted else 0,
                counted.units if counted else 0,
            )
        )
    return GroupTable(
        what,
        attributes,
        tuple((heading, places) for heading, places, _, _ in columns),
        tuple(made),
        _reasons(cell for row in made for cell in row.cells),
    )


def _beside(board: Board, rows: Sequence[Row], groups: Sequence[Group]) -> list[str]:
    """Measures of the groups that stand beside the metrics: of people, such as their accuracy, and the
    ceiling."""
    if board.compared:
        names = [board.measures.against(board.headline), board.measures.ceiling_of(board.headline)]
    else:
        names = [fact.name for fact in board.people if not board.measures.counts(fact.name)]
    return [
        name
        for name in names
        if name != board.headline and any(rows[0].of(name, group) for group in groups)
    ]


def _reasons(cells: Iterable[Measure | None]) -> tuple[tuple[str, int], ...]:
    counts: dict[str, int] = {}
    for cell in cells:
        if cell is not None and cell.value is None:
            reason = cell.reason or "no reason given"
            counts[reason] = counts.get(reason, 0) + 1
    return tuple(sorted(counts.items(), key=lambda item: -item[1]))


def in_words(group: Group) -> str:
    """`model resnet50, layers layer1`; `all answers` without attributes."""
    parts = [f"{name} {value or '(none)'}" for name, value in group]
    return ", ".join(parts) or "all answers"
