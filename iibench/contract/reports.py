"""What a run consists of, as plain frozen records: reports of cases, summaries, verdicts, sections."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from iibench.contract.measures import Curve, Measure

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray, FloatArray, IntArray
    from iibench.contract.details import Details

Status = Literal["passed", "failed", "skipped", "error"]


@dataclass(frozen=True)
class Summary:
    """Scores of the units of one case in a few numbers.

    `low`, `high`: 95 % percentile bootstrap interval of the mean over units (statistics/bootstrap.py).
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


@dataclass(frozen=True, kw_only=True)
class Report:
    """How one case ended.

    `passed`: scored. `failed`: scored, but an expectation about it is not met. `skipped`: something it
    needs cannot be had, or nothing of it could be scored. `error`: its input or a plugin is wrong.

    `seconds`: duration of each stage that this case had to wait for. `cached`: the scores came from the
    cache. `reason`: why it was skipped or failed. `traceback`: of an error that no plugin foresaw.
    """

    id: str
    dataset: str
    metric: Named | None
    evaluation: Named
    status: Status
    seed: int
    #: seeds derived from the suite's: of the finder's fit and of the evaluation's draws
    seeds: dict[str, int] = field(default_factory=dict)
    reason: str | None = None
    traceback: str | None = None
    notes: tuple[str, ...] = ()
    cached: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    summary: Summary | None = None
    #: name of the main one of `measures`; "" where the mean over units stands for the case
    headline: str = ""
    measures: tuple[Measure, ...] = ()

    @property
    def scored(self) -> bool:
        """Whether there is a score."""
        return self.summary is not None and self.summary.scored > 0

    @property
    def main_measure(self) -> Measure | None:
        """The measure of everything that `headline` names; None where there is none."""
        return next((m for m in self.measures if m.name == self.headline and not m.group), None)


@dataclass(frozen=True, kw_only=True)
class CaseReport(Report):
    """How a case of directions ended: a score per direction, or what an analysis found.

    `scores` (K values, None where unscored) and `reasons` are kept out of `run.json` and stand in
    `results.parquet`. Of an analysis, `headline` names its main measure, and `details`, which `Run.details`
    reads, stand in the folder `analyses` under `details_folder`.
    """

    model: Named
    layer: str
    finder: Named
    trials: int = 0
    scores: tuple[float | None, ...] = ()
    reasons: tuple[str | None, ...] = ()
    #: whether it is of an analysis, whose values are ranked nowhere: also where it found nothing
    is_analysis: bool = False
    details_folder: str = ""
    details: Details | None = None

    @property
    def stem(self) -> tuple[str, str, str, str]:
        """Labels of the dataset, model, layer and finder that its directions are of."""
        return (self.dataset, self.model.label, self.layer, self.finder.label)


@dataclass(frozen=True, kw_only=True)
class TrialReport(Report):
    """How a case of trials ended: numbers about people's answers.

    `headline`: name of the measure that ranks metrics; `summary` holds it, with units as n. What follows
    it is kept out of `run.json` and stands in tables of its own (results/trial_tables.py). `margins`: the
    observer's margin per stimulus; `per_unit`: name -> a value per unit; `resampled`: the headline
    measure in resamples of units that all metrics share; None where undefined.
    """

    curves: tuple[Curve, ...] = ()
    margins: tuple[float | None, ...] = ()
    per_unit: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    resampled: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What became of an expectation: its sentence, the verdict, and the numbers it rests on."""

    text: str
    status: Literal["passed", "failed", "skipped"]
    detail: str
    dataset: str | None = None
    #: ids of the case that it is about and of the one that that is compared with, where they were run
    case: str | None = None
    against: str | None = None
    #: the number that it is about where that is not the mean over units
    measure: str = ""
    #: where a paper states it, and the value that it gives
    figure: str = ""
    published: str = ""
    #: whether the suite says that it cannot be tested here; `detail` says why
    not_testable: bool = False


@dataclass(frozen=True)
class Exemplars:
    """The M images with the largest and with the smallest response to each of K directions of a finder.

    `images`, `bottom` (K, M) indices into the evaluated split, the most extreme first; `responses`,
    `bottom_responses` (K, M).
    """

    dataset: str
    model: str
    layer: str
    finder: str
    images: IntArray
    responses: FloatArray
    bottom: IntArray
    bottom_responses: FloatArray


@dataclass(frozen=True)
class ResponseFacts:
    """Of each of K directions; see the functions below.

    `low`, `high` (K,): range of its responses. `counts` (K, BINS): histogram over equal bins between
    them. `sparseness` (K,), NaN where no response is above zero. `positive` (K,): share above zero.
    """

    low: DoubleArray
    high: DoubleArray
    counts: IntArray
    sparseness: DoubleArray
    positive: DoubleArray
