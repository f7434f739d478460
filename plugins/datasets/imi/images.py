"""Which images an IMI stimulus shows, and which files hold them.

Natural stimuli show the nine strong and nine weak references and the two queries of one batch. Optimized
stimuli show the same natural queries, but references that were optimized for the unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .map import OPPOSITE, QUERIES, REFERENCES, FileMap
from .names import Experiment

NOT_IN_MAP = "their images are not in the file map"
NOT_OPTIMIZED = "their optimized images are not in the release"

_IMAGENET = "ILSVRC/Data/CLS-LOC/train"


@dataclass(frozen=True)
class Stimulus:
    """One batch of a unit in one experiment."""

    experiment: Experiment
    layer: str
    channel: int
    batch: int

    @property
    def unit(self) -> str:
        """MODEL/LAYER/CHANNEL with the base model: hard experiments judge the same units."""
        return f"{self.experiment.model}/{self.layer}/{self.channel}"

    @property
    def name(self) -> str:
        """EXPERIMENT/LAYER/CHANNEL/BATCH."""
        return f"{self.experiment.name}/{self.layer}/{self.channel}/{self.batch}"


@dataclass(frozen=True)
class Places:
    """Where images lie: the release folder, and ImageNet's training images or None."""

    root: Path
    imagenet: Path | None

    @cached_property
    def _stimuli(self) -> tuple[Path, ...]:
        found = (self.root / "stimuli", self.root / "image_data" / "stimuli")
        return tuple(folder for folder in found if folder.is_dir())

    def optimized(self, stimulus: Stimulus) -> Path | None:
        """The folder with all 18 optimized images of the unit; they do not depend on the difficulty."""
        for folder in self._stimuli:
            for model in dict.fromkeys((stimulus.experiment.key, stimulus.experiment.model)):
                channel = folder / model / stimulus.layer / f"channel_{stimulus.channel}"
                images = channel / "optimized_images"
                if all((images / f"{name}.png").is_file() for name in REFERENCES + OPPOSITE):
                    return images
        return None

    def finished(self, stimulus: Stimulus, name: str) -> Path | None:
        """The finished stimulus image of a natural exemplar, where the release has it."""
        for folder in self._stimuli:
            channel = (
                folder / stimulus.experiment.key / stimulus.layer / f"channel_{stimulus.channel}"
            )
            path = channel / "natural_images" / f"batch_{stimulus.batch}" / f"{name}.png"
            if path.is_file():
                return path
        return None

    def photograph(self, image: str) -> Path | None:
        """The ImageNet image WNID/FILE, where it is there."""
        if self.imagenet is not None:
            for path in (self.imagenet / image, self.imagenet / _IMAGENET / image):
                if path.is_file():
                    return path
        return None


@dataclass(frozen=True)
class Images:
    """What stimuli show.

    `shown`: of each stimulus the names of its 20 images (two queries, nine references, nine opposite
    ones), or the reason why it has none. `files`: name -> file, None where there is none, in the order
    in which the stimuli use them. Natural images are named WNID/FILE, optimized ones by their path.
    `optimized`: names of the latter. `finished`: names of natural images whose finished stimulus is used.
    """

    shown: tuple[list[str] | str, ...]
    files: Mapping[str, Path | None]
    optimized: frozenset[str]
    finished: frozenset[str]

    @property
    def missing(self) -> list[str]:
        """Names of the images that are nowhere."""
        return sorted(name for name, file in self.files.items() if file is None)


def find_images(stimuli: Sequence[Stimulus], file_map: FileMap, places: Places) -> Images:
    """The images of each stimulus; the file map of its experiment decides which queries people saw."""
    shown: list[list[str] | str] = []
    files: dict[str, Path | None] = {}
    optimized: set[str] = set()
    finished: set[str] = set()
    for stimulus in stimuli:
        natural = stimulus.experiment.condition == "natural"
        asked = QUERIES + REFERENCES + OPPOSITE if natural else QUERIES
        key = stimulus.experiment.key
        images = file_map.images(key, stimulus.layer, stimulus.channel, stimulus.batch, asked)
        if images is None:
            shown.append(NOT_IN_MAP)
            continue
        folder = None if natural else places.optimized(stimulus)
        if folder is None and not natural:
            shown.append(NOT_OPTIMIZED)
            continue
        for name, image in zip(asked, images, strict=True):
            if files.setdefault(image, None) is None and (path := places.finished(stimulus, name)):
                files[image] = path
                finished.add(image)
        if folder is not None:
            for name in REFERENCES + OPPOSITE:
                path = folder / f"{name}.png"
                image = path.relative_to(places.root).as_posix()
                files[image] = path
                optimized.add(image)
                images.append(image)
        shown.append(images)
    for image, file in files.items():
        if file is None:
            files[image] = places.photograph(image)
    return Images(tuple(shown), files, frozenset(optimized), frozenset(finished))
