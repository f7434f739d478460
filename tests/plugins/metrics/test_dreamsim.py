"""DreamSim against the `dreamsim` package's own loader, on generated files in the layout of its zips.

The networks are narrow, so that a zip is made in a moment; one slow test has them in full width. The
package gets its DINO and DINOv2 from torch hub: there it is given timm's transformers with the same
weights, code that the plugin does not use.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import warnings
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from iibench.assets.local import LocalResources, default_cache_dir, default_data_dir, find_local
from iibench.compute.images import to_unit_range
from iibench.contract.errors import AssetError, CaseError
from iibench_plugins.metrics import dreamsim as plugin
from iibench_plugins.metrics.dreamsim import Params
from iibench_plugins.metrics.dreamsim.files import DINO, DINOV2, VARIANTS
from iibench_plugins.metrics.dreamsim.network import IMAGENET, OPENAI, resampled

SPEC = next(iter(plugin.iibench_register_metrics()))
WHY = "needs the package dreamsim (pip install 'iibench[dreamsim]')"
WIDTH, HEADS, EMBEDDING = 24, 2, 10


@pytest.fixture(scope="module")
def package():
    """The package's `model` module, imported once: it imports peft and transformers."""
    pytest.importorskip("dreamsim", reason=WHY)
    from dreamsim import model

    return model


@pytest.fixture
def narrow(package, monkeypatch):
    """The package's vision transformers are WIDTH wide instead of 768."""
    from dreamsim.feature_extraction import (
        load_clip_as_dino,
        load_open_clip_as_dino,
        load_synclr_as_dino,
        vision_transformer,
    )

    def vit_base(patch_size=16):
        return vision_transformer.VisionTransformer(
            patch_size=patch_size,
            embed_dim=WIDTH,
            num_heads=HEADS,
            qkv_bias=True,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        )

    for module in (
        vision_transformer,
        load_clip_as_dino,
        load_open_clip_as_dino,
        load_synclr_as_dino,
    ):
        monkeypatch.setattr(module, "vit_base", vit_base)


@pytest.fixture
def resources(tmp_path, monkeypatch):
    """Nothing can be fetched; torch hub's folder is empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "data").mkdir()
    return LocalResources(tmp_path / "data", tmp_path / "cache", offline=True)


# -------------------------------------------------------------------------- published files


def shapes(patch, width, patches):
    """Name -> shape of a vision transformer's tensors, as DINO, CLIP and SynCLR are published."""
    found = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 1 + patches, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    for number in range(12):
        for layer, shape in {
            "norm1": (width,),
            "attn.qkv": (3 * width, width),
            "attn.proj": (width, width),
            "norm2": (width,),
            "mlp.fc1": (4 * width, width),
            "mlp.fc2": (width, 4 * width),
        }.items():
            found[f"blocks.{number}.{layer}.weight"] = shape
            found[f"blocks.{number}.{layer}.bias"] = shape[:1]
    return found


def draw(shape, generator, name=""):
    """Random values of a useful scale; weights of normalisations are near 1."""
    values = torch.randn(shape, generator=generator)
    fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 25
    near = 1 if "norm" in name and name.endswith("weight") else 0
    return near + values / (100 if name.startswith("pos") else fan_in) ** 0.5


