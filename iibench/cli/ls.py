"""`iibench ls`: what plugins have registered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from iibench.cli.options import Folders, Requested, folder_options, plugin_options
from iibench.cli.plugin_list import plugin_lines
from iibench.contract.errors import UsageError

if TYPE_CHECKING:
    from iibench.assets.local import LocalResources
    from iibench.contract.base import AssetSpec
    from iibench.contract.evaluations import EvaluationBase
    from iibench.contract.specs import MetricSpec

#: With more layers than this a model's are counted by group.
MANY = 50
KINDS = (
    "datasets",
    "models",
    "layers",
    "finders",
    "metrics",
    "evaluations",
    "executors",
    "suites",
    "plugins",
)


@click.command("ls")
@click.argument("kind", type=click.Choice(KINDS))
@click.option("-v", "--verbose", is_flag=True, help="Parameters, citation, licence, files needed.")
@folder_options
@plugin_options
def command(
    kind: str,
    verbose: bool,
    folders: Folders,
    requested: Requested,
) -> None:
    """List everything of one KIND that a suite or a run may name, or the plugins themselves."""
    plugins = requested.load()
    if kind == "plugins":
        for record in plugins.records:
            for line in plugin_lines(record, verbose):
                click.echo(line)
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

    where = folders.resources()
    for entry in getattr(plugins.registry, kind):
        spec = entry.spec
        click.echo(f"{spec.name}  {spec.summary}")
        if not verbose:
            continue
        for doc in describe(spec):
            default = "required" if doc.required else f"default {doc.default}"
            click.echo(f"    {doc.name}: {doc.type} ({default})  {doc.help}".rstrip())
        if kind == "metrics":
            click.echo(f"    input: {input_of(spec)}")
            click.echo(f"    similarity: in {spec.range}, larger = more alike; level: {spec.level}")
        if kind == "evaluations":
            click.echo(f"    gives: {gives(spec)}")
        if kind == "datasets":
            click.echo(f"    splits: {', '.join(spec.splits)}")
        for name, value in (
            ("citation", spec.citation),
            ("licence", spec.licence),
            ("plugin", entry.plugin),
        ):
            if value:
                click.echo(f"    {name}: {value}")
        for asset, state in zip(spec.assets, asset_states(spec.assets, where), strict=True):
            click.echo(f"    asset {asset.name}: {state}")


def gives(spec: EvaluationBase) -> str:
    """What an evaluation gives, and of what, in words."""
    from iibench.contract.evaluations import EvaluationSpec

    needs = "needs a metric" if spec.needs_metric else "needs no metric"
    if not isinstance(spec, EvaluationSpec):
        return f"agreement with people on a dataset of trials; {needs}"
    unit = f" ({spec.unit})" if spec.unit else ""
    if spec.is_analysis:
        return f"an analysis: measures, figures and tables, ranked nowhere; {needs}"
    return f"a score per direction{unit}; {needs}"


def input_of(spec: MetricSpec) -> str:
    """What a metric is given, in words."""
    if spec.input == "labels":
        return "class labels"
    if spec.input == "names":
        return "counts of the names that people gave"
    from iibench.suite.params import parse_params

    try:
        size = spec.size(parse_params(spec, {}))
    except UsageError:  # a parameter without a default
        return "RGB images in [0, 1]"
    at = "at their own size" if size is None else f"resized to {size} x {size}"
    return f"RGB images in [0, 1], {at}"


def asset_states(assets: Sequence[AssetSpec], where: LocalResources) -> Iterator[str]:
    """Of each asset: ready and where, to be fetched and how big, or not reachable from here."""
    from iibench.assets.download import unreachable
    from iibench.assets.local import status

    states = [status(asset, where) for asset in assets]
    wanted = [a for a, s in zip(assets, states, strict=True) if s.state == "missing"]
    urls = [file.url or file.record for asset in wanted for file in asset.files]
    dead = set() if where.offline else unreachable(url for url in urls if url)
    for asset, found in zip(assets, states, strict=True):
        if found.state != "missing":
            yield f"ready ({found.path})" if found.state == "ready" else f"damaged: {found.detail}"
            continue
        size = f"{found.size / 1e6:,.1f} MB" if found.size else "size unknown"
        sources = [
            source
            for file in asset.files
            for source in (file.url or file.record, file.package)
            if source and source not in dead and not where.offline
        ]
        if sources:
            yield f"to be fetched: {size} ({sources[0]})"
        else:
            why = "offline" if where.offline else "not reachable"
            yield f"{why}: {size}; by hand: iibench assets {asset.name}"
