"""The options of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunConfig:
    """How to run a suite. Folders are made where they are missing.

    `device`: auto, cpu, cuda or mps. `memory`: bytes that large arrays may take together, None takes
    half of what there is. `precision`: of networks and metrics (`compute.precision`). `output`: the run
    folder; None makes one below `reports/`. `limit`: images per split. `seed`: None takes the suite's.
    `keyword`: a `-k` expression. `overrides`: `key=value` settings of the suite. `metrics`: labels of
    metrics added to the suite's.
    `command`: as typed, for the record. `base_dir`: the folder that relative paths of the suite refer
    to; None takes the suite file's. `fresh`: no computed value is taken from the cache or left there;
    downloaded files stay in use. `executor`: label of where the work is done. `shared_cache`: address of
    the store behind the cache. `shard_size`: images of one worker's task, None takes what suits.

    >>> config = RunConfig("quickstart", Path("data"), Path("cache"), limit=100)
    >>> config.device, config.limit, config.seed
    ('auto', 100, None)
    """

    suite: str
    data_dir: Path
    cache_dir: Path
    device: str = "auto"
    output: Path | None = None
    limit: int | None = None
    seed: int | None = None
    keyword: str = ""
    overrides: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    exit_first: bool = False
    last_failed: bool = False
    offline: bool = False
    batch_size: int | None = None
    memory: int | None = None
    precision: str = "float32"
    verbosity: int = 0
    command: str = ""
    base_dir: Path | None = None
    fresh: bool = False
    executor: str = "local"
    shared_cache: str | None = None
    shard_size: int | None = None
