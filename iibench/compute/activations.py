"""Images -> activations A (n, N) float32 at one layer of a network.

Notation: b images of a batch, N neurons (channels) of the layer, (h, w) its feature map.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from iibench.compute.images import in_batches, read_ahead, resized, to_unit_range
from iibench.compute.tap import Tap, on_cpu, tapped
from iibench.contract.errors import CaseError

if TYPE_CHECKING:
    import torch

    from iibench.contract.arrays import FloatArray, ImageArray, IntArray
    from iibench.contract.specs import LoadedModel, Preprocess

T = TypeVar("T")

#: Images per forward pass. On a CPU 64 small images take 1.4 times as long as 2 x 32: the feature
#: maps of 32 stay in its cache.
CPU_BATCH: Final = 32
GPU_BATCH: Final = 256


def weights_sha256(module: torch.nn.Module) -> str:
    """SHA-256 (hex) of the names, shapes, dtypes and bytes of all parameters and buffers.

    Tensors without values (torch's meta device) are left out: they cannot decide any number.

    >>> layer = torch.nn.Linear(2, 1)
    >>> before = weights_sha256(layer)
    >>> layer.weight.data += 1
    >>> len(before), weights_sha256(layer) == before
    (64, False)
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
    """float32 (b, 3, h, w) in [0, 1] -> the same: resized if asked, then (x - mean) / std.

    >>> network_input(torch.ones(1, 3, 2, 2), Preprocess((0.5,) * 3, (0.25,) * 3)).unique().tolist()
    [2.0]
    """
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
    layout: str | None = None,
    call: int | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Activations of the images `indices` at `layer`, batch by batch in that order.

    Yields (the batch's indices (b,), activations (b, N) float32 on the CPU). `read(indices)` gives
    the uint8 (b, h, w, 3) images; it is called from another thread, one batch ahead, never twice at
    a time. `pool` is one of `POOLS`. `batch_size`: None takes 32 on the CPU, 256 elsewhere; values
    depend on it by float32 rounding only. `precision`: see precision.py. `progress(done, total)` counts
    images. `layout`: where the output has its neurons, one of `LAYOUTS`; None finds out (layouts.py).
    `call`: which of the layer's calls in a forward pass is read, from 1. `warn` is told of what had to be
    done otherwise than usual.

    Raises `UsageError` where the network has no such layer, runs it more than once and `call` is None, or
    has an output whose layout cannot be known and `layout` is None, `PluginError`
    where it is not in eval mode, `CaseError` where the output has a shape that `pool` does not
    fit, is not finite, or the layer never runs.

    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.ReLU()).eval()
    >>> images = np.zeros((5, 8, 8, 3), np.uint8)
    >>> found = iter_activations(
    ...     LoadedModel(module, Preprocess()), "1", "mean", images.__getitem__, np.arange(5), batch_size=2
    ... )
    >>> [(batch.tolist(), values.shape) for batch, values in found]
    [([0, 1], (2, 4)), ([2, 3], (2, 4)), ([4], (1, 4))]
    """
    tap = tapped(model, layer, pool, layout=layout, call=call, warn=warn)
    yield from iter_tapped(
        *(model, tap, read, indices),
        device=device,
        batch_size=batch_size,
        precision=precision,
        progress=progress,
    )


def iter_tapped(
    model: LoadedModel,
    tap: Tap,
    read: Callable[[IntArray], ImageArray],
    indices: IntArray,
    *,
    device: str = "cpu",
    batch_size: int | None = None,
    precision: str = "float32",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[IntArray, FloatArray]]:
    """`iter_activations` of a network that was tapped before.

    >>> model = LoadedModel(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1)).eval(), Preprocess())
    >>> images = np.zeros((5, 8, 8, 3), np.uint8)
    >>> found = iter_tapped(model, tapped(model, "0", "mean"), images.__getitem__, np.arange(5))
    >>> [values.shape for _, values in found]
    [(5, 4)]
    """
    size = images_per_pass(batch_size, device)
    done = 0
    computed = (
        (batch, tap.pooled_without_gradients(_prepared_images(images, device, model), precision))
        for batch, images in read_ahead(read, in_batches(indices, size))
    )
    for batch, pooled in computed if device == "cpu" else _one_behind(computed):
        values = on_cpu(pooled)
        _check_finite(values, tap.layer, batch)
        done += len(batch)
        progress(done, len(indices))
        yield batch, values


def images_per_pass(asked: int | None, device: str) -> int:
    """Images of a forward pass: as asked for, else what suits the device.

    >>> images_per_pass(None, "cpu"), images_per_pass(None, "cuda"), images_per_pass(8, "cuda")
    (32, 256, 8)
    """
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


@dataclass(frozen=True)
class Network:
    """`TappedNetwork`: a loaded network up to one layer. `fingerprint`: of all that decides it.

    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.ReLU()).eval()
    >>> tapped = network(LoadedModel(module, Preprocess()), "1", "max", fingerprint="")
    >>> tapped.activations(torch.rand(2, 3, 8, 8)).shape
    torch.Size([2, 4])
    """

    model: LoadedModel
    fingerprint: str
    _tap: Tap

    def activations(self, x: torch.Tensor) -> torch.Tensor:
        """float32 (n, 3, h, w), RGB in [0, 1] -> (n, N) float32 on the CPU.

        Raises `CaseError` as `iter_activations` does.
        """
        import torch

        # what the network is given may be far larger than x, so batches are its own
        size = images_per_pass(None, x.device.type)
        rows = [
            torch.from_numpy(self._tap.read(network_input(part, self.model.preprocess)))
            for part in torch.split(x, size)
        ]
        return torch.cat(rows)


def network(
    model: LoadedModel,
    layer: str,
    pool: str,
    fingerprint: str,
    *,
    layout: str | None = None,
    call: int | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Network:
    """The network up to `layer`; arguments and errors are those of `iter_activations`.

    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1)).eval()
    >>> network(LoadedModel(module, Preprocess()), "conv", "mean", fingerprint="")
    Traceback (most recent call last):
    iibench.contract.errors.UsageError: unknown layer 'conv'; known: 0
    """
    tap = tapped(model, layer, pool, layout=layout, call=call, warn=warn)
    return Network(model, fingerprint, tap)


def _check_finite(values: FloatArray, layer: str, batch: IntArray) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise CaseError(
            f"layer {layer!r} gives activations that are not finite, first for image "
            f"{int(batch[bad[0]])}"
        )
