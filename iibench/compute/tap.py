"""A network run up to one of its layers, whose output is pooled while the hook runs.

The forward pass ends at the tapped module: nothing after it runs, and what is after it needs no weights.
Pooling at once keeps a later in-place operation from changing the output. Before the first batch a pass or
two of one image, repeated, settle what the output means: how often the module runs, which dimension is
that of the images and which that of the neurons.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from iibench.compute.folding import prepared, runs_often
from iibench.compute.layouts import ask_for_layout, by_growth, by_shape, follow_layouts, followed
from iibench.compute.pooling import no_batch, pooled
from iibench.compute.precision import mixed
from iibench.contract.errors import CaseError, PluginError, UsageError, unknown_name
from iibench.contract.specs import POOLS

if TYPE_CHECKING:
    import torch

    from iibench.contract.arrays import FloatArray
    from iibench.contract.specs import LoadedModel

#: Pixels of an image up to which it is doubled to see which dimensions grow; larger ones are halved.
DOUBLED_PIXELS: Final = 512 * 512


def layer_names(module: torch.nn.Module) -> list[str]:
    """Every module path of a network that can be tapped, in the order of definition.

    >>> layer_names(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Sequential(torch.nn.ReLU())))
    ['0', '1', '1.0']
    """
    return [name for name, _ in module.named_modules(remove_duplicate=False) if name]


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


class _TapReached(Exception):  # noqa: N818 - a signal, not an error
    """Ends the forward pass at the tapped module."""


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
        return on_cpu(self.pooled_without_gradients(x, "float32"))

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
                found.append(pooled(output, self._pool, self.layer, len(x), layout, image))
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
            raise no_batch(self.layer, f"shape {found.shape}", len(images))
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
        raise no_batch(layer, f"type {type(output).__name__}", batch)
    return tuple(output.shape), followed(output)


def on_cpu(x: torch.Tensor) -> FloatArray:
    """A tensor's values as a float32 array.

    >>> on_cpu(torch.ones(2, dtype=torch.float64)).dtype
    dtype('float32')
    """
    values: FloatArray = x.detach().cpu().contiguous().numpy().astype(np.float32)
    return values
