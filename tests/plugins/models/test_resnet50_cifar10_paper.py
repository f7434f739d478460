"""The paper's weights of the CIFAR-10 ResNet50, out of an archive that is put in place by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torchvision.models import resnet50

from iibench.assets.local import sha256_of, status
from iibench.contract.base import NoParams
from iibench.contract.errors import AssetError, UsageError
from iibench.hooks.loading import load_plugins
from iibench_plugins.models import resnet50_cifar10 as plugin
from iibench_plugins.models.resnet50_cifar10 import PAPER, load_paper

CIFAR = ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616))


@pytest.fixture(scope="module")
def own():
    """A network of that architecture, as the archive's author made them out of torchvision's."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = resnet50(num_classes=10)
        network.conv1 = torch.nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    return network.eval()


@pytest.fixture(params=["state_dicts/resnet50.pt", "resnet50.pt"])
def archive(request, offline, own):
    """The archive, unpacked in the data folder, or the file alone."""
    path = offline.data_dir / request.param
    path.parent.mkdir(exist_ok=True)
    torch.save(own.state_dict(), path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["layer1", "layer3.2", "fc"])
def test_activations_are_those_of_the_whole_network(
    offline, archive, own, pictures, tapped, hooked, is_frozen, layer
):
    model = load_paper(NoParams(), layer, offline)
    images = pictures(32)
    output = hooked(own, layer, images, *CIFAR)
    expected = output if output.ndim == 2 else output.mean((2, 3))
    np.testing.assert_allclose(tapped(model, layer, images), expected, rtol=1e-4, atol=1e-5)
    assert is_frozen(model.module)
    assert model.provenance == "resnet50-cifar10-paper: resnet50.pt"
    assert (model.preprocess.mean, model.preprocess.std, model.preprocess.size) == (*CIFAR, None)


def test_what_is_past_the_layer_stays_empty(offline, archive):
    module = load_paper(NoParams(), "layer2.0", offline).module
    full = {
        name.partition(".")[0]
        for name, tensor in module.state_dict().items()
        if not tensor.is_meta and "num_batches" not in name
    }
    assert full == {"conv1", "bn1", "layer1", "layer2"}


def test_the_hash_of_the_file_is_recorded_on_first_use(offline, archive):
    load_paper(NoParams(), "layer1", offline)
    recorded = json.loads((offline.cache_dir / "assets/recorded.json").read_text())
    assert [entry["sha256"] for entry in recorded.values()] == [sha256_of(archive)]
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(AssetError, match="was recorded on first use"):
        load_paper(NoParams(), "layer1", offline)


def test_a_missing_file_says_where_it_is_from_and_where_it_goes(offline):
    with pytest.raises(AssetError) as error:
        load_paper(NoParams(), "layer1", offline)
    message = str(error.value)
    assert "github.com/huyvnphan/PyTorch_CIFAR10" in message
    assert "state_dicts/resnet50.pt" in message
    assert str(offline.data_dir) in message
    assert status(PAPER, offline).state == "missing"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv1.weight": torch.zeros(64, 3, 7, 7)}, r"\(64, 3, 7, 7\), expected \(64, 3, 3, 3\)"),
        ({"layer5.weight": torch.zeros(1)}, r"1 unknown \(first: layer5\.weight\)"),
        ({"layer1.0.conv1.weight": None}, r"1 tensors missing \(first: layer1\.0\.conv1\.weight\)"),
    ],
)
def test_a_file_of_another_architecture_is_refused(offline, archive, own, change, message):
    state = own.state_dict() | change
    torch.save({name: t for name, t in state.items() if t is not None}, archive)
    with pytest.raises(AssetError, match=message):
        load_paper(NoParams(), "layer1", offline)


def test_an_unknown_layer_names_the_nearest(offline):
    with pytest.raises(UsageError, match="unknown layer 'layer11'; nearest: layer1"):
        load_paper(NoParams(), "layer11", offline)


def test_both_networks_have_the_same_layers():
    registry = load_plugins().registry
    names = [registry.layers[name] for name in ("resnet50_cifar10", "resnet50_cifar10_paper")]
    assert names[0] == names[1]
    assert registry.models["resnet50_cifar10_paper"].spec.assets == (plugin.PAPER,)
