"""Names in the IMI release (Zimmermann, Klein & Brendel 2023): experiments, difficulties, layer groups.

An experiment is called MODEL[_hardXX]_{natural,optimized}. Names are read whole: `resnet50` is a part of
`wide_resnet50`, `clip-resnet50` and `resnet50-l2`, which are other networks.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

CONDITIONS = ("natural", "optimized")
#: From the most to the least activating queries: the percentile that the strong query comes from.
DIFFICULTIES = ("easy", "hard99", "hard95", "hard85")

_NAMESPACE = re.compile(
    r"(?P<model>[A-Za-z0-9][\w.-]*?)(?:_hard(?P<hard>\d+))?_(?P<condition>natural|optimized)",
    re.ASCII,
)
_LAYER = re.compile(r"\w[\w.-]*", re.ASCII)

_BOTH_CONDITIONS = (
    "clip-resnet50",
    "convnext_b",
    "densenet_201",
    "googlenet",
    "resnet50",
    "resnet50-l2",
    "resnet50_hard95",
    "wide_resnet50",
)
_NATURAL_ONLY = (
    "clip-resnet50_hard85",
    "clip-resnet50_hard95",
    "clip-vit_b32",
    "in1k-vit_b32",
    "resnet50_hard85",
)
#: The experiments of the first release (52,920 answers).
FIRST_EXPERIMENTS = frozenset(
    [f"{key}_{condition}" for key in _BOTH_CONDITIONS for condition in CONDITIONS]
    + [f"{key}_natural" for key in _NATURAL_ONLY]
)
#: A later one has two more (57,960 answers).
LATER_EXPERIMENTS = FIRST_EXPERIMENTS | {"resnet50_hard99_natural", "clip-resnet50_hard99_natural"}


@dataclass(frozen=True)
class Experiment:
    """What an experiment's name says. `key`: its name without the condition, as the file map has it."""

    name: str
    model: str
    difficulty: str
    condition: str

    @property
    def key(self) -> str:
        """MODEL or MODEL_hardXX."""
        return self.model if self.difficulty == "easy" else f"{self.model}_{self.difficulty}"

    @property
    def model_columns(self) -> frozenset[str]:
        """What the column `model` of its rows may say.

        It is the model's folder in the path of the query: `key`. Rows of hard optimized experiments
        bear the base model instead, as published.
        """
        optimized = self.condition == "optimized"
        return frozenset({self.key, self.model} if optimized else {self.key})


def experiment_of(name: str) -> Experiment:
    """The experiment of a name; raises `ValueError` saying what is wrong with it."""
    found = _NAMESPACE.fullmatch(name)
    if found is None:
        raise ValueError("expected MODEL_natural, MODEL_optimized, MODEL_hardXX_natural or such")
    difficulty = f"hard{found['hard']}" if found["hard"] else "easy"
    if difficulty not in DIFFICULTIES:
        raise ValueError(f"difficulty {difficulty}, expected {', '.join(DIFFICULTIES[1:])} or none")
    return Experiment(name, found["model"], difficulty, found["condition"])


def is_layer(name: str) -> bool:
    """Whether a text can be a layer's name: it becomes a part of paths."""
    return _LAYER.fullmatch(name) is not None


def version_of(experiments: Collection[str]) -> str:
    """A sentence: which version of the release has these experiments."""
    found = frozenset(experiments)
    if found == FIRST_EXPERIMENTS:
        return "the release has the 21 experiments of its first version, without hard99"
    if found == LATER_EXPERIMENTS:
        return "the release has the 23 experiments of its later version, with hard99"
    unknown = sorted(found - LATER_EXPERIMENTS)
    text = f"the release has {len(found)} experiments, not the 21 or 23 of its published versions"
    if unknown:
        text += f"; not among those are {', '.join(unknown[:5])}"
    return text + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")


def layer_group(layer: str) -> str:
    """The group that a layer is counted in, "" for a name of no known network.

    ResNets: `layer1` to `layer4`; GoogLeNet: `mixed3` to `mixed5`; DenseNet: `denseblock1` to
    `denseblock4`, a transition with the block before it; ConvNeXt: `stage0` to `stage3`; both ViTs:
    blocks by four, such as `blocks_0-3`. CLIP's layers lie below `visual`; those of its text tower
    belong to no group.
    """
    if found := re.match(r"(?:visual_)?(layer\d)_", layer):
        return found[1]
    if found := re.match(r"(mixed\d)", layer):
        return found[1]
    if found := re.match(r"features_(?:denseblock|transition)(\d)_", layer):
        return f"denseblock{found[1]}"
    if found := re.match(r"stages_(\d)_", layer):
        return f"stage{found[1]}"
    if found := re.match(r"(?:visual_transformer_res)?blocks_(\d+)_", layer):
        first = int(found[1]) // 4 * 4
        return f"blocks_{first}-{first + 3}"
    return ""
