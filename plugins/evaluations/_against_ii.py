"""A number per direction against the direction's II: correlations with intervals, and their scatter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from iibench import Axis, Measure, Series, XYPlot

if TYPE_CHECKING:
    from iibench import DoubleArray

TOO_FEW = "fewer than three directions have both numbers, or one of the two never differs"


def correlations_with_ii(
    values: DoubleArray, ii: DoubleArray, resamples: int, seed: int, suffix: str = ""
) -> Iterator[Measure]:
    """Spearman's rho and Pearson's r of `values` (K,) and `ii` (K,) over directions that have both.

    Measures `spearman{suffix}` and `pearson{suffix}`. Intervals are 95 % percentiles of `resamples`
    bootstrap resamples, which draw directions; ranks are made anew in each.
    """
    import numpy as np

    from iibench.statistics.resampling import (
        correlations,
        interval,
        pearson_resampled,
        resample_units,
        spearman_resampled,
    )

    both = ~(np.isnan(values) | np.isnan(ii))
    x, y, n = values[both], ii[both], int(both.sum())
    pearson, spearman = correlations(x, y)
    counts = resample_units(np.arange(n), resamples, seed)
    for name, value, resampled in (
        ("spearman", spearman, spearman_resampled),
        ("pearson", pearson, pearson_resampled),
    ):
        if np.isnan(value):
            yield Measure(f"{name}{suffix}", None, n=n, units=n, reason=TOO_FEW)
            continue
        low, high = interval(resampled(x, y, counts), n)
        yield Measure(f"{name}{suffix}", value, low=low, high=high, n=n, units=n)


def in_words(measure: Measure) -> str:
    """`-0.42 [-0.51, -0.30]`, or that it is undefined and why."""
    if measure.value is None:
        return f"undefined ({measure.reason})"
    if measure.low is None or measure.high is None:
        return f"{measure.value:.3f}"
    return f"{measure.value:.3f} [{measure.low:.3f}, {measure.high:.3f}]"


def scatter(
    title: str, x: Axis, y: Axis, values: DoubleArray, ii: DoubleArray, caption: str
) -> XYPlot:
    """II (x) against `values` (y), a point per direction that has both."""
    import numpy as np

    units = np.flatnonzero(~(np.isnan(values) | np.isnan(ii)))
    text = tuple(f"direction {k}" for k in units)
    points = Series("directions", ii[units], values[units], text=text, units=units)
    return XYPlot(title, x, y, (points,), caption)
