"""What the eigenspectrum shows: measures, figures and tables (Fig. 11)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from iibench import Axis, Measure, Series, XYPlot

from .eigenvalues import Weights, exponents, line_through, slopes

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench import DoubleArray, IntArray

#: Last ranks for which the exponent is shown, and the fewest eigenvalues that a line is fitted to.
STEPS, FEWEST = 40, 10


@dataclass(frozen=True)
class Estimates:
    """Exponents (H,) of fits that end at the ranks `highs` (H,).

    `fitted`: of the line through the eigenvalues. `corrected`, `low`, `high`: without the bias that the
    resamples show, and its basic 95 % interval; NaN where more than 5 % of the resamples have an
    eigenvalue of 0 in the range.
    """

    highs: IntArray
    fitted: DoubleArray
    corrected: DoubleArray
    low: DoubleArray
    high: DoubleArray


@dataclass(frozen=True)
class Spectrum:
    """`eigenvalues` (R,) and `resampled` (B, R), the range of the fit, `dimension` d of the input.

    `usable`: leading eigenvalues that are more than rounding; `n` images.
    """

    eigenvalues: DoubleArray
    resampled: DoubleArray
    low: int
    high: int
    weights: Weights
    dimension: int
    usable: int
    n: int

    @property
    def critical(self) -> float:
        """The exponent below which a code of d dimensions is not smooth (Stringer et al. 2019)."""
        return 1 + 2 / self.dimension

    def estimates(self, highs: IntArray) -> Estimates:
        """Exponents of the fits over ranks low..highs."""
        import numpy as np

        from iibench.statistics.resampling import interval

        coefficients = slopes(self.low, highs, len(self.eigenvalues), self.weights)
        fitted = exponents(self.eigenvalues, coefficients)
        resampled = exponents(self.resampled, coefficients)
        corrected, low, high = np.full((3, len(highs)), np.nan)
        for h in range(len(highs)):
            # a sample's small eigenvalues are too small, a resample's are so twice: reflect
            below, above = interval(2 * fitted[h] - resampled[:, h], self.n)
            if below is not None and above is not None:
                low[h], high[h] = below, above
                corrected[h] = 2 * fitted[h] - np.nanmean(resampled[:, h])
        return Estimates(highs, fitted, corrected, low, high)

    @cached_property
    def main(self) -> Estimates:
        """Of the range that was asked for."""
        import numpy as np

        return self.estimates(np.array([self.high]))

    @cached_property
    def by_range(self) -> Estimates:
        """Of up to 40 ranges that start at the same rank."""
        import numpy as np

        first = self.low + FEWEST - 1
        steps = np.geomspace(first, max(first, self.usable), STEPS).round().astype(np.int64)
        return self.estimates(np.unique(np.append(np.minimum(steps, self.usable), self.high)))


def measures_of(found: Spectrum) -> tuple[Measure, ...]:
    """`excess` (the main one), the exponents, how straight the line is, the critical exponent."""
    import numpy as np

    n, main = found.n, found.main
    fitted, corrected = float(main.fitted[0]), float(main.corrected[0])
    reason = None
    if np.isnan(corrected):
        reason = (
            f"too few images: resamples of {n:,} images often have no variance left at rank "
            f"{found.high}"
        )

    def with_interval(name: str, less: float) -> Measure:
        if reason is not None:
            return Measure(name, None, n=n, reason=reason)
        low, high = float(main.low[0]) - less, float(main.high[0]) - less
        return Measure(name, corrected - less, low=low, high=high, n=n)

    return (
        with_interval("excess", found.critical),
        with_interval("exponent", 0.0),
        Measure("exponent_fitted", fitted, n=n),
        Measure("critical_exponent", found.critical, n=n),
        _r_squared(found, fitted),
        Measure("last_rank", float(found.high), n=n),
    )


def _r_squared(found: Spectrum, exponent: float) -> Measure:
    """`r_squared`: weighted share of the variance of log lambda that the line explains."""
    import numpy as np

    rank = np.arange(found.low, found.high + 1)
    w = 1.0 / rank if found.weights == "rank" else np.ones(len(rank))
    logs = np.log(found.eigenvalues[found.low - 1 : found.high])
    away = logs - (w * logs).sum() / w.sum()
    x = np.log(rank)
    x -= (w * x).sum() / w.sum()
    total = float((w * away**2).sum())
    if total == 0:
        return Measure("r_squared", None, n=len(rank), reason="all eigenvalues fitted are equal")
    left = float((w * (away + exponent * x) ** 2).sum())
    return Measure("r_squared", 1 - left / total, n=len(rank))


def figures_of(found: Spectrum) -> tuple[XYPlot, ...]:
    """Eigenvalues with the lines (Fig. 11), and the exponent against the end of the range."""
    return spectrum_plot(found), range_plot(found)


def spectrum_plot(found: Spectrum) -> XYPlot:
    """Fig. 11."""
    import numpy as np

    shown = found.eigenvalues[: found.usable]
    rank = np.arange(1, len(shown) + 1, dtype=np.float64)
    ends = np.array([found.low, found.high], np.float64)
    series = [Series("eigenvalues", rank, shown)]
    for name, exponent in (
        ("fitted", float(found.main.fitted[0])),
        ("critical", found.critical),
    ):
        factor = line_through(shown, found.low, found.high, exponent, found.weights)
        label = f"{name} exponent {exponent:.4g}"
        series.append(Series(label, ends, np.exp(factor - exponent * np.log(ends)), line=True))
    return XYPlot(
        "Eigenspectrum of the activations",
        Axis("rank of the principal component", log=True),
        Axis("variance along it (squared unit of the activations)", log=True),
        tuple(series),
        f"Eigenvalues of the covariance of the layer's activations over {found.n:,} images. The "
        f"line fitted over ranks {found.low} to {found.high}, and a line with the critical exponent "
        f"1 + 2/d = {found.critical:.5g} (d = {found.dimension:,} input values). A spectrum that "
        "falls less steeply than the critical line is not that of a smooth code.",
    )


def range_plot(found: Spectrum) -> XYPlot:
    """How much the exponent depends on where the range ends."""
    import numpy as np

    by_range = found.by_range
    known = ~np.isnan(by_range.corrected)
    x = by_range.highs.astype(np.float64)
    series = [
        Series("fitted, with the bias", x, by_range.fitted, line=True),
        Series("critical exponent", x[[0, -1]], np.full(2, found.critical), line=True),
    ]
    if known.any():
        main = Series(
            "exponent, with its 95 % interval",
            x[known],
            by_range.corrected[known],
            True,
            by_range.low[known],
            by_range.high[known],
        )
        series.insert(0, main)
    return XYPlot(
        "Exponent against the end of the range",
        Axis(f"last rank of the fit, which starts at rank {found.low}", log=True),
        Axis("exponent of the power law"),
        tuple(series),
        f"The exponent of fits over other ranges, from {found.n:,} images. Where the curve is flat, "
        "the spectrum is a power law; where it is not, one exponent says little.",
    )


def tables_of(found: Spectrum) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """`eigenvalues`, all of them, and `ranges`."""
    import numpy as np

    rank = np.arange(1, len(found.eigenvalues) + 1)
    by_range = found.by_range
    return {
        "eigenvalues": {
            "rank": rank,
            "eigenvalue": found.eigenvalues,
            "share": found.eigenvalues / found.eigenvalues.sum(),
            "sd_resampled": found.resampled.std(axis=0, ddof=1),
            "in_fit": (rank >= found.low) & (rank <= found.high),
        },
        "ranges": {
            "first_rank": np.full(len(by_range.highs), found.low),
            "last_rank": by_range.highs,
            "exponent": by_range.corrected,
            "low": by_range.low,
            "high": by_range.high,
            "exponent_fitted": by_range.fitted,
        },
    }
