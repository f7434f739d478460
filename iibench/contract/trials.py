"""Two-alternative trials and the answers that people gave to them, as plain records.

Notation: S stimuli, F positive and G opposite references of a stimulus, U units, R answers. A stimulus
shows two queries and asks which of them is more like the positive references (in psychophysics: the
images that strongly activate a unit; in similarity judgements: one reference image, F = 1). Opposite
references (weakly activating images) are shown too where G > 0. Images are indices into a
`TrialDataset`; -1 stands for an image that is not to be had (data published without images).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from iibench.contract.base import Work
from iibench.contract.evaluations import EvaluationBase
from iibench.contract.specs import DatasetSpec, Harness, ImageDataset

if TYPE_CHECKING:
    from iibench.contract.arrays import BoolArray, DoubleArray, IntArray, TextArray
    from iibench.contract.measures import Curve, Measure, MeasureInfo, Section


@dataclass(frozen=True)
class Answers:
    """R answers, in any order.

    `stimulus` (R,): which stimulus. `first` (R,): True where query 0 was chosen. `count` (R,): how many
    people answered so: 1 where every answer is known on its own, more where only votes are. `confidence`
    (R,): 1 is the lowest, 0 where it was not asked. `participant` (R,): a number per person, -1 where
    that is not known. `columns`: further attributes (R,), such as expertise.

    >>> ones = np.ones(3, np.int64)
    >>> answers = Answers(np.array([0, 0, 1]), np.array([True, False, True]), ones, 0 * ones, -ones)
    >>> answers.chosen(answers.stimulus == 0).first.tolist()
    [True, False]
    """

    stimulus: IntArray
    first: BoolArray
    count: IntArray
    confidence: IntArray
    participant: IntArray
    columns: Mapping[str, TextArray] = field(default_factory=dict)

    def chosen(self, rows: IntArray | BoolArray) -> Answers:
        """The answers in `rows`: indices, or a mask (R,)."""
        return Answers(
            self.stimulus[rows],
            self.first[rows],
            self.count[rows],
            self.confidence[rows],
            self.participant[rows],
            {name: values[rows] for name, values in self.columns.items()},
        )


@dataclass(frozen=True, eq=False)
class Stimuli:
    """S stimuli and the answers given to them.

    `queries` (S, 2): query 0 is the right answer where the task has one (`has_truth`: the query that
    activates the unit), else the first candidate. `references` (S, F) and `opposite` (S, G).
    `names` (S,): a stable, unique name of each stimulus. `unit` (S,): index into `units`, the resampling
    unit of intervals (a unit of a network; a reference image). `columns`: attributes (S,) by which
    results may be grouped, such as `model`, `layers`, `condition`.

    >>> none, nobody = np.zeros((2, 0), np.int64), np.zeros(0, np.int64)
    >>> trials = Stimuli(
    ...     names=np.array(["s0", "s1"]), queries=np.array([[0, 1], [2, -1]]),
    ...     references=np.array([[3], [4]]), opposite=none, unit=np.array([0, 0]), units=("u",),
    ...     answers=Answers(nobody, nobody.astype(bool), nobody, nobody, nobody),
    ... )
    >>> len(trials), trials.shown.tolist()  # an image of the second stimulus is not to be had
    (2, [True, False])
    """

    names: TextArray
    queries: IntArray
    references: IntArray
    opposite: IntArray
    unit: IntArray
    units: tuple[str, ...]
    answers: Answers
    columns: Mapping[str, TextArray] = field(default_factory=dict)
    has_truth: bool = True

    def __len__(self) -> int:
        """S, the number of stimuli."""
        return len(self.names)

    @property
    def shown(self) -> BoolArray:
        """(S,) whether all images of the stimulus are to be had."""
        known: BoolArray = self.queries.min(axis=1, initial=0) >= 0
        for images in (self.references, self.opposite):
            known = known & (images.min(axis=1, initial=0) >= 0)
        return known


class TrialDataset(ImageDataset, Protocol):
    """The distinct images of S stimuli (see `ImageDataset`) with the stimuli and answers.

    `fingerprint` covers images, stimuli and answers. `labels` are None unless every image has one.

    >>> def answers_per_stimulus(dataset: TrialDataset) -> list[int]:
    ...     answers = dataset.trials.answers
    ...     return np.bincount(answers.stimulus, answers.count, len(dataset.trials)).tolist()
    """

    @property
    def trials(self) -> Stimuli:
        """Stimuli and answers."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences: which version of the data this is, what was kept, what was left out and why."""

    @property
    def sections(self) -> tuple[Section, ...]:
        """The same in tables, for the page (counts per experiment, cross-tables)."""


