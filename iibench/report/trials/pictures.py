"""Trials as people saw them (Fig. 12): two queries, references on both sides, votes and margins."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.report.shared.thumbnails import THUMBNAIL, data_uri
from iibench.report.trials.choice import choose, choose_of_units, margins_of
from iibench.report.trials.tables import NO_METRIC

if TYPE_CHECKING:
    from iibench.contract.reports import TrialReport
    from iibench.report.trials.tables import Board
    from iibench.results.run import Run

#: Base64 bytes of images that the page may hold; what does not fit is left out and said.
BUDGET = 1_800_000
#: Largest side of a query in pixels, and of the three images of a similarity judgement.
QUERY = 192
#: Columns of trials.parquet that are no attributes of stimuli.
OWN = frozenset(
    {"stimulus", "name", "unit", "queries", "references", "opposite", "first", "second"}
)


@dataclass(frozen=True)
class Query:
    """One of the two images to choose from: its name on the page, image, people who chose it."""

    name: str
    image: str
    votes: int


@dataclass(frozen=True)
class Choice:
    """What a metric makes of the trial under one evaluation: margin, and the query that it chooses.

    `chosen`: 0 or 1, None for a tie. `margin` is None where there is none.
    """

    margin: float | None
    chosen: int | None


@dataclass(frozen=True)
class Picture:
    """A trial to draw. `note`: why it was chosen; `side`: images in a row of the references."""

    note: str
    name: str
    unit: str
    attributes: tuple[tuple[str, str], ...]
    queries: tuple[Query, ...]
    references: tuple[str, ...]
    opposite: tuple[str, ...]
    side: int
    #: metric -> what it chooses under each of `Pictures.evaluations`
    choices: Mapping[str, tuple[Choice, ...]]

    @property
    def votes(self) -> int:
        """How many people answered."""
        return sum(query.votes for query in self.queries)


@dataclass(frozen=True)
class Pictures:
    """Trials by kind. `about`: (metric, evaluation) by which they were chosen; `evaluations`: headings of
    the margins; `left_out`: trials without images."""

    about: tuple[str, str] = ("", "")
    has_truth: bool = True
    evaluations: tuple[str, ...] = ()
    kinds: Mapping[str, tuple[Picture, ...]] = field(default_factory=dict)
    left_out: int = 0


def pictures(
    run: Run, boards: Sequence[Board], report: TrialReport | None, units: Sequence[str]
) -> Pictures:
    """The trials to draw; `report` is the case by which they are chosen, `units` (U,) names of units."""
    if report is None or not (run.folder / "trials.parquet").is_file():
        return Pictures()
    trials = run.trials()
    margins = margins_of(report)
    first, second = (trials[name].to_numpy(np.int64) for name in ("first", "second"))
    board = next(b for b in boards if b.evaluation == report.evaluation.label)
    number = {name: i for i, name in enumerate(units)}
    unit = np.array([number.get(str(name), -1) for name in trials["unit"]], np.int64)
    columns = {name: trials[name].to_numpy() for name in trials.columns if name not in OWN}
    chosen = [
        *choose(margins, first, second, board.has_truth),
        *choose_of_units(report, unit, margins, first, second, columns),
    ]
    judged = [b for b in boards if any(row.report.margins for row in b.scored)]
    album = _Album(run.images(), report.dataset, BUDGET)
    kinds: dict[str, list[Picture]] = {}
    left_out = 0
    for item in chosen:
        record = {str(name): value for name, value in trials.iloc[item.stimulus].items()}
        picture = _picture(item.note, item.stimulus, record, board.has_truth, judged, album)
        if picture is None:
            left_out += 1
        else:
            kinds.setdefault(item.kind, []).append(picture)
    return Pictures(
        (report.metric.label if report.metric else NO_METRIC, report.evaluation.label),
        board.has_truth,
        _short([b.evaluation for b in judged]),
        {kind: tuple(found) for kind, found in kinds.items()},
        left_out,
    )


def _short(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels without the name of the evaluation, where all have the same and parameters tell them apart."""
    split = [label.partition("[") for label in labels]
    if len(labels) > 1 and len({name for name, _, _ in split}) == 1:
        return tuple(rest.removesuffix("]") or name for name, _, rest in split)
    return tuple(labels)


@dataclass
class _Album:
    """Images as data: URIs within a budget of bytes, which every use of an image counts against."""

    images: Mapping[tuple[str, int], bytes]
    dataset: str
    left: int

    def take(self, sizes: Sequence[tuple[int, int]]) -> list[str] | None:
        """URIs of (image, largest side); None where one is missing or they do not fit."""
        keys = [(self.dataset, image) for image, _ in sizes]
        if any(key not in self.images for key in keys):
            return None
        uris = [
            data_uri(self.images[key], side) for key, (_, side) in zip(keys, sizes, strict=True)
        ]
        size = sum(map(len, uris))
        if size > self.left:
            return None
        self.left -= size
        return uris


def _picture(
    note: str,
    stimulus: int,
    record: Mapping[str, Any],
    has_truth: bool,
    judged: Sequence[Board],
    album: _Album,
) -> Picture | None:
    queries, references, opposite = (
        [int(i) for i in record[name]] for name in ("queries", "references", "opposite")
    )
    few = len(references) == 1
    uris = album.take(
        [(image, QUERY) for image in queries]
        + [(image, QUERY if few else THUMBNAIL) for image in references + opposite]
    )
    if uris is None:
        return None
    names = ("right answer", "wrong answer") if has_truth else ("candidate A", "candidate B")
    votes = (int(record["first"]), int(record["second"]))
    attributes = [
        (name, str(value))
        for name, value in record.items()
        if name not in OWN and value and value not in (record["name"], record["unit"])
    ]
    f = len(references)
    return Picture(
        note=note,
        name=str(record["name"]),
        unit=str(record["unit"]),
        attributes=tuple(attributes),
        queries=tuple(map(Query, names, uris[:2], votes)),
        references=tuple(uris[2 : 2 + f]),
        opposite=tuple(uris[2 + f :]),
        side=math.ceil(math.sqrt(max(f, len(opposite)))),
        choices=dict(_choices(stimulus, judged)),
    )


def _choices(stimulus: int, judged: Sequence[Board]) -> Iterator[tuple[str, tuple[Choice, ...]]]:
    """Whole metrics, or parts where there are only parts."""
    rows = [row for board in judged for row in board.scored if row.report.margins]
    whole = [row for row in rows if not row.part] or rows
    for metric in dict.fromkeys(row.metric for row in whole):
        yield metric, tuple(_choice(stimulus, board, metric) for board in judged)


def _choice(stimulus: int, board: Board, metric: str) -> Choice:
    row = next((r for r in board.scored if r.metric == metric and r.report.margins), None)
    margin = row.report.margins[stimulus] if row else None
    if margin is None or margin == 0:
        return Choice(margin, None)
    return Choice(margin, 0 if margin > 0 else 1)
