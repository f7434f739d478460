"""gradients.py against autograd image by image, finite differences and networks without gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from iibench.compute.activations import iter_activations
from iibench.compute.folding import prepared
from iibench.compute.gradients import input_gradient_norms
from iibench.contract.errors import CaseError, PluginError, UsageError
from iibench.contract.specs import LoadedModel, Preprocess

IMAGES = np.random.default_rng(0).integers(0, 256, (11, 8, 8, 3), dtype=np.uint8)
EVERY = np.arange(11)
NORMALISED = Preprocess((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
RESIZED = Preprocess((0.4, 0.5, 0.6), (0.2, 0.25, 0.3), size=12)
V = torch.from_numpy(np.random.default_rng(1).normal(size=(11, 5)).astype(np.float32))


def read(indices):
    return IMAGES[indices]


def small(**tail):
    """Conv, batch-norm and an in-place ReLU, then a module `tail` that must not run."""
    torch.manual_seed(0)
    module = nn.Sequential()
    module.conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
    module.bn = nn.BatchNorm2d(4)
    module.relu = nn.ReLU(inplace=True)
    module.last = nn.Conv2d(4, 5, 3)
    for name, m in tail.items():
        setattr(module, name, m)
    module.bn.running_mean.uniform_(-0.5, 0.5)
    module.bn.running_var.uniform_(0.5, 2)
    return module.eval().requires_grad_(False)


def nearness(activations, rows):
    return -(activations - V.to(activations)[rows]).norm(dim=1)


def norms(module, layer="last", pool="mean", indices=EVERY, score=nearness, **options):
    preprocess = options.pop("preprocess", NORMALISED)
    return input_gradient_norms(
        LoadedModel(module, preprocess), layer, pool, read, indices, score, **options
    )


def tapped_values(module, layer, x, preprocess):
    """The layer's output for one image x (3, h, w), RGB in [0, 1], by plain modules."""
    y = x[None]
    if preprocess.size is not None:
        size = (preprocess.size, preprocess.size)
        y = nn.functional.interpolate(y, size=size, mode="bicubic", antialias=True).clamp(0, 1)
    mean, std = (
        torch.tensor(values, dtype=x.dtype)[:, None, None]
        for values in (preprocess.mean, preprocess.std)
    )
    y = (y - mean) / std
    for name, m in module.named_children():
        y = m(y)
        if name == layer:
            return y[0]
    raise AssertionError(layer)


POOLED = {
    "mean": lambda y: y.mean((1, 2)),
    "max": lambda y: y.amax((1, 2)),
    "center": lambda y: y[:, y.shape[1] // 2, y.shape[2] // 2],
    "flatten": lambda y: y.flatten(),
}


@pytest.mark.parametrize("preprocess", [NORMALISED, RESIZED], ids=["plain", "resized"])
@pytest.mark.parametrize("pool", ["mean", "max", "center"])
@pytest.mark.parametrize("layer", ["last", "relu", "bn"])
def test_equals_autograd_image_by_image(layer, pool, preprocess):
    module = small().double()  # not folded, and in float64
    found = norms(small(), layer, pool, preprocess=preprocess, score=own_width, batch_size=4)
    for i in EVERY:
        x = (torch.from_numpy(IMAGES[i]).double() / 255).permute(2, 0, 1).requires_grad_()
        y = POOLED[pool](tapped_values(module, layer, x, preprocess))
        (gradient,) = torch.autograd.grad(own_width(y[None], torch.tensor([i])).sum(), x)
        assert found[i] == pytest.approx(float(gradient.norm()), rel=1e-4)


def own_width(activations, rows):
    """Nearness to the first entries of V, as many as there are neurons."""
    return -(activations - V.to(activations)[rows, : activations.shape[1]]).norm(dim=1)


def test_flattened_maps_have_gradients_too():
    def score(activations, rows):
        return (activations**2).sum(1)

    module, found = small().double(), norms(small(), "relu", "flatten", score=score)
    x = (torch.from_numpy(IMAGES[3]).double() / 255).permute(2, 0, 1).requires_grad_()
    score(POOLED["flatten"](tapped_values(module, "relu", x, NORMALISED))[None], None).backward()
    assert found[3] == pytest.approx(float(x.grad.norm()), rel=1e-4)


def test_equals_finite_differences_in_the_units_of_rgb():
    module = small().double()
    pixels = (torch.from_numpy(IMAGES[2]).double() / 255).permute(2, 0, 1)

    def value(x):
        y = POOLED["mean"](tapped_values(module, "last", x, RESIZED))
        return float(nearness(y[None], torch.tensor([2])))

    gradient, step = torch.zeros(pixels.numel()), 1e-6
    for k in range(pixels.numel()):
        moved = torch.zeros(pixels.numel(), dtype=torch.float64)
        moved[k] = step
        moved = moved.view_as(pixels)
        gradient[k] = (value(pixels + moved) - value(pixels - moved)) / (2 * step)
    assert norms(small(), preprocess=RESIZED)[2] == pytest.approx(float(gradient.norm()), rel=1e-3)


@pytest.mark.slow
@given(st.lists(st.integers(0, 10), max_size=12), st.integers(1, 13))
@settings(max_examples=25, deadline=None)
def test_neither_batches_nor_the_other_images_matter(indices, batch_size):
    """Images may be asked for twice; `rows` counts positions in `indices`, whatever the batch."""

    def score(activations, rows):
        return nearness(activations, torch.tensor(indices)[rows])

    alone = norms(small())
    found = norms(small(), indices=np.array(indices, int), score=score, batch_size=batch_size)
    np.testing.assert_allclose(found, alone[np.array(indices, int)], rtol=1e-5)


def test_batch_norm_is_folded_and_changes_nothing():
    folded = prepared(small(), "last").module
    assert isinstance(folded.bn, nn.Identity)
    np.testing.assert_allclose(norms(folded), norms(small()), rtol=1e-6)
    hooked = small()
    hooked.conv.register_forward_hook(lambda m, a, out: None)  # keeps it from being folded
    np.testing.assert_allclose(norms(hooked), norms(small()), rtol=1e-4)


class Raises(nn.Module):
    def forward(self, x):
        raise AssertionError("ran past the tapped layer")


def test_nothing_after_the_layer_runs():
    np.testing.assert_array_equal(norms(small(tail=Raises())), norms(small()))


def test_weights_keep_no_gradient():
    module = small().requires_grad_(True)
    np.testing.assert_allclose(norms(module), norms(small()), rtol=1e-6)
    assert all(p.grad is None for p in module.parameters())


def test_works_within_inference_mode():
    expected = norms(small())
    with torch.inference_mode():
        np.testing.assert_array_equal(norms(small_outside), expected)


small_outside = small()


def test_half_precision_keeps_three_digits():
    np.testing.assert_allclose(norms(small().bfloat16()), norms(small()), rtol=0.1)


def test_progress_and_no_images():
    seen = []
    norms(small(), batch_size=4, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4, 11), (8, 11), (11, 11)]
    assert norms(small(), indices=np.zeros(0, int)).shape == (0,)


