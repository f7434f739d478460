"""The networks of Zimmermann et al. 2023: names of layers, unchanged outputs, activations of units.

References are the libraries' own networks, never changed, with hooks that copy what they see.
"""

from __future__ import annotations

import functools
import re
import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision import models as torchvision

from iibench.assets.local import LocalResources
from iibench.compute.activations import iter_activations
from iibench.compute.tap import layer_names
from iibench.contract.errors import AssetError, FileError, UsageError
from iibench.contract.specs import LoadedModel
from iibench.hooks.loading import load_plugins
from iibench.suite.load import load_suite
from iibench_plugins.models import imi as plugin
from iibench_plugins.models.imi import Params, load, networks, study_layers, variants

NEEDS = {
    "googlenet": "lucent",
    "clip-resnet50": "open_clip",
    "clip-vit_b32": "open_clip",
    "in1k-vit_b32": "timm",
    "convnext_b": "timm",
}
RESNETS = ["resnet50", "wide_resnet50", "clip-resnet50"]  # resnet50-l2 is built as resnet50 is
CPU = SimpleNamespace(device="cpu")


def needed(variant):
    if variant in NEEDS:
        pytest.importorskip(NEEDS[variant], reason="needs the optional libraries iibench[imi]")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Hundreds of small operations on two images: threads cost more than they bring."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Pair:
    """A network of the plugin, and the library's own with the same weights, never changed."""

    variant: str
    model: LoadedModel
    untouched: torch.nn.Module

    @functools.cached_property
    def path_of(self):
        return {layer.name: layer.path for layer in study_layers(self.variant)}


@pytest.fixture(scope="module", params=variants())
def pair(request):
    """Random weights, and batch-norm statistics that are not 0 and 1; pytest goes network by network."""
    needed(request.param)
    first = study_layers(request.param)[0].path
    model = load(Params(request.param, "random", seed=3), first, CPU)
    generator = torch.Generator().manual_seed(4)
    for module in model.module.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.uniform_(0.5, 1.5, generator=generator)
            module.bias.normal_(0, 0.1, generator=generator)
    return Pair(request.param, model, untouched(request.param, model.module.state_dict()))


def untouched(variant, state):
    """The network as its library builds it, with the weights `state`, in eval mode."""
    if variant.startswith("clip-"):
        import open_clip

        whole = open_clip.create_model(
            "RN50" if variant == "clip-resnet50" else "ViT-B-32", pretrained=None
        )
        module, state = whole.visual, {name.removeprefix("visual."): t for name, t in state.items()}
    elif variant == "googlenet":
        from lucent.modelzoo import inceptionv1

        module = inceptionv1(pretrained=False)
    elif NEEDS.get(variant) == "timm":
        import timm

        names = {"in1k-vit_b32": "vit_base_patch32_224", "convnext_b": "convnext_base"}
        module = timm.create_model(names[variant])
    else:
        names = {"densenet_201": "densenet201", "wide_resnet50": "wide_resnet50_2"}
        module = torchvision.get_model(names.get(variant, "resnet50"))
    module.load_state_dict(state)  # strict: no tensor more or less
    return module.eval()


only = functools.partial(pytest.mark.parametrize, "pair", indirect=True)


