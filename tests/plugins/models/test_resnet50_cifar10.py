"""The CIFAR-10 ResNet50: which file serves which layer, and that only fitting weights are taken."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision.models import resnet50

from iibench.assets.local import LocalResources
from iibench.compute.activations import iter_activations
from iibench.contract.errors import AssetError, FileError, UsageError
from iibench_plugins.models import resnet50_cifar10 as plugin
from iibench_plugins.models.resnet50_cifar10 import Params, load
from tests.conftest import SHARED

WHOLE = SHARED / "models/resnet50_cifar10_fp16.safetensors"
WEIGHTS = Path(plugin.__file__).parent / "weights"


@pytest.fixture
def resources(tmp_path):
    return LocalResources(tmp_path / "data", tmp_path / "cache", base_dir=tmp_path, offline=True)


def values(model, layer, images):
    batches = iter_activations(model, layer, "mean", lambda i: images[i], np.arange(len(images)))
    return np.concatenate([rows for _, rows in batches])


def reference(state):
    """The architecture, built here and filled by torch's own strict loading where it can be."""
    module = resnet50(num_classes=10)
    module.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    module.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    return module.eval()


def test_the_shipped_files_are_the_ones_that_are_named():
    for asset in (plugin.LAYER1, plugin.LAYER2):
        (file,) = asset.files
        path = WEIGHTS / file.filename
        assert path.stat().st_size == file.size
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256


def test_layer1_equals_the_network_built_by_hand(resources):
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    by_hand = reference(load_file(WEIGHTS / "resnet50_cifar10_layer1.safetensors"))
    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    x -= torch.tensor([0.4914, 0.4822, 0.4465])[:, None, None]
    x /= torch.tensor([0.2471, 0.2435, 0.2616])[:, None, None]
    with torch.no_grad():
        x = by_hand.maxpool(by_hand.relu(by_hand.bn1(by_hand.conv1(x))))
        expected = by_hand.layer1(x)
    assert expected.shape == (4, 256, 16, 16)
    found = values(load(Params(), "layer1", resources), "layer1", images)
    np.testing.assert_allclose(found, expected.mean((2, 3)).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "with_weights", "asset"),
    [
        ("conv1", {"conv1"}, "layer1"),
        ("maxpool", {"conv1", "bn1"}, "layer1"),
        ("layer1.1.bn2", {"conv1", "bn1", "layer1"}, "layer1"),
        ("layer2.0", {"conv1", "bn1", "layer1", "layer2"}, "layer2"),
    ],
)
def test_the_smallest_file_is_read_and_the_rest_stays_empty(resources, layer, with_weights, asset):
    model = load(Params(), layer, resources)
    tensors = {k: v for k, v in model.module.state_dict().items() if "num_batches" not in k}
    assert {n.partition(".")[0] for n, t in tensors.items() if not t.is_meta} == with_weights
    assert all(t.dtype == torch.float32 for t in tensors.values())
    assert not any(m.training for m in model.module.modules())
    assert not any(p.requires_grad for p in model.module.parameters())
    assert asset in model.provenance
    assert "86.2 %" in model.provenance


def test_other_image_sizes_are_allowed(resources):
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
    assert values(load(Params(), "layer2", resources), "layer2", images).shape == (2, 512)


@pytest.mark.parametrize("layer", ["layer3", "layer4.2.conv3", "avgpool", "fc"])
def test_a_layer_beyond_what_is_shipped_says_which_file_to_get(resources, layer):
    with pytest.raises(AssetError) as error:
        load(Params(), layer, resources)
    (file,) = plugin.WHOLE.files
    assert file.filename in str(error.value)
    assert file.sha256 in str(error.value)
    assert str(resources.data_dir) in str(error.value)


def test_an_unknown_layer_names_the_nearest(resources):
    with pytest.raises(UsageError, match="unknown layer 'layer11'; nearest: layer1"):
        load(Params(), "layer11", resources)


# ---------------------------------------------------------------------------------- own weights


@pytest.fixture
def state():
    torch.manual_seed(0)
    module = resnet50(num_classes=10)
    module.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    return module.state_dict()


