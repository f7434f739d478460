"""The Python face of `iibench run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iibench.assets import default_cache_dir, default_data_dir
from iibench.plugins import load_plugins
from iibench.runner import RunConfig, execute, prepare

if TYPE_CHECKING:
    from iibench.results import Run


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
) -> Run:
    """Runs a suite (a path, or the name of one that ships with iibench) and returns its results.

    The arguments are the options of `iibench run`: `device` is auto, cpu, cuda or mps; `output` is the
    run folder (a new one below `reports/` by default); `limit` images per split; `select` is a `-k`
    expression; `overrides` are `key=value` settings of the suite; `metrics` are added to the suite's own
    (labels as suites write them); `plugins` are modules, or `no:NAME`
    to block one; `plugins_dirs` are folders of one-file plugins.

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
    )
    return execute(prepare(config, load_plugins(plugins, plugins_dirs)))
