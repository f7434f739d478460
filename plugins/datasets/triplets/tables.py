"""Judgements in CSV files: NIGHTS (Fu et al. 2023), and tables of your own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from iibench import UsageError

from .._trials.csv_rows import Row, read_rows
from .._trials.paths import file_below
from .record import Judgement, Judgements

NIGHTS_EXPECTED = "data.csv with ref_path, left_path, right_path, left_vote, right_vote; the images"
NIGHTS_ORIGIN = (
    "NIGHTS, of the public repository ssundaram21/dreamsim (dataset/download_dataset.sh)"
)
CSV_EXPECTED = (
    "a CSV file with the header reference,a,b,votes_a,votes_b (and further columns, if you like)"
)
#: Columns of the reference and the two candidates.
Paths = tuple[str, str, str]
_OF_NIGHTS = ("split", "is_imagenet")


def read_nights(root: Path, follow_links: bool = False) -> Judgements:
    """All triplets of NIGHTS; candidates are the left and the right image.

    As published, `left_vote` and `right_vote` are 1 for the side that all chose and 0 for the other, and
    `votes` is how many people that were; where the two votes are counts they must add up to `votes`.
    Columns: `split` and `is_imagenet`, where they are there. (Results on NIGHTS are published for
    triplets with six votes or more.)
    """
    path = root / "data.csv"
    paths = ("ref_path", "left_path", "right_path")
    rows = read_rows(path, [*paths, "left_vote", "right_vote"])
    _check_images(root, rows, paths, follow_links)
    judged: dict[str, Judgement] = {}
    for row in rows:
        name = row.cells.get("id", f"line {row.line}")
        if name in judged:
            raise row.wrong("id", "an id that no other row has")
        judged[name] = _judgement(name, row, paths, _nights_votes(row))
    columns = {
        name: tuple(row[name] for row in rows) for name in _OF_NIGHTS if name in rows[0].cells
    }
    return Judgements(root, tuple(judged.values()), columns)


def _nights_votes(row: Row) -> tuple[int, int]:
    left, right = row.count("left_vote"), row.count("right_vote")
    if "votes" not in row.cells or left + right == row.count("votes"):
        return left, right
    if left + right != 1:
        raise row.wrong("votes", f"left_vote + right_vote, {left + right}")
    votes = row.count("votes")
    return votes * left, votes * right


def read_csv(path: Path, follow_links: bool = False) -> Judgements:
    """A table of one's own; image files are named relative to its folder.

    Further columns become attributes of the triplets. Raises `UsageError` naming file and line.
    """
    paths = ("reference", "a", "b")
    known = (*paths, "votes_a", "votes_b")
    rows = read_rows(path, known)
    _check_images(path.parent, rows, paths, follow_links)
    judged = [
        _judgement(f"line {row.line}", row, paths, (row.count("votes_a"), row.count("votes_b")))
        for row in rows
    ]
    more = [name for name in rows[0].cells if name and name not in known]
    return Judgements(
        path.parent,
        tuple(judged),
        {name: tuple(row[name] for row in rows) for name in more},
        notes=("columns without a name are left out",) if any("" in r.cells for r in rows) else (),
    )


def _judgement(name: str, row: Row, paths: Paths, votes: tuple[int, int]) -> Judgement:
    reference, a, b = (row[column] for column in paths)
    return Judgement(name, reference, a, b, votes)


def _check_images(
    root: Path, rows: Sequence[Row], columns: Sequence[str], follow_links: bool
) -> None:
    """Every named file must be there, below `root`."""
    known: set[str] = set()
    for row in rows:
        for column in columns:
            name = row[column]
            if name not in known:
                file_below(root, name, f"{row.path}:{row.line}: {column}", follow_links)
                known.add(name)


def csv_file(path: Path) -> Path:
    """`path`, which must be a file; raises `UsageError` naming the CSV files of a folder."""
    if path.is_file():
        return path
    inside = sorted(p.name for p in path.glob("*.csv"))
    hint = f", such as {path / inside[0]}" if inside else ""
    raise UsageError(f"path: {path} is a folder; format csv expects {CSV_EXPECTED}{hint}")
