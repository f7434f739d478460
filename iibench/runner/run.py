"""The Python face of `iibench run`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench.contract.errors import UsageError
from iibench.hooks.loading import load_plugins
from iibench.runner.execute import execute
from iibench.runner.options import run_config
from iibench.runner.session import prepare

if TYPE_CHECKING:
    from iibench.report.run import ShownRun


def run(
    suite: str | Path,
    *,
    select: str = "",
    plugins: Sequence[str] = (),
    plugins_dirs: Sequence[str | Path] = (),
    **options: Any,
) -> ShownRun:
    """Runs a suite (a path, or the name of one that ships with iibench) and returns its results.

    `select` is a `-k` expression; `plugins` are modules, or `no:NAME` to block one; `plugins_dirs` are
    folders of one-file plugins. `options` are the other options of `iibench run`, by the names of the
    fields of `RunConfig`: `device` (auto, cpu, cuda or mps), `output` (the run folder, a new one below
    `reports/` by default), `limit` (images per split), `seed`, `overrides` (`key=value` settings of the
    suite), `metrics` (labels of metrics added to the suite's), `data_dir`, `cache_dir`, `offline`,
    `batch_size`, `memory` (what large arrays may take together, such as `4GiB`), `precision` (float32,
    bfloat16 or float16), `executor` (label of where the work is done), `shared_cache` (address of the
    store behind the cache, by default `IIBENCH_SHARED_CACHE`), `shard_size` (images of one worker's task).

    Returns a `Run` with `.leaderboard()`, `.units()` and `.exemplars()` as pandas tables. Raises
    `UsageError` where the suite or an option is wrong and where no case is selected; warns
    where every case was skipped.

    >>> import tempfile
    >>> from iibench.testing import reference_suite
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     suite = Path(folder) / "mine.yaml"
    ...     text = suite.write_text(reference_suite())
    ...     found = run(
    ...         suite, limit=60, plugins=["iibench.testing.toys"], cache_dir=folder,
    ...         output=Path(folder) / "run",
    ...     )
    ...     found.leaderboard()["finder"].tolist()
    ['reference_finder']
    """
    config = run_config(suite, keyword=select, **options)
    session = prepare(config, load_plugins(plugins, plugins_dirs))
    if not session.cases:
        session.close()
        raise UsageError(f"select {select!r}: no case selected ({session.deselected} deselected)")
    found = execute(session)
    if found.reports and not found.failed and not found.measured:
        text = f"nothing was measured: every case was skipped ({found.reports[0].reason})"
        warnings.warn(text, stacklevel=2)
    return found
