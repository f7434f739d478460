"""Options that several verbs share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from iibench.contract.paths import user_path

if TYPE_CHECKING:
    from iibench.assets.local import LocalResources
    from iibench.hooks.loaded import Plugins

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Requested:
    """The values of `-p` and `--plugins-dir`."""

    names: tuple[str, ...]
    folders: tuple[str, ...]

    def load(self) -> Plugins:
        """The plugins, with a warning on standard error for each that cannot be used."""
        from iibench.hooks.loading import load_plugins

        plugins = load_plugins(self.names, self.folders)
        for record in plugins.broken():
            click.echo(f"iibench: warning: plugin {record.name}: {record.reason}", err=True)
        return plugins


@dataclass(frozen=True)
class Folders:
    """The values of `--data-dir`, `--cache-dir` and `--offline`."""

    data_dir: Path | None
    cache_dir: Path | None
    offline: bool

    def resources(self) -> LocalResources:
        """Resources for verbs that handle files and compute nothing."""
        from iibench.assets.local import LocalResources, default_cache_dir, default_data_dir

        return LocalResources(
            data_dir=self.data_dir or default_data_dir(),
            cache_dir=self.cache_dir or default_cache_dir(),
            device="cpu",
            base_dir=Path.cwd(),
            offline=self.offline,
        )


class UserPath(click.Path):
    """A path on the command line or in the environment, where `~` is the home folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; raises `UsageError` where the home folder is not known."""
        return super().convert(user_path(value), param, ctx)


def plugin_options(function: F) -> F:
    """`-p` and `--plugins-dir`, handed on as `requested`."""
    function = _gathered(function, "requested", Requested, ("plugin_names", "plugins_dirs"))
    for option in (
        click.option(
            "--plugins-dir",
            "plugins_dirs",
            multiple=True,
            metavar="DIR",
            help="Load every .py with hooks directly in DIR as a plugin (repeatable).",
        ),
        click.option(
            "-p",
            "--plugin",
            "plugin_names",
            multiple=True,
            metavar="NAME",
            help="Load the module or file NAME as a plugin, or block a plugin with no:NAME (repeatable).",
        ),
    ):
        function = option(function)
    return function


def folder_options(function: F) -> F:
    """`--data-dir`, `--cache-dir`, `--offline`, handed on as `folders`."""
    function = _gathered(function, "folders", Folders, ("data_dir", "cache_dir", "offline"))
    for option in (
        click.option("--offline", is_flag=True, help="Never download anything."),
        click.option(
            "--cache-dir",
            type=UserPath(path_type=Path),
            envvar="IIBENCH_CACHE",
            help="Where computed values are kept. [env: IIBENCH_CACHE]",
        ),
        click.option(
            "--data-dir",
            type=UserPath(path_type=Path),
            envvar="IIBENCH_DATA",
            help="Your folder of datasets and weights. [env: IIBENCH_DATA]",
        ),
    ):
        function = option(function)
    return function


def metric_option(function: F) -> F:
    """`--metric`."""
    option = click.option(
        "--metric",
        "metrics",
        multiple=True,
        metavar="LABEL",
        help="Add a metric to the suite's, e.g. dists or 'lpips[net=vgg]' (repeatable).",
    )
    return option(function)


def executor_options(function: F) -> F:
    """`--executor`, `--address`, `--shared-cache`, `--shard-size`."""
    for option in (
        click.option(
            "--shard-size",
            type=click.IntRange(min=1),
            metavar="N",
            help="Images of one worker's task. [default: 256 to 8192, by how many there are]",
        ),
        click.option(
            "--shared-cache",
            envvar="IIBENCH_SHARED_CACHE",
            metavar="URL",
            help="A folder or object store (s3://...) behind the cache, for processes on several "
            "machines. [env: IIBENCH_SHARED_CACHE]",
        ),
        click.option(
            "--address",
            metavar="ADDRESS",
            help="The cluster of the executor: short for its parameter of this name.",
        ),
        click.option(
            "--executor",
            default="local",
            show_default=True,
            metavar="LABEL",
            help="Where the work is done, e.g. ray or 'ray[workers=4]' (all: iibench ls executors).",
        ),
    ):
        function = option(function)
    return function


def executor_label(executor: str, address: str | None) -> str:
    """The executor's label with the address that was given beside it."""
    if address is None:
        return executor
    from iibench.contract.errors import UsageError
    from iibench.suite.labels import format_value, join_label, read_label

    written = read_label(executor)
    if "address" in written.params:
        raise UsageError(f"--address {address}: --executor {executor} has an address already")
    params = {**written.params, "address": format_value(address)}
    return join_label(written.name, [f"{key}={value}" for key, value in params.items()])


def device_option(
    help_text: str = "Where to compute.", default: str | None = "auto"
) -> Callable[[F], F]:
    """`--device`."""
    return click.option(
        "--device",
        default=default,
        type=click.Choice(["auto", "cpu", "cuda", "mps"]),
        show_default=default is not None,
        help=help_text,
    )


def _gathered(function: F, name: str, kind: Callable[..., Any], parts: tuple[str, ...]) -> F:
    """The function with several options as one argument."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        kwargs[name] = kind(*(kwargs.pop(part) for part in parts))
        return function(*args, **kwargs)

    return cast(F, call)
