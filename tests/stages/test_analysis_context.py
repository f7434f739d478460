"""What analyses may ask for: activations, directions, images, other finders' responses, gradients."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from iibench.compute.images import to_unit_range
from iibench.contract.config import RunConfig
from iibench.contract.errors import CaseError, PluginError
from iibench.hooks.loading import load_plugins
from iibench.runner.session import prepare
from iibench.stages.analysis_context import CaseContext
from iibench.testing.toys import small_network

SUITE = """
iibench: "1"
name: context
seed: 5
dataset: {name: reference_images, n: 60, size: 16}
models: [{name: reference_net, layers: [LAYER]}]
finders: [neurons, {name: kmeans, k: 3}]
metrics: [color]
evaluations:
  - {name: split_half, finder: "FINDER"}
"""
LAYERS = {"middle": "relu2", "relu2[pool=max]": "relu2", "relu2[pool=center]": "relu2"}
#: Finders of the mean response, and one whose responses are wrong in the way that its parameter says.
FINDERS = """
from dataclasses import dataclass
import numpy as np
from iibench import Directions, FinderSpec, hookimpl

@dataclass(frozen=True)
class Params:
    how: str = "shape"

def fit(params, A, context):
    return Directions(np.eye(A.shape[1], dtype=np.float32)[:2])

def encode(params, directions, A):
    if params.how == "shape":
        return np.zeros((len(A), 3), np.float32)
    return np.full((len(A), 2), np.inf, np.float32)

def mean(params, A, context):
    return Directions(A.mean(axis=0, keepdims=True))

def project(params, directions, A):
    return A @ directions.vectors.T

@hookimpl
def iibench_register_finders():
    yield FinderSpec(name="broken", summary="", params=Params, fit=fit, encode=encode)
    yield FinderSpec(name="mean", summary="", fit=mean, encode=project)
    yield FinderSpec(name="untrained", summary="", fit=mean, encode=project, trains_on=False)
"""


def context(
    tmp_path: Path,
    *,
    layer: str = "middle",
    finder: str = "kmeans[k=4]",
    number: int = 0,
    batch_size: int | None = None,
    seed: int | None = None,
) -> CaseContext:
    """What the case of neurons (number 0) or of kmeans (1) may ask for."""
    text = SUITE.replace("FINDER", finder).replace("LAYER", repr(layer))
    (tmp_path / "context.yaml").write_text(text)
    (tmp_path / "plugins").mkdir(exist_ok=True)
    (tmp_path / "plugins/some.py").write_text(FINDERS)
    plugins = load_plugins(["iibench.testing.toys"], [tmp_path / "plugins"], environ="")
    config = RunConfig(
        str(tmp_path / "context.yaml"),
        tmp_path / "data",
        tmp_path / "cache",
        batch_size=batch_size,
        device="cpu",
        seed=seed,
    )
    session = prepare(config, plugins)
    case: Any = session.cases[number]
    stages = session.stages
    return CaseContext(stages.context, stages.activations, stages.directions, case)


def pooled(x: torch.Tensor, layer: str) -> torch.Tensor:
    """An independent forward pass: the network's first two layers, then pooling by hand."""
    found = small_network(0)[:4]((x - 0.5) / 0.25)
    if "max" in layer:
        return found.amax((2, 3))
    if "center" in layer:
        return found[:, :, found.shape[2] // 2, found.shape[3] // 2]
    return found.mean((2, 3))


# ---------------------------------------------------------------------- what the case is about


@pytest.mark.parametrize("layer", LAYERS)
def test_activations_are_those_of_the_evaluated_images(tmp_path: Path, layer: str) -> None:
    found = context(tmp_path, layer=layer)
    images = found.images(range(60))
    with torch.no_grad():
        expected = pooled(to_unit_range(images, "cpu"), layer).numpy()
    assert found.activations().shape == (60, 32)
    np.testing.assert_allclose(found.activations(), expected, atol=1e-5)


def test_directions_are_the_cases_own(tmp_path: Path) -> None:
    assert np.array_equal(context(tmp_path).directions().vectors, np.eye(32))
    means = context(tmp_path, number=1).directions().vectors
    assert means.shape == (3, 32)


def test_images_and_what_is_known_of_them(tmp_path: Path) -> None:
    found = context(tmp_path)
    evaluated = found.context.inputs.evaluated(found.case)
    assert found.image_size == (16, 16)
    assert found.class_names == tuple(evaluated.class_names)
    assert found.device == "cpu"
    images = found.images(np.array([7, 3, 7]))
    assert images.shape == (3, 16, 16, 3)
    assert images.dtype == np.uint8
    assert np.array_equal(images[0], images[2])
    assert np.array_equal(images[1], evaluated.images([3])[0])


# ---------------------------------------------------------------------------- other finders


def test_a_finder_that_the_spec_does_not_name_is_refused(tmp_path: Path) -> None:
    found = context(tmp_path)
    for label in ("pca", "kmeans", "kmeans[k=5]", "no_such"):
        with pytest.raises(PluginError, match="does not name") as caught:
            found.responses_of(label, np.arange(4))
        assert f"asks for the finder {label}," in str(caught.value)


def test_responses_of_a_finder_that_learns_nothing(tmp_path: Path) -> None:
    found = context(tmp_path, finder="neurons")
    neurons = np.array([5, 2, 30])
    assert np.array_equal(found.responses_of("neurons", neurons), found.activations()[:, neurons])


@pytest.mark.parametrize(("how", "split"), [("mean", "fit"), ("untrained", "evaluate")])
def test_a_finder_is_fitted_to_these_neurons_alone(tmp_path: Path, how: str, split: str) -> None:
    """On the fit split; one that learns nothing is given the evaluated one."""
    found = context(tmp_path, finder=how)
    neurons = np.array([3, 1, 8, 20, 21])
    fitted = found.activation_stage.values(found.case.tap, split)[:, neurons]
    expected = found.activations()[:, neurons] @ fitted.mean(axis=0, keepdims=True).T
    np.testing.assert_allclose(found.responses_of(how, neurons), expected, rtol=1e-5)


@pytest.mark.slow
def test_responses_repeat_and_depend_on_the_suites_seed_alone(tmp_path: Path) -> None:
    neurons = np.arange(12)
    first = context(tmp_path).responses_of("kmeans[k=4]", neurons)
    again = context(tmp_path, batch_size=7).responses_of("kmeans[k=4]", neurons)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, context(tmp_path, seed=6).responses_of("kmeans[k=4]", neurons))
    one = context(tmp_path)
    other = one.responses_of("kmeans[k=4]", neurons + 1)
    assert not np.array_equal(first, other)
    assert np.array_equal(first, one.responses_of("kmeans[k=4]", neurons))


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("shape", PluginError, r"gave a response of shape \(60, 3\), expected \(60, 2\)"),
        ("infinite", CaseError, "gave a response that is not finite"),
    ],
)
def test_a_finder_that_gives_nonsense_is_named(tmp_path: Path, how, error, message) -> None:
    label = f"broken[how={how}]"
    with pytest.raises(error, match=message) as caught:
        context(tmp_path, finder=label).responses_of(label, np.arange(5))
    assert label in str(caught.value)


