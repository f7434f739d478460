"""Pairs of directions: how far apart they are, how alike their MEIs, and which are farthest apart.

L directions in use, vectors mu (L, N), M exemplars (MEIs) of each. All distances and averages are float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from iibench import DoubleArray, IntArray, SimilarityLookup

#: Distinct images whose similarities to each other are asked for at once.
BLOCK = 128
#: Bins of equally many pairs, over which the curve of cross-II against distance is averaged.
BINS = 20
#: Distances that differ by less than this share of them are equal but for rounding (float32 vectors).
SAME = 1e-5
#: Resamples of the units.
RESAMPLES = 1_000


@dataclass(frozen=True)
class Relation:
    """Cross-II against distance over the P = L (L - 1) / 2 pairs, and its resampled statistics.

    `first`, `second` (P,) positions of the two directions; `distance`, `cross` (P,). `rho` and its 95 %
    interval: Spearman's correlation, None where it is undefined. Bins (B,) of distance: `centre` (mean
    distance), `mean` (mean cross-II) with its interval, `pairs` in it.
    """

    first: IntArray
    second: IntArray
    distance: DoubleArray
    cross: DoubleArray
    rho: float | None
    low: float | None
    high: float | None
    centre: DoubleArray
    mean: DoubleArray
    mean_low: DoubleArray
    mean_high: DoubleArray
    pairs: IntArray

    @property
    def equidistant(self) -> bool:
        """Whether all directions are equally far apart, but for rounding."""
        return bool(self.distance.max() - self.distance.min() <= SAME * self.distance.max())


def unit_norm(vectors: DoubleArray) -> DoubleArray:
    """Rows (..., N) scaled to unit Euclidean norm; rows of zeros stay zero."""
    import numpy as np

    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: DoubleArray = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return scaled


def distances(vectors: DoubleArray) -> DoubleArray:
    """(L, L) Euclidean distances of all pairs of rows, exactly symmetric, 0 on the diagonal."""
    import numpy as np

    squares = (vectors * vectors).sum(axis=1)
    squared = squares[:, None] + squares - 2 * (vectors @ vectors.T)
    found: DoubleArray = np.sqrt(np.maximum((squared + squared.T) / 2, 0))
    np.fill_diagonal(found, 0)
    return found


def cross_index(
    similarity: SimilarityLookup, top: IntArray, progress: Callable[[int, int], None]
) -> DoubleArray:
    """(L, L) mean similarity between the M MEIs of one direction and the M of another, top (L, M).

    Distinct images are compared once, block by block. Where the metric minds the order of two images, both
    orders are averaged.
    """
    import numpy as np
    from scipy.sparse import csr_matrix

    count, m = top.shape
    images, place = np.unique(top, return_inverse=True)
    rows = np.repeat(np.arange(count), m)
    shares = csr_matrix(
        (np.full(count * m, 1 / m), (rows, place.ravel())), shape=(count, len(images))
    )
    found = np.zeros((count, count))
    starts = range(0, len(images), BLOCK)
    for done, start in enumerate(starts):
        left = images[start : start + BLOCK]
        strip = np.empty((len(left), len(images)))
        for at in starts:
            right = images[at : at + BLOCK]
            strip[:, at : at + BLOCK] = similarity.cross(left[None], right[None])[0]
        found += shares[:, start : start + BLOCK] @ (shares @ strip.T).T
        progress(done + 1, len(starts))
    mean: DoubleArray = (found + found.T) / 2
    return mean


def relation(distance: DoubleArray, cross: DoubleArray) -> Relation:
    """How the two (L, L) matrices are related over pairs of different directions.

    Pairs share directions, so directions are resampled: with c_a copies of a and c_b of b the pair counts
    c_a c_b times, and pairs of a direction with its own copy do not count.
    """
    import numpy as np

    from iibench.statistics.pairs import pair_mean_resampled, pair_spearman_resampled
    from iibench.statistics.resampling import correlations, interval, resample_units

    units = len(distance)
    first, second = (side.astype(np.int64) for side in np.triu_indices(units, 1))
    x, y = distance[first, second], cross[first, second]
    counts = resample_units(np.arange(units), RESAMPLES)
    low, high = None, None
    apart = x.max() - x.min() > SAME * x.max()
    rho = correlations(x, y)[1] if apart else float("nan")
    if np.isfinite(rho):
        low, high = interval(pair_spearman_resampled(distance, cross, counts), units)

    # where many pairs are equally far apart, bins are wider or fall together
    edges = np.unique(np.quantile(x, np.linspace(0, 1, (BINS if apart else 1) + 1)))
    bins = np.clip(np.searchsorted(edges, distance, side="right") - 1, 0, max(0, len(edges) - 2))
    rows = []
    for b in np.unique(bins[first, second]):
        inside = bins == b
        of_pairs = inside[first, second]
        resampled = pair_mean_resampled(np.where(inside, cross, np.nan), counts)
        rows.append(
            (x[of_pairs].mean(), y[of_pairs].mean(), *interval(resampled, units), of_pairs.sum())
        )
    centre, mean, mean_low, mean_high, pairs = (
        np.array([np.nan if v is None else v for v in column], np.float64)
        for column in zip(*rows, strict=True)
    )
    return Relation(
        first=first,
        second=second,
        distance=x,
        cross=y,
        rho=rho if np.isfinite(rho) else None,
        low=low,
        high=high,
        centre=centre,
        mean=mean,
        mean_low=mean_low,
        mean_high=mean_high,
        pairs=pairs.astype(np.int64),
    )


def separated_pairs(distance: DoubleArray) -> tuple[IntArray, float]:
    """(P, 2) pairs with a large total distance, no direction in two of them, and the share of a bound.

    The Hungarian algorithm assigns to each direction another one such that the summed distance is the
    largest. An assignment consists of cycles: a cycle of two is a pair, one of even length gives the
    better of its two sets of alternating pairs (nothing is lost), one of odd length leaves out the
    direction that costs least; those left out are assigned among themselves, until at most one is left.
    Half the assignment's sum bounds the sum that any pairing can have, and at least two thirds of it are
    reached (cycles of three). Pairs are sorted.
    """
    import numpy as np

    left = np.arange(len(distance))
    pairs: list[tuple[int, int]] = []
    bound = 0.0
    while len(left) > 1:
        part = distance[np.ix_(left, left)]
        assigned = _assignment(part)
        bound = bound or float(part[np.arange(len(left)), assigned].sum()) / 2
        remaining: list[int] = []
        for cycle in _cycles(assigned):
            chosen, over = _alternating(cycle, part)
            pairs += [(int(left[a]), int(left[b])) for a, b in chosen]
            remaining += [int(left[i]) for i in over]
        left = np.array(sorted(remaining), np.int64)
    found = np.array(sorted(tuple(sorted(pair)) for pair in pairs), np.int64).reshape(-1, 2)
    total = float(distance[found[:, 0], found[:, 1]].sum())
    return found, total / bound if bound else 1.0


def _assignment(distance: DoubleArray) -> IntArray:
    """(L,) another direction for each, of the largest summed distance."""
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    gain = distance.copy()
    np.fill_diagonal(gain, -(distance.sum() + 1))  # nobody is assigned to itself
    assigned: IntArray = linear_sum_assignment(gain, maximize=True)[1]
    return assigned


def _cycles(assigned: IntArray) -> list[list[int]]:
    seen: set[int] = set()
    cycles = []
    for start in range(len(assigned)):
        cycle, at = [], start
        while at not in seen:
            seen.add(at)
            cycle.append(at)
            at = int(assigned[at])
        if cycle:
            cycles.append(cycle)
    return cycles


def _alternating(
    cycle: list[int], distance: DoubleArray
) -> tuple[list[tuple[int, int]], list[int]]:
    """(pairs of neighbours in a cycle with the largest sum, those left out: one where it is odd)."""
    n = len(cycle)
    options = []
    for start in range(n if n % 2 else min(n, 2)):
        turned = cycle[start:] + cycle[:start]
        pairs = list(zip(turned[0 : n - 1 : 2], turned[1:n:2], strict=True))
        options.append((sum(float(distance[a, b]) for a, b in pairs), pairs, turned[n - n % 2 :]))
    _, pairs, over = max(options, key=lambda option: option[0])
    return pairs, over
