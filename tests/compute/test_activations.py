"""activations.py and folding.py against a plain forward pass with a hook."""

from __future__ import annotations

import copy
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import resnet18, resnet50

from iibench.compute.activations import (
    iter_activations,
    network_input,
    weights_sha256,
)
from iibench.compute.folding import foldable_pairs, prepared, trace
from iibench.compute.images import to_unit_range
from iibench.compute.tap import layer_names
from iibench.contract.errors import CaseError, PluginError, UsageError
from iibench.contract.specs import LoadedModel, Preprocess

PLAIN = Preprocess()
CIFAR = Preprocess((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616))
IMAGES = np.random.default_rng(0).integers(0, 256, (13, 32, 32, 3), dtype=np.uint8)


def read(indices):
    return IMAGES[indices]


def activations(module, layer, pool="mean", preprocess=PLAIN, images=read, n=13, **options):
    """All batches in one array, in the order of the indices."""
    found = list(
        iter_activations(
            LoadedModel(module, preprocess), layer, pool, images, np.arange(n), **options
        )
    )
    assert [i for batch, _ in found for i in batch] == list(range(n))
    return np.concatenate([values for _, values in found])


def lively(module, seed=0):
    """Random weights and batch-norm statistics: freshly made ones would hide a wrong fold."""
    generator = torch.Generator().manual_seed(seed)
    for m in module.modules():
        if isinstance(m, nn.BatchNorm2d):
            for tensor, low, high in (
                (m.running_mean, -0.5, 0.5),
                (m.running_var, 0.5, 2.0),
                (m.weight.data, 0.5, 1.5),
                (m.bias.data, -0.5, 0.5),
            ):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)
    return module.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return lively(resnet18())


def naive(module, layer, images, preprocess=PLAIN):
    """The layer's whole output from a plain forward pass of all images, cloned in the hook."""
    kept = []
    handle = module.get_submodule(layer).register_forward_hook(
        lambda m, args, out: kept.append(out.detach().clone())
    )
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    for c in range(3):
        x[:, c] = (x[:, c] - preprocess.mean[c]) / preprocess.std[c]
    with torch.no_grad():
        module(x)
    handle.remove()
    return kept[-1].numpy()


