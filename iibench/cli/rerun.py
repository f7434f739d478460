"""`iibench rerun`: repeat a run from its run.json and report the largest deviation."""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iibench.cli.main import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_NOTHING, EXIT_OK
from iibench.cli.options import (
    Folders,
    Requested,
    UserPath,
    device_option,
    folder_options,
    plugin_options,
)
from iibench.contract.errors import UsageError

if TYPE_CHECKING:
    from iibench.results.run import Run


@click.command(
    "rerun", epilog="Examples:  iibench rerun reports/sample  |  iibench rerun RUN --tolerance 0"
)
@click.argument("run", type=UserPath(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=UserPath(path_type=Path),
    metavar="DIR",
    help="The new run's folder. [default: reports/NAME-rerun-TIME]",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=1e-5,
    show_default=True,
    help="The largest change of a score or mean that counts as the same (absolute).",
)
@click.option(
    "--cached", is_flag=True, help="Take computed values from the cache instead of computing anew."
)
@click.option(
    "--base-dir",
    type=UserPath(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="The folder that relative paths in the suite refer to. [default: the folder of the shipped "
    "suite that it is, else the current one]",
)
@device_option("Where to compute. [default: the run's device, where it is there]", None)
@click.option("-q", "--quiet", is_flag=True, help="No line per case.")
@folder_options
@plugin_options
def command(
    run: Path,
    output: Path | None,
    tolerance: float,
    cached: bool,
    base_dir: Path | None,
    device: str | None,
    quiet: bool,
    folders: Folders,
    requested: Requested,
) -> int:
    """Repeat RUN (a run folder) from its run.json, and say how far the new numbers are from the old.

    Everything is computed anew; downloaded files stay in use. Exit code 1 where the largest deviation is
    above the tolerance or a case ended otherwise, 5 where every case was skipped, else 0.
    """
    from iibench.results.run import load_run

    before = load_run(run)
    plugins = requested.load()
    from iibench.cli.terminal.comparison import print_deviations
    from iibench.cli.terminal.progress import TerminalReporter, make_console, print_nothing
    from iibench.results.comparison.runs import compare_runs
    from iibench.runner.claim import remove_if_empty
    from iibench.runner.execute import execute
    from iibench.runner.rerun import (
        breaks,
        deviations,
        missing_plugins,
        prepare_rerun,
        rerun_folder,
    )

    folder = output or rerun_folder(before)  # made here, so that no other repetition takes it
    if folder.resolve() == before.folder.resolve():
        raise UsageError(
            f"--output {folder}: this is the run to be repeated; choose another folder"
        )
    for sentence in missing_plugins(before, plugins):
        click.echo(f"iibench: {sentence}", err=True)
    console = make_console()
    reporter = TerminalReporter(console, plugins, -1 if quiet else 0)
    plugins.manager.register(reporter, "terminal")
    try:
        with tempfile.TemporaryDirectory(prefix="iibench-") as place:
            session = prepare_rerun(
                before,
                plugins,
                Path(place),
                device=_device(device, before),
                output=folder,
                base_dir=base_dir,
                fresh=not cached,
                verbosity=-1 if quiet else 0,
                command=shlex.join(["iibench", *sys.argv[1:]]),
                **vars(folders),
            )
        result = execute(session)
    finally:
        reporter.stop()
        if output is None:
            remove_if_empty(folder)
    found = compare_runs(before, result)
    apart, broken = deviations(found), breaks(found)
    print_deviations(console, found, apart, broken, tolerance)
    for part in result.meta.get("missing", ()):
        click.echo(f"iibench: warning: {part}", err=True)
    if result.meta["interrupted"]:
        return EXIT_INTERRUPTED
    far = any(deviation.largest > tolerance for deviation in apart)
    if far or broken or result.meta.get("missing"):
        return EXIT_FAILED
    if not result.measured:
        print_nothing(console, f"every case was skipped ({len(result.reports)})")
        return EXIT_NOTHING
    return EXIT_OK


def _device(asked: str | None, before: Run) -> str:
    """The device asked for, else the run's own, else the best that is here, which is said."""
    from iibench.runner.session import resolve_device

    if asked is not None:
        return asked
    recorded = str(before.meta.get("device") or "auto")
    try:
        return resolve_device(recorded)
    except UsageError:
        found = resolve_device("auto")
        click.echo(f"iibench: warning: the run was on {recorded}; this one is on {found}", err=True)
        return found
