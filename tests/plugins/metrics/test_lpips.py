"""LPIPS as an embedding against the `lpips` package's own forward pass.

Most tests put one set of random convolutions into both, so that nothing is downloaded; those that
need the real backbones run where a backbone is on disk (data folder, cache, torch hub).
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from itertools import pairwise
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
from PIL import Image

from iibench.assets.local import LocalResources, default_cache_dir, default_data_dir, find_local
from iibench.contract.errors import AssetError, CaseError
from iibench_plugins._shared.lpips_backbones import (
    BACKBONES,
    CONVOLUTIONS,
    backbone,
    read_package_file,
    read_torchvision_file,
)
from iibench_plugins.metrics import lpips as plugin
from iibench_plugins.metrics.lpips import Params
from iibench_plugins.metrics.lpips.embedding import TAPS, build
from tests.conftest import SHARED

NETS = ("alex", "vgg", "squeeze")


def package(net, seed=0):
    """The package's LPIPS: its learned weights, random convolutions of a useful scale."""
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        model = lpips.LPIPS(net=net, version="0.1", pnet_rand=True, verbose=False)
        for m in model.net.modules():
            if isinstance(m, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(m.weight)
                torch.nn.init.normal_(m.bias, std=0.1)
    return model


def trunk_of(model):
    """The package's convolutions under torchvision's names: slice4.8.weight -> features.8.weight."""
    return {
        "features." + name.partition(".")[2]: tensor.clone()
        for name, tensor in model.net.state_dict().items()
    }


@pytest.fixture(scope="module")
def models():
    """net -> (the package's model, the embedding on the same convolutions)"""
    made = {net: package(net) for net in NETS}
    return {net: (model, build(net, trunk_of(model))) for net, model in made.items()}


def images(n, size, seed=0):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def check_against_package(model, embedding, x, y):
    """Sum and every tap of ||phi(x) - phi(y)||^2 against the package's distances."""
    with torch.no_grad():
        whole, taps = model(x, y, retPerLayer=True, normalize=True)
    squares = (embedding.embed(x) - embedding.embed(y)).double() ** 2
    np.testing.assert_allclose(squares.sum(1), whole.flatten(), atol=1e-5)
    slices = embedding.slices(*x.shape[2:])
    assert list(slices) == [str(k) for k in range(len(taps))]
    for k, tap in enumerate(taps):
        found = squares[:, slices[str(k)]].sum(1)
        np.testing.assert_allclose(found, tap.flatten(), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("net", NETS)
def test_equals_the_package(models, net, size):
    model, embedding = models[net]
    check_against_package(model, embedding, images(3, size), images(3, size, seed=1))


@pytest.mark.slow
@pytest.mark.parametrize("net", NETS)
def test_equals_the_package_on_large_images(models, net):
    model, embedding = models[net]
    check_against_package(model, embedding, images(1, 224), images(1, 224, seed=1))


@pytest.mark.slow
def test_the_slices_tile_the_embedding(models):
    for net, (_, embedding) in models.items():
        slices = list(embedding.slices(40, 64).values())
        assert slices[0].start == 0
        assert all(a.stop == b.start for a, b in pairwise(slices))
        assert slices[-1].stop == embedding.embed(torch.rand(1, 3, 40, 64)).shape[1]
        assert len(slices) == TAPS[net]


def test_alexnets_tap_sizes_by_hand(models):
    """64 channels at 15 x 15, 192 at 7 x 7, then 384, 256, 256 at 3 x 3."""
    lengths = [s.stop - s.start for s in models["alex"][1].slices(64, 64).values()]
    assert lengths == [64 * 15**2, 192 * 7**2, 384 * 3**2, 256 * 3**2, 256 * 3**2]


def test_values_depend_neither_on_batch_nor_on_order(models):
    embedding = models["alex"][1]
    x, order = images(7, 32), [3, 0, 6, 1, 5, 2, 4]
    whole = embedding.embed(x)
    torch.testing.assert_close(embedding.embed(x[order]), whole[order], rtol=1e-5, atol=1e-6)
    alone = torch.cat([embedding.embed(x[i : i + 1]) for i in range(7)])
    torch.testing.assert_close(alone, whole, rtol=1e-5, atol=1e-6)
    assert embedding.embed(x[:0]).shape == (0, whole.shape[1])
    assert whole.dtype == torch.float32


def test_the_result_can_be_differentiated_later_and_keeps_no_graph(models):
    e = models["alex"][1].embed(images(1, 32))
    assert not e.requires_grad
    assert not e.is_inference()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (2 * torch.rand(1, 3, 64, 64) - 1, r"lpips \(alex\) expects RGB in \[0, 1\]"),
        (255 * torch.rand(1, 3, 64, 64), r"expects RGB in \[0, 1\]"),
        (torch.rand(1, 1, 64, 64), r"expects floating RGB images"),
        (torch.rand(1, 3, 30, 64), r"at least 31 x 31 pixels, got 30 x 64; .*resize: 64"),
    ],
)
def test_other_inputs_are_refused(models, x, message):
    with pytest.raises(CaseError, match=message):
        models["alex"][1].embed(x)


