"""The parameters of the stand-in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from ..choice import Choice


@dataclass(frozen=True)
class Params(Choice):
    """What the stand-in is made from, who its people are, and which answers are asked for."""

    images: str = field(
        default="photo_patches[n=2000]",
        metadata={"help": "label of the dataset whose images stand for ImageNet's"},
    )
    image_split: str = field(default="", metadata={"help": "its split; none: the last"})
    model: str = field(
        default="resnet50_cifar10", metadata={"help": "label of the network whose units are judged"}
    )
    layers: Annotated[tuple[str, ...], MinLen(1)] = field(
        default=("layer1.0.conv2", "layer1.2.bn2", "layer2.1.conv2", "layer2.3.bn2"),
        metadata={"help": "its layers, by module path; units are spread over them evenly"},
    )
    units: Annotated[int, Ge(1)] = field(
        default=40, metadata={"help": "units of each of the two models"}
    )
    batches: Annotated[int, Ge(1), Le(20)] = field(
        default=11, metadata={"help": "stimuli of a unit in each experiment"}
    )
    answers: Annotated[int, Ge(1)] = field(default=3, metadata={"help": "answers to each stimulus"})
    observer: str = field(
        default="color",
        metadata={"help": "what the simulated people see: a metric, or a part such as lpips[3]"},
    )
    rule: Literal["eq2", "two_sided"] = field(
        default="two_sided", metadata={"help": "how they decide: see the observers of human"}
    )
    pool: Literal["mean", "max"] = field(
        default="max", metadata={"help": "over the references of a side, under two_sided"}
    )
    accuracy: Annotated[float, Gt(0), Lt(1)] = field(
        default=0.83, metadata={"help": "mean probability of a right answer, natural easy stimuli"}
    )
    noise: Annotated[float, Gt(0)] = field(
        default=1.0,
        metadata={"help": "of their decisions, in standard deviations of the margin"},
    )
    lapse: Annotated[float, Ge(0), Lt(1)] = field(
        default=0.02, metadata={"help": "share of answers that are guessed"}
    )
    release_seed: Annotated[int, Ge(0)] = field(
        default=0, metadata={"help": "of the units, trials and answers"}
    )
    missing: Literal["error", "count"] = field(
        default="count",
        metadata={
            "help": "one image is missing on purpose: stop, or count the stimuli that show it"
        },
    )
    size: Annotated[int, Ge(16)] = field(
        default=64, metadata={"help": "pixels of a side of the trials' images"}
    )
