"""The page of a run on trials, from results alone; see report/page.py for what both kinds of page promise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from iibench.report.shared.base import PageOutput, environment, shared

if TYPE_CHECKING:
    from iibench.contract.measures import Section
    from iibench.contract.reports import TrialReport
    from iibench.report.shared.plots import Figure
    from iibench.report.trials.tables import Board, Row
    from iibench.report.trials.units import UnitNumber
    from iibench.results.run import Run

#: Tables of the run folder that the page points to.
TABLES = {
    "measures.parquet": "every number, also of every group",
    "trials.parquet": "stimuli with their votes",
    "answers.parquet": "votes by confidence",
    "margins.parquet": "margins",
    "unit_measures.parquet": "numbers of single units",
    "curves.parquet": "curves",
    "resamples.parquet": "resamples",
}
#: Evaluations whose answer is seen at once; an answer is a few sentences.
MOST_ANSWERS = 3
#: Marks made-up data in the notes of a dataset.
SYNTHETIC = "SYNTHETIC"


def render_trials(run: Run, output: PageOutput, sections: Sequence[Section] = ()) -> str:
    """The HTML of the page; the data of its plots go to `output`."""
    from markupsafe import Markup

    from iibench.report.directions.words import folded_after
    from iibench.report.trials.choice import main_report
    from iibench.report.trials.groups import further_tables, group_tables
    from iibench.report.trials.pictures import pictures
    from iibench.report.trials.published import published
    from iibench.report.trials.tables import boards, evaluated
    from iibench.report.trials.words import definitions, headlines

    found = boards(run)
    report = main_report(run.trial_cases)
    names = _unit_names(run, report)
    numbers = _unit_numbers(found, report, names)
    figures = _figures(run, found, report, numbers, output)
    datasets = {label: evaluated(run, label) for label in run.meta.get("datasets", {})}
    notes = [note for split in datasets.values() for note in split.get("notes", ())]
    made = environment(run)
    style = (files("iibench.report") / "templates" / "trials/page.css").read_text("utf-8")
    return made.get_template("trials/page.html").render(
        **shared(run, sections, {}, output),
        **figures,
        trial_style=Markup(style),
        boards=found,
        side_by_side=_side_by_side(found),
        groups=[group_tables(board) for board in found],
        part_groups=[group_tables(board, parts=True) for board in found],
        further_groups=[further_tables(board) for board in found],
        published=published(run, found),
        pictures=pictures(run, found, report, names),
        unit_numbers=numbers,
        unit_about=_about(report),
        datasets=datasets,
        synthetic=[note for note in notes if is_synthetic(note)],
        tables={name: what for name, what in TABLES.items() if (run.folder / name).is_file()},
        answers=folded_after(headlines(found), MOST_ANSWERS),
        definitions=definitions(run, found),
    )


def _figures(
    run: Run,
    boards: Sequence[Board],
    report: TrialReport | None,
    numbers: Sequence[UnitNumber],
    output: PageOutput,
) -> dict[str, Any]:
    """The page's figures with their names, by board; what plotly draws goes to `plots` of the output."""
    from iibench.report.shared.plots import plot_data
    from iibench.report.trials.curves import curve_figures
    from iibench.report.trials.plots import headline_figure, metric_looks, unit_figure

    looks = metric_looks(run.trial_cases)
    plots: dict[str, Any] = {}

    def placed(name: str, figures: Sequence[Figure | None]) -> list[tuple[str, Figure]]:
        kept = [figure for figure in figures if figure is not None]
        made = [(f"{name}-{i}", figure) for i, figure in enumerate(kept)]
        plots.update(plot_data(made))
        return made

    curves = list(enumerate(curve_figures(boards, looks)))
    metric = _about(report)[0]
    figures: dict[str, Any] = {
        "dots": [placed(f"dots-{i}", [headline_figure(b, looks)]) for i, b in enumerate(boards)],
        "shown_curves": [placed(f"curve-{i}", c.shown) for i, c in curves],
        "folded_curves": [placed(f"folded-{i}", c.folded) for i, c in curves],
        "curves_left_out": [c.left_out for _, c in curves],
        "undrawn": [c.undrawn for _, c in curves],
        "unit_plots": placed("unit", [unit_figure(n, metric, looks.get(metric)) for n in numbers]),
    }
    output.data("plots", plots)
    return figures


def _about(report: TrialReport | None) -> tuple[str, str]:
    """(metric, evaluation) of the case by which trials and units are chosen."""
    if report is None or report.metric is None:
        return "", report.evaluation.label if report else ""
    return report.metric.label, report.evaluation.label


def is_synthetic(note: str) -> bool:
    """Whether the first sentence of a dataset's note says that the data are made up."""
    return SYNTHETIC in re.split(r"[.:;!?](?:\s|$)", note, maxsplit=1)[0]


def _unit_names(run: Run, report: TrialReport | None) -> list[str]:
    """(U,) names in the order of the report's numbers of units; none where it has no such numbers."""
    if report is None or not report.per_unit or not (run.folder / "trials.parquet").is_file():
        return []
    table = run.unit_measures()
    rows = table[(table["case"] == report.id) & (table["measure"] == next(iter(report.per_unit)))]
    return [str(name) for name in rows["unit"]]


def _unit_numbers(
    boards: Sequence[Board], report: TrialReport | None, names: Sequence[str]
) -> list[UnitNumber]:
    from iibench.report.trials.units import unit_numbers

    rows = [(row, b.measures) for b in boards for row in b.rows if row.report is report]
    return unit_numbers(rows[0][0], names, rows[0][1]) if rows and names else []


def _side_by_side(
    boards: Sequence[Board],
) -> list[tuple[tuple[Board, ...], dict[str, tuple[Row | None, ...]]]]:
    """Boards of one evaluation with other parameters: its metrics -> their rows on each board."""
    grouped: dict[str, list[Board]] = {}
    for board in boards:
        if board.compared:
            grouped.setdefault(str(board.record.get("name")), []).append(board)
    found = []
    for several in grouped.values():
        if len(several) < 2:
            continue
        by_metric = [{row.metric: row for row in board.scored} for board in several]
        metrics = dict.fromkeys(row.metric for board in several for row in board.rows)
        rows = {metric: tuple(known.get(metric) for known in by_metric) for metric in metrics}
        found.append((tuple(several), rows))
    return found
