"""`iibench schema`: the JSON Schemas of suites and of exported results, for editors and checkers."""

from __future__ import annotations

import json

import click

from iibench.cli.options import load, plugin_options


@click.command("schema")
@click.option(
    "--results", is_flag=True, help="Of what `iibench report --format json` writes, instead."
)
@plugin_options
def command(results: bool, plugin_names: tuple[str, ...], plugins_dirs: tuple[str, ...]) -> None:
    """Print the JSON Schema of a suite, with the parameters of every plugin that is installed."""
    if results:
        from iibench.report.export import results_schema

        click.echo(json.dumps(results_schema(), indent=2))
        return
    plugins = load(plugin_names, plugins_dirs)
    from iibench.suite.jsonschema import suite_schema

    click.echo(json.dumps(suite_schema(plugins.registry), indent=2))
