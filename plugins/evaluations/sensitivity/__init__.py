"""Sensitivity of interpretable directions: between them, beyond them, and to the pixels (Sec. 3.5).

Four questions of Fig. 7. A: are directions that are far apart less alike in their MEIs? B: does II fall on
the way from one direction to another? C: does nearness to a direction depend more steeply on the pixels
there? D: are more interpretable directions less steep at the images they prefer?

Activations y(x) are taken as K-Means with cosine similarity sees them, scaled to unit norm, since v is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from iibench import CaseError, EvaluationSpec, UnitScores, hookimpl

from ..._shared.bibliography import KLINDT2023
from .._index import DEAD, average
from .figures import details
from .found import Found
from .pairs import cross_index, distances, relation, separated_pairs, unit_norm
from .params import Params
from .paths import TIP, between, gradient_norms, nearest

if TYPE_CHECKING:
    from iibench import AnalysisContext, DoubleArray, EvaluationInputs, IntArray


def evaluate(params: Params, inputs: EvaluationInputs) -> UnitScores:
    """The smallest gradient norm of each direction at the images nearest to it, and all of Fig. 7.

    Raises `CaseError` where fewer than two directions have a vector and differing responses, or there are
    fewer than m images.
    """
    import numpy as np

    from iibench.compute.exemplars import constant_directions, exemplars

    if inputs.context is None:
        raise CaseError("sensitivity needs the network of a case, and there is none")
    top = exemplars(inputs.order, params.m)
    vectors = np.asarray(inputs.context.directions().vectors, np.float64)
    dead = constant_directions(inputs.responses, inputs.order)
    zero = (vectors == 0).all(axis=1)
    used = np.flatnonzero(~(dead | zero))
    if len(used) < 2:
        raise CaseError(
            f"sensitivity compares directions, and {len(used)} of {len(dead)} have a vector that is "
            "not zero and responses that differ"
        )
    found = _found(params, inputs, inputs.context, used, vectors[used], top[used])
    values = np.full(len(dead), np.nan)
    values[used] = found.least
    reasons: list[str | None] = [
        DEAD if d else "its vector is zero" if z else None
        for d, z in zip(dead.tolist(), zero.tolist(), strict=True)
    ]
    for unit in used[np.isnan(found.least)]:
        reasons[unit] = "the activations of the images nearest to it are the direction itself"
    return UnitScores(values, tuple(reasons), details=details(found, params, len(dead)))


def _found(
    params: Params,
    inputs: EvaluationInputs,
    context: AnalysisContext,
    units: IntArray,
    vectors: DoubleArray,
    top: IntArray,
) -> Found:
    """Panels A to D for the directions in use (L,), their vectors (L, N) and MEIs (L, M)."""
    import numpy as np

    def index(images: IntArray) -> DoubleArray:
        groups = images.reshape(-1, params.m)
        ii: DoubleArray = average(inputs.similarity.within(groups), params.mean)
        return ii.reshape(images.shape[:-1])

    cross = cross_index(
        inputs.similarity, top, lambda done, total: context.progress(done, total, "cross-II")
    )
    apart = distances(unit_norm(vectors) if params.distance == "unit" else vectors)
    pairs, separation = separated_pairs(apart)

    unit = params.activations == "unit"
    activations = context.activations()
    own = unit_norm(vectors)
    own_images, own_gaps = nearest(activations, own, params.m, unit)
    paths = between(vectors, pairs, params.alphas)
    flat = paths.reshape(-1, paths.shape[2])
    on_paths, path_gaps = nearest(activations, flat, params.m, unit)
    images = on_paths.reshape(*paths.shape[:2], params.m)
    gaps = path_gaps.reshape(images.shape)
    path_ii = index(images)
    path_ii[~paths.any(axis=2)] = np.nan

    count = len(pairs) if params.pairs is None else min(params.pairs, len(pairs))
    steep = np.sort(np.random.default_rng(inputs.seed).permutation(len(pairs))[:count])
    inner = [k for k, alpha in enumerate(params.alphas) if alpha not in (0.0, 1.0)]
    ends = pairs[steep]
    # one list of (v, image) for everything, so that batches are full
    targets = np.concatenate([own, paths[steep][:, inner].reshape(-1, paths.shape[2])])
    each = np.arange(len(targets))
    which = [np.repeat(each, params.m), np.repeat(ends.ravel(), params.m)]
    asked = [own_images.ravel(), images[steep][:, inner].ravel(), own_images[ends[:, ::-1]].ravel()]
    norms = gradient_norms(context, targets, np.concatenate(which), np.concatenate(asked), unit)
    at_own, on_path, at_other = (
        part.reshape(-1, params.m)
        for part in np.split(norms, np.cumsum([len(part) for part in asked])[:2])
    )
    at_own[own_gaps < TIP] = np.nan
    between_ends = on_path.reshape(count, len(inner), params.m)
    between_ends[gaps[steep][:, inner] < TIP] = np.nan
    between_ends[~paths[steep][:, inner].any(axis=2)] = np.nan

    mean_norm = _mean(at_own)
    path_gradient = np.empty((count, len(params.alphas)))
    path_gradient[:, inner] = _mean(between_ends)
    path_gradient[:, params.alphas.index(1.0)] = mean_norm[ends[:, 0]]
    path_gradient[:, params.alphas.index(0.0)] = mean_norm[ends[:, 1]]
    return Found(
        alphas=params.alphas,
        units=units,
        ii=index(top),
        cross=cross,
        relation=relation(apart, cross),
        pairs=pairs,
        separation=separation,
        images=images,
        path_ii=path_ii,
        steep=steep,
        path_gradient=path_gradient,
        swapped=_mean(at_other).reshape(count, 2),
        shared=(top[:, :, None] == own_images[:, None]).any(axis=2).mean(axis=1),
        nearest_ii=index(own_images),
        least=np.fmin.reduce(at_own, axis=1),
        mean_norm=mean_norm,
    )


def _mean(norms: DoubleArray) -> DoubleArray:
    """Mean over the last axis, NaN left out; NaN where all are."""
    import numpy as np

    there = ~np.isnan(norms)
    total = np.where(there, norms, 0).sum(axis=-1)
    mean: DoubleArray = np.full(total.shape, np.nan)
    np.divide(total, there.sum(axis=-1), out=mean, where=there.any(axis=-1))
    return mean


@hookimpl
def iibench_register_evaluations() -> Iterable[EvaluationSpec]:
    """Registers `sensitivity`."""
    yield EvaluationSpec(
        name="sensitivity",
        summary="Sensitivity of directions: II between and beyond them, gradients at the pixels",
        definition=(
            "mu_k is the vector of direction k, y(x) the activations of image x scaled to unit norm "
            "(`activations: raw`: as they are). Cross-II of two directions = mean similarity between "
            "the M MEIs of one and the M MEIs of the other, against the Euclidean distance of their "
            "vectors. The Hungarian algorithm assigns far apart directions to each other, and its "
            "cycles are cut into pairs so that no direction is in two. On the path v(alpha) = alpha "
            "mu_a + (1 - alpha) mu_b, scaled to unit norm (Eq. 5), the M images with the largest "
            "f_v(x) = -||y(x) - v|| (Eq. 6) are looked up; II is theirs, and the gradient norm is "
            "the mean over them of ||grad_x f_v(x)|| (Eq. 7), x in RGB from 0 to 1 before any "
            "resizing. A direction's value is the smallest gradient norm among the M images nearest "
            "to its own vector scaled to unit norm: smaller is less sensitive, not better or worse. "
            "The paper does not say over what it takes the minimum; gradient_spearman_path takes "
            "the smallest mean on the direction's half of its path instead. Spearman correlations "
            "resample directions, means over paths resample pairs."
        ),
        params=Params,
        evaluate=evaluate,
        unit="per unit of RGB",
        plot="none",
        images=lambda params, n: int(params.m * (1 + len(params.alphas))),
        citation=(
            "Identifying Interpretable Features in Convolutional Neural Networks, Sec. 3.5, Fig. 7"
        ),
        bibtex=KLINDT2023,
    )
