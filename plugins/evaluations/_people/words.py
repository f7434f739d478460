"""How the page shows what evaluations of people's answers measure, and describes their observers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iibench import MeasureInfo

if TYPE_CHECKING:
    from .answers import ObserverParams

BEST = "agrees best with people"
OBSERVERS = {
    "eq2": "the observer chooses the query that is more similar to the most similar positive reference "
    "(Eq. 2)",
    "two_sided": "the observer weighs the similarity of both queries to the positive and to the opposite "
    "references ({pool} over a set, weight {weight} for the positive one), as in the paper's released "
    "code",
    "mis": "the observer takes the mean similarities of both queries to both sets of references, as the "
    "Machine Interpretability Score does",
}
POOLS = {"max": "the most similar", "mean": "the mean"}

HUMAN_ACCURACY = MeasureInfo(
    title="Human accuracy",
    text="Share of people's answers that choose the right query (query 0).",
    people=True,
)
INSILICO_ACCURACY = MeasureInfo(
    title="In-silico accuracy",
    text="Share of the stimuli in which the observer chooses the right query, a tie one half.",
    short="in silico",
    against="human_accuracy",
    sentence="It is right on {value} of the stimuli, people in {other} of their answers.",
)
#: The area under the ROC curve is bounded by what people predict of each other.
AUC_CEILINGS = {
    "auc_ceiling": MeasureInfo(
        title="Ceiling of the AUC",
        text="The AUC of an ideal score that knows each stimulus' probability p of a right answer: "
        "½ + E|p − p′| / (4 m (1 − m)), m = E p, from a beta-binomial fit of the answers. People who "
        "saw the same images differ, so no score of images can be expected to exceed it.",
        people=True,
    ),
    "auc_ceiling_others": MeasureInfo(
        title="AUC of other people",
        text="Each answer is scored by the share of the other answers to its stimulus that are right: "
        "what a few other people predict, and a lower bound of the ceiling, the lower the fewer they "
        "are. Stimuli with one answer are left out.",
        people=True,
    ),
}
#: How well people's answers to half of the trials predict the others, unit by unit.
RELIABILITY = {
    "reliability": MeasureInfo(
        title="Reliability of units",
        text="Correlation over units between the human accuracies of two halves of the answers, "
        "averaged over random halves, as that of all answers together (Spearman-Brown: "
        "2 r / (1 + r)).",
        people=True,
    ),
    "correlation_ceiling": MeasureInfo(
        title="Ceiling of correlations",
        text="Square root of the reliability: the highest correlation with people's per-unit accuracy "
        "that a score without noise can be expected to reach.",
        people=True,
    ),
}
#: What a metric says of a unit.
UNIT_NUMBERS = {
    "ii": MeasureInfo(
        title="Interpretability Index",
        text="How alike the positive references of the unit's stimuli are: mean over all ordered pairs, "
        "self-pairs included (Eq. 1 with M the number of references).",
        short="II",
        against="correlation_ceiling",
    ),
    "insilico_accuracy": MeasureInfo(
        title=INSILICO_ACCURACY.title,
        text="Share of the unit's stimuli in which the observer chooses the right query.",
        against="correlation_ceiling",
    ),
    "mis": MeasureInfo(
        title="Machine Interpretability Score",
        text="Mean over the unit's stimuli of sigmoid(scale × margin), the margin from mean "
        "similarities to both sets of references (Klindt et al. 2024); without a scale the share of "
        "margins above 0.",
        against="correlation_ceiling",
    ),
}


def about(summary: str, params: ObserverParams) -> str:
    """What is measured, and by which observer."""
    words = OBSERVERS[params.observer].format(pool=POOLS[params.pool], weight=params.weight)
    text = f"{summary}. {words[:1].upper()}{words[1:]}. "
    if params.zscore:
        text += "Similarities are z-scored within each trial. "
    return text + "Its margin is the evidence for the right query minus that for the other."
