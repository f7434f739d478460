"""What the manifold analysis found: measures, the map and its colourings, tables (Fig. 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iibench import Axis, ImageMap, Measure, XYPlot

from .._against_ii import correlations_with_ii, in_words, scatter
from .activation import mean_distance, most_active, spread

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench import AnalysisContext, DoubleArray, IntArray

#: Directions whose activation colours the map, at equal steps of the rank of their II.
COLOURED = 12
#: Values that the table of activations may hold; above, it has the coloured directions alone.
TABLE = 4_000_000
#: Images that are read at once.
READ = 512


@dataclass(frozen=True)
class Found:
    """The map and everything that is shown on it.

    `images` (P,) distinct MEIs; `places` (P, 2); `active` (P, K) Eq. 4; `responses` (P, K); `own` (K, M)
    rows of `images` that are a direction's MEIs; `ii` (K,). Columns of unscored directions are NaN, and
    so are their rows in `ii` (their `own` means nothing).
    """

    images: IntArray
    places: DoubleArray
    active: DoubleArray
    responses: DoubleArray
    own: IntArray
    ii: DoubleArray
    count: int

    def spread_of(self, values: DoubleArray) -> DoubleArray:
        """(K,) spread of the `count` points with the largest `values` (P, K); NaN where unscored."""
        import numpy as np

        found = spread(self.places, most_active(values, self.count))
        found[np.isnan(self.ii) | np.isnan(self.active).any(axis=0)] = np.nan
        return found

    def without_own(self) -> DoubleArray:
        """`active` with a direction's own MEIs put last."""
        import numpy as np

        values = self.active.copy()
        np.put_along_axis(values, self.own.T, -np.inf, axis=0)
        return values


@dataclass(frozen=True)
class Spreads:
    """(K,) each: spread of the points with the largest Eq. 4, of those that are no MEIs of the
    direction, and of those with the largest response."""

    active: DoubleArray
    others: DoubleArray | None
    response: DoubleArray


def spreads_of(found: Found) -> Spreads:
    """All three; `others` is None where too few points are left without a direction's MEIs."""
    enough = len(found.images) >= found.count + found.own.shape[1]
    return Spreads(
        found.spread_of(found.active),
        found.spread_of(found.without_own()) if enough else None,
        found.spread_of(found.responses),
    )


def measures_of(
    found: Found, spreads: Spreads, kl: float | None, resamples: int, seed: int
) -> tuple[Measure, ...]:
    """Correlations with II, spreads on average, and what the map is like."""
    import numpy as np

    from iibench.statistics.scores import summarise

    measures = [*correlations_with_ii(spreads.active, found.ii, resamples, seed)]
    if spreads.others is not None:
        measures += correlations_with_ii(spreads.others, found.ii, resamples, seed, "_other_points")
    measures += correlations_with_ii(spreads.response, found.ii, resamples, seed, "_response")
    all_pairs = mean_distance(found.places)
    for name, values in (
        ("spread", spreads.active),
        ("relative_spread", spreads.active / all_pairs),
    ):
        s = summarise(values)
        reason = None if s.scored else "no direction is scored"
        measures.append(
            Measure(name, s.mean, low=s.low, high=s.high, n=s.scored, units=s.scored, reason=reason)
        )
    measures.append(Measure("map_distance", all_pairs, n=len(found.images)))
    measures.append(Measure("images", float(len(found.images)), n=int(np.prod(found.own.shape))))
    if kl is not None:
        measures.append(Measure("kl_divergence", kl, n=len(found.images)))
    return tuple(measures)


def coloured_directions(ii: DoubleArray) -> IntArray:
    """Up to 12 scored directions at equal steps of the rank of II, lowest first."""
    import numpy as np

    scored = np.flatnonzero(~np.isnan(ii))
    ranked = scored[np.argsort(ii[scored], kind="stable")]
    if not len(ranked):
        return ranked.astype(np.int64)
    steps = np.linspace(0, len(ranked) - 1, min(COLOURED, len(ranked))).round().astype(int)
    chosen: IntArray = ranked[np.unique(steps)]
    return chosen


def mean_colours(context: AnalysisContext, images: IntArray) -> tuple[str, ...]:
    """(P,) `#rrggbb`: mean RGB of each image's pixels, rounded."""
    import numpy as np

    found = []
    for start in range(0, len(images), READ):
        pixels = context.images(images[start : start + READ])
        found.append(pixels.reshape(len(pixels), -1, 3).mean(axis=1, dtype=np.float64))
    rounded = np.concatenate(found).round().astype(int)
    return tuple(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in rounded)


def class_of(context: AnalysisContext, labels: IntArray) -> tuple[str, ...]:
    """Names of the classes, or their indices where they have no names."""
    names = context.class_names
    return tuple(names[i] if 0 <= i < len(names) else str(int(i)) for i in labels)


def map_of(
    found: Found, colours: tuple[str, ...], classes: tuple[str, ...] | None, tau: float, name: str
) -> ImageMap:
    """Fig. 6 A, B, E, F."""
    colourings: dict[str, Any] = {"mean colour": colours}
    if classes is not None:
        colourings["label"] = classes
    chosen = coloured_directions(found.ii)
    for rank, k in enumerate(chosen):
        share = rank / max(1, len(chosen) - 1)
        colourings[f"activation of direction {k} (II at quantile {share:.2f})"] = found.active[:, k]
    return ImageMap(
        f"Map of all MEIs ({name})",
        found.places[:, 0],
        found.places[:, 1],
        found.images,
        colourings,
        f"A point is one of the {len(found.images):,} different images that are MEIs of some "
        "direction; near points are alike under the metric. Axes have no unit. Coloured by the "
        "image's mean colour, by its label, or by how active a direction is (Eq. 4, tau = "
        f"{tau:g}): directions at equal steps of the rank of their II, 0 the lowest.",
    )


def plot_of(found: Found, values: DoubleArray, main: Measure) -> XYPlot:
    """Fig. 6 C, D."""
    return scatter(
        "Spread on the map against II",
        Axis("II (the metric's unit)"),
        Axis(f"mean distance on the map of the {found.count} most active points (map units)"),
        values,
        found.ii,
        f"A point is one of {main.n:,} directions. Lower means sparser on the map. Spearman's rho "
        f"over directions: {in_words(main)}. Where it is negative, more interpretable directions "
        "are sparser on the map.",
    )


def tables_of(
    found: Found,
    spreads: Spreads,
    colours: tuple[str, ...],
    labels: IntArray | None,
    classes: tuple[str, ...] | None,
) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """`points`, `directions` and `activations` (a column per direction)."""
    import numpy as np

    points: dict[str, npt.NDArray[Any]] = {
        "image": found.images,
        "x": found.places[:, 0],
        "y": found.places[:, 1],
        "mean_colour": np.array(colours),
    }
    if labels is not None and classes is not None:
        points |= {"label": labels, "class": np.array(classes)}
    directions = {
        "direction": np.arange(len(found.ii)),
        "ii": found.ii,
        "spread": spreads.active,
        "spread_response": spreads.response,
    }
    if spreads.others is not None:
        directions["spread_other_points"] = spreads.others
    chosen = np.flatnonzero(~np.isnan(found.active).any(axis=0))
    if len(chosen) * len(found.images) > TABLE:
        chosen = coloured_directions(found.ii)
    activations = {"image": found.images} | {
        f"direction_{k}": found.active[:, k].astype(np.float32) for k in chosen
    }
    return {"points": points, "directions": directions, "activations": activations}
