r"""LaTeX: a `table` with booktabs rules for every table of a run, to be read with `\input`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from iibench.report.export.escape import latex
from iibench.report.export.tables import Table, tables_of

if TYPE_CHECKING:
    from iibench.results.run import Run


def write(run: Run) -> bytes:
    r"""The tables of `run` as ASCII LaTeX; the document needs `\usepackage{booktabs}` alone."""
    name = latex(str(run.meta.get("name", "")))
    blocks = [
        f"% Results of {name}, written by iibench.\n% The preamble needs \\usepackage{{booktabs}}."
    ]
    blocks += [_table(table, place) for place, table in enumerate(tables_of(run), 1)]
    return ("\n\n".join(blocks) + "\n").encode("ascii")


def _table(table: Table, place: int) -> str:
    scored = [row for row in table.rows if row.reason is None]
    missing = [
        rf"No number for {latex(row.cells[0])}: {latex(row.reason)}."
        for row in table.rows
        if row.reason is not None
    ]
    caption = " ".join([f"{latex(table.title)}.", latex(table.caption), *missing])
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\label{{{label(table, place)}}}",
    ]
    if scored:
        lines += [
            r"\scriptsize",
            r"\setlength{\tabcolsep}{3pt}",
            rf"\begin{{tabular}}{{@{{}}l{'r' * (len(table.columns) - 1)}@{{}}}}",
            r"\toprule",
            _line([latex(name) for name in table.columns]),
            r"\midrule",
        ]
        for row in scored:
            cells = [latex(cell) for cell in row.cells]
            lines.append(_line([rf"\textbf{{{cells[0]}}}", *cells[1:]] if row.best else cells))
        lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join([*lines, r"\end{table}"])


def label(table: Table, place: int) -> str:
    """`tab:3-ii-lpips`: the table's number in the run, its evaluation and metric."""
    labels = dict(table.place)
    words = f"{labels['evaluation']}-{labels.get('metric', '')}".lower()
    slug = re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:60]
    return f"tab:{place}-{slug}".rstrip("-")


def _line(cells: list[str]) -> str:
    r"""A row; after the `\\` of the row before, a `[` or `*` would be read as its argument."""
    first = "{}" + cells[0] if cells[0][:1] in {"[", "*"} else cells[0]
    return rf"{' & '.join([first, *cells[1:]])} \\"
