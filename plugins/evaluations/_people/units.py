"""Agreement unit by unit: which numbers of a unit follow how well people did on it?

Of every group of answers; a unit's numbers are those of its stimuli in the group.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from iibench import Measure

from .measures import GROUP_RESAMPLES, NO_ANSWERS, Drawn, of_ceiling, once_per_group, per_unit_share

if TYPE_CHECKING:
    from iibench import BoolArray, DoubleArray, Stimuli

TOO_FEW = "fewer than three units differ in it and in human accuracy"
#: Attribute -> the value on which units are scored, where a group has stimuli of it and others.
MAIN = {"condition": "natural", "difficulty": "easy"}


def judged(trials: Stimuli, stimuli: BoolArray) -> tuple[DoubleArray, str | None]:
    """(1.0 for those of `stimuli` (S,) on which units are scored, a note where those are not all).

    A unit's human accuracy is that of its ordinary natural trials: harder queries and synthetic
    references are other tasks about the same unit. A group that has only such trials is scored on them.
    """
    rows = stimuli.copy()
    used = []
    for column, value in MAIN.items():
        chosen = trials.columns.get(column)
        if chosen is None:
            continue
        main = rows & (chosen == value)
        if main.any() and main.sum() < rows.sum():
            rows = main
            used.append(f"{column} {value}")
    note = f"units are scored on their trials of {' and '.join(used)} alone" if used else None
    return rows.astype(float), note


def accuracy_of_units(trials: Stimuli, group: Drawn, rows: DoubleArray) -> DoubleArray:
    """(U,) human accuracy (HIS): share of right answers of the group to each unit's stimuli in `rows`."""
    import numpy as np

    total = group.cell.first + group.cell.second
    rate = np.where(total > 0, group.cell.first / np.maximum(total, 1), np.nan)
    return per_unit_share(rate, total * rows, trials)


def unit_measures(
    trials: Stimuli, group: Drawn, values: Mapping[str, DoubleArray], seed: int
) -> Iterator[Measure]:
    """Correlations over units with human accuracy, and how large they can be.

    `values`: name -> (S,) numbers of the stimuli, whose mean over a unit's stimuli is correlated.
    """
    from iibench.statistics.resampling import correlations, pearson_resampled, spearman_resampled

    rows, _ = judged(trials, group.cell.stimuli)
    counts = group.counts[:GROUP_RESAMPLES]
    reached = reliability(trials, group, seed)
    yield from reached
    ceiling = reached[1]
    accuracy = accuracy_of_units(trials, group, rows)[: counts.shape[1]]
    for name, of_stimuli in values.items():
        of_units = per_unit_share(of_stimuli, rows, trials)[: counts.shape[1]]
        found = zip(
            ("pearson", "spearman"),
            correlations(of_units, accuracy),
            (pearson_resampled, spearman_resampled),
            strict=True,
        )
        for kind, value, resample in found:
            resampled = None if math.isnan(value) else resample(of_units, accuracy, counts)
            measure = group.measure(f"{kind}_{name}", value, resampled, TOO_FEW)
            yield measure
            if kind == "pearson":
                yield of_ceiling(f"pearson_{name}_of_ceiling", measure, ceiling, 0.0)


def reliability(trials: Stimuli, group: Drawn, seed: int) -> tuple[Measure, ...]:
    """`reliability` (split-half, Spearman-Brown) and `correlation_ceiling`, its square root."""
    made = lambda: _reliability(trials, group, seed)  # noqa: E731 - as short as it reads
    return once_per_group(trials, group, "units", made)


def _reliability(trials: Stimuli, group: Drawn, seed: int) -> Iterator[Measure]:
    from iibench.statistics.reliability import split_half

    rows, _ = judged(trials, group.cell.stimuli)
    given = trials.answers.chosen(group.cell.rows)
    answers = given.chosen(rows[given.stimulus] > 0)
    counts = group.counts[:GROUP_RESAMPLES]
    found = split_half(answers, trials.unit, counts, fixed_stimuli=True, seed=seed)
    why = "fewer than three units have answers that differ" if len(answers.count) else NO_ANSWERS
    base = Measure(
        "reliability",
        found.value,
        group.cell.group,
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
