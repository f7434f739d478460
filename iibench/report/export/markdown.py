"""Markdown: a heading, a table and its caption for every table of a run (GitHub's dialect)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iibench.report.export.escape import markdown
from iibench.report.export.tables import Table, tables_of
from iibench.report.shared.numbers import MISSING, interval, number

if TYPE_CHECKING:
    from iibench.contract.reports import CaseReport
    from iibench.results.run import Run


def write(run: Run) -> bytes:
    """The tables of `run` as UTF-8 Markdown."""
    blocks = [f"# {markdown(str(run.meta.get('name', '')))}"]
    blocks += [_table(table) for table in tables_of(run)]
    blocks += [_analysis(case) for case in run.cases if case.is_analysis]
    return ("\n\n".join(blocks) + "\n").encode("utf-8")


def _table(table: Table) -> str:
    scored = [row for row in table.rows if row.reason is None]
    lines = [f"## {markdown(table.title)}", ""]
    if scored:
        lines += [_line([markdown(name) for name in table.columns])]
        lines += [_line(["---", *["---:"] * (len(table.columns) - 1)])]
        for row in scored:
            cells = [markdown(cell) for cell in row.cells]
            lines.append(
                _line([f"**{cell}**" for cell in cells[:1]] + cells[1:] if row.best else cells)
            )
        lines.append("")
    lines.append(markdown(table.caption))
    for row in table.rows:
        if row.reason is not None:
            lines += ["", f"No number for {markdown(row.cells[0])}: {markdown(row.reason)}"]
    return "\n".join(lines)


def _analysis(case: CaseReport) -> str:
    """Heading and measures of one analysis."""
    finder = case.finder.label
    where = [case.evaluation.label, *([f"under {case.metric.label}"] if case.metric else [])]
    place = ", ".join((finder, case.dataset, case.model.label, case.layer))
    lines = [f"## {markdown(' '.join(where))}: {markdown(place)}", ""]
    lines += [_line(["measure", "value", "95 % interval", "n"]), _line(["---", *["---:"] * 3])]
    for measure in (m for m in case.measures if not m.group):
        name, value = markdown(measure.name), markdown(number(measure.value))
        bold = f"**{name}**" if measure.name == case.headline else name
        reason = f" ({measure.reason})" if measure.value is None and measure.reason else ""
        between = markdown(interval(measure.low, measure.high)) or MISSING
        lines.append(_line([bold, value + markdown(reason), between, f"{measure.n:,}"]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
