"""LPIPS v0.1 as an embedding: LPIPS(x, y) = ||phi(x) - phi(y)||^2.

phi(x) concatenates, over the taps l of the network, sqrt(w_l / (H_l W_l)) times the features of tap
l (n, C_l, H_l, W_l) scaled to unit norm over channels; w_l (C_l,) are the learned weights. An image
is embedded once; every pairwise question after that is matrix arithmetic. Network, scaling layer
and learned weights are those of the `lpips` package.
Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, Eq. 1.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench import AssetError, CaseError, check_rgb

if TYPE_CHECKING:
    import torch

#: Taps of each backbone; part l of the metric is tap l.
TAPS = {"alex": 5, "vgg": 5, "squeeze": 7}

#: The statistics by which the paper's released code normalised CIFAR-10 before calling LPIPS.
CIFAR_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR_STD = (0.2471, 0.2435, 0.2616)

#: Larger than the smallest image that any of the backbones can take.
SIZE_LIMIT = 64


@dataclass
class LpipsEmbedding:
    """phi, for one backbone.

    `network`: the `lpips` package's network in eval mode. `weights`: w_l (C_l,) of each tap.
    `cifar_normalised`: images are normalised by CIFAR-10's statistics first, as the paper's code
    did.
    """

    net: str
    network: Any
    weights: tuple[torch.Tensor, ...]
    cifar_normalised: bool
    fingerprint: str
    _shapes: dict[tuple[int, int], tuple[tuple[int, int, int], ...]] = field(default_factory=dict)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (n, 3, h, w) RGB in [0, 1] -> phi (n, d) float32.

        Raises `CaseError` for other inputs and for images that are too small for the network.
        """
        import torch
        from lpips import normalize_tensor

        check_rgb(f"lpips ({self.net})", x)
        x = x.float()
        shapes = self._tap_shapes(int(x.shape[2]), int(x.shape[3]))
        if len(x) == 0:
            return x.new_zeros(0, sum(c * h * w for c, h, w in shapes))
        if self.cifar_normalised:
            mean = torch.tensor(CIFAR_MEAN, device=x.device)[:, None, None]
            x = (x - mean) / torch.tensor(CIFAR_STD, device=x.device)[:, None, None]
        if x.device.type == "cpu":  # convolutions and poolings are 1.5 times as fast in this layout
            x = x.contiguous(memory_format=torch.channels_last)
        # TF32 would make a GPU's numbers agree with a CPU's to three digits only.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.no_grad(), exact:
            taps = self.network.net(self.network.scaling_layer(2 * x - 1))
            parts = [
                (normalize_tensor(tap) * (w / tap[0, 0].numel()).sqrt()[:, None, None]).flatten(1)
                for tap, w in zip(taps, self.weights, strict=True)
            ]
        return torch.cat(parts, dim=1)

    def slices(self, height: int, width: int) -> Mapping[str, slice]:
        """Part "l" -> the columns of tap l in the embedding of height x width images."""
        start, found = 0, {}
        for name, (c, h, w) in enumerate(self._tap_shapes(height, width)):
            found[str(name)] = slice(start, start + c * h * w)
            start += c * h * w
        return found

    def _tap_shapes(self, height: int, width: int) -> tuple[tuple[int, int, int], ...]:
        """(C_l, H_l, W_l) of each tap; raises `CaseError` where the image is too small."""
        if (height, width) not in self._shapes:
            shapes = self._dry_run(height, width)
            if shapes is None:
                least = next(s for s in range(1, SIZE_LIMIT) if self._dry_run(s, s) is not None)
                raise CaseError(
                    f"metric lpips ({self.net}) needs images of at least {least} x {least} pixels, "
                    f"got {height} x {width}; resize them (resize: {max(least, SIZE_LIMIT)})"
                )
            self._shapes[height, width] = shapes
        return self._shapes[height, width]

    @cached_property
    def _shape_network(self) -> Any:
        """The network without weights: it computes shapes and nothing else."""
        return _empty_network(self.net).net

    def _dry_run(self, height: int, width: int) -> tuple[tuple[int, int, int], ...] | None:
        import torch

        try:
            taps = self._shape_network(torch.empty(1, 3, height, width, device="meta"))
        except RuntimeError:  # a kernel larger than its input
            return None
        shapes = tuple((int(t.shape[1]), int(t.shape[2]), int(t.shape[3])) for t in taps)
        return shapes if all(h * w for _, h, w in shapes) else None


