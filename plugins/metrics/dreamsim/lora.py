"""DreamSim's LoRA adapters: what training added to the weights of its networks.

A linear layer with weights W (out, in) was trained as W + (alpha / r) B A, with A (r, in) and
B (out, r). Here the sum is formed once, so that the network runs as it would without an adapter.
Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models, Sec. 4.1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench import AssetError

from .._weights import strict
from .files import read_tensors

if TYPE_CHECKING:
    import torch

    State = Mapping[str, torch.Tensor]

#: Settings that would make an adapter something else than the sum above.
OTHER_KINDS = (
    "alpha_pattern",
    "exclude_modules",
    "fan_in_fan_out",
    "layer_replication",
    "layers_to_transform",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "target_parameters",
    "use_dora",
    "use_rslora",
)


@dataclass(frozen=True)
class Adapter:
    """The adapter in `path`: tensors by the names that peft gives them, and scale = alpha / r.

    `targets`: last parts of the names of the layers that were adapted.
    """

    path: Path
    rank: int
    scale: float
    targets: tuple[str, ...]
    tensors: State


def read_adapter(folder: Path) -> Adapter:
    """The adapter in a folder as peft writes it; raises `AssetError` where it is of another kind."""
    config = folder / "adapter_config.json"
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AssetError(f"{config} cannot be read: {error}") from error
    rank, alpha, targets = _sizes(config, settings)
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        path = folder / "adapter_model.bin"
    return Adapter(path, rank, alpha / rank, targets, read_tensors(path))


def _sizes(config: Path, settings: Any) -> tuple[int, float, tuple[str, ...]]:
    """r, alpha and the names of the adapted layers."""
    if not isinstance(settings, dict):
        raise AssetError(f"{config}: expected a mapping of settings")
    set_ones = [name for name in OTHER_KINDS if settings.get(name)]
    if settings.get("bias", "none") != "none":
        set_ones.append("bias")
    if set_ones:
        raise AssetError(f"{config}: {', '.join(set_ones)} set; expected plain LoRA")
    rank, alpha, targets = (settings.get(name) for name in ("r", "lora_alpha", "target_modules"))
    if not isinstance(rank, int) or rank < 1:
        raise AssetError(f"{config}: r is {rank!r}, expected a whole number from 1")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise AssetError(f"{config}: lora_alpha is {alpha!r}, expected a number")
    if not isinstance(targets, list) or not all(isinstance(name, str) for name in targets):
        raise AssetError(f"{config}: target_modules is {targets!r}, expected a list of names")
    return rank, float(alpha), tuple(targets)


def merged(adapter: Adapter, networks: Sequence[State]) -> list[dict[str, torch.Tensor]]:
    """The networks' tensors with the adapter added to the layers that it was trained for.

    Every tensor of the adapter is used, and every layer it names has one in every network: raises
    `AssetError` otherwise, and where shapes do not fit or a value is not finite.
    """
    wanted: dict[str, tuple[int, ...]] = {}
    layers: list[tuple[int, str, str, str]] = []
    for number, state in enumerate(networks):
        for layer in _layers(state, adapter.targets):
            outputs, inputs = state[f"{layer}.weight"].shape
            name = f"base_model.model.extractor_list.{number}.model.{layer}"
            down, up = f"{name}.lora_A.weight", f"{name}.lora_B.weight"
            wanted[down], wanted[up] = (adapter.rank, inputs), (outputs, adapter.rank)
            layers.append((number, f"{layer}.weight", down, up))
    parts = strict(str(adapter.path), wanted, adapter.tensors, "cpu")
    together = [dict(state) for state in networks]
    for number, weight, down, up in layers:
        added = parts[up].double() @ parts[down].double()
        together[number][weight] = (networks[number][weight] + adapter.scale * added).float()
    return together


def _layers(state: State, targets: Sequence[str]) -> list[str]:
    """The linear layers (weights of two axes) whose name is or ends with one of `targets`."""
    return [
        name.removesuffix(".weight")
        for name, tensor in state.items()
        if name.endswith(".weight")
        and tensor.ndim == 2
        and any(f".{name.removesuffix('.weight')}".endswith(f".{t}") for t in targets)
    ]
