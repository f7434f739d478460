"""Can directions be found among neurons that are hard to interpret? (Sec. 3.2, Fig. 3 right)"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from iibench import CaseError, EvaluationSpec, UnitScores, hookimpl

from ..._shared.bibliography import KLINDT2023
from .._index import DEAD

if TYPE_CHECKING:
    from iibench import DoubleArray, EvaluationInputs, FloatArray, IntArray


@dataclass(frozen=True)
class Params:
    """Parameters of the analysis."""

    finder: str = field(
        default="kmeans[k=128]",
        metadata={"help": "the finder that is fitted to each half, as suites write it"},
    )
    m: Annotated[int, Ge(2)] = field(
        default=5, metadata={"help": "number of exemplars (MEIs) per direction"}
    )
    mean: Literal["all", "eq1", "off_diagonal"] = field(
        default="all", metadata={"help": "how similarities are averaged, as in ii"}
    )


def evaluate(params: Params, inputs: EvaluationInputs) -> UnitScores:
    """II of every neuron, by which they are split; that of the directions stands in the details.

    Raises `CaseError` where the case's directions are not neurons, each once, or where fewer than four
    of them have an II.
    """
    import numpy as np

    from iibench import Details

    from .found import Halves, figure_of, measures_of, notes_of, tables_of

    if inputs.context is None:
        raise CaseError("split_half needs activations, and none are at hand")
    neurons = _neurons(inputs.context.directions().vectors)
    values = index(inputs.responses, inputs.order, inputs, params)
    lower, upper = halves(values)
    found = Halves(
        params.finder,
        neurons,
        values,
        (lower, upper),
        tuple(_of_half(params, inputs, neurons[half]) for half in (lower, upper)),
    )
    details = Details(
        measures_of(found),
        "gain_lower",
        (figure_of(found),),
        tables_of(found),
        notes_of(found),
    )
    reasons = tuple(DEAD if unscored else None for unscored in np.isnan(values))
    return UnitScores(values, reasons, details=details)


def _neurons(vectors: FloatArray) -> IntArray:
    """(K,) the neuron that each of the basis vectors (K, N) stands for."""
    import numpy as np

    from .._neurons import neuron_of

    neurons = neuron_of(vectors)
    if neurons is None or len(np.unique(neurons)) < len(neurons):
        raise CaseError(
            "split_half splits neurons, and this finder's directions are not basis vectors; expected "
            "the finder neurons"
        )
    return neurons


def _of_half(params: Params, inputs: EvaluationInputs, neurons: IntArray) -> DoubleArray:
    """(K',) II of the directions found in these neurons, NaN for dead ones."""
    from iibench.compute.ranking import order_by_response

    assert inputs.context is not None
    responses = inputs.context.responses_of(params.finder, neurons)
    return index(responses, order_by_response(responses), inputs, params)


def index(
    responses: FloatArray, order: object, inputs: EvaluationInputs, params: Params
) -> DoubleArray:
    """(K,) II of every direction as the evaluation `ii` gives it, NaN for dead ones."""
    import dataclasses

    from .. import _index

    of_these = dataclasses.replace(inputs, responses=responses, order=order)  # type: ignore[arg-type]
    return _index.evaluate(_index.Params(params.m, params.mean), of_these).values


def halves(values: DoubleArray) -> tuple[IntArray, IntArray]:
    """Positions of the less and of the more interpretable half of `values` (K,), NaN in neither.

    Neurons are ranked by II, ties by number. Of an odd number the middle one is in neither half, so
    that both have the same size even where many neurons share the median.
    """
    import numpy as np

    scored = np.flatnonzero(~np.isnan(values))
    if len(scored) < 4:
        raise CaseError(f"split_half needs four neurons with an II; there are {len(scored)}")
    ranked = scored[np.argsort(values[scored], kind="stable")]
    half = len(ranked) // 2
    return np.sort(ranked[:half]), np.sort(ranked[-half:])


@hookimpl
def iibench_register_evaluations() -> Iterable[EvaluationSpec]:
    """Registers `split_half`."""
    yield EvaluationSpec(
        name="split_half",
        summary="Neurons split at their median II; directions found in each half alone (Fig. 3)",
        definition=(
            "Neurons with an II (as in `ii`) are ranked by it, ties by number, and split into two "
            "halves of equal size; of an odd number the middle one is in neither. The finder "
            "`finder` is fitted on the fit split to the activations of each half's neurons alone, "
            "and II of its directions is computed on the evaluated split. gain_lower and "
            "gain_upper: mean II of these directions minus that of the half's neurons; "
            "upper_minus_lower: between the directions of the two halves. 95 % percentile "
            "bootstrap intervals over units; p: two-sided Mann-Whitney U, Holm-corrected for the "
            "three. A neuron's value is its II. Dead units are in no half and no mean."
        ),
        params=Params,
        headline=("finder",),
        evaluate=evaluate,
        finders=lambda params: (params.finder,),
        unit="similarity",
        plot="none",
        images=lambda params, n: 3 * int(params.m),
        citation="Identifying Interpretable Features in Convolutional Neural Networks, Sec. 3.2, "
        "Fig. 3 right",
        bibtex=KLINDT2023,
    )
