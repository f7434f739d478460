"""Batch-norm folded into the convolution before it, where that cannot change a tapped value.

In eval mode batch-norm is affine, so conv -> batch-norm is one convolution with other weights
(equal to about 1e-6 relative). Pairs are found by tracing the network with torch.fx; a network that
cannot be traced as far as the tap is used as it is. The caller's module is never changed.
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from iibench.contract.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import fx


@dataclass(frozen=True)
class Trace:
    """One symbolic forward pass: its graph, how often each module path runs in it, and which
    modules have run when the tapped layer ends for the first time. `complete`: it was followed to its
    end, so that a module runs as often as `calls` says.

    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.ReLU(), torch.nn.Flatten())
    >>> sorted(trace(module, "1").before)  # what has run when the ReLU ends
    ['0', '1']
    """

    graph: fx.Graph
    calls: Counter[str]
    before: frozenset[str]
    complete: bool = True


def trace(module: torch.nn.Module, layer: str) -> Trace | None:
    """The forward pass of `module`, at least as far as `layer`.

    None where it cannot be followed that far, since it depends on values or shapes.

    >>> trace(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1)), "0").calls["0"]
    1
    """
    from torch import fx

    calls: Counter[str] = Counter()
    before: frozenset[str] = frozenset()

    class CountingTracer(fx.Tracer):
        def call_module(self, m: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            nonlocal before
            path = self.path_of_module(m)
            calls[path] += 1
            result = super().call_module(m, *args, **kwargs)
            if path == layer and not before:
                before = frozenset(calls)
            return result

    tracer = CountingTracer()
    try:
        graph = tracer.trace(module)
    except Exception:  # a forward may do anything with a proxy; failing only costs the fold
        return Trace(tracer.graph, calls, before, complete=False) if before else None
    return Trace(graph, calls, before)


@dataclass(frozen=True)
class Prepared:
    """A network for reading one of its layers. `counted`: the layer is known to run exactly once.

    >>> prepared(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1)).eval(), "0").counted
    True
    """

    module: torch.nn.Module
    counted: bool


def prepared(module: torch.nn.Module, layer: str, call: int | None = None) -> Prepared:
    """`module` with batch-norm folded, for reading `layer`; `module` itself where nothing folds.

    The copy shares every tensor that is not folded with `module`. `call`: which of the layer's calls is
    read. Raises `UsageError` where that is None and `layer` runs more than once in a forward pass: which of
    its outputs is meant would be a guess.

    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4)).eval()
    >>> [type(each).__name__ for each in prepared(module, "1").module]
    ['Conv2d', 'Identity']
    >>> prepared(module, "0").module is module  # the convolution's own output must not be changed
    True
    """
    traced = trace(module, layer)
    if traced is None:
        return Prepared(module, counted=False)
    tapped = module.get_submodule(layer)
    paths = [p for p, m in module.named_modules(remove_duplicate=False) if m is tapped]
    calls = sum(traced.calls[path] for path in paths)
    if call is None and calls > 1:
        parent = layer.rpartition(".")[0]
        raise runs_often(layer, calls, parent if traced.calls[parent] == 1 else "")
    counted = traced.complete and calls == 1
    pairs = foldable_pairs(module, traced, layer)
    if not pairs:
        return Prepared(module, counted)
    # what deepcopy finds in its memo it does not copy: tensors stay shared
    shared: dict[int, Any] = {id(t): t for t in (*module.parameters(), *module.buffers())}
    try:
        private = copy.deepcopy(module, shared)
    except (TypeError, RuntimeError, AttributeError):  # holds a lock, a generator, a graph tensor
        return Prepared(module, counted)
    _fold(private, pairs)
    return Prepared(private, counted)


def runs_often(layer: str, calls: int, parent: str = "") -> UsageError:
    """The error for a layer that runs more than once where no call was named; `parent` runs once.

    >>> "say which call is meant: {path: relu, call: 1}, up to call: 2" in str(runs_often("relu", 2))
    True
    """
    hint = f", such as {parent!r}" if parent else ""
    return UsageError(
        f"layer {layer!r} runs {calls} times in one forward pass, so that its output is ambiguous; name a "
        f"module that runs once{hint}, or say which call is meant: {{path: {layer}, call: 1}}, up to "
        f"call: {calls}"
    )


def foldable_pairs(module: torch.nn.Module, traced: Trace, layer: str) -> list[tuple[str, str]]:
    """(convolution, batch-norm) paths that may be folded while the output of `layer` is read.

    The batch-norm must be the only reader of the convolution's output, both must run exactly once
    and before `layer` ends, have one name, no hooks and weights in memory, and `layer` must not be
    the convolution or a container that ends with it.

    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4)).eval()
    >>> foldable_pairs(module, trace(module, "1"), "1")
    [('0', '1')]
    """
    from torch import nn

    convs = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    names = Counter(id(m) for _, m in module.named_modules(remove_duplicate=False))
    modules = dict(module.named_modules())
    # modules whose weights the forward pass reads by itself: it would read folded ones
    attributes = {
        str(node.target).rpartition(".")[0] for node in traced.graph.nodes if node.op == "get_attr"
    }

    def plain(path: str, kinds: tuple[type[nn.Module], ...]) -> bool:
        m = modules[path]
        return (
            path in traced.before
            and type(m) in kinds  # a subclass may compute something else
            and traced.calls[path] == 1
            and names[id(m)] == 1
            and path not in attributes
            and not m._forward_hooks
            and not m._forward_pre_hooks
            and not any(t.is_meta for t in (*m.parameters(), *m.buffers()))
        )

    pairs = []
    for node in traced.graph.nodes:
        if node.op != "call_module" or not node.args:
            continue
        norm, source = str(node.target), node.args[0]
        conv = str(getattr(source, "target", ""))
        if getattr(source, "op", "") != "call_module" or len(source.users) != 1:
            continue
        if not (plain(conv, convs) and plain(norm, norms)):
            continue
        ends_with_conv = _within(conv, layer) and not _within(norm, layer)
        if not ends_with_conv and modules[norm].running_mean is not None:
            pairs.append((conv, norm))
    return pairs


def _within(path: str, layer: str) -> bool:
    """Whether the module at `path` is the one at `layer` or part of it."""
    return path == layer or path.startswith(layer + ".")


def _fold(module: torch.nn.Module, pairs: list[tuple[str, str]]) -> None:
    """Replaces each convolution by the fused one and each batch-norm by the identity, in place."""
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for conv, norm in pairs:
        fused = fuse_conv_bn_eval(
            cast("nn.Conv2d", module.get_submodule(conv)),
            cast("nn.BatchNorm2d", module.get_submodule(norm)),
        )
        _replace(module, conv, fused.requires_grad_(False))
        _replace(module, norm, nn.Identity())


def _replace(module: torch.nn.Module, path: str, new: torch.nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(module.get_submodule(parent), name, new.eval())