def published(kind, patch, width, generator):
    """The tensors of a network, named as its authors named them."""
    patches = 37**2 if kind == "dinov2" else (224 // patch) ** 2
    wanted = shapes(patch, width, patches)
    if "clip" in kind:
        wanted |= {"pos_drop.weight": (width,), "pos_drop.bias": (width,)}
        wanted |= {"proj": (width, EMBEDDING)}
    if kind == "dinov2":
        wanted |= {f"blocks.{n}.ls{k}.gamma": (width,) for n in range(12) for k in (1, 2)}
        wanted |= {"mask_token": (1, width)}
    return {name: draw(shape, generator, name) for name, shape in wanted.items()}


def training_checkpoint():
    """DINO's training checkpoint as far as the package looks into it."""
    names = [f"mlp.{k}.{kind}" for k in (0, 2, 4) for kind in ("weight", "bias")]
    return {"student": {f"module.head.{n}": torch.zeros(2) for n in [*names, "last_layer.weight"]}}


def write_files(variant, folder, width=WIDTH, adapter_file="adapter_model.safetensors"):
    """Writes what the zip of a variant holds; -> the states of its networks, as published."""
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(3)
    lora, states = {}, []
    for number, network in enumerate(VARIANTS[variant].networks):
        state = published(network.kind, network.patch, width, generator)
        states.append(state)
        if network.kind == "dino":
            torch.save(training_checkpoint(), folder / "dino_vitb16_pretrain.pth")
        elif network.kind == "dinov2":
            torch.save(state, folder / "dinov2_vitb14_pretrain.pth")
        else:
            named = {f"{network.prefix}{name}": tensor for name, tensor in state.items()}
            torch.save({network.entry: named, "epoch": 3}, folder / network.member)
        for block in range(12):
            layer = f"base_model.model.extractor_list.{number}.model.blocks.{block}.attn.qkv"
            lora[f"{layer}.lora_A.weight"] = draw((4, width), generator)
            lora[f"{layer}.lora_B.weight"] = draw((3 * width, 4), generator)
    below = folder / VARIANTS[variant].adapter
    below.mkdir()
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 2.5, "lora_dropout": 0.3}
    settings |= {"bias": "none", "target_modules": ["qkv"], "fan_in_fan_out": False}
    (below / "adapter_config.json").write_text(json.dumps(settings))
    if adapter_file.endswith("safetensors"):
        save_file(lora, below / adapter_file)
    else:
        torch.save(lora, below / adapter_file)
    return states


def put_in_place(variant, folder, states, resources):
    """The zip of `folder` and the backbones, put into the data folder by hand."""
    filename = VARIANTS[variant].zip.files[0].filename
    with zipfile.ZipFile(resources.data_dir / filename, "w", zipfile.ZIP_DEFLATED, True, 1) as made:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            made.write(path, path.relative_to(folder).as_posix())
    for network, state in zip(VARIANTS[variant].networks, states, strict=True):
        if network.backbone is not None:
            torch.save(state, resources.data_dir / network.backbone.files[0].filename)


@pytest.fixture
def prepare(narrow, resources, tmp_path):
    """prepare(variant) -> (folder of its files, states), all of it where the plugin finds it."""

    def made(variant, **options):
        folder = tmp_path / "files"
        folder.mkdir()
        states = write_files(variant, folder, **options)
        put_in_place(variant, folder, states, resources)
        return folder, states

    return made


# ------------------------------------------------------------------------------- reference


def bicubic_positions(table):
    """37 x 37 positions at 16 x 16 as DINOv2 does it, by the definition of cubic convolution."""
    weights = np.zeros((16, 37))
    for i in range(16):
        at = (i + 0.5) * 37 / 16.1 - 0.5
        for j in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
            d, a = abs(at - j), -0.75
            near = (a + 2) * d**3 - (a + 3) * d**2 + 1
            far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
            weights[i, min(max(j, 0), 36)] += near if d <= 1 else far
    grid = table[0, 1:].double().numpy().reshape(37, 37, -1)
    small = np.einsum("ir,jc,rcd->ijd", weights, weights, grid).reshape(1, 256, -1)
    return torch.cat([table[:, :1], torch.from_numpy(small).float()], dim=1)


def from_timm(kind, patch, state):
    """timm's transformer with the published tensors in it."""
    from timm.models.vision_transformer import VisionTransformer

    width = state["cls_token"].shape[2]
    module = VisionTransformer(
        img_size=224,
        patch_size=patch,
        embed_dim=width,
        num_heads=HEADS if width == WIDTH else 12,
        num_classes=0,
        init_values=1.0 if kind == "dinov2" else None,
    )
    state = {name: tensor for name, tensor in state.items() if name != "mask_token"}
    if kind == "dinov2":
        state["pos_embed"] = bicubic_positions(state["pos_embed"])
    module.load_state_dict(state)
    return module.eval()


