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
    """A curve, such as an ROC curve: its points, for all answers or for a `group` of them."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    group: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """An extra part of the page: a title, paragraphs of plain text, and tables."""

    title: str
    paragraphs: tuple[str, ...] = ()
    #: each table: header cells, then rows of cells
    tables: tuple[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]], ...] = ()
