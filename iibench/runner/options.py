"""The options of a run as people give them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from iibench.assets.local import default_cache_dir, default_data_dir
from iibench.cache.budget import parse_size
from iibench.cache.shared_store import default_shared_cache
from iibench.contract.config import RunConfig
from iibench.contract.errors import UsageError, unknown_name
from iibench.contract.paths import user_path


def run_config(suite: str | Path, **options: Any) -> RunConfig:
    """The `RunConfig` of a suite with options by the names of its fields.

    One that is None has its default: the user's folders, and what the environment names. Folders may be
    text, `memory` a size (`4GiB`), and what holds several values any sequence. Raises `UsageError` for an
    option that there is not, and for a size that is none.
    """
    given = {name: value for name, value in options.items() if value is not None}
    known = [field.name for field in dataclasses.fields(RunConfig) if field.name != "suite"]
    for name in given:
        if name not in known:
            raise UsageError(unknown_name("option of a run", name, known))
    for name in ("data_dir", "cache_dir", "output", "base_dir"):
        if name in given:
            given[name] = user_path(given[name])
    for name in ("overrides", "metrics"):
        if name in given:
            given[name] = tuple(given[name])
    if "memory" in given:
        given["memory"] = parse_size(str(given["memory"]))
    given.setdefault("data_dir", default_data_dir())
    given.setdefault("cache_dir", default_cache_dir())
    given.setdefault("shared_cache", default_shared_cache())
    return RunConfig(str(suite), **given)
