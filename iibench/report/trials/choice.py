"""Which trials the page of a run on trials shows: agreement and disagreement of people and observer.

Notation: S stimuli, `first` and `second` (S,) people who chose query 0 and query 1, `margins` (S,) and
`unit` (S,) the unit of each stimulus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.report.trials.units import extremes
from iibench.results.trial_tables import votes

if TYPE_CHECKING:
    from iibench.contract.arrays import BoolArray, DoubleArray, IntArray
    from iibench.contract.reports import TrialReport
    from iibench.contract.trials import Stimuli

#: Stimuli shown of each kind; similarity judgements show three images each, not twenty.
EACH, EACH_JUDGED = 2, 4
OF_UNITS = "Units on which people and the metric disagree most"
#: Attribute -> value of the ordinary trials of a unit, on which units are compared.
ORDINARY = {"condition": "natural", "difficulty": "easy"}
EASIER = "People find this unit easy, compared with others; the metric does not."
HARDER = "The metric finds this unit easy, compared with others; people do not."


@dataclass(frozen=True)
class Chosen:
    """A stimulus to show, and why."""

    kind: str
    stimulus: int
    note: str = ""


def choose(
    margins: DoubleArray, first: IntArray, second: IntArray, has_truth: bool = True
) -> list[Chosen]:
    """Some stimuli of each kind, the clearest first.

    Kinds without any are left out. `has_truth`: query 0 is the right answer. Where there are no answers:
    the trials with the largest and the smallest margins. Stimuli with a NaN margin are never chosen.
    """
    lead = (first - second) / np.maximum(first + second, 1)
    if not (first + second).any():
        kinds = {"The observer is right": margins > 0, "The observer is wrong": margins <= 0}
        strength, each = np.abs(margins), EACH
    elif has_truth:
        kinds = {
            "Most people and the observer are right": (lead > 0) & (margins > 0),
            "Most people are right, the observer is wrong": (lead > 0) & (margins < 0),
            "The observer is right, most people are wrong": (lead < 0) & (margins > 0),
            "Most people and the observer are wrong": (lead < 0) & (margins < 0),
        }
        strength, each = np.abs(margins) * np.abs(lead), EACH
    else:
        kinds = {
            "The metric sides with most people": lead * margins > 0,
            "The metric sides against most people": lead * margins < 0,
        }
        strength, each = np.abs(margins) * np.abs(lead), EACH_JUDGED
    return [
        Chosen(kind, stimulus)
        for kind, mask in kinds.items()
        for stimulus in _largest(strength, mask, each)
    ]


def choose_of_units(
    report: TrialReport,
    unit: IntArray,
    margins: DoubleArray,
    first: IntArray,
    second: IntArray,
    columns: Mapping[str, Any],
) -> list[Chosen]:
    """An ordinary stimulus of each of the two units on which people and the metric disagree most.

    `columns`: attributes (S,) of the stimuli. Of the unit that people find easier it is the stimulus that
    the metric is least sure of, of the other the one that most people got wrong.
    """
    found = extremes(report)
    if found is None:
        return []
    easier, harder = found
    asked = (first + second > 0) & ~np.isnan(margins)
    for name, value in ORDINARY.items():
        if name in columns and (np.asarray(columns[name]) == value).any():
            asked &= np.asarray(columns[name]) == value
    wrong = second / np.maximum(first + second, 1)
    return [
        Chosen(OF_UNITS, stimulus, note)
        for note, number, strength in ((EASIER, easier, -margins), (HARDER, harder, wrong))
        for stimulus in _largest(strength, (unit == number) & asked, 1)
    ]


def _largest(strength: DoubleArray, mask: BoolArray, n: int) -> list[int]:
    """At most `n` stimuli of the mask, the strongest first, earlier ones first where equal."""
    known = np.flatnonzero(mask & ~np.isnan(strength))
    order = known[np.argsort(-strength[known], kind="stable")]
    return [int(stimulus) for stimulus in order[:n]]


def main_report(reports: Sequence[TrialReport]) -> TrialReport | None:
    """The case whose trials are shown: the best whole metric of the first evaluation with margins."""
    scored = [report for report in reports if report.scored and report.margins]
    if not scored:
        return None
    evaluation = scored[0].evaluation.label
    fitting = [report for report in scored if report.evaluation.label == evaluation]
    whole = [r for r in fitting if r.metric is None or r.metric.part is None] or fitting
    return max(whole, key=lambda r: r.summary.mean if r.summary and r.summary.mean else -np.inf)


def margins_of(report: TrialReport) -> DoubleArray:
    """(S,) the report's margins, NaN where there is none."""
    return np.array([np.nan if m is None else m for m in report.margins], np.float64)


def images_of_trials(reports: Sequence[TrialReport], trials: Stimuli) -> list[int]:
    """Sorted indices of the images that the page shows."""
    report = main_report(reports)
    if report is None:
        return []
    margins = margins_of(report)
    first, second = votes(trials)
    shown: set[int] = set()
    for chosen in (
        *choose(margins, first, second, trials.has_truth),
        *choose_of_units(report, trials.unit, margins, first, second, trials.columns),
    ):
        for images in (trials.queries, trials.references, trials.opposite):
            shown.update(int(i) for i in images[chosen.stimulus])
    return sorted(shown)
