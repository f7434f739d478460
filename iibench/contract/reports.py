"""What a run consists of, as plain frozen records: reports of cases, summaries, verdicts, sections."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from iibench.contract.measures import Curve, Measure

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray, FloatArray, IntArray
    from iibench.contract.details import Details
    from iibench.contract.specs import Role

Status = Literal["passed", "failed", "skipped", "error"]


@dataclass(frozen=True)
class Summary:
    """Scores of the units of one case in a few numbers.

    `low`, `high`: 95 % percentile bootstrap interval of the mean over units (statistics/bootstrap.py).
    Numbers are None where no unit is scored.

    >>> Summary(n=64, scored=60, mean=0.7).mean
    0.7
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
    """A name, its parameters as plain JSON values, and the label that ids show.

    >>> Named("kmeans", "kmeans[k=16]", {"k": 16}).label
    'kmeans[k=16]'
    """

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

    `of_trials`, `item`: whether it is of trials, and what has a value each (`values`): a unit, or a stimulus.

    >>> color, ii = Named("color", "color"), Named("ii", "ii")
    >>> report = Report(
    ...     id="data/color/ii", dataset="data", metric=color, evaluation=ii, status="passed", seed=0,
    ...     summary=Summary(n=2, scored=2, mean=0.7),
    ... )
    >>> report.scored, report.main_measure
    (True, None)
    """

    of_trials: ClassVar[bool] = False
    item: ClassVar[str] = "unit"

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
    def is_analysis(self) -> bool:
        """Whether it is of an analysis, whose values are ranked nowhere: also where it found nothing."""
        return False

    @property
    def choices(self) -> dict[str, Named]:
        """What was chosen for it, by kind: `evaluation`, and where they play a part `metric`, `model`,
        `finder`."""
        metric = {"metric": self.metric} if self.metric is not None else {}
        return {**metric, "evaluation": self.evaluation}

    @property
    def place(self) -> dict[str, str]:
        """Labels of where it was measured, by what they are of."""
        raise NotImplementedError

    @property
    def table(self) -> dict[str, str]:
        """Labels of the table in which it is ranked, by what they are of: its place and what is measured."""
        raise NotImplementedError

    @property
    def ranked(self) -> Named | None:
        """What is ranked in that table; None where there is nothing to rank."""
        raise NotImplementedError

    @property
    def values(self) -> tuple[float | None, ...]:
        """A number of each item, None where it has none."""
        raise NotImplementedError

    def why_none(self, item: int) -> str | None:
        """Why an item has no value, where that is known."""
        return None

    @property
    def main_measure(self) -> Measure | None:
        """The measure of everything that `headline` names; None where there is none."""
        return next((m for m in self.measures if m.name == self.headline and not m.group), None)


@dataclass(frozen=True, kw_only=True)
class CaseReport(Report):
    """How a case of directions ended: a score per direction, or what an analysis found.

    `scores` (K values, None where unscored) and `reasons` are kept out of `run.json` and stand in
    `results.parquet`. Of an analysis, `headline` names its main measure, and `details`, which `Run.details`
    reads, stand in the folder `analyses` under `details_folder`. `role`: of its finder
    (`FinderSpec.role`), which stands in the run's record of finders; filled in where a run is read or
    written.

    >>> color, ii, net, k = (Named(name, name) for name in ("color", "ii", "net", "kmeans"))
    >>> report = CaseReport(
    ...     id="data/net/conv1/kmeans/color/ii", dataset="data", model=net, layer="conv1", finder=k,
    ...     metric=color, evaluation=ii, status="passed", seed=0, scores=(0.6, 0.8),
    ... )
    >>> report.stem
    ('data', 'net', 'conv1', 'kmeans')
    """

    model: Named
    layer: str
    finder: Named
    trials: int = 0
    scores: tuple[float | None, ...] = ()
    reasons: tuple[str | None, ...] = ()
    is_analysis: bool = False
    details_folder: str = ""
    details: Details | None = None
    role: Role = "method"

    @property
    def stem(self) -> tuple[str, str, str, str]:
        """Labels of the dataset, model, layer and finder that its directions are of."""
        return (self.dataset, self.model.label, self.layer, self.finder.label)

    @property
    def choices(self) -> dict[str, Named]:
        """See `Report`."""
        return {"model": self.model, "finder": self.finder, **super().choices}

    @property
    def place(self) -> dict[str, str]:
        """See `Report`."""
        return {"dataset": self.dataset, "model": self.model.label, "layer": self.layer}

    @property
    def table(self) -> dict[str, str]:
        """See `Report`."""
        metric = self.metric.label if self.metric else "no metric"
        return {**self.place, "evaluation": self.evaluation.label, "metric": metric}

    @property
    def ranked(self) -> Named:
        """See `Report`: the finder."""
        return self.finder

    @property
    def values(self) -> tuple[float | None, ...]:
        """See `Report`: the scores."""
        return self.scores

    def why_none(self, item: int) -> str | None:
        """See `Report`."""
        return self.reasons[item]


@dataclass(frozen=True, kw_only=True)
class TrialReport(Report):
    """How a case of trials ended: numbers about people's answers.

    `headline`: name of the measure that ranks metrics; `summary` holds it, with units as n. What follows
    it is kept out of `run.json` and stands in tables of its own (results/trial_tables.py). `margins`: the
    observer's margin per stimulus; `per_unit`: name -> a value per unit; `resampled`: the headline
    measure in resamples of units that all metrics share; None where undefined.

    >>> color, human = Named("color", "color"), Named("human", "human")
    >>> report = TrialReport(
    ...     id="answers/color/human", dataset="answers", metric=color, evaluation=human, seed=0,
    ...     status="passed", headline="auc", measures=(Measure("auc", 0.7, n=120),),
    ... )
    >>> report.main_measure.value
    0.7
    """

    of_trials: ClassVar[bool] = True
    item: ClassVar[str] = "stimulus"

    curves: tuple[Curve, ...] = ()
    margins: tuple[float | None, ...] = ()
    per_unit: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    resampled: tuple[float | None, ...] = ()

    @property
    def place(self) -> dict[str, str]:
        """See `Report`."""
        return {"dataset": self.dataset, "evaluation": self.evaluation.label}

    @property
    def table(self) -> dict[str, str]:
        """See `Report`."""
        return self.place

    @property
    def ranked(self) -> Named | None:
        """See `Report`: the metric."""
        return self.metric

    @property
    def values(self) -> tuple[float | None, ...]:
        """See `Report`: the margins."""
        return self.margins


@dataclass(frozen=True)
class Verdict:
    """What became of an expectation: its sentence, the verdict, and the numbers it rests on.

    >>> Verdict("kmeans scores above neurons", "passed", "0.71 against 0.55, p = 0.001").case is None
    True
    """

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

    >>> strong, weak = np.array([[4, 2]]), np.array([[0, 1]])
    >>> shown = Exemplars("data", "net", "conv1", "kmeans", strong, strong / 10, weak, weak / 10)
    >>> shown.images[0].tolist()  # of direction 0, the strongest first
    [4, 2]
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

    >>> from iibench.compute.response_facts import response_facts
    >>> facts = response_facts(np.array([[0.0], [1.0], [2.0], [0.0]], np.float32))
    >>> facts.high.tolist(), facts.positive.tolist()
    ([2.0], [0.5])
    """

    low: DoubleArray
    high: DoubleArray
    counts: IntArray
    sparseness: DoubleArray
    positive: DoubleArray
