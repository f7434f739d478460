"""What the two halves say: measures with intervals, a figure, tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iibench import Axis, Measure, Series, XYPlot

if TYPE_CHECKING:
    import numpy.typing as npt

    from iibench import DoubleArray, IntArray

NAMES = ("lower", "upper")
NONE = "no unit has an II"
#: Half the width over which the points of a group are spread.
SPREAD = 0.3
#: Multiples of it, less their whole part, spread evenly over [0, 1).
GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Halves:
    """II of neurons and of the directions found in each half of them.

    `neurons`, `values` (K,): number and II of each. `halves`: positions of the lower and of the upper
    half. `directions`: II (K',) of those that `finder` found in either, NaN for dead ones.
    """

    finder: str
    neurons: IntArray
    values: DoubleArray
    halves: tuple[IntArray, IntArray]
    directions: tuple[DoubleArray, ...]

    @property
    def groups(self) -> tuple[tuple[str, DoubleArray, IntArray | None], ...]:
        """(name, II without NaN, positions of neurons or None) of the four groups."""
        import numpy as np

        of_neurons = [
            (f"neurons, {name} half", self.values[half], half)
            for name, half in zip(NAMES, self.halves, strict=True)
        ]
        of_directions = [
            (f"{self.finder} on the {name} half", values[~np.isnan(values)], None)
            for name, values in zip(NAMES, self.directions, strict=True)
        ]
        return (*of_neurons, *of_directions)


def measures_of(found: Halves) -> tuple[Measure, ...]:
    """Means of the four groups, the three differences and their p values."""
    from iibench.statistics.scores import compare, holm, summarise

    measures = []
    keys = [f"ii_{kind}_{name}" for kind in ("neurons", "directions") for name in NAMES]
    for key, (_, values, _) in zip(keys, found.groups, strict=True):
        summary = summarise(values)
        reason = NONE if summary.mean is None else None
        measures.append(
            Measure(
                key,
                summary.mean,
                low=summary.low,
                high=summary.high,
                n=len(values),
                units=len(values),
                reason=reason,
            )
        )
    lower, upper, on_lower, on_upper = (values for _, values, _ in found.groups)
    tests = {
        "gain_lower": compare(on_lower, lower),
        "gain_upper": compare(on_upper, upper),
        "upper_minus_lower": compare(on_upper, on_lower),
    }
    adjusted = holm([float("nan") if t.p is None else t.p for t in tests.values()])
    for (key, test), p in zip(tests.items(), adjusted, strict=True):
        n = test.n_x + test.n_y
        reason = NONE if test.difference is None else None
        measures += [
            Measure(
                key, test.difference, low=test.low, high=test.high, n=n, units=n, reason=reason
            ),
            Measure(f"p_{key}", None if test.p is None else float(p), n=n, units=n, reason=reason),
        ]
    return tuple(measures)


def figure_of(found: Halves) -> XYPlot:
    """Fig. 3 right: a point per unit in four columns, and each column's mean with its interval."""
    import numpy as np

    from iibench.statistics.scores import summarise

    series, means = [], []
    ticks = tuple((float(i), name) for i, (name, _, _) in enumerate(found.groups, 1))
    for column, (name, values, half) in enumerate(found.groups, 1):
        # even steps in an order that does not follow the values: no draw, no pattern
        step = (np.arange(1, len(values) + 1, dtype=np.float64) * GOLDEN) % 1
        series.append(
            Series(
                f"{column}: {name} (n = {len(values)})",
                column + SPREAD * (2 * step - 1),
                values,
                text=() if half is None else tuple(f"neuron {u}" for u in found.neurons[half]),
                units=half,
            )
        )
        summary = summarise(values)
        if summary.mean is None:
            continue
        level = np.full(2, summary.mean, np.float64)
        low, high = (
            None if v is None else np.full(2, v, np.float64) for v in (summary.low, summary.high)
        )
        ends = np.array([column - SPREAD, column + SPREAD])
        means.append(Series(f"{column}: mean, 95 % interval", ends, level, True, low, high))
    return XYPlot(
        "II of neurons and of directions found in either half of them",
        Axis("group of units", ticks=ticks),
        Axis("II (mean similarity of MEIs, in the metric's unit)"),
        (*series, *means),
        "A point is a unit; its place within its column means nothing. The halves are the neurons "
        "below and above their median II. If the directions found in both halves lie above the "
        "neurons, at the same height, interpretable directions are found whatever the neurons.",
    )


def tables_of(found: Halves) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """`neurons` with their half, and `directions` with the half that they were found in."""
    import numpy as np

    half = np.full(len(found.values), "neither", dtype="U7")
    for name, members in zip(NAMES, found.halves, strict=True):
        half[members] = name
    counts = [len(values) for values in found.directions]
    return {
        "neurons": {"neuron": found.neurons, "ii": found.values, "half": half},
        "directions": {
            "direction": np.concatenate([np.arange(count) for count in counts]),
            "ii": np.concatenate(found.directions),
            "half": np.repeat(np.array(NAMES), counts),
        },
    }


def notes_of(found: Halves) -> tuple[str, ...]:
    """What a reader has to know to read the numbers."""
    import numpy as np

    lower, upper = found.halves
    dead = int(np.isnan(found.values).sum())
    left_out = len(found.values) - dead - len(lower) - len(upper)
    notes = [
        f"{len(lower)} neurons in either half"
        + (f"; the middle one, of {len(found.values) - dead}, is in neither" if left_out else "")
        + (f"; {dead} dead neurons are in neither" if dead else "")
        + ".",
        "The halves are chosen by the II that the directions are compared with, which favours the "
        "directions in the lower half and disfavours them in the upper one. That the two halves' "
        "directions are alike is said by the interval of upper_minus_lower, not by a large p.",
    ]
    for name, values in zip(NAMES, found.directions, strict=True):
        unscored = int(np.isnan(values).sum())
        if unscored:
            notes.append(
                f"{unscored} of {len(values)} directions found in the {name} half are dead and have "
                "no II."
            )
    return tuple(notes)