def build(
    net: str,
    trunk: Mapping[str, torch.Tensor],
    *,
    learned: Mapping[str, torch.Tensor] | None = None,
    cifar_normalised: bool = False,
    device: str = "cpu",
) -> LpipsEmbedding:
    """The embedding on a backbone's convolutions, by torchvision's names (`features.0.weight`).

    `learned`: the learned weights by the `lpips` package's names; None takes those in the package.
    Raises `AssetError` where a tensor is missing, unknown, of another shape, or a learned weight is
    negative.
    """
    import torch

    learned = _packaged_weights(net) if learned is None else learned
    network = _empty_network(net)
    _fill(network.net, {_slice_name(network.net, k): v for k, v in trunk.items()}, net, device)
    slots = {f"lin{k}.model.1.weight" for k in range(TAPS[net])}
    if set(learned) != slots:
        raise AssetError(f"learned weights of lpips ({net}): {_difference(slots, set(learned))}")
    weights = []
    for k, channels in enumerate(network.chns):
        w = learned[f"lin{k}.model.1.weight"].detach().float().to(device).flatten()
        if w.numel() != channels or not bool((w >= 0).all()):
            raise AssetError(
                f"learned weights of lpips ({net}), tap {k}: expected {channels} numbers >= 0, got "
                f"{w.numel()}, the least {w.min().item():g}"
            )
        weights.append(w)
    network.scaling_layer.to(device)
    if device == "cpu":
        network.net.to(memory_format=torch.channels_last)
    network.eval().requires_grad_(False)
    digest = _fingerprint({**trunk, **learned})
    return LpipsEmbedding(net, network, tuple(weights), cifar_normalised, digest)


def _packaged_weights(net: str) -> dict[str, torch.Tensor]:
    """The learned weights v0.1 that the `lpips` package ships (saved from a GPU)."""
    import lpips
    import torch

    path = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth"
    state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _empty_network(net: str) -> Any:
    """The `lpips` package's network, no tensor of it set: neither random nor from its own download.

    `version` is the string that switches the scaling layer on.
    """
    import lpips
    import torch

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # torchvision's deprecation of `pretrained=`
        with torch.device("meta"):
            return lpips.LPIPS(
                net=net, version="0.1", pnet_rand=True, pretrained=False, verbose=False
            )


def _slice_name(network: Any, name: str) -> str:
    """torchvision's `features.8.weight` -> the package's `slice4.8.weight`; others unchanged."""
    _, _, tail = name.partition("features.")
    place = tail.partition(".")[0]
    for k in range(1, network.N_slices + 1):
        if place in dict(getattr(network, f"slice{k}").named_children()):
            return f"slice{k}.{tail}"
    return name


def _fill(
    module: torch.nn.Module, state: Mapping[str, torch.Tensor], net: str, device: str
) -> None:
    """Sets every tensor of `module`, and nothing else."""
    import torch

    wanted = module.state_dict()
    if wanted.keys() != state.keys():
        raise AssetError(f"backbone of lpips ({net}): {_difference(set(wanted), set(state))}")
    for name, slot in wanted.items():
        if slot.shape != state[name].shape:
            raise AssetError(
                f"backbone of lpips ({net}): {name} has shape {tuple(state[name].shape)}, expected "
                f"{tuple(slot.shape)}"
            )
    ready = {name: tensor.detach().to(device, torch.float32) for name, tensor in state.items()}
    module.load_state_dict(ready, strict=True, assign=True)


def _difference(wanted: set[str], found: set[str]) -> str:
    return f"missing {sorted(wanted - found)}, unknown {sorted(found - wanted)}"


def _fingerprint(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 (hex) of the names, shapes and float32 bytes of the tensors in use."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
