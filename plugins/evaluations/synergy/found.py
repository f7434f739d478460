"""What the synergies of all pairs say: measures with intervals, tables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from iibench import Measure

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench import DoubleArray, IntArray
    from iibench.compute.pair_sums import Images
    from iibench.statistics.resampling import CountArray

#: Up to this many directions the table `all_pairs` is kept.
ALL_PAIRS = 512
#: Pairs at either end that the table `pairs` keeps.
KEPT = 1000
#: Relabellings of the directions behind `spearman_best_ii_if_unrelated`.
RELABELLINGS = 100


@dataclass(frozen=True)
class Synergies:
    """The synergies of all pairs of K scored directions, P = K (K - 1) / 2, as numpy.triu_indices.

    `units` (K,): the directions' numbers. `ii` (K,), `alone` (K, M): their index and MEIs. `pair_ii` (P,),
    `tops` (P, M): those of the sums. `correlation` (K, K): Pearson's r of the responses.
    """

    units: IntArray
    ii: DoubleArray
    alone: IntArray
    pair_ii: DoubleArray
    tops: Images
    correlation: DoubleArray

    @cached_property
    def sides(self) -> tuple[IntArray, IntArray]:
        """(P,), (P,) the two directions of each pair, as positions in `units`."""
        import numpy as np

        first, second = np.triu_indices(len(self.units), 1)
        return first, second

    @cached_property
    def synergy(self) -> DoubleArray:
        """(P,) Eq. 8."""
        import numpy as np

        first, second = self.sides
        values: DoubleArray = self.pair_ii - np.maximum(self.ii[first], self.ii[second])
        return values

    @cached_property
    def pair_correlation(self) -> DoubleArray:
        """(P,) correlation of the two directions' responses."""
        values: DoubleArray = self.correlation[self.sides]
        return values

    @cached_property
    def ranked(self) -> IntArray:
        """(P,) pairs by descending synergy, ties in their own order."""
        import numpy as np

        return np.argsort(-self.synergy, kind="stable")

    def square(self, values: npt.NDArray[Any]) -> DoubleArray:
        """(P,) -> (K, K) symmetric, NaN on the diagonal."""
        import numpy as np

        k = len(self.units)
        matrix = np.full((k, k), np.nan)
        first, second = self.sides
        matrix[first, second] = values
        matrix[second, first] = values
        return matrix

    @cached_property
    def best(self) -> tuple[DoubleArray, IntArray]:
        """(K,) each direction's best synergy, and its partner there, as a position in `units`."""
        import numpy as np

        matrix = self.square(self.synergy)
        np.fill_diagonal(matrix, -np.inf)
        partner = matrix.argmax(axis=1)
        return matrix[np.arange(len(matrix)), partner], partner


def measures_of(found: Synergies, resamples: int, seed: int) -> tuple[Measure, ...]:
    """All measures; intervals resample directions."""
    import numpy as np

    from iibench.statistics.pairs import pair_mean_resampled, pair_spearman_resampled
    from iibench.statistics.resampling import correlations, resample_units, spearman_resampled

    k, pairs, synergy = len(found.units), len(found.synergy), found.synergy
    counts = resample_units(np.arange(k), resamples, seed)
    square = found.square(synergy)

    def share(name: str, which: npt.NDArray[Any]) -> Measure:
        of_pairs = pair_mean_resampled(found.square(which), counts)
        return _measure(name, float(which.mean()), of_pairs, pairs, k)

    of_correlation = correlations(found.pair_correlation, synergy)[1]
    of_ii = correlations(found.ii, found.best[0])[1]
    best_sum = np.nanmax(found.square(found.pair_ii), axis=1)
    of_sum = correlations(found.ii, best_sum)[1]
    return (
        share("share_positive", synergy > 0),
        share("share_zero", synergy == 0),
        share("mean_synergy", synergy),
        _measure("median_synergy", float(np.median(synergy)), None, pairs, k),
        _measure("best_synergy", float(synergy.max()), None, pairs, k),
        _measure(
            "spearman_synergy_correlation",
            of_correlation,
            _unless(of_correlation, pair_spearman_resampled, found.correlation, square, counts),
            pairs,
            k,
        ),
        _measure(
            "spearman_best_ii",
            of_ii,
            _unless(of_ii, spearman_resampled, found.ii, found.best[0], counts),
            k,
            k,
        ),
        _measure("spearman_best_ii_if_unrelated", *_if_unrelated(found, seed), k, k),
        _measure(
            "spearman_best_sum_ii",
            of_sum,
            _unless(of_sum, spearman_resampled, found.ii, best_sum, counts),
            k,
            k,
        ),
    )


