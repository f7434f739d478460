"""Which dimension of an output holds the neurons, how often a layer runs, and how images lie in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import convnext_tiny, densenet121, resnet18, swin_t, vgg11, vit_b_16

from iibench.compute.activations import iter_activations
from iibench.compute.tap import tapped
from iibench.contract.errors import CaseError, UsageError
from iibench.contract.specs import LoadedModel, Preprocess


def read(module, layer, x, pool="mean", **options):
    model = LoadedModel(module.eval().requires_grad_(False), Preprocess())
    return tapped(model, layer, pool, **options).read(x)


def pictures(h, w, n=3):
    return torch.rand(n, 3, h, w, generator=torch.Generator().manual_seed(h * w))


def output(module, layer, x):
    """The layer's own output."""
    seen = []
    handle = module.get_submodule(layer).register_forward_hook(lambda *a: seen.append(a[2]))
    with torch.no_grad():
        module.eval()(x)
    handle.remove()
    return seen[-1]


# ------------------------------------------------------------------------------- known networks

NETWORKS = [
    (vgg11, "features.1", 64, 1),
    (vgg11, "avgpool", 512, 1),
    (resnet18, "layer1", 64, 1),
    (densenet121, "features.transition1", 128, 1),
    (swin_t, "features.1", 96, -1),
    (swin_t, "features.1.0.mlp.0", 384, -1),
    (swin_t, "permute", 768, 1),
    (convnext_tiny, "features.1.0.block.0", 96, 1),
    (convnext_tiny, "features.1.0.block.4", 384, -1),
    (convnext_tiny, "features.1", 96, 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(("build", "layer", "channels", "where"), NETWORKS)
def test_images_of_every_shape_give_the_same_channels(build, layer, channels, where):
    torch.manual_seed(0)
    module = build()
    for h, w in ((64, 64), (64, 96), (96, 64)):
        x = pictures(h, w)
        found = read(module, layer, x)
        assert found.shape == (3, channels), (h, w)
        expected = output(module, layer, x).movedim(where, 1).flatten(2).mean(2)
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.slow
def test_tokens_of_a_network_of_one_size():
    module = vit_b_16(num_classes=2)
    x = pictures(224, 224, 2)
    for layer, channels in (("conv_proj", 768), ("encoder.layers.encoder_layer_0.mlp.0", 3072)):
        assert read(module, layer, x).shape == (2, channels)


# ------------------------------------------------------------------------------- small networks


def maps(channels=24):
    return nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU())


class ChannelsLast(nn.Module):
    """A map (b, h, w, N); `einsum`: made by an operation that says nothing of its dimensions."""

    def __init__(self, n=16, einsum=False, size=None):
        super().__init__()
        self.conv, self.last, self.n, self.einsum = nn.Conv2d(3, n, 4, 4), nn.Identity(), n, einsum
        self.bias = None if size is None else nn.Parameter(torch.zeros(1, *size, n))

    def forward(self, x):
        y = self.conv(x)
        y = (
            torch.einsum("bchw,cd->bhwd", y, torch.eye(self.n))
            if self.einsum
            else y.permute(0, 2, 3, 1)
        )
        return self.last(y if self.bias is None else y + self.bias)


@pytest.mark.parametrize(("h", "w"), [(24, 16), (16, 24), (24, 24), (24, 40)])
def test_as_many_channels_as_rows(h, w):
    x = pictures(h, w)
    found = read(maps(24), "1", x)
    assert found.shape == (3, 24)


@pytest.mark.parametrize("einsum", [False, True])
@pytest.mark.parametrize(("h", "w"), [(64, 64), (64, 96), (96, 64), (32, 48)])
def test_channels_last_whatever_made_them(einsum, h, w):
    module, x = ChannelsLast(einsum=einsum), pictures(h, w)
    expected = output(module, "last", x).mean((1, 2))
    np.testing.assert_allclose(read(module, "last", x), expected, rtol=1e-4, atol=1e-6)


def test_a_network_of_one_size_is_known_by_its_operations():
    module = ChannelsLast(size=(16, 24))
    assert read(module, "last", pictures(64, 96)).shape == (3, 16)


def test_what_cannot_be_known_is_asked_for():
    module, x = ChannelsLast(einsum=True, size=(16, 24)), pictures(64, 96)
    with pytest.raises(UsageError, match=r"'last' .*\(2|3, 16, 24, 16\).*layout: channels_first"):
        read(module, "last", x)
    assert read(module, "last", x, layout="channels_last").shape == (3, 16)
    assert read(module, "last", x, layout="channels_first").shape == (3, 16)
    np.testing.assert_allclose(
        read(module, "last", x, layout="channels_last"),
        output(module, "last", x).mean((1, 2)),
        rtol=1e-4,
        atol=1e-6,
    )


def test_positions_of_a_flattened_map_are_no_neurons():
    module = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Flatten(2), nn.Identity())
    for h, w in ((8, 8), (8, 12)):
        assert read(module, "2", pictures(h, w)).shape == (3, 6)