@pytest.mark.parametrize("name", ["own.pt", "own.safetensors"])
def test_weights_from_a_file_beside_the_suite(resources, state, tmp_path, name):
    save_file(state, tmp_path / name) if name.endswith("s") else torch.save(state, tmp_path / name)
    model = load(Params(weights=name), "layer4", resources)
    torch.testing.assert_close(
        model.module.layer4[2].conv3.weight, state["layer4.2.conv3.weight"], rtol=0, atol=0
    )
    assert model.module.fc.weight.is_meta
    assert model.provenance == name


def broken(state, change):
    state = dict(state)
    if change == "missing":
        del state["layer1.0.conv1.weight"]
    elif change == "unknown":
        state["layer5.weight"] = torch.zeros(1)
    else:
        state["conv1.weight"] = torch.zeros(64, 3, 7, 7)
    return state


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", r"1 tensors missing \(first: layer1.0.conv1.weight\), 0 unknown"),
        ("unknown", r"0 tensors missing, 1 unknown \(first: layer5.weight\)"),
        ("shape", r"conv1.weight has shape \(64, 3, 7, 7\), expected \(64, 3, 3, 3\)"),
    ],
)
def test_weights_of_another_architecture_are_refused(resources, state, tmp_path, change, message):
    torch.save(broken(state, change), tmp_path / "own.pt")
    with pytest.raises(FileError, match=message):
        load(Params(weights="own.pt"), "layer1", resources)


def test_a_missing_file_is_named(resources):
    with pytest.raises(FileError, match=r"nowhere\.pt.*no such file"):
        load(Params(weights="nowhere.pt"), "layer1", resources)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x02cos\nsystem\n."])
@pytest.mark.parametrize("name", ["own.pt", "own.safetensors"])
def test_files_that_are_no_state_dict_are_refused(resources, tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=r"not a \.safetensors file or a PyTorch state dict"):
        load(Params(weights=name), "layer1", resources)


def test_a_pickled_network_is_refused_without_being_run(resources, tmp_path):
    torch.save(torch.nn.Linear(1, 1), tmp_path / "own.pt")
    with pytest.raises(FileError, match="state dict"):
        load(Params(weights="own.pt"), "layer1", resources)
    torch.save([1, 2], tmp_path / "own.pt")
    with pytest.raises(FileError, match="a mapping name -> tensor"):
        load(Params(weights="own.pt"), "layer1", resources)


# ----------------------------------------------------------------------------------- registering


def test_layers_have_paths_that_exist_and_groups():
    spec, _ = plugin.iibench_register_models()
    layers = list(plugin.iibench_register_layers(spec))
    paths = {name for name, _ in plugin.architecture().named_modules()}
    assert {layer.path for layer in layers} <= paths
    assert [layer.name for layer in layers if layer.group == "layer1"] == [
        "layer1.0",
        "layer1.1",
        "layer1",
    ]
    assert {layer.group for layer in layers} == {"stem", "layer1", "layer2", "layer3", "layer4"}
    assert len({layer.name for layer in layers}) == len(layers)


# --------------------------------------------------------------------------------- whole network


@pytest.mark.shared
@pytest.mark.slow
def test_the_whole_network_knows_cifar10(tmp_path):
    """86.2 % of all 10,000 test images; here every 40th, so within the sampling error of 250."""
    if not WHOLE.is_file():
        pytest.skip(f"needs {WHOLE}")
    resources = LocalResources(WHOLE.parent, tmp_path / "cache", offline=True)
    with zipfile.ZipFile(SHARED / "data/cifar10-jpeg-test.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))
        classes = sorted({n.partition("/")[0] for n in names})
        chosen = names[::40]
        images = np.stack(
            [np.asarray(Image.open(io.BytesIO(archive.read(n))).convert("RGB")) for n in chosen]
        )
    model = load(Params(), "fc", resources)
    labels = np.array([classes.index(n.partition("/")[0]) for n in chosen])
    accuracy = (values(model, "fc", images).argmax(1) == labels).mean()
    assert 0.79 < accuracy < 0.93
    layer1 = load(Params(), "layer1", resources)
    np.testing.assert_allclose(  # the whole file is float16
        values(model, "layer1", images[:50]), values(layer1, "layer1", images[:50]), atol=5e-3
    )
