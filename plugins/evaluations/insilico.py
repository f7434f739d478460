"""In-silico psychophysics: can an observer tell which query activates the direction? (Sec. 2.3, 3.3)"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Interval

from iibench import EvaluationSpec, UnitScores, UnitTrials, hookimpl

from .._shared.bibliography import KLINDT2023

if TYPE_CHECKING:
    from iibench import EvaluationInputs


OBSERVERS = {
    "eq2": "the observer picks the query whose distance to the nearest of the strongly activating "
    "references is smaller (Eq. 2)",
    "two_sided": "the observer weighs the similarity of both queries to the strongly and to the "
    "weakly activating references, as in the paper's released code",
}


@dataclass(frozen=True)
class Params:
    """Parameters of the task and of the observer."""

    difficulty: Annotated[float, Interval(ge=0, lt=0.5)] = field(
        default=0.0,
        metadata={"help": "images between the d and 1 - d quantiles of a direction's responses"},
    )
    observer: Literal["eq2", "two_sided"] = field(
        default="eq2",
        metadata={
            "help": "eq2: the query nearest to one of the strongly activating references (Eq. 2); "
            "two_sided: evidence from both sets of references, as the released code"
        },
    )
    trials: Annotated[int, Ge(1)] = field(default=20, metadata={"help": "trials per direction"})
    references: Annotated[int, Ge(1)] = field(
        default=9, metadata={"help": "references on each side of a trial"}
    )
    pool: Literal["mean", "max"] = field(
        default="mean", metadata={"help": "two_sided: how similarities to references are pooled"}
    )
    zscore: bool = field(
        default=False, metadata={"help": "two_sided: similarities are z-scored within each trial"}
    )


def evaluate(params: Params, inputs: EvaluationInputs) -> UnitScores:
    """Accuracy of every direction: trials answered correctly / trials, a tie counts one half (Eq. 3).

    A direction is not scored where a trial's strong query does not activate it more than the weak one
    (sparse directions that respond to too few images): there is no right answer.
    """
    import numpy as np

    from iibench.compute.exemplars import make_trials
    from iibench.compute.ranking import ShuffledOrder, responses_to
    from iibench.statistics.observers import correct, evidence_eq2, evidence_two_sided

    order = ShuffledOrder(inputs.responses, inputs.order, inputs.seed)
    trials = make_trials(order, params.difficulty, params.trials, params.references, inputs.seed)
    k, t = trials.strong.shape
    to_both = [responses_to(inputs.responses, query) for query in (trials.strong, trials.weak)]
    unanswerable = (to_both[0] <= to_both[1]).sum(axis=1)

    scored = np.flatnonzero(unanswerable == 0)
    values = np.full(k, np.nan)
    evidence = np.full((k, t, 2), np.nan)
    seen = trials.weak_references if params.observer == "two_sided" else np.zeros((k, t, 0), int)
    if scored.size:
        queries = np.stack([trials.strong[scored], trials.weak[scored]], axis=2).reshape(-1, 2)
        strong = trials.strong_references[scored].reshape(len(queries), -1)
        if params.observer == "eq2":
            found = evidence_eq2(inputs.similarity.cross(queries, strong))
        else:
            weak = trials.weak_references[scored].reshape(len(queries), -1)
            both = inputs.similarity.cross(queries, np.concatenate([strong, weak], axis=1))
            to_strong, to_weak = np.split(both, 2, axis=2)
            found = evidence_two_sided(to_strong, to_weak, params.pool, params.zscore)
        evidence[scored] = found.reshape(-1, t, 2)
        values[scored] = correct(found[:, 0] - found[:, 1]).reshape(-1, t).mean(axis=1)
    reasons = tuple(
        f"no right answer in {u} of {t} trials: both queries have the same response" if u else None
        for u in unanswerable
    )
    shown = UnitTrials(trials.strong, trials.weak, trials.strong_references, seen, evidence)
    return UnitScores(values, reasons, trials=t, unit_trials=shown)


def sentence(params: Params) -> str:
    """For the page."""
    return (
        "Accuracy of a simulated observer in a two-alternative task, over "
        f"{params.trials} trials per unit with {params.references} references on a side: "
        f"{OBSERVERS[params.observer]}. A tie counts one half, chance is 0.5. Difficulty d takes "
        "queries and references only from images between the d and 1 − d quantiles of the unit's "
        "responses. Every metric sees the same trials."
    )


@hookimpl
def iibench_register_evaluations() -> Iterable[EvaluationSpec]:
    """Registers `insilico`."""
    yield EvaluationSpec(
        name="insilico",
        summary="In-silico psychophysics accuracy: a similarity metric answers the 2AFC trials",
        definition=(
            "A trial of a direction shows references that activate it strongly (and weakly) and "
            "two queries, one from either side, out of the images between the d and 1 - d "
            "quantiles of its responses (d = `difficulty`): on each side the T most extreme "
            "images are the queries, the next F T the references. The observer `eq2` chooses the "
            "query with the larger similarity to its most similar strong reference; `two_sided` "
            "adds to that evidence the other query's similarity to the weak references, pooled "
            "over each side. Score = trials in which the strongly activating query is chosen / "
            "trials, a tie counting one half: 0.5 is chance, 1 the best. Not scored where a "
            "trial's two queries have the same response."
        ),
        params=Params,
        headline=("difficulty", "observer"),
        evaluate=evaluate,
        blockwise=True,
        chance=0.5,
        unit="share of trials answered correctly",
        plot="line",
        plot_over="difficulty",
        sentence=sentence,
        images=lambda params, n: int(
            params.trials * (2 + params.references * (1 if params.observer == "eq2" else 2))
        ),
        citation="Identifying Interpretable Features in Convolutional Neural Networks, Sec. 2.3",
        bibtex=KLINDT2023,
    )
