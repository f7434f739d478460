"""What is wrong with the details of an analysis: the first contradiction, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.contract.checks import is_number
from iibench.contract.details import (
    Axis,
    Details,
    Figure,
    HeatMap,
    Histogram,
    ImageMap,
    ImageRows,
    Series,
    XYPlot,
)

if TYPE_CHECKING:
    from iibench.contract.measures import Measure

_NAME = re.compile(r"[A-Za-z0-9_]*[A-Za-z0-9][A-Za-z0-9_]*")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def problem_of(details: Details) -> str | None:
    """The first thing that is wrong with the details, as part of a sentence; None where nothing is.

    Measures must be finite, or None with a reason; figures must have a title, a caption and axes with a
    title, and lists of one length where they stand for the same points; tables must be columns of one
    length of numbers, truth values or text.
    """
    return next(_problems(details), None)


def _problems(details: Details) -> Iterator[str]:
    names = [measure.name for measure in details.measures if not measure.group]
    if details.headline not in names:
        yield f"its headline {details.headline!r} is none of its measures {names}"
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield f"it has {names.count(name)} measures called {name!r}"
    for measure in details.measures:
        yield from _of_measure(measure)
    figures: tuple[Any, ...] = details.figures  # whatever a plugin put there
    for figure in figures:
        if not isinstance(figure, Figure):
            yield f"{type(figure).__name__} is no kind of figure"
            continue
        yield from _of_figure(figure)
    for name, table in details.tables.items():
        yield from _of_table(name, table)
    for note in details.notes:
        if not isinstance(note, str) or not note.strip():
            yield f"a note is {note!r}"


def _of_measure(measure: Measure) -> Iterator[str]:
    for what in ("value", "low", "high"):
        number = getattr(measure, what)
        if number is not None and not is_number(number):
            yield f"the {what} of its measure {measure.name} is {number!r}; expected a finite number or None"
    if measure.value is None and not measure.reason:
        yield f"its measure {measure.name} has no value and no reason"
    if (measure.low is None) != (measure.high is None):
        yield f"its measure {measure.name} has one end of an interval only"
    elif measure.low is not None and measure.high is not None and measure.low > measure.high:
        yield f"the interval of its measure {measure.name} ends before it begins"


def _of_figure(figure: Figure) -> Iterator[str]:
    if not figure.title.strip():
        yield f"a figure ({type(figure).__name__}) has no title"
        return
    where = f"its figure {figure.title!r}"
    if not figure.caption.strip():
        yield f"{where} has no caption"
    for name in ("x", "y"):
        axis = getattr(figure, name, None)
        if isinstance(axis, Axis) and not axis.title.strip():
            yield f"{where} has an axis {name} without a title"
    for problem in _shapes(figure):
        yield f"{where}: {problem}"


def _shapes(figure: Figure) -> Iterator[str]:
    """Lists that stand for the same things and differ in length."""
    if isinstance(figure, XYPlot):
        if not figure.series:
            yield "there are no series"
        for series in figure.series:
            yield from _of_series(series)
    elif isinstance(figure, Histogram):
        if np.shape(figure.edges) != (len(figure.counts) + 1,):
            yield f"{len(figure.counts)} counts have {len(figure.edges)} edges; expected one more"
        elif not np.isfinite(figure.edges).all() or (np.diff(figure.edges) <= 0).any():
            yield "its edges do not rise"
    elif isinstance(figure, HeatMap):
        expected = (len(figure.rows), len(figure.columns))
        if np.shape(figure.values) != expected:
            yield f"values have shape {np.shape(figure.values)}; expected {expected}"
        if not figure.value.strip():
            yield "it does not say what its values are"
    elif isinstance(figure, ImageMap):
        yield from _of_map(figure)
    elif isinstance(figure, ImageRows) and any(not caption.strip() for caption, _ in figure.rows):
        yield "a row has no caption"


def _of_series(series: Series) -> Iterator[str]:
    points = np.shape(series.x)
    if len(points) != 1:
        yield f"x of the series {series.name!r} has shape {points}; expected one number per point"
        return
    lists: dict[str, Any] = {name: getattr(series, name) for name in ("y", "low", "high", "units")}
    lists["text"] = series.text or None
    for name, values in lists.items():
        if values is not None and np.shape(values) != points:
            yield (
                f"{name} of the series {series.name!r} has shape {np.shape(values)} and x {points}"
            )
    if (series.low is None) != (series.high is None):
        yield f"the band of the series {series.name!r} has one side only"
    for name in ("x", "y", "low", "high"):
        values = getattr(series, name)
        if values is not None and np.isinf(np.asarray(values, np.float64)).any():
            yield f"{name} of the series {series.name!r} is infinite somewhere; expected NaN there"


def _of_map(figure: ImageMap) -> Iterator[str]:
    points = np.shape(figure.x)
    for name in ("y", "images"):
        if np.shape(getattr(figure, name)) != points or len(points) != 1:
            yield f"{name} has shape {np.shape(getattr(figure, name))} and x {points}"
    if not figure.colourings:
        yield "there is no colouring"
    for name, values in figure.colourings.items():
        if np.shape(values) != points:
            yield f"the colouring {name!r} has shape {np.shape(values)} and x {points}"


def _of_table(name: str, table: Any) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield f"{name!r} is no name for a table; expected letters, digits and _"
        return
    where = f"its table {name}"
    if not table:
        yield f"{where} has no columns"
        return
    for column, values in table.items():
        if not isinstance(column, str) or not column:
            yield f"{where} has a column called {column!r}; expected text"
        elif not isinstance(values, np.ndarray) or values.ndim != 1:
            yield f"{where}: the column {column} is no array with one value per row"
        elif not _storable(values):
            kind = values.dtype
            yield f"{where}: the column {column} holds {kind}; expected numbers, bool or text alone"
    lengths = {column: np.shape(values)[0] for column, values in table.items() if np.ndim(values)}
    if len(set(lengths.values())) > 1:
        yield f"{where}: its columns differ in length: {lengths}"


def _storable(values: Any) -> bool:
    if values.dtype.kind == "O":
        return all(isinstance(value, str) for value in values)
    return values.dtype.kind in "biufUT" and (values.dtype.kind != "f" or values.itemsize <= 8)
