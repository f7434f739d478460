"""SSIM from embeddings against scikit-image, pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from iibench.contract.errors import CaseError
from iibench_plugins.metrics import ssim
from iibench_plugins.metrics.ssim import Params

#: scikit-image's arguments for each window.
ARGUMENTS = {
    "uniform": {},
    "gaussian": {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
}


def reference(x, y, window):
    """(p, q) by a loop over pairs."""
    left, right = (v.double().permute(0, 2, 3, 1).numpy() for v in (x, y))
    return [
        [
            structural_similarity(a, b, channel_axis=-1, data_range=1, **ARGUMENTS[window])
            for b in right
        ]
        for a in left
    ]


@given(
    st.sampled_from(sorted(ARGUMENTS)),
    st.integers(11, 40),
    st.integers(11, 40),
    st.floats(0, 1),
    st.integers(0, 2**31),
)
@settings(max_examples=30, deadline=None)
def test_equals_scikit_image(window, height, width, alike, seed):
    """Pairs from hardly to very much alike."""
    metric = ssim.load(Params(window=window), None)
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.rand(n, 3, height, width, generator=generator) for n in (2, 3))
    y = alike * x[:1] + (1 - alike) * y
    found = metric.compare(metric.embed(x), metric.embed(y))
    np.testing.assert_allclose(found, reference(x, y, window), rtol=0, atol=1e-6)


def test_the_smallest_images():
    for window, side in (("uniform", 7), ("gaussian", 11)):
        metric = ssim.load(Params(window=window), None)
        x, y = torch.rand(1, 3, side, side), torch.rand(1, 3, side, side)
        found = metric.compare(metric.embed(x), metric.embed(y))
        np.testing.assert_allclose(found, reference(x, y, window), rtol=0, atol=1e-6)
        with pytest.raises(
            CaseError, match=f"at least {side} x {side} pixels, got 32 x {side - 1}"
        ):
            metric.embed(torch.rand(1, 3, 32, side - 1))


def test_flat_images_and_their_inverse():
    """Equal flat images are alike; an image and its negative are as unlike as can be in structure."""
    metric = ssim.load(Params(), None)
    x = torch.stack([torch.full((3, 16, 16), v) for v in (0.0, 0.5, 1.0)])
    rows = metric.embed(x)
    found = metric.compare(rows, rows)
    torch.testing.assert_close(found.diagonal(), torch.ones(3, dtype=torch.float64))
    assert found[0, 2].item() == pytest.approx(1e-4 / (1 + 1e-4))  # C1 / (1 + C1)
    noise = torch.rand(1, 3, 32, 32)
    assert metric.compare(metric.embed(noise), metric.embed(1 - noise)).item() < -0.8


def test_pairs_can_be_compared_some_at_a_time(monkeypatch):
    metric = ssim.load(Params(), None)
    a, b = metric.embed(torch.rand(3, 3, 20, 30)), metric.embed(torch.rand(5, 3, 20, 30))
    whole = metric.compare(a, b)
    monkeypatch.setattr(ssim, "BLOCK", 1)
    torch.testing.assert_close(metric.compare(a, b), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("window", sorted(ARGUMENTS))
def test_windows_are_normalised_and_symmetric(window):
    matrix = ssim.window_matrix(window, 20)
    assert matrix.shape == (20 - ssim.SIDES[window] + 1, 20)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1])


def test_what_the_spec_declares():
    (spec,) = ssim.iibench_register_metrics()
    assert (spec.name, spec.distance, spec.level, spec.range) == ("ssim", "own", "low", "[-1, 1]")
    assert (spec.size(Params()), spec.size(Params(resize=64))) == (None, 64)
    assert spec.assets == ()
