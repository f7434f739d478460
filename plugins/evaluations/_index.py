"""The Interpretability Index of directions, as several evaluations compute it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from iibench import UnitScores

if TYPE_CHECKING:
    from iibench import DoubleArray, EvaluationInputs


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
