"""timm's networks: random, published and own weights; no test downloads anything unless marked."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from iibench.assets.download import unreachable
from iibench.contract.errors import AssetError, FileError, UsageError
from iibench.hooks.loading import load_plugins
from iibench.suite.load import load_suite
from iibench_plugins._shared import loading as _loading
from iibench_plugins.models import _hub
from iibench_plugins.models.timm_models import Params, load, variants

timm = pytest.importorskip("timm", reason="needs iibench[timm]")
hub = pytest.importorskip("huggingface_hub", reason="needs iibench[timm]")

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = ((0.5,) * 3, (0.5,) * 3)
URL = "https://huggingface.co/timm/resnet10t.c3_in1k/resolve/main/model.safetensors"


@pytest.fixture(autouse=True)
def empty_hub_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def network(name, seed, **options):
    """timm's own, with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return timm.create_model(name, pretrained=False, **options)


def test_variants_are_networks_with_and_without_a_tag():
    names = variants()
    assert {"resnet10t", "resnet10t.c3_in1k", "vit_tiny_patch16_224", "convnext_tiny"} <= set(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("name", "layer", "shape", "statistics"),
    [
        ("resnet10t", "conv1.0", (2, 24, 48, 48), IMAGENET),
        ("resnet10t", "layer1", (2, 64, 24, 24), IMAGENET),
        ("resnet10t", "layer4.0.bn2", (2, 512, 3, 3), IMAGENET),
        ("test_efficientnet", "blocks.1", (2, 24, 24, 24), IMAGENET),
        ("test_vit", "blocks.1.mlp.fc1", (2, 37, 192), HALVES),
    ],
)
def test_activations_are_those_of_timms_own_forward(
    offline, pictures, tapped, hooked, name, layer, shape, statistics
):
    model = load(Params(name, "none", seed=3, size=96), layer, offline)
    own = network(name, 3, **({"img_size": 96} if name == "test_vit" else {}))
    images = pictures(96)
    output = hooked(own, layer, images, *statistics)
    assert output.shape == shape
    expected = output.mean((2, 3)) if output.ndim == 4 else output.mean(1)
    np.testing.assert_allclose(tapped(model, layer, images), expected, rtol=1e-4, atol=1e-5)
    if output.ndim == 3:
        np.testing.assert_allclose(
            tapped(model, layer, images, "cls"), output[:, 0], rtol=1e-4, atol=1e-5
        )


def test_input_is_that_of_timms_configuration(offline):
    model = load(Params("resnet10t.c3_in1k", "none"), "layer1", offline)
    config = timm.get_pretrained_cfg("resnet10t.c3_in1k")
    found = model.preprocess
    assert (found.mean, found.std) == (config.mean, config.std)
    assert (3, found.size, found.size) == config.input_size
    assert load(Params("resnet10t", "none", size=64), "layer1", offline).preprocess.size == 64


@pytest.mark.usefixtures("generator_kept")
def test_random_weights_follow_the_seed(offline, is_frozen):
    first, same, other = (
        load(Params("resnet10t", "none", seed=s), "layer1", offline) for s in (0, 0, 1)
    )
    weights = [m.module.layer1[0].conv1.weight for m in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert is_frozen(first.module)
    assert first.provenance == "random, seed 0"


def test_the_fingerprint_follows_timms_version(offline, monkeypatch):
    before = load(Params("resnet10t", "none"), "layer1", offline).fingerprint
    assert len(before) == 64
    assert load(Params("resnet10t", "none", seed=1), "layer1", offline).fingerprint == before
    monkeypatch.setattr(_loading, "version", lambda name: "0.0")
    assert load(Params("resnet10t", "none"), "layer1", offline).fingerprint != before


# ------------------------------------------------------------------------------------ published


def saved(path, seed=5, name="resnet10t"):
    """A file as the hub has it."""
    state = network(name, seed).state_dict()
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return state


def assert_holds(module, state):
    assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())


