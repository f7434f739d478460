"""Rates at 224 x 224 pixels, from which the cost of very large runs is computed.

    python -m tests.benchmarks.rates_224 [--device DEVICE] [--seconds S] [--out DIR]

Images per second of ResNet50 up to each layer and as a whole, of LPIPS embeddings, of decoding JPEG files
with the shorter side resized; directions per second of sorting 1,281,167 responses. Weights and images are
random: the arithmetic is the same.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.machine import described, machine, moment

LAYERS = ("layer1", "layer2", "layer3", "layer4", "avgpool")
PRECISIONS = ("float32", "bfloat16")
SORTED = 1_281_167


def rate(work: Callable[[], int], seconds: float) -> float:
    """Things per second of `work`, which returns how many it did; after one call to warm up."""
    work()
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        done += work()
    return done / (time.perf_counter() - start)


def rates(device: str, seconds: float) -> dict[str, float]:
    """Name of the work -> things per second."""
    import torch
    import torchvision
    from PIL import Image

    from iibench.compute.activations import images_per_pass
    from iibench.compute.precision import mixed
    from iibench.compute.ranking import order_by_response
    from iibench.compute.tap import tapped
    from iibench.contract.specs import LoadedModel, Preprocess
    from iibench_plugins.datasets._images.decode import rgb
    from iibench_plugins.metrics.lpips.embedding import LpipsEmbedding, build

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = torchvision.models.resnet50(weights=None).eval().requires_grad_(False).to(device)
    loaded = LoadedModel(network, Preprocess((0.5,) * 3, (0.25,) * 3))
    x = torch.rand(images_per_pass(None, device), 3, 224, 224, device=device)
    found = {}

    def finished(values: torch.Tensor) -> int:
        if device == "cuda":
            torch.cuda.synchronize()
        return len(values)

    def embed(lpips: LpipsEmbedding, images: torch.Tensor, precision: str) -> int:
        with torch.inference_mode(), mixed(device, precision):
            return finished(lpips.embed(images))

    for precision in PRECISIONS:
        for layer in LAYERS:
            tap = tapped(loaded, layer, "mean")
            found[f"ResNet50 up to {layer}, {precision}"] = rate(
                lambda tap=tap, precision=precision: finished(
                    tap.pooled_without_gradients(x, precision)
                ),
                seconds,
            )
        trunk = torchvision.models.alexnet(weights=None).features.state_dict()
        lpips = build("alex", {f"features.{k}": v for k, v in trunk.items()}, device=device)

        found[f"LPIPS embeddings (AlexNet), {precision}"] = rate(
            partial(embed, lpips, x[:16], precision), seconds
        )
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3)).astype(np.uint8))
    file = io.BytesIO()
    coarse.resize((500, 375), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    found["JPEG files of 500 x 375 pixels decoded and resized, one thread"] = rate(
        lambda: len(rgb(file.getvalue(), 224)[None]), seconds
    )
    responses = rng.standard_normal((SORTED, 8)).astype(np.float32)
    found[f"directions sorted, {SORTED:,} images"] = rate(
        lambda: order_by_response(responses, device=device).shape[1], seconds
    )
    return found


def main() -> None:
    """Parses the options, measures, prints, writes."""
    import torch

    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.rates_224")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--out", type=Path, default=Path("reports/benchmarks"))
    options = parser.parse_args()
    about: dict[str, Any] = {**machine(torch.get_num_threads()), "device": options.device}
    if options.device == "cuda":
        about["device"] = torch.cuda.get_device_name()
    when = moment()
    found = rates(options.device, options.seconds)
    lines = [
        "# Rates at 224 x 224 pixels",
        "",
        f"`python -m tests.benchmarks.rates_224 --device {options.device}`, {when['date']}",
        "",
        f"{described(about)}; device {about['device']}; load {when['load_average']}",
        "",
        "| work | per second |",
        "| --- | ---: |",
        *(f"| {name} | {value:,.1f} |" for name, value in found.items()),
    ]
    print("\n".join(lines))
    options.out.mkdir(parents=True, exist_ok=True)
    name = f"rates_224_{options.device}"
    (options.out / f"{name}.md").write_text("\n".join(lines) + "\n")
    content = {"machine": about, "moment": when, "per_second": found}
    (options.out / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
