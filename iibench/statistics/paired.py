"""Two score vectors of the same units: the mean difference, its interval, and a paired test.

Notation: x (K,) and y (K,) are scores of the same K units under two conditions, NaN where a unit is
unscored; a unit that is unscored on either side is left out. The resampling unit is the unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iibench.statistics.scores import summarise
from iibench.statistics.sign_flips import sign_flip_p

if TYPE_CHECKING:
    from iibench.contract.arrays import DoubleArray

#: Ends of intervals are known to this share of the largest difference; what is smaller is zero.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Paired:
    """y against x, over the `n` units that have a score in both.

    `difference`: mean of y minus x, with the 95 % percentile bootstrap interval `low`, `high` over units
    (None below two units). `p`: two-sided, by flipping the signs of the differences. `n_x`, `n_y`: units
    scored on each side. `up`, `down`, `equal`: units whose score in y is larger, smaller, the same.
    Numbers are None where no unit is scored in both.

    >>> found = paired(np.array([0.1, 0.2, np.nan]), np.array([0.3, 0.1, 0.5]))
    >>> found.n, found.up, found.down, found.n_x, found.n_y
    (2, 1, 1, 2, 3)
    """

    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    n_x: int
    n_y: int
    up: int
    down: int
    equal: int


def paired(x: DoubleArray, y: DoubleArray) -> Paired:
    """Compares y (K,) with x (K,), scores of the same units. Raises `ValueError` for two lengths.

    >>> x = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    >>> found = paired(x, x + 0.25)
    >>> found.difference, found.p == 2 / 2**5  # of all patterns of signs, two are as extreme
    (0.25, True)
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"scores of the same units are expected, found {x.shape} and {y.shape}")
    scored_x, scored_y = ~np.isnan(x), ~np.isnan(y)
    both = scored_x & scored_y
    differences = y[both] - x[both]
    found = summarise(differences)
    # an end that rounding alone moved off zero would say that there is a difference
    noise = ROUNDING * float(np.abs(differences).max(initial=0))
    return Paired(
        difference=found.mean,
        low=_without(noise, found.low),
        high=_without(noise, found.high),
        p=float(sign_flip_p(differences[:, None])[0]) if len(differences) else None,
        n=len(differences),
        n_x=int(scored_x.sum()),
        n_y=int(scored_y.sum()),
        up=int((differences > 0).sum()),
        down=int((differences < 0).sum()),
        equal=int((differences == 0).sum()),
    )


def _without(noise: float, end: float | None) -> float | None:
    return 0.0 if end is not None and abs(end) <= noise else end
