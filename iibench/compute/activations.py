"""Images -> activations A (n, N) float32 at one layer of a network.

Notation: b images of a batch, N neurons (channels) of the layer, (h, w) its feature map. The
forward pass ends at the tapped module: nothing after it runs, and what is after it needs no
weights. The output is pooled while the hook runs, so that a later in-place operation cannot
change it. Before the first batch a pass or two of one image, repeated, settle what the output means:
how often the module runs, which dimension is that of the images and which that of the neurons.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from iibench.compute.folding import prepared, runs_often
from iibench.compute.images import in_batches, read_ahead, resized, to_unit_range
from iibench.compute.layouts import ask_for_layout, by_growth, by_shape, follow_layouts, followed
from iibench.compute.precision import mixed
from iibench.contract.errors import CaseError, PluginError, UsageError, unknown_name
from iibench.contract.specs import POOLS

if TYPE_CHECKING:
    import torch

    from iibench.contract.arrays import FloatArray, ImageArray, IntArray
    from iibench.contract.specs import LoadedModel, Preprocess

T = TypeVar("T")

#: Images per forward pass. On a CPU 64 small images take 1.4 times as long as 2 x 32: the feature
#: maps of 32 stay in its cache.
CPU_BATCH: Final = 32
GPU_BATCH: Final = 256
#: Pixels of an image up to which it is doubled to see which dimensions grow; larger ones are halved.
DOUBLED_PIXELS: Final = 512 * 512


class _TapReached(Exception):  # noqa: N818 - a signal, not an error
    """Ends the forward pass at the tapped module."""


def layer_names(module: torch.nn.Module) -> list[str]:
    """Every module path of a network that can be tapped, in the order of definition.

    >>> layer_names(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Sequential(torch.nn.ReLU())))
    ['0', '1', '1.0']
    """
    return [name for name, _ in module.named_modules(remove_duplicate=False) if name]


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
        values = _on_cpu(pooled)
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


def tapped(
    model: LoadedModel,
    layer: str,
    pool: str,
    *,
    layout: str | None = None,
    call: int | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Tap:
    """The network up to `layer`, batch-norm folded; arguments and errors are those of `iter_activations`.

    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4)).eval()
    >>> tapped(LoadedModel(module, Preprocess()), "1", "mean").read(torch.rand(2, 3, 8, 8)).shape
    (2, 4)
    """
    _check(model.module, layer, pool)
    network = prepared(model.module, layer, call)
    return Tap(network.module, layer, pool, layout, call, counted=network.counted, warn=warn)


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

    >>> with exact_convolutions():
    ...     torch.backends.cudnn.deterministic
    True
    """
    import torch

    flags: contextlib.AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, deterministic=True, allow_tf32=False
    )
    return flags


@dataclass(frozen=True)
class _Output:
    """What a pass found of the tapped layer: its output's shape, where the operations say that the neurons
    are, and how often it ran."""

    shape: tuple[int, ...]
    layout: str | None
    calls: int


