"""torchvision's networks: random, downloaded and own weights."""

from __future__ import annotations

import hashlib
import inspect
import socket
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision.models import ResNet18_Weights, resnet18

from iibench.assets.local import LocalResources
from iibench.compute.activations import iter_activations
from iibench.contract.errors import AssetError, FileError, UsageError
from iibench_plugins.models import _torchvision
from iibench_plugins.models.torchvision_models import Params, load, variants


@pytest.fixture
def resources(tmp_path, monkeypatch):
    """No torch hub folder but an empty one of the test's own."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    (tmp_path / "data").mkdir()
    return LocalResources(tmp_path / "data", tmp_path / "cache", base_dir=tmp_path)


def test_variants_are_classification_networks():
    names = variants()
    assert {"resnet18", "vgg16", "vit_b_16", "convnext_tiny"} <= set(names)
    assert not any("rcnn" in n or "fcn" in n or "quantized" in n for n in names)


def test_random_weights_follow_the_seed_and_leave_torchs_generator_alone(resources):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, same, other = (
        load(Params("resnet18", "none", seed=s), "layer1", resources) for s in (0, 0, 1)
    )
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
    weight = first.module.layer1[0].conv1.weight
    torch.testing.assert_close(weight, same.module.layer1[0].conv1.weight, rtol=0, atol=0)
    assert not torch.equal(weight, other.module.layer1[0].conv1.weight)
    assert first.preprocess.size == 224
    assert first.preprocess.mean == (0.485, 0.456, 0.406)
    assert first.provenance == "random, seed 0"
    assert not first.module.training
    assert not weight.requires_grad


def test_a_network_with_random_weights_can_be_tapped(resources):
    model = load(Params("mobilenet_v3_small", "none", size=48), "features.3", resources)
    images = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    batches = iter_activations(model, "features.3", "mean", lambda i: images[i], np.arange(3))
    ((_, rows),) = list(batches)
    assert rows.shape == (3, 24)


@pytest.mark.parametrize("variant", ["", "resnet81"])
def test_an_unknown_variant_is_named(resources, variant):
    message = "nearest: resnet18" if variant else "needs a variant, e.g. torchvision:resnet18"
    with pytest.raises(UsageError, match=message):
        load(Params(variant, "none"), "layer1", resources)


# ------------------------------------------------------------------------------------- own files


def test_own_weights_are_loaded_strictly(resources, tmp_path):
    torch.manual_seed(1)
    state = resnet18(num_classes=7).state_dict()
    torch.save(state, tmp_path / "own.pth")
    model = load(Params("resnet18", "own.pth", classes=7), "fc", resources)
    torch.testing.assert_close(model.module.fc.weight, state["fc.weight"], rtol=0, atol=0)
    assert model.provenance == "own.pth"
    with pytest.raises(FileError, match=r"do not fit torchvision:resnet18 with 1000 classes"):
        load(Params("resnet18", "own.pth"), "fc", resources)
    with pytest.raises(FileError, match=r"no such file"):
        load(Params("resnet18", "other.pth"), "fc", resources)


# ------------------------------------------------------------------------------- default weights


def as_published(folder, monkeypatch):
    """A small stand-in for torchvision's file: its name carries its hash, as theirs do."""
    torch.manual_seed(2)
    state = resnet18().state_dict()
    path = folder / "part"
    torch.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    path = path.rename(folder / f"resnet18-{digest}.pth")
    weights = ResNet18_Weights.DEFAULT
    monkeypatch.setattr(type(weights), "url", f"https://weights.invalid/{path.name}", raising=False)
    return path, state


def test_default_weights_may_lie_in_the_data_folder(resources, monkeypatch, tmp_path):
    path, state = as_published(resources.data_dir, monkeypatch)
    model = load(Params("resnet18"), "layer1", resources)
    torch.testing.assert_close(model.module.fc.weight, state["fc.weight"], rtol=0, atol=0)
    assert model.preprocess.size == 224
    assert model.preprocess.mean == (0.485, 0.456, 0.406)
    assert "ResNet18_Weights" in model.provenance
    assert (tmp_path / "hub/checkpoints" / path.name).is_file()


@pytest.mark.parametrize("place", ["data", "hub/checkpoints"])
def test_a_damaged_file_is_not_used(resources, monkeypatch, tmp_path, place):
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    path, _ = as_published(folder, monkeypatch)
    with path.open("ab") as file:
        file.write(b"x")
    with pytest.raises(AssetError, match=f"{path.name} is damaged"):
        load(Params("resnet18"), "layer1", resources)


def test_weights_that_cannot_be_had_say_where_to_put_the_file(resources, monkeypatch):
    timeouts = []

    def no_network(request, *args, **kwargs):
        timeouts.append(socket.getdefaulttimeout())
        raise URLError("no route")

    monkeypatch.setattr(torch.hub, "urlopen", no_network)
    with pytest.raises(AssetError) as error:
        load(Params("resnet18"), "layer1", resources)
    message = str(error.value)
    assert ResNet18_Weights.DEFAULT.url in message
    assert str(resources.data_dir) in message
    assert timeouts == [_torchvision.TIMEOUT]
    assert socket.getdefaulttimeout() is None


def test_torchvision_checks_the_hash_of_what_it_downloads():
    """The plugin leaves the check of a download to torchvision's builders."""
    from torchvision.models import alexnet, densenet, vit_b_16

    for builder in (resnet18, alexnet, vit_b_16):
        module = inspect.getmodule(inspect.unwrap(builder))
        assert "check_hash=True" in inspect.getsource(module)
    assert "check_hash=True" in inspect.getsource(densenet)
