"""DreamSim as one embedding: features of vision transformers side by side, about their mean, of length 1.

The features of DINO, DINOv2 and SynCLR are the class token after the last block, before the last
normalisation; those of CLIP and OpenCLIP their image embedding. All networks run in the transformer of
the package `dreamsim`, without its adapters' layers (`lora`), without torch hub.
Fu et al. 2023, DreamSim: Learning New Dimensions of Human Visual Similarity using Synthetic Data.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iibench import AssetError, CaseError, check_rgb

from .._weights import exact, fingerprint_of, strict
from .lora import Adapter, merged

if TYPE_CHECKING:
    import torch

    from .files import Network

#: Height and width of the images that the networks take.
SIDE = 224
#: Mean and standard deviation of RGB that a network's input is normalised by.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


def package(module: str = "") -> Any:
    """The package `dreamsim` or a module of it; raises `AssetError` where it cannot be imported."""
    try:
        return importlib.import_module(f"dreamsim.{module}".rstrip("."))
    except Exception as error:  # it imports peft and transformers, which may fail in any way
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise AssetError(
            f"dreamsim needs the package dreamsim, which cannot be imported ({reason}); install it "
            f"with: pip install 'iibench[dreamsim]'"
        ) from error


@dataclass(frozen=True)
class Branch:
    """One network; `projection` (d, d') takes its output to the image embedding of CLIP."""

    module: Any
    projection: torch.Tensor | None

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (n, 3, 224, 224) RGB in [0, 1] -> (n, d)."""
        mean, std = OPENAI if self.projection is not None else IMAGENET
        x = (x - x.new_tensor(mean)[:, None, None]) / x.new_tensor(std)[:, None, None]
        if self.projection is not None:
            embedding: torch.Tensor = self.module(x) @ self.projection
            return embedding
        tokens: torch.Tensor = self.module.prepare_tokens(x)
        for block in self.module.blocks:
            tokens = block(tokens)
        return tokens[:, 0]


@dataclass(frozen=True)
class DreamSim:
    """embed(x) (n, d) float32 whose cosine is 1 - DreamSim."""

    branches: tuple[Branch, ...]
    fingerprint: str

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (n, 3, 224, 224) RGB in [0, 1] -> (n, d). Raises `CaseError` for anything else."""
        import torch

        check_rgb("dreamsim", x)
        if tuple(x.shape[2:]) != (SIDE, SIDE):
            height, width = x.shape[2:]
            raise CaseError(
                f"metric dreamsim expects images of {SIDE} x {SIDE} pixels, got {height} x {width}"
            )
        with exact():
            rows = torch.cat([branch.features(x.float()) for branch in self.branches], dim=1)
            return torch.nn.functional.normalize(rows - rows.mean(dim=1, keepdim=True), eps=0)


def build(
    networks: Sequence[Network],
    states: Sequence[Mapping[str, torch.Tensor]],
    adapter: Adapter,
    device: str = "cpu",
) -> DreamSim:
    """DreamSim of networks and their published tensors.

    Raises `AssetError` where a tensor is missing, unknown, of another shape or not finite, and where
    the package is not installed.
    """
    import torch

    parts = {f"{number} {name}": t for number, s in enumerate(states) for name, t in s.items()}
    scale = {"scale": torch.tensor(adapter.scale)}
    fingerprint = fingerprint_of({**parts, **adapter.tensors, **scale})
    branches = [
        _branch(network, state, device)
        for network, state in zip(networks, merged(adapter, states), strict=True)
    ]
    return DreamSim(tuple(branches), fingerprint)


def _branch(network: Network, state: dict[str, torch.Tensor], device: str) -> Branch:
    """The network with `state` in it, all of it used."""
    import torch

    what = f"weights of {network.name}"
    with torch.random.fork_rng(devices=[]):  # its weights are drawn before they are replaced
        module = package("feature_extraction.vision_transformer").vit_base(network.patch)
    if network.projected:
        _as_clip(module, quick=network.kind == "clip")
    if network.kind == "dinov2":
        _taken(what, state, "mask_token")  # stands for patches that are hidden in training
        state = _without_layer_scale(what, state)
        state["pos_embed"] = resampled(_taken(what, state, "pos_embed"), SIDE // network.patch)
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    if network.projected:
        projection = _taken(what, dict(state), "proj")
        wanted["proj"] = (module.embed_dim, projection.shape[1] if projection.ndim == 2 else 0)
    found = strict(what, wanted, state, "cpu")
    projected = found.pop("proj").to(device) if network.projected else None
    module.load_state_dict(found)
    return Branch(module.eval().requires_grad_(False).to(device), projected)


def _as_clip(module: Any, quick: bool) -> None:
    """What CLIP's transformer has that DINO's has not: normalised tokens before the first block and
    another epsilon; `quick`: OpenAI's approximation of GELU."""
    import torch

    module.pos_drop = torch.nn.LayerNorm(module.embed_dim)
    for part in module.modules():
        if isinstance(part, torch.nn.LayerNorm):
            part.eps = 1e-5
    if quick:
        activation = package("feature_extraction.load_clip_as_dino").QuickGELU
        for block in module.blocks:
            block.mlp.act = activation()


def _without_layer_scale(what: str, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """DINOv2 scales each channel of what attention and MLP add: here their last layers do that."""
    plain = dict(state)
    for scale, layer in (("ls1.gamma", "attn.proj"), ("ls2.gamma", "mlp.fc2")):
        for name in [name for name in state if name.endswith(f"{layer}.weight")]:
            block = name.removesuffix(f"{layer}.weight")
            gamma = _taken(what, plain, f"{block}{scale}")
            plain[name] = gamma[:, None] * plain[name]
            bias = f"{block}{layer}.bias"
            plain[bias] = gamma * _taken(what, plain, bias)
    return plain


def resampled(positions: torch.Tensor, side: int) -> torch.Tensor:
    """DINOv2's positions (1, 1 + s^2, d), learned for s x s patches, for `side` x `side`.

    Bicubic, with the scale (side + 0.1) / s: the 0.1, there against rounding, shifts what is read a
    little, and the published network has it. Positions of another form are returned as they are.
    """
    import torch

    patches = positions.shape[1] - 1 if positions.ndim == 3 else 0
    learned = math.isqrt(max(0, patches))
    if learned == 0 or learned**2 != patches:
        return positions
    scale = (side + 0.1) / learned
    grid = positions[:, 1:].float().reshape(1, learned, learned, -1).permute(0, 3, 1, 2)
    grid = torch.nn.functional.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([positions[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def _taken(what: str, state: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    """The tensor `name`, taken out of `state`; raises `AssetError` where it is not there."""
    if name not in state:
        raise AssetError(f"{what}: {name} is missing")
    return state.pop(name)