def test_pooling_is_the_one_of_activations():
    ((_, values),) = iter_activations(
        LoadedModel(small(), NORMALISED), "last", "max", read, EVERY, batch_size=11
    )
    kept = []

    def score(activations, rows):
        kept.append(activations.detach().numpy().copy())
        return activations.sum(1)

    norms(small(), "last", "max", score=score, batch_size=11)
    np.testing.assert_allclose(kept[0], values, rtol=1e-6)


# -------------------------------------------------------------------------------------- errors


class Rounds(nn.Module):
    def forward(self, x):
        return (x * 10).to(torch.int32).float()


class Detaches(nn.Module):
    def forward(self, x):
        return x.detach()


@pytest.mark.parametrize("module", [Rounds(), Detaches()])
def test_a_network_without_gradients_says_so(module):
    with pytest.raises(CaseError, match="layer 'tail' has no gradient with respect to the pixels"):
        norms(small(tail=module.eval()), "tail")


class OverwritesWhatItNeeds(nn.Module):
    def forward(self, x):
        y = x.sigmoid()
        y.mul_(2)
        return y


def test_what_autograd_refuses_is_named():
    module = small(tail=OverwritesWhatItNeeds().eval())
    with pytest.raises(CaseError, match=r"layer 'tail' has no gradient .*modified by an inplace"):
        norms(module, "tail")


def test_weights_made_in_inference_mode_are_refused():
    with torch.inference_mode():
        module = small()
    with pytest.raises(CaseError, match=r"has no gradient .*Inference tensors"):
        norms(module)


class Fails(nn.Module):
    def forward(self, x):
        raise RuntimeError("out of memory")


def test_other_errors_of_a_network_pass():
    with pytest.raises(RuntimeError, match="out of memory"):
        norms(small(tail=Fails().eval()), "tail")


def test_a_gradient_that_is_not_finite_names_the_image():
    def score(activations, rows):
        return (activations.sum(1) - activations.sum(1).detach()).sqrt()  # infinite slope at 0

    with pytest.raises(CaseError, match="not finite, first for image 7"):
        norms(small(), indices=np.array([7, 8]), score=score)


@pytest.mark.parametrize(
    "score",
    [
        lambda activations, rows: activations,
        lambda activations, rows: activations.detach().sum(1),
        lambda activations, rows: torch.ones(len(rows), requires_grad=True) * 2,
    ],
)
def test_a_score_that_is_none_is_the_plugins_mistake(score):
    with pytest.raises(PluginError, match="score of activations"):
        norms(small(), score=score)


def test_unknown_layers_are_named():
    with pytest.raises(UsageError, match="nearest: last"):
        norms(small(), "lst")