class Tap:
    """Runs a network up to one layer and keeps that layer's pooled output.

    `layout`, `call` and `warn` as in `iter_activations`. `counted`: the layer is known to run once.

    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Flatten()).eval()
    >>> Tap(module, "0", "flatten").read(torch.rand(2, 3, 5, 5)).shape  # what follows is not run
    (2, 100)
    """

    def __init__(
        self,
        module: torch.nn.Module,
        layer: str,
        pool: str,
        layout: str | None = None,
        call: int | None = None,
        *,
        counted: bool = False,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._module = module
        self.layer = layer
        self._pool = pool
        self._layout = layout
        self._call = call
        self._counted = counted or call is not None
        self._warn = warn
        #: images lie in memory pixel by pixel, where that is faster and the network can take it
        self._by_pixel = True
        #: by the size of the network's input: the layout of the output
        self._settled: dict[tuple[int, int], str | None] = {}
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
        image = (int(x.shape[2]), int(x.shape[3]))
        if image not in self._settled:
            self._settled[image] = self._settle(x)
        layout = self._settled[image]
        found: list[torch.Tensor] = []

        def see(output: Any, calls: int) -> None:
            if calls == (self._call or 1):
                found.append(_pooled(output, self._pool, self.layer, len(x), layout, image))
                raise _TapReached

        self._run(x, see)
        return found[0]

    def _settle(self, x: torch.Tensor) -> str | None:
        """The layout of the output for images of this size; None where it has no positions."""
        import torch

        # as many images as are no batch's, so that no other dimension can be taken for theirs
        images = x[:1].detach().repeat(2 if len(x) != 2 else 3, 1, 1, 1)
        with torch.no_grad():
            found = self._seen_in_some_form(images)
        if not found.calls:
            raise CaseError(f"layer {self.layer!r} does not run in the network's forward pass")
        if self._call is None and found.calls > 1:
            raise runs_often(self.layer, found.calls)
        if self._call is not None and found.calls < self._call:
            raise UsageError(
                f"layer {self.layer!r} runs {found.calls} times in one forward pass; expected a call from 1 "
                f"to {found.calls}, not {self._call}"
            )
        if found.shape[:1] != (len(images),):
            raise _no_batch(self.layer, f"shape {found.shape}", len(images))
        if self._layout is not None or len(found.shape) not in (3, 4):
            return self._layout
        by_size = by_shape(found.shape, (int(x.shape[2]), int(x.shape[3])))
        if found.layout is not None and found.layout == by_size:
            return by_size
        with torch.no_grad():
            grown = by_growth(found.shape, self._shape_of_others(images))
        layout = grown or found.layout or by_size
        if layout is None:
            raise ask_for_layout(self.layer, found.shape)
        return layout

    def _seen_in_some_form(self, images: torch.Tensor) -> _Output:
        """What a pass finds, with images in memory pixel by pixel or else, where that fails, by channel."""
        try:
            return self._seen(images)
        except RuntimeError as error:
            if images.device.type != "cpu":
                raise
            self._by_pixel = False
            try:
                found = self._seen(images)
            except RuntimeError:
                raise error from None
            self._warn(
                f"layer {self.layer!r}: the network cannot take images that lie in memory pixel by pixel "
                "(it calls view where reshape would do); they lie channel by channel instead, which is "
                "slower and gives the same values"
            )
            return found

    def _seen(self, images: torch.Tensor) -> _Output:
        """What a pass finds; as far as the calls must be counted it goes on after the tap."""
        shapes: list[tuple[tuple[int, ...], str | None]] = []
        wanted, ran = self._call or 1, 0

        def see(output: Any, calls: int) -> None:
            nonlocal ran
            ran = calls
            if calls == wanted:
                shapes.append(_shape_and_layout(output, self.layer, len(images)))
                if self._counted:
                    raise _TapReached

        try:
            with follow_layouts():
                self._run(images.clone(), see)
        except CaseError:
            raise
        except Exception:
            if not shapes:  # else it is about what follows, which may be left without weights
                raise
        shape, layout = shapes[0] if shapes else ((), None)
        return _Output(shape, layout, ran)

    def _shape_of_others(self, images: torch.Tensor) -> tuple[int, ...]:
        """The output's shape for images twice as high and wide (or half); () where they do not fit."""
        import torch

        h, w = images.shape[2:]
        factor = 2.0 if h * w <= DOUBLED_PIXELS else 0.5
        others = torch.nn.functional.interpolate(images, scale_factor=factor)
        seen: list[tuple[int, ...]] = []

        def see(output: Any, calls: int) -> None:
            if calls == (self._call or 1):
                seen.append(_shape_and_layout(output, self.layer, len(images))[0])
                raise _TapReached

        with contextlib.suppress(Exception):  # a network may be of one size
            self._run(others, see)
        return seen[0] if seen else ()

    def _run(self, x: torch.Tensor, see: Callable[[Any, int], None]) -> None:
        """A forward pass in which `see` gets each output of the layer and the number of the call."""
        import torch

        if x.device.type == "cpu" and self._by_pixel:
            # convolutions are 1.3 to 2 times as fast in this layout
            x = x.contiguous(memory_format=torch.channels_last)
        calls = 0

        def hook(_module: torch.nn.Module, _args: Any, output: Any) -> None:
            nonlocal calls
            calls += 1
            see(output, calls)

        handle = self._module.get_submodule(self.layer).register_forward_hook(hook)
        try:
            with exact_convolutions(), contextlib.suppress(_TapReached):
                self._module(x if self._dtype is None else x.to(self._dtype))
        finally:
            handle.remove()


def _shape_and_layout(output: Any, layer: str, batch: int) -> tuple[tuple[int, ...], str | None]:
    import torch

    if not isinstance(output, torch.Tensor):
        raise _no_batch(layer, f"type {type(output).__name__}", batch)
    return tuple(output.shape), followed(output)


def _no_batch(layer: str, what: str, batch: int) -> CaseError:
    return CaseError(
        f"layer {layer!r} gives an output of {what}; expected a tensor whose first "
        f"dimension is the {batch} images of the batch"
    )


def pooled_output(
    output: Any,
    pool: str,
    layer: str,
    batch: int,
    layout: str | None = None,
    image: tuple[int, int] = (1, 1),
) -> FloatArray:
    """A layer's output -> (b, N) float32 on the CPU.

    (b, N, h, w): `mean` and `max` over positions, `center` is position (h // 2, w // 2), `flatten`
    gives N * h * w values in that order. (b, h, w, N) likewise. (b, tokens, N): the same over tokens, with
    `center` on the grid that the tokens (after a class token, if their number needs one) form for images of
    this height and width, `cls` token 0, and `flatten` token by token. (b, N, positions) likewise. (b, N):
    `mean` and `flatten` change nothing. Anything else is a `CaseError`. `layout`: which of these forms it
    is (`LAYOUTS`); None takes 3 dimensions for tokens and decides 4 by their sizes, as `by_shape` does.

    >>> output = torch.arange(8.0).reshape(1, 2, 2, 2)  # one image, two neurons, 2 x 2 positions
    >>> [pooled_output(output, pool, "0", 1, "channels_first").tolist() for pool in ("mean", "max", "center")]
    [[[1.5, 5.5]], [[3.0, 7.0]], [[3.0, 7.0]]]
    """
    if layout is None and getattr(output, "ndim", 0) in (3, 4):
        shape = tuple(output.shape)
        layout = "channels_last" if len(shape) == 3 else by_shape(shape, image)
        if layout is None:
            raise ask_for_layout(layer, shape)
    return _on_cpu(_pooled(output, pool, layer, batch, layout, image))


def _on_cpu(x: torch.Tensor) -> FloatArray:
    values: FloatArray = x.detach().cpu().contiguous().numpy().astype(np.float32)
    return values


def _pooled(
    output: Any, pool: str, layer: str, batch: int, layout: str | None, image: tuple[int, int]
) -> torch.Tensor:
    """`pooled_output` as a float32 tensor (b, N) on its device, differentiable."""
    import torch

    if not isinstance(output, torch.Tensor):
        raise _no_batch(layer, f"type {type(output).__name__}", batch)
    shape = tuple(output.shape)
    if shape[:1] != (batch,):
        raise _no_batch(layer, f"shape {shape}", batch)
    if output.is_complex():
        raise CaseError(f"layer {layer!r} gives complex numbers; expected real ones")
    x = output.float()
    if x.ndim in (3, 4) and layout == "channels_last":
        x = x.movedim(-1, 1)
    tokens = x.ndim == 3
    if x.ndim == 2 and pool in ("mean", "flatten"):
        result = x
    elif x.ndim in (3, 4) and pool == "flatten":
        result = (output.float() if tokens else x).flatten(1)
    elif tokens and pool == "cls":
        result = x[:, :, 0]
    elif x.ndim in (3, 4) and pool in ("mean", "max", "center"):
        positions = x.flatten(2)  # (b, N, positions)
        if pool == "mean":
            result = positions.mean(2)
        elif pool == "max":
            result = positions.amax(2)
        else:
            middle = _center_token(layer, x.shape[2], image) if tokens else _center(*x.shape[2:])
            result = positions[:, :, middle]
    else:
        raise CaseError(f"pooling {pool!r} does not fit layer {layer!r}, whose output is {shape}")
    return result


def _center(h: int, w: int) -> int:
    """Position (h // 2, w // 2) in row-major order."""
    return (h // 2) * w + w // 2


def _center_token(layer: str, tokens: int, image: tuple[int, int]) -> int:
    """The middle of the grid, in proportion to the image, that the tokens form, with or without a class
    token first."""
    height, width = image
    for first in (0, 1):
        h = math.isqrt((tokens - first) * height // width)
        w = h * width // height
        if h > 0 and h * w == tokens - first and h * width == w * height:
            return first + _center(h, w)
    form = "square grid" if height == width else f"grid in proportion to {height} x {width} pixels"
    raise CaseError(
        f"pooling 'center' does not fit layer {layer!r}: its {tokens} tokens form no {form}"
    )


def _check_finite(values: FloatArray, layer: str, batch: IntArray) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise CaseError(
            f"layer {layer!r} gives activations that are not finite, first for image "
            f"{int(batch[bad[0]])}"
        )
