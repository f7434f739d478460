"""`iibench assets`: the files that plugins need: which are there, fetching and checking them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from iibench.cli.main import EXIT_FAILED, EXIT_OK
from iibench.cli.options import folder_options, load, plugin_options, resources
from iibench.errors import AssetError, UsageError, unknown_name

if TYPE_CHECKING:
    from iibench.plugins import Plugins
    from iibench.specs import AssetSpec


@click.group("assets", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Files that plugins need: weights and datasets. Without a verb: list them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_assets)


@command.command("list")
@folder_options
@plugin_options
def list_assets(
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    offline: bool = False,
    plugin_names: tuple[str, ...] = (),
    plugins_dirs: tuple[str, ...] = (),
) -> None:
    """Name, state, size and users of every asset, and how to put a missing one in place by hand."""
    from iibench.assets import by_hand, status

    where = resources(data_dir, cache_dir, offline)
    click.echo(f"data folder: {where.data_dir}")
    for asset, users in load(plugin_names, plugins_dirs).registry.assets().values():
        state = status(asset, where)
        click.echo(f"{asset.name}  {state.state}  {_size(state.size)}  for {', '.join(users)}")
        click.echo(f"    {asset.summary}  {asset.homepage}".rstrip())
        if state.state == "ready":
            click.echo(f"    {state.path}")
        else:
            for line in by_hand(asset, where).splitlines():
                click.echo(f"    {line}")


@command.command("fetch")
@click.argument("names", nargs=-1)
@folder_options
@plugin_options
def fetch(
    names: tuple[str, ...],
    data_dir: Path | None,
    cache_dir: Path | None,
    offline: bool,
    plugin_names: tuple[str, ...],
    plugins_dirs: tuple[str, ...],
) -> int:
    """Download the assets NAMES (all of them without NAMES) into the cache, checked by SHA-256."""
    where = resources(data_dir, cache_dir, offline)
    code = EXIT_OK
    for asset in _chosen(load(plugin_names, plugins_dirs), names):
        try:
            _, path = where.asset(asset)
        except AssetError as error:
            click.echo(f"{asset.name}: {error}", err=True)
            code = EXIT_FAILED
        else:
            click.echo(f"{asset.name}: {path}")
    return code


@command.command("verify")
@click.argument("names", nargs=-1)
@folder_options
@plugin_options
def verify(
    names: tuple[str, ...],
    data_dir: Path | None,
    cache_dir: Path | None,
    offline: bool,
    plugin_names: tuple[str, ...],
    plugins_dirs: tuple[str, ...],
) -> int:
    """Check the files of the assets NAMES (all of them without NAMES) against their SHA-256."""
    from iibench.assets import status

    where = resources(data_dir, cache_dir, offline)
    code = EXIT_OK
    for asset in _chosen(load(plugin_names, plugins_dirs), names):
        state = status(asset, where)
        click.echo(f"{asset.name}: {state.state}  {state.detail}".rstrip())
        if state.state == "damaged":
            code = EXIT_FAILED
    return code


def _chosen(plugins: Plugins, names: tuple[str, ...]) -> list[AssetSpec]:
    known = plugins.registry.assets()
    for name in names:
        if name not in known:
            raise UsageError(unknown_name("asset", name, known, "iibench assets"))
    return [asset for name, (asset, _) in known.items() if not names or name in names]


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size else "size unknown"
