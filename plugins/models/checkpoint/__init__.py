"""A network of the user's own: a function that builds it, and a file with its weights.

`factory` names the function as `module:function`, or as `file.py:function` beside the suite. Loading
such a model imports and runs that code, which is what its user asks for; the weights are read as
tensors and nothing in their file is run. The factory runs with torch's generator at `seed`, so that
weights that it draws itself are the same in every run.

Results are kept for the weights and the source of the factory and of the classes of the network's
modules, with what these import of the modules beside them or of their own package.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt

from iibench import (
    FileError,
    LoadedModel,
    ModelSpec,
    Preprocess,
    Resources,
    UsageError,
    hookimpl,
    user_path,
)

from ..._shared.loading import few, frozen, load_strictly, not_finite
from .._state import read_state
from .factory import find_factory, made_by, source_fingerprint

if TYPE_CHECKING:
    import torch

Positive = Annotated[float, Gt(0)]


@dataclass(frozen=True)
class Params:
    """Which network, with which weights, for which input."""

    factory: str = field(
        metadata={
            "help": "what builds the network without arguments: module:function of an installed "
            "module, or file.py:function, the file's path starting at the suite's folder"
        }
    )
    weights: str = field(
        default="",
        metadata={
            "help": "path of a state dict (.safetensors or PyTorch), relative to the suite's "
            "folder; empty: what the factory gives"
        },
    )
    entry: str = field(
        default="", metadata={"help": "key of the file below which the state dict lies"}
    )
    strip: str = field(
        default="",
        metadata={
            "help": "what the names in the file start with and the network's do not: module."
        },
    )
    mean: tuple[float, float, float] = field(
        default=(0.0, 0.0, 0.0), metadata={"help": "subtracted from RGB in [0, 1]"}
    )
    std: tuple[Positive, Positive, Positive] = field(
        default=(1.0, 1.0, 1.0), metadata={"help": "what RGB is divided by after that"}
    )
    size: Annotated[int, Ge(1)] | None = field(
        default=None, metadata={"help": "input size in pixels; unset: images as they are"}
    )
    seed: Annotated[int, Ge(0)] = field(
        default=0, metadata={"help": "seed of torch's generator while the factory runs"}
    )


def load(params: Params, layer: str, resources: Resources) -> LoadedModel:
    """The network; `layer` decides nothing, since all of its weights are loaded.

    Raises `UsageError` where the factory cannot be found, fails or gives no `torch.nn.Module`, and
    where `entry` or `strip` are given without weights; `FileError` where the weights are missing, do
    not fit or are not finite.
    """
    if not params.weights and (params.entry or params.strip):
        raise UsageError("found entry or strip without weights; expected the file they are about")
    factory = find_factory(params.factory, resources.base_dir)
    module = made_by(factory, params.seed)
    provenance = f"{params.factory}, its own weights"
    if params.weights:
        path = user_path(params.weights, resources.base_dir)
        state = read_state(path, params.entry or None, required=True)
        state = _stripped(state, params.strip, path)
        load_strictly(module, state, str(path), f"the network of {params.factory}")
        provenance = f"{params.factory}, {path.name}"
    if bad := not_finite([*module.named_parameters(), *module.named_buffers()]):
        raise FileError(f"the network of {params.factory} has values that are not finite: {bad}")
    return LoadedModel(
        frozen(module, resources.device),
        Preprocess(params.mean, params.std, params.size),
        provenance,
        source_fingerprint(factory, module),
    )


def _stripped(state: dict[str, torch.Tensor], prefix: str, path: Path) -> dict[str, torch.Tensor]:
    """The tensors without `prefix` before their names; `FileError` where no name starts with it."""
    if prefix and not any(name.startswith(prefix) for name in state):
        raise FileError(
            f"weights {str(path)!r}: no name starts with {prefix!r} (strip); found {few(list(state))}"
        )
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


@hookimpl
def iibench_register_models() -> Iterable[ModelSpec]:
    return [
        ModelSpec(
            name="checkpoint",
            summary="a network of your own: a function that builds it, and a file with its weights",
            definition=(
                "A network of the user's own: the function `factory` builds it, and the state dict "
                "`weights` is loaded into it (without one it keeps what the factory gives). Images "
                "are resized to `size` pixels where that is given and enter as (RGB - mean) / std "
                "with RGB in [0, 1]."
            ),
            params=Params,
            load=load,
        )
    ]
