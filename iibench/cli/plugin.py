"""`iibench plugin`: write a plugin, list plugins, check that what one registers is right."""

from __future__ import annotations

from pathlib import Path

import click

from iibench.cli.main import EXIT_FAILED, EXIT_NOTHING, EXIT_OK
from iibench.cli.options import (
    Folders,
    Requested,
    UserPath,
    device_option,
    folder_options,
    plugin_options,
)
from iibench.cli.plugin_list import plugin_lines

KINDS = ("metric", "finder", "model", "dataset", "evaluation")


@click.group("plugin")
def command() -> None:
    """Write a plugin, list them, check one."""


@command.command("ls")
@click.option("-v", "--verbose", is_flag=True, help="Files, and where a broken plugin broke.")
@plugin_options
def list_plugins(verbose: bool, requested: Requested) -> None:
    """Every plugin: source, distribution, version, what it registers, why one is not in use."""
    for record in requested.load().records:
        for line in plugin_lines(record, verbose):
            click.echo(line)


@command.command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What it registers.")
@click.option(
    "-o",
    "--output",
    type=UserPath(path_type=Path),
    metavar="DIR",
    help="The folder to make. [default: iibench-NAME]",
)
def new(name: str, kind: str, output: Path | None) -> None:
    """Write a small installable plugin that works as it stands: edit it from there."""
    from iibench.cli.plugin_new import write_plugin

    folder = write_plugin(name, kind, output)
    click.echo(f"{folder}: a plugin with the {kind} {name}, its test and its packaging")
    click.echo(f"next: pip install -e {folder}  and then  iibench plugin check {name}")


@command.command("check")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), help="Where several things have this name.")
@click.option("-v", "--verbose", is_flag=True, help="Also what was seen by checks that passed.")
@device_option()
@folder_options
@plugin_options
def check(
    name: str,
    kind: str | None,
    verbose: bool,
    device: str,
    folders: Folders,
    requested: Requested,
) -> int:
    """Check what a plugin registers: NAME is a plugin, or one thing as a suite writes it.

    For example `iibench plugin check lpips[net=vgg]`. Every check that fails says what was seen, what
    was expected and the likely cause. Exit code 5 where every check was skipped.
    """
    from iibench.cli.plugin_check import check_named, show, unchecked

    plugins = requested.load()
    where = folders.resources()
    reports = []
    for report in check_named(plugins, name, kind, where, device):
        show(report, verbose)
        reports.append(report)
    if any(report.failed for report in reports):
        return EXIT_FAILED
    return EXIT_NOTHING if unchecked(reports) else EXIT_OK
