"""Is `--collect-only` right? Predicted against measured time and memory of whole runs.

    python -m tests.benchmarks.estimates [--suites quickstart planted] [--limit 2000] [--out DIR]

Of each suite: an empty cache (downloaded files are copied into it from `--cache-dir`), the estimate, the
run, and both again with the cache that the run has left. Every program runs in a process of its own.
Writes estimates.md and estimates.json below `reports/benchmarks`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import described, machine, moment
from tests.benchmarks.processes import WITH_PEAK

SUITES = ("quickstart", "planted", "cifar_layer1")
#: Stages whose seconds no clock of the program tells: the whole is measured from outside.
OUTSIDE = ("start and loading", "run folder and page", "order of images by response")
#: Prints the estimate as JSON.
PLANNED = """
import dataclasses, json, sys, time
began = time.perf_counter()
from pathlib import Path
from iibench.cli.options import load
plugins = load((), ())
from iibench.runner.estimate.estimate import estimate
from iibench.runner.rates import read_rates
from iibench.runner import RunConfig, prepare
suite, data, cache, limit, keyword, written = sys.argv[1:]
config = RunConfig(suite, Path(data), Path(cache), limit=int(limit) or None, keyword=keyword)
session = prepare(config, plugins)
bench = session.bench
rates = read_rates(Path(cache), bench.inputs.resources.device, bench.precision)
start = time.perf_counter()
plan = estimate(bench, session.cases, rates, began=began)
found = {"seconds": plan.seconds, "peak": plan.peak, "planning": time.perf_counter() - began}
found["stages"] = [dataclasses.asdict(stage) for stage in plan.stages]
open(written, "w").write(json.dumps(found))
"""


def main() -> None:
    """Runs the suites and writes both files; prints the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suites", nargs="+", default=list(SUITES))
    parser.add_argument("--limit", type=int, default=0, help="images of each split, 0: all")
    parser.add_argument("-k", "--keyword", default="", help="only these cases")
    parser.add_argument(
        "--data-dir", type=Path, default=Path(os.environ.get("IIBENCH_DATA", "data"))
    )
    parser.add_argument("--cache-dir", type=Path, help="downloaded files are copied from here")
    parser.add_argument("--out", type=Path, default=Path("reports/benchmarks"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / "estimates.json"
    rows = json.loads(path.read_text()) if path.is_file() else []
    for suite in asked.suites:
        with tempfile.TemporaryDirectory() as folder:
            cache = Path(folder) / "cache"
            if asked.cache_dir is not None and (asked.cache_dir / "assets").is_dir():
                shutil.copytree(asked.cache_dir / "assets", cache / "assets")
            for state in ("cold", "warm"):
                row = _row(suite, state, cache, asked, Path(folder))
                same = {name: row[name] for name in ("suite", "limit", "keyword", "cache")}
                rows = [old for old in rows if any(old[k] != v for k, v in same.items())] + [row]
                print(_line(row), flush=True)
                path.write_text(json.dumps(rows, indent=1) + "\n")
    (asked.out / "estimates.md").write_text(_markdown(rows))


def _row(
    suite: str, state: str, cache: Path, asked: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """The estimate, then the run."""
    planned, peak, out = folder / "plan.json", folder / "peak.json", folder / "out"
    where = [str(asked.data_dir), str(cache), str(asked.limit), asked.keyword]
    subprocess.run([sys.executable, "-c", PLANNED, suite, *where, str(planned)], check=True)
    arguments = ["run", suite, "-q", "-o", str(out), "--cache-dir", str(cache)]
    arguments += ["--data-dir", str(asked.data_dir)]
    arguments += ["--limit", str(asked.limit)] if asked.limit else []
    arguments += ["-k", asked.keyword] if asked.keyword else []
    load = os.getloadavg()[0]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", WITH_PEAK, *arguments, str(peak)], capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    if done.returncode not in (0, 1):
        raise SystemExit(done.stdout + done.stderr)
    return {
        "suite": suite,
        "limit": asked.limit,
        "keyword": asked.keyword,
        "cache": state,
        "planned": json.loads(planned.read_text()),
        "seconds": seconds,
        "peak": json.loads(peak.read_text()),
        "stages": _measured(json.loads((out / "run.json").read_text())),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        "machine": machine(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))),
        **moment(),
    }


def _measured(run: dict[str, Any]) -> dict[str, float]:
    """Stage -> seconds, as the run's own clock has them."""
    found: dict[str, float] = {}
    for case in [*run["cases"], *run.get("trial_cases", [])]:
        for stage, seconds in case["seconds"].items():
            found[stage] = found.get(stage, 0.0) + seconds
    return found


def _kind(stage: str) -> str:
    """What planned and measured stages are compared by.

    Matrices are made within an evaluation, and the first images are read within a stage that needs them.
    """
    if stage.startswith("evaluation "):
        return "evaluations"
    return "activations" if stage.startswith(("activations ", "first images ")) else stage


def _line(row: dict[str, Any]) -> str:
    plan = row["planned"]
    ratio = plan["seconds"] / row["seconds"]
    name = row["suite"] + (f" --limit {row['limit']}" if row["limit"] else "")
    name += f" -k '{row['keyword']}'" if row["keyword"] else ""
    return (
        f"| {name} | {row['cache']} | {plan['seconds']:.1f} | {row['seconds']:.1f} | {ratio:.2f} | "
        f"{plan['peak'] / 1e9:.2f} | {row['peak'] / 1e9:.2f} | {plan['peak'] / row['peak']:.2f} | "
        f"{plan['planning']:.1f} | {row['load'][0]}, {row['load'][1]} |"
    )


def _markdown(rows: list[dict[str, Any]]) -> str:
    lines = [
        "# Estimates of --collect-only against whole runs",
        "",
        "Made by `python -m tests.benchmarks.estimates`. Ratios are predicted / measured; cold: an empty "
        "cache, nothing measured before; warm: everything cached. Programs beside the run make it "
        "slower than predicted or the other way round: see the load average (before, after).",
        "",
        described(rows[-1]["machine"]),
        "",
        "| suite | cache | predicted, s | measured, s | ratio | peak predicted, GB | measured, GB | "
        "ratio | planning, s | load |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *map(_line, rows),
    ]
    for row in rows:
        planned: dict[str, float] = {}
        sources: dict[str, str] = {}
        for stage in row["planned"]["stages"]:
            kind = _kind(stage["stage"])
            planned[kind] = planned.get(kind, 0.0) + stage["seconds"]
            sources[kind] = stage["source"]
        measured: dict[str, float] = {}
        for stage, seconds in row["stages"].items():
            kind = _kind(stage)
            measured[kind] = measured.get(kind, 0.0) + seconds
        shown = [
            kind
            for kind in planned
            if kind not in OUTSIDE and max(planned[kind], measured.get(kind, 0.0)) >= 0.5
        ]
        if not shown:
            continue
        lines += [
            "",
            f"## {row['suite']}, {row['cache']}",
            "",
            "| stage | predicted, s | from | measured, s | ratio |",
            "| --- | --- | --- | --- | --- |",
        ]
        for kind in shown:
            spent = measured.get(kind, 0.0)
            ratio = f"{planned[kind] / spent:.2f}" if spent else ""
            lines.append(
                f"| {kind} | {planned[kind]:.1f} | {sources[kind]} | {spent:.1f} | {ratio} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
