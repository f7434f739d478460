"""Similarity judgements: which of two candidates is more like the reference, for metric and people?

People disagree, so votes are counted: a metric's agreement is the share of all votes that it sides with
(a tie of the metric one half), and no metric can agree with more than the share of votes on the
majority's side. Agreement on triplets with a majority alone flatters, and stands second. Triplets share
reference images, which are therefore what the bootstrap resamples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from iibench import CaseError, MeasureInfo, TrialEvaluationSpec, TrialScores, hookimpl

from ._people.answers import Cell
from ._people.measures import NO_ANSWERS, Drawn, groups_of, of_ceiling, per_unit_share, roc_curve
from ._people.words import BEST

if TYPE_CHECKING:
    from iibench import DoubleArray, EvaluationBase, IntArray, Measure, TrialInputs

BY = ("majority", "subset", "split")
#: how the page shows what `judge` measures
MEASURES = {
    "vote_agreement": MeasureInfo(
        title="Agreement with votes",
        text="Share of all votes that the metric sides with: it chooses the candidate that is more "
        "similar to the reference (Eq. 2 with one reference); a tie counts one half.",
        ceiling="vote_ceiling",
        first=BEST,
    ),
    "vote_ceiling": MeasureInfo(
        title="Ceiling of votes",
        text="Share of the votes on the majority's side: no metric can side with more, because people "
        "differ.",
        people=True,
    ),
    "majority_agreement": MeasureInfo(
        title="Agreement with majorities",
        text="Share of the stimuli with a majority on which the metric sides with it. It leaves out "
        "stimuli on which people are divided, and so flatters.",
        short="majority",
        first=BEST,
    ),
    "vote_ceiling_of_majorities": MeasureInfo(
        title="Ceiling of votes, stimuli with a majority",
        text="Share of the votes on the majority's side, over the stimuli that have one.",
        people=True,
    ),
    "auc": MeasureInfo(
        title="AUC",
        text="Area under the ROC curve of votes for a candidate against the margin in its favour, each "
        "stimulus counted as it stands and with its candidates exchanged: which comes first is "
        "arbitrary.",
        short="AUC",
        first=BEST,
    ),
}


@dataclass(frozen=True)
class Params:
    """The groups of triplets, and the intervals."""

    by: tuple[str, ...] = field(
        default=BY,
        metadata={"help": "groups of triplets: attributes of theirs, several joined by +"},
    )
    resamples: Annotated[int, Ge(2)] = field(
        default=2000, metadata={"help": "cluster bootstrap resamples of reference images"}
    )


def judge(params: Params, inputs: TrialInputs) -> TrialScores:
    """Agreement with votes and majorities, AUC and ceilings, of all triplets and of every group."""
    import numpy as np

    from iibench.statistics.agreement import agreeing
    from iibench.statistics.observers import margin_eq2
    from iibench.statistics.resampling import share_resampled

    if inputs.similarities is None:
        raise CaseError("triplets looks at images, and was given no metric")
    trials = inputs.trials
    margins = margin_eq2(inputs.similarities.references)
    groups = list(
        groups_of(trials, params.by, BY, params.resamples, inputs.seed, only=~np.isnan(margins))
    )
    measures = [m for group in groups for m in _measures(margins, group)]
    whole = groups[0]
    curves = roc_curve(*_mirrored(margins, whole.cell), {})
    total = whole.cell.first + whole.cell.second
    alike = agreeing(margins, whole.cell.first, whole.cell.second)
    per_unit = {"agreement": per_unit_share(alike, total, trials)}
    resampled = share_resampled(alike, total, whole.unit, whole.counts)
    return TrialScores(tuple(measures), margins, curves, per_unit, resampled)


def _measures(margins: DoubleArray, group: Drawn) -> Iterator[Measure]:
    import numpy as np

    from iibench.statistics.agreement import (
        agreeing,
        majority_agreeing,
        majority_agreement,
        vote_ceiling,
    )
    from iibench.statistics.resampling import share, share_resampled

    cell = group.cell
    first, second = cell.first, cell.second
    total = first + second
    alike = agreeing(margins, first, second)
    value = group.measure(
        "vote_agreement",
        share(alike, total),
        share_resampled(alike, total, group.unit, group.counts),
        NO_ANSWERS,
    )
    larger = np.maximum(first, second) / np.maximum(total, 1)
    ceiling = group.measure(
        "vote_ceiling",
        vote_ceiling(first, second),
        share_resampled(larger, total, group.unit, group.counts),
        NO_ANSWERS,
    )
    yield value
    yield ceiling
    yield of_ceiling("vote_agreement_of_ceiling", value, ceiling, 0.5)
    sided, one = majority_agreeing(margins, first, second), np.ones(len(first))
    decided = first != second
    n, stimuli = int(total[decided].sum()), int((decided & cell.stimuli).sum())
    for measure in (
        group.measure(
            "majority_agreement",
            majority_agreement(margins, first, second),
            share_resampled(sided, one, group.unit, group.counts),
            "no triplet has a majority",
        ),
        group.measure(
            "vote_ceiling_of_majorities",
            vote_ceiling(first, second, majority_only=True),
            None,
            "no triplet has a majority",
        ),
    ):
        yield replace(measure, n=n, stimuli=stimuli)
    yield _symmetric_auc(margins, group)


def _symmetric_auc(margins: DoubleArray, group: Drawn) -> Measure:
    """AUC of votes for a candidate against the margin in its favour, each triplet from both sides.

    Which candidate comes first is arbitrary (or is the majority's), so each triplet is counted as it
    stands and with its candidates exchanged.
    """
    import numpy as np

    from iibench.statistics.agreement import auc, auc_resampled

    both, chose, others = _mirrored(margins, group.cell)
    unit = np.concatenate([group.unit, group.unit])
    return group.measure(
        "auc",
        auc(both, chose, others),
        auc_resampled(both, chose, others, unit, group.counts),
        NO_ANSWERS,
    )


def _mirrored(margins: DoubleArray, cell: Cell) -> tuple[DoubleArray, IntArray, IntArray]:
    """(margins, votes for, votes against) of each triplet as it stands and with candidates exchanged."""
    import numpy as np

    return (
        np.concatenate([margins, -margins]),
        np.concatenate([cell.first, cell.second]),
        np.concatenate([cell.second, cell.first]),
    )


@hookimpl
def iibench_register_evaluations() -> Iterable[EvaluationBase]:
    """Registers `triplets`."""
    yield TrialEvaluationSpec(
        name="triplets",
        summary="Agreement with people's similarity judgements: the share of votes that a metric "
        "sides with",
        definition=(
            "A metric sides with the candidate that is more similar to the reference image. "
            "vote_agreement = the share of all people's votes that are for that candidate, a tie "
            "of the metric counting one half: 0.5 is chance, and no metric can reach more than "
            "the share of votes on the majority's side (vote_ceiling). Larger is better. "
            "Intervals resample reference images."
        ),
        params=Params,
        unlabelled=("by", "resamples"),
        judge=judge,
        headline_measure="vote_agreement",
        measures=MEASURES,
        chance=0.5,
        unit="share of votes",
    )
