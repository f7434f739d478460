"""The true directions of the model `planted`: what a finder would find that found everything.

Layer `superposed` (N neurons): the F columns of W. Layer `monosemantic` (F neurons): the F basis vectors.
Nothing is fitted; W is computed anew from the parameters, which must be the model's. Images that show one
feature alone tell whether they are: their activations are parallel to a true direction. With an `angle`
the directions are that far off the true ones: a ladder of known steps from the truth to chance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Interval

from iibench import CaseError, Directions, FinderSpec, hookimpl

from .._shared.planted import ELHAGE2022, FEATURES, NEURONS
from .._shared.planted.check import MUST, mismatch, share_along
from .._shared.planted.frame import frame, not_superposed

if TYPE_CHECKING:
    from iibench import DoubleArray, FitContext, FloatArray

UNCONFIRMED = (
    "too few images show one feature alone to confirm that these are the network's true directions"
)


@dataclass(frozen=True)
class Params:
    """The shape of the network whose directions these are, and how it responds to them."""

    features: Annotated[int, Ge(2)] = field(
        default=FEATURES, metadata={"help": "planted features, F: as the model's"}
    )
    neurons: Annotated[int, Ge(2)] = field(
        default=NEURONS,
        metadata={"help": "neurons of the layer `superposed`, N < F: as the model's"},
    )
    seed: Annotated[int, Ge(0)] = field(
        default=0, metadata={"help": "of the directions W: as the model's"}
    )
    angle: Annotated[float, Interval(ge=0, le=90)] = field(
        default=0.0,
        metadata={"help": "degrees between each direction and the true one, towards a random side"},
    )
    response: Literal["projection", "cosine", "rectified"] = field(
        default="projection",
        metadata={
            "help": "projection: of the activation on the direction; cosine: of the two, as that of "
            "`kmeans`; rectified: the projection, 0 where it is negative, as a neuron after a ReLU"
        },
    )

    def __post_init__(self) -> None:
        """Raises `ValueError`, which the suite's reader reports, for numbers that do not fit."""
        if problem := not_superposed(self.features, self.neurons):
            raise ValueError(problem)


def fit(params: Params, A: FloatArray, context: FitContext) -> Directions:
    """The F directions (F, N) of the layer that has as many neurons as A (n, N) has columns.

    Raises `CaseError` where neither of the model's layers has. Notes where `encode` cannot check them.
    """
    import numpy as np

    true = true_directions(params, A.shape[1])
    vectors = turned(true, params.angle, context.seed).astype(np.float32)
    notes = (UNCONFIRMED,) if share_along(A, true) is None else ()
    return Directions(vectors, notes=notes)


def true_directions(params: Params, width: int) -> DoubleArray:
    """(F, width) of unit norm: those of the layer of `width` neurons; `CaseError` where there is none."""
    import numpy as np

    if width == params.neurons:
        return frame(params.features, params.neurons, params.seed).T
    if width == params.features:
        return np.eye(width)
    raise CaseError(
        f"planted: the layer has {width} neurons; expected {params.neurons} (layer superposed of the "
        f"model planted) or {params.features} (layer monosemantic): {MUST}"
    )


def turned(true: DoubleArray, angle: float, seed: int) -> DoubleArray:
    """Unit rows (K, N) turned by `angle` degrees, each towards a random perpendicular direction."""
    import numpy as np

    if angle == 0:
        return true
    side = np.random.default_rng(seed).standard_normal(true.shape)
    side -= true * (side * true).sum(axis=1, keepdims=True)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    radians = np.deg2rad(angle)
    found: DoubleArray = np.cos(radians) * true + np.sin(radians) * side
    return found


def encode(params: Params, directions: Directions, A: FloatArray) -> FloatArray:
    """R (n, F), as `params.response` says; a cosine is 0 where the activation is zero.

    The projection w_i . a = f_i + the sum over j != i of (w_i . w_j) f_j: the feature's strength and
    what the others leave of themselves. Raises `CaseError` where the activations of images of one
    feature alone show that the network, or its images, have other features.
    """
    import numpy as np

    if problem := mismatch(A, true_directions(params, A.shape[1])):
        raise CaseError(f"planted: {problem}")
    if params.response == "cosine":
        exact = A.astype(np.float64)  # the square of a tiny float32 is none
        norms = np.linalg.norm(exact, axis=1, keepdims=True)
        unit = np.divide(exact, norms, out=np.zeros_like(exact), where=norms > 0)
        return np.ascontiguousarray(unit @ directions.vectors.T, dtype=np.float32)
    responses = np.ascontiguousarray(A @ directions.vectors.T, dtype=np.float32)
    return responses if params.response == "projection" else np.maximum(responses, 0)


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    """Registers `planted`."""
    yield FinderSpec(
        name="planted",
        summary="the true feature directions of the model planted; response: projection",
        definition=(
            "The F directions that the model `planted` has in the layer: the columns w_i of W (unit "
            "norm) at `superposed`, the basis vectors at `monosemantic`. The response of an image "
            "with activation a = W f is the projection w_i . a = f_i + sum over j != i of "
            "(w_i . w_j) f_j; with `response: cosine` that over |a|, with `rectified` 0 where it is "
            "negative. With an `angle` each direction is turned by so many degrees towards a random "
            "perpendicular one. Nothing is fitted: these are the ground truth that other finders "
            "are compared with."
        ),
        params=Params,
        fit=fit,
        encode=encode,
        trains_on=False,
        citation="Elhage et al. 2022, Toy Models of Superposition",
        bibtex=ELHAGE2022,
    )
