"""What an evaluation declares, what it is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from iibench.contract.base import Spec, Work
from iibench.contract.specs import Directions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from iibench.contract.arrays import DoubleArray, FloatArray, ImageArray, IntArray
    from iibench.contract.details import Details


@dataclass(frozen=True)
class UnitTrials:
    """The two-alternative trials behind the scores of K directions, T each, for readers of a report.

    `strong`, `weak` (K, T): image indices of the queries. `strong_references` (K, T, F) and
    `weak_references` (K, T, G): of the references; G = 0 where the observer looks at one side alone.
    `evidence` (K, T, 2) float64: for the strong and for the weak query, in the metric's unit; the
    observer chooses the larger, and the strong one is right. NaN for directions without a score.

    >>> query, references = np.array([[3]]), np.array([[[5, 8]]])  # of one direction, one trial
    >>> none = np.zeros((1, 1, 0), np.int64)
    >>> shown = UnitTrials(query, query + 1, references, none, np.array([[[0.8, 0.3]]]))
    >>> (shown.evidence[..., 0] > shown.evidence[..., 1]).tolist()  # the observer is right
    [[True]]
    """

    strong: IntArray
    weak: IntArray
    strong_references: IntArray
    weak_references: IntArray
    evidence: DoubleArray


@dataclass(frozen=True)
class UnitScores:
    """One score per direction: `values` (K,) float64, NaN where `reasons[k]` says why there is none.

    `trials` is the number of trials behind each value (0 where the notion does not apply);
    `unit_trials` are these trials, where the evaluation can show them. `details`: of an analysis
    (`EvaluationSpec.plot` "none"), what it found beside these values, which may then all be NaN.

    >>> scores = UnitScores(np.array([0.7, np.nan]), (None, "every image responds alike"), trials=20)
    >>> len(scores.values) == len(scores.reasons)
    True
    """

    values: DoubleArray
    reasons: tuple[str | None, ...]
    trials: int = 0
    unit_trials: UnitTrials | None = None
    details: Details | None = None


class SimilarityLookup(Protocol):
    """Similarities between images of the evaluated split under one metric (one part of it).

    >>> def mean_similarity(lookup: SimilarityLookup, exemplars) -> list[float]:
    ...     return lookup.within(exemplars).mean(axis=(1, 2)).tolist()
    >>> from iibench.compute.similarity.lookups import EmbeddingSimilarity
    >>> rows = np.array([[0.0], [1.0], [3.0]], np.float32)
    >>> lookup = EmbeddingSimilarity(lambda images: rows, 3, "squared_euclidean")
    >>> mean_similarity(lookup, np.array([[0, 1], [0, 2]]))
    [-0.5, -4.5]
    """

    def within(self, groups: IntArray) -> DoubleArray:
        """groups (G, M) image indices -> (G, M, M) similarity of every ordered pair in each group."""

    def cross(self, left: IntArray, right: IntArray) -> DoubleArray:
        """left (G, a), right (G, b) image indices -> (G, a, b) similarity of left to right."""


class AnalysisContext(Protocol):
    """What an analysis may ask for besides responses and similarities; computed when asked for.

    >>> def analyse(params, inputs: EvaluationInputs):
    ...     found = inputs.context.directions()
    ...     lengths = np.linalg.norm(found.vectors, axis=1)
    ...     share = Measure("mean length", float(lengths.mean()), n=len(lengths))
    ...     details = Details((share,), headline="mean length")
    ...     return UnitScores(lengths, (None,) * len(lengths), details=details)
    """

    @property
    def device(self) -> str:
        """`cpu`, `cuda` or `mps`."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes of `EvaluationInputs.labels`, empty where there are none."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the evaluated images in pixels."""

    def activations(self) -> FloatArray:
        """A (n, N) of the evaluated images."""

    def directions(self) -> Directions:
        """The case's directions."""

    def images(self, indices: Sequence[int] | IntArray) -> ImageArray:
        """uint8 (len(indices), h, w, 3) RGB of evaluated images."""

    def responses_of(self, finder: str, neurons: IntArray) -> FloatArray:
        """(n, K) responses of the evaluated images to directions of another registered finder, given
        by its label (`kmeans[k=128]`), fitted to these neurons of the fit split alone."""

    def gradient_norms(
        self, indices: IntArray, score: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    ) -> DoubleArray:
        """(b,) Euclidean norm of the gradient of a score with respect to the pixels, RGB in [0, 1], of
        each of the images `indices` (b,).

        `score(activations, rows)`: (p, N) differentiable activations of the images `indices[rows]` ->
        (p,) scores, each of its own image. One forward and one backward pass per batch.
        """

    def progress(self, done: int, total: int, note: str) -> None:
        """Reports how far a long computation is."""


