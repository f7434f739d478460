"""The conformance checks of a model: its weights, its mode, its layers, its preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iibench.compute.tap import layer_names
from iibench.contract.errors import UsageError
from iibench.contract.specs import Harness, LayerSpec, LoadedModel, ModelSpec
from iibench.stages.harness import LocalHarness
from iibench.suite.params import label as label_of
from iibench.suite.params import parse_params
from iibench.testing.checks import Check, CheckReport, failed_load, judge
from iibench.testing.models.rules import RULES, ModelUnderTest
from iibench.testing.reference import toy_harness
from iibench.testing.state import preserved, watch


def check_model(
    spec: ModelSpec,
    params: Any = None,
    harness: Harness | None = None,
    *,
    layers: Sequence[str] = (),
    device: str = "cpu",
    label: str = "",
) -> CheckReport:
    """Checks a model on pictures.

    `params`: None takes the defaults, and the first variant. `layers`: the first and last module path
    to tap; by default those of the aliases that plugins registered for it, else the network's own.
    `harness`, `label`: as in `check_metric`.

    Raises `UsageError` where a parameter has no default and none is given.

    >>> def load(params, layer, resources):
    ...     with torch.random.fork_rng():
    ...         torch.manual_seed(0)
    ...         module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
    ...     module = module.eval().requires_grad_(False).to(resources.device)
    ...     return LoadedModel(module, Preprocess(), provenance="random, seed 0")
    >>> check_model(ModelSpec(name="small", summary="One convolution.", load=load)).failed
    ()
    """
    if params is None:
        variant = None if spec.variants is None else spec.variants()[0]
        params = parse_params(spec, {}, variant)
    name = label or label_of(spec, params)
    lent = toy_harness(device=device) if harness is None else harness
    aliases = tuple(_aliases(spec, lent))
    with preserved():
        try:
            paths = list(layers) or _paths(spec, params, lent, aliases)
            last = paths[-1]
            first, second = (watch(lambda: spec.load(params, last, lent), s) for s in (1, 2))
            if not isinstance(first.value, LoadedModel):
                raise TypeError(f"load gave a {type(first.value).__name__}, not a LoadedModel")
        except Exception as error:
            cause = "load must work with its default parameters, for a layer that it registers"
            return failed_load("model", name, RULES, error, cause)
        subject = ModelUnderTest(spec, params, lent, aliases, paths[0], last, (first, second))
        loads = Check("load", "passed", f"loads up to {last}", "loads", "")
        return CheckReport("model", name, (loads, *judge(RULES, subject)))


def _aliases(spec: ModelSpec, harness: Harness) -> list[LayerSpec]:
    """What plugins registered for the model's layers, as far as the harness knows."""
    if isinstance(harness, LocalHarness):
        return harness.inputs.registry.layers.get(spec.name, [])
    return []


def _paths(
    spec: ModelSpec, params: Any, harness: Harness, aliases: Sequence[LayerSpec]
) -> list[str]:
    """First and last module path that can be tapped: of aliases that this network has, else of all.

    Where the weights do not reach the last alias, earlier ones are tried, a quarter of them at a step.
    Raises what `load` raised where there is none.
    """
    known = [alias.path for alias in aliases]
    steps = [known[k * (len(known) - 1) // 4] for k in (4, 3, 2, 1, 0)] if known else [""]
    tried: Exception | None = None
    for path in dict.fromkeys(steps):
        try:
            names = layer_names(spec.load(params, path, harness).module)
        except UsageError as error:
            tried = error
            continue
        if not known:
            return names
        if path in names:
            return [next(name for name in known if name in names), path]
    raise tried if tried is not None else UsageError("no layer is known; give layers=[...]")