@pytest.fixture
def resources(tmp_path, monkeypatch):
    """Empty folders, torch hub's too, and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch/hub"))
    (tmp_path / "data").mkdir()
    return LocalResources(tmp_path / "data", tmp_path / "cache", base_dir=tmp_path, offline=True)


# -------------------------------------------------------------------------------------- names


def judged(variant, name):
    """Whether the study drew units from a layer: the rules of its public code, in words of our own."""
    if variant == "googlenet":
        return name.startswith("mixed") and "pre_relu_conv" in name
    if variant == "densenet_201":
        return bool(
            re.match(r"features_denseblock.*(conv|norm)[12]$", name)
            or re.match(r"features_transition.*(conv|norm)$", name)
        )
    if variant == "in1k-vit_b32":
        return bool(re.match(r"blocks_.*(norm1|ls1|norm2|mlp_fc1|mlp_fc2|ls2)$", name))
    if variant == "clip-vit_b32":
        kinds = "ln_1|ls_1|ln_2|mlp_c_fc|mlp_c_proj|ls_2"
        return bool(re.match(rf"visual_transformer_resblocks_.*({kinds})$", name))
    if variant == "convnext_b":
        return bool(re.match(r"stages_\d+_blocks_\d+($|.*(conv_dw|norm|mlp_fc1|mlp_fc2)$)", name))
    return bool(re.match(r"(visual_)?layer.*(conv[123]|bn[123]|shortcut)$", name))


@pytest.mark.slow
def test_names_are_those_of_the_modules_that_the_study_drew_from(pair):
    paths = layer_names(pair.model.module)
    lookup = {path.replace(".", "_"): path for path in paths}
    assert len(lookup) == len(paths)
    expected = [(name, path) for name, path in lookup.items() if judged(pair.variant, name)]
    layers = study_layers(pair.variant)
    assert sorted((layer.name, layer.path) for layer in layers) == sorted(expected)


def test_the_number_of_layers_of_each_network():
    counts = {variant: len(study_layers(variant)) for variant in variants()}
    assert counts == {
        "googlenet": 54,
        "densenet_201": 4 * 98 + 2 * 3,
        "resnet50": 7 * 16,
        "resnet50-l2": 7 * 16,
        "clip-resnet50": 7 * 16,
        "wide_resnet50": 7 * 16,
        "in1k-vit_b32": 6 * 12,
        "clip-vit_b32": 6 * 12,
        "convnext_b": 6 * 36,
    }
    with pytest.raises(UsageError, match="unknown variant of imi 'resnet5'; nearest: resnet50"):
        study_layers("resnet5")


def test_a_name_means_one_path_whatever_the_network():
    paths = {}
    for variant in variants():
        for layer in study_layers(variant):
            assert paths.setdefault(layer.name, layer.path) == layer.path
            assert variant in layer.summary.split(", ")
    (spec,) = plugin.iibench_register_models()
    registered = list(plugin.iibench_register_layers(spec))
    assert {layer.name: layer.path for layer in registered} == paths
    assert len(registered) == len(paths)
    assert not plugin.iibench_register_layers(SimpleNamespace(name="torchvision"))


@pytest.mark.parametrize(
    ("variant", "name", "path", "group"),
    [
        ("resnet50", "layer1_0_conv2", "layer1.0.conv2", "layer1"),
        ("clip-resnet50", "visual_layer3_5_bn2", "visual.layer3.5.bn2", "layer3"),
        (
            "googlenet",
            "mixed4c_pool_reduce_pre_relu_conv",
            "mixed4c_pool_reduce_pre_relu_conv",
            "mixed4",
        ),
        (
            "densenet_201",
            "features_denseblock4_denselayer32_norm1",
            "features.denseblock4.denselayer32.norm1",
            "denseblock4",
        ),
        ("in1k-vit_b32", "blocks_11_mlp_fc1", "blocks.11.mlp.fc1", "block11"),
        (
            "clip-vit_b32",
            "visual_transformer_resblocks_3_mlp_c_proj",
            "visual.transformer.resblocks.3.mlp.c_proj",
            "block3",
        ),
        ("convnext_b", "stages_2_blocks_26_conv_dw", "stages.2.blocks.26.conv_dw", "stage2"),
        ("convnext_b", "stages_3_blocks_0", "stages.3.blocks.0", "stage3"),
    ],
)
def test_examples_of_names(variant, name, path, group):
    (layer,) = [layer for layer in study_layers(variant) if layer.name == name]
    assert (layer.path, layer.group) == (path, group)


def test_a_suite_names_layers_and_units_as_the_study_does(tmp_path):
    (tmp_path / "suite.yaml").write_text(
        """
iibench: "1"
name: judged
dataset: photo_patches
models:
  - name: imi:resnet50
    weights: random
    layers: [layer1_0_conv2, layer3_4_shortcut]
finders:
  - name: neurons
    units: [36, 130]
