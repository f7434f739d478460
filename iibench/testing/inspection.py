"""The networks and tensors inside an object that a plugin made, wherever it keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: How far from the object is looked, and at how many items of a list.
DEPTH, WIDTH = 8, 256
#: Packages of iibench whose objects belong to no plugin and lead to everything else.
OUTSIDE = {"assets", "hooks", "runner", "stages", "suite"}


def networks_of(thing: Any) -> dict[str, torch.nn.Module]:
    """Where -> every outermost `torch.nn.Module` that can be reached from `thing`."""
    import torch

    return {where: x for where, x in _reached(thing) if isinstance(x, torch.nn.Module)}


def tensors_of(thing: Any) -> dict[str, torch.Tensor]:
    """Where -> every tensor with values: parameters and buffers of networks, and loose ones."""
    import torch

    tensors: dict[str, torch.Tensor] = {}
    for where, found in _reached(thing):
        if isinstance(found, torch.Tensor):
            tensors[where] = found
            continue
        for name, tensor in (*found.named_parameters(), *found.named_buffers()):
            tensors[f"{where}.{name}".lstrip(".")] = tensor
    return {where: tensor for where, tensor in tensors.items() if not tensor.is_meta}


def in_training(thing: Any) -> list[str]:
    """The modules inside `thing` that are in training mode, as `where (type)`, innermost kinds first."""
    found = []
    for where, network in networks_of(thing).items():
        for name, module in network.named_modules():
            if module.training:
                place = f"{where}.{name}".strip(".") or "the module itself"
                found.append(f"{place} ({type(module).__name__})")
    changing = ("Dropout", "BatchNorm", "DropPath", "StochasticDepth")
    return sorted(found, key=lambda text: not any(kind in text for kind in changing))


def differing(first: Any, second: Any) -> tuple[list[str], int]:
    """Names of the tensors that are not equal in two objects of one make, and how many were compared."""
    import torch

    left, right = tensors_of(first), tensors_of(second)
    shared = [name for name in left if name in right]
    unequal = [
        name
        for name in shared
        if left[name].shape != right[name].shape
        or not torch.equal(left[name].detach().cpu(), right[name].detach().cpu())
    ]
    return unequal, len(shared)


def _reached(thing: Any) -> Iterator[tuple[str, Any]]:
    """(where, network or tensor) for all that can be reached; a network is not looked into."""
    import torch

    seen: set[int] = set()
    queue: list[tuple[str, Any, int]] = [("", thing, 0)]
    while queue:
        where, item, depth = queue.pop(0)
        if id(item) in seen or depth > DEPTH:
            continue
        seen.add(id(item))
        if isinstance(item, torch.nn.Module | torch.Tensor):
            yield where, item
            continue
        for name, inner in _inside(item):
            queue.append((f"{where}.{name}".lstrip("."), inner, depth + 1))


def _is_outside(item: object) -> bool:
    package, _, name = type(item).__module__.partition(".")
    return package == "iibench" and name.partition(".")[0] in OUTSIDE


def _inside(item: Any) -> Iterator[tuple[str, Any]]:
    """The named things that an object holds."""
    plain = (str, bytes, int, float, complex, type, ModuleType, BuiltinFunctionType)
    if item is None or isinstance(item, plain) or _is_outside(item):
        return
    if isinstance(item, Mapping):
        yield from ((str(key), value) for key, value in list(item.items())[:WIDTH])
    elif isinstance(item, list | tuple | set | frozenset):
        yield from ((str(k), value) for k, value in enumerate(list(item)[:WIDTH]))
    elif isinstance(item, FunctionType):
        names = item.__code__.co_freevars
        for name, cell in zip(names, item.__closure__ or (), strict=True):
            try:
                yield name, cell.cell_contents
            except ValueError:  # a name that is not bound yet
                continue
        yield from ((f"default {k}", v) for k, v in enumerate(item.__defaults__ or ()))
    elif isinstance(item, MethodType):
        yield "self", item.__self__
    elif isinstance(item, partial):
        yield from (("func", item.func), ("args", item.args), ("keywords", item.keywords))
    else:
        yield from list(getattr(item, "__dict__", {}).items())
        for kind in type(item).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(item, name):
                    yield name, getattr(item, name)
