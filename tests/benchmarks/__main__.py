"""Runs the benchmarks and merges what they find into a Markdown and a JSON file (see the package)."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iibench.assets.local import default_cache_dir, default_data_dir
from iibench.contract.errors import unknown_name
from tests.benchmarks import row, tables, whole_run
from tests.benchmarks.machine import machine, moment
from tests.benchmarks.processes import ChildError
from tests.benchmarks.rows import ROWS
from tests.benchmarks.sizes import Sizes

NAMES = [*ROWS, whole_run.NAME]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses the options, measures, prints, writes after every row. 1 where a row failed."""
    options = _parser().parse_args(arguments)
    names = options.only.split(",") if options.only else NAMES
    for name in names:
        if name not in NAMES:
            print(unknown_name("row", name, NAMES), file=sys.stderr)
            return 2
    out = options.out or (None if options.quick else Path("reports/benchmarks"))
    failed = False
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as scratch:
        sizes = Sizes(options.data_dir, options.cache_dir, Path(scratch))
        sizes = sizes.quick() if options.quick else sizes
        for name in names:
            print(f"{name} ...", flush=True)
            start = time.perf_counter()
            about = {**moment(), "machine": machine(options.threads), "command": _command(options)}
            try:
                found = _measured(name, sizes, options) | about
            except (ChildError, AssertionError) as error:
                failed = True
                print(f"{name} failed\n{error}", file=sys.stderr)
                continue
            print(f"{_line(found)} ({time.perf_counter() - start:.0f} s)", flush=True)
            if out is not None:
                tables.write(out, [found], NAMES)
    if out is not None:
        print(out / tables.MARKDOWN)
    return int(failed)


def _measured(name: str, sizes: Sizes, options: argparse.Namespace) -> dict[str, Any]:
    if name == whole_run.NAME:
        return whole_run.measure(sizes, options.cold, options.repeat, options.threads)
    return row.measure(ROWS[name], sizes, options.repeat, options.threads)


def _command(options: argparse.Namespace) -> str:
    """What repeats this, without the folders, which are each machine's own."""
    parts = ["python", "-m", "tests.benchmarks", "--threads", options.threads]
    parts += ["--repeat", options.repeat, "--cold", options.cold]
    parts += ["--only", options.only] if options.only else []
    parts += ["--quick"] if options.quick else []
    return " ".join(map(str, parts))


def _line(found: dict[str, Any]) -> str:
    """A row in one line of the terminal."""
    reached = "reached" if found["reached"] else "not reached"
    if found["kind"] == "run":
        return (
            f"cold {found['cold']['median']:.0f} s, warm {found['warm']['median']:.1f} s: {reached}"
        )
    ours, theirs, ratio = found["ours"], found["theirs"], found["ratio"]
    return (
        f"ours {ours['median']:.2f} s, peer {theirs['median']:.2f} s, {ratio['of']} "
        f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f}), goal "
        f"{found['goal']['ratio']:g}: {reached}; peak {ours['mib_peak']:.0f} and "
        f"{theirs['mib_peak']:.0f} MiB"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", help=f"rows, joined by commas, of: {', '.join(NAMES)}")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions after the warm-up")
    parser.add_argument("--cold", type=int, default=1, help="runs with an empty cache (row run)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--data-dir", type=Path, default=default_data_dir())
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="for backbones")
    parser.add_argument("--out", type=Path, help="folder, by default reports/benchmarks")
    parser.add_argument(
        "--quick", action="store_true", help="tiny inputs: does it work? Writes only to --out"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