@dataclass(frozen=True, kw_only=True)
class TrialDatasetSpec(DatasetSpec):
    """A dataset of trials: `load(params, split, harness) -> TrialDataset`.

    >>> spec = TrialDatasetSpec(
    ...     name="mine", summary="Answers of a study of mine.",
    ...     load=lambda params, split, harness: Study(harness.data_dir / "mine"),
    ... )
    >>> spec.splits
    ('all',)
    """

    load: Callable[[Any, str, Harness], TrialDataset]
    splits: tuple[str, ...] = ("all",)


@dataclass(frozen=True)
class TrialSimilarities:
    """Similarities within each stimulus under one metric, larger = more alike; NaN where not `shown`.

    `references` (S, 2, F) and `opposite` (S, 2, G): of query q to each reference. `among` (S,): mean
    over the F * F ordered pairs of positive references, self-pairs included (Eq. 1 with M = F).

    >>> to_reference = np.array([[[0.9], [0.4]]])  # one stimulus, both queries, one reference
    >>> found = TrialSimilarities(to_reference, np.zeros((1, 2, 0)), np.array([1.0]))
    >>> (found.references[:, 0, 0] > found.references[:, 1, 0]).tolist()
    [True]
    """

    references: DoubleArray
    opposite: DoubleArray
    among: DoubleArray


@dataclass(frozen=True)
class TrialInputs:
    """What an evaluation of trials sees of one case.

    `similarities`: None where it needs no metric. `seed`: the same for every metric and evaluation.

    >>> def judge(params, inputs: TrialInputs):
    ...     near = inputs.similarities.references.max(axis=2)
    ...     return TrialScores((), margins=near[:, 0] - near[:, 1])
    >>> found = TrialSimilarities(np.array([[[0.9], [0.5]]]), np.zeros((1, 2, 0)), np.ones(1))
    >>> judge(None, TrialInputs(None, found, seed=0)).margins.tolist()
    [0.4]
    """

    trials: Stimuli
    similarities: TrialSimilarities | None
    seed: int


@dataclass(frozen=True)
class TrialScores:
    """What an evaluation of trials found.

    `measures`: numbers, each for all answers or for a group of them; the spec's `headline_measure`
    without a group is the case's result. `margins` (S,): the observer's evidence for query 0 minus that
    for query 1, NaN where there is none; None without a metric. `curves`: e.g. ROC curves. `per_unit`:
    name -> (U,) values, NaN where undefined. `resampled` (B,): the headline measure in B resamples of
    the units drawn with `TrialInputs.seed`, the same for every metric, so that metrics are compared in
    pairs; None where there is no interval.

    >>> scores = TrialScores((Measure("auc", 0.7, n=120),), margins=np.array([0.4, -0.1]))
    >>> scores.measures[0].group, scores.curves
    ({}, ())
    """

    measures: tuple[Measure, ...]
    margins: DoubleArray | None = None
    curves: tuple[Curve, ...] = ()
    per_unit: Mapping[str, DoubleArray] = field(default_factory=dict)
    resampled: DoubleArray | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrialEvaluationSpec(EvaluationBase):
    """A comparison of a metric with people's answers: `judge(params, inputs) -> TrialScores`.

    `headline_measure`: name of the measure that ranks metrics; larger is better. `work(params, trials)`:
    what `judge` takes, for the estimate of `--collect-only`.

    `measures`: name -> how the page shows that measure; of others it shows the name. Some names have a
    meaning: NAME`_ceiling` bounds NAME (where `MeasureInfo.ceiling` names no other), NAME`_of_ceiling` is
    its share of what is possible above chance, `pearson_`NAME and `spearman_`NAME are correlations over
    units of the first of `TrialScores.per_unit`, which is people's, with NAME of `per_unit`; the page
    shows these beside units and trials on which people and metric differ. `unit_numbers`: NAME -> how the
    page shows that number of a unit.

    >>> def judge(params, inputs):
    ...     answers = inputs.trials.answers
    ...     value = float(np.average(answers.first, weights=answers.count))
    ...     return TrialScores((Measure("accuracy", value, n=int(answers.count.sum())),))
    >>> spec = TrialEvaluationSpec(
    ...     name="accuracy", summary="Share of right answers.", needs_metric=False, judge=judge,
    ...     headline_measure="accuracy", chance=0.5,
    ... )
    >>> spec.headline_measure
    'accuracy'
    """

    judge: Callable[[Any, TrialInputs], TrialScores]
    headline_measure: str
    work: Callable[[Any, Stimuli], Work] | None = None
    measures: Mapping[str, MeasureInfo] = field(default_factory=dict)
    unit_numbers: Mapping[str, MeasureInfo] = field(default_factory=dict)
