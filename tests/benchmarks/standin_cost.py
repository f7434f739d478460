"""What a release as large as the published one costs to read and to compare: time, memory, passes.

    python -m tests.benchmarks.standin_cost --scale 0.05 --size 224 --folder DIR

Writes a SYNTHETIC release with the 21 published experiments into DIR (where it is not there yet), in
which no two stimuli share an image: more than the real one asks for. Then reads it, computes the
similarities within its stimuli under mean colour and under LPIPS with all its parts, and extrapolates
to the published number of answers.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from iibench.assets.local import LocalResources, default_cache_dir, default_data_dir
from iibench.compute.similarity.within_trials import TrialMetric, iter_rows
from iibench.hooks.loading import load_plugins
from iibench.suite.params import parse_params
from iibench_plugins.datasets._trials.files import FileTrials
from iibench_plugins.datasets.imi.choice import Choice
from iibench_plugins.datasets.imi.images import Stimulus
from iibench_plugins.datasets.imi.map import OPPOSITE, PATH, QUERIES, REFERENCES
from iibench_plugins.datasets.imi.names import FIRST_EXPERIMENTS, Experiment, experiment_of
from iibench_plugins.datasets.imi.release import read_release
from iibench_plugins.datasets.imi.responses import read_responses
from iibench_plugins.datasets.imi.standin.files import write_responses
from iibench_plugins.datasets.imi.standin.rows import Click, Row, submission

#: Of each experiment in the published data: 80 units, 11 batches.
ANSWERS, STIMULI = 2520, 880
BATCHES, TASK = 11, 40
LAYER = "layer1_0_conv1"


@dataclass(frozen=True)
class Pictures:
    """Distinct pictures: enlarged photo patches with noise of their own."""

    patches: np.ndarray
    rng: np.random.Generator

    def save(self, path: Path, size: tuple[int, int]) -> None:
        """One picture of (width, height); the file's ending says how it is written."""
        patch = Image.fromarray(self.patches[self.rng.integers(len(self.patches))])
        pixels = np.asarray(patch.resize(size, Image.Resampling.BICUBIC), np.int16)
        noise = self.rng.integers(-24, 25, (size[1] // 4, size[0] // 4, 3), np.int16)
        noise = np.kron(noise, np.ones((4, 4, 1), np.int16))
        noise = np.pad(noise, [(0, size[1] % 4), (0, size[0] % 4), (0, 0)])
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(path, quality=90)


def write_release(root: Path, scale: float, size: int, photo: tuple[int, int]) -> None:
    """The release below `root`; `photo`: (width, height) of the photographs."""
    rng = np.random.default_rng(0)
    spec = load_plugins().registry.datasets["photo_patches"].spec
    resources = LocalResources(default_data_dir(), default_cache_dir())
    source: Any = spec.load(parse_params(spec, {"n": 500}), "evaluate", resources)
    pictures = Pictures(source.images(np.arange(len(source))), rng)
    entries: dict[str, dict[str, Any]] = {}
    rows: list[Row] = []
    photographs = 0
    for name in sorted(FIRST_EXPERIMENTS):
        experiment = experiment_of(name)
        natural = experiment.condition == "natural"
        stimuli = _stimuli(experiment, max(1, round(STIMULI * scale)))
        for stimulus in stimuli:
            images = {}
            for side in QUERIES + REFERENCES + OPPOSITE:
                unit = f"{LAYER}/channel_{stimulus.channel}"
                if natural or side in QUERIES:
                    images[f"{side}.png"] = f"n00000001/n00000001_{photographs}.JPEG"
                    pictures.save(root / "train" / images[f"{side}.png"], photo)
                    photographs += 1
                else:
                    folder = root / "stimuli" / experiment.key / unit / "optimized_images"
                    pictures.save(folder / f"{side}.png", (size, size))
            entries.setdefault(experiment.key, {})[unit] = {f"batch_{stimulus.batch}": images}
        rows += _rows(stimuli, max(1, round(ANSWERS * scale)), rng)
    path = root / PATH
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(entries))
    write_responses(root, rows)


def _stimuli(experiment: Experiment, n: int) -> list[Stimulus]:
    """Each of a unit of its own; the channels of conditions differ, as they share a key of the map."""
    first = 0 if experiment.condition == "natural" else n
    return [Stimulus(experiment, LAYER, first + i, i % BATCHES) for i in range(n)]


def _rows(stimuli: list[Stimulus], answers: int, rng: np.random.Generator) -> Iterator[Row]:
    clicks = [
        Click(stimuli[i % len(stimuli)], bool(rng.random() < 0.83), int(rng.integers(1, 4)))
        for i in range(answers)
    ]
    for task, start in enumerate(range(0, answers, TASK), 1):
        practice, main = submission(
            clicks[start : start + TASK], task, f"P{task:04d}", int(rng.integers(2**62))
        )
        yield from practice
        yield from main


# ------------------------------------------------------------------------------- measuring


def peak() -> float:
    """The largest memory so far, in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


@contextmanager
def timed(found: Callable[[float], None]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    found(time.perf_counter() - start)


def main() -> None:
    """Writes, reads, compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scale", type=float, default=0.05, help="share of the published answers")
    parser.add_argument("--size", type=int, default=224, help="pixels of a side of trial images")
    parser.add_argument("--photo", type=int, nargs=2, default=(500, 375), help="of photographs")
    parser.add_argument("--folder", type=Path, required=True, help="where the release is written")
    parser.add_argument("--metrics", nargs="*", default=["color", "lpips"])
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    root = options.folder / f"release-{options.scale:g}-{options.size}"
    seconds: dict[str, float] = {}
    if not root.is_dir():
        with timed(lambda s: seconds.update(writing=s)):
            write_release(root, options.scale, options.size, tuple(options.photo))
        print(f"written in {seconds['writing']:.0f} s")
    with timed(lambda s: seconds.update(answers=s)):
        read_responses(root, "main")
    print(f"answers read (CSV) in {seconds['answers']:.2f} s, peak {peak():.2f} GiB")
    with timed(lambda s: seconds.update(loading=s)):
        dataset = read_release(root, Choice(size=options.size), root / "train")
    print(
        f"all loaded (CSV, file map, hashes) in {seconds['loading']:.2f} s, peak {peak():.2f} GiB"
    )
    answers, n = len(dataset.trials.answers.stimulus), len(dataset)
    print(f"{answers:,} answers, {len(dataset.trials):,} stimuli, {n:,} distinct images")
    for name in options.metrics:
        with timed(lambda s, name=name: seconds.update({name: s})):  # type: ignore[misc]
            forward = compare(name, dataset, options.device)
        print(
            f"{name}: {forward:,} forward passes in {seconds[name]:.1f} s "
            f"({1000 * seconds[name] / forward:.2f} ms each), peak {peak():.2f} GiB"
        )
    more, images = ANSWERS * len(FIRST_EXPERIMENTS), STIMULI * len(FIRST_EXPERIMENTS) * 20
    hashing = seconds["loading"] - seconds["answers"]
    print(f"extrapolated to {more:,} answers and {images:,} distinct images:")
    print(f"  CSV {seconds['answers'] * more / answers:.0f} s, hashes {hashing * images / n:.0f} s")
    for name in options.metrics:
        print(f"  {name} {seconds[name] * images / n / 60:.1f} min")


def compare(name: str, dataset: FileTrials, device: str) -> int:
    """Computes the similarities under a metric and all its parts; how many images were embedded."""
    spec = load_plugins().registry.metrics[name].spec
    params = spec.params()
    resources = LocalResources(default_data_dir(), default_cache_dir(), device=device)
    metric = TrialMetric(
        spec, spec.load(params, resources), spec.size(params), ("", *spec.parts(params))
    )
    passes = []
    stimuli = np.flatnonzero(dataset.trials.shown)
    for _ in iter_rows(
        metric, dataset, stimuli, device, passes=lambda forward, distinct: passes.append(forward)
    ):
        pass
    return passes[0]


if __name__ == "__main__":
    main()
