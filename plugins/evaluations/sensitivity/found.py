"""What the analysis of sensitivity found, and its numbers.

L directions in use, P pairs of them, A values of alpha, Q of the pairs with gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .paths import mean_over

if TYPE_CHECKING:
    from iibench import DoubleArray, IntArray, Measure

    from .pairs import Relation


@dataclass(frozen=True)
class Found:
    """Everything that figures, tables and measures are made from.

    `units` (L,): numbers of the directions in use. `ii` (L,): II of their MEIs. `relation`, `cross` (L, L):
    panel A. `pairs` (P, 2): positions in `units`; alpha = 1 is the first. `separation`: their summed
    distance as a share of its bound. `images` (P, A, M), `path_ii` (P, A): panel B, NaN where v has no
    direction. `steep` (Q,): which of the pairs have gradients, `path_gradient` (Q, A): mean norm over the
    images, panel C. `swapped` (Q, 2): mean norm of the gradient of a direction's f at the images of the
    pair's other end. Of the images nearest to each direction's own vector (L,): `shared`, the share
    that are its MEIs; `nearest_ii`, their II; `least`, `mean_norm` of the gradient over them, panel D.
    """

    alphas: tuple[float, ...]
    units: IntArray
    ii: DoubleArray
    cross: DoubleArray
    relation: Relation
    pairs: IntArray
    separation: float
    images: IntArray
    path_ii: DoubleArray
    steep: IntArray
    path_gradient: DoubleArray
    swapped: DoubleArray
    shared: DoubleArray
    nearest_ii: DoubleArray
    least: DoubleArray
    mean_norm: DoubleArray

    @property
    def ends(self) -> list[int]:
        """Columns of alpha = 0 and alpha = 1."""
        return [self.alphas.index(0.0), self.alphas.index(1.0)]

    @property
    def middle(self) -> int:
        """Column of alpha = 0.5."""
        return self.alphas.index(0.5)

    @property
    def beyond(self) -> list[int]:
        """Columns of alpha outside [0, 1]."""
        return [k for k, alpha in enumerate(self.alphas) if not 0 <= alpha <= 1]

    def half_minimum(self) -> DoubleArray:
        """(L,) smallest mean norm of the gradient on a direction's half of its path, else NaN."""
        import numpy as np

        alpha = np.array(self.alphas)
        least = np.full(len(self.units), np.nan)
        for side, half in ((0, alpha >= 0.5), (1, alpha <= 0.5)):
            part = self.path_gradient[:, half]
            least[self.pairs[self.steep, side]] = np.fmin.reduce(part, axis=1)
        return least


def measures(found: Found) -> tuple[Measure, ...]:
    """The numbers of the analysis; intervals are 95 % bootstrap intervals over the units that each names."""
    import numpy as np

    from iibench import Measure

    relation = found.relation
    ends, middle, beyond = found.ends, found.middle, found.beyond
    ii, gradient = found.path_ii, found.path_gradient
    own = np.stack([gradient[:, found.ends[1]], gradient[:, found.ends[0]]], axis=1)
    none = np.full(len(ii), np.nan)
    outside = ii[:, beyond].mean(axis=1) if beyond else none
    return (
        _correlation("gradient_spearman", found.nearest_ii, found.least),
        _p("gradient_spearman_p", found.nearest_ii, found.least),
        _correlation("gradient_spearman_path", found.ii, found.half_minimum()),
        Measure(
            name="cross_ii_spearman",
            value=relation.rho,
            low=relation.low,
            high=relation.high,
            n=len(relation.first),
            units=len(found.units),
            reason=None if relation.rho is not None else _flat(relation),
        ),
        _mean("ii_at_ends_minus_middle", ii[:, ends].mean(axis=1) - ii[:, middle]),
        _mean("ii_at_ends_minus_beyond", ii[:, ends].mean(axis=1) - outside),
        _mean("gradient_middle_minus_ends", gradient[:, middle] - gradient[:, ends].mean(axis=1)),
        _mean("gradient_other_minus_own", (found.swapped - own).mean(axis=1)),
    )


def _flat(relation: Relation) -> str:
    if len(relation.first) < 3:
        return "there are fewer than three pairs"
    if relation.equidistant:
        return "all pairs of directions are equally far apart"
    return "all pairs of directions have the same cross-II"


def _correlation(name: str, x: DoubleArray, y: DoubleArray) -> Measure:
    """Spearman's correlation over directions, which are resampled."""
    import numpy as np

    from iibench import Measure
    from iibench.statistics.resampling import (
        correlations,
        interval,
        resample_units,
        spearman_resampled,
    )

    kept = ~(np.isnan(x) | np.isnan(y))
    n = int(kept.sum())
    rho = correlations(x, y)[1]
    if not np.isfinite(rho):
        return Measure(name=name, value=None, n=n, units=n, reason=_undefined(n))
    drawn = spearman_resampled(x[kept], y[kept], resample_units(np.arange(n)))
    low, high = interval(drawn, n)
    return Measure(name=name, value=rho, low=low, high=high, n=n, units=n)


def _p(name: str, x: DoubleArray, y: DoubleArray) -> Measure:
    """Two-sided p of no correlation (SciPy's t approximation)."""
    import numpy as np
    from scipy.stats import spearmanr

    from iibench import Measure
    from iibench.statistics.resampling import correlations

    kept = ~(np.isnan(x) | np.isnan(y))
    n = int(kept.sum())
    if not np.isfinite(correlations(x, y)[1]):
        return Measure(name=name, value=None, n=n, units=n, reason=_undefined(n))
    return Measure(name=name, value=float(spearmanr(x[kept], y[kept]).pvalue), n=n, units=n)


def _undefined(n: int) -> str:
    return (
        f"there are {n} directions, and a correlation needs three"
        if n < 3
        else "one of the two is the same for all directions"
    )


def _mean(name: str, values: DoubleArray) -> Measure:
    """Mean over pairs, which are resampled; no direction is in two of them."""
    import numpy as np

    from iibench import Measure

    mean, low, high = mean_over(values)
    n = int((~np.isnan(values)).sum())
    reason = None if mean is not None else "no pair has a value at each alpha that it needs"
    return Measure(name=name, value=mean, low=low, high=high, n=n, units=2 * n, reason=reason)
