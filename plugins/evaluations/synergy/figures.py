"""Figures of synergies (Fig. 8): histogram, against correlation, against II, MEIs of the best pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iibench import Axis, Figure, Histogram, ImageRows, Series, XYPlot

if TYPE_CHECKING:
    from .found import Synergies

#: Bars of the histogram, and classes of correlation.
BARS, CLASSES = 60, 40
SYNERGY = Axis("synergy (difference of II, in the metric's unit)")


def figures_of(found: Synergies, shown: int) -> tuple[Figure, ...]:
    """All figures; `shown`: of how many of the best pairs the MEIs are shown."""
    return (
        histogram(found),
        against_correlation(found),
        against_ii(found),
        *((best_pairs(found, shown),) if shown else ()),
    )


def histogram(found: Synergies) -> Histogram:
    """Fig. 8 C. Zero is an edge, so that no bar mixes gains and losses."""
    import numpy as np

    synergy = found.synergy
    low, high = min(float(synergy.min()), 0.0), max(float(synergy.max()), 0.0)
    width = (high - low) / BARS or 1.0
    bars_below = max(1, int(np.ceil(-low / width)))
    bars_above = max(1, int(np.ceil(high / width)))
    edges = np.arange(-bars_below, bars_above + 1, dtype=np.float64) * width
    edges[0], edges[-1] = min(edges[0], low), max(edges[-1], high)
    counts = np.histogram(synergy, edges)[0].astype(np.int64)
    return Histogram(
        "Synergy of every pair",
        SYNERGY,
        edges,
        counts,
        f"Eq. 8 for all {len(synergy):,} pairs of {len(found.units):,} directions. Right of 0 the "
        "sum of two directions is more interpretable than either of them. A synergy of exactly 0 "
        "counts in the bar right of 0.",
        Axis("pairs"),
    )


def against_correlation(found: Synergies) -> XYPlot:
    """Fig. 8 D, in classes of equal numbers of pairs."""
    import numpy as np

    order = np.argsort(found.pair_correlation, kind="stable")
    parts = [part for part in np.array_split(order, min(CLASSES, len(order))) if len(part)]
    synergy, r = found.synergy, found.pair_correlation
    x = np.array([r[part].mean() for part in parts])
    low, middle, high = np.array(
        [np.quantile(synergy[part], [0.05, 0.5, 0.95]) for part in parts]
    ).T
    best = np.array([part[synergy[part].argmax()] for part in parts])
    first, second = (found.units[side[best]] for side in found.sides)
    return XYPlot(
        "Synergy against correlation",
        Axis("correlation of the two directions' responses (Pearson's r over images)"),
        SYNERGY,
        (
            Series("median, with the 5 % to 95 % range", x, middle, True, low, high),
            Series(
                "best pair of the class",
                r[best],
                synergy[best],
                text=tuple(f"{a} + {b}" for a, b in zip(first, second, strict=True)),
            ),
        ),
        f"All {len(order):,} pairs in {len(parts)} classes of correlation, of equal numbers of "
        "pairs. The line is the median synergy of a class at its mean correlation; the points are "
        "its best pairs: uncorrelated directions too can have a sum that is more interpretable.",
    )


def against_ii(found: Synergies) -> XYPlot:
    """Fig. 8 E: a point per direction."""
    best, partner = found.best
    text = tuple(
        f"{unit}, best with {other}"
        for unit, other in zip(found.units, found.units[partner], strict=True)
    )
    return XYPlot(
        "Best synergy against II",
        Axis("II of the direction alone (the metric's unit)"),
        Axis("best synergy with any other direction (the metric's unit)"),
        (Series("directions", found.ii, best, text=text, units=found.units),),
        f"A point is one of {len(found.units):,} directions. A direction's own II is taken off its "
        "synergies, so that some slope downwards is arithmetic: compare spearman_best_ii with "
        "spearman_best_ii_if_unrelated.",
    )


def best_pairs(found: Synergies, shown: int) -> ImageRows:
    """Fig. 8 A, B: MEIs of the two directions and of their sum."""
    rows = []
    for pair in found.ranked[:shown]:
        a, b = (int(side[pair]) for side in found.sides)
        one, two = int(found.units[a]), int(found.units[b])
        for position, unit in ((a, one), (b, two)):
            caption = f"direction {unit}: II {found.ii[position]:.4g}"
            rows.append((caption, tuple(int(i) for i in found.alone[position])))
        caption = (
            f"{one} + {two}: II {found.pair_ii[pair]:.4g}, synergy {found.synergy[pair]:+.4g}, "
            f"correlation {found.pair_correlation[pair]:.2f}"
        )
        rows.append((caption, tuple(int(i) for i in found.tops[pair])))
    return ImageRows(
        "MEIs of the pairs with the highest synergy",
        tuple(rows),
        "Three rows a pair: the images that each of the two directions responds to most, then "
        "those of the sum of their z-scored responses, strongest first.",
    )
