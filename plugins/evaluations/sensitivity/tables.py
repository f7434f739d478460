"""Tables and notes of the analysis of sensitivity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .found import Found
from .paths import curve

if TYPE_CHECKING:
    import numpy.typing as npt

    from .params import Params

    Table = dict[str, npt.NDArray[Any]]

#: A table of all pairs is kept up to this many.
TABLE = 200_000

DISTANCES = {
    "euclidean": "Euclidean distance of the vectors",
    "unit": "Euclidean distance of the vectors, scaled to unit norm",
}


def tables(found: Found) -> dict[str, Table]:
    """Everything that is needed to draw the figures again."""
    import numpy as np

    r, names = found.relation, found.units
    shape = found.path_ii.shape
    gradient = np.full(shape, np.nan)
    gradient[found.steep] = found.path_gradient
    a, b = (np.repeat(names[found.pairs[:, side]], shape[1]) for side in (0, 1))
    ii, gradients = curve(found.path_ii), curve(found.path_gradient)
    swapped = np.full(len(names), np.nan)
    swapped[found.pairs[found.steep]] = found.swapped
    found_tables: dict[str, Table] = {
        "distance_bins": {
            "distance": r.centre,
            "cross_ii": r.mean,
            "low": r.mean_low,
            "high": r.mean_high,
            "pairs": r.pairs,
        },
        "along_alpha": {
            "alpha": np.array(found.alphas),
            **dict(zip(("ii", "ii_low", "ii_high"), ii, strict=True)),
            **dict(zip(("gradient", "gradient_low", "gradient_high"), gradients, strict=True)),
        },
        "paths": {
            "first": a,
            "second": b,
            "alpha": np.tile(np.array(found.alphas), shape[0]),
            "ii": found.path_ii.ravel(),
            "gradient": gradient.ravel(),
            "cross_ii": np.repeat(found.cross[found.pairs[:, 0], found.pairs[:, 1]], shape[1]),
        },
        "directions": {
            "direction": names,
            "ii": found.ii,
            "ii_of_nearest": found.nearest_ii,
            "least_gradient": found.least,
            "mean_gradient": found.mean_norm,
            "least_gradient_on_path": found.half_minimum(),
            "gradient_at_other_end": swapped,
            "nearest_among_meis": found.shared,
        },
    }
    if len(r.first) <= TABLE:
        found_tables["pairs"] = {
            "first": names[r.first],
            "second": names[r.second],
            "distance": r.distance,
            "cross_ii": r.cross,
        }
    return found_tables


def notes(found: Found, params: Params, directions: int) -> tuple[str, ...]:
    """What a reader has to know of how it was done; `directions`: K, those left out included."""
    total, used = len(found.relation.first), len(found.units)
    y = "scaled to unit norm" if params.activations == "unit" else "as they are"
    lines = [
        f"Distances are the {DISTANCES[params.distance]}; in f_v the activations are taken {y}.",
        f"The {len(found.pairs):,} pairs reach {found.separation:.1%} of the largest summed distance "
        "that any pairing could have.",
        f"Of the images nearest to a direction's vector, {found.shared.mean():.1%} are among its MEIs.",
    ]
    if used < directions:
        lines.append(f"{directions - used} of {directions} directions are dead or zero: left out.")
    if len(found.steep) < len(found.pairs):
        lines.append(
            f"Gradients along paths are of {len(found.steep)} pairs, a seeded draw (parameter pairs)."
        )
    if found.relation.equidistant:
        lines.append("All directions are equally far apart: which of them are paired is arbitrary.")
    if total > TABLE:
        lines.append(f"The table of all {total:,} pairs is left out; bins of them are kept.")
    return tuple(lines)
