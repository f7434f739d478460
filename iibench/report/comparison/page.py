"""The page of two runs side by side: settings, cases, units that changed most, with their images.

Made from the two run folders alone. All text from suites, plugins and labels is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench.contract.errors import UsageError
from iibench.contract.reports import CaseReport
from iibench.report.comparison.figures import figure_of
from iibench.report.comparison.images import ImageFiles, UnitImages, unit_images
from iibench.report.shared.base import environment, frame
from iibench.report.shared.numbers import MISSING, decimals_for, signed
from iibench.report.shared.output import PAGE, FolderOutput
from iibench.report.shared.plots import Figure, plot_data
from iibench.results.comparison.cases import CaseComparison, UnitChange
from iibench.results.comparison.conditions import Outcome
from iibench.results.comparison.runs import RunComparison
from iibench.results.comparison.settings import setting

if TYPE_CHECKING:
    from iibench.results.run import Run

#: Changed cases that are shown with a plot and the images of units.
MOST_CASES = 24
#: Units of a case that are shown, those that changed most.
MOST_UNITS = 6


@dataclass(frozen=True)
class Shown:
    """A changed case with its plot (named `id` on the page), and the units that changed most."""

    case: CaseComparison
    id: str
    title: str
    decimals: int
    figure: Figure | None
    units: tuple[tuple[UnitChange, UnitImages | None], ...]


def write_comparison(found: RunComparison, folder: Path, outcomes: Sequence[Outcome] = ()) -> Path:
    """Writes `folder`/index.html with what belongs to it beside it; returns its path.

    Everything is replaced at once. Raises `UsageError` where the folder holds a run or other files than
    such a page, or cannot be written.
    """
    try:
        with FolderOutput(folder) as output:
            output.page(_rendered(found, output, outcomes))
    except OSError as error:
        raise UsageError(f"--output {folder}: cannot be written: {error.strerror}") from error
    return folder / PAGE


def _rendered(found: RunComparison, output: FolderOutput, outcomes: Sequence[Outcome]) -> str:
    shown = list(_shown(found, output))
    places = dict.fromkeys(_place(case) for case in found.cases)
    return (
        environment()
        .get_template("comparison/page.html")
        .render(
            **frame({}, output),
            found=found,
            outcomes=outcomes,
            name_a=_name(found.a),
            name_b=_name(found.b),
            settings=[
                (change, setting(change.a, change.b), setting(change.b, change.a))
                for change in found.settings
            ],
            order=[*found.changed, *(case for case in found.cases if not case.changed)],
            decimals=_decimals,
            text=change_text,
            place=_place,
            places=list(places),
            method=_method,
            labels=_labels,
            shown=shown,
            places_of={
                **dict.fromkeys((c.id for c in found.cases), ""),
                **{s.case.id: s.id for s in shown},
            },
            left_out=len(found.changed) - len(shown),
            apart=_apart(found.cases),
            tests=dict.fromkeys(case.test for case in found.cases if case.test),
        )
    )


def _shown(found: RunComparison, output: FolderOutput) -> Iterator[Shown]:
    files = ImageFiles(output)
    images = UnitImages.sources(found)
    for number, case in enumerate(found.changed[:MOST_CASES]):
        id = f"case-{number}"
        title = " · ".join(_labels(case))
        figure = figure_of(case, title, _unit(found.b, case)) if case.scored else None
        if figure is not None:
            output.data(f"plots-{number}", plot_data([(f"plot-{number}", figure)]))
        units = tuple(
            (change, unit_images(images, case.a, change.unit, files))
            for change in case.changes[:MOST_UNITS]
        )
        yield Shown(case, id, title, _decimals(case), figure, units)


def _labels(case: CaseComparison) -> list[str]:
    """Evaluation, metric and method of a case, as far as it has them."""
    labels = [case.a.evaluation.label, case.a.metric.label if case.a.metric else None]
    labels.append(case.a.finder.label if isinstance(case.a, CaseReport) else None)
    return [label for label in labels if label is not None]


def _method(case: CaseComparison) -> str:
    """What the row of a case is headed by: its finder, or its metric where it has no finder."""
    return _labels(case)[-1]


def _place(case: CaseComparison) -> str:
    if isinstance(case.a, CaseReport):
        return f"{case.a.layer} of {case.a.model.label} on {case.a.dataset}"
    return case.a.dataset


def _decimals(case: CaseComparison) -> int:
    """Decimals of the case's means."""
    return max(4, decimals_for([case.mean_a, case.mean_b], None))


def change_text(value: float | None, *ends: float | None) -> tuple[str, str]:
    """A change, and the interval `[low, high]` of its `ends` or "", with three digits of the largest.

    A change that a table's decimals would show as zero has an exponent.
    """
    there = [abs(v) for v in (value, *ends) if v]
    largest = max(there, default=0.0)
    if largest >= 1e-4 or value is None:
        decimals = max(0, 2 - math.floor(math.log10(largest))) if largest else 0
        shown = [signed(v, decimals) for v in (value, *ends)]
    else:
        shown = ["0" if v == 0 else _exponential(v) for v in (value, *ends)]
    known = len(ends) == 2 and None not in ends
    return shown[0], f"[{shown[1]}, {shown[2]}]" if known else ""


def _exponential(value: float | None) -> str:
    if value is None:
        return MISSING
    digits, _, power = f"{value:+.2e}".partition("e")
    return f"{digits}e{int(power)}".replace("-", "−")


def _unit(run: Run, case: CaseComparison) -> str:
    if case.item == "stimulus":
        return "similarity"
    record = (run.meta.get("evaluations") or {}).get(case.a.evaluation.label) or {}
    return str(record.get("unit") or "")


def _apart(cases: Sequence[CaseComparison]) -> Mapping[str, int]:
    """Why cases are not paired over units, and how many are not for each reason."""
    reasons: dict[str, int] = {}
    for case in cases:
        if case.different and case.scored:
            reasons[case.different] = reasons.get(case.different, 0) + 1
    return reasons


def _name(run: Run) -> dict[str, Any]:
    """What the page calls a run: its name and when it was made, and the folder's own name."""
    return {
        "name": run.meta.get("name", "run"),
        "folder": run.folder.resolve().name,
        "started": run.meta.get("started"),
        "cases": len(run.reports),
    }