metrics: [color]
evaluations: [ii]
"""
    )
    registry = load_plugins().registry
    suite = load_suite(tmp_path / "suite.yaml", registry)
    ((model, layers),) = suite.models
    assert model.label == "imi:resnet50[weights=random]"
    assert [layer.path for layer in layers] == ["layer1.0.conv2", "layer3.4.shortcut"]
    assert [finder.label for finder in suite.finders] == ["neurons[units=36+130]"]


@pytest.mark.slow
def test_the_text_tower_does_not_resolve():
    needed("clip-vit_b32")
    name = "transformer_resblocks_0_ln_1"
    assert name not in {layer.name for layer in study_layers("clip-vit_b32")}
    for wrong in (name, "transformer.resblocks.0.ln_1"):
        with pytest.raises(UsageError) as error:
            load(Params("clip-vit_b32", "random"), wrong, CPU)
        assert f"unknown layer of imi:clip-vit_b32 {wrong!r}; nearest: visual." in str(error.value)
        assert "the text tower sees no image" in str(error.value)


# ------------------------------------------------------------------------------------ outputs


@pytest.mark.slow
@only([*RESNETS, "densenet_201", "clip-vit_b32"])
def test_what_was_changed_leaves_the_output_as_it_was(pair):
    side = 224 if pair.variant.startswith("clip-") else 96
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    with torch.inference_mode():
        found, expected = pair.model.module(x), pair.untouched(x)
    assert torch.equal(x, before)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.slow
@only([*RESNETS, "densenet_201"])
def test_no_relu_works_in_place(pair):
    relus = [m for m in pair.model.module.modules() if isinstance(m, torch.nn.ReLU)]
    assert relus
    assert not any(relu.inplace for relu in relus)


# -------------------------------------------------------------------------------- activations

MEAN_OVER = {3: (1,), 4: (2, 3)}  # tokens; height and width


def tapped(pair, layer, images):
    batches = iter_activations(
        pair.model, layer, "mean", lambda i: images[i], np.arange(len(images))
    )
    return np.concatenate([rows for _, rows in batches])


def reference(pair, paths, images):
    """path -> the module's output (float64), copied before anything can change it."""
    variant = pair.variant
    scale = {"googlenet": 255.0}.get(variant, 1.0)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 255 * scale
    mean, std = STATISTICS[variant]
    x = ((x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]).float()
    seen, handles = {}, []

    def hook(path, m, args, output):
        seen[path] = output.clone().double().numpy()

    for path in paths:
        part = pair.untouched.get_submodule(path.removeprefix("visual."))
        handles.append(part.register_forward_hook(functools.partial(hook, path)))
    with torch.inference_mode():
        pair.untouched(x)
    for handle in handles:
        handle.remove()
    return seen


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
STATISTICS = dict.fromkeys(variants(), IMAGENET) | {
    "googlenet": ((117.0,) * 3, (1.0,) * 3),  # of x * 255
    "in1k-vit_b32": ((0.5,) * 3, (0.5,) * 3),
    "clip-vit_b32": CLIP,
    "clip-resnet50": CLIP,
}
#: layers of every kind, with the number of their channels
TAPPED = {
    "googlenet": {
        "mixed3a_5x5_pre_relu_conv": 32,
        "mixed4a_3x3_pre_relu_conv": 204,
        "mixed5b_pool_reduce_pre_relu_conv": 128,
    },
    "densenet_201": {
        "features_denseblock1_denselayer2_norm1": 96,
        "features_denseblock1_denselayer2_conv1": 128,
        "features_transition1_conv": 128,
        "features_denseblock4_denselayer32_conv2": 32,
    },
    "resnet50": {
        "layer1_0_conv2": 64,
        "layer1_0_bn1": 64,
        "layer1_0_bn3": 256,
        "layer2_1_bn2": 128,
        "layer4_2_conv3": 2048,
    },
    "wide_resnet50": {"layer1_1_bn2": 128, "layer3_5_conv2": 512},
    "clip-resnet50": {
        "visual_layer1_0_bn1": 64,
        "visual_layer2_0_conv3": 512,
        "visual_layer2_0_bn3": 512,
        "visual_layer3_5_bn2": 256,
    },
    "in1k-vit_b32": {
        "blocks_0_norm1": 768,
        "blocks_0_ls1": 768,
        "blocks_5_mlp_fc1": 3072,
        "blocks_11_ls2": 768,
    },
    "clip-vit_b32": {
        "visual_transformer_resblocks_0_ln_1": 768,
        "visual_transformer_resblocks_0_ls_1": 768,
        "visual_transformer_resblocks_5_mlp_c_fc": 3072,
        "visual_transformer_resblocks_11_ls_2": 768,
    },
    "convnext_b": {
        "stages_0_blocks_0_conv_dw": 128,
        "stages_0_blocks_0_norm": 128,
        "stages_0_blocks_0_mlp_fc1": 512,
        "stages_1_blocks_0_mlp_fc2": 256,
        "stages_1_blocks_2": 256,
        "stages_3_blocks_2_mlp_norm": 4096,
    },
}
#: outputs whose channels come last
CHANNELS_LAST = re.compile(r"stages.*(norm|fc1|fc2)$")


