"""In-silico psychophysics on given trials: does the observer choose the right query? (Sec. 2.3)

Unlike `insilico`, which draws its trials from a dataset's activations, the images of these trials come
with the dataset; no human answer is needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from iibench import CaseError, MeasureInfo, TrialEvaluationSpec, TrialScores, hookimpl

from .._shared.bibliography import KLINDT2023
from ._people.answers import ObserverParams, margins_of
from ._people.measures import Drawn, groups_of, per_unit_share
from ._people.words import INSILICO_ACCURACY, UNIT_NUMBERS, about

if TYPE_CHECKING:
    from iibench import DoubleArray, EvaluationBase, Measure, TrialInputs

SUMMARY = "In-silico psychophysics accuracy on given trials, with or without human answers"
BY = ("model", "condition", "difficulty", "layers", "layout")


@dataclass(frozen=True)
class Params(ObserverParams):
    """The observer, the groups of trials, and the intervals."""

    by: tuple[str, ...] = field(
        default=BY,
        metadata={"help": "groups of trials: attributes of theirs, several joined by +"},
    )
    resamples: Annotated[int, Ge(2)] = field(
        default=2000, metadata={"help": "cluster bootstrap resamples of units"}
    )


def judge(params: Params, inputs: TrialInputs) -> TrialScores:
    """Share of the trials in which the observer chooses the right query, a tie one half."""
    import numpy as np

    from iibench.statistics.observers import correct
    from iibench.statistics.resampling import share_resampled

    trials = inputs.trials
    if inputs.similarities is None or not trials.has_truth:
        raise CaseError("these trials have no right answer; expected the evaluation triplets")
    margins = margins_of(params, inputs.similarities)
    chosen = correct(margins)
    groups = list(
        groups_of(trials, params.by, BY, params.resamples, inputs.seed, only=~np.isnan(margins))
    )
    measures = [m for group in groups for m in _measures(chosen, margins, group)]
    whole = groups[0]
    one = np.ones(len(trials))
    per_unit = {
        "insilico_accuracy": per_unit_share(chosen, one, trials),
        "margin": per_unit_share(margins, one, trials),
        "ii": per_unit_share(inputs.similarities.among, one, trials),
    }
    resampled = share_resampled(chosen, one, whole.unit, whole.counts)
    return TrialScores(tuple(measures), margins, (), per_unit, resampled)


def _measures(chosen: DoubleArray, margins: DoubleArray, group: Drawn) -> list[Measure]:
    import numpy as np

    from iibench.statistics.resampling import share, share_resampled

    one = np.ones(len(chosen))
    found = []
    for name, values in (("insilico_accuracy", chosen), ("mean_margin", margins)):
        inside = np.where(group.cell.stimuli, values, np.nan)
        resampled = share_resampled(inside, one, group.unit, group.counts)
        measure = group.measure(name, share(inside, one), resampled, "no stimulus has images")
        found.append(measure)
    return found


@hookimpl
def iibench_register_evaluations() -> Iterable[EvaluationBase]:
    """Registers `insilico_trials`."""
    yield TrialEvaluationSpec(
        name="insilico_trials",
        summary=SUMMARY,
        definition=(
            "On trials that come with their images: the observer's margin is its evidence for the "
            "query that strongly activates the unit minus that for the other one (observer "
            "`two_sided` by default, `eq2` or `mis`), evidence being similarities to the "
            "references under the metric. insilico_accuracy = the share of trials with a margin "
            "above 0, a tie counting one half: 0.5 is chance, 1 the best. Intervals resample "
            "units."
        ),
        params=Params,
        unlabelled=("by", "resamples"),
        headline=("observer",),
        judge=judge,
        headline_measure="insilico_accuracy",
        measures={
            "insilico_accuracy": INSILICO_ACCURACY,
            "mean_margin": MeasureInfo(
                title="Mean margin",
                text="Mean of the observer's margin: the evidence for the right query minus that for "
                "the other, in units of the metric's similarity.",
                free=True,
            ),
        },
        unit_numbers=UNIT_NUMBERS,
        sentence=lambda params: about(SUMMARY, params),
        chance=0.5,
        unit="share of trials answered correctly",
        citation="Identifying Interpretable Features in Convolutional Neural Networks, Sec. 2.3",
        bibtex=KLINDT2023,
    )