@pytest.mark.usefixtures("generator_kept")
def test_published_weights_may_lie_in_the_data_folder(offline, is_frozen):
    state = saved(offline.data_dir / "timm-resnet10t.c3_in1k.safetensors")
    model = load(Params("resnet10t"), "layer1", offline)
    assert_holds(model.module, state)
    assert is_frozen(model.module)
    assert model.provenance == "timm resnet10t.c3_in1k, timm-resnet10t.c3_in1k.safetensors"
    assert "state_dict" not in model.module.pretrained_cfg  # it would be kept twice
    assert model.preprocess.size == 176


def test_published_weights_are_turned_by_timm_into_its_present_form(offline):
    """A transformer's position embedding is resized for another size of images."""
    state = saved(offline.data_dir / "timm-test_vit.r160_in1k.safetensors", name="test_vit")
    model = load(Params("test_vit", size=80), "blocks.0", offline)
    assert state["pos_embed"].shape[1] == 1 + 100
    assert model.module.pos_embed.shape[1] == 1 + 25
    assert torch.equal(model.module.blocks[0].attn.qkv.weight, state["blocks.0.attn.qkv.weight"])
    assert model.module(torch.zeros(1, 3, 80, 80)).shape == (1, 1000)


def test_published_weights_may_lie_in_the_hubs_cache(offline, tmp_path):
    snapshot = tmp_path / "hub/models--timm--resnet10t.c3_in1k/snapshots/abc"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs/main").write_text("abc")
    state = saved(snapshot / "model.safetensors")
    assert_holds(load(Params("resnet10t.c3_in1k"), "layer1", offline).module, state)


def test_the_hub_is_asked_for_a_safe_file_first(online, tmp_path, monkeypatch):
    """Where there is none, the pickle is read as tensors and nothing else."""
    asked = []

    def metadata(url, timeout):
        asked.append((url.rpartition("/")[2], timeout))
        if url.endswith(".safetensors"):
            raise hub.utils.LocalEntryNotFoundError("no such file")

    monkeypatch.setattr(hub, "get_hf_file_metadata", metadata)
    monkeypatch.setattr(hub, "hf_hub_download", lambda repository, name: str(tmp_path / name))
    state = saved(tmp_path / "pytorch_model.bin")
    assert_holds(load(Params("resnet10t"), "layer1", online).module, state)
    assert asked == [("model.safetensors", _hub.TIMEOUT), ("pytorch_model.bin", _hub.TIMEOUT)]
    assert _hub.TIMEOUT <= 10
    torch.save(torch.nn.Linear(1, 1), tmp_path / "pytorch_model.bin")
    with pytest.raises(AssetError, match="Unsupported global"):
        load(Params("resnet10t"), "layer1", online)


def test_weights_that_cannot_be_had_say_where_to_put_the_file(online, monkeypatch):
    def no_route(url, timeout):
        raise OSError("no route to host")

    monkeypatch.setattr(hub, "get_hf_file_metadata", no_route)
    with pytest.raises(AssetError) as error:
        load(Params("resnet10t"), "layer1", online)
    message = str(error.value)
    assert "the weights of timm:resnet10t cannot be had (no route to host)" in message
    assert URL in message
    assert str(online.data_dir / "timm-resnet10t.c3_in1k.safetensors") in message
    assert "weights: PATH" in message


def test_nothing_is_asked_of_the_hub_offline(offline, monkeypatch):
    monkeypatch.setattr(hub, "get_hf_file_metadata", pytest.fail)
    with pytest.raises(AssetError, match="offline: nothing is downloaded"):
        load(Params("resnet10t"), "layer1", offline)


def test_weights_that_only_have_an_address(offline):
    saved(offline.data_dir / "seresnet18-4bb0ce65.pth", name="legacy_seresnet18")
    load(Params("legacy_seresnet18"), "layer1", offline)
    (offline.data_dir / "seresnet18-4bb0ce65.pth").unlink()
    with pytest.raises(AssetError, match=r"from https://github.com/.*seresnet18-4bb0ce65.pth"):
        load(Params("legacy_seresnet18"), "layer1", offline)