def test_each_backbone_knows_the_smallest_image_it_takes(models):
    for net, least in (("alex", 31), ("vgg", 16), ("squeeze", 17)):
        embedding = models[net][1]
        assert torch.isfinite(embedding.embed(torch.rand(1, 3, least, least))).all()
        with pytest.raises(CaseError, match=f"at least {least} x {least} pixels"):
            embedding.embed(torch.rand(1, 3, least - 1, least - 1))


def test_the_papers_input_is_the_packages_on_normalised_images(models):
    """The released code: CIFAR-10's statistics first, then `normalize=True` (2 x - 1)."""
    model, _ = models["alex"]
    as_paper = build("alex", trunk_of(model), cifar_normalised=True)
    x, y = images(3, 32), images(3, 32, seed=1)
    mean = torch.tensor([0.4914, 0.4822, 0.4465]).reshape(1, 3, 1, 1)
    std = torch.tensor([0.2471, 0.2435, 0.2616]).reshape(1, 3, 1, 1)
    with torch.no_grad():
        expected = model((x - mean) / std, (y - mean) / std, normalize=True).flatten()
        plain = model(x, y, normalize=True).flatten()
    found = ((as_paper.embed(x) - as_paper.embed(y)) ** 2).sum(1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert (found - plain).abs().min() > 1e-3


# ------------------------------------------------------------------------------- strict loading


def test_loading_leaves_nothing_random_and_the_generator_alone(models):
    trunk = trunk_of(models["alex"][0])
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, second = build("alex", trunk), build("alex", trunk)
    torch.testing.assert_close(torch.rand(2), expected, rtol=0, atol=0)
    x = images(2, 32)
    torch.testing.assert_close(first.embed(x), second.embed(x), rtol=0, atol=0)
    assert not any(p.is_meta for p in first.network.net.parameters())


def test_a_backbone_that_does_not_fit_is_refused(models):
    trunk = trunk_of(models["alex"][0])
    with pytest.raises(AssetError, match=r"missing \['slice2.3.bias'\], unknown \[\]"):
        build("alex", {k: v for k, v in trunk.items() if k != "features.3.bias"})
    with pytest.raises(AssetError, match=r"unknown \['classifier.1.weight'\]"):
        build("alex", {**trunk, "classifier.1.weight": torch.zeros(1)})
    with pytest.raises(AssetError, match=r"has shape \(64,\), expected \(192,\)"):
        build("alex", {**trunk, "features.3.bias": torch.zeros(64)})
    with pytest.raises(AssetError, match="missing"):
        build("vgg", trunk)


def test_learned_weights_that_do_not_fit_are_refused(models):
    trunk = trunk_of(models["alex"][0])
    path = Path(lpips.__file__).parent / "weights/v0.1/alex.pth"
    learned = torch.load(path, map_location="cpu", weights_only=True)
    negative = {**learned, "lin2.model.1.weight": learned["lin2.model.1.weight"] - 10}
    with pytest.raises(AssetError, match="tap 2: expected 384 numbers >= 0"):
        build("alex", trunk, learned=negative)
    renamed = {k.replace("lin4", "lin5"): v for k, v in learned.items()}
    with pytest.raises(AssetError, match=r"missing \['lin4.model.1.weight'\]"):
        build("alex", trunk, learned=renamed)


def test_the_fingerprint_follows_the_weights_in_use(models):
    trunk = trunk_of(models["alex"][0])
    same = build("alex", {k: trunk[k] for k in reversed(list(trunk))})
    assert same.fingerprint == models["alex"][1].fingerprint
    changed = {**trunk, "features.3.bias": trunk["features.3.bias"] + 1e-3}
    assert build("alex", changed).fingerprint != same.fingerprint


def test_both_forms_of_a_backbone_are_the_same_mapping(models, tmp_path):
    """A torchvision checkpoint and a package file that are made from the same convolutions."""
    import pickle

    trunk = trunk_of(models["alex"][0])
    torch.save({**trunk, "classifier.6.bias": torch.zeros(1000)}, tmp_path / "a.pth")
    layers = {
        f"Conv_{k}": {
            "kernel": trunk[f"features.{place}.weight"].permute(2, 3, 1, 0).contiguous().numpy(),
            "bias": trunk[f"features.{place}.bias"].numpy(),
        }
        for k, place in enumerate(CONVOLUTIONS["alex"])
    }
    content = {"AlexNet_0": layers, "NetLinLayer_0": {}}
    (tmp_path / "a.ckpt").write_bytes(pickle.dumps(content, protocol=4))
    for found in (
        read_torchvision_file(tmp_path / "a.pth"),
        read_package_file("alex", tmp_path / "a.ckpt"),
    ):
        assert found.keys() == trunk.keys()
        for name, tensor in trunk.items():
            torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)
    del layers["Conv_4"]
    (tmp_path / "a.ckpt").write_bytes(pickle.dumps(content, protocol=4))
    with pytest.raises(AssetError, match="expected 5 convolutions of alex"):
        read_package_file("alex", tmp_path / "a.ckpt")


