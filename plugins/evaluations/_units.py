"""Agreement unit by unit: which numbers of a unit follow how well people did on it?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from iibench.records import Measure

from ._measured import NO_ANSWERS, Drawn, group_resamples, of_ceiling

if TYPE_CHECKING:
    from iibench.specs import DoubleArray
    from iibench.trials import Trials

TOO_FEW = "fewer than three units differ in it and in human accuracy"
#: Attribute -> the value on which units are scored, where the trials have it.
MAIN = {"condition": "natural", "difficulty": "easy"}


def judged_rows(trials: Trials) -> tuple[DoubleArray, str | None]:
    """(1.0 for the stimuli on which units are scored (S,), a note where those are not all).

    A unit's human accuracy is that of its ordinary natural trials: harder queries and synthetic
    references are other tasks about the same unit.
    """
    import numpy as np

    rows = np.ones(len(trials))
    used = []
    for column, value in MAIN.items():
        chosen = trials.columns.get(column)
        if chosen is not None and (chosen == value).any() and (chosen != value).any():
            rows = rows * (chosen == value)
            used.append(f"{column} {value}")
    if not used or not rows.any():
        return np.ones(len(trials)), None
    return rows, f"units are scored on their trials of {' and '.join(used)} alone"


def unit_measures(
    trials: Trials,
    rows: DoubleArray,
    per_unit: Mapping[str, DoubleArray],
    whole: Drawn,
    seed: int,
) -> Iterator[Measure]:
    """Correlations over units with human accuracy, and how large they can be."""
    from iibench.resampling import correlations, pearson_resampled, spearman_resampled

    counts = whole.counts[: group_resamples(len(whole.counts))]
    reached = list(reliability(trials, rows, whole, seed))
    yield from reached
    ceiling = reached[1]
    accuracy = per_unit["human_accuracy"]
    for name in ("ii", "insilico_accuracy", "mis"):
        if name not in per_unit:
            continue
        values = per_unit[name]
        found = zip(
            ("pearson", "spearman"),
            correlations(values, accuracy),
            (pearson_resampled, spearman_resampled),
            strict=True,
        )
        for kind, value, resample in found:
            resampled = None if math.isnan(value) else resample(values, accuracy, counts)
            measure = whole.measure(f"{kind}_{name}", value, resampled, TOO_FEW)
            yield measure
            if kind == "pearson":
                yield of_ceiling(f"pearson_{name}_of_ceiling", measure, ceiling, 0.0)


def reliability(trials: Trials, rows: DoubleArray, whole: Drawn, seed: int) -> Iterator[Measure]:
    """`reliability` (split-half, Spearman-Brown) and `correlation_ceiling`, its square root."""
    from iibench.reliability import split_half

    counts = whole.counts[: group_resamples(len(whole.counts))]
    answers = trials.answers.chosen(rows[trials.answers.stimulus] > 0)
    found = split_half(answers, trials.unit, counts, fixed_stimuli=True, seed=seed)
    why = "fewer than three units have answers that differ" if len(answers.count) else NO_ANSWERS
    base = Measure(
        "reliability",
        found.value,
        {},
        found.low,
        found.high,
        n=int(answers.count.sum()),
        stimuli=int(rows.sum()),
        units=found.units,
        reason=None if found.value is not None else why,
    )
    yield base
    yield replace(
        base,
        name="correlation_ceiling",
        value=found.ceiling,
        low=found.ceiling_low,
        high=found.ceiling_high,
    )
