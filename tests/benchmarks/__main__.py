"""Runs the benchmarks and writes a Markdown and a JSON table (see the package)."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from iibench.activations import iter_activations
from iibench.assets import LocalResources, default_cache_dir, default_data_dir
from iibench.cache import Cache
from iibench.errors import AssetError
from iibench.plugins import load_plugins
from iibench.similarity import EmbeddingSimilarity, dense_pays
from iibench.specs import EvaluationInputs
from iibench.suite.params import parse_params

from . import peers


@dataclass(frozen=True)
class Row:
    """A piece of work and its peer: two functions of no arguments on the same inputs.

    `check` compares what they return and raises where they do not agree.
    """

    name: str
    peer_name: str
    ours: Callable[[], Any]
    peer: Callable[[], Any]
    check: Callable[[Any, Any], None]
    goal: float


@dataclass
class Result:
    """Seconds of each repetition."""

    row: Row
    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Median of the ratios of the repetitions, which ran one after the other."""
        return statistics.median(p / o for p, o in zip(self.peer, self.ours, strict=True))


class Setting:
    """The inputs of all rows: images, the CIFAR-10 ResNet50, LPIPS on AlexNet."""

    def __init__(self, data_dir: Path, images: int, units: int) -> None:
        from iibench_plugins.metrics._lpips_backbones import backbone

        self.resources = LocalResources(
            data_dir=data_dir,
            cache_dir=default_cache_dir(),
            device="cpu",
            base_dir=Path.cwd(),
        )
        self.registry = load_plugins(environ="").registry
        #: caches of single calls, each empty at first; removed at the end, which is nobody's work
        self.scratch = tempfile.TemporaryDirectory()
        self.calls = itertools.count()
        self.dataset, self.dataset_name = self._images()
        self.n = min(images, len(self.dataset))
        self.images = np.ascontiguousarray(self.dataset.images(np.arange(self.n)))
        spec = self.registry.models["resnet50_cifar10"].spec
        self.model = spec.load(parse_params(spec, {}), "layer1", self.resources)
        rows = [a for _, a in self.activations()]
        self.responses = np.concatenate(rows)[:, :units]
        metric = self.registry.metrics["lpips"].spec
        self.metric = metric.load(parse_params(metric, {}), self.resources)
        self.lpips = peers.lpips_network("alex", backbone("alex", self.resources))

    def _images(self) -> tuple[Any, str]:
        for name, split in (("cifar10", "test"), ("photo_patches", "evaluate")):
            spec = self.registry.datasets[name].spec
            try:
                return spec.load(parse_params(spec, {}), split, self.resources), name
            except AssetError:
                continue
        raise SystemExit("no dataset could be loaded")

    def activations(self) -> Iterator[tuple[Any, Any]]:
        """layer1 of all images; a fresh model each time, since folding changes it."""
        spec = self.registry.models["resnet50_cifar10"].spec
        model = spec.load(parse_params(spec, {}), "layer1", self.resources)
        read = self.images.__getitem__
        return iter_activations(model, "layer1", "mean", read, np.arange(self.n), device="cpu")

    def similarity(self, cache: Cache, asked: float) -> EmbeddingSimilarity:
        """LPIPS lookups with nothing embedded yet."""
        from iibench.embeddings import EmbeddingTable
        from iibench.images import Subset

        spec = self.registry.metrics["lpips"].spec
        data = Subset(self.dataset, np.arange(self.n))
        table = EmbeddingTable(
            self.metric, spec, None, data, cache, "k" * 64, {}, "cpu", lambda done, total: None
        )  # type: ignore[arg-type]
        return EmbeddingSimilarity(
            table.rows, self.n, "squared_euclidean", dense=dense_pays(self.n, asked)
        )

    def evaluate(self, name: str, settings: list[dict[str, Any]]) -> list[Any]:
        """Scores of an evaluation under LPIPS with several settings, from images to numbers."""
        from iibench.exemplars import order_by_response

        spec = self.registry.evaluations[name].spec
        params = [parse_params(spec, values) for values in settings]
        k = self.responses.shape[1]
        asked = sum(spec.images(p, self.n) * k for p in params)
        lookup = self.similarity(Cache(Path(self.scratch.name) / str(next(self.calls))), asked)
        order = order_by_response(self.responses)
        return [
            spec.evaluate(p, EvaluationInputs(self.responses, order, lookup, None, 7)).values
            for p in params
        ]


