"""What mixed precision changes: time, ranks of images, scores, on `cifar_layer1` with K-Means and neurons.

    python -m tests.benchmarks.mixed_precision [--device DEVICE] [--limit N] [--out DIR]

The suite runs twice with caches of their own, once in float32 and once in the other precision. Reported are
the seconds of the stages that compute, Spearman's correlation of the neurons' activations, how many of
each neuron's 5 MEIs are the same, and the mean of every case in both.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import iibench
from iibench.assets.local import default_cache_dir, default_data_dir
from iibench.results.run import Run
from tests.benchmarks.machine import described, machine, moment

KEYWORD = "(neurons or kmeans[k=256]) and (lpips or color) and not paper2310 and not two_sided"


def main() -> None:
    """Parses the options, runs twice, prints, writes."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.mixed_precision")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", type=Path, default=Path("reports/benchmarks"))
    options = parser.parse_args()
    when, about = moment(), machine(os.cpu_count() or 1)
    with tempfile.TemporaryDirectory(prefix="mixed-precision-") as name:
        exact, other = (
            _run(Path(name) / precision, precision, options.device, options.limit)
            for precision in ("float32", options.precision)
        )
        found = {
            "precision": options.precision,
            "device": options.device,
            "images": next(iter(exact.meta["datasets"].values()))["n"],
            "seconds": {run.meta["dtype"]: _seconds(run) for run in (exact, other)},
            **_ranks(Path(name), options.precision),
            "shared_meis": _shared(exact, other),
            "cases": _means(exact, other),
            "machine": about,
            "moment": when,
        }
    text = _table(found)
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"mixed_precision_{options.device}.md").write_text(text)
    content = json.dumps(found, indent=1)
    (options.out / f"mixed_precision_{options.device}.json").write_text(content + "\n")


def _run(folder: Path, precision: str, device: str, limit: int | None) -> Run:
    cache = folder / "cache"
    cache.mkdir(parents=True)
    (cache / "assets").symlink_to(default_cache_dir() / "assets")
    return iibench.run(
        "cifar_layer1",
        device=device,
        precision=precision,
        limit=limit,
        select=KEYWORD,
        data_dir=default_data_dir(),
        cache_dir=cache,
        output=folder / "run",
        offline=True,
    )


def _seconds(run: Run) -> dict[str, float]:
    total: dict[str, float] = {}
    for case in run.cases:
        for stage, seconds in case.seconds.items():
            if stage.startswith(("activations", "embeddings")):
                kind = stage.split(" on ")[0]
                total[kind] = total.get(kind, 0.0) + seconds
    return total


def _ranks(folder: Path, precision: str) -> dict[str, float]:
    """Spearman's correlation of each neuron's activations in the two precisions: median and least."""
    from scipy.stats import spearmanr

    arrays = []
    for name in ("float32", precision):
        entries = (folder / name / "cache" / "v1" / "activations").rglob("entry.json")
        stored = [(json.loads(entry.read_text()), entry.parent) for entry in entries]
        about, place = min(stored, key=lambda found: found[0]["n"])
        shape = (about["n"], about["width"])
        arrays.append(np.memmap(place / "rows.bin", np.float32, "r", shape=shape))
    exact, other = arrays
    ranks = [spearmanr(exact[:, k], other[:, k])[0] for k in range(exact.shape[1])]
    ranks = [rank for rank in ranks if np.isfinite(rank)]
    return {"spearman_median": float(np.median(ranks)), "spearman_least": float(np.min(ranks))}


def _shared(exact: Run, other: Run) -> float:
    """Share of the neurons' MEIs that are among the MEIs in the other precision."""
    tops = []
    for run in (exact, other):
        frame = run.exemplars()
        frame = frame[(frame["finder"] == "neurons") & (frame["side"] == "top")]
        tops.append(frame.groupby("unit")["image"].apply(set))
    return float(np.mean([len(a & b) / len(a) for a, b in zip(*tops, strict=True)]))


def _means(exact: Run, other: Run) -> dict[str, list[float | None]]:
    second = {case.id: case for case in other.cases}
    return {
        case.id: [
            None if one.summary is None else one.summary.mean for one in (case, second[case.id])
        ]
        for case in exact.cases
    }


def _table(found: dict[str, Any]) -> str:
    both = found["seconds"]
    lines = [
        f"# float32 and {found['precision']} on `cifar_layer1` ({found['device']})",
        "",
        f"`python -m tests.benchmarks.mixed_precision --device {found['device']}`, "
        f"{found['moment']['date']}, {found['images']:,} evaluated images",
        "",
        f"{described(found['machine'])}; load {found['moment']['load_average']}",
        "",
        f"- Spearman's correlation of a neuron's activations: median {found['spearman_median']:.6f}, "
        f"least {found['spearman_least']:.6f}",
        f"- MEIs that are the same: {100 * found['shared_meis']:.1f} %",
        "",
        f"| stage | float32, s | {found['precision']}, s |",
        "| --- | ---: | ---: |",
        *(
            f"| {stage} | {seconds:.1f} | {both[found['precision']].get(stage, 0):.1f} |"
            for stage, seconds in both["float32"].items()
        ),
        "",
        f"| case | float32 | {found['precision']} |",
        "| --- | ---: | ---: |",
        *(
            f"| {name.partition('/layer1/')[2]} | {_number(a)} | {_number(b)} |"
            for name, (a, b) in found["cases"].items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    main()
