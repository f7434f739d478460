"""The model planted: it reads the features off the pixels and superposes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.assets.local import LocalResources
from iibench_plugins._shared.planted.frame import frame, welch_bound
from iibench_plugins._shared.planted.images import glyphs, render
from iibench_plugins.datasets import planted as dataset
from iibench_plugins.models.planted import Params, iibench_register_layers, load


def images(features: int, size: int, n: int = 50) -> dataset.PlantedImages:
    rng = np.random.default_rng(3)
    return dataset.PlantedImages(dataset.draw(n, features, 0.1, rng), size)


@pytest.mark.parametrize(("features", "neurons", "size", "seed"), [(64, 32, 64, 0), (10, 3, 25, 5)])
def test_activations_are_the_features_and_their_superposition(
    offline: LocalResources, tapped: Callable[..., np.ndarray], features, neurons, size, seed
) -> None:
    params = Params(features=features, neurons=neurons, size=size, seed=seed)
    data = images(features, size)
    shown = data.images(range(len(data)))
    f = tapped(load(params, "monosemantic", offline), "monosemantic", shown)
    h = tapped(load(params, "superposed", offline), "superposed", shown)
    assert f.shape == (50, features)
    assert h.shape == (50, neurons)
    # pixels are rounded to 1/255, which is more than 1/255 of a glyph of low contrast
    np.testing.assert_allclose(f, data.values, atol=1.5 / 255)
    np.testing.assert_allclose(f[data.values == 0], 0, atol=1e-7)
    # feature by feature, from images of one feature at full strength
    alone = render(np.diag(np.full(features, 255, np.uint8)), size)
    W = tapped(load(params, "superposed", offline), "superposed", alone)
    by_feature = np.array([sum(f_i * w for f_i, w in zip(row, W, strict=True)) for row in f])
    np.testing.assert_allclose(h, by_feature, atol=1e-5)
    np.testing.assert_allclose(W, frame(features, neurons, seed).T, atol=1e-5)


def test_a_feature_is_read_by_least_squares_on_its_glyph(
    offline: LocalResources, tapped: Callable[..., np.ndarray]
) -> None:
    """On any image, the strength is the one whose glyph fits the pixels best."""
    shown = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
    f = tapped(load(Params(9, 4, 20), "monosemantic", offline), "monosemantic", shown)
    for image, row in zip(shown, f, strict=True):
        pixels = image.astype(float).ravel() - 128
        for glyph, strength in zip(glyphs(9, 20), row, strict=True):
            (expected,), *_ = np.linalg.lstsq(glyph.reshape(-1, 1).astype(float), pixels)
            assert strength == pytest.approx(expected, abs=1e-4)


def test_images_of_another_size_are_resized(
    offline: LocalResources, tapped: Callable[..., np.ndarray]
) -> None:
    model = load(Params(9, 4, 20), "superposed", offline)
    shown = np.full((2, 33, 33, 3), 128, np.uint8)
    np.testing.assert_allclose(tapped(model, "superposed", shown), 0, atol=1e-7)


@pytest.mark.usefixtures("generator_kept")
def test_the_network_is_frozen_computed_and_linear(
    offline: LocalResources, is_frozen: Callable[[torch.nn.Module], bool]
) -> None:
    one, two = (load(Params(), "superposed", offline).module for _ in range(2))
    assert is_frozen(one)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(one(x[:1] + 2 * x[1:]), one(x[:1]) + 2 * one(x[1:]))


def test_only_the_network_has_these_layers() -> None:
    from iibench_plugins.models import planted, resnet50_cifar10

    (spec,) = planted.iibench_register_models()
    other, *_ = resnet50_cifar10.iibench_register_models()
    assert [layer.name for layer in iibench_register_layers(spec)] == ["monosemantic", "superposed"]
    assert list(iibench_register_layers(other)) == []


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"neurons": 64}, "neurons = 64 for 64 features; expected fewer neurons than features"),
        ({"size": 47}, "size = 47 for 64 features; expected at least 48 pixels"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(params, problem) -> None:
    with pytest.raises(ValueError, match=problem):
        Params(**params)


@settings(deadline=None, max_examples=15)
@given(
    shape=st.integers(2, 24).flatmap(
        lambda n: st.tuples(st.integers((3 * n + 1) // 2, 3 * n), st.just(n))
    ),
    seed=st.integers(0, 2**32),
)
def test_directions_are_nearly_orthogonal(shape, seed) -> None:
    features, neurons = shape
    W = frame(features, neurons, seed)
    assert W.shape == (neurons, features)
    np.testing.assert_allclose(np.linalg.norm(W, axis=0), 1, atol=1e-12)
    products = abs(W.T @ W - np.eye(features))
    assert welch_bound(features, neurons) - 1e-9 <= products.max()
    assert products.max() < 2.5 * welch_bound(features, neurons)


@pytest.mark.parametrize("seed", range(5))
def test_the_shipped_directions_come_within_one_and_a_half_times_the_bound(seed) -> None:
    products = abs(frame(64, 32, seed).T @ frame(64, 32, seed) - np.eye(64))
    assert products.max() < 1.5 * welch_bound(64, 32)
    # neurons have nothing to do with features: none has one to itself, each has many
    shares = frame(64, 32, seed) ** 2
    assert shares.max() < 0.5
    assert (shares > 0.25 / 32).sum(axis=1).min() > 64 / 3


def test_welchs_bound_is_met_by_frames_that_are_known() -> None:
    three = np.array([[1, 0], [-0.5, np.sqrt(0.75)], [-0.5, -np.sqrt(0.75)]])
    assert abs(three @ three.T - np.eye(3)).max() == pytest.approx(welch_bound(3, 2))
    # six diagonals of an icosahedron
    golden = (1 + np.sqrt(5)) / 2
    rows = [(0, 1, golden), (0, 1, -golden), (1, golden, 0)]
    rows += [(1, -golden, 0), (golden, 0, 1), (golden, 0, -1)]
    six = np.array(rows) / np.sqrt(1 + golden**2)
    assert abs(six @ six.T - np.eye(6)).max() == pytest.approx(welch_bound(6, 3))


def test_directions_do_not_depend_on_what_was_asked_for_before() -> None:
    frame.cache_clear()
    one = frame(12, 5, 0).copy()
    frame.cache_clear()
    np.random.default_rng(0)
    frame(64, 32, 0)
    frame(12, 5, 1)
    np.testing.assert_array_equal(frame(12, 5, 0), one)
    assert not np.allclose(frame(12, 5, 1), one)
    with pytest.raises(ValueError, match="read-only"):
        frame(12, 5, 0)[0, 0] = 0
