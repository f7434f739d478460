"""open_clip's image towers against open_clip's own networks; no test downloads anything."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from iibench.contract.errors import AssetError, FileError, UsageError
from iibench.hooks.loading import load_plugins
from iibench.suite.load import load_suite
from iibench_plugins.models.open_clip_models import Params, load, variants

open_clip = pytest.importorskip("open_clip", reason="needs iibench[open-clip]")
hub = pytest.importorskip("huggingface_hub", reason="needs iibench[open-clip]")

OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
SMALL = "PE-Core-T-16-384"  # the smallest with published weights


@pytest.fixture(autouse=True)
def empty_hub_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="module")
def whole():
    """open_clip's own networks with random weights; of the ResNet, its image tower alone."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformer = open_clip.create_model("ViT-S-32")
        torch.manual_seed(0)
        resnet = open_clip.model.ModifiedResNet((3, 4, 6, 3), 1024, 32)
    return {"ViT-S-32": transformer, "RN50": SimpleNamespace(visual=resnet)}


@pytest.fixture(scope="module")
def small():
    """The state dict of a small network as open_clip's repositories have it, with a bit of text tower."""
    library = open_clip.get_model_config(SMALL)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        vision = {**library["vision_cfg"], "timm_model_pretrained": False}
        text = {"context_length": 2, "vocab_size": 2, "width": 64, "heads": 1, "layers": 1}
        module = open_clip.CustomTextCLIP(library["embed_dim"], vision, text)
    return {name: tensor.contiguous() for name, tensor in module.state_dict().items()}


def test_variants_are_open_clips_architectures():
    assert {"ViT-B-32", "RN50", "ViT-B-16-SigLIP", SMALL} <= set(variants())
    assert list(variants()) == open_clip.list_models()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layer", "shape"),
    [
        ("ViT-S-32", "visual.transformer.resblocks.0.ln_1", (2, 50, 384)),
        ("ViT-S-32", "visual.transformer.resblocks.3", (2, 50, 384)),
        ("ViT-S-32", "visual.transformer.resblocks.11.mlp.c_fc", (2, 50, 1536)),
        ("RN50", "visual.layer1.0.bn1", (2, 64, 56, 56)),
        ("RN50", "visual.layer2", (2, 512, 28, 28)),
    ],
)
def test_activations_are_those_of_open_clips_own_forward(
    offline, pictures, tapped, hooked, whole, name, layer, shape
):
    model = load(Params(name), layer, offline)
    images = pictures(224)
    visual = whole[name].visual
    output = hooked(visual, layer.removeprefix("visual."), images, *OPENAI)
    assert output.shape == shape
    expected = output.mean(1) if output.ndim == 3 else output.mean((2, 3))
    np.testing.assert_allclose(tapped(model, layer, images), expected, rtol=1e-4, atol=1e-5)
    if output.ndim == 3:
        found = tapped(model, layer, images, "cls")
        np.testing.assert_allclose(found, output[:, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("generator_kept")
def test_there_is_no_text_tower_and_the_image_tower_is_the_whole_networks(
    offline, whole, is_frozen
):
    model = load(Params("ViT-S-32"), "visual", offline)
    own = whole["ViT-S-32"].visual.state_dict()
    found = model.module.state_dict()
    assert set(found) == {f"visual.{name}" for name in own}
    assert all(torch.equal(found[f"visual.{name}"], tensor) for name, tensor in own.items())
    assert is_frozen(model.module)
    assert model.provenance == "random, seed 0"
    other = load(Params("ViT-S-32", "none", seed=1), "visual", offline)
    assert not torch.equal(other.module.visual.conv1.weight, own["conv1.weight"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["roberta-ViT-B-32", "coca_ViT-B-32"])
def test_architectures_with_other_text_towers_need_none_of_their_libraries(offline, name):
    module = load(Params(name), "visual", offline).module
    assert len(module.visual.transformer.resblocks) == 12


@pytest.mark.parametrize(
    ("name", "mean", "size"),
    [
        ("ViT-S-32", OPENAI[0], 224),  # no weights are published: open_clip's default
        (SMALL, (0.5, 0.5, 0.5), 384),  # what all of its published weights want
    ],
)
def test_input_without_a_tag(offline, name, mean, size):
    found = load(Params(name), "visual", offline).preprocess
    assert (found.mean, found.size) == (mean, size)


def test_input_where_tags_disagree(offline, monkeypatch):
    tags = {
        "a": {"mean": (0.1,) * 3, "std": (1.0,) * 3},
        "b": {"mean": (0.2,) * 3, "std": (1.0,) * 3},
    }
    monkeypatch.setattr(open_clip, "list_pretrained_tags_by_model", lambda name: list(tags))
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda name, tag: tags.get(tag, {}))
    found = load(Params(SMALL), "visual", offline).preprocess
    assert (found.mean, found.std) == OPENAI


# ------------------------------------------------------------------------------------- weights


def assert_holds(module, state):
    found = module.state_dict()
    assert found
    assert all(torch.equal(tensor, state[name]) for name, tensor in found.items())


@pytest.mark.usefixtures("generator_kept")
def test_the_weights_of_a_tag_may_lie_in_the_data_folder(offline, small, is_frozen):
    path = offline.data_dir / f"open_clip-{SMALL}-meta.safetensors"
    save_file(small, path)
    model = load(Params(SMALL, "meta"), "visual.trunk.blocks.0", offline)
    assert_holds(model.module, small)
    assert is_frozen(model.module)
    assert model.provenance == f"open_clip meta, {path.name}"
    assert (model.preprocess.mean, model.preprocess.size) == ((0.5, 0.5, 0.5), 384)


def test_the_weights_of_a_tag_come_from_the_hub(online, small, tmp_path, monkeypatch):
    asked = []
    save_file(small, tmp_path / "open_clip_model.safetensors")
    monkeypatch.setattr(hub, "get_hf_file_metadata", lambda url, timeout: asked.append(url))
    monkeypatch.setattr(hub, "hf_hub_download", lambda repository, name: str(tmp_path / name))
    assert_holds(load(Params(SMALL, "meta"), "visual", online).module, small)
    address = f"https://huggingface.co/timm/{SMALL}/resolve/main/open_clip_model.safetensors"
    assert asked == [address]


def test_weights_that_cannot_be_had_say_where_to_put_the_file(online, monkeypatch):
    def no_route(url, timeout):
        raise OSError("no route to host")

    monkeypatch.setattr(hub, "get_hf_file_metadata", no_route)
    with pytest.raises(AssetError) as error:
        load(Params(SMALL, "meta"), "visual", online)
    message = str(error.value)
    assert f"the weights of open_clip:{SMALL}, meta cannot be had (no route to host)" in message
    assert f"huggingface.co/timm/{SMALL}/resolve/main/open_clip_model.safetensors" in message
    assert str(online.data_dir / f"open_clip-{SMALL}-meta.safetensors") in message
    assert "pretrained: PATH" in message


def test_weights_that_an_old_open_clip_only_has_an_address_of(offline, monkeypatch):
    tag = {"url": "https://weights.invalid/a.pt", "mean": OPENAI[0], "std": OPENAI[1]}
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda name, tag_name: tag)
    with pytest.raises(AssetError, match=r"upgrade it, or download https://weights.invalid/a.pt"):
        load(Params(SMALL, "meta"), "visual", offline)


@pytest.mark.parametrize("wrapped", [False, True])
def test_own_weights_may_come_with_the_text_tower(offline, small, tmp_path, wrapped):
    """Wrapped: as open_clip's training saves a network that runs on several devices."""
    training = {"epoch": 3, "state_dict": {f"module.{n}": t for n, t in small.items()}}
    torch.save(training if wrapped else small, tmp_path / "own.pt")
    model = load(Params(SMALL, "own.pt"), "visual", offline)
    assert_holds(model.module, small)
    assert model.provenance == "own.pt"


def test_own_weights_are_loaded_strictly(offline, small, tmp_path):
    torch.save(small, tmp_path / "own.pt")
    with pytest.raises(
        FileError, match=r"image tower of open_clip:ViT-S-32: .* missing .*visual\."
    ):
        load(Params("ViT-S-32", "own.pt"), "visual", offline)
    torch.save({"head.weight": torch.zeros(1)}, tmp_path / "own.pt")
    with pytest.raises(FileError, match=r"1 tensor unknown \(head\.weight\)"):
        load(Params("ViT-S-32", "own.pt"), "visual", offline)


# -------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("name", "other"),
    [("ViT-B-32", "ViT-B-32-quickgelu"), ("ViT-B-32-quickgelu", "ViT-B-32")],
)
def test_weights_for_another_activation_function_are_refused(offline, monkeypatch, name, other):
    """open_clip only warns, and every activation would be slightly wrong."""
    wanted = not name.endswith("quickgelu")
    tag = {"quick_gelu": wanted, "hf_hub": "a/b/", "mean": OPENAI[0], "std": OPENAI[1]}
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda name, tag_name: tag)
    with pytest.raises(UsageError, match=f"expected open_clip:{other}$"):
        load(Params(name, "openai"), "visual", offline)


