"""`iibench compare`: which cases and units changed between two runs, and by how much."""

from __future__ import annotations

from pathlib import Path

import click

from iibench.cli.main import EXIT_FAILED, EXIT_OK
from iibench.cli.options import UserPath


@click.command(
    "compare",
    epilog="Examples:  iibench compare before after -o changes  |  "
    "iibench compare before after --fail-if 'ii/lpips < -0.002'",
)
@click.argument("a", type=UserPath(path_type=Path))
@click.argument("b", type=UserPath(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=UserPath(path_type=Path),
    metavar="DIR",
    help="Also write a page with the changes and their images into this folder.",
)
@click.option(
    "--fail-if",
    "conditions",
    multiple=True,
    metavar="EXPR",
    help="End with exit code 1 where this holds for a case (repeatable): EVALUATION[/METRIC[/FINDER]] "
    "OP NUMBER, on the difference of means, B minus A; with bars, |ii/lpips| > 0.001, on its size. "
    "* stands for any name.",
)
@click.option(
    "--all", "every", is_flag=True, help="Show every line, and cases that did not change."
)
def command(a: Path, b: Path, output: Path | None, conditions: tuple[str, ...], every: bool) -> int:
    """Hold run B against run A: settings, cases and units that changed, and by how much.

    A and B are run folders. Exit code 1 where a --fail-if holds, else 0.
    """
    from iibench.cli.terminal.comparison import print_comparison
    from iibench.cli.terminal.progress import make_console
    from iibench.results.comparison.conditions import judge_conditions, read_condition
    from iibench.results.comparison.runs import compare_runs
    from iibench.results.run import load_run

    read = [read_condition(text) for text in conditions]
    found = compare_runs(load_run(a), load_run(b))
    outcomes = judge_conditions(read, found)
    page = None
    if output is not None:
        from iibench.report.comparison.page import write_comparison

        page = write_comparison(found, output, outcomes)
    console = make_console()
    print_comparison(console, found, outcomes, every)
    if page is not None:
        click.echo(f"page: {page}")
    return EXIT_FAILED if any(outcome.holds for outcome in outcomes) else EXIT_OK