def test_a_missing_backbone_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    resources = LocalResources(tmp_path / "data", tmp_path / "cache", offline=True)
    with pytest.raises(AssetError) as error:
        plugin.load(Params(net="squeeze"), resources)
    assert "squeezenet1_1-b8a52dc0.pth" in str(error.value)


def test_what_the_spec_declares():
    (spec,) = plugin.iibench_register_metrics()
    assert (spec.name, spec.distance, spec.level) == ("lpips", "squared_euclidean", "mid")
    assert spec.parts(Params()) == ("0", "1", "2", "3", "4")
    assert spec.parts(Params(net="squeeze")) == ("0", "1", "2", "3", "4", "5", "6")
    assert (spec.size(Params()), spec.size(Params(resize=64))) == (None, 64)
    assert {asset.name for asset in spec.assets} == {f"lpips-backbone-{net}" for net in NETS}


# --------------------------------------------------------------------------------- real weights


@pytest.fixture(scope="module")
def real():
    """net -> the embedding with the real backbone, skipping where that is not on disk."""
    resources = LocalResources(default_data_dir(), default_cache_dir(), offline=True)

    def load(net):
        if find_local(BACKBONES[net], resources) is None:
            pytest.skip(f"no backbone of lpips ({net}) on disk; iibench assets can fetch it")
        return plugin.load(Params(net=net), resources), backbone(net, resources)

    return load


def real_package(net, trunk):
    model = package(net)
    names = {name.partition(".")[2]: name for name in model.net.state_dict()}
    model.net.load_state_dict({names[k.removeprefix("features.")]: v for k, v in trunk.items()})
    return model


