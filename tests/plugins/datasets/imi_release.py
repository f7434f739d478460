"""Makes a small folder in the layout of the IMI release, with made-up answers and noise for images."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

#: In the order of the published file.
_COLUMNS = """
rt button_pressed switched_queries confidence choice correct min_query max_query
min_references max_references catch_trial is_demo trial_type trial_index time_elapsed internal_node_id
response_index participant_id corrected_trial_index task_id task_number batch channel layer mode model
passed_checks demo_trials_result catch_trials_result total_response_time_result row_variability_result
instruction_time_result demo_trials_details catch_trials_details total_response_time_details
row_variability_details instruction_time_details instruction_time_details_extracted
total_response_time_details_extracted row_variability_details_details_upper_extracted
row_variability_details_details_lower_extracted catch_trials_details_ratio_extracted
catch_trials_details_correctly_answered_extracted demo_trials_details_extracted
multi_participation
"""
COLUMNS = _COLUMNS.split()

UNITS = {
    "googlenet": [("mixed3a_1x1_pre_relu_conv", 5), ("mixed4c_pool_reduce_pre_relu_conv", 130)],
    "resnet50": [("layer1_0_conv2", 36), ("layer4_2_bn3", 763)],
    "clip-resnet50": [("visual_layer3_5_bn2", 7)],
    "wide_resnet50": [("layer2_0_shortcut", 1)],
}
EXPERIMENTS = (
    "googlenet_natural",
    "googlenet_optimized",
    "resnet50_natural",
    "resnet50_hard95_natural",
    "resnet50_hard95_optimized",
    "clip-resnet50_natural",
    "wide_resnet50_natural",
)
BATCHES = 3
SIDES = [f"{side}_{i}" for side in ("max", "min") for i in range(10)]
#: Special photographs: used once each, in the first batch of the first unit of GoogLeNet.
GREY, CMYK = "n00000001/n00000001_1.JPEG", "n00000002/n00000002_2.JPEG"
#: Never written; it is the query of the last batch of wide_resnet50's unit.
MISSING = "n00000003/n00000003_3.JPEG"


@dataclass
class Release:
    """A release folder: change `rows` or `file_map`, then `write`."""

    root: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    file_map: dict[str, Any] = field(default_factory=dict)
    columns: list[str] = field(default_factory=lambda: list(COLUMNS))

    @property
    def train(self) -> Path:
        return self.root.parent / "train"

    @property
    def csv_path(self) -> Path:
        return self.root / "human_responses" / "responses_main.csv"

    def main(self, namespace: str | None = None) -> list[dict[str, Any]]:
        """The main rows, of one experiment or of all."""
        return [
            row
            for row in self.rows
            if row["is_demo"] == row["catch_trial"] == "False"
            and namespace in {None, row["task_id"].rpartition("-")[0]}
        ]

    def write(self, quality: str = "main") -> Release:
        folder = self.root / "human_responses"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"responses_{quality}.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        path = self.root / "image_data" / "imagenet_exemplars_file_map.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(self.file_map))
        return self

    def add_finished(self, key: str, layer: str, channel: int, batch: int) -> None:
        """Writes the finished stimuli of one batch: 224 x 224, all of one colour."""
        folder = self.root / "stimuli" / key / layer / f"channel_{channel}" / "natural_images"
        (folder / f"batch_{batch}").mkdir(parents=True)
        for i, name in enumerate(SIDES):
            picture = Image.new("RGB", (224, 224), (i, batch, channel % 256))
            picture.save(folder / f"batch_{batch}" / f"{name}.png")


def model_of(namespace: str) -> tuple[str, str, str]:
    """(key of the file map, base model, condition) of an experiment."""
    key, _, condition = namespace.rpartition("_")
    base, hard, _ = key.partition("_hard")
    return key, base if hard else key, condition


def make_release(
    folder: Path,
    experiments: tuple[str, ...] = EXPERIMENTS,
    optimized: bool = True,
    people: bool = False,
) -> Release:
    """A release in `folder / "release"` and its photographs in `folder / "train"`.

    `optimized`: whether the optimized images are there. `people`: participants are P0001 and so on, not
    one constant.
    """
    rng = random.Random(0)
    release = Release(folder / "release")
    pool = [f"n{i:08d}/n{i:08d}_{j}.JPEG" for i in range(11, 17) for j in range(40)]
    keys = dict.fromkeys([*(model_of(name)[0] for name in experiments), "googlenet_hard85"])
    for key in keys:
        base = model_of(f"{key}_natural")[1]
        release.file_map[key] = {
            f"{layer}/channel_{channel}": {
                f"batch_{batch}": _batch(rng, pool, release, key, base, layer, channel, batch)
                for batch in range(BATCHES)
            }
            for layer, channel in _units(base)
        }
    if "googlenet" in release.file_map:
        layer, channel = UNITS["googlenet"][0]
        first = release.file_map["googlenet"][f"{layer}/channel_{channel}"]["batch_0"]
        first.update({"max_0.png": GREY, "min_0.png": CMYK})
    if "wide_resnet50" in release.file_map:
        layer, channel = UNITS["wide_resnet50"][0]
        unit = release.file_map["wide_resnet50"][f"{layer}/channel_{channel}"]
        unit[f"batch_{BATCHES - 1}"]["min_9.png"] = MISSING
    for namespace in experiments:
        release.rows += _rows(rng, namespace, people)
    _photographs(release, [*pool, GREY, CMYK])
    if optimized:
        _optimized(release, experiments)
    return release.write()


def _units(base: str) -> list[tuple[str, int]]:
    return UNITS.get(base, [("layer1_0_conv1", 0)])


def _batch(
    rng: random.Random,
    pool: list[str],
    release: Release,
    key: str,
    base: str,
    layer: str,
    channel: int,
    batch: int,
) -> dict[str, str]:
    """Images of one batch; a hard key shares the references of the easy one and has other queries."""
    easy = release.file_map.get(base, {}).get(f"{layer}/channel_{channel}", {})
    images = dict(zip((f"{name}.png" for name in SIDES), rng.sample(pool, 20), strict=True))
    shared = {
        name: image for name, image in easy.get(f"batch_{batch}", {}).items() if "9" not in name
    }
    entries = [*{**images, **shared}.items()]
    rng.shuffle(entries)
    return dict(entries)


def _photographs(release: Release, names: list[str]) -> None:
    noise = np.random.default_rng(0)
    for i, name in enumerate(names):
        path = release.train / name
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (20 + i % 7, 16 + i % 5)
        image = Image.fromarray(noise.integers(0, 256, (size[1], size[0], 3), np.uint8))
        mode = {GREY: "L", CMYK: "CMYK"}.get(name, "RGB")
        image.convert(mode).save(path, "JPEG")


def _optimized(release: Release, experiments: tuple[str, ...]) -> None:
    bases = {model_of(name)[1] for name in experiments if name.endswith("_optimized")}
    for number, base in enumerate(sorted(bases)):
        for layer, channel in _units(base):
            folder = release.root / "stimuli" / base / layer / f"channel_{channel}/optimized_images"
            folder.mkdir(parents=True)
            for i, name in enumerate(n for n in SIDES if not n.endswith("9")):
                colour = (i, number, channel % 256)
                Image.new("RGB", (224, 224), colour).save(folder / f"{name}.png")


def _rows(rng: random.Random, namespace: str, people: bool) -> list[dict[str, Any]]:
    """Practice, then main and catch rows mixed."""
    key, base, condition = model_of(namespace)
    model = base if condition == "optimized" else key
    found = [_row(rng, namespace, people, is_demo="True") for _ in range(5)]
    mixed = [
        _row(
            rng,
            namespace,
            people,
            layer=layer,
            channel=f"{channel}.0",
            batch=f"{batch}.0",
            mode=condition,
            model=model,
        )
        for layer, channel in _units(base)
        for batch in range(BATCHES)
        for _ in range(2 + batch)
    ]
    mixed += [
        _row(
            rng,
            namespace,
            people,
            catch_trial="True",
            layer="manual_4c_0_4",
            channel="4.0",
            batch="-1.0",
            mode="catch_trial",
            model="catch/manual",
        )
        for _ in range(3)
    ]
    rng.shuffle(mixed)
    return found + mixed


def _row(rng: random.Random, namespace: str, people: bool, **given: str) -> dict[str, Any]:
    button, switched = rng.randrange(6), rng.random() < 0.5
    chose_first = switched == (button < 3)
    person = f"P{rng.randrange(4):04d}" if people else "anonymized"
    row: dict[str, Any] = {
        **dict.fromkeys(COLUMNS, ""),
        "rt": "3898.8",
        "button_pressed": str(button),
        "switched_queries": str(switched),
        "confidence": str(button % 3 + 1),
        "choice": "b" if chose_first else "a",
        "correct": str(chose_first),
        **dict.fromkeys(
            ["min_query", "max_query", "min_references", "max_references"], "anonymized"
        ),
        "catch_trial": "False",
        "is_demo": "False",
        "trial_type": "2afc-image-confidence-response",
        "participant_id": person,
        "task_id": f"{namespace}-{rng.randint(1, 63)}",
        **dict.fromkeys(
            [name for name in COLUMNS if name.endswith("_result")] + ["passed_checks"], "True"
        ),
        "demo_trials_details": "{'n_demo_trials_blocks': 1}",
        "catch_trials_details": "{'ratio': 1.0, 'correctly_answered': [True, True, True, True, True]}",
        "row_variability_details": "{'n_upper_row': 26, 'n_lower_row': 19}",
        "catch_trials_details_correctly_answered_extracted": "[True, True, True, True, True]",
        "multi_participation": "False",
    }
    return {**row, **given}
