"""Images -> activations A (n, N) float32 at one layer of a network.

Notation: b images of a batch, N neurons (channels) of the layer, (h, w) its feature map. The
forward pass ends at the tapped module: nothing after it runs, and what is after it needs no
weights. The output is pooled while the hook runs, so that a later in-place operation cannot
change it.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from iibench.compute.folding import prepared
from iibench.compute.images import resized, to_unit_range
from iibench.compute.precision import mixed
from iibench.contract.errors import CaseError, PluginError, UsageError, unknown_name

if TYPE_CHECKING:
    import torch

    from iibench.contract.arrays import FloatArray, ImageArray, IntArray
    from iibench.contract.specs import LoadedModel, Preprocess

T = TypeVar("T")

#: How a layer's output becomes one value per neuron (`flatten`: one per neuron and position).
POOLS: Final = ("mean", "max", "center", "flatten", "cls")

#: Images per forward pass. On a CPU 64 small images take 1.4 times as long as 2 x 32: the feature
#: maps of 32 stay in its cache.
CPU_BATCH: Final = 32
GPU_BATCH: Final = 256


class _TapReached(Exception):  # noqa: N818 - a signal, not an error
    """Ends the forward pass at the tapped module."""


def layer_names(module: torch.nn.Module) -> list[str]:
    """Every module path of a network that can be tapped, in the order of definition."""
    return [name for name, _ in module.named_modules(remove_duplicate=False) if name]


def weights_sha256(module: torch.nn.Module) -> str:
    """SHA-256 (hex) of the names, shapes, dtypes and bytes of all parameters and buffers.

    Tensors without values (torch's meta device) are left out: they cannot decide any number.
    """
    import torch

    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        if tensor.is_meta:
            continue
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def network_input(x: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    """float32 (b, 3, h, w) in [0, 1] -> the same: resized if asked, then (x - mean) / std."""
    import torch

    x = resized(x, preprocess.size)
    mean = torch.tensor(preprocess.mean, device=x.device)[:, None, None]
    std = torch.tensor(preprocess.std, device=x.device)[:, None, None]
    return (x - mean) / std


def iter_activations(
    model: LoadedModel,
    layer: str,
    pool: str,
    read: Callable[[IntArray], ImageArray],
    indices: IntArray,
    *,
    device: str = "cpu",
    batch_size: int | None = None,
    precision: str = "float32",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Activations of the images `indices` at `layer`, batch by batch in that order.

    Yields (the batch's indices (b,), activations (b, N) float32 on the CPU). `read(indices)` gives
    the uint8 (b, h, w, 3) images; it is called from another thread, one batch ahead, never twice at
    a time. `pool` is one of `POOLS`. `batch_size`: None takes 32 on the CPU, 256 elsewhere; values
    depend on it by float32 rounding only. `precision`: see precision.py. `progress(done, total)` counts
    images.

    Raises `UsageError` where the network has no such layer or runs it more than once, `PluginError`
    where it is not in eval mode, `CaseError` where the output has a shape that `pool` does not
    fit, is not finite, or the layer never runs.
    """
    tap = tapped(model, layer, pool)
    size = images_per_pass(batch_size, device)
    done = 0
    computed = (
        (batch, tap.pooled_without_gradients(_prepared_images(images, device, model), precision))
        for batch, images in read_ahead(read, indices, size)
    )
    for batch, pooled in computed if device == "cpu" else _one_behind(computed):
        values = _on_cpu(pooled)
        _check_finite(values, layer, batch)
        done += len(batch)
        progress(done, len(indices))
        yield batch, values


def images_per_pass(asked: int | None, device: str) -> int:
    """Images of a forward pass: as asked for, else what suits the device."""
    return asked or (CPU_BATCH if device == "cpu" else GPU_BATCH)


def _prepared_images(images: ImageArray, device: str, model: LoadedModel) -> torch.Tensor:
    return network_input(to_unit_range(images, device), model.preprocess)


def _one_behind(items: Iterator[T]) -> Iterator[T]:
    """The same items, each after the next one was begun: a GPU computes while its last batch is fetched."""
    waiting: list[T] = []
    for item in items:
        if waiting:
            yield waiting.pop()
        waiting.append(item)
    yield from waiting


def read_ahead(
    read: Callable[[IntArray], ImageArray], indices: IntArray, size: int
) -> Iterator[tuple[IntArray, ImageArray]]:
    """(indices (b,), their images) in batches of `size`, in order, the next one read meanwhile.

    `read` is called from another thread, never twice at a time.
    """
    batches = [indices[start : start + size] for start in range(0, len(indices), size)]
    with ThreadPoolExecutor(1, "iibench-images") as reader:
        ahead = [reader.submit(read, batches[0])] if batches else []
        for k, batch in enumerate(batches):
            images = ahead.pop().result()
            if k + 1 < len(batches):
                ahead.append(reader.submit(read, batches[k + 1]))
            yield batch, images


@dataclass(frozen=True)
class Network:
    """`TappedNetwork`: a loaded network up to one layer. `fingerprint`: of all that decides it."""

    model: LoadedModel
    fingerprint: str
    _tap: Tap

    def activations(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (n, 3, h, w), RGB in [0, 1] -> (n, N) float32 on the CPU.

        Raises `CaseError` as `iter_activations` does.
        """
        import torch

        # what the network is given may be far larger than x, so batches are its own
        size = CPU_BATCH if x.device.type == "cpu" else GPU_BATCH
        rows = [
            torch.from_numpy(self._tap.read(network_input(part, self.model.preprocess)))
            for part in torch.split(x, size)
        ]
        return torch.cat(rows)


def network(model: LoadedModel, layer: str, pool: str, fingerprint: str) -> Network:
    """The network up to `layer`; raises as `iter_activations` does."""
    return Network(model, fingerprint, tapped(model, layer, pool))


def tapped(model: LoadedModel, layer: str, pool: str) -> Tap:
    """The network up to `layer`, batch-norm folded; raises as `iter_activations` does before it runs."""
    _check(model.module, layer, pool)
    return Tap(prepared(model.module, layer), layer, pool)


def _check(module: torch.nn.Module, layer: str, pool: str) -> None:
    """The layer and the pooling exist, and the network is in eval mode."""
    if pool not in POOLS:
        raise UsageError(unknown_name("pooling", pool, POOLS))
    names = layer_names(module)
    if layer not in names:
        raise UsageError(unknown_name("layer", layer, names))
    training = [name for name, m in module.named_modules() if m.training]
    if training:
        raise PluginError(
            f"the network's module {training[0]!r} is in training mode; a model plugin's load must "
            "return a module in eval mode"
        )


def exact_convolutions() -> contextlib.AbstractContextManager[None]:
    """Deterministic convolutions in float32 proper.

    TF32 would make a GPU's convolutions agree with a CPU's to three digits only.
    """
    import torch

    flags: contextlib.AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, deterministic=True, allow_tf32=False
    )
    return flags


class Tap:
    """Runs a network up to one layer and keeps that layer's pooled output."""

    def __init__(self, module: torch.nn.Module, layer: str, pool: str) -> None:
        self._module = module
        self._layer = layer
        self._pool = pool
        weights = (p for p in module.parameters() if p.is_floating_point() and not p.is_meta)
        self._dtype = next((p.dtype for p in weights), None)

    def read(self, x: torch.Tensor) -> FloatArray:
        """x (b, 3, h, w) -> (b, N) float32, without gradients."""
        return _on_cpu(self.pooled_without_gradients(x, "float32"))

    def pooled_without_gradients(self, x: torch.Tensor, precision: str) -> torch.Tensor:
        """`pooled` for values alone; a GPU may still be computing them when it returns."""
        import torch

        with torch.inference_mode(), mixed(x.device.type, precision):
            return self.pooled(x)

    def pooled(self, x: torch.Tensor) -> torch.Tensor:
        """x (b, 3, h, w), a network's input -> (b, N) float32, differentiable where gradients are on."""
        import torch

        if x.device.type == "cpu":  # convolutions are 1.3 to 2 times as fast in this layout
            x = x.contiguous(memory_format=torch.channels_last)
        found: list[torch.Tensor] = []

        def hook(_module: torch.nn.Module, _args: Any, output: Any) -> None:
            found.append(_pooled(output, self._pool, self._layer, len(x)))
            raise _TapReached

        handle = self._module.get_submodule(self._layer).register_forward_hook(hook)
        try:
            with exact_convolutions(), contextlib.suppress(_TapReached):
                self._module(x if self._dtype is None else x.to(self._dtype))
        finally:
            handle.remove()
        if not found:
            raise CaseError(f"layer {self._layer!r} does not run in the network's forward pass")
        return found[0]


def pooled_output(output: Any, pool: str, layer: str, batch: int) -> FloatArray:
    """A layer's output -> (b, N) float32 on the CPU.

    (b, N, h, w): `mean` and `max` over positions, `center` is position (h // 2, w // 2), `flatten`
    gives N * h * w values in that order. (b, h, w, N) with h = w (as Swin has it) likewise.
    (b, tokens, N): the same over tokens, with `center` on the grid that the tokens (after a class
    token, if their number needs one) form, and `cls` token 0. (b, N): `mean` and `flatten` change
    nothing. Anything else is a `CaseError`.
    """
    return _on_cpu(_pooled(output, pool, layer, batch))


def _on_cpu(x: torch.Tensor) -> FloatArray:
    values: FloatArray = x.detach().cpu().contiguous().numpy().astype(np.float32)
    return values


def _pooled(output: Any, pool: str, layer: str, batch: int) -> torch.Tensor:
    """`pooled_output` as a float32 tensor (b, N) on its device, differentiable."""
    import torch

    if not isinstance(output, torch.Tensor) or output.ndim == 0 or len(output) != batch:
        what = (
            f"shape {tuple(output.shape)}"
            if isinstance(output, torch.Tensor)
            else f"type {type(output).__name__}"
        )
        raise CaseError(
            f"layer {layer!r} gives an output of {what}; expected a tensor whose first "
            f"dimension is the {batch} images of the batch"
        )
    shape = tuple(output.shape)
    x = output.float()
    if x.ndim == 4 and shape[1] == shape[2] != shape[3]:
        x = x.permute(0, 3, 1, 2)
    tokens = x.ndim == 3
    if x.ndim == 2 and pool in ("mean", "flatten"):
        result = x
    elif x.ndim in (3, 4) and pool == "flatten":
        result = x.flatten(1)
    elif tokens and pool == "cls":
        result = x[:, 0]
    elif x.ndim in (3, 4) and pool in ("mean", "max", "center"):
        positions = x.transpose(1, 2) if tokens else x.flatten(2)  # (b, N, positions)
        if pool == "mean":
            result = positions.mean(2)
        elif pool == "max":
            result = positions.amax(2)
        else:
            middle = _center_token(layer, shape) if tokens else _center(x.shape[2], x.shape[3])
            result = positions[:, :, middle]
    else:
        raise CaseError(f"pooling {pool!r} does not fit layer {layer!r}, whose output is {shape}")
    return result


def _center(h: int, w: int) -> int:
    """Position (h // 2, w // 2) in row-major order."""
    return (h // 2) * w + w // 2


def _center_token(layer: str, shape: tuple[int, ...]) -> int:
    """The middle of the square grid that the tokens form, with or without a class token first."""
    for first in (0, 1):
        side = math.isqrt(shape[1] - first)
        if side > 0 and side * side == shape[1] - first:
            return first + _center(side, side)
    raise CaseError(
        f"pooling 'center' does not fit layer {layer!r}: its {shape[1]} tokens form no square grid"
    )


def _check_finite(values: FloatArray, layer: str, batch: IntArray) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise CaseError(
            f"layer {layer!r} gives activations that are not finite, first for image "
            f"{int(batch[bad[0]])}"
        )
