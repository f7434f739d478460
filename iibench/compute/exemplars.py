"""From responses to images: the order of images, the exemplars (MEIs), the trials of psychophysics.

R (n, K) responses of n images to K directions. `order` (n, K) holds image indices by descending
response, one column per direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.compute.ranking import ShuffledOrder, images_at, responses_to
from iibench.contract.errors import CaseError

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench.compute.ranking import Order
    from iibench.contract.arrays import FloatArray, IntArray


def exemplars(order: Order, m: int) -> IntArray:
    """(K, m) indices of the m images with the largest response to each direction, strongest first.

    Raises `CaseError` where there are fewer than m images.

    >>> from iibench.compute.ranking import order_by_response
    >>> responses = np.array([[0.1, 3.0], [0.9, 2.0], [0.5, 1.0]], np.float32)
    >>> exemplars(order_by_response(responses), m=2).tolist()
    [[1, 2], [0, 1]]
    """
    if len(order) < m:
        raise CaseError(f"{m} exemplars are asked for and there are {len(order)} images")
    return images_at(order, np.arange(m)).T.astype(np.int64)


def constant_directions(responses: FloatArray, order: Order) -> npt.NDArray[np.bool_]:
    """(K,) True where every image gets the same response: such a direction has no exemplars.

    >>> from iibench.compute.ranking import order_by_response
    >>> responses = np.array([[0.1, 0.0], [0.9, 0.0]], np.float32)
    >>> constant_directions(responses, order_by_response(responses)).tolist()
    [False, True]
    """
    ends = responses_to(responses, images_at(order, np.array([0, len(order) - 1])).T)
    constant: npt.NDArray[np.bool_] = ends[:, 0] == ends[:, 1]
    return constant


def difficulty_range(n: int, difficulty: float) -> tuple[int, int]:
    """Ranks [low, high) of the images whose response lies between the d and 1 - d quantiles.

    Quantiles are those of `numpy.quantile` (linear): d * (n - 1) of the ranks are cut at each end.

    >>> difficulty_range(101, 0.0), difficulty_range(101, 0.1)
    ((0, 101), (10, 91))
    """
    cut = math.ceil(difficulty * (n - 1) - 1e-9)
    return cut, n - cut


@dataclass(frozen=True)
class DrawnTrials:
    """The images of T trials for each of K directions, as image indices.

    `strong` and `weak` (K, T): the two queries. `strong_references` and `weak_references` (K, T, F).
    No image appears twice among the trials of a direction.

    >>> order = np.arange(20, dtype=np.int32)[:, None]  # of one direction, images by response
    >>> drawn = make_trials(order, difficulty=0.0, trials=2, references=3, seed=0)
    >>> drawn.strong.shape, drawn.strong_references.shape
    ((1, 2), (1, 2, 3))
    """

    strong: IntArray
    weak: IntArray
    strong_references: IntArray
    weak_references: IntArray


def make_trials(
    order: Order | ShuffledOrder, difficulty: float, trials: int, references: int, seed: int
) -> DrawnTrials:
    """Draws the trials of Sec. 2.3 with the scheme of the paper's released code.

    The range of images is trimmed at both ends by `difficulty`. On each side, the T most extreme
    images left are the queries, in seeded random order; the next F * T are the references, dealt by
    rank so that every trial gets one of each block of T ranks. So queries never are references.

    Raises `CaseError` where the range holds fewer than 2 * T * (F + 1) images.

    >>> order = np.arange(20, dtype=np.int32)[:, None]
    >>> drawn = make_trials(order, difficulty=0.0, trials=2, references=3, seed=0)
    >>> sorted(drawn.strong[0].tolist()), drawn.strong_references[0].tolist()
    ([0, 1], [[2, 4, 6], [3, 5, 7]])
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
    ends = order[np.concatenate([np.arange(low, low + side), np.arange(high - side, high)])]
    strong_side, weak_side = ends[:side], ends[side:][::-1]
    rng = np.random.default_rng(seed)
    deal = trials + np.arange(references)[None, :] * trials + np.arange(trials)[:, None]
    queries = [rng.random((k, trials)).argsort(axis=1) for _ in range(2)]
    return DrawnTrials(
        *(
            np.take_along_axis(images[:trials].T, drawn, axis=1).astype(np.int64)
            for images, drawn in zip((strong_side, weak_side), queries, strict=True)
        ),
        *(images[deal].transpose(2, 0, 1).astype(np.int64) for images in (strong_side, weak_side)),
    )
