"""LPIPS's backbones as networks: torchvision's modules, names of layers, the size of images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.models import alexnet, vgg16

from iibench.assets.local import LocalResources, default_cache_dir, default_data_dir, find_local
from iibench.contract.errors import AssetError, UsageError
from iibench.hooks.loading import load_plugins
from iibench_plugins._shared.lpips_backbones import BACKBONES, CONVOLUTIONS
from iibench_plugins.models import lpips_backbones as plugin
from iibench_plugins.models.lpips_backbones import NETWORKS, Params

SPECS = {spec.name: spec for spec in plugin.iibench_register_models()}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
#: The modules after which LPIPS looks, by torchvision's numbers.
TAPS = {
    "alexnet_features": {"relu1": 1, "relu2": 4, "relu3": 7, "relu4": 9, "relu5": 11},
    "vgg16_features": {"relu1_2": 3, "relu2_2": 8, "relu3_3": 15, "relu4_3": 22, "relu5_3": 29},
}


@pytest.fixture(scope="module")
def own():
    """torchvision's networks with random weights."""
    made = {}
    for name, builder in (("alexnet_features", alexnet), ("vgg16_features", vgg16)):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            made[name] = builder(weights=None).features.eval()
    return made


@pytest.fixture
def weights(own, monkeypatch):
    """The networks' files hold torchvision's random convolutions."""
    states = {
        NETWORKS[name].net: {f"features.{k}": t for k, t in features.state_dict().items()}
        for name, features in own.items()
    }
    monkeypatch.setattr(plugin, "backbone", lambda net, resources: states[net])
    return states


def aliases(name):
    return {layer.name: layer for layer in plugin.iibench_register_layers(SPECS[name])}


@pytest.mark.parametrize("name", SPECS)
def test_layers_are_named_as_their_modules_are(own, name):
    layers = aliases(name)
    kinds = {"conv": torch.nn.Conv2d, "relu": torch.nn.ReLU, "pool": torch.nn.MaxPool2d}
    assert [layer.path for layer in layers.values()] == [
        f"features.{k}" for k in range(len(own[name]))
    ]
    for layer in layers.values():
        part = own[name].get_submodule(layer.path.removeprefix("features."))
        assert type(part) is kinds[layer.name[:4]]
        assert layer.group == f"stage{layer.name[4]}"
    places = [layer.path for layer in layers.values() if layer.name.startswith("conv")]
    assert places == [f"features.{k}" for k in CONVOLUTIONS[NETWORKS[name].net]]
    assert {n: layers[n].path for n in TAPS[name]} == {
        n: f"features.{k}" for n, k in TAPS[name].items()
    }


def test_names_are_the_usual_ones():
    assert list(aliases("alexnet_features"))[:4] == ["conv1", "relu1", "pool1", "conv2"]
    assert {"conv5", "relu5", "pool5"} <= set(aliases("alexnet_features"))
    assert {"conv1_1", "relu2_2", "pool3", "conv5_3"} <= set(aliases("vgg16_features"))


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("alias", ["conv1", "relu1", "relu3", "pool5"])
def test_activations_are_those_of_torchvisions_own_forward(
    offline, weights, own, pictures, tapped, hooked, name, alias
):
    """A convolution's output is read before the ReLU after it changes it in place."""
    if name == "vgg16_features" and alias != "pool5":
        alias += "_1"
    layer = aliases(name)[alias].path
    model = SPECS[name].load(Params(size=None), layer, offline)
    images = pictures(64)
    network = torch.nn.Sequential()
    network.add_module("features", own[name])
    expected = hooked(network, layer, images, *IMAGENET).mean((2, 3))
    found = tapped(model, layer, images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert (found < 0).any() == alias.startswith("conv")


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.usefixtures("generator_kept", "weights")
def test_the_network_is_frozen_and_has_no_classifier(offline, is_frozen, name):
    model = SPECS[name].load(Params(), "features.3", offline)
    assert is_frozen(model.module)
    assert not any(p.is_meta for p in model.module.parameters())
    assert [n for n, _ in model.module.named_children()] == ["features"]
    assert (model.preprocess.mean, model.preprocess.std) == IMAGENET
    assert model.preprocess.size == 224
    assert model.provenance == BACKBONES[NETWORKS[name].net].name


@pytest.mark.usefixtures("generator_kept")
def test_random_weights_are_torchvisions(offline, own):
    model = SPECS["alexnet_features"].load(Params("none", 0), "features.3", offline)
    state = own["alexnet_features"].state_dict()
    assert all(torch.equal(p, state[n]) for n, p in model.module.features.state_dict().items())
    other = SPECS["alexnet_features"].load(Params("none", 1), "features.3", offline)
    assert not torch.equal(other.module.features[0].weight, state["0.weight"])
    assert model.provenance == "random, seed 0"


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "least"), [("features.1", 7), ("features.12", 63)])
def test_images_that_are_too_small_for_a_layer_are_refused(offline, weights, layer, least):
    load = SPECS["alexnet_features"].load
    load(Params(size=least), layer, offline)
    with pytest.raises(UsageError, match=rf"{least - 1} pixels are too small for layer {layer} of"):
        load(Params(size=least - 1), layer, offline)


def test_convolutions_that_do_not_fit_are_refused(offline, weights):
    del weights["alex"]["features.3.bias"]
    with pytest.raises(AssetError, match=r"1 tensor missing \(features\.3\.bias\)"):
        SPECS["alexnet_features"].load(Params(), "features.3", offline)


def test_missing_weights_say_how_to_get_them(offline, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(AssetError, match=r"(?s)lpips-backbone-vgg.*vgg16-397923af\.pth"):
        SPECS["vgg16_features"].load(Params(), "features.3", offline)


def test_the_files_are_lpipss_own():
    """One asset, which the metric and the network both declare."""
    used = load_plugins().registry.assets()
    assert {"alexnet_features", "lpips"} <= set(used["lpips-backbone-alex"][1])
    assert {"vgg16_features", "lpips"} <= set(used["lpips-backbone-vgg"][1])


# --------------------------------------------------------------------------------- real weights


@pytest.fixture(scope="module")
def on_disk():
    """The user's own folders, where the files may be: made before tests get folders of their own."""
    return LocalResources(default_data_dir(), default_cache_dir(), offline=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
@pytest.mark.filterwarnings("ignore:.*deprecated since 0.13")
def test_taps_are_the_features_that_lpips_compares(on_disk, pictures, tapped, name):
    """The `lpips` package's own trunk on the same convolutions."""
    import lpips

    net = NETWORKS[name].net
    if find_local(BACKBONES[net], on_disk) is None:
        pytest.skip(f"no backbone of lpips ({net}) on disk; iibench assets can fetch it")
    images = pictures(64)
    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    x = (x - torch.tensor(IMAGENET[0])[:, None, None]) / torch.tensor(IMAGENET[1])[:, None, None]
    trunk = lpips.LPIPS(net=net, pnet_rand=True, pretrained=False, verbose=False).net.eval()
    state = SPECS[name].load(Params(), "features.1", on_disk).module.state_dict()
    slots = {key.partition(".")[2]: key for key in trunk.state_dict()}
    trunk.load_state_dict({slots[k.removeprefix("features.")]: v for k, v in state.items()})
    with torch.no_grad():
        features = trunk(x)
    for feature, alias in zip(features, TAPS[name], strict=True):
        layer = aliases(name)[alias].path
        model = SPECS[name].load(Params(size=None), layer, on_disk)
        found = tapped(model, layer, images)
        np.testing.assert_allclose(found, feature.mean((2, 3)), rtol=1e-4, atol=1e-5)
