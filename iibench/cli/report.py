"""`iibench report`: pages, sites and exports of runs, made from their folders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iibench.cli.options import Requested, UserPath, plugin_options
from iibench.contract.errors import UsageError

if TYPE_CHECKING:
    from iibench.contract.measures import Section
    from iibench.hooks.loaded import Plugins
    from iibench.results.run import Run


@click.command(
    "report",
    epilog="Examples:  iibench report reports -o site  |  iibench report RUN --format latex",
)
@click.argument("runs", nargs=-1, required=True, type=UserPath(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=UserPath(path_type=Path),
    metavar="PATH",
    help="A folder for a site of all RUNS; with --single-file or --format, the file to write.",
)
@click.option(
    "--single-file",
    is_flag=True,
    help="One file with everything inside, up to 20 MB. [default: RUN/report.html]",
)
@click.option(
    "--format",
    "format_name",
    metavar="NAME",
    help="Export instead of a page: json, csv, parquet, junit, markdown, latex or bibtex.",
)
@plugin_options
def command(
    runs: tuple[Path, ...],
    output: Path | None,
    single_file: bool,
    format_name: str | None,
    requested: Requested,
) -> None:
    """Write the page of each of RUNS anew, a site of them (-o), one file, or an export.

    RUNS are run folders, or folders that hold run folders. Only the results in them are read: no model,
    no dataset, no cache.
    """
    from iibench.results.run import load_runs

    if single_file and format_name is not None:
        raise UsageError("--single-file and --format exclude each other")
    plugins = requested.load()
    found, problems = load_runs(runs)
    for problem in problems:
        click.echo(f"iibench: warning: {problem}", err=True)
    try:
        if format_name is not None:
            _export(_only(found, f"--format {format_name}"), format_name, output)
        elif single_file:
            _single_file(_only(found, "--single-file"), plugins, output)
        elif output is not None:
            _site(found, plugins, output)
        else:
            _pages(found, plugins)
    except OSError as error:
        place = error.filename or output or "the run folder"
        raise UsageError(f"{place} cannot be written: {error.strerror}") from error


def _pages(runs: list[Run], plugins: Plugins) -> None:
    from iibench.cli.terminal.progress import make_console, print_summary
    from iibench.report.page import write_page
    from iibench.results.own_folder import RUN, own_folder
    from iibench.results.run import write_leaderboard

    console = make_console()
    for run in runs:
        with own_folder(run.folder, RUN) as own:
            if not (run.folder / "leaderboard.csv").is_file():
                new = own.new()
                write_leaderboard(new, run)
                own.put(new)
            write_page(run, own, _sections(plugins, run))
        print_summary(console, run, run.folder)


def _site(runs: list[Run], plugins: Plugins, output: Path) -> None:
    from iibench.report.site.page import write_site

    page = write_site(runs, output, lambda run: _sections(plugins, run))
    click.echo(f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}: {page}")


def _single_file(run: Run, plugins: Plugins, output: Path | None) -> None:
    from iibench.report.page import write_single
    from iibench.results.own_folder import RUN, own_folder

    sections = _sections(plugins, run)
    if output is None:
        page = run.folder / "report.html"
        with own_folder(run.folder, RUN) as own:
            new = own.new()
            write_single(run, new / page.name, sections)
            own.put(new)
    else:
        _check_file(output)
        page = write_single(run, output, sections)
    click.echo(f"{page} ({page.stat().st_size / 1e6:.1f} MB)")


def _export(run: Run, name: str, output: Path | None) -> None:
    from iibench.report.export import export
    from iibench.results.own_folder import write_file

    if output is not None:
        _check_file(output)
    content = export(run, name)
    if output is not None:
        write_file(output, content)
    elif name == "parquet":
        raise UsageError("--format parquet needs a file: name it with --output")
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


def _check_file(target: Path) -> None:
    """Raises `UsageError` where a file that was asked for would take the place of a folder or of results."""
    from iibench.results.run import FILES

    if target.is_dir():
        raise UsageError(f"--output {target}: this is a folder, a file is expected")
    if target.name in FILES and (target.parent / "run.json").is_file():
        raise UsageError(
            f"--output {target}: this is a file of a run's results; choose another name"
        )


def _only(runs: list[Run], option: str) -> Run:
    if len(runs) != 1:
        raise UsageError(f"{option} is about one run; {len(runs)} were found")
    return runs[0]


def _sections(plugins: Plugins, run: Run) -> list[Section]:
    sections, failures = plugins.collect("iibench_report_sections", run=run)
    for failure in failures:
        click.echo(f"iibench: warning: {failure}", err=True)
    return sections
