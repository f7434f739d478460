"""A network with planted features: it reads them off the pixels and puts them in superposition.

x -> f = filters (x - b) (F neurons, layer `monosemantic`) -> h = W f (N < F neurons, layer `superposed`). The
filters are matched to the glyphs of the dataset `planted`, and W (N, F) has nearly orthogonal columns of
unit norm; both are computed, not trained. h = W f is the hidden layer of the toy models of Elhage et al.
(2022), whose features are the columns of W and whose neurons each respond to most of the features.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from iibench import LayerSpec, LoadedModel, ModelSpec, Preprocess, Resources, hookimpl

from .._shared.loading import frozen
from .._shared.planted import ELHAGE2022, FEATURES, NEURONS, SIZE
from .._shared.planted.frame import frame, not_superposed
from .._shared.planted.images import BACKGROUND, FULL, filters, too_small

if TYPE_CHECKING:
    import torch

    from iibench import DoubleArray


@dataclass(frozen=True)
class Params:
    """The shape of the network."""

    features: Annotated[int, Ge(2)] = field(
        default=FEATURES, metadata={"help": "planted features, F: as the dataset's"}
    )
    neurons: Annotated[int, Ge(2)] = field(
        default=NEURONS, metadata={"help": "neurons of the layer `superposed`, N < F"}
    )
    size: Annotated[int, Ge(1)] = field(
        default=SIZE, metadata={"help": "pixels a side of the images: as the dataset's"}
    )
    seed: Annotated[int, Ge(0)] = field(default=0, metadata={"help": "of the directions W"})

    def __post_init__(self) -> None:
        """Raises `ValueError`, which the suite's reader reports, for numbers that do not fit."""
        problem = too_small(self.features, self.size) or not_superposed(self.features, self.neurons)
        if problem:
            raise ValueError(problem)


def load(params: Params, layer: str, resources: Resources) -> LoadedModel:
    """The network; `layer` decides nothing. Images of another size are resized to `params.size`."""
    import torch

    weights = filters(params.features, params.size)
    W = frame(params.features, params.neurons, params.seed)
    grey = BACKGROUND / FULL
    module = torch.nn.Sequential()
    module.add_module("pixels", torch.nn.Flatten())
    module.add_module("monosemantic", _linear(weights))
    module.add_module("superposed", _linear(W))
    return LoadedModel(
        frozen(module, resources.device),
        Preprocess(mean=(grey, grey, grey), size=params.size),
        f"computed: {params.features} matched filters, directions of seed {params.seed}",
    )


def _linear(weights: DoubleArray) -> torch.nn.Module:
    """x -> weights x in float32."""
    import torch

    outputs, inputs = weights.shape
    # on meta nothing is drawn from torch's generator
    module = torch.nn.Linear(inputs, outputs, bias=False, device="meta")
    module.weight = torch.nn.Parameter(torch.from_numpy(weights.copy()).float())
    return module


@hookimpl
def iibench_register_models() -> Iterable[ModelSpec]:
    """Registers `planted`."""
    yield ModelSpec(
        name="planted",
        summary="reads the features of the dataset planted and puts them in superposition; no download",
        definition=(
            "Two linear layers, computed, not trained. `monosemantic`: F neurons, one for each "
            "feature of the dataset `planted`, whose strength f_i it reads off the pixels, less "
            "their background, by a filter matched to the feature's glyph. `superposed`: h = W f "
            "with N < F neurons. The columns of W (N, F) have unit norm and are as nearly orthogonal "
            "as gradient descent on the sum over i != j of (w_i . w_j)^4 makes them, from a Gaussian "
            "start: the hidden layer of a toy model of superposition, in which column i is the "
            "direction of feature i and every neuron responds to most features."
        ),
        params=Params,
        load=load,
        citation="Elhage et al. 2022, Toy Models of Superposition",
        bibtex=ELHAGE2022,
    )


@hookimpl
def iibench_register_layers(model: ModelSpec) -> Iterable[LayerSpec]:
    """Registers the two layers of `planted`."""
    if model.name == "planted":
        yield LayerSpec("monosemantic", "monosemantic", "F neurons, each one feature", "control")
        yield LayerSpec("superposed", "superposed", "N < F neurons, W f", "superposition")
