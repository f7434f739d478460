"""Draws of units, shares and correlations in them, against naive loops and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.statistics.resampling import (
    correlations,
    interval,
    paired_difference,
    pearson_resampled,
    resample_units,
    share,
    share_resampled,
    spearman_resampled,
)

UNIT = np.repeat(np.array([0, 1, 3, 4, 7, 8, 9]), 3)


def test_draws_are_as_many_units_as_occur_and_no_others() -> None:
    counts = resample_units(UNIT, 5000)
    assert counts.shape == (5000, 10)
    assert (counts.sum(axis=1) == 7).all()
    assert (counts[:, [2, 5, 6]] == 0).all()
    # each unit is drawn once on average, binomially: variance 7 * (1/7) * (6/7)
    assert counts[:, np.unique(UNIT)].mean(axis=0) == pytest.approx(np.ones(7), abs=0.06)
    assert counts[:, 3].var() == pytest.approx(6 / 7, rel=0.1)


def test_draws_depend_on_the_seed_alone_and_fewer_are_the_first_of_more() -> None:
    many = resample_units(UNIT, 350)
    assert (resample_units(UNIT[::-1], 130) == many[:130]).all()
    assert (resample_units(UNIT, 350, seed=1) != many).any()
    assert resample_units(np.zeros(0, np.int64), 5).shape == (5, 0)


def test_interval_is_of_the_percentiles_and_knows_when_there_is_none() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    assert interval(values, 10) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))
    assert interval(values, 10, 0.9) == pytest.approx(tuple(np.percentile(values, [5, 95])))
    assert interval(values, 1) == (None, None)
    few = np.where(np.arange(1000) < 50, np.nan, values)
    assert interval(few, 10) == pytest.approx(tuple(np.percentile(values[50:], [2.5, 97.5])))
    assert interval(np.where(np.arange(1000) < 51, np.nan, values), 10) == (None, None)
    assert interval(np.full(10, np.nan), 10) == (None, None)
    assert interval(np.zeros(0), 10) == (None, None)


def test_paired_difference() -> None:
    rng = np.random.default_rng(1)
    both = rng.normal(size=2000)
    a, b = both + 0.1 * rng.normal(size=2000) + 0.2, both + 0.1 * rng.normal(size=2000)
    found = paired_difference(0.2, 0.0, a, b, units=50)
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(a - b, [2.5, 97.5])))
    z = 0.2 / np.std(a - b, ddof=1)
    assert found.p == pytest.approx(2 * scipy.stats.norm.sf(z))
    turned = paired_difference(0.0, 0.2, b, a, units=50)
    assert turned.p == found.p and turned.low == pytest.approx(-(found.high or 0))


def test_paired_difference_without_spread_or_interval() -> None:
    same = np.random.default_rng(1).normal(size=200)
    assert paired_difference(0.3, 0.3, same, same, units=9).p == 1.0
    assert paired_difference(1.0, 0.5, np.ones(200), np.full(200, 0.5), units=9).p is None
    alone = paired_difference(0.4, 0.3, same, same, units=1)
    assert (alone.low, alone.high, alone.p) == (None, None, None)
    mostly_undefined = np.where(np.arange(200) < 20, np.nan, same)
    assert paired_difference(0.4, 0.3, mostly_undefined, same, units=9).p is None


def test_share_in_resamples_against_a_loop() -> None:
    rng = np.random.default_rng(2)
    values, weights = rng.random(21), rng.integers(0, 4, 21)
    values[4] = np.nan
    counts = resample_units(UNIT, 60)
    found = share_resampled(values, weights, UNIT, counts)
    for row, drawn in zip(found, counts, strict=True):
        rows = np.concatenate([np.flatnonzero(u == UNIT) for u in np.repeat(np.arange(10), drawn)])
        rows = rows[~np.isnan(values[rows])]
        assert row == pytest.approx(np.average(values[rows], weights=weights[rows]))
    once = share_resampled(values, weights, UNIT, np.ones((1, 10), np.int32))
    assert once[0] == pytest.approx(share(values, weights), rel=1e-14)


def test_share_without_weights_is_undefined() -> None:
    assert np.isnan(share(np.array([0.5, np.nan]), np.array([0, 3])))
    unit = np.array([0, 1])
    found = share_resampled(np.ones(2), np.array([0, 1]), unit, np.array([[2, 0], [1, 1]]))
    assert np.isnan(found[0]) and found[1] == 1.0


def test_units_without_answers_may_lie_past_the_drawn_ones() -> None:
    unit, weights = np.array([0, 1, 5]), np.array([1, 1, 0])
    counts = resample_units(unit[:2], 20)
    assert counts.shape == (20, 2)
    found = share_resampled(np.array([1.0, 0.0, 1.0]), weights, unit, counts)
    assert found == pytest.approx(counts[:, 0] / 2)
    x = np.array([1.0, 2.0, 4.0, 3.0, 9.0])
    assert pearson_resampled(x, -x, np.ones((1, 4), np.int32))[0] == pytest.approx(-1)


@pytest.mark.parametrize("decimals", [0, 6])
def test_correlations_against_scipy_with_and_without_ties(decimals: int) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=40).round(decimals)
    y = (x + rng.normal(size=40)).round(decimals)
    x[3] = y[5] = np.nan
    kept = ~np.isnan(x + y)
    pearson, spearman = correlations(x, y)
    assert pearson == pytest.approx(scipy.stats.pearsonr(x[kept], y[kept]).statistic, abs=1e-12)
    assert spearman == pytest.approx(scipy.stats.spearmanr(x[kept], y[kept]).statistic, abs=1e-12)
    counts = resample_units(np.arange(40), 50)
    pearsons, spearmans = pearson_resampled(x, y, counts), spearman_resampled(x, y, counts)
    for i, drawn in enumerate(counts):
        rows = np.repeat(np.arange(40), drawn)
        rows = rows[kept[rows]]
        expected = scipy.stats.pearsonr(x[rows], y[rows]).statistic
        assert pearsons[i] == pytest.approx(expected, abs=1e-12)
        expected = scipy.stats.spearmanr(x[rows], y[rows]).statistic
        assert spearmans[i] == pytest.approx(expected, abs=1e-12)


def test_undefined_correlations_are_nan() -> None:
    nan = np.nan
    for x, y in (
        ([1.0, 2.0, nan], [1.0, 3.0, 4.0]),
        ([0.1, 0.1, 0.1, 0.1], [1.0, 2.0, 3.0, 4.0]),
        ([nan, nan], [1.0, 2.0]),
        ([], []),
    ):
        assert np.isnan(correlations(np.array(x), np.array(y))).all()
    # resamples of two distinct units would give +1 or -1, whatever the data
    counts = np.array([[2, 2, 0, 0], [1, 1, 1, 1]])
    x, y = np.array([1.0, 2.0, 3.0, 5.0]), np.array([2.0, 1.0, 3.0, 6.0])
    for resampled in (pearson_resampled(x, y, counts), spearman_resampled(x, y, counts)):
        assert np.isnan(resampled[0]) and resampled[1] > 0.7


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=3, max_size=20))
def test_correlations_are_symmetric_and_turn_with_the_sign(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, np.float64).T
    found, other = correlations(x, y), correlations(y, x)
    assert found == pytest.approx(other, nan_ok=True)
    assert correlations(-2 * x + 1, y) == pytest.approx(
        (-found[0], -found[1]), abs=1e-12, nan_ok=True
    )
    # Spearman sees ranks alone
    assert correlations(np.exp(x), y)[1] == pytest.approx(found[1], nan_ok=True)
