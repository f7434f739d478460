"""`iibench cache`: how large the cache is, and emptying it."""

from __future__ import annotations

from pathlib import Path

import click

from iibench.assets.local import default_cache_dir
from iibench.cli.options import UserPath


@click.group("cache")
def command() -> None:
    """Look at the cache of computed values, or empty it."""


def _cache_dir_option() -> click.Option:
    return click.Option(
        ["--cache-dir"],
        type=UserPath(path_type=Path),
        envvar="IIBENCH_CACHE",
        help="The cache folder. [env: IIBENCH_CACHE]",
    )


@command.command("size", params=[_cache_dir_option()])
def size(cache_dir: Path | None) -> None:
    """Entries and bytes of each kind."""
    from iibench.cache.entries import Cache

    root = cache_dir or default_cache_dir()
    click.echo(f"cache folder: {root}")
    total = 0
    for kind, (entries, used) in Cache(root).sizes().items():
        total += used
        click.echo(f"{kind:12} {entries:7,} entries {used / 1e6:10,.1f} MB")
    click.echo(f"{'total':12} {total / 1e6:26,.1f} MB")


@command.command("clear", params=[_cache_dir_option()])
@click.argument("kind", required=False)
def clear(kind: str | None, cache_dir: Path | None) -> None:
    """Remove all computed values, or those of one KIND. Downloaded files are kept."""
    from iibench.cache.entries import Cache
    from iibench.contract.errors import UsageError, unknown_name

    cache = Cache(cache_dir or default_cache_dir())
    kinds = cache.sizes()
    if kind is not None and kind not in kinds:
        raise UsageError(unknown_name("kind of cache entry", kind, kinds))
    cache.clear(kind)
    removed = sum(used for name, (_, used) in kinds.items() if kind in {None, name})
    click.echo(f"removed {removed / 1e6:,.1f} MB")
