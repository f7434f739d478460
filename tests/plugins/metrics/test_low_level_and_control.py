"""Pixels and mean CIELAB colour against plain NumPy and published values; the control at chance."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import deltaE_ciede2000, rgb2lab

from iibench.compute.similarity.lookups import EmbeddingSimilarity
from iibench.contract.base import NoParams
from iibench.contract.evaluations import EvaluationInputs
from iibench_plugins.evaluations import insilico
from iibench_plugins.metrics import color, color_lab, pixel, shuffled

PIXEL = pixel.load(pixel.Params(), None)
LAB = color_lab.load(NoParams(), None)
CONTROL = shuffled.load(shuffled.Params(), None)

#: Pairs of CIELAB colours and their difference, from Table 1 of Sharma, Wu and Dalal 2005.
SHARMA = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, 3.1571, -77.2803), (50.0, 0.0, -82.7485), 2.8615),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((50.0, 2.5, 0.0), (61.0, -5.0, 29.0), 22.8977),
    ((50.0, 2.5, 0.0), (56.0, -27.0, -3.0), 31.9030),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
]


def eight_bit(n, height, width, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (n, 3, height, width))
    return torch.from_numpy((values / 255).astype(np.float32))


# ------------------------------------------------------------------------------------- pixels


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_pixels_are_compared_by_their_root_mean_square_difference(height, width, seed):
    x = eight_bit(2, height, width, seed)
    a, b = PIXEL.embed(x).double()
    expected = np.sqrt(((x[0] - x[1]).double().numpy() ** 2).mean())
    assert (a - b).norm().item() == pytest.approx(expected, abs=1e-6)


def test_pixel_differences_do_not_depend_on_the_size_and_end_at_one():
    x = eight_bit(2, 8, 8)
    small, large = (PIXEL.embed(v) for v in (x, x.repeat_interleave(4, 2).repeat_interleave(4, 3)))
    assert (small[0] - small[1]).norm().item() == pytest.approx((large[0] - large[1]).norm().item())
    black, white = PIXEL.embed(torch.stack([torch.zeros(3, 9, 7), torch.ones(3, 9, 7)]))
    assert (black - white).norm().item() == pytest.approx(1)


# -------------------------------------------------------------------------------- mean CIELAB


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_mean_lab_equals_scikit_image_pair_by_pair(height, width, seed):
    x, y = eight_bit(3, height, width, seed), eight_bit(2, height, width, seed + 1)
    left, right = (
        [rgb2lab(v.permute(1, 2, 0).double().numpy()).mean(axis=(0, 1)) for v in side]
        for side in (x, y)
    )
    expected = [[-deltaE_ciede2000(a, b) for b in right] for a in left]
    found = LAB.compare(LAB.embed(x), LAB.embed(y))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(found, LAB.compare(LAB.embed(y), LAB.embed(x)).T, atol=1e-9)


def test_ciede2000_as_published():
    a, b = (torch.tensor([pair[side] for pair in SHARMA]) for side in (0, 1))
    expected = [pair[2] for pair in SHARMA]
    np.testing.assert_allclose(-LAB.compare(a, b).diagonal(), expected, atol=1e-4)
    np.testing.assert_allclose(-LAB.compare(b, a).diagonal(), expected, atol=1e-4)


def test_white_black_and_grey():
    """White has L* = 100, and grey has no chroma; neither is shifted by the conversion."""
    x = torch.stack([torch.full((3, 4, 4), v) for v in (0.0, 0.5, 1.0)])
    lab = LAB.embed(x)
    np.testing.assert_allclose(lab[:, 0], [0, 53.389, 100], atol=1e-2)
    np.testing.assert_allclose(lab[:, 1:], 0, atol=1e-2)


# ------------------------------------------------------------------------------------ control


def test_random_vectors_follow_the_pixels_alone():
    x = eight_bit(4, 8, 8)
    rows = CONTROL.embed(torch.cat([x, x.flip(0)]))
    torch.testing.assert_close(rows[:4], rows[4:].flip(0), rtol=0, atol=0)
    torch.testing.assert_close(CONTROL.embed(x[2:3]), rows[2:3], rtol=0, atol=0)
    # rounding on the way to floats does not make another picture of it
    torch.testing.assert_close(CONTROL.embed((x * 0.9999).clamp(0, 1)), rows[:4], rtol=0, atol=0)
    changed = x.clone()
    changed[0, 0, 0, 0] = 1 - changed[0, 0, 0, 0]
    assert (CONTROL.embed(changed)[0] - rows[0]).abs().max() > 0.1


def test_random_vectors_by_hand():
    x = eight_bit(1, 5, 6)
    levels = (x[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    digest = hashlib.sha256(b"7 5 6\n" + levels.tobytes()).hexdigest()
    expected = np.random.default_rng(int(digest, 16)).standard_normal(4)
    found = shuffled.load(shuffled.Params(dimension=4, seed=7), None).embed(x)
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)


def test_random_vectors_are_standard_normal_and_follow_the_seed():
    x = eight_bit(2000, 2, 2)
    first, second = (
        shuffled.load(shuffled.Params(seed=seed), None).embed(x).numpy() for seed in (0, 1)
    )
    assert first.shape == (2000, 16)
    np.testing.assert_allclose(first.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(np.cov(first.T), np.eye(16), atol=0.15)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.03


def test_no_global_generator_is_touched():
    torch.manual_seed(0)
    np.random.seed(0)
    CONTROL.embed(eight_bit(3, 4, 4, seed=5))
    drawn = torch.rand(3), np.random.rand(3)
    torch.manual_seed(0)
    np.random.seed(0)
    torch.testing.assert_close(torch.rand(3), drawn[0], rtol=0, atol=0)
    np.testing.assert_array_equal(np.random.rand(3), drawn[1])


def test_the_control_is_at_chance_where_another_metric_is_not():
    """60 directions that respond to the images' mean colour; 1,200 in-silico trials."""
    rng = np.random.default_rng(0)
    x = eight_bit(400, 4, 4) * torch.from_numpy(rng.random((400, 3, 1, 1)).astype(np.float32))
    responses = (x.mean(dim=(2, 3)).numpy() @ rng.standard_normal((3, 60))).astype(np.float32)
    order = np.argsort(-responses, axis=0, kind="stable").astype(np.int32)

    def accuracy(metric):
        rows = metric.embed(x).numpy()
        lookup = EmbeddingSimilarity(lambda indices: rows, len(rows), "euclidean")
        inputs = EvaluationInputs(responses, order, lookup, None, seed=0)
        return insilico.evaluate(insilico.Params(), inputs).values.mean()

    assert accuracy(color.load(NoParams(), None)) > 0.95
    assert accuracy(CONTROL) == pytest.approx(0.5, abs=0.05)


def test_what_the_specs_declare():
    (p,), (lab,), (control,) = (m.iibench_register_metrics() for m in (pixel, color_lab, shuffled))
    assert (p.name, p.distance, p.level, p.range) == ("pixel", "euclidean", "low", "[-1, 0]")
    assert (p.size(pixel.Params()), p.size(pixel.Params(resize=32))) == (None, 32)
    assert (lab.name, lab.distance, lab.level) == ("color_lab", "own", "low")
    assert (control.name, control.distance, control.level) == ("shuffled", "euclidean", "control")
