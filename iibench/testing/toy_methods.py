"""The smallest metric, finder and evaluations, with which the reference suite tries whatever else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iibench.contract.base import NoParams
from iibench.contract.errors import CaseError
from iibench.contract.evaluations import EvaluationInputs, EvaluationSpec, UnitScores
from iibench.contract.measures import Measure
from iibench.contract.specs import Directions, FinderSpec, FitContext, Harness, MetricSpec
from iibench.contract.trials import TrialEvaluationSpec, TrialInputs, TrialScores

if TYPE_CHECKING:
    import torch

    from iibench.contract.arrays import FloatArray

#: Images of a direction that `reference_evaluation` looks at.
TOP = 5


class MeanColour:
    """The mean of red, green and blue over an image."""

    fingerprint = ""

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 3, h, w) -> (n, 3)."""
        return x.mean(dim=(2, 3))


def load_metric(params: NoParams, harness: Harness) -> MeanColour:
    """The metric, which needs nothing."""
    return MeanColour()


def fit(params: NoParams, A: FloatArray, context: FitContext) -> Directions:
    """The N basis vectors."""
    return Directions(np.eye(A.shape[1], dtype=np.float32))


def encode(params: NoParams, directions: Directions, A: FloatArray) -> FloatArray:
    """The activations, unchanged."""
    return A


def evaluate(params: NoParams, inputs: EvaluationInputs) -> UnitScores:
    """Mean similarity of the `TOP` images that activate a direction most, to each other."""
    pairs = inputs.similarity.within(inputs.order[:TOP].T.astype(np.int64))
    values = pairs.mean(axis=(1, 2))
    flat = np.ptp(inputs.responses, axis=0) == 0
    values[flat] = np.nan
    return UnitScores(
        values, tuple("every image has the same response" if f else None for f in flat)
    )


def judge(params: NoParams, inputs: TrialInputs) -> TrialScores:
    """Share of people's answers that choose the query which is more like the references."""
    if inputs.similarities is None:
        raise CaseError("it looks at images, and was given no metric")
    trials, answers = inputs.trials, inputs.trials.answers
    margins = np.subtract(*inputs.similarities.references.mean(axis=2).T)
    margin = np.where(answers.first, 1, -1) * margins[answers.stimulus]
    known = ~np.isnan(margin)
    n = int(answers.count[known].sum())
    sides = (np.sign(margin[known]) + 1) / 2
    measure = Measure(
        "agreement",
        float(sides @ answers.count[known]) / n if n else None,
        n=n,
        stimuli=int((~np.isnan(margins)).sum()),
        units=len(trials.units),
        reason=None if n else "there are no answers",
    )
    return TrialScores((measure,), margins)


METRIC = MetricSpec(
    name="reference_metric",
    summary="minus the distance of mean colours, for checks",
    load=load_metric,
    distance="euclidean",
    level="low",
)
FINDER = FinderSpec(
    name="reference_finder",
    summary="the basis vectors, for checks",
    fit=fit,
    encode=encode,
    trains_on=False,
    role="baseline",
)
EVALUATION = EvaluationSpec(
    name="reference_evaluation",
    summary=f"mean similarity of a direction's {TOP} most activating images, for checks",
    evaluate=evaluate,
    unit="similarity",
    images=lambda params, n: TOP,
)
JUDGEMENT = TrialEvaluationSpec(
    name="reference_judgement",
    summary="share of answers that a metric sides with, for checks",
    judge=judge,
    headline_measure="agreement",
    chance=0.5,
    unit="share of answers",
)