def reference(package, variant, folder, states):
    """The package's model on the files in `folder`, torch hub replaced."""
    networks = VARIANTS[variant].networks
    hub = {n.name: (n.kind, n.patch, s) for n, s in zip(networks, states, strict=True)}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(torch.hub, "set_dir", lambda folder: None)
        patch.setattr(torch.hub, "load", lambda repository, name: from_timm(*hub[name]))
        return package.dreamsim(cache_dir=str(folder), dreamsim_type=variant, device="cpu")[0]


def images(n, seed=0):
    return torch.rand(n, 3, 224, 224, generator=torch.Generator().manual_seed(seed))


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_it_gives_what_the_package_gives(variant, package, prepare, resources):
    folder, states = prepare(variant)
    model = reference(package, variant, folder, states)
    metric = SPEC.load(Params(variant), resources)
    x = images(4)
    rows = metric.embed(x)
    torch.testing.assert_close(rows, model.embed(x), rtol=0, atol=1e-5)
    cosine = torch.nn.functional.cosine_similarity(rows[:2], rows[2:])
    torch.testing.assert_close(cosine, 1 - model(x[:2], x[2:]), rtol=0, atol=1e-5)
    # The adapter matters: without it the numbers would be others.
    with model.disable_adapter():
        assert (rows - model.embed(x)).abs().max() > 1e-3


