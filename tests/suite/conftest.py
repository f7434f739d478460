"""A small registry of plugins that compute nothing, and suites written on the spot."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Interval

from iibench.contract.errors import SuiteError
from iibench.contract.evaluations import EvaluationSpec
from iibench.contract.specs import DatasetSpec, FinderSpec, LayerSpec, MetricSpec, ModelSpec
from iibench.suite.load import load_suite
from iibench.suite.registry import Registry
from iibench.suite.schema import Suite

SUITE = """\
iibench: "1"
name: tiny
description: A suite for tests.
seed: 5
dataset:
  name: digits
  fallback: {name: patches, n: 10}
models:
  - name: net
    layers: [early, {path: layer2, pool: [mean, max]}]
finders:
  - neurons
  - name: kmeans
    k: [128, 256]
metrics:
  - color
  - {name: lpips, parts: all}
evaluations:
  - ii
  - {name: insilico, difficulty: [0, 0.05], metrics: [color, lpips]}
  - sparsity
"""


@dataclass(frozen=True)
class PatchParams:
    n: Annotated[int, Ge(1)] = field(default=100, metadata={"help": "patches per split"})


@dataclass(frozen=True)
class FolderParams:
    path: str
    size: Annotated[int, Ge(1)] | None = None


@dataclass(frozen=True)
class HubParams:
    variant: str = ""
    weights: str = "default"


@dataclass(frozen=True)
class KMeansParams:
    k: Annotated[int, Ge(1)] = field(default=256, metadata={"help": "number of clusters"})
    response: Literal["cosine", "projection", "neg_distance"] = "cosine"


@dataclass(frozen=True)
class SAEParams:
    z: Annotated[int, Ge(1)] = 512
    l1: Annotated[float, Gt(0)] = 1e-3
    widths: tuple[int, ...] = ()
    tied: bool = False
    note: str | None = None

    def __post_init__(self) -> None:
        if self.tied and self.widths:
            raise ValueError("tied weights and widths exclude each other")


@dataclass(frozen=True)
class LpipsParams:
    net: Literal["alex", "vgg", "squeeze"] = "alex"
    input: Literal["correct", "paper2310"] = "correct"


@dataclass(frozen=True)
class IIParams:
    m: Annotated[int, Ge(2)] = 5


@dataclass(frozen=True)
class InsilicoParams:
    difficulty: Annotated[float, Interval(ge=0, lt=0.5)] = 0.0
    observer: Literal["eq2", "two_sided"] = "eq2"
    trials: Annotated[int, Ge(1)] = 20


def never(*args: Any) -> Any:
    raise AssertionError("reading a suite computes nothing")


def small_registry() -> Registry:
    registry = Registry()
    common: dict[str, Any] = {"summary": "for tests"}
    taps = tuple("01234")
    for spec in (
        DatasetSpec(name="digits", load=never, splits=("train", "test"), **common),
        DatasetSpec(
            name="patches", load=never, splits=("fit", "evaluate"), params=PatchParams, **common
        ),
        DatasetSpec(name="folder", load=never, params=FolderParams, **common),
        ModelSpec(name="net", load=never, **common),
        ModelSpec(
            name="hub",
            load=never,
            params=HubParams,
            variants=lambda: ("resnet18", "resnet50"),
            **common,
        ),
        FinderSpec(name="neurons", fit=never, encode=never, **common),
        FinderSpec(
            name="kmeans",
            fit=never,
            encode=never,
            params=KMeansParams,
            headline=("k",),
            **common,
        ),
        FinderSpec(
            name="sae",
            fit=never,
            encode=never,
            params=SAEParams,
            headline=("z", "l1"),
            **common,
        ),
        MetricSpec(name="color", load=never, **common),
        MetricSpec(
            name="lpips", load=never, params=LpipsParams, parts=lambda params: taps, **common
        ),
        MetricSpec(name="label", load=never, input="labels", **common),
        EvaluationSpec(name="ii", evaluate=never, params=IIParams, **common),
        EvaluationSpec(
            name="insilico",
            evaluate=never,
            params=InsilicoParams,
            headline=("difficulty",),
            **common,
        ),
        EvaluationSpec(name="sparsity", evaluate=never, needs_metric=False, **common),
    ):
        registry.add(spec, "tests")
    registry.layers["net"] = [LayerSpec("early", "layer1")]
    return registry


@pytest.fixture
def registry() -> Registry:
    return small_registry()


Load = Callable[..., Suite]
Problems = Callable[..., list[str]]


@pytest.fixture
def load(registry: Registry, tmp_path: Path) -> Load:
    """Writes a suite's text to tiny.yaml and loads it."""

    def write_and_load(text: str = SUITE, *overrides: str) -> Suite:
        path = tmp_path / "tiny.yaml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return load_suite(str(path), registry, overrides)

    return write_and_load


@pytest.fixture
def changed(load: Load) -> Callable[[str, str], Suite]:
    """The suite above with one piece of its text replaced."""

    def load_changed(old: str, new: str) -> Suite:
        if old not in SUITE:
            raise ValueError(f"{old!r} is not in the suite")
        return load(SUITE.replace(old, new))

    return load_changed


@pytest.fixture
def problems(load: Load) -> Problems:
    """The lines of the error that a suite raises, with the folder left out of file names."""

    def lines(text: str = SUITE, *overrides: str) -> list[str]:
        with pytest.raises(SuiteError) as caught:
            load(text, *overrides)
        return [
            line[line.index("tiny.yaml") :] if "/tiny.yaml" in line else line
            for line in str(caught.value).splitlines()
        ]

    return lines


@pytest.fixture
def suite_text() -> str:
    return SUITE
