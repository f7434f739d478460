"""`iibench assets`: the files that plugins need: which are there, fetching and checking them, and which
images an asset refers to without holding them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iibench.cli.main import EXIT_FAILED, EXIT_NOTHING, EXIT_OK
from iibench.cli.options import Folders, Requested, UserPath, folder_options, plugin_options
from iibench.contract.errors import AssetError, UsageError, unknown_name

if TYPE_CHECKING:
    from iibench.assets.local import LocalResources
    from iibench.contract.base import AssetSpec
    from iibench.hooks.loaded import Plugins

STANDARD_OUTPUT = "-"


class _AssetsOrVerbs(click.Group):
    """`iibench assets NAME` is about one asset where NAME is no verb."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb, or `about` with all arguments."""
        if self.get_command(ctx, args[0]) is None:
            return about.name, about, args
        return super().resolve_command(ctx, args)


@click.group("assets", cls=_AssetsOrVerbs, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Files that plugins need: weights and datasets. Without a verb: list them.

    `iibench assets NAME` is about one of them; with --list-images [FILE] it lists the images that the
    asset refers to and that have to be got elsewhere.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_assets)


@command.command("list")
@folder_options
@plugin_options
def list_assets(folders: Folders, requested: Requested) -> None:
    """Name, state, size and users of every asset, and how to put a missing one in place by hand."""
    where = folders.resources()
    click.echo(f"data folder: {where.data_dir}")
    for asset, users in requested.load().registry.assets().values():
        _describe(asset, users, where)


@click.command("about")
@click.argument("name")
@click.option(
    "--list-images",
    "listing",
    is_flag=False,
    flag_value=STANDARD_OUTPUT,
    metavar="[FILE]",
    help="Write the names of the images that the asset refers to, one a line, to FILE or here.",
)
@click.option(
    "--folder",
    type=UserPath(path_type=Path),
    help="Where the asset lies, if not at its usual place.",
)
@folder_options
@plugin_options
def about(
    name: str,
    listing: str | None,
    folder: Path | None,
    folders: Folders,
    requested: Requested,
) -> None:
    """State of the asset NAME, or the list of the images that it refers to."""
    where = folders.resources()
    known = requested.load().registry.assets()
    if name not in known:
        verbs = tuple(command.commands)
        raise UsageError(unknown_name("asset or verb", name, [*known, *verbs], "iibench assets"))
    asset, users = known[name]
    if listing is None:
        _describe(asset, users, where)
        return
    if asset.listing is None:
        able = ", ".join(n for n, (a, _) in known.items() if a.listing) or "none does"
        raise UsageError(f"the asset {name} refers to no images; those that do: {able}")
    names = list(asset.listing(where, folder))
    if listing == STANDARD_OUTPUT:
        click.echo("".join(f"{line}\n" for line in names), nl=False)
        return
    from iibench.results.own_folder import write_file

    try:
        write_file(
            Path(listing), "".join(f"{line}\n" for line in names).encode("utf-8", "surrogateescape")
        )
    except OSError as error:
        raise UsageError(f"{listing} cannot be written: {error.strerror}") from error
    click.echo(f"{len(names):,} names in {listing}")


def _of_assets(verb: Callable[[LocalResources, list[AssetSpec]], int]) -> Callable[..., int]:
    """A verb about the assets NAMES, or all of them, with the options of folders and plugins."""

    @click.argument("names", nargs=-1)
    @folder_options
    @plugin_options
    @wraps(verb)
    def called(names: tuple[str, ...], folders: Folders, requested: Requested) -> int:
        return verb(folders.resources(), _chosen(requested.load(), names))

    return called


@command.command("fetch")
@_of_assets
def fetch(where: LocalResources, assets: list[AssetSpec]) -> int:
    """Download the assets NAMES (all of them without NAMES) into the cache, checked by SHA-256.

    Of a public record whose hashes are not known beforehand they are recorded on first use.
    """
    where = replace(
        where,
        say=lambda text: click.echo(text, err=True),
        progress=_progress if sys.stderr.isatty() else _nothing,
    )
    code = EXIT_OK
    for asset in assets:
        try:
            _, path = where.asset(asset)
        except AssetError as error:
            click.echo(f"{asset.name}: {error}", err=True)
            code = EXIT_FAILED
        else:
            click.echo(f"{asset.name}: {path}")
    return code


@command.command("verify")
@_of_assets
def verify(where: LocalResources, assets: list[AssetSpec]) -> int:
    """Check the files of the assets NAMES (all of them without NAMES) against their SHA-256."""
    from iibench.assets.local import status

    code, checked = EXIT_OK, False
    for asset in assets:
        state = status(asset, where)
        click.echo(f"{asset.name}: {state.state}  {state.detail}".rstrip())
        checked |= state.state != "missing"
        if state.state == "damaged":
            code = EXIT_FAILED
    if not checked:
        click.echo("NOTHING WAS CHECKED: no file of these assets is on disk")
        return EXIT_NOTHING
    return code


def _chosen(plugins: Plugins, names: tuple[str, ...]) -> list[AssetSpec]:
    known = plugins.registry.assets()
    for name in names:
        if name not in known:
            raise UsageError(unknown_name("asset", name, known, "iibench assets"))
    return [asset for name, (asset, _) in known.items() if not names or name in names]


def _describe(asset: AssetSpec, users: list[str], where: LocalResources) -> None:
    from iibench.assets.local import by_hand, status

    state = status(asset, where)
    click.echo(f"{asset.name}  {state.state}  {_size(state.size)}  for {', '.join(users)}")
    click.echo(f"    {asset.summary}  {asset.homepage}".rstrip())
    if state.state == "ready":
        click.echo(f"    {state.path}")
    else:
        for line in by_hand(asset, where).splitlines():
            click.echo(f"    {line}")


def _progress(name: str, done: int, total: int) -> None:
    """One line on the terminal, written over."""
    end = "\n" if done == total else ""
    click.echo(f"\r{name}  {done / 1e6:,.0f} of {_size(total)}{end}", nl=False, err=True)


def _nothing(name: str, done: int, total: int) -> None:
    """Reports nothing."""


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size else "size unknown"
