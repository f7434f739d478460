"""Which dimension of a layer's output holds the neurons.

Three sources: a trial with images twice as large (the neurons' dimension keeps its size, the positions'
grow); what the operations of the forward pass mean (a convolution gives neurons first, a linear map and a
normalisation of tokens give them last, what follows keeps or moves them); and the shape, where square
images give a square map. The trial counts most and is left out where the other two agree. What none of
them decides is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from iibench.contract.errors import UsageError

if TYPE_CHECKING:
    import torch

#: Beginnings of the names of torch functions whose outputs are (images, neurons, ...).
_NEURONS_FIRST = (
    *("conv", "batch_norm", "group_norm", "instance_norm", "local_response_norm"),
    *("max_pool", "avg_pool", "adaptive_", "lp_pool", "fractional_max_pool"),
    *("interpolate", "upsample", "grid_sample", "pixel_"),
    *("channel_shuffle", "native_channel_shuffle"),
)
#: Names of those that may change sizes, and leave the dimensions in their order.
_IN_ORDER = frozenset(
    {"cat", "concat", "concatenate", "chunk", "split", "tensor_split", "narrow", "__getitem__"}
    | {"pad", "constant_pad_nd", "index_select", "repeat", "expand", "expand_as", "unfold"}
)
_RESHAPES = frozenset({"reshape", "reshape_as", "view", "view_as", "flatten", "unflatten"})
_SWAPS = frozenset({"transpose", "transpose_", "swapaxes", "swapdims"})
#: Names of those whose result has no dimension of its first argument.
_PRODUCTS = frozenset(
    {"matmul", "__matmul__", "__rmatmul__", "bmm", "mm", "einsum", "tensordot", "baddbmm"}
    | {"scaled_dot_product_attention", "movedim", "moveaxis", "rot90", "t", "mT", "T"}
)
_TAG = "_iibench_neurons"


def follow_layouts() -> Any:
    """A context manager in which torch's functions note, on the tensors that they give, where the neurons
    are; `followed` reads the note.

    >>> with follow_layouts():
    ...     x = torch.nn.Conv2d(3, 4, 1)(torch.rand(1, 3, 2, 2))
    ...     y = x.permute(0, 2, 3, 1).relu()
    >>> followed(x), followed(y)
    ('channels_first', 'channels_last')
    """
    from torch.overrides import TorchFunctionMode

    class Follow(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
        ) -> Any:
            given = kwargs or {}
            result = func(*args, **given)
            name = getattr(func, "__name__", "")
            if name != "__get__":
                for each in result if isinstance(result, tuple | list) else (result,):
                    _note(name, args, given, each)
            return result

    return Follow()


def followed(output: torch.Tensor) -> str | None:
    """The layout that was noted on a tensor with at least 3 dimensions, or None.

    >>> followed(torch.rand(1, 3, 2, 2)) is None
    True
    """
    where = getattr(output, _TAG, None)
    if output.ndim < 3 or where not in (1, output.ndim - 1):
        return None
    return "channels_first" if where == 1 else "channels_last"


def _note(name: str, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> None:
    """Notes on `result` which of its dimensions holds the neurons, where that follows."""
    import torch

    if not isinstance(result, torch.Tensor) or result.ndim < 2:
        return
    where = _where(name, args, kwargs, result)
    if where is not None:
        setattr(result, _TAG, where)
    elif hasattr(result, _TAG):  # an operation in place after which it is not known any more
        delattr(result, _TAG)


def _where(name: str, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> int | None:
    last: int = result.ndim - 1
    if name.startswith(_NEURONS_FIRST):
        return 1
    if name in {"linear", "multi_head_attention_forward"}:
        return last
    if name in {"layer_norm", "rms_norm"}:
        shape = args[1] if len(args) > 1 else kwargs["normalized_shape"]
        if len(shape) == 1:
            return last
    given = [
        (each, getattr(each, _TAG, None))
        for each in _tensors((*args, *kwargs.values()))
        if each.ndim > 1
    ]
    if not given or name in _PRODUCTS:
        return None
    first, where = given[0]
    if name == "permute" or name in _SWAPS:
        return None if where is None else _moved(name, args, kwargs, first.ndim).index(where)
    if name in _RESHAPES:
        return _reshaped(first, where, result)
    alike = {
        tag
        for each, tag in given
        if tag is not None
        and each.ndim == result.ndim
        and (name in _IN_ORDER or each.shape == result.shape)
    }
    return alike.pop() if len(alike) == 1 else None


def _moved(name: str, args: Sequence[Any], kwargs: dict[str, Any], ndim: int) -> list[int]:
    """For each dimension of the result, the dimension of the argument that it is."""
    rest = [*args[1:], *kwargs.values()]
    if len(rest) == 1 and not isinstance(rest[0], int):
        rest = list(rest[0])
    if name == "permute":
        return [d % ndim for d in rest]
    order = list(range(ndim))
    a, b = (d % ndim for d in rest)
    order[a], order[b] = order[b], order[a]
    return order


def _reshaped(given: Any, where: int | None, result: Any) -> int | None:
    """A reshape keeps the neurons where it keeps all dimensions up to them, or all from them on."""
    if where is None:
        return None
    if where == given.ndim - 1 and result.shape[-1] == given.shape[-1]:
        return int(result.ndim - 1)
    if where == 1 and result.shape[:2] == given.shape[:2] and result.ndim > 2:
        return 1
    return None


def _tensors(values: Any) -> list[Any]:
    import torch

    found = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, tuple | list):
            found.extend(each for each in value if isinstance(each, torch.Tensor))
    return found


def by_growth(small: Sequence[int], large: Sequence[int]) -> str | None:
    """The layout of an output whose shape is `small`, and `large` for images twice as high and wide.

    >>> by_growth((2, 16, 24, 96), (2, 32, 48, 96)), by_growth((2, 512, 7, 7), (2, 512, 7, 7))
    ('channels_last', None)
    """
    if len(small) != len(large):
        return None
    kept = [d for d in range(1, len(small)) if small[d] == large[d]]
    if kept == [1]:
        return "channels_first"
    return "channels_last" if kept == [len(small) - 1] else None


def by_shape(shape: Sequence[int], image: tuple[int, int]) -> str | None:
    """The layout of a map (images, a, b, c) of square images, one side of which must be square.

    >>> by_shape((2, 96, 16, 16), (64, 64)), by_shape((2, 16, 16, 96), (64, 64))
    ('channels_first', 'channels_last')
    >>> by_shape((2, 16, 16, 24), (64, 96)) is None
    True
    """
    if len(shape) != 4 or image[0] != image[1] or (shape[1] == shape[2]) == (shape[2] == shape[3]):
        return None
    return "channels_first" if shape[2] == shape[3] else "channels_last"


def ask_for_layout(layer: str, shape: Sequence[int]) -> UsageError:
    """The error that asks for a statement.

    >>> "{path: mixed, layout: channels_first}" in str(ask_for_layout("mixed", (2, 16, 24, 16)))
    True
    """
    return UsageError(
        f"layer {layer!r} gives an output of shape {tuple(shape)}, and neither the network nor the shape "
        "tells which dimension holds the neurons; expected a statement in the suite: "
        f"{{path: {layer}, layout: channels_first}}, or channels_last where the neurons come last"
    )