def test_a_residual_network_has_no_such_activation_function(offline):
    with pytest.raises(AssetError, match="cannot be had"):
        load(Params("RN50", "openai"), "visual", offline)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (Params(), "needs a variant, e.g. open_clip:ViT-B-32"),
        (Params("ViT-B-33"), "unknown network of open_clip 'ViT-B-33'; nearest: ViT-B-32"),
        (Params(SMALL, "mete"), rf"weights of open_clip:{SMALL} 'mete'; nearest: meta; nor is"),
    ],
)
def test_mistakes_are_named(offline, params, message):
    with pytest.raises(UsageError, match=message):
        load(params, "visual", offline)


def test_a_missing_library_is_named_with_what_to_install(monkeypatch, offline):
    monkeypatch.setitem(sys.modules, "open_clip", None)  # as if it were not installed
    with pytest.raises(AssetError, match=r"package open_clip.*pip install 'iibench\[open-clip\]'"):
        load(Params("ViT-B-32"), "visual", offline)


def test_a_suite_names_architectures_and_tags(tmp_path):
    (tmp_path / "suite.yaml").write_text(
        """
iibench: "1"
name: clipsuite
dataset: {name: photo_patches}
models:
  - name: "open_clip:ViT-B-32"
    pretrained: laion2b_s34b_b79k
    layers: [visual.transformer.resblocks.3]
finders: [neurons]
metrics: [color]
evaluations: [ii]
"""
    )
    suite = load_suite(tmp_path / "suite.yaml", load_plugins().registry)
    ((model, _),) = suite.models
    assert model.label == "open_clip:ViT-B-32[pretrained=laion2b_s34b_b79k]"
