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
    """An axis: what it shows, with its unit in brackets. `ticks`: (value, name) where it has names.

    >>> Axis("images", log=True).ticks
    ()
    """

    title: str
    log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class Series:
    """Points (P,) of a plot under one name, joined by a line where `line` says so.

    `low`, `high` (P,): a band. `text` (P,): shown when pointed at. `units` (P,): the directions that the
    points stand for, which the page links.

    >>> line = Series("kmeans", np.array([1.0, 2.0]), np.array([0.5, 0.7]), line=True)
    >>> line.y.tolist()
    [0.5, 0.7]
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
    """Points and lines. `caption`: what to read from it.

    >>> points = Series("neurons", np.array([1.0, 2.0]), np.array([0.5, 0.7]))
    >>> plot = XYPlot("Scores", Axis("rank"), Axis("score"), (points,), "Later ranks score higher.")
    >>> len(plot.series)
    1
    """

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    caption: str


@dataclass(frozen=True)
class Histogram:
    """`counts` (B,) of values between consecutive `edges` (B + 1,).

    >>> counts, edges = np.histogram([0.1, 0.2, 0.9], bins=2, range=(0, 1))
    >>> Histogram("Scores", Axis("score"), edges, counts, "Most are low.").counts.tolist()
    [2, 1]
    """

    title: str
    x: Axis
    edges: DoubleArray
    counts: IntArray
    caption: str
    y: Axis = field(default=Axis("count"))


@dataclass(frozen=True)
class HeatMap:
    """`values` (rows, columns), NaN where there is none; `value` says what they are, with the unit.

    >>> found = np.array([[1.0, 0.2], [0.2, np.nan]])
    >>> map = HeatMap(
    ...     "Overlap", Axis("layer"), Axis("layer"), ("a", "b"), ("a", "b"), found, "share", "Low."
    ... )
    >>> map.values.shape == (len(map.rows), len(map.columns))
    True
    """

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

    >>> place = np.array([0.0, 1.0])
    >>> map = ImageMap("Images", place, place, np.array([7, 3]), {"class": ("cat", "dog")}, "Apart.")
    >>> map.images.tolist()
    [7, 3]
    """

    title: str
    x: DoubleArray
    y: DoubleArray
    images: IntArray
    colourings: Mapping[str, DoubleArray | tuple[str, ...]]
    caption: str


@dataclass(frozen=True)
class ImageRows:
    """Rows of images, each with a caption, such as the MEIs of a few directions.

    >>> ImageRows("Strongest images", (("direction 0", (4, 2)), ("direction 1", (9, 4))), "").rows[1]
    ('direction 1', (9, 4))
    """

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

    >>> share = Measure("share", 0.25, n=400)
    >>> found = Details((share,), headline="share", notes=("A quarter of the images.",))
    >>> found.headline in {measure.name for measure in found.measures}
    True
    """

    measures: tuple[Measure, ...]
    headline: str
    figures: tuple[Figure, ...] = ()
    tables: Mapping[str, Mapping[str, npt.NDArray[Any]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def images_shown(details: Details) -> Iterator[int]:
    """Indices of the images that the figures show, those of rows before those of maps.

    >>> rows = ImageRows("Strongest images", (("direction 0", (4, 2)),), "")
    >>> list(images_shown(Details((), headline="", figures=(rows,))))
    [4, 2]
    """
    for figure in details.figures:
        if isinstance(figure, ImageRows):
            for _, images in figure.rows:
                yield from images
    for figure in details.figures:
        if isinstance(figure, ImageMap):
            yield from (int(image) for image in figure.images)
