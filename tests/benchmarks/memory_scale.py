"""A whole run on a data set that does not fit in memory, and the memory it took.

    python -m tests.benchmarks.memory_scale [--images N] [--units N] [--memory SIZE]
        [--control-group] [--out DIR]

SYNTHETIC: images are 8 x 8 pixels made from their number, the network is one layer of random filters with
as many channels as there are units, the metrics compare mean colours, thumbnails and 2,048 random features,
whose embeddings do not fit in memory either. The suite runs the Interpretability Index and in-silico
psychophysics at two difficulties on single neurons. The run is a
process of its own; its peak is the kernel's count of resident pages (VmHWM), mapped files included. With
`--control-group` it runs in a control group (version 1) that is killed above the limit; the system's own
copies of files then count too, and writing waits for them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from iibench.cache.budget import parse_size
from tests.benchmarks.machine import described, machine, moment

SUITE = """
iibench: "1"
name: memory_scale
dataset: {{name: numbered, n: {images}, fit: all, evaluate: all}}
models:
  - {{name: filters, units: {units}, layers: [conv]}}
finders: [neurons]
metrics: [color, thumbnail, wide]
evaluations:
  - ii
  - {{name: insilico, difficulty: [0, 0.25], metrics: [color, thumbnail]}}
  - {{name: insilico, difficulty: 0.1, metrics: [wide]}}