@pytest.mark.slow
def test_it_gives_what_the_package_gives_in_full_width(package, resources, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    states = write_files("ensemble", folder, width=768)
    put_in_place("ensemble", folder, states, resources)
    model = reference(package, "ensemble", folder, states)
    metric = SPEC.load(Params(), resources)
    x = images(2)
    torch.testing.assert_close(metric.embed(x), model.embed(x), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_names_addresses_and_constants_are_those_of_the_package(package):
    from dreamsim import constants
    from dreamsim.config import dreamsim_args, dreamsim_weights

    assert set(VARIANTS) == {name for name in dreamsim_weights if not name.endswith("_patch")}
    for name, variant in VARIANTS.items():
        described = dreamsim_args["model_config"][name]
        assert variant.zip.files[0].url == dreamsim_weights[name]
        assert [n.name for n in variant.networks] == described["model_type"].split(",")
        assert [str(n.patch) for n in variant.networks] == described["stride"].split(",")
        features = ["embedding" if n.projected else "cls" for n in variant.networks]
        assert features == described["feat_type"].split(",")
    assert (constants.IMAGENET_DEFAULT_MEAN, constants.IMAGENET_DEFAULT_STD) == IMAGENET
    assert (constants.OPENAI_CLIP_MEAN, constants.OPENAI_CLIP_STD) == OPENAI
    assert SPEC.size(Params()) == dreamsim_args["img_size"]


def test_positions_of_another_form_are_left_for_the_check_of_shapes():
    for shape in ((1, 1, 4), (1, 7, 4), (5,)):
        assert resampled(torch.zeros(shape), 16).shape == shape


def test_batches_of_none_one_and_several_agree(prepare, resources):
    prepare("ensemble")
    metric = SPEC.load(Params(), resources)
    x = images(3)
    together = metric.embed(x)
    assert together.shape == (3, WIDTH + 2 * EMBEDDING)
    assert together.dtype == torch.float32
    assert metric.embed(x[:0]).shape == (0, WIDTH + 2 * EMBEDDING)
    for k in range(3):
        torch.testing.assert_close(metric.embed(x[k : k + 1]), together[k : k + 1])
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(together.mean(dim=1), torch.zeros(3), atol=1e-6, rtol=0)


# ------------------------------------------------------------------------------ side effects


def test_the_process_is_left_as_it_was(prepare, resources, tmp_path, monkeypatch, capfd):
    prepare("ensemble")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def refuse(*arguments, **options):
        raise AssertionError("something beyond the given files was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(torch.hub, "load", refuse)
    monkeypatch.setattr(torch.hub, "set_dir", refuse)
    hub, environment = torch.hub.get_dir(), dict(os.environ)
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    capfd.readouterr()
    metric = SPEC.load(Params(), resources)
    rows = metric.embed(images(1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.hub.get_dir() == hub
    assert dict(os.environ) == environment
    assert Path.cwd() == tmp_path / "here"
    assert list(Path.cwd().iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert not rows.requires_grad
    for branch in metric.branches:
        assert not any(m.training for m in branch.module.modules())
        assert not any(p.requires_grad for p in branch.module.parameters())


def test_the_zip_is_unpacked_once_below_its_hash(prepare, resources):
    prepare("ensemble")
    SPEC.load(Params(), resources)
    folders = [p for p in (resources.cache_dir / "derived").iterdir() if p.is_dir()]
    assert len(folders) == 1
    assert len(folders[0].name) == 64
    files = {p.relative_to(folders[0]).as_posix() for p in folders[0].rglob("*") if p.is_file()}
    # DINO's training checkpoint is not needed.
    assert files == {
        "clip_vitb16_pretrain.pth.tar",
        "open_clip_vitb16_pretrain.pth.tar",
        "ensemble_lora/adapter_config.json",
        "ensemble_lora/adapter_model.safetensors",
    }
    path = folders[0] / "clip_vitb16_pretrain.pth.tar"
    times = {p: p.stat().st_mtime_ns for p in folders[0].rglob("*")}
    SPEC.load(Params(), resources)
    assert {p: p.stat().st_mtime_ns for p in folders[0].rglob("*")} == times
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    SPEC.load(Params(), resources)
    assert path.read_bytes() == whole


def test_an_interrupted_unpacking_leaves_no_file_that_is_taken_for_whole(
    prepare, resources, monkeypatch
):
    prepare("clip_vitb32")

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("iibench_plugins.metrics.dreamsim.files.shutil.copyfileobj", stop)
        SPEC.load(Params("clip_vitb32"), resources)
    derived = resources.cache_dir / "derived"
    assert [p for p in derived.rglob("*") if p.is_file() and p.suffix != ".lock"] == []
    assert SPEC.load(Params("clip_vitb32"), resources).embed(images(1)).shape == (1, EMBEDDING)


# ------------------------------------------------------------------------------ fingerprints


def change(path, **tensors):
    """Overwrites tensors in a PyTorch file."""
    state = torch.load(path, weights_only=True)
    torch.save(state | tensors, path)


def test_the_fingerprint_is_that_of_the_weights(prepare, resources):
    prepare("dino_vitb16")
    found = SPEC.load(Params("dino_vitb16"), resources).fingerprint
    assert len(found) == 64
    assert SPEC.load(Params("dino_vitb16"), resources).fingerprint == found
    (resources.cache_dir / "assets/recorded.json").unlink()
    change(resources.data_dir / DINO.files[0].filename, cls_token=torch.ones(1, 1, WIDTH))
    assert SPEC.load(Params("dino_vitb16"), resources).fingerprint != found


def test_the_adapter_may_be_a_pytorch_file(prepare, resources, tmp_path):
    folder, states = prepare("clip_vitb32")
    first = SPEC.load(Params("clip_vitb32"), resources)
    (folder / "again").mkdir()
    write_files("clip_vitb32", folder / "again", adapter_file="adapter_model.bin")
    other = replace(resources, cache_dir=tmp_path / "other")
    put_in_place("clip_vitb32", folder / "again", states, other)
    second = SPEC.load(Params("clip_vitb32"), other)
    assert second.fingerprint == first.fingerprint
    assert torch.equal(second.embed(images(1)), first.embed(images(1)))


# ------------------------------------------------------------------------------------ errors


def test_other_inputs_are_refused(prepare, resources):
    prepare("clip_vitb32")
    metric = SPEC.load(Params("clip_vitb32"), resources)
    for x, message in (
        (images(1) * 2 - 1, r"expects RGB in \[0, 1\]"),
        (images(1) * 255, r"expects RGB in \[0, 1\]"),
        (images(1)[:, :1], "expects floating RGB images"),
        (torch.rand(1, 3, 64, 64), "224 x 224 pixels, got 64 x 64"),
        (torch.rand(1, 3, 224, 196), "224 x 224 pixels, got 224 x 196"),
    ):
        with pytest.raises(CaseError, match=message):
            metric.embed(x)


def rewrite(folder, name, change):
    """Applies `change` to the tensors of a file of the zip."""
    from safetensors.torch import load_file, save_file

    path = folder / name
    state = load_file(path) if path.suffix == ".safetensors" else torch.load(path)
    change(state)
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)


LORA = "base_model.model.extractor_list.0.model.blocks.5.attn.qkv.lora_B.weight"
ADAPTER = "clip_vitb32_single_lora/adapter_model.safetensors"
NETWORK = "clip_vitb32_pretrain.pth.tar"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (ADAPTER, lambda s: s.pop(LORA), rf"missing \['{LORA}'\], unknown \[\]"),
        (ADAPTER, lambda s: s.update(more=torch.ones(2)), r"unknown \['more'\]"),
        (ADAPTER, lambda s: s[LORA].fill_(torch.nan), "lora_B.weight is not finite"),
        (ADAPTER, lambda s: s.update({LORA: torch.ones(3, 4)}), r"has shape \(3, 4\), expected"),
        (NETWORK, lambda s: s["state_dict"].pop("norm.bias"), r"missing \['norm.bias'\]"),
        (NETWORK, lambda s: s["state_dict"].pop("proj"), "proj is missing"),
        (NETWORK, lambda s: s["state_dict"].update(proj=torch.ones(3)), "proj has shape"),
        (NETWORK, lambda s: s["state_dict"].update(head=torch.ones(3)), r"unknown \['head'\]"),
        (NETWORK, lambda s: s["state_dict"].update(note="x"), "expected a mapping name -> tensor"),
        (NETWORK, lambda s: s.update(state_dict=3), "below 'state_dict'"),
        (NETWORK, lambda s: s.update(more=Path("x")), "cannot be read as a file of tensors"),
    ],
)
def test_files_that_are_not_as_published_are_named(
    prepare, resources, name, change, message, tmp_path
):
    folder, states = prepare("clip_vitb32")
    rewrite(folder, name, change)
    put_in_place("clip_vitb32", folder, states, resources)
    with pytest.raises(AssetError, match=message):
        SPEC.load(Params("clip_vitb32"), resources)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_dora": True}, "use_dora set; expected plain LoRA"),
        ({"bias": "all"}, "bias set"),
        ({"r": 0}, "r is 0"),
        ({"lora_alpha": None}, "lora_alpha is None"),
        ({"target_modules": "qkv"}, "target_modules is 'qkv', expected a list"),
        ({"target_modules": ["qkv", "fc1"]}, "missing .*fc1.lora_A.weight.* and 21 more"),
        ({"r": 8}, "has shape .* expected"),
    ],
)
def test_adapters_of_another_kind_are_refused(prepare, resources, settings, message):
    folder, states = prepare("clip_vitb32")
    path = folder / "clip_vitb32_single_lora/adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    put_in_place("clip_vitb32", folder, states, resources)
    with pytest.raises(AssetError, match=message):
        SPEC.load(Params("clip_vitb32"), resources)


def test_names_that_synclr_does_not_use_are_refused(prepare, resources):
    folder, states = prepare("synclr_vitb16")
    rewrite(folder, "synclr_vit_b_16.pth", lambda s: s["model"].update(logit_scale=torch.ones(1)))
    put_in_place("synclr_vitb16", folder, states, resources)
    with pytest.raises(AssetError, match=r"'logit_scale' does not begin with 'module.visual.'"):
        SPEC.load(Params("synclr_vitb16"), resources)


@pytest.mark.parametrize("name", ["mask_token", "blocks.3.ls2.gamma", "pos_embed", "norm.weight"])
def test_a_missing_tensor_of_dinov2_is_named(prepare, resources, name):
    _, states = prepare("dinov2_vitb14")
    states[0].pop(name)
    torch.save(states[0], resources.data_dir / DINOV2.files[0].filename)
    with pytest.raises(AssetError, match=f"dinov2_vitb14.*{name}"):
        SPEC.load(Params("dinov2_vitb14"), resources)


@pytest.mark.parametrize("missing", [NETWORK, "clip_vitb32_single_lora/adapter_config.json"])
def test_a_zip_that_lacks_a_file_is_named(prepare, resources, missing):
    folder, states = prepare("clip_vitb32")
    (folder / missing).unlink()
    put_in_place("clip_vitb32", folder, states, resources)
    with pytest.raises(AssetError, match=f"dreamsim_clip_vitb32_checkpoint.zip has no {missing}"):
        SPEC.load(Params("clip_vitb32"), resources)


def test_a_damaged_zip_is_named(package, resources):
    path = resources.data_dir / "dreamsim_synclr_vitb16_checkpoint.zip"
    path.write_bytes(b"PK no zip")
    with pytest.raises(
        AssetError, match="dreamsim_synclr_vitb16_checkpoint.zip cannot be unpacked"
    ):
        SPEC.load(Params("synclr_vitb16"), resources)


def test_missing_files_say_where_to_put_them(package, resources):
    with pytest.raises(AssetError) as caught:
        SPEC.load(Params(), resources)
    for part in (
        str(resources.data_dir),
        "dreamsim_ensemble_checkpoint.zip",
        "releases/download/v0.2.0-checkpoints/dreamsim_ensemble_checkpoint.zip",
    ):
        assert part in str(caught.value)


def test_a_missing_backbone_says_where_to_put_it(prepare, resources):
    prepare("dino_vitb16")
    (resources.data_dir / DINO.files[0].filename).unlink()
    with pytest.raises(AssetError, match=r"dl\.fbaipublicfiles\.com.*dino_vitbase16_pretrain\.pth"):
        SPEC.load(Params("dino_vitb16"), resources)


def test_without_the_package_the_extra_is_named(resources, monkeypatch):
    monkeypatch.setitem(sys.modules, "dreamsim", None)
    with pytest.raises(AssetError, match=r"pip install 'iibench\[dreamsim\]'"):
        SPEC.load(Params(), resources)


def test_the_spec_says_what_it_needs():
    assert (SPEC.distance, SPEC.range, SPEC.level) == ("cosine", "[-1, 1]", "mid")
    assert {"dreamsim-ensemble", "dino-vitb16"} <= {asset.name for asset in SPEC.assets}
    assert len(SPEC.golden) == 2


@pytest.fixture(scope="module")
def users():
    """The user's data and cache folders, as they were before each test got its own."""
    return LocalResources(default_data_dir(), default_cache_dir())


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("golden", SPEC.golden, ids=lambda golden: golden.pair)
def test_the_published_distances(package, users, golden):
    """The weights (1.6 GB) are not downloaded for this, the images are."""
    for asset in (VARIANTS["ensemble"].zip, DINO):
        if find_local(asset, users) is None:
            pytest.skip(f"{asset.name} is not on disk; iibench assets fetch {asset.name} gets it")
    try:
        pair = np.stack(golden.images(users))
    except AssetError as error:
        pytest.skip(str(error).splitlines()[0])
    rows = SPEC.load(Params(), users).embed(to_unit_range(pair))
    assert float(rows[0] @ rows[1]) == pytest.approx(golden.similarity, abs=golden.tolerance)


def test_the_demo_images_are_resized_as_the_demo_does(package, resources):
    """By torchvision's transform of a PIL image, as the package's `preprocess`."""
    from torchvision import transforms

    generator = np.random.default_rng(0)
    for name in ("ref_1", "img_a_1", "img_b_1"):
        pixels = generator.integers(0, 256, (300, 280, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(resources.data_dir / f"dreamsim_demo_{name}.png")
    resize = transforms.Resize((224, 224), interpolation=transforms.InterpolationMode.BICUBIC)
    for golden, name in zip(SPEC.golden, ("img_a_1", "img_b_1"), strict=True):
        for found, file in zip(golden.images(resources), ("ref_1", name), strict=True):
            with Image.open(resources.data_dir / f"dreamsim_demo_{file}.png") as image:
                np.testing.assert_array_equal(found, np.asarray(resize(image)))
    assert [round(1 - golden.similarity, 4) for golden in SPEC.golden] == [0.4453, 0.2756]
