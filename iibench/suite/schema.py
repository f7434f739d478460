"""A suite, read and checked: what to run, in the order in which the file says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from iibench.suite.cases import Choice, DatasetChoice, LayerChoice

#: The version of the suite format, as the key `iibench` gives it.
FORMAT = "1"

REQUIRED_KEYS = ("iibench", "name", "dataset", "evaluations")
#: Required with a dataset of images; a dataset of trials brings units of its own and takes none.
DIRECTION_KEYS = ("models", "finders")
OPTIONAL_KEYS = ("description", "seed", "metrics", "expect", "references")
EXPECT_KEYS = (
    *("on", "finder", "above", "test", "alpha", "measure", "interval", "at_least", "at_most"),
    *("model", "layer", "dataset", "text", "figure", "published"),
)
#: Keys of a statement that a suite cannot test.
UNTESTED_KEYS = ("text", "figure", "published", "not_testable")
#: Keys of an expectation about a dataset of trials, and of a published value to stand beside ours.
TRIAL_EXPECT_KEYS = (
    *("on", "measure", "where", "above", "alpha", "at_least", "at_most", "equals", "within"),
    *("dataset", "text"),
)
REFERENCE_KEYS = ("on", "measure", "where", "value", "n", "source")
#: Keys of an entry that are not parameters of the plugin it names.
RESERVED = {
    "dataset": ("name", "fit", "evaluate", "fallback"),
    "model": ("name", "layers"),
    "finder": ("name",),
    "metric": ("name", "parts"),
    "evaluation": ("name", "metrics", "finders"),
}


@dataclass(frozen=True)
class Expectation:
    """A statement about the results of a suite that a run puts to the test.

    Everything is named by its label in the suite. Either `above` is given: the scores of `finder`
    are larger than those of `above` (one-sided `test` at level `alpha`); or `at_least` and / or
    `at_most`: bounds of the mean over scored units, or, where the evaluation is an `analysis`, of
    `measure` (None: its headline), with `interval` of the whole 95 % interval. `model` and `layer` None
    mean each of them. `dataset` is the label, without a limit, of the dataset that the statement is
    about. `figure` and `published`: where a paper makes the statement, and the value that it gives.
    `not_testable`: why the suite cannot test it; there are no names then.
    """

    evaluation: str
    metric: str | None
    finder: str
    dataset: str
    analysis: bool = False
    measure: str | None = None
    interval: bool = False
    above: str | None = None
    test: Literal["mann_whitney"] = "mann_whitney"
    alpha: float = 0.05
    at_least: float | None = None
    at_most: float | None = None
    model: str | None = None
    layer: str | None = None
    text: str | None = None
    figure: str = ""
    published: str = ""
    not_testable: str = ""

    @property
    def on(self) -> str:
        """`evaluation/metric`, as the suite writes it."""
        return self.evaluation if self.metric is None else f"{self.evaluation}/{self.metric}"


@dataclass(frozen=True)
class TrialExpectation:
    """A statement about people's answers, or about a metric's agreement with them.

    `measure` (None: the evaluation's headline) for the group `where` (attribute, value) pairs, empty for
    all answers. Either bounds; or `equals`, with `of` the number of answers that it must rest on where
    it was written as a ratio, and `within` the largest difference allowed; or `above`: the measure is
    larger than under that metric, at level `alpha` (paired, one-sided).
    """

    evaluation: str
    metric: str | None
    dataset: str
    measure: str | None = None
    where: tuple[tuple[str, str], ...] = ()
    above: str | None = None
    alpha: float = 0.05
    at_least: float | None = None
    at_most: float | None = None
    equals: float | None = None
    of: int | None = None
    within: float = 0.0
    text: str | None = None

    @property
    def on(self) -> str:
        """`evaluation/metric`, as the suite writes it."""
        return self.evaluation if self.metric is None else f"{self.evaluation}/{self.metric}"


@dataclass(frozen=True)
class Reference:
    """A published value that the page shows beside ours: `value` of a measure for a group of answers.

    `n`: answers it rests on, None where that was not published. `source`: where it was published.
    """

    evaluation: str
    metric: str | None
    measure: str | None
    where: tuple[tuple[str, str], ...]
    value: float
    n: int | None = None
    source: str = ""


@dataclass(frozen=True)
class Suite:
    """A suite file after checking. `text` and `sha256` are those of the file, before `overrides`.

    `models`: each with its layers. `evaluations`: each with the labels of the metrics it is limited
    to, or None for all of them. `evaluation_finders`: label of an evaluation -> labels of the finders
    it is limited to; all of them where it is missing. `of_trials`: the dataset is one of trials; there
    are no models, layers and finders then. `added_metrics`: labels of those of the metrics that the
    file does not name.
    """

    name: str
    description: str
    path: str
    text: str
    sha256: str
    seed: int
    dataset: DatasetChoice
    fallback: DatasetChoice | None
    models: tuple[tuple[Choice, tuple[LayerChoice, ...]], ...]
    finders: tuple[Choice, ...]
    metrics: tuple[Choice, ...]
    evaluations: tuple[tuple[Choice, frozenset[str] | None], ...]
    expectations: tuple[Expectation | TrialExpectation, ...] = ()
    references: tuple[Reference, ...] = ()
    overrides: tuple[str, ...] = ()
    of_trials: bool = False
    added_metrics: tuple[str, ...] = ()
    evaluation_finders: Mapping[str, frozenset[str]] = field(default_factory=dict)