def test_a_damaged_file_is_refused(offline):
    path = offline.data_dir / "timm-resnet10t.c3_in1k.safetensors"
    save_file({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(AssetError, match=r"resnet10t.*do not fit timm:resnet10t: .*Missing key"):
        load(Params("resnet10t"), "layer1", offline)


@pytest.mark.network
def test_a_small_network_is_downloaded(online):
    if unreachable(["https://huggingface.co"]):
        pytest.skip("huggingface.co cannot be reached")
    model = load(Params("test_resnet.r160_in1k"), "layer1", online)
    assert model.provenance.startswith("timm test_resnet.r160_in1k, ")


# ------------------------------------------------------------------------------------------ own


def test_own_weights_are_loaded_strictly(offline, tmp_path):
    state = network("resnet10t", 1, num_classes=7).state_dict()
    torch.save(state, tmp_path / "own.pt")
    model = load(Params("resnet10t", "own.pt", classes=7), "fc", offline)
    assert_holds(model.module, state)
    assert model.provenance == "own.pt"
    with pytest.raises(
        FileError,
        match=r"do not fit timm:resnet10t: fc\.weight has shape \(7, 512\), expected \(1000, 512\)",
    ):
        load(Params("resnet10t", "own.pt"), "fc", offline)
    with pytest.raises(FileError, match=r"tensors missing \(.* more\), .* unknown \("):
        load(Params("test_vit", "own.pt"), "fc", offline)
    with pytest.raises(FileError, match="no such file"):
        load(Params("resnet10t", "other.pt"), "fc", offline)
    state["fc.bias"][2] = torch.nan
    torch.save(state, tmp_path / "own.pt")
    with pytest.raises(FileError, match=r"not finite: fc\.bias"):
        load(Params("resnet10t", "own.pt", classes=7), "fc", offline)


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (Params(), "needs a variant, e.g. timm:resnet10t"),
        (Params("resnet10"), "unknown network of timm 'resnet10'; nearest: resnet10t"),
        (Params("resnet10t", classes=3), r"found classes 3 with timm's own weights"),
        (Params("test_vit_relpos", "none", size=7), "timm cannot make test_vit_relpos with size 7"),
        (
            Params("test_vit", "none", size=50),
            "does not take images of 50 x 50 pixels: .*divisible",
        ),
    ],
)
def test_mistakes_are_named(offline, params, message):
    with pytest.raises(UsageError, match=message):
        load(params, "layer1", offline)


def test_a_network_without_published_weights_says_so(offline):
    name = next(
        name
        for name in timm.list_models()
        if (config := timm.get_pretrained_cfg(name)) and not (config.hf_hub_id or config.url)
    )
    with pytest.raises(AssetError, match=f"timm has no weights of {name}"):
        load(Params(name), "stem", offline)


def test_a_missing_library_is_named_with_what_to_install(monkeypatch, offline):
    monkeypatch.setitem(sys.modules, "timm", None)  # as if it were not installed
    with pytest.raises(AssetError, match=r"package timm.*pip install 'iibench\[timm\]'"):
        load(Params("resnet10t", "none"), "layer1", offline)
    with pytest.raises(AssetError, match=r"pip install 'iibench\[timm\]'"):
        variants()


def test_a_suite_names_networks_and_tags(tmp_path):
    (tmp_path / "suite.yaml").write_text(
        """
iibench: "1"
name: timmsuite
dataset: {name: photo_patches}
models:
  - {name: "timm:resnet10t.c3_in1k", weights: none, size: 64, layers: [layer1]}
finders: [neurons]
metrics: [color]
evaluations: [ii]
"""
    )
    suite = load_suite(tmp_path / "suite.yaml", load_plugins().registry)
    ((model, layers),) = suite.models
    assert model.label == "timm:resnet10t.c3_in1k[weights=none,size=64]"
    assert [layer.path for layer in layers] == ["layer1"]
