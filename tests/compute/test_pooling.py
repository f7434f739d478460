"""Pooling of a layer's output, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.compute.pooling import pooled
from iibench.contract.errors import CaseError
from iibench.contract.specs import POOLS


def of_tokens(tokens, pool):
    return pooled(tokens, pool, "l", len(tokens), "channels_last", (6, 6)).numpy()


def test_tokens_are_pooled_over_tokens():
    x = np.random.default_rng(1).normal(size=(2, 10, 6)).astype(np.float32)  # class token + 3 x 3
    t = torch.from_numpy(x)
    np.testing.assert_allclose(of_tokens(t, "mean"), x.mean(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(of_tokens(t, "max"), x.max(1))
    np.testing.assert_array_equal(of_tokens(t, "cls"), x[:, 0])
    np.testing.assert_array_equal(of_tokens(t, "flatten"), x.reshape(2, -1))
    np.testing.assert_array_equal(of_tokens(t, "center"), x[:, 5])
    np.testing.assert_array_equal(of_tokens(t[:, 1:], "center"), x[:, 5])


def test_maps_with_channels_last():
    x = torch.randn(2, 4, 4, 6)
    found = pooled(x, "mean", "l", 2, "channels_last", (4, 4))
    np.testing.assert_allclose(found, x.mean((1, 2)), rtol=1e-5, atol=1e-6)


def test_half_precision_becomes_float32():
    found = pooled(torch.ones(2, 3, 4, 4).half(), "mean", "l", 2, "channels_first", (4, 4))
    assert found.dtype == torch.float32


@pytest.mark.parametrize(
    ("output", "pool", "message"),
    [
        (torch.zeros(2, 3), "max", r"'max' does not fit layer 'l', whose output is \(2, 3\)"),
        (torch.zeros(2, 3, 4, 4), "cls", "'cls' does not fit"),
        (torch.zeros(2, 7, 3), "center", "7 tokens form no square grid"),
        (torch.zeros(2, 3, 4, 4, 4), "mean", "does not fit"),
        (torch.zeros(5, 3), "mean", r"shape \(5, 3\); expected a tensor whose first dimension"),
        ((torch.zeros(2, 3),), "mean", "type tuple"),
        (torch.tensor(1.0), "mean", "shape"),
    ],
)
def test_outputs_that_do_not_fit_are_errors(output, pool, message):
    with pytest.raises(CaseError, match=message):
        pooled(output, pool, "l", 2, "channels_last", (1, 1))


@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from(POOLS[:3]),
)
@settings(max_examples=40, deadline=None)
def test_pooling_keeps_values_within_the_range_of_the_map(b, n, h, w, pool):
    x = torch.rand(b, n, h, w)
    found = pooled(x, pool, "l", b, "channels_first", (h, w)).numpy()
    assert found.shape == (b, n)
    assert (found <= x.amax((2, 3)).numpy() + 1e-6).all()
    assert (found >= x.amin((2, 3)).numpy() - 1e-6).all()
    last = pooled(x.permute(0, 2, 3, 1), pool, "l", b, "channels_last", (h, w))
    np.testing.assert_array_equal(found, last)
