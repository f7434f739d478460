"""The Interpretability Index: how alike a direction's most activating images are (Sec. 2.1, Eq. 1)."""

from __future__ import annotations

from collections.abc import Iterable

from iibench import EvaluationSpec, hookimpl

from .._shared.bibliography import KLINDT2023
from ._index import Params, evaluate

MEANS = {
    "all": "the mean over all M·M ordered pairs, the M self-pairs included, as in the paper's "
    "released code",
    "eq1": "the sum over all ordered pairs divided by M, as Eq. 1 is printed (M times the mean "
    "over all M·M pairs)",
    "off_diagonal": "the mean over pairs of two different images",
}


def sentence(params: Params) -> str:
    """For the page."""
    return (
        f"Interpretability Index of a unit: how alike its M = {params.m} most activating images (MEIs) "
        f"are, {MEANS[params.mean]}. Larger is better. The MEIs of two methods are chosen from the "
        "same images."
    )


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
        leads=True,
        sentence=sentence,
        images=lambda params, n: int(params.m),
        citation="Identifying Interpretable Features in Convolutional Neural Networks, Sec. 2.1",
        bibtex=KLINDT2023,
    )