@pytest.mark.parametrize(
    "layer",
    ["conv1", "bn1", "maxpool", "layer1", "layer1.0.conv2", "layer1.0.bn2", "layer2.0.downsample"],
)
@pytest.mark.parametrize("pool", ["mean", "max", "center", "flatten"])
def test_equals_a_plain_forward_pass(resnet, layer, pool):
    maps = naive(resnet, layer, IMAGES, CIFAR)
    h, w = maps.shape[2:]
    expected = {
        "mean": maps.mean((2, 3)),
        "max": maps.max((2, 3)),
        "center": maps[:, :, h // 2, w // 2],
        "flatten": maps.reshape(len(maps), -1),
    }[pool]
    found = activations(resnet, layer, pool, CIFAR)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_an_in_place_relu_after_the_tap_changes_nothing(resnet):
    """ResNet's ReLU overwrites the output of bn1; negative values must survive."""
    assert activations(resnet, "bn1", "flatten").min() < 0


def test_the_fully_connected_layer_is_passed_unchanged(resnet):
    expected = naive(resnet, "fc", IMAGES)
    np.testing.assert_allclose(activations(resnet, "fc"), expected, rtol=1e-4, atol=1e-5)


class Raises(nn.Module):
    def forward(self, x):
        raise AssertionError("ran past the tapped layer")


def test_nothing_after_the_tap_runs(resnet):
    cut = copy.deepcopy(resnet)
    cut.layer2 = cut.layer3 = cut.layer4 = cut.fc = Raises().eval()
    np.testing.assert_array_equal(activations(cut, "layer1"), activations(resnet, "layer1"))


def test_what_is_after_the_tap_needs_no_weights(resnet):
    cut = copy.deepcopy(resnet)
    cut.layer2.to("meta")
    cut.layer3.to("meta")
    np.testing.assert_array_equal(activations(cut, "layer1"), activations(resnet, "layer1"))


def test_the_callers_network_is_not_changed(resnet):
    before = {k: v.clone() for k, v in resnet.state_dict().items()}
    modules = [id(m) for m in resnet.modules()]
    batches = iter_activations(
        LoadedModel(resnet, PLAIN), "layer1", "mean", read, np.arange(13), batch_size=4
    )
    next(batches)
    batches.close()
    assert [id(m) for m in resnet.modules()] == modules
    assert all(not m._forward_hooks for m in resnet.modules())
    assert all(torch.equal(v, before[k]) for k, v in resnet.state_dict().items())


@pytest.mark.parametrize("batch_size", [1, 4, 13, 64, None])
def test_values_do_not_depend_on_the_batch_size(resnet, batch_size):
    np.testing.assert_allclose(
        activations(resnet, "layer2", batch_size=batch_size),
        activations(resnet, "layer2", batch_size=7),
        rtol=1e-4,
        atol=1e-6,
    )


def test_rows_follow_the_order_of_the_indices(resnet):
    model, order = LoadedModel(resnet, PLAIN), np.array([5, 0, 12, 5])
    parts = list(iter_activations(model, "conv1", "mean", read, order, batch_size=3))
    assert [list(batch) for batch, _ in parts] == [[5, 0, 12], [5]]
    rows = np.concatenate([values for _, values in parts])
    np.testing.assert_allclose(rows, activations(resnet, "conv1")[order], rtol=1e-5, atol=1e-6)


def test_no_images_give_no_batches(resnet):
    model = LoadedModel(resnet, PLAIN)
    assert list(iter_activations(model, "conv1", "mean", read, np.arange(0))) == []


def test_images_are_read_one_batch_ahead_by_another_thread(resnet):
    calls = []

    def recording(indices):
        calls.append((threading.get_ident(), list(indices)))
        return IMAGES[indices]

    done = []
    batches = iter_activations(
        LoadedModel(resnet, PLAIN),
        "conv1",
        "mean",
        recording,
        np.arange(13),
        batch_size=5,
        progress=lambda k, total: done.append((k, total)),
    )
    next(batches)
    deadline = time.monotonic() + 5
    while len(calls) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [indices for _, indices in calls] == [list(range(5)), list(range(5, 10))]
    assert {thread for thread, _ in calls}.isdisjoint({threading.get_ident()})
    assert len(list(batches)) == 2
    assert done == [(5, 13), (10, 13), (13, 13)]


def test_an_error_while_reading_is_raised(resnet):
    def broken(indices):
        raise OSError("unreadable image 7")

    with pytest.raises(OSError, match="unreadable image 7"):
        activations(resnet, "conv1", images=broken)


# ------------------------------------------------------------------------------- preprocessing


def test_preprocessing_by_hand():
    x = network_input(to_unit_range(IMAGES[:2]), CIFAR)
    assert x.shape == (2, 3, 32, 32)
    for c in range(3):
        expected = (IMAGES[:2, :, :, c] / 255 - CIFAR.mean[c]) / CIFAR.std[c]
        np.testing.assert_allclose(x[:, c].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_images_are_resized_only_where_they_have_another_size():
    assert network_input(to_unit_range(IMAGES[:2]), Preprocess(size=48)).shape == (2, 3, 48, 48)
    same = network_input(to_unit_range(IMAGES[:2]), Preprocess(size=32))
    np.testing.assert_array_equal(
        same.numpy(), network_input(to_unit_range(IMAGES[:2]), PLAIN).numpy()
    )


# -------------------------------------------------------------------------------------- errors


def test_an_unknown_layer_names_the_nearest(resnet):
    with pytest.raises(UsageError, match=r"unknown layer 'layer1.0.cnv1'; nearest: layer1.0.conv1"):
        activations(resnet, "layer1.0.cnv1")


def test_an_unknown_pooling_names_the_nearest(resnet):
    with pytest.raises(UsageError, match="unknown pooling 'centre'; nearest: center"):
        activations(resnet, "layer1", "centre")


def test_a_module_that_runs_often_is_ambiguous(resnet):
    with pytest.raises(UsageError, match=r"'layer1.0.relu' runs 2 times .* such as 'layer1.0'"):
        activations(resnet, "layer1.0.relu")


def test_a_network_in_training_mode_is_refused():
    with pytest.raises(PluginError, match="training mode"):
        activations(nn.Sequential(nn.Conv2d(3, 4, 3)), "0")


class Branches(nn.Module):
    """Cannot be traced: its path depends on values. `unused` never runs."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.unused = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()

    def forward(self, x):
        return self.bn(self.conv(x if x.sum() > 1e9 else -x))


def test_a_network_that_cannot_be_traced_is_used_as_it_is():
    module = lively(Branches())
    assert trace(module, "bn") is None
    assert prepared(module, "bn").module is module
    expected = naive(module, "bn", IMAGES).mean((2, 3))
    np.testing.assert_allclose(activations(module, "bn"), expected, rtol=1e-4, atol=1e-6)


def test_a_layer_that_never_runs_is_an_error():
    with pytest.raises(CaseError, match="'unused' does not run"):
        activations(lively(Branches()), "unused")


def test_values_that_are_not_finite_name_layer_and_image(resnet):
    class Spoils(nn.Module):
        def forward(self, x):
            return torch.where(x.mean((1, 2, 3), keepdim=True) == 0, torch.inf, x)

    images = IMAGES.copy()
    images[9] = 0
    with pytest.raises(CaseError, match=r"layer '0' gives activations .* image 9"):
        activations(nn.Sequential(Spoils()).eval(), "0", images=lambda i: images[i], batch_size=4)


# ------------------------------------------------------------------------------------- folding


def pairs(module, layer):
    traced = trace(module, layer)
    assert traced is not None
    return foldable_pairs(module, traced, layer)


class Two(nn.Module):
    def __init__(self, reads_twice=False, shares=False, weight_read=False):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.body = nn.Sequential(nn.Conv2d(3, 3, 1))
        self.tail = nn.BatchNorm2d(3)
        self.reads_twice, self.weight_read = reads_twice, weight_read
        if shares:
            self.again = self.conv

    def forward(self, x):
        y = self.conv(x)
        z = self.bn(y)
        if self.reads_twice:
            z = z + y
        if self.weight_read:
            z = nn.functional.conv2d(z, self.conv.weight, padding=1)
        return self.tail(self.body(z))


def test_which_pairs_fold():
    module = lively(Two())
    both = [("conv", "bn"), ("body.0", "tail")]
    assert pairs(module, "tail") == both
    assert pairs(module, "conv") == []
    assert pairs(module, "bn") == pairs(module, "body") == pairs(module, "body.0") == both[:1]


@pytest.mark.parametrize("option", ["reads_twice", "shares", "weight_read"])
def test_what_is_used_elsewhere_is_not_folded(option):
    module = lively(Two(**{option: True}))
    assert pairs(module, "tail") == [("body.0", "tail")]
    expected = naive(module, "tail", IMAGES).mean((2, 3))
    np.testing.assert_allclose(activations(module, "tail"), expected, rtol=1e-4, atol=1e-5)


def test_hooks_and_parametrised_convolutions_are_left_alone():
    module = lively(Two())
    handle = module.conv.register_forward_hook(lambda m, a, out: out * 2)
    assert pairs(module, "tail") == [("body.0", "tail")]
    handle.remove()
    nn.utils.parametrizations.weight_norm(module.conv)
    assert pairs(module, "tail") == [("body.0", "tail")]


def test_every_convolution_of_a_resnet_before_its_tap_folds(resnet):
    assert len(pairs(resnet, "fc")) == 20


def test_the_copy_shares_what_is_not_folded(resnet):
    private = prepared(resnet, "layer1").module
    assert private is not resnet
    assert private.fc.weight is resnet.fc.weight
    assert private.conv1.weight is not resnet.conv1.weight


def test_a_network_that_cannot_be_copied_is_used_as_it_is():
    module = lively(Two())
    module.lock = threading.Lock()
    assert prepared(module, "tail").module is module


# -------------------------------------------------------------------------- names and the hash


def test_layer_names_are_the_module_paths(resnet):
    names = layer_names(resnet)
    assert names[0] == "conv1"
    assert {"layer1.0.relu", "layer4.1.bn2", "fc"} <= set(names)
    assert "" not in names


def test_the_hash_follows_names_shapes_dtypes_and_values():
    def conv(**options):
        torch.manual_seed(0)
        return nn.Conv2d(2, 2, 3, **options)

    first = weights_sha256(conv())
    assert first == weights_sha256(conv())
    assert first == weights_sha256(conv().to(memory_format=torch.channels_last))
    changed = conv()
    changed.bias.data[0] += 1e-3
    others = {
        weights_sha256(changed),
        weights_sha256(conv().double()),
        weights_sha256(conv().bfloat16()),
        weights_sha256(conv(bias=False)),
        weights_sha256(nn.Sequential(conv())),
    }
    assert first not in others
    assert len(others) == 5


def test_the_hash_takes_buffers_and_leaves_out_tensors_without_values():
    bn = nn.BatchNorm2d(3)
    whole = nn.ModuleDict({"a": bn, "b": nn.Linear(2, 2, device="meta")})
    assert weights_sha256(whole) == weights_sha256(nn.ModuleDict({"a": bn}))
    before = weights_sha256(bn)
    bn.running_mean[0] = 1.0
    assert weights_sha256(bn) != before


def test_what_cannot_be_traced_after_the_tap_does_not_cost_the_fold():
    module = nn.Sequential(lively(Two()), lively(Branches())).eval()
    assert trace(module, "1.bn") is None
    assert pairs(module, "0") == [("0.conv", "0.bn"), ("0.body.0", "0.tail")]


def test_layer1_of_a_cifar_resnet50_takes_less_than_a_third_of_the_whole_network():
    """Operations of a plain forward pass against those of the tapped one, which stops at the layer."""
    from torch.utils.flop_counter import FlopCounterMode

    torch.manual_seed(0)
    module = resnet50(num_classes=10)
    module.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    lively(module)
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    with FlopCounterMode(display=False) as plain:
        naive(module, "layer1", images, CIFAR)
    with FlopCounterMode(display=False) as tapped:
        activations(module, "layer1", "mean", CIFAR, lambda i: images[i], 8)
    assert plain.get_total_flops() > 3 * tapped.get_total_flops() > 0
