"""What is wrong with the details of an analysis: the first contradiction, in words."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from iibench.contract.checks import is_count, is_number
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
    images_shown,
)
from iibench.contract.measures import Curve, Measure

_NAME = re.compile(r"[A-Za-z0-9_]*[A-Za-z0-9][A-Za-z0-9_]*")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def problem_of(details: Details, images: int | None = None) -> str | None:
    """The first thing that is wrong with the details, as part of a sentence; None where nothing is.

    Measures must be finite, or None with a reason; figures must have a title, a caption and axes with a
    title, and lists of one length where they stand for the same points; tables must be columns of one
    length of numbers, truth values or text. `images`: how many there are, where that is known.
    """
    given: Any = details  # whatever a plugin put there
    if not isinstance(given, Details):
        return f"its details are {type(given).__name__}, expected Details"
    return next(_problems(details, images), None)


def _problems(details: Details, images: int | None) -> Iterator[str]:
    names = [measure.name for measure in details.measures if not measure.group]
    if details.headline not in names:
        yield f"its headline {details.headline!r} is none of its measures {names}"
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield f"it has {names.count(name)} measures called {name!r}"
    for measure in details.measures:
        yield from measure_problems(measure)
    figures: tuple[Any, ...] = details.figures  # whatever a plugin put there
    for figure in figures:
        if not isinstance(figure, Figure):
            yield f"{type(figure).__name__} is no kind of figure"
            continue
        yield from _of_figure(figure, images)
    for name, table in details.tables.items():
        yield from _of_table(name, table)
    for note in details.notes:
        if not isinstance(note, str) or not note.strip():
            yield f"a note is {note!r}"


def measure_problems(measure: Any) -> Iterator[str]:
    """What is wrong with a measure.

    >>> next(measure_problems(Measure("share", 1j)))
    'the value of its measure share is 1j; expected a finite number or None'
    """
    if not isinstance(measure, Measure):
        yield f"one of its measures is {type(measure).__name__}, expected Measure"
        return
    for what in ("value", "low", "high"):
        number = getattr(measure, what)
        if number is not None and not is_number(number):
            yield f"the {what} of its measure {measure.name} is {number!r}; expected a finite number or None"
            return
    for what in ("n", "stimuli", "units"):
        if not is_count(getattr(measure, what)):
            yield (
                f"{what} of its measure {measure.name} is {getattr(measure, what)!r}; expected a whole "
                "number from 0"
            )
    if measure.value is None and not measure.reason:
        yield f"its measure {measure.name} has no value and no reason"
    if (measure.low is None) != (measure.high is None):
        yield f"its measure {measure.name} has one end of an interval only"
    elif measure.low is not None and measure.high is not None and measure.low > measure.high:
        yield f"the interval of its measure {measure.name} ends before it begins"


def curve_problems(curve: Curve) -> Iterator[str]:
    """What is wrong with a curve.

    >>> next(curve_problems(Curve("roc", (0.0, 1.0), (0.0, "1"))))
    "y of its curve roc has '1' among its points; expected finite numbers"
    """
    for name in ("x", "y"):
        for value in getattr(curve, name):
            if not is_number(value):
                yield (
                    f"{name} of its curve {curve.name} has {value!r} among its points; "
                    "expected finite numbers"
                )
                return
    if len(curve.x) != len(curve.y):
        yield f"its curve {curve.name} has {len(curve.x)} x and {len(curve.y)} y"


def _of_figure(figure: Figure, images: int | None) -> Iterator[str]:
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
    for problem in itertools.chain(_numbers(figure), _shapes(figure)):
        yield f"{where}: {problem}"
        return
    shown = list(images_shown(Details((), headline="", figures=(figure,))))
    if images is not None and shown and not 0 <= min(shown) <= max(shown) < images:
        yield f"{where} shows images {min(shown)} to {max(shown)} of {images}"


def _numbers(figure: Figure) -> Iterator[str]:
    """Lists of a figure that are none of real numbers, or of whole ones where they are images."""
    lists: dict[str, Any] = {}
    whole = {"images"}
    if isinstance(figure, XYPlot):
        for series in figure.series:
            for name in ("x", "y", "low", "high", "units"):
                lists[f"{name} of the series {series.name!r}"] = getattr(series, name)
            whole.add(f"units of the series {series.name!r}")
    elif isinstance(figure, Histogram):
        lists |= {"edges": figure.edges, "counts": figure.counts}
    elif isinstance(figure, HeatMap):
        lists["values"] = figure.values
    elif isinstance(figure, ImageMap):
        lists |= {"x": figure.x, "y": figure.y, "images": figure.images}
    elif isinstance(figure, ImageRows):
        for caption, images in figure.rows:
            lists[f"the row {caption!r}"] = images
            whole.add(f"the row {caption!r}")
    for name, values in lists.items():
        if values is None or not np.size(values):
            continue
        kind = np.asarray(values).dtype
        if kind.kind not in ("iu" if name in whole else "biuf"):
            expected = "whole numbers" if name in whole else "real numbers"
            yield f"{name} holds {kind}; expected {expected}"


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
