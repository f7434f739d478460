"""Markdown and LaTeX tables: the same rows as the leaderboard, in its order, with what they rest on."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from iibench.report.export import export
from iibench.report.export.escape import latex, markdown
from iibench.report.export.tables import tables_of
from iibench.results.run import Run
from tests.report.export.test_escape import check_latex


def markdown_tables(run: Run) -> list[list[list[str]]]:
    """Tables -> rows -> cells, the heading first."""
    text = export(run, "markdown").decode("utf-8")
    found: list[list[list[str]]] = []
    before = ""
    for line in text.splitlines():
        if line.startswith("| "):
            if not before.startswith("| "):
                found.append([])
            cells = re.split(r"(?<!\\) \| ", line.removeprefix("| ").removesuffix(" |"))
            found[-1].append(cells)
        before = line
    return found


def test_rows_are_those_of_the_leaderboard_in_its_order(any_run: Run) -> None:
    board = any_run.leaderboard()
    listed = [row for table in tables_of(any_run) for row in table.rows]
    assert [row.case for row in listed] == list(board["case"])
    value = "value" if any_run.trial_cases else "mean"
    assert [row.reason is None for row in listed] == [not pd.isna(v) for v in board[value]]


def test_markdown_tables_are_rectangular(any_run: Run) -> None:
    tables = [table for table in tables_of(any_run) if any(r.reason is None for r in table.rows)]
    found = markdown_tables(any_run)
    assert len(found) == len(tables)
    for cells, table in zip(found, tables, strict=True):
        assert {len(row) for row in cells} == {len(table.columns)}
        assert set(cells[1]) <= {"---", "---:"}
        names = [row.cells[0] for row in table.rows if row.reason is None]
        assert [row[0].strip("*") for row in cells[2:]] == [
            markdown(name).strip("*") for name in names
        ]


def test_cells_of_a_method(directions: Run) -> None:
    table = next(t for t in tables_of(directions) if t.title.startswith("ii under lpips"))
    row = next(r for r in table.rows if r.cells[0] == "kmeans[k=30]")
    record = directions.leaderboard().set_index("case").loc[row.case]
    assert dict(zip(table.columns, row.cells, strict=True)) == {
        "method": "kmeans[k=30]",
        "rank": "1 (a)",
        "K": "30",
        "mean [95 % interval]": f"{record['mean']:.4f} [{record['low']:.4f}, {record['high']:.4f}]".replace(
            "-", "−"
        ),
        "scored / unscored": "28 / 2",
        "difference to neurons": f"+{record['diff_to_baseline']:.4f} [{record['diff_low']:.4f}, "
        f"{record['diff_high']:.4f}]",
        "p (Holm)": "<0.001",
        "difference to random": f"+{record['diff_to_control']:.4f} [{record['control_low']:.4f}, "
        f"{record['control_high']:.4f}]",
    }
    assert row.best and not any(other.best for other in table.rows if other is not row)


def test_methods_that_cannot_be_told_apart_are_all_bold(sample: Run) -> None:
    board = sample.leaderboard().set_index("case")
    for table in tables_of(sample):
        letters = [
            set(re.findall(r"[a-z]\d*", board.loc[row.case]["tie_group"])) for row in table.rows
        ]
        assert [row.best for row in table.rows] == [bool(own & letters[0]) for own in letters]


@pytest.mark.parametrize("kind", ["directions", "trials"])
def test_captions_say_what_the_numbers_rest_on(kind: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(kind)
    table = tables_of(run)[0]
    unit = "one unit with all its stimuli" if run.trial_cases else "one direction, never an image"
    resamples = "24 resamples" if run.trial_cases else "10,000 resamples"
    for part in (unit, resamples, "Holm-corrected", "95 %", "n: "):
        assert part in table.caption, part
    text = export(run, "latex").decode("ascii")
    assert (
        latex(table.caption) in text and markdown(table.caption) in export(run, "markdown").decode()
    )


def test_cases_without_a_number_say_why(directions: Run) -> None:
    for name, escape in (("markdown", markdown), ("latex", latex)):
        text = export(directions, name).decode("utf-8")
        for reason in ("skipped: no weights", "error: it broke"):
            assert (
                f"No number for {'ica' if 'weights' in reason else 'nmf'}: {escape(reason)}" in text
            )


# -------------------------------------------------------------------------------------- LaTeX

# what the writer itself puts around text
STRUCTURE = re.compile(
    r"^(%.*|\\(begin|end)\{(table|tabular)\}.*|\\(centering|scriptsize|toprule|midrule|bottomrule)"
    r"|\\setlength\{\\tabcolsep\}\{3pt\}|\\label\{tab:[a-z0-9-]+\}|)$"
)


def test_latex_is_safe_and_rectangular(any_run: Run) -> None:
    text = export(any_run, "latex").decode("ascii")
    for environment in ("table", "tabular"):
        begun = text.count(rf"\begin{{{environment}}}")
        assert begun == text.count(rf"\end{{{environment}}}")
    columns = 0
    for line in text.splitlines():
        if match := re.match(r"\\begin\{tabular\}\{@\{\}(l[lr]*)@\{\}\}$", line):
            columns = len(match[1])
        if STRUCTURE.match(line):
            continue
        if line.startswith("\\caption"):
            check_latex(line.removeprefix("\\caption"))
            continue
        assert line.endswith(r" \\"), line
        row = line.removesuffix(r" \\")
        assert not row.startswith(("[", "*")), (
            "LaTeX would take it for an argument of the row before"
        )
        cells = re.split(r"(?<!\\) & ", row)
        assert len(cells) == columns
        for cell in cells:
            check_latex(re.sub(r"^\\textbf(?=\{)", "", cell))


def test_latex_labels_are_distinct(any_run: Run) -> None:
    labels = re.findall(r"\\label\{(.*)\}", export(any_run, "latex").decode("ascii"))
    assert len(labels) == len(set(labels)) == len(tables_of(any_run))


def test_latex_comment_keeps_to_its_line(evil: Run) -> None:
    first = export(evil, "latex").decode("ascii").splitlines()[0]
    assert first.startswith("% Results of ") and first.endswith("written by iibench.")
