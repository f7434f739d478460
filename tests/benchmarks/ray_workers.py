"""A small suite on a Ray cluster of two nodes, one of whose workers is killed in the middle, and locally.

    python -m tests.benchmarks.ray_workers [--images N] [--shard-size N] [--cache-dir DIR] [--out FILE]

Starts the cluster on this machine (one CPU a node), runs patches of photographs under mean colour and
LPIPS, kills a worker that is busy after the third task of activations, runs the same suite in one process,
and prints the log with seconds since the start, and how far the results are apart. Downloads nothing but
LPIPS's backbone, which is looked for in DIR.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import iibench
from iibench.assets.local import default_cache_dir
from tests.benchmarks.machine import described, machine, moment

SUITE = """
iibench: "1"
name: ray_workers
seed: 0
dataset: {{name: photo_patches, n: {images}}}
models:
  - {{name: resnet50_cifar10, layers: [layer1]}}
finders:
  - neurons
  - {{name: pca, k: 64}}
  - {{name: kmeans, k: 64}}
metrics: [color, lpips]
evaluations:
  - ii
  - {{name: insilico, difficulty: 0}}
"""
#: Tasks of activations after which a worker is killed.
KILL_AFTER = 3


class Journal(logging.Handler):
    """Keeps the lines of the log with the seconds since it was made; kills a worker once."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self._start = time.perf_counter()
        self._ready: list[int] = []
        self._done = 0

    def say(self, text: str) -> None:
        """Adds a line and prints it."""
        self.lines.append(f"{time.perf_counter() - self._start:7.1f}  {text}")
        print(self.lines[-1], flush=True)

    def emit(self, record: logging.LogRecord) -> None:
        """A line of the log."""
        text = record.getMessage()
        self.say(text)
        found = re.search(r"process (\d+)", text)
        if text.startswith("worker ready") and found and self._done < KILL_AFTER:
            self._ready.append(int(found[1]))
        if text.startswith("activations") and found:
            self._done += 1
            others = [process for process in self._ready if process != int(found[1])]
            if self._done >= KILL_AFTER and others:
                self.say(f"KILL -9 process {others[0]}")
                self._ready.clear()
                os.kill(others[0], signal.SIGKILL)


def run_suite(suite: Path, folder: Path, assets: Path, **options: Any) -> tuple[Any, float]:
    """(the run, its seconds), with an empty cache in `folder` that has the downloaded files of another."""
    (folder / "cache").mkdir(parents=True)
    if assets.is_dir():
        (folder / "cache" / "assets").symlink_to(assets)
    start = time.perf_counter()
    run = iibench.run(
        suite, output=folder / "out", cache_dir=folder / "cache", device="cpu", **options
    )
    return run, time.perf_counter() - start


def differences(a: Any, b: Any) -> str:
    """How far two runs are apart, in a line."""
    largest = 0.0
    for x, y in zip(a.cases, b.cases, strict=True):
        assert (x.id, x.status, x.reason) == (y.id, y.status, y.reason)
        scores = [np.array(case.scores, np.float64) for case in (x, y)]
        assert (np.isnan(scores[0]) == np.isnan(scores[1])).all()
        largest = max(largest, float(np.nanmax(np.abs(scores[0] - scores[1]), initial=0.0)))
    same = a.exemplars()["image"].equals(b.exemplars()["image"])
    return (
        f"{len(a.cases)} cases, the same statuses; largest difference of a score {largest:.3g}; "
        f"exemplars {'the same' if same else 'NOT the same'}"
    )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--shard-size", type=int, default=128)
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir())
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    journal = Journal()
    logger = logging.getLogger("iibench")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(journal)
    assets = (chosen.cache_dir / "assets").absolute()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        suite = folder / "suite.yaml"
        suite.write_text(SUITE.format(images=chosen.images))
        node = {"num_cpus": 1, "object_store_memory": 100_000_000}
        cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        cluster.add_node(**node)
        journal.say(f"two nodes with one CPU each, ray {version('ray')}")
        try:
            spread, seconds = run_suite(
                suite,
                folder / "ray",
                assets,
                executor=f"ray[address={cluster.address}]",
                shared_cache=str(folder / "shared"),
                shard_size=chosen.shard_size,
            )
        finally:
            cluster.shutdown()
        journal.say(f"the run on the cluster took {seconds:.1f} s")
        for note in spread.meta["notes"]:
            journal.say(f"note: {note['text']}")
        local, seconds = run_suite(suite, folder / "local", assets)
        journal.say(f"the run in one process took {seconds:.1f} s")
        journal.say(differences(local, spread))
    if chosen.out is not None:
        head = [f"{chosen.images} images per split, {chosen.shard_size} per task", str(moment())]
        head.insert(0, described(machine(1)))
        chosen.out.write_text("\n".join([*head, "", *journal.lines]) + "\n")


if __name__ == "__main__":
    main()
