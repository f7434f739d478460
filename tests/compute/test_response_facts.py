"""Facts about responses, against NumPy and the formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iibench.compute import response_facts as responses
from iibench.compute.response_facts import BINS, histograms, response_facts, sparseness


def test_histograms_are_numpys() -> None:
    rng = np.random.default_rng(0)
    values = np.round(rng.normal(size=(500, 7)) * 16) / 16  # exact in binary: no edge is in doubt
    low, high, counts = histograms(values)
    for k in range(7):
        expected, edges = np.histogram(values[:, k], bins=BINS)
        assert (low[k], high[k]) == (edges[0], edges[-1])
        assert np.abs(np.cumsum(counts[k]) - np.cumsum(expected)).max() <= (
            np.isclose(values[:, k][:, None], edges[None]).sum(axis=0).max()
        )
        assert counts[k].sum() == 500
    flat = histograms(np.full((9, 1), 3.0))
    assert flat[2][0, 0] == 9
    assert flat[2].sum() == 9


def test_sparseness_is_the_formula_of_vinje_and_gallant() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(40, 6))
    expected = []
    for column in values.T:
        r = [max(x, 0.0) for x in column]
        mean, square = sum(r) / 40, sum(x * x for x in r) / 40
        expected.append((1 - mean**2 / square) / (1 - 1 / 40))
    np.testing.assert_allclose(sparseness(values), expected, rtol=1e-12)
    assert sparseness(np.ones((5, 1)))[0] == pytest.approx(0)
    assert sparseness(np.eye(5)[:, :1])[0] == pytest.approx(1)
    assert np.isnan(sparseness(-np.ones((5, 1)))[0])


@pytest.mark.slow
@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
        elements=st.floats(-(2.0**60), 2.0**60, width=32),
    ),
)
def test_facts_do_not_depend_on_scale_or_on_blocks(values: np.ndarray) -> None:
    whole = response_facts(values)
    assert (whole.counts.sum(axis=1) == len(values)).all()
    assert ((whole.positive >= 0) & (whole.positive <= 1)).all()
    defined = ~np.isnan(whole.sparseness)
    assert (defined == ((values > 0).any(axis=0) & (len(values) > 1))).all()
    assert ((whole.sparseness[defined] >= 0) & (whole.sparseness[defined] <= 1)).all()
    scaled = response_facts((values * np.float32(2.0**3)).astype(np.float32))
    np.testing.assert_allclose(scaled.sparseness, whole.sparseness, rtol=1e-6)
    old, responses.BLOCK = responses.BLOCK, 1
    try:
        np.testing.assert_array_equal(response_facts(values).counts, whole.counts)
    finally:
        responses.BLOCK = old
