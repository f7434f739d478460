"""LPIPS v0.1: minus the learned perceptual distance of two images, over all taps or one of them.

Mid level. Similarity = -LPIPS, in (-inf, 0], 0 for equal images. The parts `lpips[0]`, `lpips[1]`,
... are the summands of single taps. Values depend on the backbone and on the size of the images, so
both stand in the results. The authors' tests are all on 64 x 64 images; smaller ones are outside
what was validated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge

from iibench import EmbeddingMetric, MetricSpec, Resources, hookimpl

from ..._shared.bibliography import ZHANG2018
from ..._shared.lpips_backbones import BACKBONES, backbone
from .._golden_images import different, moved
from .embedding import TAPS, build

#: Below this many pixels a side LPIPS has not been validated by its authors.
VALIDATED_SIZE = 64
#: backbone -> how pages call it, and how many taps it has in words
NAMES = {
    "alex": ("AlexNet", "five"),
    "vgg": ("VGG16", "five"),
    "squeeze": ("SqueezeNet", "seven"),
}
#: Who computed the golden values.
SOURCE = "lpips 0.1.4 in float64, backbones of torchvision"


@dataclass(frozen=True)
class Params:
    """Which LPIPS."""

    net: Literal["alex", "vgg", "squeeze"] = field(
        default="alex", metadata={"help": "backbone: AlexNet, VGG16 or SqueezeNet 1.1"}
    )
    resize: Annotated[int, Ge(1)] | None = field(
        default=None,
        metadata={"help": "images are resized to this many pixels a side (antialiased bicubic)"},
    )
    input: Literal["correct", "paper2310"] = field(
        default="correct",
        metadata={
            "help": "correct: RGB in [0, 1] becomes [-1, 1]; paper2310: as the paper's released "
            "code did, normalised by CIFAR-10's mean and std before that"
        },
    )


def load(params: Params, resources: Resources) -> EmbeddingMetric:
    """The embedding phi. Raises `AssetError` where the backbone is neither here nor to be had."""
    return build(
        params.net,
        backbone(params.net, resources),
        cifar_normalised=params.input == "paper2310",
        device=resources.device,
    )


def parts(params: Params) -> tuple[str, ...]:
    """The taps, by number."""
    return tuple(str(k) for k in range(TAPS[params.net]))


def size(params: Params) -> int | None:
    """Images are compared at their own size unless `resize` is given."""
    return params.resize


def sentence(params: Params, sizes: Sequence[tuple[int, int]]) -> str:
    """For the page; `sizes`: (height, width) of the images that it compared."""
    net, taps = NAMES[params.net]
    text = (
        f"Minus LPIPS v0.1 with {net} features, the sum over its {taps} taps; a number in brackets, as "
        "lpips[3], is one tap alone. "
    )
    if taps == "five":
        text += (
            "The paper's published values fit the average of the taps: divide a sum by 5 before "
            "comparing with them. "
        )
    if params.input == "paper2310":
        text += (
            "Legacy input: images are normalised by mean and standard deviation before LPIPS, as the "
            "paper's released code did. That is not a correct input; it is here to compare with "
            "published numbers. "
        )
    text += (
        f"Computed at {' and '.join(f'{h} × {w}' for h, w in sizes) or 'an unknown size'} pixels."
    )
    if any(min(size) < VALIDATED_SIZE for size in sizes):
        text += (
            f" Caution: below {VALIDATED_SIZE} × {VALIDATED_SIZE} pixels, the size of its authors' "
            "own tests, LPIPS has not been validated."
        )
    return text


@hookimpl
def iibench_register_metrics() -> Iterable[MetricSpec]:
    return [
        MetricSpec(
            name="lpips",
            summary="minus LPIPS v0.1, the learned perceptual distance; lpips[l] is tap l alone",
            definition=(
                "f_l(x) are the features of tap l of an ImageNet network (AlexNet by default), scaled "
                "to unit norm over channels at each of H_l W_l positions. LPIPS(x, y) = sum over taps "
                "l of 1 / (H_l W_l) sum over positions and channels c of w_lc (f_lc(x) - f_lc(y))^2 "
                "with learned weights w >= 0. Similarity = -LPIPS, in (-inf, 0]: 0 for equal images, "
                "larger is more alike; `lpips[l]` is the summand of tap l alone. RGB in [0, 1] "
                "becomes [-1, 1] (with `input: paper2310` it is first normalised by CIFAR-10's "
                "statistics, as the paper's code did). Images are compared at their own size unless "
                "`resize` is given, and values of different sizes do not compare."
            ),
            params=Params,
            load=load,
            distance="squared_euclidean",
            size=size,
            parts=parts,
            level="mid",
            sentence=sentence,
            assets=tuple(BACKBONES.values()),
            citation=(
                "Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features as a "
                "Perceptual Metric"
            ),
            bibtex=ZHANG2018,
            licence="BSD-2-Clause (lpips)",
            golden=(
                different("lpips", -0.5961575, 1e-5, SOURCE),
                moved("lpips", -0.0473350, 1e-5, SOURCE),
                different("lpips[3]", -0.1548783, 1e-5, SOURCE),
                different("lpips[net=vgg]", -0.8264457, 1e-5, SOURCE),
                moved("lpips[net=vgg]", -0.2178644, 1e-5, SOURCE),
            ),
        )
    ]