def images_for(variant):
    side = 229 if variant == "googlenet" else 224
    return np.random.default_rng(1).integers(0, 256, (2, side, side, 3), dtype=np.uint8)


@pytest.mark.slow
@only(TAPPED)
def test_a_unit_is_the_mean_of_what_its_module_gives(pair):
    images = images_for(pair.variant)
    path_of = pair.path_of
    outputs = reference(pair, [path_of[name] for name in TAPPED[pair.variant]], images)
    for name, channels in TAPPED[pair.variant].items():
        output = outputs[path_of[name]]
        if CHANNELS_LAST.match(path_of[name]):
            assert output.shape[1] == output.shape[2] != output.shape[3]
            expected = output.mean((1, 2))
        else:
            expected = output.mean(MEAN_OVER[output.ndim])
        assert expected.shape == (2, channels), name
        found = tapped(pair, path_of[name], images)
        np.testing.assert_allclose(
            found, expected, rtol=1e-3, atol=2e-5 * abs(output).max(), err_msg=name
        )


@pytest.mark.slow
@only(RESNETS)
def test_the_shortcut_is_the_sum_before_the_last_relu(pair):
    visual = "visual." if pair.variant.startswith("clip-") else ""
    images = images_for(pair.variant)
    blocks = [f"{visual}{name}" for name in ("layer1.0", "layer1.1", "layer2.0")]
    inner = [f"{blocks[0]}.downsample", f"{blocks[2]}.downsample", *(f"{b}.bn3" for b in blocks)]
    outputs = reference(pair, [*blocks, *inner], images)
    added = [outputs[inner[0]], outputs[blocks[0]], outputs[inner[1]]]
    for block, other in zip(blocks, added, strict=True):
        total = outputs[f"{block}.bn3"] + other
        np.testing.assert_allclose(np.maximum(total, 0), outputs[block], rtol=1e-5, atol=1e-5)
        assert total.min() < 0
        found = tapped(pair, f"{block}.shortcut", images)
        atol = 2e-5 * abs(total).max()
        np.testing.assert_allclose(found, total.mean((2, 3)), rtol=1e-3, atol=atol)


@pytest.mark.slow
@only([*RESNETS, "densenet_201"])
def test_values_are_signed(pair):
    names = {
        "densenet_201": ["features_denseblock1_denselayer3_norm1"],
        "clip-resnet50": ["visual_layer1_0_bn1", "visual_layer1_0_bn2"],
    }.get(pair.variant, ["layer1_0_bn1", "layer1_0_bn2"])
    for name in names:
        assert (tapped(pair, pair.path_of[name], images_for(pair.variant)) < 0).any(), name


@pytest.mark.slow
@only(["in1k-vit_b32"])
def test_tokens_are_averaged_with_the_class_token(pair):
    images = images_for(pair.variant)
    output = reference(pair, ["blocks.3.mlp.fc2"], images)["blocks.3.mlp.fc2"]
    assert output.shape == (2, 50, 768)
    found = tapped(pair, "blocks.3.mlp.fc2", images)
    np.testing.assert_allclose(found, output.sum(1) / 50, rtol=1e-3, atol=1e-5)
    assert abs(found - output[:, 1:].mean(1)).max() > 1e-4


def test_inputs_are_those_of_the_study():
    preprocess = networks.NETWORKS["googlenet"].preprocess
    assert preprocess.size == 229
    x = np.linspace(0, 1, 256)
    np.testing.assert_allclose(
        (x - preprocess.mean[0]) / preprocess.std[0], x * 255 - 117, atol=1e-9
    )
    timm = pytest.importorskip("timm")
    config = timm.get_pretrained_cfg("vit_base_patch32_224.augreg_in1k")
    ours = networks.NETWORKS["in1k-vit_b32"].preprocess
    assert (ours.mean, ours.std, (3, ours.size, ours.size)) == (
        config.mean,
        config.std,
        config.input_size,
    )


