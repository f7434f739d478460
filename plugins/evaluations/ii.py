"""The Interpretability Index: how alike a direction's most activating images are (Sec. 2.1, Eq. 1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from iibench import EvaluationSpec, UnitScores, hookimpl

from .._bibliography import KLINDT2023

if TYPE_CHECKING:
    from iibench.contract.base import DoubleArray
    from iibench.contract.evaluations import EvaluationInputs

#: Why a direction has no score.
DEAD = "dead: every image has the same response"


@dataclass(frozen=True)
class Params:
    """Parameters of the index."""

    m: Annotated[int, Ge(2)] = field(
        default=5, metadata={"help": "number of exemplars (MEIs) per direction"}
    )
    mean: Literal["all", "eq1", "off_diagonal"] = field(
        default="all",
        metadata={
            "help": "all: over the M*M ordered pairs, self-pairs included, as the released code; "
            "eq1: the sum divided by M, as Eq. 1 is printed; off_diagonal: over pairs of two images"
        },
    )


def average(pairs: DoubleArray, mean: str) -> DoubleArray:
    """(G, M, M) similarities of all ordered pairs -> (G,) index, averaged as `mean` says."""
    m = pairs.shape[1]
    total: DoubleArray = pairs.sum(axis=(1, 2))
    if mean == "off_diagonal":
        total = total - pairs.diagonal(axis1=1, axis2=2).sum(axis=1)
    index: DoubleArray = total / {"all": m * m, "eq1": m, "off_diagonal": m * (m - 1)}[mean]
    return index


def evaluate(params: Params, inputs: EvaluationInputs) -> UnitScores:
    """II of every direction; a direction to which all images respond alike is not scored."""
    import numpy as np

    from iibench.compute.exemplars import constant_directions, exemplars

    top = exemplars(inputs.order, params.m)
    dead = constant_directions(inputs.responses, inputs.order)
    values = np.full(len(top), np.nan)
    if not dead.all():
        values[~dead] = average(inputs.similarity.within(top[~dead]), params.mean)
    reasons = tuple(DEAD if d else None for d in dead)
    return UnitScores(values, reasons)


@hookimpl
def iibench_register_evaluations() -> Iterable[EvaluationSpec]:
    """Registers `ii`."""
    yield EvaluationSpec(
        name="ii",
        summary="Interpretability Index: mean pairwise similarity of a direction's M MEIs (Eq. 1)",
        definition=(
            "The M images of the evaluated split with the largest response to a direction are its "
            "maximally exciting images (MEIs; ties go to the lower index). II = the mean of the "
            "metric's similarity over all M x M ordered pairs of them, self-pairs included, as in "
            "the paper's released code (`mean: all`); `eq1` divides the same sum by M, "
            "`off_diagonal` leaves self-pairs out. The unit and range are the metric's; larger "
            "means that the images that activate the direction are more alike. A direction to "
            "which all images respond alike is not scored."
        ),
        params=Params,
        evaluate=evaluate,
        blockwise=True,
        unit="similarity",
        plot="box",
        images=lambda params, n: int(params.m),
        citation="Identifying Interpretable Features in Convolutional Neural Networks, Sec. 2.1",
        bibtex=KLINDT2023,
    )
