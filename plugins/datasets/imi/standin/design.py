"""The stand-in's experiments: which units, and which images each of their stimuli shows.

Notation: n images, B batches of a unit. As in the IMI study (Zimmermann, Klein & Brendel 2023), a unit's
9 B most and 9 B least activating images are its references: sorted by activation they fall into nine
bins of B, and every batch gets one of each bin. Easy queries are the B next images, hard ones lie
further inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iibench import UsageError

from ..images import Stimulus
from ..names import experiment_of

if TYPE_CHECKING:
    import numpy as np

    from iibench import FloatArray, IntArray

MODELS = ("standin_a", "standin_b")
#: In the order of the rows.
EXPERIMENTS = (
    "standin_a_natural",
    "standin_a_optimized",
    "standin_a_hard95_natural",
    "standin_a_hard95_optimized",
    "standin_b_natural",
)
#: Keys of the file map; nobody judged the last.
MAP_KEYS = ("standin_a", "standin_a_hard95", "standin_b", "standin_b_hard95")
#: Batches of a unit in the file map, where there are images enough.
MOST_BATCHES = 20
IMAGES_PER_BATCH = 50


@dataclass(frozen=True)
class Unit:
    """A neuron of the network; `layer` and `channel` as the release has them."""

    model: str
    layer: str
    channel: int


@dataclass(frozen=True)
class Design:
    """Units, and for each key of the file map and unit the images (B, 20) of its batches.

    The columns are `max_9`, `min_9`, `max_0` to `max_8`, `min_0` to `min_8`; images are indices into the
    dataset that they come from. `extremes`: the images (2, B) that activate a unit most and least. The
    first `used` batches have answers.
    """

    units: tuple[Unit, ...]
    images: Mapping[tuple[str, Unit], IntArray]
    extremes: Mapping[Unit, IntArray]
    used: int

    def of(self, model: str) -> tuple[Unit, ...]:
        """The units of a model."""
        return tuple(unit for unit in self.units if unit.model == model)

    def stimuli(self) -> list[tuple[Stimulus, Unit]]:
        """All stimuli with answers, experiment by experiment, unit by unit."""
        return [
            (Stimulus(experiment, unit.layer, unit.channel, batch), unit)
            for experiment in map(experiment_of, EXPERIMENTS)
            for unit in self.of(experiment.model)
            for batch in range(self.used)
        ]


def release_name(layer: str) -> str:
    """A module path as the study writes it: `layer1.0.conv2` is `layer1_0_conv2`."""
    return layer.replace(".", "_")


def make_design(
    activations: Mapping[str, FloatArray], units: int, batches: int, seed: int
) -> Design:
    """`units` neurons for each model from layers' activations (n, N), keyed by module path.

    Neurons that are constant are not chosen. Raises `UsageError` where there are too few neurons or
    images.
    """
    import numpy as np

    n = len(next(iter(activations.values())))
    per_unit = min(MOST_BATCHES, n // IMAGES_PER_BATCH)
    if per_unit < batches:
        raise UsageError(
            f"images: {n:,} images are too few for {batches} batches of a unit; expected at least "
            f"{IMAGES_PER_BATCH * batches:,}"
        )
    rng = np.random.default_rng([seed, 0])
    chosen = _choose(activations, units, rng)
    images: dict[tuple[str, Unit], IntArray] = {}
    extremes = {}
    for unit, values in chosen.items():
        order = np.argsort(values, kind="stable")[::-1].astype(np.int64)
        easy, hard = exemplars(order, per_unit, rng)
        images[unit.model, unit] = easy
        images[f"{unit.model}_hard95", unit] = hard
        extremes[unit] = np.stack([order[:per_unit], order[::-1][:per_unit]])
    return Design(tuple(chosen), images, extremes, batches)


def exemplars(order: IntArray, b: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Images (b, 20) of the easy and of the hard95 batches, from images by descending activation.

    They share the references. Hard queries start at the 5 % and 95 % quantiles; where these lie among
    the references or close to them, as in data sets of few images, 20 b images from either end.
    """
    import numpy as np

    def bins(strongest_first: IntArray) -> IntArray:
        # reference 0 is of the weakest bin, reference 8 of the strongest
        part = strongest_first[: 9 * b].reshape(9, b)[::-1]
        return rng.permuted(part, axis=1).T

    def queries(start: int) -> IntArray:
        sides = np.stack([side[start : start + b] for side in (order, order[::-1])])
        return rng.permuted(sides, axis=1).T

    references = np.concatenate([bins(order), bins(order[::-1])], axis=1)
    hard = max(round(0.05 * len(order)), 20 * b)
    easy_queries, hard_queries = queries(9 * b), queries(hard)
    return (
        np.concatenate([easy_queries, references], axis=1),
        np.concatenate([hard_queries, references], axis=1),
    )


def _choose(
    activations: Mapping[str, FloatArray], units: int, rng: np.random.Generator
) -> dict[Unit, FloatArray]:
    """`units` different neurons for each model, as many of each layer as of the others, give or take one."""
    import numpy as np

    found: dict[Unit, FloatArray] = {}
    shares = _shares(units, len(activations))
    for (layer, values), share in zip(activations.items(), shares, strict=True):
        varying = np.flatnonzero(np.ptp(values, axis=0) > 0)
        if len(varying) < share * len(MODELS):
            raise UsageError(
                f"units: {share} units of {layer} for each of {len(MODELS)} models are asked for, and "
                f"only {len(varying)} of its {values.shape[1]} neurons are not constant"
            )
        drawn = rng.permutation(varying)[: share * len(MODELS)].reshape(len(MODELS), share)
        for model, channels in zip(MODELS, drawn, strict=True):
            for channel in np.sort(channels).tolist():
                found[Unit(model, release_name(layer), channel)] = values[:, channel]
    return found


def _shares(n: int, parts: int) -> Sequence[int]:
    return [n // parts + (i < n % parts) for i in range(parts)]
