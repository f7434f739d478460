"""`iibench schema`: the JSON Schema of suites, for editors and checkers."""

from __future__ import annotations

import json

import click

from iibench.cli.options import load, plugin_options


@click.command("schema")
@plugin_options
def command(plugin_names: tuple[str, ...], plugins_dirs: tuple[str, ...]) -> None:
    """Print the JSON Schema of a suite, with the parameters of every plugin that is installed."""
    plugins = load(plugin_names, plugins_dirs)
    from iibench.suite.jsonschema import suite_schema

    click.echo(json.dumps(suite_schema(plugins.registry), indent=2))
