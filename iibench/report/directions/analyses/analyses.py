"""The part of the page about analyses: their measures, figures, maps and rows of images.

An analysis (`Details`) is data; here it becomes tables of the page, plots
(figures.py), and what analyses.js draws. All figures of a case are loaded from one
file, `analysis-PLACE-NUMBER`, when one of them comes near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iibench.contract.details import ImageMap, ImageRows
from iibench.contract.details import images_shown as details_images
from iibench.report.directions.analyses.figures import plotted
from iibench.report.shared.numbers import decimals_for, interval, number, p_value
from iibench.report.shared.plots import plot_data

if TYPE_CHECKING:
    from iibench.contract.details import Details
    from iibench.contract.details import Figure as Found
    from iibench.contract.measures import Measure
    from iibench.contract.reports import CaseReport
    from iibench.report.directions.explorer.sprites import Key
    from iibench.report.directions.tables import Place
    from iibench.report.shared.output import Output
    from iibench.report.shared.plots import Figure
    from iibench.results.run import Run

    #: Per place, its analyses in the order of the run; None where a case found nothing.
    Read = list[list[tuple[CaseReport, Details | None]]]


@dataclass(frozen=True)
class Shown:
    """A figure where it stands on the page: a plot (`figure`), or rows of images."""

    name: str
    title: str
    caption: str
    figure: Figure | None = None
    #: ways to colour a map of images
    choices: tuple[str, ...] = ()

    @property
    def is_map(self) -> bool:
        return bool(self.choices)


@dataclass(frozen=True)
class MeasureRow:
    """A measure as text; without a value there is a `reason`. `n`: values behind it."""

    name: str
    value: str
    interval: str
    n: str
    reason: str = ""


@dataclass(frozen=True)
class Analysis:
    """What one case found. `data`: name of the file that its figures are in, "" without room for it."""

    case: CaseReport
    data: str
    headline: MeasureRow
    measures: tuple[MeasureRow, ...]
    figures: tuple[Shown, ...]
    notes: tuple[str, ...]
    #: tables: (name, path relative to the run folder, number of rows)
    tables: tuple[tuple[str, str, int], ...]
    number: int

    @property
    def of(self) -> str:
        """The finder and metric that it is about."""
        return self.case.finder.label + (
            f" under {self.case.metric.label}" if self.case.metric else ""
        )


@dataclass(frozen=True)
class AnalysisGroup:
    """The cases of one evaluation at a place; `lost`: those that found nothing."""

    title: str
    record: Any
    cases: tuple[Analysis, ...]
    lost: tuple[CaseReport, ...]


def read_analyses(run: Run, places: Sequence[Place]) -> Read:
    """The analyses of each place with what they found."""
    return [[(case, run.details(case)) for case in place.analyses] for place in places]


def images_shown(places: Sequence[Place], read: Read) -> list[Key]:
    """The images that the analyses show, each once: (dataset, index), those of rows first."""
    found = [
        (place.dataset, image)
        for place, cases in zip(places, read, strict=True)
        for _, details in cases
        if details is not None
        for image in details_images(details)
    ]
    return list(dict.fromkeys(found))


def analyses(
    places: Sequence[Place], read: Read, records: Any, output: Output
) -> list[list[AnalysisGroup]]:
    """What the page shows of the analyses of each place; the data of their figures go to `output`.

    `records`: label of an evaluation -> what `run.json` says about it.
    """
    found = []
    for p, cases in enumerate(read):
        groups: dict[str, list[tuple[CaseReport, Details | None]]] = {}
        for case, details in cases:
            groups.setdefault(case.evaluation.label, []).append((case, details))
        made, n = [], 0
        for label, members in groups.items():
            shown = []
            for case, details in members:
                if details is not None:
                    shown.append(_analysis(case, details, f"analysis-{p}-{n}", n, output))
                    n += 1
            lost = tuple(case for case, details in members if details is None)
            made.append(AnalysisGroup(label, records.get(label, {}), tuple(shown), lost))
        found.append(made)
    return found


def _analysis(
    case: CaseReport, details: Details, name: str, number_: int, output: Output
) -> Analysis:
    figures = [_shown(figure, f"{name}-{i}") for i, figure in enumerate(details.figures)]
    data = {
        shown.name: _data(figure, shown)
        for figure, shown in zip(details.figures, figures, strict=True)
    }
    written = not figures or output.data(name, data)
    rows = [measure_row(measure) for measure in details.measures if not measure.group]
    headline = next(row for row in rows if row.name == details.headline)
    tables = tuple(
        (
            title,
            f"analyses/{case.details_folder}/{title}.parquet",
            len(next(iter(table.values()), ())),
        )
        for title, table in details.tables.items()
    )
    return Analysis(
        case,
        name if written else "",
        headline,
        tuple(rows),
        tuple(figures),
        details.notes,
        tables if case.details_folder else (),
        number_,
    )


def _shown(figure: Found, name: str) -> Shown:
    if isinstance(figure, ImageRows):
        return Shown(name, figure.title, figure.caption)
    choices = tuple(figure.colourings) if isinstance(figure, ImageMap) else ()
    return Shown(name, figure.title, figure.caption, plotted(figure), choices)


def _data(figure: Found, shown: Shown) -> dict[str, Any]:
    """What the page's scripts draw."""
    if shown.figure is not None:
        return plot_data([(shown.name, shown.figure)])[shown.name]
    rows = figure.rows if isinstance(figure, ImageRows) else ()
    return {"rows": [{"text": text, "images": list(images)} for text, images in rows]}


def measure_row(measure: Measure) -> MeasureRow:
    """Its value and interval as the page writes them."""
    if measure.value is None:
        return MeasureRow(measure.name, "", "", f"{measure.n:,}", measure.reason or "undefined")
    if _is_p(measure.name):
        return MeasureRow(measure.name, p_value(measure.value), "", f"{measure.n:,}")
    whole = measure.low is None and measure.value == int(measure.value)
    d = 0 if whole else decimals_for([measure.value], None)
    bounds = interval(measure.low, measure.high, d)
    return MeasureRow(measure.name, number(measure.value, d), bounds, f"{measure.n:,}")


def _is_p(name: str) -> bool:
    return name == "p" or name.startswith("p_") or name.endswith("_p")