def test_more_clusters_than_the_images_allow_is_a_case_error(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="60"):
        context(tmp_path, finder="kmeans[k=61]").responses_of("kmeans[k=61]", np.arange(5))


# ---------------------------------------------------------------------------------- gradients


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("batch_size", [1, 4, None])
def test_gradient_norms_are_those_of_autograd_one_image_at_a_time(
    tmp_path: Path, layer: str, batch_size: int | None
) -> None:
    found = context(tmp_path, layer=layer, batch_size=batch_size)
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 60, 9)
    targets = torch.from_numpy(rng.normal(0, 1, (9, 32)).astype(np.float32))

    def score(activations: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        y = activations / activations.norm(dim=1, keepdim=True)
        return -(y - targets[rows]).norm(dim=1)

    norms = found.gradient_norms(indices, score)
    assert norms.dtype == np.float64
    for k, index in enumerate(indices):
        x = to_unit_range(found.images([index]), "cpu").requires_grad_()
        score(pooled(x, layer), torch.tensor([k])).sum().backward()
        assert norms[k] == pytest.approx(float(x.grad.double().norm()), rel=1e-4)


def test_gradients_report_progress_and_leave_the_network_alone(tmp_path: Path) -> None:
    found = context(tmp_path, batch_size=4)
    told: list[Any] = []
    told_to = dataclasses.replace(found.context, tell=told.append)
    found = dataclasses.replace(found, context=told_to)
    loaded, _ = found.context.inputs.model(found.case)
    found.gradient_norms(np.arange(10), lambda y, rows: y.sum(1))
    of_gradients = [event for event in told if "gradients" in event.stage]
    assert [(event.done, event.total) for event in of_gradients] == [(4, 10), (8, 10), (10, 10)]
    assert of_gradients[0].stage == "evaluation split_half: gradients"
    assert all(p.grad is None and not p.requires_grad for p in loaded.module.parameters())


def test_a_score_that_mixes_images_up_is_told(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="expected"):
        context(tmp_path).gradient_norms(np.arange(3), lambda y, rows: y.sum())


def test_progress_goes_to_the_run(tmp_path: Path) -> None:
    found = context(tmp_path)
    told: list[Any] = []
    told_to = dataclasses.replace(found.context, tell=told.append)
    found = dataclasses.replace(found, context=told_to)
    found.progress(2, 5, "pairs")
    (event,) = told
    assert (event.stage, event.done, event.total) == ("evaluation split_half: pairs", 2, 5)
