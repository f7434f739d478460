"""Figures of the analysis of sensitivity (Fig. 7 A to D)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iibench import Axis, Details, HeatMap, ImageRows, Series, XYPlot

from .found import Found, measures
from .paths import curve
from .tables import DISTANCES, notes, tables

if TYPE_CHECKING:
    from iibench import DoubleArray, Measure

    from .params import Params

#: The main number: of panel D.
HEADLINE = "gradient_spearman"
#: Pairs of directions shown as points; a seeded draw where there are more.
POINTS = 1_500
#: Cells of the map of all pairs, each way.
CELLS = 24
ALPHA = Axis("alpha (0: second direction, 1: first direction of a pair)")
II = "II [similarity of the metric]"
GRADIENT = "norm of the gradient [per unit of RGB]"


def details(found: Found, params: Params, directions: int) -> Details:
    """Everything the page shows."""
    numbers = measures(found)
    return Details(
        measures=numbers,
        headline=HEADLINE,
        figures=(
            _cross(found, params),
            _density(found, params),
            _along_ii(found, params),
            _along_gradient(found),
            _units(found, next(m for m in numbers if m.name == HEADLINE)),
            _example(found),
        ),
        tables=tables(found),
        notes=notes(found, params, directions),
    )


def _cross(found: Found, params: Params) -> XYPlot:
    import numpy as np

    r = found.relation
    total = len(r.first)
    shown = np.arange(total)
    if total > POINTS:
        shown = np.sort(np.random.default_rng(0).permutation(total)[:POINTS])
    names = found.units
    text = tuple(f"directions {names[r.first[k]]} and {names[r.second[k]]}" for k in shown)
    points = f"{len(shown):,} of {total:,} pairs" if len(shown) < total else f"{total:,} pairs"
    return XYPlot(
        title="A: cross-II against the distance of two directions",
        x=Axis(DISTANCES[params.distance]),
        y=Axis("cross-II [similarity of the metric]"),
        series=(
            Series(points, r.distance[shown], r.cross[shown], text=text),
            Series(
                "mean of pairs equally far apart",
                r.centre,
                r.mean,
                line=True,
                low=r.mean_low,
                high=r.mean_high,
                text=tuple(f"{n:,} pairs" for n in r.pairs),
            ),
        ),
        caption=(
            f"Cross-II is the mean similarity between the {params.m} MEIs of one direction and those of "
            "another. A curve that falls says that directions farther apart have less similar images, as "
            f"the paper found (Fig. 7 A). Band: 95 % bootstrap over {len(names):,} directions. "
            f"Spearman's rho over all {total:,} pairs: {_number(r.rho, r.low, r.high)}."
        ),
    )


def _density(found: Found, params: Params) -> HeatMap:
    import numpy as np

    r = found.relation
    counts, y, x = np.histogram2d(r.cross, r.distance, bins=CELLS)
    counts[counts == 0] = np.nan
    return HeatMap(
        title="A: all pairs of directions",
        x=Axis(DISTANCES[params.distance]),
        y=Axis("cross-II [similarity of the metric]"),
        columns=_middles(x),
        rows=_middles(y),
        values=counts,
        value="pairs of directions",
        caption=(
            f"How many of the {len(r.first):,} pairs lie in each cell; cells are named by their middle."
        ),
    )


def _middles(edges: DoubleArray) -> tuple[str, ...]:
    """Names of the cells between edges, with digits enough to tell them apart."""
    import numpy as np

    width = float(edges[1] - edges[0])
    digits = max(0, 1 - int(np.floor(np.log10(width)))) if width > 0 else 3
    return tuple(f"{middle:.{digits}f}" for middle in (edges[1:] + edges[:-1]) / 2)


def _along_ii(found: Found, params: Params) -> XYPlot:
    import numpy as np

    mean, low, high = curve(found.path_ii)
    return XYPlot(
        title="B: II between two directions and beyond them",
        x=ALPHA,
        y=Axis(II),
        series=(
            Series(
                f"mean of {len(found.pairs):,} pairs",
                np.array(found.alphas),
                mean,
                line=True,
                low=low,
                high=high,
            ),
        ),
        caption=(
            f"II of the {params.m} images nearest to v(alpha). The paper found peaks at alpha = 0 and 1, "
            "where v is a direction itself, and a drop between them (Fig. 7 B). Band: 95 % bootstrap "
            "over pairs; no direction is in two pairs."
        ),
    )


def _along_gradient(found: Found) -> XYPlot:
    import numpy as np

    alphas = np.array(found.alphas)
    mean, low, high = curve(found.path_gradient)
    series = [
        Series(f"mean of {len(found.steep):,} pairs", alphas, mean, line=True, low=low, high=high)
    ]
    if len(found.steep) >= 9:
        first, second = found.pairs[found.steep].T
        order = np.argsort(found.cross[first, second], kind="stable")
        for name, part in zip(
            ("least alike", "middle", "most alike"), np.array_split(order, 3), strict=True
        ):
            series.append(
                Series(
                    f"{name} third of pairs (cross-II of the ends; n = {len(part)})",
                    alphas,
                    curve(found.path_gradient[part])[0],
                    line=True,
                )
            )
    return XYPlot(
        title="C: sensitivity between two directions and beyond them",
        x=ALPHA,
        y=Axis(f"mean {GRADIENT}"),
        series=tuple(series),
        caption=(
            "How fast f_v(x) = -||y(x) - v|| changes with the pixels, averaged over the images nearest "
            "to v(alpha): lower is less sensitive. Lines without a band are thirds of the pairs by how "
            "alike the MEIs of their two directions are. Band: 95 % bootstrap over pairs."
        ),
    )


def _units(found: Found, rho: Measure) -> XYPlot:
    return XYPlot(
        title="D: II against the smallest gradient norm",
        x=Axis(f"smallest {GRADIENT}"),
        y=Axis(II),
        series=(
            Series(
                f"{rho.n:,} directions",
                found.least,
                found.nearest_ii,
                text=tuple(f"direction {unit}" for unit in found.units),
                units=found.units,
            ),
        ),
        caption=(
            "Both are of the images nearest to a direction's own vector. Points that fall from the left "
            "to the right say that more interpretable directions are less sensitive. Spearman's rho "
            f"{_number(rho.value, rho.low, rho.high)}; the paper reports -0.18 (Fig. 7 D)."
        ),
    )


def _example(found: Found) -> ImageRows:
    import numpy as np

    first, second = found.pairs.T
    apart = np.zeros((len(found.units),) * 2)
    apart[found.relation.first, found.relation.second] = found.relation.distance
    widest = int(apart[first, second].argmax())
    a, b = (int(found.units[k]) for k in found.pairs[widest])
    ends = {0.0: f", direction {b}", 1.0: f", direction {a}"}
    rows = tuple(
        (
            f"alpha = {alpha:g}{ends.get(alpha, '')}: II {found.path_ii[widest, k]:.4g}",
            tuple(int(i) for i in found.images[widest, k]),
        )
        for k, alpha in enumerate(found.alphas)
        if np.isfinite(found.path_ii[widest, k])
    )
    return ImageRows(
        title=f"The path between directions {b} and {a}",
        rows=rows,
        caption="The images nearest to v(alpha) on the path between the two that are farthest apart "
        "among the pairs, nearest first.",
    )


def _number(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "undefined"
    if low is None or high is None:
        return f"{value:.3f}"
    return f"{value:.3f} (95 % interval {low:.3f} to {high:.3f})"
