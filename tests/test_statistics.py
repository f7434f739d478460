"""Intervals, tests and corrections against SciPy and naive loops."""

from __future__ import annotations

import time

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.statistics import (
    RESAMPLES,
    compare,
    compare_many,
    holm,
    mann_whitney,
    rank_intervals,
    summarise,
)

RNG = np.random.default_rng(3)
FEW_VALUES = st.lists(st.integers(-4, 4).map(lambda x: x / 4), min_size=1, max_size=30)


def test_summary_leaves_unscored_units_out() -> None:
    values = np.array([1.0, np.nan, 2.0, 6.0, np.nan])
    summary = summarise(values)
    assert (summary.n, summary.scored) == (5, 3)
    assert summary.mean == pytest.approx(3.0)
    assert summary.median == 2.0
    assert summary.sd == pytest.approx(scipy.stats.tstd([1, 2, 6]))
    assert summary.low is not None and summary.high is not None
    assert 1.0 <= summary.low < 3.0 < summary.high <= 6.0


def test_summary_of_one_unit_and_of_none() -> None:
    one = summarise(np.array([np.nan, 0.25]))
    assert (one.n, one.scored, one.mean, one.median) == (2, 1, 0.25, 0.25)
    assert one.low is None and one.high is None and one.sd is None
    none = summarise(np.array([np.nan, np.nan]))
    assert (none.n, none.scored, none.mean, none.low) == (2, 0, None, None)
    assert summarise(np.array([])).n == 0


@pytest.mark.parametrize("n", [2, 5, 40, 300, 2100])
def test_interval_is_the_percentile_bootstrap_of_scipy(n: int) -> None:
    values = np.random.default_rng(n).gamma(2.0, size=n) - 5
    mine = summarise(values)
    reference = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        method="percentile",
        batch=500,
        rng=np.random.default_rng(1),
    ).confidence_interval
    # two independent sets of 10,000 resamples: the 2.5 % quantile has a standard error of about
    # 0.027 standard errors of the mean
    tolerance = 0.12 * values.std() / np.sqrt(n)
    assert mine.low == pytest.approx(reference.low, abs=tolerance)
    assert mine.high == pytest.approx(reference.high, abs=tolerance)


def test_summary_is_the_same_every_time() -> None:
    values = RNG.normal(size=77)
    assert summarise(values) == summarise(values.copy())


@settings(max_examples=20, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(0.01, 100))
def test_interval_moves_and_scales_with_the_values(shift: float, scale: float) -> None:
    values = np.random.default_rng(0).normal(size=30)
    before, after = summarise(values), summarise(values * scale + shift)
    assert before.low is not None and before.high is not None
    tolerance = 1e-5 * scale + 1e-9 * abs(shift)
    assert after.low == pytest.approx(before.low * scale + shift, abs=tolerance)
    assert after.high == pytest.approx(before.high * scale + shift, abs=tolerance)


def test_constant_values_have_an_interval_of_no_width() -> None:
    summary = summarise(np.full(20, -0.125))
    assert (summary.low, summary.high, summary.sd) == (-0.125, -0.125, 0.0)


def test_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(300):
        summary = summarise(rng.exponential(size=60))
        assert summary.low is not None and summary.high is not None
        covered += summary.low <= 1.0 <= summary.high
    # nominal 95 %, a little less for a skewed distribution at n = 60; 300 repeats have SE 1.3 %
    assert 0.89 <= covered / 300 <= 0.985


def test_comparison_against_scipy() -> None:
    rng = np.random.default_rng(11)
    x, y = rng.normal(0.4, size=80), rng.normal(size=50)
    found = compare(x, y)
    expected = scipy.stats.mannwhitneyu(x, y, method="asymptotic")
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.effect == pytest.approx(expected.statistic / (80 * 50))
    assert found.difference == pytest.approx(x.mean() - y.mean())
    assert (found.n_x, found.n_y) == (80, 50)
    reference = scipy.stats.bootstrap(
        (x, y),
        lambda a, b, axis: a.mean(axis) - b.mean(axis),
        n_resamples=RESAMPLES,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert found.low == pytest.approx(reference.low, abs=0.02)
    assert found.high == pytest.approx(reference.high, abs=0.02)


@settings(max_examples=150, deadline=None)
@given(FEW_VALUES, FEW_VALUES)
def test_mann_whitney_with_ties(x: list[float], y: list[float]) -> None:
    p, effect = mann_whitney(np.array(x), np.array(y))
    naive = np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a in x for b in y])
    assert effect == pytest.approx(naive)
    if len(set(x + y)) == 1:
        assert p == 1.0
    else:
        expected = scipy.stats.mannwhitneyu(x, y, method="asymptotic").pvalue
        assert p == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert mann_whitney(np.array(y), np.array(x)) == (pytest.approx(p), pytest.approx(1 - effect))


def test_two_sets_of_equal_length_are_resampled_independently() -> None:
    x = np.random.default_rng(5).normal(size=64)
    found = compare(x, x)
    assert found.difference == 0
    assert found.low is not None and found.high is not None
    width = 2 * 1.96 * x.std() * np.sqrt(2 / 64)
    assert found.high - found.low == pytest.approx(width, rel=0.1)


def test_many_comparisons_are_those_made_one_at_a_time() -> None:
    rng = np.random.default_rng(9)
    y = np.append(rng.normal(size=30), np.nan)
    samples = [rng.normal(size=n) for n in (30, 30, 12)] + [np.array([np.nan]), np.array([1.0])]
    together = compare_many(samples, y)
    for sample, found in zip(samples, together, strict=True):
        alone = compare(sample, y)
        assert (found.p, found.effect, found.n_x, found.n_y) == (
            alone.p,
            alone.effect,
            alone.n_x,
            alone.n_y,
        )
        if alone.low is not None:
            assert found.low == pytest.approx(alone.low, abs=1e-6)
    assert together[3].difference is None and together[3].p is None and together[3].n_x == 0
    assert together[4].low is None and together[4].difference is not None
    assert compare(y, np.array([np.nan])).p is None


@given(st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=12))
def test_holm_is_the_step_down_procedure(pvalues: list[float]) -> None:
    adjusted = holm(pvalues)
    tested = [p for p in pvalues if p == p]
    for p, found in zip(pvalues, adjusted, strict=True):
        if p != p:
            assert np.isnan(found)
            continue
        # the smallest level at which the step-down procedure rejects this p
        ordered = sorted(tested)
        steps = [(len(ordered) - i) * q for i, q in enumerate(ordered) if q <= p]
        assert found == pytest.approx(min(1.0, max(steps)))


def test_holm_example() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])


def test_rank_intervals() -> None:
    rng = np.random.default_rng(1)
    low, high = rng.normal(0, 1, 200), rng.normal(5, 1, 200)
    also_high, unscored = rng.normal(5, 1, 200), np.full(3, np.nan)
    assert rank_intervals([low, high, unscored, also_high]) == [(3, 3), (1, 2), None, (1, 2)]
    assert rank_intervals([low]) == [(1, 1)]
    assert rank_intervals([np.ones(9), np.ones(9)]) == [(1, 2), (1, 2)]
    assert rank_intervals([]) == []


@pytest.mark.slow
def test_five_hundred_summaries_are_fast() -> None:
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(500, 512))
    summarise(columns[0])
    start = time.process_time()
    for column in columns:
        summarise(column)
    assert time.process_time() - start < 10  # about 2 s on a quiet machine