@only(["googlenet"])
def test_googlenet_is_lucents(pair):
    assert pair.model.module.softmax2_pre_activation_matmul.out_features == 1008
    with pytest.raises(UsageError, match="unknown layer of imi:googlenet 'inception4a'"):
        load(Params("googlenet", "random"), "inception4a", CPU)


# ----------------------------------------------------------------------------- optional libraries


@pytest.mark.parametrize(
    ("variant", "module", "command"),
    [
        ("googlenet", "lucent.modelzoo", "pip install --no-deps torch-lucent"),
        ("in1k-vit_b32", "timm", "pip install timm"),
        ("convnext_b", "timm", "pip install timm"),
        ("clip-resnet50", "open_clip.modified_resnet", "pip install open_clip_torch"),
        ("clip-vit_b32", "open_clip.transformer", "pip install open_clip_torch"),
    ],
)
def test_a_missing_library_is_named_with_what_to_install(monkeypatch, variant, module, command):
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    with pytest.raises(AssetError) as error:
        load(Params(variant, "random"), "any", CPU)
    assert str(error.value).endswith(command)


def test_inception_is_taken_from_lucent_without_its_weights(monkeypatch):
    class Small(torch.nn.Module):
        def __init__(self, pretrained):
            super().__init__()
            assert not pretrained  # it would be downloaded
            self.mixed3a_1x1_pre_relu_conv = torch.nn.Conv2d(3, 5, 1)

        def forward(self, x):
            return self.mixed3a_1x1_pre_relu_conv(x)

    fake = ModuleType("lucent.modelzoo")
    fake.inceptionv1 = Small
    monkeypatch.setitem(sys.modules, "lucent", ModuleType("lucent"))
    monkeypatch.setitem(sys.modules, "lucent.modelzoo", fake)
    layer = "mixed3a_1x1_pre_relu_conv"
    model = load(Params("googlenet", "random"), layer, CPU)
    images = np.random.default_rng(0).integers(0, 256, (2, 229, 229, 3), dtype=np.uint8)
    ((_, found),) = iter_activations(model, layer, "mean", lambda i: images[i], np.arange(2))
    conv = model.module.mixed3a_1x1_pre_relu_conv
    colour = images.mean((1, 2)) - 117
    expected = colour @ conv.weight[:, :, 0, 0].double().numpy().T + conv.bias.double().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_an_open_clip_that_puts_tokens_first_is_refused(monkeypatch):
    fake = ModuleType("open_clip.transformer")
    fake.VisionTransformer = lambda **options: SimpleNamespace(transformer=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "open_clip", ModuleType("open_clip"))
    monkeypatch.setitem(sys.modules, "open_clip.transformer", fake)
    with pytest.raises(AssetError, match=r"images first, as since 2\.26"):
        load(Params("clip-vit_b32", "random"), "any", CPU)


# ------------------------------------------------------------------------------------- weights


@pytest.mark.slow
def test_random_weights_follow_the_seed_and_leave_torchs_generator_alone(resources):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, same, other = (
        load(Params("densenet_201", "random", seed=s), "features.conv0", resources)
        for s in (0, 0, 1)
    )
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
    weight = first.module.features.conv0.weight
    assert torch.equal(weight, same.module.features.conv0.weight)
    assert not torch.equal(weight, other.module.features.conv0.weight)
    assert first.provenance == "random, seed 0"
    assert not any(m.training for m in first.module.modules())
    assert not weight.requires_grad


@pytest.mark.slow
def test_a_checkpoint_of_robust_training_gives_its_network(resources):
    """The published file: the state dict lies under "model", beside that of the attack."""
    torch.manual_seed(1)
    state = torchvision.resnet50().state_dict()
    model = {f"module.model.{name}": tensor for name, tensor in state.items()}
    model |= {
        "module.attacker.model.fc.bias": torch.ones(1000),
        "module.normalizer.new_mean": torch.ones(3),
    }
    torch.save({"model": model, "epoch": 3}, resources.data_dir / "resnet50_l2_eps3.ckpt")
    loaded = load(Params("resnet50-l2"), "layer1.0.shortcut", resources)
    for name, tensor in loaded.module.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert "2 tensors of other parts left out" in loaded.provenance
    assert re.search(r"resnet50_l2_eps3.ckpt, SHA-256 [0-9a-f]{64}", loaded.provenance)