@pytest.mark.slow
@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("net", NETS)
def test_real_weights_equal_the_package(real, net, size):
    embedding, trunk = real(net)
    model = real_package(net, trunk)
    check_against_package(model, embedding, images(2, size), images(2, size, seed=1))


@pytest.mark.shared
def test_the_authors_example_images(real, shared):
    """The pair of the LPIPS repository (imgs/ex_*.png), which no package ships."""
    folder = shared / "data/lpips_example"
    embedding, _ = real("alex")
    ref, p0, p1 = (
        embedding.embed(as_tensor(np.asarray(Image.open(folder / f"{n}.png").convert("RGB"))))
        for n in ("ex_ref", "ex_p0", "ex_p1")
    )
    assert ((ref - p0) ** 2).sum().item() == pytest.approx(0.7219, abs=1e-4)
    assert ((ref - p1) ** 2).sum().item() == pytest.approx(0.1376, abs=1e-4)


def as_tensor(array):
    return torch.from_numpy(array.copy()).permute(2, 0, 1)[None].float() / 255


@pytest.mark.slow
@pytest.mark.shared
def test_two_hundred_pairs_of_cifar10(real):
    archive = SHARED / "data/cifar10-jpeg-test.zip"
    if not archive.is_file():
        pytest.skip(f"needs {archive}")
    embedding, trunk = real("alex")
    with zipfile.ZipFile(archive) as file:
        names = sorted(n for n in file.namelist() if n.endswith(".jpg"))
        chosen = np.random.default_rng(0).choice(len(names), 400, replace=False)
        x = torch.cat(
            [
                as_tensor(np.asarray(Image.open(io.BytesIO(file.read(names[i]))).convert("RGB")))
                for i in chosen
            ]
        )
    check_against_package(real_package("alex", trunk), embedding, x[:200], x[200:])


@pytest.mark.shared
@pytest.mark.slow
def test_agreement_with_people_on_materials(real):
    """Lagunas et al. 2019, ennis, test triplets with a majority: mean colour 0.6267, LPIPS 0.8039."""
    from iibench.contract.base import NoParams
    from iibench_plugins.metrics import color

    folder = SHARED / "data/materials2019"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    triplets = np.array(
        json.loads((folder / "answers_processed_test.json").read_text())["answers_diff"]
    )
    paths = sorted((folder / "havran1_ennis_298x298_LDR").glob("*.jpg"))
    pictures = [as_tensor(np.asarray(Image.open(p).convert("RGB"))) for p in paths]
    for metric, expected in ((color.load(NoParams(), None), 0.6267), (real("alex")[0], 0.8039)):
        e = torch.cat([metric.embed(x) for x in pictures])
        distance = torch.cdist(e, e)  # the square root of LPIPS has the same order
        reference, chosen, other = triplets.T
        difference = (distance[reference, other] - distance[reference, chosen]).numpy()
        hits = (difference > 0).mean() + 0.5 * (difference == 0).mean()
        assert hits == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(
    ("params", "sizes", "words"),
    [
        ({}, [(32, 32)], "with AlexNet features, the sum over its five taps"),
        ({}, [(32, 32)], "divide a sum by 5 before comparing"),
        ({}, [(32, 32)], "Computed at 32 × 32 pixels. Caution: below 64 × 64"),
        ({}, [(64, 64), (64, 48)], "Computed at 64 × 64 and 64 × 48 pixels. Caution"),
        ({}, [], "Computed at an unknown size pixels."),
        ({"net": "squeeze"}, [(64, 64)], "its seven taps; a number in brackets, as lpips[3]"),
        ({"input": "paper2310"}, [(64, 64)], "That is not a correct input"),
    ],
)
def test_its_sentence_says_what_was_compared(params, sizes, words) -> None:
    said = plugin.sentence(Params(**params), sizes)
    assert words in said
    assert ("Caution" in said) == any(min(size) < 64 for size in sizes)
