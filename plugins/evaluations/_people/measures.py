"""Numbers about one group of answers, each with its interval over resamples of units."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from iibench import Curve, Measure

from .answers import Cell, cells, everything

if TYPE_CHECKING:
    from iibench import BoolArray, DoubleArray, IntArray, Stimuli
    from iibench.statistics.ceilings import Ceiling
    from iibench.statistics.resampling import CountArray

#: Resamples for the numbers of a group; those of all answers take the evaluation's `resamples`.
GROUP_RESAMPLES = 500
#: Resamples of a group in which its ceiling is fitted anew: a millisecond each.
GROUP_REFITS = 200
NO_ANSWERS = "there are no answers"
ONE_CLASS = "all answers are the same, so there is no ROC curve"


@dataclass(frozen=True)
class Drawn:
    """A cell with the resamples of the units that occur in it."""

    cell: Cell
    unit: IntArray
    counts: CountArray

    @property
    def units(self) -> int:
        """How many units there are to draw from."""
        import numpy as np

        return len(np.unique(self.unit[self.cell.stimuli]))

    def measure(self, name: str, value: float, resampled: DoubleArray | None, why: str) -> Measure:
        """A measure of this cell; undefined, for the reason `why`, where the value is NaN."""
        from iibench.statistics.resampling import interval

        low = high = None
        if not math.isnan(value) and resampled is not None:
            low, high = interval(resampled, self.units)
        return Measure(
            name,
            None if math.isnan(value) else float(value),
            self.cell.group,
            low,
            high,
            n=self.cell.answers,
            stimuli=int(self.cell.stimuli.sum()),
            units=self.units,
            reason=why if math.isnan(value) else None,
        )


def groups_of(
    trials: Stimuli,
    by: Sequence[str],
    default: Sequence[str],
    resamples: int,
    seed: int,
    only: BoolArray | None = None,
) -> Iterator[Drawn]:
    """All answers first, then every group of `by` (see `cells`), each with its resamples.

    `only` (S,): the stimuli to look at, by default all. The draws are the same for every metric.
    """
    import numpy as np

    looked_at = np.ones(len(trials), bool) if only is None else only
    yield drawn(trials, everything(trials, looked_at), resamples, seed)
    for cell in cells(trials, by, default, looked_at):
        yield drawn(trials, cell, min(resamples, GROUP_RESAMPLES), seed)


def drawn(trials: Stimuli, cell: Cell, resamples: int, seed: int) -> Drawn:
    """The cell with resamples of its units."""
    from iibench.statistics.resampling import resample_units

    counts = resample_units(trials.unit[cell.stimuli], resamples, seed)
    return Drawn(cell, trials.unit, counts)


def roc_curve(
    margins: DoubleArray,
    first: IntArray,
    second: IntArray,
    group: Mapping[str, str],
) -> tuple[Curve, ...]:
    """The ROC curve of the margins, thinned for drawing; nothing where there is none."""
    from iibench.statistics.agreement import roc, thinned

    x, y = thinned(*roc(margins, first, second))
    if not len(x):
        return ()
    return (Curve("roc", _rounded(x), _rounded(y), group),)


def _rounded(values: DoubleArray) -> tuple[float, ...]:
    return tuple(round(float(value), 5) for value in values)


def human_accuracy(group: Drawn) -> Measure:
    """Share of the answers that chose query 0."""
    from iibench.statistics.resampling import share_resampled

    cell = group.cell
    total = cell.first + cell.second
    if not cell.answers:
        return group.measure("human_accuracy", math.nan, None, NO_ANSWERS)
    accuracy = cell.first / total.clip(1)
    return group.measure(
        "human_accuracy",
        # a quotient of whole numbers: exact
        int(cell.first.sum()) / cell.answers,
        share_resampled(accuracy, total, group.unit, group.counts),
        NO_ANSWERS,
    )


# ------------------------------------------------------------------------------------ ceilings

#: trials -> what was asked of a group -> its ceilings, which no metric changes and which take a second
_CEILINGS: WeakKeyDictionary[Stimuli, dict[tuple[object, ...], tuple[Measure, ...]]] = (
    WeakKeyDictionary()
)


def once_per_group(
    trials: Stimuli, group: Drawn, what: str, make: Callable[[], Iterable[Measure]]
) -> tuple[Measure, ...]:
    """What `make` gives for this group of answers, made once for all metrics and observers."""
    cell = group.cell
    known = _CEILINGS.setdefault(trials, {})
    key = (what, *sorted(cell.group.items()), len(group.counts), cell.answers, group.units)
    if key not in known:
        known[key] = tuple(make())
    return known[key]


def auc_ceilings(trials: Stimuli, group: Drawn) -> tuple[Measure, ...]:
    """`auc_ceiling` (an ideal score, beta-binomial) and `auc_ceiling_others` (other people's answers)."""
    return once_per_group(trials, group, "auc", lambda: _auc_ceilings(group))


def _auc_ceilings(group: Drawn) -> Iterator[Measure]:
    from iibench.statistics.ceilings import REFITS, fitted_ceiling, leave_one_out_auc

    cell = group.cell
    shared = (cell.first, cell.second, group.unit, group.counts)
    for name, ceiling in (
        ("auc_ceiling", fitted_ceiling(*shared, refits=GROUP_REFITS if cell.group else REFITS)),
        ("auc_ceiling_others", leave_one_out_auc(*shared)),
    ):
        yield _of_ceiling(name, cell, ceiling)


def _of_ceiling(name: str, cell: Cell, found: Ceiling) -> Measure:
    reason = found.reason if cell.answers else NO_ANSWERS
    counts = {"n": found.answers, "stimuli": found.stimuli, "units": found.units}
    return Measure(name, found.value, cell.group, found.low, found.high, **counts, reason=reason)


def of_ceiling(name: str, value: Measure, ceiling: Measure, chance: float) -> Measure:
    """The value as a share of what is possible above chance; with the ends of the value's interval."""
    from dataclasses import replace

    from iibench.statistics.ceilings import fraction

    top = ceiling.value
    share, low, high = (fraction(x, top, chance) for x in (value.value, value.low, value.high))
    reason = value.reason or ceiling.reason
    if share is None and reason is None:
        reason = "the ceiling is not above chance"
    return replace(value, name=name, value=share, low=low, high=high, reason=reason)


def per_unit_share(
    values: DoubleArray, weights: DoubleArray | IntArray, trials: Stimuli
) -> DoubleArray:
    """(U,) weighted mean of `values` (S,) over each unit's stimuli, NaN where it has none."""
    import numpy as np

    kept, u = ~np.isnan(values), len(trials.units)
    top = np.bincount(trials.unit[kept], (values * weights)[kept], u)
    bottom = np.bincount(trials.unit[kept], weights[kept], u)
    found = np.full(u, np.nan)
    np.divide(top, bottom, out=found, where=bottom > 0)
    return found
