"""`iibench run`: run a suite and write its page."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any

import click

from iibench.cli.main import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_NOTHING, EXIT_OK
from iibench.cli.options import (
    Folders,
    Requested,
    UserPath,
    device_option,
    executor_label,
    executor_options,
    folder_options,
    metric_option,
    plugin_options,
)
from iibench.compute.precision import PRECISIONS


@click.command(
    "run", epilog="Examples:  iibench run quickstart  |  iibench run my.yaml -k 'kmeans and lpips'"
)
@click.argument("suite")
@click.option(
    "-k",
    "keyword",
    default="",
    metavar="EXPR",
    help="Only cases whose id matches, e.g. 'kmeans and not label'.",
)
@click.option(
    "--collect-only", is_flag=True, help="Show the cases and the work they need; run nothing."
)
@click.option(
    "-x",
    "--exitfirst",
    "exit_first",
    is_flag=True,
    help="Stop at the first case that ends in an error.",
)
@click.option(
    "--lf",
    "--last-failed",
    "last_failed",
    is_flag=True,
    help="Only cases that failed when they last ran, with what their expectations compare them with; "
    "all where none is known to have failed.",
)
@click.option("-v", "--verbose", count=True, help="More detail: reasons and tracebacks.")
@click.option("-q", "--quiet", is_flag=True, help="No line per case.")
@device_option()
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Use N images of each split (a seeded choice).",
)
@click.option("--seed", type=click.IntRange(min=0), help="Instead of the suite's seed.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the suite (repeatable).",
)
@metric_option
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Images per forward pass. [default: what suits the device]",
)
@click.option(
    "--memory",
    metavar="SIZE",
    help="What large arrays of a process may take together, e.g. 4GiB; the rest is streamed. "
    "[default: half of the machine's]",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    show_default=True,
    help="Of networks and metrics; others than float32 are mixed precision, and stand in the results.",
)
@click.option(
    "-o",
    "--output",
    type=UserPath(path_type=Path),
    metavar="DIR",
    help="The run folder. [default: reports/SUITE-TIME]",
)
@executor_options
@folder_options
@plugin_options
def command(
    suite: str,
    collect_only: bool,
    verbose: int,
    quiet: bool,
    executor: str,
    address: str | None,
    folders: Folders,
    requested: Requested,
    **options: Any,
) -> int:
    """Run SUITE (a YAML file, or the name of one that ships with iibench) and write its page.

    Finished cases are kept: after Ctrl-C or a crash, the same command continues.
    """
    began = time.perf_counter()
    from iibench.cli.terminal.progress import (
        TerminalReporter,
        make_console,
        print_estimate,
        print_nothing,
        print_summary,
    )

    plugins = requested.load()
    from iibench.hooks.user_code.guard import contained
    from iibench.runner.execute import execute
    from iibench.runner.last_failed import read_last_failed
    from iibench.runner.options import run_config
    from iibench.runner.session import prepare

    config = run_config(
        suite,
        verbosity=-1 if quiet else verbose,
        command=shlex.join(["iibench", *sys.argv[1:]]),
        executor=executor_label(executor, address),
        **vars(folders),
        **options,
    )
    console = make_console()
    reporter = TerminalReporter(console, plugins, config.verbosity)
    plugins.manager.register(reporter, "terminal")
    try:
        session = prepare(config, plugins)
        if not session.cases:
            print_nothing(console, f"no case selected ({session.deselected} deselected)")
            return EXIT_NOTHING
        if collect_only:
            from iibench.runner.estimate.estimate import estimate
            from iibench.runner.rates import read_rates

            context = session.stages.context
            rates = read_rates(config.cache_dir, context.device, context.settings.precision)
            with contained(plugins.author_of):
                found = estimate(session, rates, began=began)
            print_estimate(console, session.cases, found)
            for note in session.notes.items:
                console.print(f"[yellow]warning: {note['text']}[/]", soft_wrap=True)
            return EXIT_OK
        result = execute(session)
    finally:
        reporter.stop()
    print_summary(console, result, result.folder)
    if result.meta["interrupted"]:
        return EXIT_INTERRUPTED
    if result.failed or result.meta.get("missing"):
        return EXIT_FAILED
    if not result.measured:
        print_nothing(console, f"every case was skipped ({len(result.reports)})")
        return EXIT_NOTHING
    # what failed before and was skipped now has not passed
    undecided = config.last_failed and any(
        case.id in read_last_failed(config, session.suite) for case in session.cases
    )
    return EXIT_FAILED if undecided else EXIT_OK
