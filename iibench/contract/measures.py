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


@dataclass(frozen=True)
class Curve:
    """A curve, such as an ROC curve: its points, for all answers or for a `group` of them.

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
