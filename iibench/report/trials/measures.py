"""What the page knows of measures by their names: headings, meanings, and what to read them beside.

Measures of other evaluations are shown by their names.
"""

from __future__ import annotations

from dataclasses import dataclass

#: What the per-unit correlations are about: name -> (heading, what it is).
UNIT_NUMBERS = {
    "ii": (
        "Interpretability Index",
        "how alike the positive references of the unit's stimuli are: mean over all ordered pairs, "
        "self-pairs included (Eq. 1 with M the number of references)",
    ),
    "insilico_accuracy": (
        "In-silico accuracy",
        "share of the unit's stimuli in which the observer chooses the right query",
    ),
    "mis": (
        "Machine Interpretability Score",
        "mean over the unit's stimuli of sigmoid(scale × margin), the margin from mean similarities to "
        "both sets of references (Klindt et al. 2024); without a scale the share of margins above 0",
    ),
}
SHARE = "_of_ceiling"
KINDS = {"pearson": "Pearson's r", "spearman": "Spearman's ρ"}


@dataclass(frozen=True)
class Known:
    """A measure: its heading, what it is, and how it is read.

    `people`: it is about people alone and the same for every metric. `beside`: the measure that it means
    little without. `free`: it is no share or area, so that its size says how many decimals it needs.
    `short`: a name for it beside another measure.
    """

    title: str
    text: str
    people: bool = False
    beside: str | None = None
    free: bool = False
    short: str = ""


KNOWN = {
    "auc": Known(
        "AUC",
        "Area under the ROC curve: the chance that an answer that is right has a larger margin than one "
        "that is wrong, equal margins counting one half; all answers are pooled, and answers to one "
        "stimulus share its margin (Sec. 3.1, Fig. 2). 0.5 is chance. It asks whether margins are larger "
        "where people are right, not whether observer and people choose alike.",
    ),
    "auc_ceiling": Known(
        "Ceiling of the AUC",
        "The AUC of an ideal score that knows each stimulus' probability p of a right answer: "
        "½ + E|p − p′| / (4 m (1 − m)), m = E p, from a beta-binomial fit of the answers. People who saw "
        "the same images differ, so no score of images can be expected to exceed it.",
        people=True,
    ),
    "auc_ceiling_others": Known(
        "AUC of other people",
        "Each answer is scored by the share of the other answers to its stimulus that are right: what a "
        "few other people predict, and a lower bound of the ceiling, the lower the fewer they are. "
        "Stimuli with one answer are left out.",
        people=True,
    ),
    "human_accuracy": Known(
        "Human accuracy",
        "Share of people's answers that choose the right query (query 0).",
        people=True,
    ),
    "insilico_accuracy": Known(
        "In-silico accuracy",
        "Share of the stimuli in which the observer chooses the right query, a tie one half.",
    ),
    "agreement": Known(
        "Agreement",
        "Share of people's answers that choose as the observer does, a tie of the observer one half. It "
        "means little alone: an observer that is always right reaches the human accuracy, and the "
        "difference to that stands beside it.",
        beside="always_right",
    ),
    "always_right": Known(
        "Always right",
        "Agreement of an observer that always chooses the right query.",
        people=True,
        short="always right",
    ),
    "log_likelihood": Known(
        "Log-likelihood",
        "Mean log-probability of an answer, in nats, where P(right) = sigmoid(k × margin) and k is fitted "
        "on other units (held out). Chance is ln ½ = −0.693; the difference to a constant rate stands "
        "beside it.",
        beside="log_likelihood_constant",
        free=True,
    ),
    "log_likelihood_constant": Known(
        "Log-likelihood of a constant rate",
        "The same where every answer has the share of right answers among the other units as its "
        "probability.",
        people=True,
        free=True,
        short="a constant rate",
    ),
    "scale": Known(
        "Scale k",
        "Median over the folds of the scale that turns margins into probabilities; margins of two "
        "metrics differ in scale.",
        free=True,
    ),
    "mean_margin": Known(
        "Mean margin",
        "Mean of the observer's margin: the evidence for the right query minus that for the other, in "
        "units of the metric's similarity.",
        free=True,
    ),
    "answers": Known("Answers", "How many answers there are.", people=True, free=True),
    "reliability": Known(
        "Reliability of units",
        "Correlation over units between the human accuracies of two halves of the answers, averaged over "
        "random halves, as that of all answers together (Spearman-Brown: 2 r / (1 + r)).",
        people=True,
    ),
    "correlation_ceiling": Known(
        "Ceiling of correlations",
        "Square root of the reliability: the highest correlation with people's per-unit accuracy that a "
        "score without noise can be expected to reach.",
        people=True,
    ),
    "vote_agreement": Known(
        "Agreement with votes",
        "Share of all votes that the metric sides with: it chooses the candidate that is more similar to "
        "the reference (Eq. 2 with one reference); a tie counts one half.",
    ),
    "vote_ceiling": Known(
        "Ceiling of votes",
        "Share of the votes on the majority's side: no metric can side with more, because people differ.",
        people=True,
    ),
    "majority_agreement": Known(
        "Agreement with majorities",
        "Share of the stimuli with a majority on which the metric sides with it. It leaves out stimuli on "
        "which people are divided, and so flatters.",
    ),
    "vote_ceiling_of_majorities": Known(
        "Ceiling of votes, stimuli with a majority",
        "Share of the votes on the majority's side, over the stimuli that have one.",
        people=True,
    ),
}
#: With no right answer, votes for either candidate count alike.
JUDGED = {
    "auc": Known(
        "AUC",
        "Area under the ROC curve of votes for a candidate against the margin in its favour, each "
        "stimulus counted as it stands and with its candidates exchanged: which comes first is arbitrary.",
    ),
    "human_accuracy": Known(
        "Votes for the first",
        "Share of people's votes for the first candidate, which may be the one that most people chose: "
        "these stimuli have no right answer.",
        people=True,
    ),
}
CEILINGS = {"auc": "auc_ceiling", "vote_agreement": "vote_ceiling"}
#: Headline measures that say how a metric agrees with people.
OF_PEOPLE = frozenset({"auc", "vote_agreement", "agreement", "majority_agreement"})


def known(name: str, has_truth: bool = True) -> Known | None:
    """What is known of a measure; None for one of an evaluation that the page has not met."""
    if not has_truth and name in JUDGED:
        return JUDGED[name]
    return KNOWN.get(name)


def title(name: str, has_truth: bool = True) -> str:
    """The heading of a measure: its name, where the page does not know it."""
    found = known(name, has_truth)
    if found is not None:
        return found.title
    if name.endswith(SHARE):
        return f"{title(name.removesuffix(SHARE), has_truth)}, share of ceiling"
    kind, number = correlation(name) or ("", "")
    return f"{UNIT_NUMBERS[number][0]}: {KINDS[kind]}" if number in UNIT_NUMBERS else name


def ceiling_of(name: str) -> str:
    """The measure that bounds another."""
    return CEILINGS.get(name, f"{name}_ceiling")


def correlation(name: str) -> tuple[str, str] | None:
    """(`pearson` or `spearman`, what of a unit it is about) of a correlation over units."""
    kind, _, number = name.partition("_")
    return (kind, number) if kind in KINDS and number and not number.endswith(SHARE) else None
