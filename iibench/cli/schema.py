"""`iibench schema`: the JSON Schemas of suites and of exported results, for editors and checkers."""

from __future__ import annotations

import json

import click

from iibench.cli.options import Requested, plugin_options


@click.command("schema")
@click.option(
    "--results", is_flag=True, help="Of what `iibench report --format json` writes, instead."
)
@plugin_options
def command(results: bool, requested: Requested) -> None:
    """Print the JSON Schema of a suite, with the parameters of every plugin that is installed."""
    if results:
        from iibench.report.export import results_schema

        click.echo(json.dumps(results_schema(), indent=2))
        return
    plugins = requested.load()
    from iibench.suite.jsonschema import suite_schema

    click.echo(json.dumps(suite_schema(plugins.registry), indent=2))
