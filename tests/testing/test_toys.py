"""The toys: pictures, the harness over them, and the reference suite."""

from __future__ import annotations

import gc
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.contract.errors import UsageError
from iibench.contract.specs import Harness, MetricSpec
from iibench.hooks.loading import load_plugins
from iibench.testing import (
    check_dataset,
    check_model,
    reference_suite,
    run_reference_suite,
    toy_harness,
)
from iibench.testing import toys as plugin
from iibench.testing.finders.subject import activations, best_cosines, planted_directions
from iibench.testing.pictures import noise_like, photos, pictures
from iibench.testing.reference import with_toys
from tests.conftest import TOYS


@given(st.integers(8, 40), st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_pictures_are_the_same_always_and_all_different(size, seed) -> None:
    pixels, labels = pictures(6, size, seed)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (6, size, size, 3)
    assert labels.tolist() == [0, 1, 2, 3, 0, 1]
    assert np.array_equal(pictures(6, size, seed)[0], pixels)
    assert np.array_equal(pictures(3, size, seed)[0], pixels[:3])
    assert all(not np.array_equal(a, b) for a, b in combinations(pixels, 2))
    assert np.ptp(pixels, axis=(1, 2)).min() > 20


def test_photos_and_noise_leave_torch_alone() -> None:
    before = torch.get_rng_state()
    x = photos(2, 16)
    noise = noise_like(x)
    assert x.shape == noise.shape == (2, 3, 16, 16)
    assert 0 <= x.min() < x.max() <= 1
    assert torch.equal(noise, noise_like(x))
    assert not torch.equal(noise, noise_like(x, 1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
def test_the_toys_pass_their_own_checks() -> None:
    harness = toy_harness()
    check_dataset(plugin.IMAGES, harness=harness).raise_if_failed()
    check_dataset(plugin.TRIALS, harness=harness).raise_if_failed()
    report = check_model(plugin.NET, harness=harness)
    report.raise_if_failed()
    assert not report.skipped


@pytest.mark.slow
def test_they_are_a_plugin() -> None:
    code = "\n".join(
        [
            "import sys",
            "from iibench.hooks.loading import load_plugins",
            "found = load_plugins(['iibench.testing.toys'], environ='')",
            "assert not found.broken(), found.broken()",
            "assert 'reference_net' in found.registry.models",
            "assert [l.name for l in found.registry.layers['reference_net']][0] == 'early'",
            "assert 'torch' not in sys.modules",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_registry_gets_the_toys_once_and_stays_as_it_was() -> None:
    registry = load_plugins(environ="").registry
    more = with_toys(with_toys(registry))
    assert "reference_net" in more.models
    assert "reference_net" not in registry.models
    assert "reference_net" not in registry.layers


def test_the_harness_is_that_of_a_run_and_takes_its_folder_with_it() -> None:
    harness = toy_harness()
    lent: Harness = harness
    network = lent.network("reference_net", "late")
    assert network.activations(photos(2, 32)).shape == (2, 32)
    assert lent.activations("reference_images[n=5]", None, "reference_net", "early").shape == (
        5,
        16,
    )
    assert isinstance(lent.metric("color").spec, MetricSpec)
    assert lent.device == "cpu"


def test_planted_directions_are_in_the_activations() -> None:
    planted = planted_directions()
    assert np.allclose(planted @ planted.T, np.eye(8), atol=1e-6)
    A = activations(500, 0)
    assert A.dtype == np.float32
    assert A.min() >= 0
    cosines = A @ planted.T / np.linalg.norm(A, axis=1, keepdims=True)
    assert (cosines.max(axis=1) > 0.95).mean() > 0.3
    assert np.allclose(best_cosines(planted, -3 * planted), 1)


# ---------------------------------------------------------------------------- reference suite


def test_the_suite_is_yaml_of_the_usual_things() -> None:
    import yaml

    suite = yaml.safe_load(reference_suite(metric="lpips[net=vgg]"))
    assert suite["metrics"] == ["lpips[net=vgg]"]
    assert suite["models"] == [{"name": "reference_net", "layers": ["middle"]}]
    assert "models" not in yaml.safe_load(reference_suite(trials=True))


#: The metric and evaluation of the reference suite.
USUAL = "reference_metric/reference_evaluation"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chosen", "id"),
    [
        (
            {"metric": "toycolour[r]"},
            "reference_images[limit=480]/reference_net/relu2/reference_finder/toycolour[r]/reference_evaluation",
        ),
        (
            {"finder": "pick[k=3]"},
            f"reference_images[limit=480]/reference_net/relu2/pick[k=3]/{USUAL}",
        ),
        (
            {"model": "toynet"},
            f"reference_images[limit=480]/toynet/tap/reference_finder/{USUAL}",
        ),
        (
            {"model": "toynet", "layers": ["raw"]},
            f"reference_images[limit=480]/toynet/raw/reference_finder/{USUAL}",
        ),
        (
            {"dataset": "toy"},
            f"toy[limit=480]/reference_net/relu2/reference_finder/{USUAL}",
        ),
        (
            {"evaluation": "activity"},
            "reference_images[limit=480]/reference_net/relu2/reference_finder/activity",
        ),
        ({"evaluation": "triplets"}, "reference_trials[limit=480]/reference_metric/triplets"),
        (
            {"dataset": "reference_trials"},
            "reference_trials[limit=480]/reference_metric/reference_judgement",
        ),
    ],
)
def test_anything_can_take_the_place_of_the_usual(chosen, id) -> None:
    run = run_reference_suite(**chosen, plugins_dirs=[TOYS])
    assert [(case.id, case.status) for case in run.reports] == [(id, "passed")]


@pytest.mark.slow
def test_a_run_takes_its_folder_with_it_unless_one_is_given(tmp_path) -> None:
    run = run_reference_suite()
    made = run.folder
    assert len(run.units()) == 32
    del run
    gc.collect()
    assert not made.exists()
    kept = run_reference_suite(folder=tmp_path / "kept")
    assert kept.folder == tmp_path / "kept" / "run"
    assert (kept.folder / "run.json").is_file()


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"metric": "colour"}, "nearest: color"),
        ({"evaluation": "iii"}, "nearest: ii"),
        ({"model": "torchvision:resnet18[weights=none]"}, "registers no layer"),
    ],
)
def test_unknown_names(chosen, message) -> None:
    with pytest.raises(UsageError, match=message):
        run_reference_suite(**chosen)
