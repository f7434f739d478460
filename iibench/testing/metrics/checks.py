"""The conformance checks of an image similarity metric."""

from __future__ import annotations

import dataclasses
from typing import Any

from iibench.contract.errors import Skip
from iibench.contract.specs import Harness, MetricSpec
from iibench.stages.harness import LocalHarness
from iibench.suite.params import label as label_of
from iibench.suite.params import parse_params
from iibench.testing.checks import (
    Check,
    CheckReport,
    Finding,
    Rule,
    failed_load,
    good,
    judge,
    wrong,
)
from iibench.testing.metrics import inputs as metric_inputs
from iibench.testing.metrics import loading as metric_loading
from iibench.testing.metrics import meaning as metric_meaning
from iibench.testing.metrics import tables as metric_tables
from iibench.testing.metrics.subject import MetricUnderTest, load_twice
from iibench.testing.reference import local_harness, toy_harness
from iibench.testing.state import preserved

FIXED: tuple[Rule[MetricUnderTest], ...] = (
    *metric_tables.RULES,
    *metric_loading.RULES,
    *metric_inputs.RULES,
    *metric_meaning.RULES,
)


def check_metric(
    spec: MetricSpec,
    params: Any = None,
    harness: Harness | None = None,
    *,
    device: str = "cpu",
    label: str = "",
) -> CheckReport:
    """Checks a metric: its table, its inputs, its weights, its direction, its golden values.

    `params`: None takes the defaults, and then every golden value is checked, whatever parameters it
    is for. `harness`: what `load` may ask; None makes `toy_harness(device=device)`. What the metric
    changes in the process is put back. `label`: what the report calls it; its label by default.
    `raise_if_failed()` on the report makes a test of it.

    Raises `UsageError` where a parameter has no default and none is given.

    >>> class Colour:
    ...     fingerprint = ""
    ...
    ...     def embed(self, x):
    ...         check_rgb("colour", x)
    ...         return x.mean(dim=(2, 3))
    >>> spec = MetricSpec(
    ...     name="colour", summary="Distance of mean colours.", distance="euclidean", level="low",
    ...     load=lambda params, harness: Colour(),
    ... )
    >>> check_metric(spec).failed
    ()
    >>> class Unchecked(Colour):
    ...     def embed(self, x):
    ...         return x.mean(dim=(2, 3))
    >>> unchecked = dataclasses.replace(spec, load=lambda params, harness: Unchecked())
    >>> check_metric(unchecked)["one channel"].seen
    '(3, 1, 64, 64) gave similarities such as ...'
    """
    every = params is None
    chosen = parse_params(spec, {}) if params is None else params
    name = label or label_of(spec, chosen)
    lent = toy_harness(device=device) if harness is None else harness
    with preserved():
        try:
            loads = load_twice(spec, chosen, lent)
        except Exception as error:
            cause = "load must work with its default parameters and without a network"
            return failed_load("metric", name, FIXED, error, cause)
        wanted = "embed" if spec.distance is not None else "pairwise"
        subject = MetricUnderTest(spec, chosen, lent, spec.size(chosen), loads)
        rules = (*FIXED, *metric_meaning.golden_rules(subject, every), CUDA)
        first = _loaded(subject, wanted)
        if first.status == "failed":
            return CheckReport("metric", name, (first,))
        table = judge(rules[:1], subject)
        subject.tabular = table[0].status == "passed"
        return CheckReport("metric", name, (first, *table, *judge(rules[1:], subject)))


def _loaded(subject: MetricUnderTest, wanted: str) -> Check:
    needed = [wanted, "compare"] if subject.spec.distance == "own" else [wanted]
    missing = [name for name in needed if not callable(getattr(subject.metric, name, None))]
    expected = f"the loaded metric has {' and '.join(needed)}"
    if not missing:
        return Check("load", "passed", f"loads, and has {' and '.join(needed)}", expected, "")
    distance = subject.spec.distance
    return Check(
        "load",
        "failed",
        f"{type(subject.metric).__name__} has no {missing[0]}",
        expected,
        f"the spec says distance={distance!r}, so iibench calls {missing[0]}",
    )


def _as_on_cpu(metric: MetricUnderTest) -> Finding:
    """The same similarities on a GPU."""
    import torch

    if not torch.cuda.is_available():
        raise Skip("there is no CUDA device here")
    if not isinstance(metric.harness, LocalHarness):
        raise Skip("the harness is not one of a run")
    other = "cuda" if metric.device == "cpu" else "cpu"
    inputs = metric.harness.inputs
    resources = dataclasses.replace(inputs.resources, device=other)
    there = dataclasses.replace(metric, harness=local_harness(inputs.registry, resources))
    loaded = metric.spec.load(metric.params, there.harness)
    x = metric.eight
    found = there.similarities(x.to(other), x.to(other), loaded)
    off = metric.deviation(metric.baseline, found)
    if off <= 1e-2:
        return good(f"{off:.1g} of the spread between {metric.device} and {other}")
    return wrong(
        f"{off:.2g} of the spread between {metric.device} and {other}",
        "TF32 or another reduced precision is on; compute float32 proper",
    )


CUDA: Rule[MetricUnderTest] = Rule(
    "GPU and CPU", "the same similarities on both, to rounding", _as_on_cpu
)
