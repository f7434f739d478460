"""Rows of a CSV file whose every mistake is reported with file, line and column."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from iibench import AssetError, UsageError, nearest

#: Whole numbers, also as tables of numbers with gaps write them ("3.0").
_WHOLE = re.compile(r"([0-9]{1,15})(\.0*)?")
#: More people than that do not exist; it also keeps sums within 64 bits.
LARGEST = 10**9


@dataclass(frozen=True)
class Row:
    """One row: its cells by column, without blanks around them, and the line where it ends."""

    path: Path
    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """The cell of a column."""
        return self.cells[column]

    def wrong(self, column: str, expected: str) -> UsageError:
        """The error that this cell is not what is `expected`."""
        return UsageError(
            f"{self.path}:{self.line}: {column} is {self[column]!r}; expected {expected}"
        )

    def one_of(self, column: str, allowed: Sequence[str]) -> str:
        """The cell, which must be one of `allowed`."""
        if self[column] not in allowed:
            raise self.wrong(column, " or ".join(allowed))
        return self[column]

    def boolean(self, column: str) -> bool:
        """A cell that says True or False."""
        return self.one_of(column, ("True", "False")) == "True"

    def count(self, column: str) -> int:
        """A cell that holds a whole number from 0 to `LARGEST`."""
        found = _WHOLE.fullmatch(self[column])
        if found is None or int(found[1]) > LARGEST:
            raise self.wrong(column, f"a whole number from 0 to {LARGEST}")
        return int(found[1])


def read_rows(path: Path, required: Sequence[str]) -> list[Row]:
    """All rows of a CSV file with a header; blank lines and rows of empty cells are no rows.

    Empty cells beyond the header, and empty columns without a name, as spreadsheets write them, are no
    cells.
    Raises `AssetError` where the file cannot be read, `UsageError` where it is no such table: not UTF-8,
    a required column missing, two columns of one name, a row with another number of cells, no row at
    all.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise AssetError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not UTF-8 text: {error.reason} at byte {error.start}"
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    header: list[str] = []
    try:
        for cells in reader:
            values = [cell.strip() for cell in cells]
            if not any(values):
                continue
            if header:
                values = values[: len(header)] + _trimmed(values[len(header) :])
            if not header:
                header = values
                _check_header(path, header, required)
            elif len(values) != len(header):
                raise UsageError(
                    f"{path}:{reader.line_num}: {len(values)} cells; "
                    f"expected {len(header)}, as the header has"
                )
            else:
                rows.append(Row(path, reader.line_num, _named(header, values)))
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num}: {error}") from error
    if not rows:
        raise UsageError(
            f"{path} has no row; expected a header with {', '.join(required)} and rows"
        )
    return rows


def _trimmed(cells: list[str]) -> list[str]:
    """The cells up to the last that is not empty."""
    return cells[: max((i for i, cell in enumerate(cells, 1) if cell), default=0)]


def _named(header: Sequence[str], values: Sequence[str]) -> dict[str, str]:
    """The cells by column; of columns without a name what is in them stands under an empty one."""
    cells = list(zip(header, values, strict=True))
    rest = " ".join(value for name, value in cells if value and not name)
    return {name: value for name, value in cells if name} | ({"": rest} if rest else {})


def _check_header(path: Path, header: Sequence[str], required: Sequence[str]) -> None:
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise UsageError(f"{path} has two columns called {twice[0]!r}")
    missing = [name for name in required if name not in header]
    if missing:
        close = nearest(missing[0], header)
        hint = f"; nearest to {missing[0]}: {', '.join(close)}" if close else ""
        raise UsageError(
            f"{path} has no column {', '.join(missing)}; found: {', '.join(header)}{hint}"
        )
