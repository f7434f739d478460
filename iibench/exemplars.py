"""From responses to images: the order of images, the exemplars (MEIs), the trials of psychophysics.

R (n, K) responses of n images to K directions. `order` (n, K) holds image indices by descending
response, one column per direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.errors import CaseError

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench.specs import FloatArray, IntArray

    Order = npt.NDArray[np.int32]


def order_by_response(responses: FloatArray) -> Order:
    """(n, K) image indices by descending response; ties: lower image index first (spec of the MEIs)."""
    import torch

    # torch sorts columns on all cores; the order of a stable sort is the same on every machine
    ranked = torch.sort(torch.from_numpy(np.ascontiguousarray(-responses.T)), dim=1, stable=True)
    return np.ascontiguousarray(ranked.indices.numpy().T.astype(np.int32))


def order_with_random_ties(responses: FloatArray, order: Order, seed: int) -> Order:
    """`order`, with images of equal response shuffled by a seeded draw of each direction's own.

    Sparse responses are zero for most images. Where trials draw from such ties, the order on disk,
    which often is the order of the classes, must not decide which images are shown.
    """
    import torch

    by_unit = torch.from_numpy(np.ascontiguousarray(responses.T))
    ranked = by_unit.gather(1, torch.from_numpy(np.ascontiguousarray(order.T)).long()).numpy()
    equal = ranked[:, 1:] == ranked[:, :-1]
    result = order.copy()
    for unit in np.flatnonzero(equal.any(axis=1)):
        # only the ranks within runs of equal responses: usually few
        tied = np.zeros(len(responses), bool)
        tied[1:] |= equal[unit]
        tied[:-1] |= equal[unit]
        ranks = np.flatnonzero(tied)
        images = order[ranks, unit]
        draw = np.random.default_rng([seed, int(unit)]).random(len(ranks))
        result[ranks, unit] = images[np.lexsort((draw, -ranked[unit, ranks]))]
    return result


def exemplars(order: Order, m: int) -> IntArray:
    """(K, m) indices of the m images with the largest response to each direction, strongest first.

    Raises `CaseError` where there are fewer than m images.
    """
    if len(order) < m:
        raise CaseError(f"{m} exemplars are asked for and there are {len(order)} images")
    return order[:m].T.astype(np.int64)


def constant_directions(responses: FloatArray) -> npt.NDArray[np.bool_]:
    """(K,) True where every image gets the same response: such a direction has no exemplars."""
    constant: npt.NDArray[np.bool_] = responses.max(axis=0) == responses.min(axis=0)
    return constant


def difficulty_range(n: int, difficulty: float) -> tuple[int, int]:
    """Ranks [low, high) of the images whose response lies between the d and 1 - d quantiles.

    Quantiles are those of `numpy.quantile` (linear): d * (n - 1) of the ranks are cut at each end.
    """
    cut = math.ceil(difficulty * (n - 1) - 1e-9)
    return cut, n - cut


@dataclass(frozen=True)
class Trials:
    """The images of T trials for each of K directions, as image indices.

    `strong` and `weak` (K, T): the two queries. `strong_references` and `weak_references` (K, T, F).
    No image appears twice among the trials of a direction.
    """

    strong: IntArray
    weak: IntArray
    strong_references: IntArray
    weak_references: IntArray


def make_trials(order: Order, difficulty: float, trials: int, references: int, seed: int) -> Trials:
    """Draws the trials of Sec. 2.3 with the scheme of the paper's released code.

    The range of images is trimmed at both ends by `difficulty`. On each side, the T most extreme
    images left are the queries, in seeded random order; the next F * T are the references, dealt by
    rank so that every trial gets one of each block of T ranks. So queries never are references.

    Raises `CaseError` where the range holds fewer than 2 * T * (F + 1) images.
    """
    n, k = order.shape
    low, high = difficulty_range(n, difficulty)
    side = trials * (references + 1)
    if high - low < 2 * side:
        raise CaseError(
            f"too few images for the trials: {trials} trials with {references} + {references} "
            f"references and two queries each need {2 * side} images, and at difficulty "
            f"{difficulty:g} there are {max(high - low, 0)} of {n}"
        )
    strong_side = order[low : low + side]
    weak_side = order[high - side : high][::-1]
    rng = np.random.default_rng(seed)
    deal = trials + np.arange(references)[None, :] * trials + np.arange(trials)[:, None]
    queries = [rng.random((k, trials)).argsort(axis=1) for _ in range(2)]
    return Trials(
        *(
            np.take_along_axis(images[:trials].T, drawn, axis=1).astype(np.int64)
            for images, drawn in zip((strong_side, weak_side), queries, strict=True)
        ),
        *(images[deal].transpose(2, 0, 1).astype(np.int64) for images in (strong_side, weak_side)),
    )
