"""The Python face of `iibench run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iibench.assets.local import default_cache_dir, default_data_dir
from iibench.cache.budget import parse_size
from iibench.cache.shared_store import default_shared_cache
from iibench.contract.config import RunConfig
from iibench.hooks.loading import load_plugins
from iibench.runner.execute import execute
from iibench.runner.session import prepare

if TYPE_CHECKING:
    from iibench.report.run import ShownRun


def run(
    suite: str | Path,
    *,
    device: str = "auto",
    output: str | Path | None = None,
    limit: int | None = None,
    seed: int | None = None,
    select: str = "",
    overrides: Sequence[str] = (),
    metrics: Sequence[str] = (),
    plugins: Sequence[str] = (),
    plugins_dirs: Sequence[str | Path] = (),
    data_dir: str | Path | None = None,
    cache_dir: str | Path | None = None,
    offline: bool = False,
    batch_size: int | None = None,
    memory: str | int | None = None,
    precision: str = "float32",
    executor: str = "local",
    shared_cache: str | None = None,
    shard_size: int | None = None,
) -> ShownRun:
    """Runs a suite (a path, or the name of one that ships with iibench) and returns its results.

    The arguments are the options of `iibench run`: `device` is auto, cpu, cuda or mps; `output` is the
    run folder (a new one below `reports/` by default); `limit` images per split; `select` is a `-k`
    expression; `memory` is what large arrays may take together (`4GiB`); `precision` is float32, bfloat16
    or float16; `overrides` are `key=value` settings of the suite; `metrics` are added to the suite's own
    (labels as suites write them); `plugins` are modules, or `no:NAME`
    to block one; `plugins_dirs` are folders of one-file plugins; `executor` is the label of where the
    work is done, `shared_cache` the address of the store behind the cache (by default
    `IIBENCH_SHARED_CACHE`), `shard_size` the images of one worker's task.

    Returns a `Run` with `.leaderboard()`, `.units()` and `.exemplars()` as pandas tables. Raises
    `iibench.errors.UsageError` where the suite or an option is wrong.
    """
    config = RunConfig(
        suite=str(suite),
        data_dir=Path(data_dir) if data_dir is not None else default_data_dir(),
        cache_dir=Path(cache_dir) if cache_dir is not None else default_cache_dir(),
        device=device,
        output=Path(output) if output is not None else None,
        limit=limit,
        seed=seed,
        keyword=select,
        overrides=tuple(overrides),
        metrics=tuple(metrics),
        offline=offline,
        batch_size=batch_size,
        memory=None if memory is None else parse_size(str(memory)),
        precision=precision,
        executor=executor,
        shared_cache=shared_cache or default_shared_cache(),
        shard_size=shard_size,
    )
    return execute(prepare(config, load_plugins(plugins, plugins_dirs)))
