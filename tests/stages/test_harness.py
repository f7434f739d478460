"""What the harness lends to a dataset's `load`: other datasets, activations, metrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iibench.assets.local import LocalResources
from iibench.cache.entries import Cache
from iibench.contract.errors import UsageError
from iibench.contract.specs import Harness
from iibench.hooks.loading import load_plugins
from iibench.stages.harness import LocalHarness
from tests.conftest import TOYS


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    registry = load_plugins(folders=[TOYS], environ="").registry
    resources = LocalResources(data_dir=tmp_path / "d", cache_dir=tmp_path / "c")
    return LocalHarness(registry, resources, Cache(tmp_path / "c"))


def test_images_by_label_and_split(harness: Harness) -> None:
    assert len(harness.images("toy[n=7]")) == 7
    train, test = (harness.images("toy[n=7]", split) for split in ("train", "test"))
    assert train.fingerprint != test.fingerprint == harness.images("toy[n=7]").fingerprint


def test_activations_are_those_of_a_run(harness: Harness) -> None:
    found = harness.activations("toy[n=9]", None, "toynet", "mixed")
    assert found.shape == (9, 6)
    pixels = harness.images("toy[n=9]").images(range(9)).astype(np.float32) / 255
    expected = np.maximum(pixels - 0.1, 0).mean(axis=(1, 2))
    np.testing.assert_allclose(found[:, :3], expected, atol=1e-6)
    assert harness.activations("toy[n=9]", None, "toynet", "mixed[pool=max]").shape == (9, 6)


def test_a_network_up_to_a_layer(harness: Harness) -> None:
    """In batches of its own; its fingerprint follows layer and pooling; no image at all is fine."""
    import torch

    network = harness.network("toynet", "mixed")
    x = torch.rand(70, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = network.activations(x)
    np.testing.assert_allclose(found[:, :3], (x - 0.1).clamp_min(0).mean((2, 3)), atol=1e-6)
    np.testing.assert_array_equal(found[65:], network.activations(x[65:]))
    assert network.activations(x[:0]).shape == (0, 6)
    others = [harness.network("toynet", layer) for layer in ("mixed[pool=max]", "raw", "tap")]
    assert network.fingerprint == others[2].fingerprint
    assert len({network.fingerprint, *(other.fingerprint for other in others)}) == 3


def test_metrics(harness: Harness) -> None:
    chosen = harness.metric("toycolour[r]")
    assert (chosen.spec.name, chosen.part) == ("toycolour", "r")
    assert hasattr(chosen.metric, "embed")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda h: h.images("toyy"), "unknown dataset 'toyy'; nearest: toy"),
        (lambda h: h.images("toy", "tets"), "unknown split of toy 'tets'; nearest: test"),
        (lambda h: h.images("toy[m=3]"), "unknown parameter of toy 'm'"),
        (lambda h: h.metric("toycolor"), "nearest: toycolour"),
        (lambda h: h.metric("toycolour[q]"), "unknown part of toycolour 'q'"),
        (lambda h: h.activations("toy", None, "toynot", "mixed"), "nearest: toynet"),
        (lambda h: h.network("toynot", "mixed"), "nearest: toynet"),
        (lambda h: h.network("toynet", "mixd"), "unknown layer 'mixd'"),
    ],
)
def test_unknown_names(harness: Harness, call, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call(harness)


def test_folders_are_those_of_the_run(harness: Harness, tmp_path: Path) -> None:
    assert (harness.data_dir, harness.cache_dir) == (tmp_path / "d", tmp_path / "c")
    assert harness.device == "cpu"
    assert harness.base_dir == Path.cwd()
