"""Measures, curves and sections: what evaluations and plugins have to say besides scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Measure:
    """One number that an evaluation measures: of everything, or of a `group` of it (attribute -> value).

    `value` is None where it is undefined, for the `reason` given. `low`, `high`: its 95 % interval. `n`:
    observations behind it, such as people's answers (people, where votes are counted) or images, of
    `stimuli` stimuli and `units` units; 0 where there are none of a kind.

    >>> accuracy = Measure("accuracy", 0.8, {"layer": "conv1"}, low=0.7, high=0.9, n=120, units=4)
    >>> accuracy.low < accuracy.value < accuracy.high
    True
    >>> Measure("accuracy", None, reason="nobody answered").n
    0
    """

    name: str
    value: float | None
    group: Mapping[str, str] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    n: int = 0
    stimuli: int = 0
    units: int = 0
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class MeasureInfo:
    """How the page shows a measure of trials, or a number of their units.

    `title`: its heading. `text`: what it is, for the glossary. `people`: it is about people alone and the
    same for every metric. `count`: how many of something there are, a whole number. `free`: it is no share
    or area, so that its size says how many decimals it needs. `beside`: the measure that it means little
    without, shown in the same cell; `short`: a few words for it there, and over its column on the
    terminal, which shows the shares that have them. `against`: the measure that
    stands beside it in tables of groups, where that is another. `ceiling`: the measure that bounds it.
    `first`: what the page says of the metric with the largest value. `sentence`: one about that metric,
    with `{value}` of this measure, `{other}` of the one beside it and their `{difference}`.

    >>> MeasureInfo(title="AUC", ceiling="auc_ceiling").ceiling
    'auc_ceiling'
    """

    title: str
    text: str = ""
    people: bool = False
    count: bool = False
    free: bool = False
    beside: str = ""
    short: str = ""
    against: str = ""
    ceiling: str = ""
    first: str = "comes first"
    sentence: str = ""


@dataclass(frozen=True)
class Curve:
    """A curve, such as an ROC curve: its points, for all answers or for a `group` of them.

    `name`: that of the measure which is the area below it, `roc` where that is `auc`.

    >>> Curve("roc", x=(0.0, 0.0, 1.0), y=(0.0, 1.0, 1.0)).name
    'roc'
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    group: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """An extra part of the page: a title, paragraphs of plain text, and tables.

    >>> counts = (("experiment", "answers"), (("one", "120"), ("two", "80")))
    >>> Section("Data", ("200 answers were kept.",), (counts,)).tables[0][1][1]
    ('two', '80')
    """

    title: str
    paragraphs: tuple[str, ...] = ()
    #: each table: header cells, then rows of cells
    tables: tuple[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]], ...] = ()
