"""How well people did: accuracy per group of answers and per unit, and how reliable that is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from iibench import CaseError, MeasureInfo, TrialEvaluationSpec, TrialScores, hookimpl

from ._people.measures import Drawn, auc_ceilings, groups_of, human_accuracy
from ._people.units import accuracy_of_units, judged, reliability
from ._people.words import AUC_CEILINGS, HUMAN_ACCURACY, RELIABILITY

if TYPE_CHECKING:
    from iibench import EvaluationBase, Measure, TrialInputs

BY = ("experiment", "model", "condition", "difficulty", "confidence", "model+layers")


@dataclass(frozen=True)
class Params:
    """The groups of answers, and the intervals."""

    by: tuple[str, ...] = field(
        default=BY,
        metadata={"help": "groups of answers: attributes of the trials, several joined by +"},
    )
    ceilings: bool = field(
        default=True,
        metadata={"help": "how well people predict each other: reliability and AUC ceilings"},
    )
    resamples: Annotated[int, Ge(2)] = field(
        default=2000, metadata={"help": "cluster bootstrap resamples of units"}
    )


def judge(params: Params, inputs: TrialInputs) -> TrialScores:
    """Share of right answers, of all and of every group, with the ceilings of what could predict them."""
    import numpy as np

    from iibench.statistics.resampling import share_resampled

    trials = inputs.trials
    if not trials.has_truth:
        raise CaseError("these trials have no right answer; expected the evaluation triplets")
    groups = list(groups_of(trials, params.by, BY, params.resamples, inputs.seed))
    measures = [m for group in groups for m in (human_accuracy(group), _answers(group))]
    whole = groups[0]
    rows, note = judged(trials, whole.cell.stimuli)
    if params.ceilings:
        measures += [*auc_ceilings(trials, whole), *reliability(trials, whole, inputs.seed)]
    total = whole.cell.first + whole.cell.second
    rate = np.where(total > 0, whole.cell.first / np.maximum(total, 1), np.nan)
    per_unit = {"human_accuracy": accuracy_of_units(trials, whole, rows)}
    resampled = share_resampled(rate, total, whole.unit, whole.counts)
    notes = () if note is None else (note,)
    return TrialScores(tuple(measures), None, (), per_unit, resampled, notes)


def _answers(group: Drawn) -> Measure:
    """How many answers there are, so that a suite can state it."""
    return group.measure("answers", float(group.cell.answers), None, "")


@hookimpl
def iibench_register_evaluations() -> Iterable[EvaluationBase]:
    """Registers `human_accuracy`."""
    yield TrialEvaluationSpec(
        name="human_accuracy",
        summary="How well people did: the share of right answers, and how reliable it is",
        definition=(
            "human_accuracy = people's right answers / all answers, of all and of every group of "
            "answers; 0.5 is chance, 1 the best. Beside it: how well people predict each other "
            "(split-half reliability of the units' accuracies and the AUC ceilings), which bounds "
            "what any metric can reach. No metric is involved. Intervals resample units."
        ),
        params=Params,
        unlabelled=("by", "resamples"),
        judge=judge,
        headline_measure="human_accuracy",
        measures={
            "human_accuracy": HUMAN_ACCURACY,
            "answers": MeasureInfo(
                title="Answers", text="How many answers there are.", people=True, count=True
            ),
            **AUC_CEILINGS,
            **RELIABILITY,
        },
        chance=0.5,
        unit="share of answers that are right",
        needs_metric=False,
    )
