"""What `synergy` costs with many directions: time and memory, in a process of its own.

    python -m tests.benchmarks.synergy_scaling --units 2048 --images 10000 --width 5760

Responses are SYNTHETIC: rectified mixtures of 64 latent features with noise, or (`--independent`)
independent normal values, the hardest case for the search. Embeddings of `--width` numbers an image lie
in a temporary file, as the cache keeps them. Prints the seconds of each step and the process's peak
memory, which counts the pages of that file that were read.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

LATENT = 64


class Clock:
    """Stands in for the context: prints how far the steps are."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.calls = 0

    def progress(self, done: int, total: int, note: str) -> None:
        """Prints the end of each step."""
        self.calls += 1
        if done == total:
            seconds = time.perf_counter() - self.start
            print(f"  {note}: {total:,} done after {seconds:.1f} s, {self.calls} reports")
            self.start, self.calls = time.perf_counter(), 0


def peak() -> float:
    """The largest memory of this process so far, in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Makes the data and runs the analysis in this process."""
    import torch

    from iibench.compute.ranking import order_by_response
    from iibench.compute.similarity.lookups import EmbeddingSimilarity
    from iibench.contract.evaluations import EvaluationInputs
    from iibench_plugins.evaluations import synergy

    torch.set_num_threads(options.threads)
    rng = np.random.default_rng(0)
    n, k, width = options.images, options.units, options.width
    latent = rng.standard_exponential((n, LATENT), dtype=np.float32)
    noise = rng.standard_normal((n, k), dtype=np.float32)
    mixed = latent @ rng.standard_normal((LATENT, k), dtype=np.float32)
    responses = noise if options.independent else np.maximum(mixed + noise, 0)
    del noise, mixed
    projection = rng.standard_normal((LATENT, width), dtype=np.float32) / np.float32(width**0.5)
    rows = np.memmap(folder / "rows.bin", np.float32, "w+", shape=(n, width))
    for start in range(0, n, 1000):
        part = slice(start, start + 1000)
        rows[part] = latent[part] @ projection
    similarity = EmbeddingSimilarity(
        lambda indices: rows, n, "squared_euclidean", dense=options.dense
    )
    context: Any = Clock()
    inputs = EvaluationInputs(responses, order_by_response(responses), similarity, None, 0, context)
    context.start = start_all = time.perf_counter()
    before = peak()
    found = synergy.evaluate(synergy.Params(), inputs)
    print(f"  measures, figures, tables: {time.perf_counter() - context.start:.1f} s")
    print(
        f"{k:,} directions, {k * (k - 1) // 2:,} pairs, {n:,} images, width {width:,}: "
        f"{time.perf_counter() - start_all:.1f} s, peak {peak():.2f} GiB ({before:.2f} before)"
    )
    assert found.details is not None
    for name in found.details.measures:
        print(f"  {name.name} {name.value} [{name.low}, {name.high}]")


def main() -> None:
    """Starts the measurement in a new process and prints what it finds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--units", type=int, default=2048)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=5760, help="of an embedding")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--independent", action="store_true", help="independent normal responses")
    parser.add_argument("--dense", action="store_true", help="the matrix of all images is made")
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here is not None:
        measure(options, options.here)
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.benchmarks.synergy_scaling", *sys.argv[1:]]
        subprocess.run([*command, "--here", folder], check=True)


if __name__ == "__main__":
    main()
