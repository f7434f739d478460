"""Agreement of an in-silico observer with people who did the same trials (Sec. 3.1, Fig. 2; App. E).

For each trial the images that people saw go to the observer. The label of an answer is whether the
person was right, its score the observer's margin; all answers are pooled, and answers to one stimulus
share its score. The ROC curve's area (AUC) asks whether margins are larger on trials that people got
right. It says nothing about how often observer and person choose alike, which stands beside it with
its baseline, an observer that is always right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from iibench import CaseError, MeasureInfo, TrialEvaluationSpec, TrialScores, hookimpl

from .._shared.bibliography import KLINDT2023, ZIMMERMANN2023, entries
from ._people.answers import ObserverParams, margins_of, mis, mis_margins
from ._people.measures import (
    NO_ANSWERS,
    ONE_CLASS,
    Drawn,
    auc_ceilings,
    groups_of,
    human_accuracy,
    of_ceiling,
    per_unit_share,
    roc_curve,
)
from ._people.units import accuracy_of_units, judged, unit_measures
from ._people.words import (
    AUC_CEILINGS,
    BEST,
    HUMAN_ACCURACY,
    INSILICO_ACCURACY,
    RELIABILITY,
    UNIT_NUMBERS,
    about,
)

if TYPE_CHECKING:
    from iibench import (
        DoubleArray,
        EvaluationBase,
        Measure,
        Stimuli,
        TrialInputs,
        TrialSimilarities,
    )

SUMMARY = "Agreement with human psychophysics: AUC of an observer's margins against whether people were right"
BY = (
    "model",
    "condition",
    "difficulty",
    "confidence",
    "model+layers",
    "model+confidence",
    "model+layers+confidence",
)


#: how the page shows what `judge` measures
MEASURES = {
    "auc": MeasureInfo(
        title="AUC",
        text="Area under the ROC curve: the chance that an answer that is right has a larger margin "
        "than one that is wrong, equal margins counting one half; all answers are pooled, and answers "
        "to one stimulus share its margin (Sec. 3.1, Fig. 2). 0.5 is chance. It asks whether margins "
        "are larger where people are right, not whether observer and people choose alike.",
        against="human_accuracy",
        first=BEST,
    ),
    **AUC_CEILINGS,
    "human_accuracy": HUMAN_ACCURACY,
    "insilico_accuracy": INSILICO_ACCURACY,
    "agreement": MeasureInfo(
        title="Agreement",
        text="Share of people's answers that choose as the observer does, a tie of the observer one "
        "half. It means little alone: an observer that is always right reaches the human accuracy, and "
        "the difference to that stands beside it.",
        beside="always_right",
        short="agrees",
        first=BEST,
        sentence="It chooses as people do in {value} of their answers; always being right would in "
        "{other} ({difference}).",
    ),
    "always_right": MeasureInfo(
        title="Always right",
        text="Agreement of an observer that always chooses the right query.",
        people=True,
        short="always right",
    ),
    "log_likelihood": MeasureInfo(
        title="Log-likelihood",
        text="Mean log-probability of an answer, in nats, where P(right) = sigmoid(k × margin) and k "
        "is fitted on other units (held out). Chance is ln ½ = −0.693; the difference to a constant "
        "rate stands beside it.",
        beside="log_likelihood_constant",
        free=True,
    ),
    "log_likelihood_constant": MeasureInfo(
        title="Log-likelihood of a constant rate",
        text="The same where every answer has the share of right answers among the other units as its "
        "probability.",
        people=True,
        free=True,
        short="a constant rate",
    ),
    "scale": MeasureInfo(
        title="Scale k",
        text="Median over the folds of the scale that turns margins into probabilities; margins of two "
        "metrics differ in scale.",
        free=True,
    ),
    **RELIABILITY,
}


@dataclass(frozen=True)
class Params(ObserverParams):
    """The observer, the groups of answers, and the intervals."""

    by: tuple[str, ...] = field(
        default=BY,
        metadata={"help": "groups of answers: attributes of the trials, several joined by +"},
    )
    calibrate: bool = field(
        default=True,
        metadata={"help": "fit one scale of the margins on other units and report log-likelihood"},
    )
    resamples: Annotated[int, Ge(2)] = field(
        default=2000, metadata={"help": "cluster bootstrap resamples of units"}
    )


def judge(params: Params, inputs: TrialInputs) -> TrialScores:
    """AUC and what belongs beside it, for all answers and for every group of them."""
    import numpy as np

    if inputs.similarities is None:
        raise CaseError("human looks at images, and was given no metric")
    trials = inputs.trials
    if not trials.has_truth:
        raise CaseError("these trials have no right answer; expected the evaluation triplets")
    found = inputs.similarities
    margins = margins_of(params, found)
    groups = list(
        groups_of(trials, params.by, BY, params.resamples, inputs.seed, only=~np.isnan(margins))
    )
    values = _of_stimuli(params, found, margins)
    measures: list[Measure] = []
    for group in groups:
        measures += _measures(trials, margins, group)
        measures += unit_measures(trials, group, values, inputs.seed)
    curves = tuple(
        curve
        for cell in (group.cell for group in groups)
        for curve in roc_curve(margins, cell.first, cell.second, cell.group)
    )
    whole = groups[0]
    if params.calibrate:
        measures += _calibration(trials, margins, whole, inputs.seed)
    rows, note = judged(trials, whole.cell.stimuli)
    per_unit = {
        "human_accuracy": accuracy_of_units(trials, whole, rows),
        "margin": per_unit_share(margins, rows, trials),
        **{name: per_unit_share(of, rows, trials) for name, of in values.items()},
    }
    notes = [] if note is None else [note]
    lost = len(trials) - int(whole.cell.stimuli.sum())
    if lost:
        unseen = int(trials.answers.count.sum()) - whole.cell.answers
        notes.append(
            f"{lost} of {len(trials)} stimuli have no images and no margin; the {unseen} answers to "
            "them count nowhere here"
        )
    resampled = _resampled_auc(margins, whole)
    return TrialScores(tuple(measures), margins, curves, per_unit, resampled, tuple(notes))


def _of_stimuli(
    params: Params, found: TrialSimilarities, margins: DoubleArray
) -> dict[str, DoubleArray]:
    """What the metric says of each stimulus (S,): II, whether the observer is right, MIS."""
    from iibench.statistics.observers import correct

    values = {"ii": found.among, "insilico_accuracy": correct(margins)}
    if found.opposite.shape[2]:
        values["mis"] = mis(mis_margins(found), params.mis_scale)
    return values


def _resampled_auc(margins: DoubleArray, group: Drawn) -> DoubleArray:
    from iibench.statistics.agreement import auc_resampled

    cell = group.cell
    return auc_resampled(margins, cell.first, cell.second, group.unit, group.counts)


def _measures(trials: Stimuli, margins: DoubleArray, group: Drawn) -> Iterator[Measure]:
    """The numbers of one group of answers."""
    import numpy as np

    from iibench.statistics.agreement import agreeing, always_first, auc
    from iibench.statistics.observers import correct
    from iibench.statistics.resampling import share, share_resampled

    cell = group.cell
    total = cell.first + cell.second
    no_auc = ONE_CLASS if cell.answers else NO_ANSWERS
    area = group.measure(
        "auc", auc(margins, cell.first, cell.second), _resampled_auc(margins, group), no_auc
    )
    ceiling, others = auc_ceilings(trials, group)
    yield area
    yield ceiling
    yield of_ceiling("auc_of_ceiling", area, ceiling, 0.5)
    yield others
    yield human_accuracy(group)
    chosen = np.where(cell.stimuli, correct(margins), np.nan)
    one = np.ones(len(chosen))
    yield group.measure(
        "insilico_accuracy",
        share(chosen, one),
        share_resampled(chosen, one, group.unit, group.counts),
        "no stimulus has images",
    )
    alike = agreeing(margins, cell.first, cell.second)
    yield group.measure(
        "agreement",
        share(alike, total),
        share_resampled(alike, total, group.unit, group.counts),
        NO_ANSWERS,
    )
    yield group.measure("always_right", always_first(cell.first, cell.second), None, NO_ANSWERS)


def _calibration(
    trials: Stimuli, margins: DoubleArray, whole: Drawn, seed: int
) -> Iterator[Measure]:
    """Held-out log-likelihood per answer in nats, and that of a constant rate."""
    import numpy as np

    from iibench.statistics.calibration import held_out_log_likelihood
    from iibench.statistics.resampling import share_resampled

    cell = whole.cell
    held = held_out_log_likelihood(margins, cell.first, cell.second, trials.unit, seed=seed)
    total = cell.first + cell.second
    why = NO_ANSWERS if not cell.answers else "there are fewer than two units to hold out"
    for name, value, sums in (
        ("log_likelihood", held.mean, held.log_likelihood),
        ("log_likelihood_constant", held.constant_mean, held.constant),
    ):
        each = sums / np.maximum(total, 1)
        resampled = share_resampled(each, total, whole.unit, whole.counts)
        yield whole.measure(name, value, resampled, why)
    scales = np.array([scale.k for scale in held.scales])
    median = float(np.median(scales)) if len(scales) else np.nan
    yield whole.measure("scale", median, None, why)


@hookimpl
def iibench_register_evaluations() -> Iterable[EvaluationBase]:
    """Registers `human`."""
    yield TrialEvaluationSpec(
        name="human",
        summary=SUMMARY,
        definition=(
            "The images of each trial that people saw go to an observer who knows only the "
            "metric; its margin is its evidence for the right query minus that for the wrong one. "
            "All answers are pooled, an answer's score is its trial's margin, its label whether "
            "the person was right. AUC = the chance that an answer that was right has a larger "
            "margin than one that was wrong, ties counting one half: 0.5 is chance, larger means "
            "that the metric finds the same trials hard as people do. It is no share of "
            "agreement, which stands beside it. Intervals resample units."
        ),
        params=Params,
        unlabelled=("by", "resamples"),
        headline=("observer",),
        judge=judge,
        headline_measure="auc",
        measures=MEASURES,
        unit_numbers=UNIT_NUMBERS,
        sentence=lambda params: about(SUMMARY, params),
        chance=0.5,
        unit="area under the ROC curve",
        citation="Identifying Interpretable Features in Convolutional Neural Networks, Sec. 3.1; "
        "Zimmermann et al. 2023",
        bibtex=entries(KLINDT2023, ZIMMERMANN2023),
    )
