"""How time and memory of the stages grow with n images, N neurons and K directions (SYNTHETIC inputs).

    python -m tests.benchmarks.scaling [--only STAGES] [--repeat N] [--out DIR] [--quick]

One of n, N, K is varied, the others stay as they are. Every point is measured in a process of its own:
the median of the repetitions after a warm-up, and the largest memory beyond that of the inputs. Exponents
are slopes of least-squares lines through the logarithms, with their standard errors.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from iibench.contract.errors import unknown_name
from tests.benchmarks.machine import described, machine, moment
from tests.benchmarks.processes import Child, ChildError
from tests.benchmarks.scaling_plots import draw
from tests.benchmarks.scaling_stages import STAGES, Point

BASE = Point(n=10_000, N=256, K=256)
VALUES = {
    "n": (2500, 5000, 10_000, 20_000, 40_000),
    "N": (64, 128, 256, 512, 1024),
    "K": (64, 128, 256, 512, 1024),
}
QUICK_BASE = Point(n=800, N=16, K=16)
QUICK_VALUES = {"n": (500, 700, 1000), "N": (8, 16, 32), "K": (8, 16, 32)}

#: Less memory than this (MiB) beyond the inputs is that of the libraries, and is fitted to nothing.
LEAST_MIB = 4.0
NAME = "scaling"

Found = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses the options, measures, prints, writes a Markdown and a JSON file and two pictures."""
    options = _parser().parse_args(arguments)
    names = options.only.split(",") if options.only else list(STAGES)
    for name in names:
        if name not in STAGES:
            print(unknown_name("stage", name, STAGES), file=sys.stderr)
            return 2
    if find_spec("matplotlib") is None:
        print("the pictures need matplotlib: pip install 'iibench[test]'", file=sys.stderr)
        return 2
    base, values = (QUICK_BASE, QUICK_VALUES) if options.quick else (BASE, VALUES)
    out = options.out or (None if options.quick else Path("reports/benchmarks"))
    about = {**moment(), "machine": machine(options.threads), "base": asdict(base)}
    curves = []
    try:
        for name in names:
            for axis in STAGES[name].grows:
                points = [replace(base, **{axis: value}) for value in values[axis]]
                measured = [_measure(name, p, options.repeat, options.threads) for p in points]
                curves.append(curve(name, axis, list(values[axis]), measured))
                print(_line(curves[-1]), flush=True)
    except ChildError as error:
        print(error, file=sys.stderr)
        return 1
    if out is not None:
        write(out, {**about, "repeat": options.repeat, "curves": curves})
        print(out / f"{NAME}.md")
    return 0


def _measure(name: str, point: Point, repeat: int, threads: int) -> Found:
    with Child(f"{__package__}.scaling_stages:prepare", (name, point), threads) as child:
        runs = [child.run()[0] for _ in range(repeat + 1)]
    peak = max(run.peak for run in runs)
    return {
        "seconds": [round(run.seconds, 5) for run in runs[1:]],
        "mib_peak": round(peak / 2**20, 1),
        "mib_beyond_inputs": round(max(0, peak - child.ready.set_up) / 2**20, 1),
    }


def curve(name: str, axis: str, values: list[int], measured: list[Found]) -> Found:
    """A stage against one of n, N, K, with the exponents of time and memory."""
    seconds = [statistics.median(point["seconds"]) for point in measured]
    memory = [point["mib_beyond_inputs"] for point in measured]
    return {
        "stage": name,
        "inputs": STAGES[name].inputs,
        "axis": axis,
        "values": values,
        "points": measured,
        "median_seconds": seconds,
        "mib_beyond_inputs": memory,
        "time_exponent": exponent(values, seconds, 0.0),
        "memory_exponent": exponent(values, memory, LEAST_MIB),
    }


def exponent(x: Sequence[float], y: Sequence[float], least: float) -> Found | None:
    """{"slope", "error"} of the least-squares line of log y on log x, over the points with y > `least`.

    `error`: the standard error of the slope. None where fewer than three points are left.
    """
    kept = np.array([(a, b) for a, b in zip(x, y, strict=True) if b > least], np.float64)
    if len(kept) < 3:
        return None
    from scipy.stats import linregress

    line = linregress(np.log(kept[:, 0]), np.log(kept[:, 1]))
    return {"slope": round(float(line.slope), 3), "error": round(float(line.stderr), 3)}


def write(folder: Path, content: Found) -> None:
    """The JSON, the Markdown and both pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1) + "\n"
    (folder / f"{NAME}.json").write_text(text, encoding="utf-8")
    draw(content, "median_seconds", "time_exponent", "time (s)", folder / f"{NAME}_time.svg")
    label = "memory beyond inputs (MiB)"
    draw(content, "mib_beyond_inputs", "memory_exponent", label, folder / f"{NAME}_memory.svg")
    (folder / f"{NAME}.md").write_text(markdown(content), encoding="utf-8")


def markdown(content: Found) -> str:
    """The page: pictures, exponents, every point."""
    base = content["base"]
    lines = [
        "# How time and memory grow",
        "",
        f"One of n images, N neurons and K directions is varied; the others are n = {base['n']:,}, "
        f"N = {base['N']}, K = {base['K']}. Inputs are SYNTHETIC. Every point is measured in a process of "
        f"its own, on a CPU in float32: the median of {content['repeat']} repetitions after a warm-up, and "
        "the largest memory beyond libraries and inputs. Exponents are slopes of least-squares lines "
        "through the logarithms, with standard errors; memory under "
        f"{LEAST_MIB:g} MiB is not fitted.",
        "",
        f"{described(content['machine'])}; {content['date']}, load average "
        f"{content['load_average']} at the start.",
        "",
        f"![time]({NAME}_time.svg)",
        "",
        f"![memory]({NAME}_memory.svg)",
        "",
        "| stage | against | exponent of time | exponent of memory | inputs |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in content["curves"]:
        lines.append(
            f"| {one['stage']} | {one['axis']} | {said(one['time_exponent'])} | "
            f"{said(one['memory_exponent'])} | {one['inputs']} |"
        )
    lines += ["", "| stage | at | time (s) | beyond inputs (MiB) |", "| --- | --- | --- | --- |"]
    for one in content["curves"]:
        for value, seconds, mib in zip(
            one["values"], one["median_seconds"], one["mib_beyond_inputs"], strict=True
        ):
            at = f"{one['axis']} = {value:,}"
            lines.append(f"| {one['stage']} | {at} | {seconds:.3g} | {mib:,.0f} |")
    return "\n".join(lines) + "\n"


def said(found: Found | None) -> str:
    """An exponent in words."""
    return "not fitted" if found is None else f"{found['slope']:.2f} ± {found['error']:.2f}"


def _line(found: Found) -> str:
    return (
        f"{found['stage']} against {found['axis']}: time {said(found['time_exponent'])}, memory "
        f"{said(found['memory_exponent'])}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.scaling", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--only", help=f"stages, joined by commas, of: {', '.join(STAGES)}")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions after the warm-up")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, help="folder, by default reports/benchmarks")
    parser.add_argument(
        "--quick", action="store_true", help="tiny inputs: does it work? Writes only to --out"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
