"""Directions on the manifold of images: a map of all MEIs, and how sparse on it they are (Sec. 3.4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt

from iibench import CaseError, EvaluationSpec, UnitScores, hookimpl

from ..._shared.bibliography import KLINDT2023

if TYPE_CHECKING:
    from iibench import EvaluationInputs

FLAT = "all images are equally far from the direction"


@dataclass(frozen=True)
class Params:
    """Parameters of the map and of what is shown on it."""

    m: Annotated[int, Ge(2)] = field(
        default=5, metadata={"help": "number of exemplars (MEIs) per direction"}
    )
    method: Literal["tsne", "umap"] = field(
        default="tsne", metadata={"help": "layout: t-SNE, or UMAP (pip install 'iibench[umap]')"}
    )
    perplexity: Annotated[float, Ge(1)] = field(
        default=10.0, metadata={"help": "tsne: perplexity, about the number of near neighbours"}
    )
    neighbours: Annotated[int, Ge(2)] = field(
        default=15, metadata={"help": "umap: number of near neighbours"}
    )
    seed: Annotated[int, Ge(0)] = field(
        default=0, metadata={"help": "of the layout, beside the suite's: another seed, another map"}
    )
    tau: Annotated[float, Gt(0)] = field(
        default=2.0, metadata={"help": "temperature of the activation (Eq. 4)"}
    )
    space: Literal["unit", "raw"] = field(
        default="unit",
        metadata={
            "help": "of Eq. 4: unit: activations scaled to unit norm, where the centroids of kmeans "
            "live; raw: as they are, where distances to all directions follow the activation's norm"
        },
    )
    points: Annotated[int, Ge(2)] = field(
        default=10, metadata={"help": "most active points per direction whose spread is measured"}
    )
    resamples: Annotated[int, Ge(100)] = field(
        default=2000, metadata={"help": "resamples of directions behind each interval"}
    )


def evaluate(params: Params, inputs: EvaluationInputs) -> UnitScores:
    """Spread of every direction's most active points on the map; the map stands in the details.

    Raises `CaseError` where there are too few different MEIs for the layout or for `points`.
    """
    import numpy as np

    from iibench import Details
    from iibench.compute.exemplars import exemplars

    from .. import _index
    from . import found as parts
    from .activation import activation
    from .map import distances, layout

    context = inputs.context
    if context is None:
        raise CaseError("manifold needs the activations and the images, which are not at hand")
    index = _index.evaluate(_index.Params(m=params.m), inputs)
    scored = ~np.isnan(index.values)
    top = exemplars(inputs.order, params.m)
    images = np.unique(top[scored])
    if len(images) < params.points:
        raise CaseError(
            f"the spread of {params.points} points is asked for and there are {len(images)} "
            "different MEIs"
        )
    apart = distances(
        inputs.similarity, images, lambda done, total: context.progress(done, total, "similarities")
    )
    seed = int(np.random.SeedSequence([inputs.seed, params.seed]).generate_state(1)[0])
    places, kl = layout(apart.matrix, params.method, params.perplexity, params.neighbours, seed)
    active = activation(
        context.activations(), context.directions().vectors, images, params.tau, params.space
    )
    active[:, ~scored] = np.nan
    found = parts.Found(
        images,
        places,
        active,
        inputs.responses[images].astype(np.float64),
        np.searchsorted(images, np.where(scored[:, None], top, images[0])),
        index.values,
        params.points,
    )
    spreads = parts.spreads_of(found)
    measures = parts.measures_of(found, spreads, kl, params.resamples, inputs.seed)
    labels = None if inputs.labels is None else np.asarray(inputs.labels)[images]
    classes = None if labels is None else parts.class_of(context, labels)
    colours = parts.mean_colours(context, images)
    name = f"t-SNE, perplexity {params.perplexity:g}" if params.method == "tsne" else "UMAP"
    details = Details(
        measures,
        "spearman",
        (
            parts.map_of(found, colours, classes, params.tau, name),
            parts.plot_of(found, spreads.active, measures[0]),
        ),
        parts.tables_of(found, spreads, colours, labels, classes),
        _notes(apart.raised),
    )
    reasons = tuple(
        reason or (FLAT if np.isnan(value) else None)
        for reason, value in zip(index.reasons, spreads.active, strict=True)
    )
    return UnitScores(spreads.active, reasons, details=details)


def _notes(raised: int) -> tuple[str, ...]:
    notes = [
        "II and the map are made of the same similarities, and a direction's own MEIs are points of "
        "the map: some negative correlation is built in. spearman_other_points leaves a "
        "direction's own MEIs out of its spread; spearman_response takes the points with the "
        "largest response instead of the largest Eq. 4.",
        "relative_spread is the spread divided by the mean distance of all pairs on the map "
        "(map_distance): compare it between finders, whose maps have no common unit.",
    ]
    if raised:
        notes.append(
            f"{raised:,} pairs of images are more alike under the metric than the images are with "
            "themselves; their distance was set to 0."
        )
    return tuple(notes)


@hookimpl
def iibench_register_evaluations() -> Iterable[EvaluationSpec]:
    """Registers `manifold`."""
    yield EvaluationSpec(
        name="manifold",
        summary="Map of all MEIs in the plane (t-SNE, UMAP); spread of a direction on it against II",
        definition=(
            "The MEIs of all directions, each image once, are laid out in the plane by t-SNE "
            "(scikit-learn, Barnes-Hut, random start, one thread) or UMAP, from the distances of "
            "all pairs: d(x, y) = (s(x, x) + s(y, y)) / 2 - s(x, y), that is minus the similarity "
            "where that is minus a distance, and 1 minus a cosine; t-SNE squares what it is given, "
            "as scikit-learn does. How active direction i is at an image: f_i(x) = exp(-d' / tau), "
            "d' the z-score over all evaluated images of ||x - mu_i||^2, x the activation scaled to "
            "unit norm (`space: raw`: as it is), mu_i the direction's vector (one-hot for a neuron, "
            "the centroid for K-Means) (Eq. 4). A direction's value is its spread: the mean "
            "distance on the map between its `points` most active points. Smaller means sparser on "
            "the map; the unit is the map's own. Spearman's rho and Pearson's r with II over "
            "directions, with 95 % percentile intervals from resampled directions. The paper does "
            "not say how many points it takes, nor whether activations are scaled."
        ),
        params=Params,
        unlabelled=("resamples",),
        evaluate=evaluate,
        unit="distance on the map",
        plot="none",
        images=lambda params, n: int(params.m),
        citation="Identifying Interpretable Features in Convolutional Neural Networks, Sec. 3.4, "
        "Eq. 4, Fig. 6",
        bibtex=KLINDT2023,
    )
