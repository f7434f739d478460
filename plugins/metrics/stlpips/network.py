"""Shift-tolerant LPIPS as an embedding: ST-LPIPS(x, y) = ||phi(x) - phi(y)||^2.

phi is that of LPIPS: over the taps l of a network, sqrt(w_l / (H_l W_l)) times the features of tap l
(n, C_l, H_l, W_l) scaled to unit norm over channels, w_l >= 0 the learned weights. The networks are
AlexNet and VGG16 with every stride taken out of convolution and pooling and given to a blur behind
it: 3 x 3 binomial, at every second pixel, the map mirrored by two pixels at its border. AlexNet's
first blur comes before the rectification.
Ghildyal and Liu 2022, Shift-tolerant Perceptual Similarity Metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from iibench import AssetError, CaseError, check_rgb

from .._weights import exact, fast_layout, fingerprint_of, strict

if TYPE_CHECKING:
    import torch

Net = Literal["alex", "vgg"]


class Conv(NamedTuple):
    """A convolution of stride 1 to so many channels, zeros around the map."""

    channels: int
    kernel: int
    padding: int


class Max(NamedTuple):
    """Max pooling of stride 1."""

    kernel: int


RELU, BLUR = "relu", "blur"
Step = Conv | Max | str


def _block(channels: int, convolutions: int) -> tuple[Step, ...]:
    """One of VGG16's blocks."""
    return (Conv(channels, 3, 1), RELU) * convolutions


#: The steps up to each tap. A step's place among all steps of a network is its name in the weights.
TAPS: dict[str, tuple[tuple[Step, ...], ...]] = {
    "alex": (
        (Conv(64, 11, 2), BLUR, RELU),
        (Max(3), BLUR, Conv(192, 5, 2), RELU),
        (Max(3), BLUR, Conv(384, 3, 1), RELU),
        (Conv(256, 3, 1), RELU),
        (Conv(256, 3, 1), RELU),
    ),
    "vgg": (
        _block(64, 2),
        (Max(2), BLUR, *_block(128, 2)),
        (Max(2), BLUR, *_block(256, 3)),
        (Max(2), BLUR, *_block(512, 3)),
        (Max(2), BLUR, *_block(512, 3)),
    ),
}


@dataclass(frozen=True)
class StlpipsEmbedding:
    """phi, for one network. `state`: the published tensors by their names; `weights`: w_l (C_l,)."""

    net: Net
    state: Mapping[str, torch.Tensor]
    weights: tuple[torch.Tensor, ...]
    fingerprint: str

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (n, 3, h, w) RGB in [0, 1] -> phi (n, d) float32.

        Raises `CaseError` for other inputs and for images that are too small for the network.
        """
        import torch

        check_rgb(f"stlpips ({self.net})", x)
        self.slices(*x.shape[2:])
        shift, scale = (self.state[f"scaling_layer.{name}"] for name in ("shift", "scale"))
        parts = []
        with exact():
            y = fast_layout((2 * x.float() - 1 - shift) / scale)
            for steps, w in zip(named_steps(self.net), self.weights, strict=True):
                for name, step in steps:
                    y = self._run(step, name, y)
                unit = y / (y.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)
                factor = (w / (y.shape[2] * y.shape[3])).sqrt()[:, None, None]
                parts.append((unit * factor).flatten(1))
        return torch.cat(parts, dim=1)

    def slices(self, height: int, width: int) -> Mapping[str, slice]:
        """Part "l" -> the columns of tap l in the embedding of height x width images.

        Raises `CaseError` where the images are too small.
        """
        maps = list(zip(tap_sizes(self.net, height), tap_sizes(self.net, width), strict=True))
        if not all(h and w for h, w in maps):
            least = next(n for n in range(1, 65) if all(tap_sizes(self.net, n)))
            raise CaseError(
                f"metric stlpips ({self.net}) needs images of at least {least} x {least} pixels, "
                f"got {height} x {width}; resize them (resize: 64)"
            )
        found, start = {}, 0
        for name, ((h, w), weight) in enumerate(zip(maps, self.weights, strict=True)):
            found[str(name)] = slice(start, start + len(weight) * h * w)
            start = found[str(name)].stop
        return found

    def _run(self, step: Step, name: str, y: torch.Tensor) -> torch.Tensor:
        """`step` on y (n, C, H, W), with the tensors that are called `name`."""
        from torch.nn import functional as F  # noqa: N812 - its usual name

        if isinstance(step, Conv):
            weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
            return F.conv2d(y, weight, bias, padding=step.padding)
        if isinstance(step, Max):
            return F.max_pool2d(y, step.kernel, stride=1)
        if step == RELU:
            return F.relu(y)
        mirrored = F.pad(y, (2, 2, 2, 2), mode="reflect")
        return F.conv2d(mirrored, self.state[f"{name}.filt"], stride=2, groups=y.shape[1])


def named_steps(net: Net) -> Iterator[list[tuple[str, Step]]]:
    """For each tap its steps, each with the name of its tensors in the published weights."""
    place = 0
    for number, steps in enumerate(TAPS[net], start=1):
        yield [(f"net.slice{number}.{place + k}", step) for k, step in enumerate(steps)]
        place += len(steps)


def tap_sizes(net: Net, side: int) -> list[int]:
    """The side of each tap's map for images of `side` pixels; 0 from where a map is too small."""
    sizes = []
    for steps in TAPS[net]:
        for step in steps:
            if isinstance(step, Conv):
                side = max(0, side + 2 * step.padding - step.kernel + 1) if side else 0
            elif isinstance(step, Max):
                side = max(0, side - step.kernel + 1)
            elif step == BLUR:  # a map of two pixels or less cannot be mirrored by two
                side = (side + 1) // 2 + 1 if side > 2 else 0
        sizes.append(side)
    return sizes


def build(net: Net, published: Mapping[str, torch.Tensor], device: str = "cpu") -> StlpipsEmbedding:
    """The embedding from the published weights of one network.

    Raises `AssetError` where a tensor is missing, unknown, of another shape, or a learned weight is
    negative.
    """
    what = f"weights of stlpips ({net})"
    state = strict(what, _shapes(net), published, device)
    weights = [state[f"lin{tap}.model.1.weight"].flatten() for tap in range(len(TAPS[net]))]
    for tap, w in enumerate(weights):
        if not bool((w >= 0).all()):
            raise AssetError(f"{what}, tap {tap}: expected numbers >= 0, the least is {w.min():g}")
    ready = {name: fast_layout(tensor) for name, tensor in state.items()}
    return StlpipsEmbedding(net, ready, tuple(weights), fingerprint_of(published))


def _shapes(net: Net) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every published tensor."""
    shapes: dict[str, tuple[int, ...]] = {
        "scaling_layer.shift": (1, 3, 1, 1),
        "scaling_layer.scale": (1, 3, 1, 1),
    }
    channels = 3
    for tap, steps in enumerate(named_steps(net)):
        for name, step in steps:
            if isinstance(step, Conv):
                shapes[f"{name}.weight"] = (step.channels, channels, step.kernel, step.kernel)
                shapes[f"{name}.bias"] = (step.channels,)
                channels = step.channels
            elif step == BLUR:
                shapes[f"{name}.filt"] = (channels, 1, 3, 3)
        shapes[f"lin{tap}.model.1.weight"] = (1, channels, 1, 1)
    return shapes