@only(["clip-resnet50"])
def test_clip_weights_may_come_with_the_text_tower(pair, resources):
    state = {name: t.half() for name, t in pair.model.module.state_dict().items()}
    text = {"token_embedding.weight": torch.ones(2, 2), "logit_scale": torch.ones(())}
    save_file(state | text, resources.data_dir / "imi-clip-resnet50.safetensors")
    loaded = load(Params("clip-resnet50"), "visual.layer1.0.bn1", resources)
    weight = loaded.module.visual.layer1[0].conv1.weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, state["visual.layer1.0.conv1.weight"].float())
    assert "2 tensors of other parts left out" in loaded.provenance


@pytest.mark.slow
def test_densenets_first_file_is_understood(resources, tmp_path):
    torch.manual_seed(2)
    state = torchvision.densenet201().state_dict()
    dotted = {
        re.sub(r"(denselayer\d+\.)(norm|conv)(\d)\.", r"\1\2.\3.", name): tensor
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in dotted
    torch.save(dotted, tmp_path / "densenet.pth")
    loaded = load(Params("densenet_201", path="densenet.pth"), "features.conv0", resources)
    for name, tensor in loaded.module.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert loaded.provenance.startswith("densenet.pth, SHA-256 ")
    assert "left out" not in loaded.provenance


@pytest.mark.slow
def test_torchvisions_weights_are_those_of_the_study(resources, monkeypatch):
    asked = []

    def pretrained(builder, weights, resources):
        asked.append((builder, weights.url.rpartition("/")[2]))
        return torchvision.get_model(builder)

    from iibench_plugins.models.imi import weights as _imi_weights

    monkeypatch.setattr(_imi_weights, "pretrained_network", pretrained)
    for variant in ("resnet50", "wide_resnet50", "densenet_201"):
        layer = study_layers(variant)[-1].path
        assert load(Params(variant), layer, resources).provenance.startswith("torchvision ")
    assert asked == [
        ("resnet50", "resnet50-0676ba61.pth"),
        ("wide_resnet50_2", "wide_resnet50_2-9ba9bcbe.pth"),
        ("densenet201", "densenet201-c1103571.pth"),
    ]


@pytest.mark.parametrize(
    ("variant", "address"),
    [
        ("googlenet", "pytorch-old-tensorflow-models"),
        ("resnet50-l2", "madrylab/robust-imagenet-models"),
        ("clip-resnet50", "timm/resnet50_clip.openai"),
        ("clip-vit_b32", "CLIP-ViT-B-32-laion2B-s34B-b79K"),
        ("in1k-vit_b32", "vit_base_patch32_224.augreg_in1k"),
        ("convnext_b", "convnext_base.fb_in1k"),
    ],
)
def test_missing_weights_say_what_to_put_where(resources, variant, address):
    with pytest.raises(AssetError) as error:
        load(Params(variant), study_layers(variant)[0].path, resources)
    message = str(error.value)
    assert address in message
    assert str(resources.data_dir / networks.NETWORKS[variant].weights.filename) in message
    assert "'path'" in message


@pytest.mark.slow
def test_weights_that_do_not_fit_are_refused(resources, tmp_path):
    whole = torchvision.resnet50().state_dict()
    wrong = {
        r"265 tensors missing \(first: conv1\.weight\), 1 tensors unknown \(first: stem\)$": {
            "stem": torch.zeros(1),
            **{n: t for n, t in whole.items() if n.endswith("num_batches_tracked")},
            "fc.weight": whole["fc.weight"],
            "fc.bias": whole["fc.bias"],
        },
        r"fc\.bias has shape \(7,\), expected \(1000,\)$": whole | {"fc.bias": torch.zeros(7)},
    }
    for message, state in wrong.items():
        torch.save(state, tmp_path / "own.pth")
        with pytest.raises(FileError, match=r"own\.pth' do not fit imi:resnet50: " + message):
            load(Params("resnet50", path="own.pth"), "layer1", resources)
    with pytest.raises(FileError, match=r"nowhere\.pth.*no such file"):
        load(Params("resnet50", path="nowhere.pth"), "layer1", resources)
    with pytest.raises(UsageError, match="expected one of the two"):
        load(Params("resnet50", "random", path="own.pth"), "layer1", resources)
    with pytest.raises(UsageError, match="unknown variant of imi 'resnet51'; nearest: resnet50"):
        load(Params("resnet51"), "layer1", resources)
