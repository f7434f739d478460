"""The tasks of the Machine Interpretability Score: which images are queries and which explain.

`order` (n, K) holds image indices by descending response, one column per direction. Top set: the
ceil(quantile n) images with the largest responses; bottom set: as many with the smallest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iibench import CaseError

if TYPE_CHECKING:
    from iibench import IntArray
    from iibench.compute.ranking import Order, ShuffledOrder

#: Names the draws' stream beside those that shuffle ties, which begin with the same two numbers.
STREAM = 1


@dataclass(frozen=True)
class Tasks:
    """The images of T tasks for each of K directions, as image indices.

    `strong` and `weak` (K, T): the queries q+ and q-. `strong_references` and `weak_references`
    (K, T, F): the explanations E+ and E-, most extreme first. All images of a task differ; tasks of a
    direction may share images.
    """

    strong: IntArray
    weak: IntArray
    strong_references: IntArray
    weak_references: IntArray


def set_size(n: int, quantile: float) -> int:
    """Images in the top set, and in the bottom set: ceil(quantile n)."""
    return math.ceil(quantile * n - 1e-9)  # 0.07 * 100 is 7.000000000000001


def draw_tasks(
    order: Order | ShuffledOrder, quantile: float, tasks: int, references: int, seed: int
) -> Tasks:
    """Draws F + 1 images of each set for each task, without replacement within the task.

    They are sorted by response: the F most extreme ones explain, the least extreme one is the query.
    Each direction has a random stream of its own (`seed` and its column), so that neither the number
    of directions nor what the others respond to matters.

    Raises `CaseError` where a set holds fewer than F + 1 images or the two sets overlap.
    """
    import numpy as np

    n, k = order.shape
    size = set_size(n, quantile)
    if size < references + 1:
        raise CaseError(
            f"too few images for the tasks: {references} references and a query are drawn from a set "
            f"of {references + 1} images at least, and a quantile of {quantile:g} of {n} images is "
            f"{size}"
        )
    if 2 * size > n:
        raise CaseError(
            f"too few images for the tasks: a quantile of {quantile:g} of {n} images is {size}, so the "
            "strongest and the weakest responses would share images"
        )
    ranks = np.empty((k, 2, tasks, references + 1), np.int64)
    for unit in range(k):
        rng = np.random.default_rng([seed, unit, STREAM])
        for side in range(2):
            for task in range(tasks):
                ranks[unit, side, task] = rng.choice(
                    size, references + 1, replace=False, shuffle=False
                )
    ranks.sort(axis=3)  # rank 0 is the most extreme response of its side
    columns = np.arange(k)[:, None, None]
    top = order[ranks[:, 0], columns].astype(np.int64)
    bottom = order[n - 1 - ranks[:, 1], columns].astype(np.int64)
    return Tasks(top[..., -1], bottom[..., -1], top[..., :-1], bottom[..., :-1])