"""

PLUGIN = '''
import hashlib
from dataclasses import dataclass

import numpy as np

from iibench import DatasetSpec, LoadedModel, MetricSpec, ModelSpec, Preprocess, check_rgb, hookimpl


@dataclass(frozen=True)
class Images:
    n: int = 1000


@dataclass(frozen=True)
class Units:
    units: int = 64


class Numbered:
    """Image i is made from i alone."""

    labels = None
    class_names = ()
    image_size = (8, 8)

    def __init__(self, n):
        self.n = n
        self.fingerprint = hashlib.sha256(f"numbered {n}".encode()).hexdigest()

    def __len__(self):
        return self.n

    def images(self, indices):
        i = np.asarray(indices, np.uint64)[:, None] * np.uint64(192) + np.arange(192, dtype=np.uint64)
        i = (i ^ (i >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)  # splitmix64
        i = (i ^ (i >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (i >> np.uint64(56)).astype(np.uint8).reshape(-1, 8, 8, 3)


def load_filters(params, layer, resources):
    import torch

    net = torch.nn.Sequential()
    net.conv = torch.nn.Conv2d(3, params.units, 8)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        net.conv.weight.normal_(generator=generator)
        net.conv.bias.normal_(generator=generator)
    return LoadedModel(net.eval().requires_grad_(False), Preprocess((0.5,) * 3, (0.25,) * 3))


class Thumbnails:
    fingerprint = ""

    def embed(self, x):
        check_rgb("thumbnail", x)
        return x.flatten(1)


class Wide:
    """2,048 numbers an image: those of all images do not fit in memory."""

    fingerprint = "random projection, seed 0"

    def embed(self, x):
        import torch

        check_rgb("wide", x)
        generator = torch.Generator().manual_seed(0)
        return torch.relu(x.flatten(1) @ torch.randn(192, 2048, generator=generator))


@hookimpl
def iibench_register_datasets():
    yield DatasetSpec(
        name="numbered", summary="SYNTHETIC: noise made from the image's number", params=Images,
        load=lambda params, split, resources: Numbered(params.n), splits=("all",),
    )


@hookimpl
def iibench_register_models():
    yield ModelSpec(
        name="filters", summary="SYNTHETIC: one layer of random filters", params=Units, load=load_filters
    )


@hookimpl
def iibench_register_metrics():
    yield MetricSpec(
        name="thumbnail", summary="minus the Euclidean distance of pixels", distance="euclidean",
        load=lambda params, harness: Thumbnails(),
    )
    yield MetricSpec(
        name="wide", summary="SYNTHETIC: cosine of random features", distance="cosine",
        load=lambda params, harness: Wide(),
    )
'''

#: Runs the program, then says how much memory it took at most.
CHILD = """
import sys
from iibench.cli.main import run_program
code = run_program(sys.argv[1:])
status = open("/proc/self/status").read()
print("VmHWM", status.partition("VmHWM:")[2].split()[0], file=sys.stderr)
sys.exit(code)
"""

GROUP = Path("/sys/fs/cgroup/memory/iibench-memory-scale")


def main() -> None:
    """Parses the options, runs, prints, writes."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.memory_scale")
    parser.add_argument("--images", type=int, default=1_281_167)
    parser.add_argument("--units", type=int, default=2048)
    parser.add_argument("--memory", default="4GiB")
    parser.add_argument("--control-group", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("reports/benchmarks"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memory-scale-") as name:
        found = _run(
            Path(name), options.images, options.units, options.memory, options.control_group
        )
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "memory_scale.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "memory_scale.md").write_text(_table(found))
    print(_table(found))


def _run(folder: Path, images: int, units: int, memory: str, confined: bool) -> dict[str, object]:
    (folder / "plugins").mkdir()
    (folder / "plugins" / "numbered.py").write_text(PLUGIN)
    suite = folder / "suite.yaml"
    suite.write_text(SUITE.format(images=images, units=units))
    command = [sys.executable, "-c", CHILD, "run", str(suite), "--memory", memory]
    command += ["--cache-dir", str(folder / "cache"), "-o", str(folder / "run"), "-q"]
    command += ["--plugins-dir", str(folder / "plugins"), "--device", "cpu"]
    group = _control_group(parse_size(memory)) if confined else None
    start = time.perf_counter()
    done = subprocess.run(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=(lambda: _enter(group)) if group else None,
    )
    seconds = time.perf_counter() - start
    if group:
        group.rmdir()
    if done.returncode or "VmHWM" not in done.stderr:
        raise SystemExit(f"the run ended with {done.returncode}: {done.stderr[-2000:]}")
    run = json.loads((folder / "run" / "run.json").read_text())
    return {
        "images": images,
        "units": units,
        "memory": memory,
        "control_group": group is not None,
        "peak_bytes": int(done.stderr.rpartition("VmHWM")[2].split()[0]) << 10,
        "array_bytes": 4 * images * units,
        "seconds": seconds,
        "stages": _stages(run),
        "cases": {
            case["id"]: [case["status"], (case["summary"] or {}).get("mean")]
            for case in run["cases"]
        },
        "machine": machine(os.cpu_count() or 1),
        "moment": moment(),
    }


def _control_group(limit: int) -> Path:
    """A group whose processes are killed above the limit."""
    try:
        GROUP.mkdir(exist_ok=True)
        (GROUP / "memory.limit_in_bytes").write_text(str(limit))
    except OSError as error:
        raise SystemExit(f"no control group can be made here: {error}") from error
    return GROUP


def _enter(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))


def _stages(run: dict[str, object]) -> dict[str, float]:
    total: dict[str, float] = {}
    for case in run["cases"]:  # type: ignore[attr-defined]
        for stage, seconds in case["seconds"].items():
            total[stage] = total.get(stage, 0.0) + seconds
    return total


def _table(found: dict[str, object]) -> str:
    gib = 2**30
    lines = [
        f"# {found['images']:,} images x {found['units']:,} units within {found['memory']} (SYNTHETIC)",
        "",
        "`python -m tests.benchmarks.memory_scale`",
        "",
        f"- activations alone: {found['array_bytes'] / gib:.2f} GiB",  # type: ignore[operator]
        f"- peak of the process: {found['peak_bytes'] / gib:.2f} GiB",  # type: ignore[operator]
        f"- in a control group of that size: {'yes' if found['control_group'] else 'no'}",
        f"- wall time: {found['seconds']:.0f} s",
        "",
        "| stage | seconds |",
        "| --- | ---: |",
        *(f"| {stage} | {s:.1f} |" for stage, s in found["stages"].items()),  # type: ignore[attr-defined]
        "",
        "| case | status | mean |",
        "| --- | --- | ---: |",
        *(f"| {name} | {s} | {m} |" for name, (s, m) in found["cases"].items()),  # type: ignore[attr-defined]
        "",
        f"Machine: {described(found['machine'])}",  # type: ignore[arg-type]
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
