"""Are neurons that are active alone more interpretable than those active with others? (App. B, Fig. 10 C)"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from iibench import CaseError, EvaluationSpec, UnitScores, hookimpl

from .._shared.bibliography import KLINDT2023
from ._neurons import neuron_of

if TYPE_CHECKING:
    from iibench import DoubleArray, EvaluationInputs, FloatArray, IntArray

#: float64 values of one block of columns.
BLOCK = 2**22
ALONE = "the others together respond alike to every image"


@dataclass(frozen=True)
class Params:
    """Parameters of the analysis."""

    m: Annotated[int, Ge(2)] = field(
        default=5, metadata={"help": "number of exemplars (MEIs) per direction behind its II"}
    )
    resamples: Annotated[int, Ge(100)] = field(
        default=2000, metadata={"help": "resamples of directions behind each interval"}
    )


def active_with_others(responses: FloatArray, population: FloatArray, own: IntArray) -> DoubleArray:
    """(K,) Pearson's r, over images, of `responses` (n, K) and the mean of the others.

    The others of direction k: all columns of `population` (n, P) but column `own[k]`. NaN where one of
    the two is the same for every image. float64.
    """
    import numpy as np

    n, k = responses.shape
    total = np.zeros(n)
    rows = max(1, BLOCK // population.shape[1])
    for start in range(0, n, rows):
        total[start : start + rows] = population[start : start + rows].sum(axis=1, dtype=np.float64)
    found = np.full(k, np.nan)
    columns = max(1, BLOCK // n)
    # differences of sums: what is left of equal numbers is rounding of their size
    size = np.abs(total).max() / (population.shape[1] - 1)
    for start in range(0, k, columns):
        part = slice(start, start + columns)
        mine = responses[:, part].astype(np.float64)
        others = (total[:, None] - population[:, own[part]]) / (population.shape[1] - 1)
        varies = np.ptp(mine, axis=0) > 0
        varies &= np.ptp(others, axis=0) > 1e-12 * size
        mine -= mine.mean(axis=0)
        others -= others.mean(axis=0)
        product = np.sqrt((mine**2).sum(axis=0) * (others**2).sum(axis=0))
        r = np.full(mine.shape[1], np.nan)
        np.divide((mine * others).sum(axis=0), product, out=r, where=varies & (product > 0))
        found[part] = np.clip(r, -1, 1)
    return found


def evaluate(params: Params, inputs: EvaluationInputs) -> UnitScores:
    """How active every direction is with the others; its relation to II stands in the details.

    Raises `CaseError` where there are no others.
    """
    import numpy as np

    from iibench import Axis, Details, Measure
    from iibench.statistics.scores import summarise

    from . import _index
    from ._against_ii import correlations_with_ii, in_words, scatter

    k = inputs.responses.shape[1]
    neurons = None if inputs.context is None else neuron_of(inputs.context.directions().vectors)
    if neurons is not None and inputs.context is not None:
        population, own = np.asarray(inputs.context.activations()), neurons
        others = f"the other {population.shape[1] - 1:,} neurons of the layer"
    else:
        population, own = inputs.responses, np.arange(k)
        others = f"the other {k - 1:,} directions' responses"
    if population.shape[1] < 2:
        raise CaseError("privileged_basis compares a direction with the others and there is only 1")
    values = active_with_others(inputs.responses, population, own)
    index = _index.evaluate(_index.Params(m=params.m), inputs)
    spearman, pearson = correlations_with_ii(values, index.values, params.resamples, inputs.seed)
    s = summarise(values)
    missing = None if s.scored else "no direction has one"
    mean = Measure(
        "active_with_others",
        s.mean,
        low=s.low,
        high=s.high,
        n=s.scored,
        units=s.scored,
        reason=missing,
    )
    figure = scatter(
        "Active with others against II",
        Axis("II (the metric's unit)"),
        Axis(f"active with others (Pearson's r over {len(population):,} images)"),
        values,
        index.values,
        f"A point is one of {spearman.n:,} directions: how its response goes with the mean of "
        f"{others}, against its II. Spearman's rho over directions: {in_words(spearman)}. Where "
        "it is negative, directions that are active alone are the more interpretable ones.",
    )
    table = {"direction": np.arange(k), "ii": index.values, "active_with_others": values}
    note = f"The others of a direction: {others}, unscaled, averaged per image."
    details = Details(
        (spearman, pearson, mean), "spearman", (figure,), {"directions": table}, (note,)
    )
    reasons = tuple(
        (dead or ALONE) if np.isnan(value) else None
        for dead, value in zip(index.reasons, values, strict=True)
    )
    return UnitScores(values, reasons, details=details)


@hookimpl
def iibench_register_evaluations() -> Iterable[EvaluationSpec]:
    """Registers `privileged_basis`."""
    yield EvaluationSpec(
        name="privileged_basis",
        summary="How active a neuron is together with all others, against its II",
        definition=(
            "A direction's value is Pearson's r, over the evaluated images, of its response and the "
            "mean of the others' (float64): near 1 where it is active with the others, near 0 or "
            "below where it is active alone. For neurons, the others are all other neurons of the "
            "layer, also where only some `units` are looked at; for directions of another finder, "
            "its other directions' responses, whatever their units. Reported: Spearman's rho and "
            "Pearson's r of this value and II (`ii` with M = `m`) over directions, with 95 % "
            "percentile intervals from resampled directions. The paper finds a negative correlation."
        ),
        params=Params,
        unlabelled=("resamples",),
        evaluate=evaluate,
        unit="correlation",
        plot="none",
        images=lambda params, n: int(params.m),
        citation="Identifying Interpretable Features in Convolutional Neural Networks, App. B, "
        "Fig. 10 C",
        bibtex=KLINDT2023,
    )
