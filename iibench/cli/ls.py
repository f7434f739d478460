"""`iibench ls`: what plugins have registered."""

from __future__ import annotations

from collections import Counter

import click

from iibench.cli.options import load, plugin_options

#: With more layers than this a model's are counted by group.
MANY = 50
KINDS = ("datasets", "models", "layers", "finders", "metrics", "evaluations", "suites", "plugins")


@click.command("ls")
@click.argument("kind", type=click.Choice(KINDS))
@click.option("-v", "--verbose", is_flag=True, help="Parameters, citation, licence, files needed.")
@plugin_options
def command(
    kind: str, verbose: bool, plugin_names: tuple[str, ...], plugins_dirs: tuple[str, ...]
) -> None:
    """List everything of one KIND that a suite may name, or the plugins themselves."""
    plugins = load(plugin_names, plugins_dirs)
    if kind == "plugins":
        for record in plugins.records:
            state = "" if record.status == "ok" else f"  {record.status}: {record.reason}"
            origin = f"{record.distribution} {record.version}".strip() or record.module
            click.echo(f"{record.name}  ({record.source}, {origin}){state}")
            for line in (*record.registers, *record.details.splitlines()) if verbose else ():
                click.echo(f"    {line}")
        return
    if kind == "suites":
        from iibench.suite.load import shipped_suites

        for name, summary in shipped_suites().items():
            click.echo(f"{name}  {summary}")
        return
    if kind == "layers":
        for model, layers in sorted(plugins.registry.layers.items()):
            click.echo(model)
            if len(layers) > MANY and not verbose:
                for group, n in Counter(layer.group for layer in layers).items():
                    click.echo(f"    {group or 'no group'}: {n} layers (all of them with -v)")
                continue
            for layer in layers:
                click.echo(f"    {layer.name}  {layer.path}  {layer.summary}".rstrip())
        click.echo("Any module path of a model is a layer too, such as layer3.2.conv1.")
        return
    from iibench.suite.params import describe

    for entry in getattr(plugins.registry, kind):
        spec = entry.spec
        click.echo(f"{spec.name}  {spec.summary}")
        if not verbose:
            continue
        for doc in describe(spec):
            default = "required" if doc.required else f"default {doc.default}"
            click.echo(f"    {doc.name}: {doc.type} ({default})  {doc.help}".rstrip())
        if kind == "metrics":
            click.echo(f"    level: {spec.level}; similarity in {spec.range}; input: {spec.input}")
        if kind == "datasets":
            click.echo(f"    splits: {', '.join(spec.splits)}")
        for name, value in (
            ("citation", spec.citation),
            ("licence", spec.licence),
            ("files", ", ".join(asset.name for asset in spec.assets)),
            ("plugin", entry.plugin),
        ):
            if value:
                click.echo(f"    {name}: {value}")
