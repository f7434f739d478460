"""The row about a whole run on all of CIFAR-10, cold and warm: wall time, stage by stage."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.processes import THREADS, WITH_PEAK, ChildError
from tests.benchmarks.row import spread
from tests.benchmarks.sizes import Sizes

NAME = "run"
#: Most seconds, cold and warm.
COLD, WARM = 360.0, 15.0
#: Stages shorter than this (seconds) stand together.
SHORT = 0.5


def measure(sizes: Sizes, cold: int, warm: int, threads: int) -> dict[str, Any]:
    """`cold` runs with an empty cache, each of another cache, then `warm` ones with the last.

    Assets are in place. Raises `ChildError` where a run does not end as it should.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-run-") as folder:
        cold_runs, warm_runs = [], []
        cache = Path(folder)
        for number in range(cold):
            shutil.rmtree(cache, ignore_errors=True)
            cache = Path(folder) / f"cache-{number}"
            cache.mkdir(parents=True)
            if (sizes.cache / "assets").is_dir():
                shutil.copytree(sizes.cache / "assets", cache / "assets")
            cold_runs.append(_run(sizes, cache, Path(folder) / f"cold-{number}", threads))
        for number in range(warm):
            warm_runs.append(_run(sizes, cache, Path(folder) / f"warm-{number}", threads))
    return {
        "kind": "run",
        "name": NAME,
        "work": shlex.join(["iibench", "run", *sizes.run]),
        "inputs": cold_runs[0]["dataset"],
        "cold": _summary(cold_runs, COLD),
        "warm": _summary(warm_runs, WARM),
        "reached": _summary(cold_runs, COLD)["reached"] and _summary(warm_runs, WARM)["reached"],
    }


def _run(sizes: Sizes, cache: Path, output: Path, threads: int) -> dict[str, Any]:
    """One run in a process of its own: seconds in all and by stage, peak memory (MiB)."""
    folders = ["--data-dir", sizes.data, "--cache-dir", cache, "-o", output]
    peak = output.with_suffix(".peak")
    arguments = ["run", *sizes.run, "--offline", *map(str, folders)]
    command = [sys.executable, "-c", WITH_PEAK, *arguments, str(peak)]
    environment = os.environ | dict.fromkeys(THREADS, str(threads))
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(command, env=environment, stdout=said, stderr=said)
        seconds = time.perf_counter() - start
        if done.returncode not in (0, 1):  # 1: an expectation is not met, which is a finding
            said.seek(0)
            text = said.read().decode(errors="replace")
            raise ChildError(
                f"iibench {shlex.join(arguments)} ended with {done.returncode}\n{text}"
            )
    meta = json.loads((output / "run.json").read_text(encoding="utf-8"))
    broken = [case["id"] for case in meta["cases"] if case["status"] == "error"]
    if broken:
        raise ChildError(f"{len(broken)} cases ended with an error, the first is {broken[0]}")
    stages: dict[str, float] = {}
    for case in meta["cases"]:
        for stage, spent in case["seconds"].items():
            stages[stage] = stages.get(stage, 0.0) + spent
    return {
        "seconds": seconds,
        "stages": stages,
        "mib_peak": round(int(peak.read_text()) / 2**20, 1),
        "dataset": ", ".join(meta["datasets"]),
    }


def _summary(runs: list[dict[str, Any]], goal: float) -> dict[str, Any]:
    """Seconds with their spread; the stages of the run of median length, and what is left."""
    if not runs:
        return {"seconds": [], "goal": goal, "reached": False, "stages": {}}
    ranked = sorted(runs, key=lambda run: run["seconds"])
    middle = ranked[(len(ranked) - 1) // 2]
    long = {name: s for name, s in middle["stages"].items() if s >= SHORT}
    stages = dict(sorted(long.items(), key=lambda item: -item[1]))
    rest = sum(middle["stages"].values()) - sum(long.values())
    outside = middle["seconds"] - sum(middle["stages"].values())
    stages |= {"all shorter stages": rest, "start, statistics, page, files": outside}
    seconds = [run["seconds"] for run in runs]
    return {
        "seconds": [round(s, 2) for s in seconds],
        **spread(seconds),
        "mib_peak": max(run["mib_peak"] for run in runs),
        "stages": {name: round(s, 2) for name, s in stages.items()},
        "goal": goal,
        "reached": spread(seconds)["median"] <= goal,
    }