@dataclass(frozen=True)
class EvaluationInputs:
    """What an evaluation sees of one case.

    `responses` (n, K) float32; `order` (n, K) image indices by descending response, ties by lower
    index; `similarity` for the case's metric; `labels` (n,) or None; `seed` is the same for every
    metric of one finder, so that metrics are compared on the same draws. `context`: what analyses may ask
    for besides.

    >>> responses = np.array([[0.1], [0.9], [0.5]], np.float32)
    >>> order = np.argsort(-responses, axis=0, kind="stable").astype(np.int32)
    >>> inputs = EvaluationInputs(responses, order, similarity=None, labels=None, seed=0)
    >>> inputs.order[:2, 0].tolist()  # the two images with the largest responses to direction 0
    [1, 2]
    """

    responses: FloatArray
    order: npt.NDArray[np.int32]
    similarity: SimilarityLookup
    labels: IntArray | None
    seed: int
    context: AnalysisContext | None = None

    @property
    def lab(self) -> AnalysisContext | None:
        """`context`, by the name that it had up to plugin API 1.3."""
        return self.context


@dataclass(frozen=True, kw_only=True)
class EvaluationBase(Spec):
    """What every evaluation declares, of directions or of trials.

    `chance`: the value expected of what means nothing, or None. `unit`: of the score, in words.
    `needs_metric`: False for evaluations that look at no similarity. `sentence(params)`: how the page
    describes what is measured; None stands for the summary.

    >>> base = EvaluationBase(name="share", summary="Share of right answers.", chance=0.5)
    >>> base.needs_metric, base.is_analysis
    (True, False)
    """

    chance: float | None = None
    unit: str = ""
    needs_metric: bool = True
    sentence: Callable[[Any], str] | None = None

    @property
    def is_analysis(self) -> bool:
        """Whether it finds `UnitScores.details`, and its values are ranked nowhere."""
        return False


@dataclass(frozen=True, kw_only=True)
class EvaluationSpec(EvaluationBase):
    """A score per direction: `evaluate(params, inputs) -> UnitScores`; larger is better.

    `plot` groups cases on the page: `box` (a distribution per finder), `line` (the mean against
    `plot_over`, one of the parameters) or `none` (an analysis with a section of its own, made from
    `UnitScores.details`; its values are ranked nowhere). `finders(params)`: labels of the finders that
    it asks its context for. `images(params, n)`: how many distinct images one direction's
    evaluation needs at most, for the estimate of `--collect-only`. `work(params, n, K)`: what it takes
    besides embedding images, for the same; None has it derived from `images`. `blockwise`: it
    looks at `responses` and `order` a block of directions at a time (as
    `iibench.compute.ranking.ShuffledOrder` does), so that they may be mapped files larger than memory;
    others are refused there. `leads`: its tables stand before those of evaluations that do not.

    >>> def evaluate(params, inputs):
    ...     values = (inputs.responses > 0).mean(axis=0)
    ...     return UnitScores(values, (None,) * len(values))
    >>> spec = EvaluationSpec(
    ...     name="positive", summary="Share of images above zero.", needs_metric=False, evaluate=evaluate
    ... )
    >>> responses = np.array([[0.0, 1.0], [2.0, 3.0]], np.float32)
    >>> spec.evaluate(spec.params(), EvaluationInputs(responses, None, None, None, 0)).values.tolist()
    [0.5, 1.0]
    """

    evaluate: Callable[[Any, EvaluationInputs], UnitScores]
    blockwise: bool = False
    finders: Callable[[Any], tuple[str, ...]] = lambda params: ()
    plot: Literal["box", "line", "none"] = "box"
    plot_over: str | None = None
    images: Callable[[Any, int], int] = lambda params, n: n
    work: Callable[[Any, int, int], Work] | None = None
    leads: bool = False

    @property
    def is_analysis(self) -> bool:
        """See `EvaluationBase`."""
        return self.plot == "none"