def test_the_middle_of_tokens_of_an_oblong_image():
    class Patches(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.tokens = nn.Conv2d(3, 5, 4, 4), nn.Identity()

        def forward(self, x):
            return self.tokens(self.conv(x).flatten(2).transpose(1, 2))

    module, x = Patches(), pictures(16, 64)  # 4 x 16 patches: 64, which 8 x 8 would be as well
    expected = output(module, "tokens", x)[:, 2 * 16 + 8]
    np.testing.assert_allclose(read(module, "tokens", x, "center"), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n", [2, 3, 16])
def test_another_dimension_is_never_taken_for_that_of_the_images(n):
    class SequenceFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.encoder = nn.Conv2d(3, 8, 8, 8), nn.Identity()

        def forward(self, x):
            return self.encoder(self.conv(x).flatten(2).permute(2, 0, 1))

    with pytest.raises(CaseError, match="first dimension is the . images"):
        read(SequenceFirst(), "encoder", pictures(32, 32, n))


# ------------------------------------------------------------------------------------- calls


class Twice(nn.Module):
    """One ReLU, by two names, used twice; `follow`: torch.fx can follow the forward pass."""

    def __init__(self, follow):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3)
        self.act = self.other = nn.ReLU()
        self.follow = follow

    def forward(self, x):
        y = self.act(self.a(x))
        if not self.follow and y.sum() > 1e9:
            return y
        return self.act(self.b(y))


@pytest.mark.parametrize("layer", ["act", "other"])
@pytest.mark.parametrize("follow", [True, False])
def test_a_module_used_twice_is_ambiguous_until_a_call_is_named(follow, layer):
    torch.manual_seed(0)
    module, x = Twice(follow), pictures(12, 12)
    with pytest.raises(UsageError, match=r"runs 2 times .* call: 1}, up to call: 2"):
        read(module, layer, x)
    first, second = (read(module, layer, x, call=call) for call in (1, 2))
    assert (first.shape, second.shape) == ((3, 4), (3, 6))
    expected = torch.relu(module.a(x))
    np.testing.assert_allclose(first, expected.mean((2, 3)), rtol=1e-4, atol=1e-6)
    expected = torch.relu(module.b(expected))
    np.testing.assert_allclose(second, expected.mean((2, 3)), rtol=1e-4, atol=1e-6)
    with pytest.raises(UsageError, match="from 1 to 2, not 3"):
        read(module, layer, x, call=3)


def test_a_second_call_after_what_cannot_be_followed_is_counted():
    class Later(Twice):
        def forward(self, x):
            return self.act(self.b(self.act(self.a(x)) if x.mean() < 1e9 else x))

    with pytest.raises(UsageError, match="runs 2 times"):
        read(Later(follow=True), "act", pictures(12, 12))


def test_what_fails_after_the_tap_is_nobodys_concern():
    class Fails(Twice):
        def forward(self, x):
            y = self.a(x)
            if y.sum() < 1e9:
                raise ValueError("no room")
            return y

    assert read(Fails(follow=False), "a", pictures(12, 12)).shape == (3, 4)


# ------------------------------------------------------------------------------- memory formats


class Views(nn.Module):
    """Flattens by `view`, which wants images that lie channel by channel."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 4, 3), nn.Linear(4 * 6 * 6, 5)

    def forward(self, x):
        y = self.conv(x)
        return self.linear(y.view(len(y), -1))


def test_a_network_that_calls_view_falls_back_and_says_so():
    torch.manual_seed(0)
    module, x, said = Views(), pictures(8, 8), []
    found = read(module, "linear", x, warn=said.append)
    np.testing.assert_allclose(found, module(x), rtol=1e-4, atol=1e-6)
    (text,) = said
    assert "'linear'" in text
    assert "channel by channel" in text


def test_it_says_nothing_where_the_view_comes_after_the_layer():
    said = []
    assert read(Views(), "conv", pictures(8, 8), warn=said.append).shape == (3, 4)
    assert not said


def test_the_fallback_does_not_depend_on_batches():
    torch.manual_seed(0)
    model = LoadedModel(Views().eval().requires_grad_(False), Preprocess())
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)

    def rows(size):
        found = iter_activations(
            model, "linear", "mean", images.__getitem__, np.arange(5), batch_size=size
        )
        return np.concatenate([values for _, values in found])

    np.testing.assert_allclose(rows(2), rows(5), rtol=1e-5, atol=1e-6)


def test_an_error_of_the_network_itself_stays_what_it_is():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        read(nn.Sequential(nn.Flatten(), nn.Linear(7, 2)), "1", pictures(8, 8))


def test_complex_activations_are_an_error():
    class Spectrum(nn.Module):
        def forward(self, x):
            return torch.fft.fft2(x)

    with pytest.raises(CaseError, match="complex numbers"):
        read(nn.Sequential(Spectrum()), "0", pictures(8, 8))
