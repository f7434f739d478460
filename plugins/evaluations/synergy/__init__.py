"""Synergy of pairs: is the sum of two directions more interpretable than either? (Sec. 3.6, Fig. 8)"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Interval

from iibench import CaseError, EvaluationSpec, UnitScores, hookimpl

from ..._shared.bibliography import KLINDT2023
from .._index import DEAD

if TYPE_CHECKING:
    from iibench import DoubleArray, EvaluationInputs, IntArray

    from .found import Synergies


@dataclass(frozen=True)
class Params:
    """Parameters of the analysis."""

    m: Annotated[int, Ge(2)] = field(
        default=5, metadata={"help": "number of exemplars (MEIs) per direction and per pair"}
    )
    mean: Literal["all", "eq1", "off_diagonal"] = field(
        default="all", metadata={"help": "how similarities are averaged, as in ii"}
    )
    resamples: Annotated[int, Ge(100)] = field(
        default=1000, metadata={"help": "resamples of directions behind each interval"}
    )
    shown: Annotated[int, Interval(ge=0, le=50)] = field(
        default=4, metadata={"help": "pairs whose MEIs are shown"}
    )


def evaluate(params: Params, inputs: EvaluationInputs) -> UnitScores:
    """The best synergy of every direction with any other; all pairs stand in the details.

    Raises `CaseError` where fewer than two directions are scored.
    """
    import numpy as np

    from iibench import Details
    from iibench.compute.exemplars import constant_directions

    from .figures import figures_of
    from .found import measures_of, tables_of

    dead = constant_directions(inputs.responses, inputs.order)
    if (~dead).sum() < 2:
        raise CaseError(
            "synergy needs two directions whose responses differ between images; there "
            f"{'is one' if (~dead).any() else 'are none'} of {len(dead)}"
        )
    found = synergies(params, inputs, np.flatnonzero(~dead))
    values = np.full(len(dead), np.nan)
    values[found.units] = found.best[0]
    details = Details(
        measures_of(found, params.resamples, inputs.seed),
        "share_positive",
        figures_of(found, params.shown),
        tables_of(found),
        _notes(found, len(dead)),
    )
    return UnitScores(values, tuple(DEAD if d else None for d in dead), details=details)


def synergies(params: Params, inputs: EvaluationInputs, units: IntArray) -> Synergies:
    """Sums, their MEIs and the index of each, for the directions `units`, none of them dead."""
    import numpy as np

    from iibench.compute.exemplars import exemplars
    from iibench.compute.pair_sums import standardised, top_of_pair_sums

    from .found import Synergies
    from .pairs import indices_of

    order = np.ascontiguousarray(inputs.order[:, units])
    alone = exemplars(order, params.m)
    z = standardised(inputs.responses[:, units])
    correlation: DoubleArray = np.clip(z @ z.T / z.shape[1], -1, 1)
    tops = top_of_pair_sums(z, order, params.m, _told(inputs, "MEIs of pairs"))
    del z
    groups = np.concatenate([tops, alone.astype(np.int32)])
    ii = indices_of(groups, inputs.similarity, params.mean, _told(inputs, "similarities"))
    return Synergies(units, ii[len(tops) :], alone, ii[: len(tops)], tops, correlation)


def _told(inputs: EvaluationInputs, note: str) -> Callable[[int, int], None]:
    context = inputs.context
    if context is None:
        return lambda done, total: None
    return lambda done, total: context.progress(done, total, note)


def _notes(found: Synergies, directions: int) -> tuple[str, ...]:
    k = len(found.units)
    notes = [
        f"All {len(found.synergy):,} pairs of {k:,} directions were computed, none sampled. Intervals "
        "resample directions, since pairs share them; the best synergy, a maximum, has none, and "
        "neither has the median.",
        "spearman_best_ii_if_unrelated: what spearman_best_ii is if the pairs' II belong to other "
        "pairs (directions relabelled at random; the interval holds 95 % of the relabellings). A "
        "direction's II is taken off its synergies, which alone makes them fall with it. "
        "spearman_best_sum_ii has no such part: a direction's II against the largest II of any sum "
        "with it.",
    ]
    if k < directions:
        notes.append(f"{directions - k} of {directions} directions are dead and in no pair.")
    return tuple(notes)


@hookimpl
def iibench_register_evaluations() -> Iterable[EvaluationSpec]:
    """Registers `synergy`."""
    yield EvaluationSpec(
        name="synergy",
        summary="Synergy of all pairs of directions: II of their sum minus the larger II (Eq. 8)",
        definition=(
            "Responses are z-scored over the evaluated images (float64, deviation divided by n). "
            "For every pair a < b of directions, the M images with the largest z_a + z_b (ties: "
            "lower index first) are the MEIs of the sum. Synergy(a, b) = II(a + b) - max(II(a), "
            "II(b)), each II the mean similarity of M MEIs as in `ii`. All K (K - 1) / 2 pairs are "
            "computed. A direction's value is its best synergy with any other. Also: the share of "
            "pairs above 0; Spearman's rho of synergy and the pair's correlation, over pairs, and "
            "of a direction's best synergy and its II, over directions. Intervals resample "
            "directions (95 % percentiles). Directions to which all images respond alike are in no "
            "pair."
        ),
        params=Params,
        unlabelled=("shown", "resamples"),
        evaluate=evaluate,
        unit="difference of similarities",
        plot="none",
        # rows of embeddings that are gathered, measured on a layer of 256 neurons
        images=lambda params, n: 80 * int(params.m),
        citation="Identifying Interpretable Features in Convolutional Neural Networks, Sec. 3.6, "
        "Eq. 8, Fig. 8",
        bibtex=KLINDT2023,
    )
