"""`iibench validate`: check suites without running them."""

from __future__ import annotations

import click

from iibench.cli.main import EXIT_OK, EXIT_USAGE
from iibench.cli.options import Requested, plugin_options
from iibench.contract.errors import UsageError


@click.command("validate")
@click.argument("suites", nargs=-1, required=True)
@plugin_options
def command(suites: tuple[str, ...], requested: Requested) -> int:
    """Check each of SUITES: syntax, keys, names, parameters, and that its cases can be collected."""
    plugins = requested.load()
    from iibench.suite.collect import collect
    from iibench.suite.load import load_suite

    code = EXIT_OK
    for suite in suites:
        try:
            cases = collect(load_suite(suite, plugins.registry), plugins.registry)
        except UsageError as error:
            click.echo(str(error), err=True)
            code = EXIT_USAGE
        else:
            click.echo(f"{suite}: valid, {len(cases)} cases")
    return code