def _unless(value: float, resample: Any, x: DoubleArray, y: DoubleArray, counts: CountArray) -> Any:
    """The resampled statistic; None where the statistic itself is undefined."""
    return None if math.isnan(value) else resample(x, y, counts)


def _measure(name: str, value: float, resampled: DoubleArray | None, n: int, units: int) -> Measure:
    from iibench.statistics.resampling import interval

    if math.isnan(value):
        reason = "fewer than three directions differ in it"
        return Measure(name, None, n=n, units=units, reason=reason)
    low, high = (None, None) if resampled is None else interval(resampled, units)
    return Measure(name, value, low=low, high=high, n=n, units=units)


def _if_unrelated(found: Synergies, seed: int) -> tuple[float, DoubleArray]:
    """(mean, values) of Spearman's rho of best synergy and II where the pairs' II is another pair's.

    The directions are relabelled at random in the matrix of the pairs' II alone. What is left of the
    correlation is arithmetic: a direction's own II is taken off its synergies.
    """
    import numpy as np

    from iibench.statistics.resampling import correlations

    pair_ii = found.square(found.pair_ii)
    np.fill_diagonal(pair_ii, -np.inf)
    larger = np.maximum.outer(found.ii, found.ii)
    rng = np.random.default_rng([seed, len(larger)])
    values = np.empty(RELABELLINGS)
    for row in range(RELABELLINGS):
        other = rng.permutation(len(larger))
        best = (pair_ii[np.ix_(other, other)] - larger).max(axis=1)
        values[row] = correlations(found.ii, best)[1]
    return float(values.mean()), values


# --------------------------------------------------------------------------------------- tables


def tables_of(found: Synergies) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """`pairs` (the best and the worst), `directions`, and `all_pairs` where there are few."""
    import numpy as np

    ranked = found.ranked
    kept = ranked if len(ranked) <= 2 * KEPT else np.concatenate([ranked[:KEPT], ranked[-KEPT:]])
    first, second = (found.units[side[kept]] for side in found.sides)
    pairs: dict[str, npt.NDArray[Any]] = {
        "direction_a": first,
        "direction_b": second,
        "synergy": found.synergy[kept],
        "ii_sum": found.pair_ii[kept],
        "ii_a": found.ii[found.sides[0][kept]],
        "ii_b": found.ii[found.sides[1][kept]],
        "correlation": found.pair_correlation[kept],
    }
    pairs |= {f"mei_{j + 1}": top for j, top in enumerate(found.tops[kept].T.astype(np.int64))}
    best, partner = found.best
    tables = {
        "pairs": pairs,
        "directions": {
            "direction": found.units,
            "ii": found.ii,
            "best_synergy": best,
            "best_partner": found.units[partner],
        },
    }
    if len(found.units) <= ALL_PAIRS:
        tables["all_pairs"] = {
            "direction_a": found.units[found.sides[0]].astype(np.int32),
            "direction_b": found.units[found.sides[1]].astype(np.int32),
            "synergy": found.synergy.astype(np.float32),
            "correlation": found.pair_correlation.astype(np.float32),
        }
    return tables
