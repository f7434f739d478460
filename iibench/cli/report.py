"""`iibench report`: make the pages of runs anew from their folders."""

from __future__ import annotations

from pathlib import Path

import click

from iibench.cli.options import load, plugin_options


@click.command("report")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@plugin_options
def command(
    runs: tuple[Path, ...], plugin_names: tuple[str, ...], plugins_dirs: tuple[str, ...]
) -> None:
    """Write the page of each of RUNS (run folders) anew and print their leaderboards.

    Only the results in the folder are read: no model, no dataset, no cache.
    """
    plugins = load(plugin_names, plugins_dirs)
    from iibench.report.page import write_page
    from iibench.results import load_run
    from iibench.terminal import make_console, print_summary

    console = make_console()
    for path in runs:
        run = load_run(path)
        sections, failures = plugins.collect("iibench_report_sections", run=run)
        for failure in failures:
            click.echo(f"iibench: warning: {failure}", err=True)
        write_page(run, run.folder, sections)
        print_summary(console, run, run.folder)
