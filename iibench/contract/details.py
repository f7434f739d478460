"""What an analysis found, beyond a score per direction: numbers, tables, figures, pictures.

Everything is data; the page, the notebook and exports draw it. Images are indices into the evaluated
split. Text is plain and is escaped where it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench.contract.arrays import DoubleArray, IntArray
    from iibench.contract.measures import Measure


@dataclass(frozen=True)
class Axis:
    """An axis: what it shows, with its unit in brackets. `ticks`: (value, name) where it has names."""

    title: str
    log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class Series:
    """Points (P,) of a plot under one name, joined by a line where `line` says so.

    `low`, `high` (P,): a band. `text` (P,): shown when pointed at. `units` (P,): the directions that the
    points stand for, which the page links.
    """

    name: str
    x: DoubleArray
    y: DoubleArray
    line: bool = False
    low: DoubleArray | None = None
    high: DoubleArray | None = None
    text: tuple[str, ...] = ()
    units: IntArray | None = None


@dataclass(frozen=True)
class XYPlot:
    """Points and lines. `caption`: what to read from it."""

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    caption: str


@dataclass(frozen=True)
class Histogram:
    """`counts` (B,) of values between consecutive `edges` (B + 1,)."""

    title: str
    x: Axis
    edges: DoubleArray
    counts: IntArray
    caption: str
    y: Axis = field(default=Axis("count"))


@dataclass(frozen=True)
class HeatMap:
    """`values` (rows, columns), NaN where there is none; `value` says what they are, with the unit."""

    title: str
    x: Axis
    y: Axis
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: DoubleArray
    value: str
    caption: str


@dataclass(frozen=True)
class ImageMap:
    """Images (P,) at places in the plane, with ways to colour them that the reader chooses from.

    `colourings`: name -> numbers (P,), or CSS colours `#rrggbb` (P,), or names of classes (P,).
    """

    title: str
    x: DoubleArray
    y: DoubleArray
    images: IntArray
    colourings: Mapping[str, DoubleArray | tuple[str, ...]]
    caption: str


@dataclass(frozen=True)
class ImageRows:
    """Rows of images, each with a caption, such as the MEIs of a few directions."""

    title: str
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    caption: str


Figure = XYPlot | Histogram | HeatMap | ImageMap | ImageRows


@dataclass(frozen=True)
class Details:
    """What an analysis found.

    `measures`: numbers, each with an interval where it has one, the number of values behind it in `n`;
    expectations of suites can be about them. `headline`: name of the main one. `tables`: name (letters,
    digits, `_`) -> column -> values, all of one length. `notes`: sentences for the reader.
    """

    measures: tuple[Measure, ...]
    headline: str
    figures: tuple[Figure, ...] = ()
    tables: Mapping[str, Mapping[str, npt.NDArray[Any]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def images_shown(details: Details) -> Iterator[int]:
    """Indices of the images that the figures show, those of rows before those of maps."""
    for figure in details.figures:
        if isinstance(figure, ImageRows):
            for _, images in figure.rows:
                yield from images
    for figure in details.figures:
        if isinstance(figure, ImageMap):
            yield from (int(image) for image in figure.images)
