"""A run's results: what is stored, how it is written, how it is read back.

A run folder holds `run.json` (everything but the scores of single units), `results.parquet` (one row
per unit and case), `exemplars.parquet` (the most activating images of each direction),
`images.parquet` (the images that the page shows, as PNG), `leaderboard.csv` and the page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["passed", "failed", "skipped", "error"]

#: Version of the layout of a run folder; changes when a reader of the old one would misread it.
SCHEMA_VERSION = "1"


@dataclass(frozen=True)
class Summary:
    """Scores of the units of one case in a few numbers.

    `low`, `high`: 95 % percentile bootstrap interval of the mean over units (statistics.py).
    Numbers are None where no unit is scored.
    """

    n: int
    scored: int
    mean: float | None = None
    sd: float | None = None
    median: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Named:
    """A name, its parameters as plain JSON values, and the label that ids show."""

    name: str
    label: str
    params: dict[str, Any] = field(default_factory=dict)
    part: str | None = None


@dataclass(frozen=True)
class CaseReport:
    """How one case ended.

    `scores` (K values, None where unscored) and `reasons` are kept out of `run.json` and stand in
    `results.parquet`. `seconds`: duration of each stage that this case had to wait for. `cached`: the
    scores came from the cache. `reason`: why it was skipped or failed.
    """

    id: str
    dataset: str
    model: Named
    layer: str
    finder: Named
    metric: Named | None
    evaluation: Named
    status: Status
    seed: int
    reason: str | None = None
    notes: tuple[str, ...] = ()
    cached: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    summary: Summary | None = None
    trials: int = 0
    scores: tuple[float | None, ...] = ()
    reasons: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What became of an expectation: its sentence, the verdict, and the numbers it rests on."""

    text: str
    status: Literal["passed", "failed", "skipped"]
    detail: str
    dataset: str | None = None


@dataclass(frozen=True)
class Section:
    """An extra part of the page: a title, paragraphs of plain text, and tables."""

    title: str
    paragraphs: tuple[str, ...] = ()
    #: each table: header cells, then rows of cells
    tables: tuple[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]], ...] = ()


@dataclass(frozen=True)
class Run:
    """A finished (or interrupted) run.

    `meta` is the plain content of run.json apart from cases and verdicts: `schema_version`, `name`,
    `started`, `finished`, `seconds`, `interrupted`, `suite` (`name`, `path`, `sha256`, `text`),
    `seed`, `device`, `dtype`, `versions`, `plugins`, `datasets` (label -> fingerprint, n, splits,
    image_size, summary), `models` (label -> provenance, weights_sha256), `metrics` (label ->
    fingerprint, input size, range, citation, distance), `finders`, `evaluations` (label -> unit,
    chance, plot, plot_over, citation), `assets` (name -> filename, sha256), `notes`, `command`.
    """

    folder: Path
    meta: dict[str, Any]
    cases: tuple[CaseReport, ...]
    verdicts: tuple[Verdict, ...] = ()

    def units(self) -> pd.DataFrame:
        """One row per unit and case: case, dataset, model, layer, finder, metric, evaluation, unit, score, reason."""
        raise NotImplementedError

    def leaderboard(self) -> pd.DataFrame:
        """One row per case, best first within each dataset, model, layer, evaluation and metric."""
        raise NotImplementedError

    def exemplars(self) -> pd.DataFrame:
        """dataset, model, layer, finder, unit, rank (0 = most activating), image (index), response."""
        raise NotImplementedError
