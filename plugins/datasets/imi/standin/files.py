"""The stand-in's folder: a release in the IMI study's layout, its photographs, and the truth beside it.

`human_responses/`, `image_data/` and `stimuli/` are as in the release, `train/` stands for ImageNet's
training images, `truth.csv` has each stimulus' margin and probability, `README.txt` says what this is.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench import AssetError, UsageError

from ..map import OPPOSITE, PATH, QUERIES, REFERENCES
from ..responses import COLUMNS, responses_path
from .design import MAP_KEYS, Design, Unit

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from iibench import DoubleArray, ImageArray, ImageDataset

TRAIN = "train"
TRUTH = "truth.csv"
README = "README.txt"
SIDES = QUERIES + REFERENCES + OPPOSITE
#: Images read at a time.
CHUNK = 500


def truth(folder: Path) -> dict[str, float]:
    """P(the strong query is chosen) of every stimulus of a stand-in's folder, by the stimulus' name.

    Raises `AssetError` where the folder is none, `UsageError` where its `truth.csv` is damaged.
    """
    path = folder / TRUTH
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row["stimulus"]: float(row["p"]) for row in csv.DictReader(file)}
    except FileNotFoundError:
        raise AssetError(f"there is no {path}") from None
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as a CSV with stimulus and p: {error}") from error


@dataclass(frozen=True)
class Special:
    """Images that are not as the others: without a file, in grey, in CMYK."""

    missing: int
    grey: int
    cmyk: int


def specials(design: Design) -> Special:
    """Three of the images that the fewest natural stimuli with answers show; a missing one hides few."""
    shown: Counter[int] = Counter()
    for stimulus, unit in design.stimuli():
        if stimulus.experiment.condition == "natural":
            shown.update(design.images[stimulus.experiment.key, unit][stimulus.batch].tolist())
    rarest = sorted(shown, key=lambda image: (shown[image], image))
    return Special(*rarest[:3])


def photo_names(source: ImageDataset) -> list[str]:
    """WNID/WNID_NUM.JPEG of every image, the class being its label and the number its index."""
    labels = source.labels
    wnids = [f"n{1 if labels is None else int(labels[i]) + 1:08d}" for i in range(len(source))]
    return [f"{wnid}/{wnid}_{i}.JPEG" for i, wnid in enumerate(wnids)]


def write_photographs(folder: Path, source: ImageDataset, special: Special) -> list[Path]:
    """Writes all images as JPEG files, and says which; the missing one too, which `hide` takes away."""
    from PIL import Image

    paths = [folder / TRAIN / name for name in photo_names(source)]
    modes = {special.grey: "L", special.cmyk: "CMYK"}
    for parent in {path.parent for path in paths}:
        parent.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(paths), CHUNK):
        part = range(start, min(start + CHUNK, len(paths)))
        for i, pixels in zip(part, source.images(list(part)), strict=True):
            picture = Image.fromarray(pixels).convert(modes.get(i, "RGB"))
            picture.save(paths[i], "JPEG", quality=95, subsampling=0)
    return paths


def hide(folder: Path, source: ImageDataset, special: Special) -> None:
    """Takes the missing image away."""
    (folder / TRAIN / photo_names(source)[special.missing]).unlink()


def write_map(folder: Path, design: Design, source: ImageDataset) -> None:
    """The map of natural exemplars, with a key for which there are no answers."""
    names = photo_names(source)
    entries: dict[str, Any] = {}
    for key in MAP_KEYS:
        entries[key] = {}
        for unit in design.of(key.removesuffix("_hard95")):
            batches = {
                f"batch_{batch}": {
                    f"{side}.png": names[image] for side, image in zip(SIDES, images, strict=True)
                }
                for batch, images in enumerate(design.images[key, unit].tolist())
            }
            entries[key][f"{unit.layer}/channel_{unit.channel}"] = batches
    path = folder / PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries), encoding="utf-8")


def write_optimized(
    folder: Path,
    design: Design,
    units: Collection[Unit],
    source: ImageDataset,
    size: int,
    rng: np.random.Generator,
) -> dict[Unit, list[Path]]:
    """Pictures in place of optimized ones: mixtures of the unit's extremes, with twice their contrast.

    Size x size pixels, nine of each side, positive first.
    """
    found = {}
    for unit in units:
        images = (
            folder / "stimuli" / unit.model / unit.layer / f"channel_{unit.channel}"
        ) / "optimized_images"
        images.mkdir(parents=True)
        paths = [images / f"{name}.png" for name in REFERENCES + OPPOSITE]
        for side, extremes in enumerate(design.extremes[unit].tolist()):
            pixels = source.images(extremes)
            for path in paths[9 * side : 9 * side + 9]:
                chosen = rng.permutation(len(pixels))[:3]
                _mixture(pixels[chosen], size).save(path)
        found[unit] = paths
    return found


def _mixture(pixels: ImageArray, size: int) -> Image.Image:
    import numpy as np
    from PIL import Image

    mixed = pixels.mean(axis=0, dtype=np.float64)
    mean = mixed.mean(axis=(0, 1))
    stretched = np.clip(np.round(mean + 2 * (mixed - mean)), 0, 255).astype(np.uint8)
    return Image.fromarray(stretched).resize((size, size), Image.Resampling.BICUBIC)


def write_responses(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """`responses_main.csv`; what a row does not have is empty, as NaN is written."""
    path = responses_path(folder, "main")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_truth(
    folder: Path, names: Sequence[str], margins: DoubleArray, p: DoubleArray, text: str
) -> None:
    """`truth.csv` and `README.txt`."""
    with (folder / TRUTH).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["stimulus", "margin", "p"])
        for row in zip(names, margins.tolist(), p.tolist(), strict=True):
            writer.writerow(row)
    (folder / README).write_text(text, encoding="utf-8")
