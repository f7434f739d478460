"""Analyses in the terminal: the main measure of each, with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from iibench.contract.measures import Measure
    from iibench.contract.reports import CaseReport
    from iibench.results.run import Run

#: Styles of a status.
STYLES = {"passed": "green", "failed": "red", "error": "red", "skipped": "yellow"}


def measure_text(measure: Measure) -> str:
    """`spearman -0.4200 [-0.5100, -0.3000]  n=256`, or that it is undefined."""
    text = f"{escape(measure.name)} "
    if measure.value is None:
        return f"{text}undefined"
    text += number(measure.value)
    if measure.low is not None and measure.high is not None:
        text += f" [dim]\\[{number(measure.low)}, {number(measure.high)}][/]"
    return f"{text}  n={measure.n:,}"


def analysis_tables(run: Run) -> list[Table]:
    """A table per dataset, model and layer: a row per analysis, metric and finder."""
    groups: dict[tuple[str, ...], list[CaseReport]] = {}
    for case in run.cases:
        if case.is_analysis:
            groups.setdefault((case.dataset, case.model.label, case.layer), []).append(case)
    return [_table(key, cases) for key, cases in groups.items()]


def _table(key: tuple[str, ...], cases: list[CaseReport]) -> Table:
    title = escape(" / ".join([*key, "analyses"]))
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in ("analysis", "finder", "metric", "measure"):
        table.add_column(name)
    for name in ("value", "95 % interval", "n"):
        table.add_column(name, justify="right")
    order = list(dict.fromkeys(case.evaluation.label for case in cases))
    for case in sorted(cases, key=lambda case: order.index(case.evaluation.label)):
        metric = case.metric.label if case.metric else ""
        table.add_row(
            *map(escape, (case.evaluation.label, case.finder.label, metric)), *_cells(case)
        )
    return table


def _cells(case: CaseReport) -> tuple[str, ...]:
    measure = case.main_measure
    if measure is None:
        return "", f"[{STYLES[case.status]}]{case.status}[/]", "", ""
    name, n = escape(measure.name), f"{measure.n:,}"
    if measure.value is None:
        return name, "[yellow]undefined[/]", "", n
    value = number(measure.value)
    if measure.low is None or measure.high is None:
        return name, value, "", n
    return name, value, f"\\[{number(measure.low)}, {number(measure.high)}]", n


def number(value: float) -> str:
    """Four significant digits, without an exponent for the sizes that scores have."""
    return f"{value:.4f}" if abs(value) >= 0.001 or value == 0 else f"{value:.2e}"
