"""Groups of people's answers, and the observers that answer the same trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Gt, Interval

from iibench import CaseError, unknown_name

if TYPE_CHECKING:
    from iibench import BoolArray, DoubleArray, IntArray, Stimuli, TextArray, TrialSimilarities

CONFIDENCE = "confidence"


@dataclass(frozen=True)
class ObserverParams:
    """Which observer looks at the trials (iibench.statistics.observers)."""

    observer: Literal["eq2", "two_sided", "mis"] = field(
        default="two_sided",
        metadata={
            "help": "eq2: nearest positive reference (Eq. 2); two_sided: both sets of references, as "
            "the released code; mis: mean similarities to both sets, as the Machine "
            "Interpretability Score"
        },
    )
    pool: Literal["mean", "max"] = field(
        default="max", metadata={"help": "two_sided: how similarities to references are pooled"}
    )
    weight: Annotated[float, Interval(ge=0, le=1)] = field(
        default=0.5,
        metadata={"help": "two_sided: weight a of the positive references, 1 - a of the opposite"},
    )
    zscore: bool = field(
        default=False, metadata={"help": "two_sided: similarities are z-scored within each trial"}
    )
    mis_scale: Annotated[float, Gt(0)] | None = field(
        default=None,
        metadata={
            "help": "the Machine Interpretability Score is the mean of sigmoid(mis_scale x margin); "
            "none: the share of trials with a margin above 0. A scale belongs to one metric"
        },
    )


def margins_of(params: ObserverParams, found: TrialSimilarities) -> DoubleArray:
    """(S,) the observer's margins; raises `CaseError` where it needs opposite references."""
    from iibench.statistics.observers import margin_eq2, margin_two_sided

    if params.observer == "eq2":
        return margin_eq2(found.references)
    if not found.opposite.shape[2]:
        raise CaseError(
            f"the observer {params.observer} looks at opposite references, and these trials have "
            "none; expected observer: eq2"
        )
    if params.observer == "mis":
        return mis_margins(found)
    return margin_two_sided(
        found.references, found.opposite, params.pool, params.zscore, params.weight
    )


def mis_margins(found: TrialSimilarities) -> DoubleArray:
    """(S,) Delta+ - Delta- of the Machine Interpretability Score."""
    from iibench.statistics.observers import margin_two_sided

    return margin_two_sided(found.references, found.opposite, "mean")


def mis(margins: DoubleArray, scale: float | None) -> DoubleArray:
    """(S,) each trial's term of the Machine Interpretability Score, NaN where the margin is."""
    import numpy as np
    from scipy.special import expit

    if scale is None:
        return np.where(np.isnan(margins), np.nan, (margins > 0).astype(np.float64))
    values: DoubleArray = expit(scale * margins)
    return values


@dataclass(frozen=True)
class Cell:
    """The answers of one group: their `rows`, `first`, `second` (S,) counts, and its `stimuli` (S,)."""

    group: dict[str, str]
    first: IntArray
    second: IntArray
    stimuli: BoolArray
    rows: IntArray

    @property
    def answers(self) -> int:
        """How many answers there are."""
        return int(self.first.sum() + self.second.sum())


def everything(trials: Stimuli, only: BoolArray) -> Cell:
    """All answers to the stimuli `only` (S,)."""
    import numpy as np

    return _cell(trials, {}, np.arange(len(trials.answers.stimulus)), only)


def cells(
    trials: Stimuli, by: Sequence[str], default: Sequence[str], only: BoolArray
) -> Iterator[Cell]:
    """A cell per value of each entry of `by`: attributes joined by `+`, `confidence` among them.

    Only the stimuli `only` (S,) and answers to them; groups that have none of those are left out.

    An entry of the default that these trials have no attributes for is left out; any other such entry
    is a `CaseError` with the nearest names.
    """
    for entry in by:
        names = entry.split("+")
        known = [*trials.columns, *trials.answers.columns]
        if trials.answers.confidence.any():
            known.append(CONFIDENCE)
        missing = [name for name in names if name not in known]
        if missing and entry not in default:
            raise CaseError(f"by: {unknown_name('attribute of these trials', missing[0], known)}")
        if not missing:
            yield from _split(trials, names, only)


def _split(trials: Stimuli, names: Sequence[str], only: BoolArray) -> Iterator[Cell]:
    import numpy as np

    given = trials.answers
    if any(name not in trials.columns for name in names):
        if not len(given.stimulus):
            return
        keys = np.array([_of_answers(trials, name) for name in names]).T
        values, which = np.unique(keys, axis=0, return_inverse=True)
        for number, value in enumerate(values):
            rows = np.flatnonzero(which.ravel() == number)
            stimuli = np.zeros(len(trials), bool)
            stimuli[given.stimulus[rows]] = True
            if (stimuli & only).any():
                yield _cell(trials, _group(names, value), rows, stimuli & only)
        return
    keys = np.array([trials.columns[name] for name in names]).T
    values, which = np.unique(keys, axis=0, return_inverse=True)
    for number, value in enumerate(values):
        stimuli = (which.ravel() == number) & only
        if stimuli.any():
            yield _cell(trials, _group(names, value), np.arange(len(given.stimulus)), stimuli)


def _group(names: Sequence[str], value: TextArray) -> dict[str, str]:
    return dict(zip(names, map(str, value), strict=True))


def _of_answers(trials: Stimuli, name: str) -> TextArray:
    """(R,) an attribute of each answer, of its stimulus where it is one of stimuli."""
    given = trials.answers
    if name in trials.columns:
        return trials.columns[name][given.stimulus]
    if name in given.columns:
        return given.columns[name]
    values: Any = given.confidence.astype(str)
    return values  # type: ignore[no-any-return]


def _cell(trials: Stimuli, group: dict[str, str], rows: IntArray, stimuli: BoolArray) -> Cell:
    """The cell of those of the answers `rows` that are about `stimuli`."""
    import numpy as np

    given, s = trials.answers, len(trials)
    rows = rows[stimuli[given.stimulus[rows]]]
    count, chosen = given.count[rows].astype(np.float64), given.first[rows]
    first = np.bincount(given.stimulus[rows], count * chosen, s).astype(np.int64)
    second = np.bincount(given.stimulus[rows], count * ~chosen, s).astype(np.int64)
    return Cell(group, first, second, stimuli, rows)