def rows(setting: Setting, passes: int) -> list[Row]:
    """All rows. `passes`: images on which activations are compared (the peer is slow)."""
    import torch
    import torchvision

    network = torchvision.models.resnet50(weights=None, num_classes=10).eval()
    network.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    network.eval()
    inputs = peers.as_lpips_input(setting.images[:passes])

    def close(ours: Any, peer: Any) -> None:
        np.testing.assert_allclose(ours, peer, atol=1e-5)

    def nearly(ours: Any, peer: Any) -> None:
        # ties between responses are broken at random by us and by index by the peer
        gap = np.abs(np.array(ours) - np.array(peer))
        if gap.mean() > 0.005 or gap.max() > 0.15:
            raise ValueError(f"accuracies differ by {gap.mean():.4f} on average")

    def layer1() -> Any:
        spec = setting.registry.models["resnet50_cifar10"].spec
        model = spec.load(parse_params(spec, {}), "layer1", setting.resources)
        read = setting.images.__getitem__
        chosen = np.arange(passes)
        batches = iter_activations(model, "layer1", "mean", read, chosen, device="cpu")
        return np.concatenate([a for _, a in batches])

    k = setting.responses.shape[1]
    return [
        Row(
            f"activations of layer1, {passes:,} images",
            "whole ResNet50 forward with a hook, batch 64",
            layer1,
            lambda: peers.whole_network_activations(network, "layer1", inputs, 64),
            lambda ours, peer: None,  # the peer has random weights: its cost is the same
            5,
        ),
        Row(
            f"II(LPIPS) of {k} units, nothing embedded",
            "lpips package on the 25 ordered pairs of each unit",
            lambda: setting.evaluate("ii", [{}])[0],
            lambda: peers.ii_by_pairs(setting.lpips, setting.images, setting.responses),
            close,
            8,
        ),
        *(
            Row(
                f"in-silico psychophysics of {k} units, 20 trials, 9 + 9 references, "
                f"{len(levels)} difficulties, nothing embedded",
                "per unit: sort, copy; per trial: an LPIPS forward pass",
                lambda levels=levels: setting.evaluate(
                    "insilico", [{"difficulty": d, "observer": "two_sided"} for d in levels]
                ),
                lambda levels=levels: [
                    peers.insilico_by_trials(
                        setting.lpips, setting.images, setting.responses, d, 20, 9, 7
                    )
                    for d in levels
                ],
                nearly,
                goal,
            )
            for levels, goal in (((0.0, 0.25), 25), (tuple(i / 20 for i in range(10)), 60))
        ),
    ]


def measure(row: Row, repeat: int) -> Result:
    """Times ours and the peer in turn; the first pair is a warm-up where there are several."""
    result = Result(row)
    for turn in range(repeat + (repeat > 1)):
        start = time.perf_counter()
        ours = row.ours()
        middle = time.perf_counter()
        peer = row.peer()
        end = time.perf_counter()
        row.check(ours, peer)
        if turn or repeat == 1:
            result.ours.append(middle - start)
            result.peer.append(end - middle)
    return result


def main() -> None:
    """Parses the options, measures, prints, writes."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--data", type=Path, default=default_data_dir())
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--passes", type=int, default=1_000)
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    setting = Setting(options.data, options.images, options.units)
    lines = [
        f"{setting.dataset_name}, {setting.n:,} images, {platform.machine()}, "
        f"{os.cpu_count()} processors",
        "",
        "| work | peer | ours (s) | peer (s) | ratio | goal |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    content = []
    for row in rows(setting, options.passes):
        if options.only not in row.name:
            continue
        result = measure(row, options.repeat)
        mine, theirs = statistics.median(result.ours), statistics.median(result.peer)
        lines.append(
            f"| {row.name} | {row.peer_name} | {mine:.2f} | {theirs:.2f} | {result.ratio:.1f} x | "
            f"{row.goal:g} x |"
        )
        print(lines[-1], flush=True)
        content.append(
            {"work": row.name, "peer": row.peer_name, "ours": result.ours, "theirs": result.peer}
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    lines += ["", f"peak memory of the whole process: {peak:.1f} GB"]
    print("\n".join(lines))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "benchmarks.md").write_text("\n".join(lines) + "\n")
        (options.out / "benchmarks.json").write_text(json.dumps(content, indent=1))


main()
