"""Intervals, tests and corrections against SciPy and naive loops."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.statistics import bootstrap
from iibench.statistics.bootstrap import RESAMPLES, SEED, resampled_means
from iibench.statistics.scores import (
    compare,
    compare_pairs,
    holm,
    mann_whitney,
    ranks_left_open,
    separations,
    summarise,
    tie_letters,
)
from tests.conftest import number_of_calls

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


@pytest.mark.parametrize("n", [2, 7, 300])
def test_resampled_means_are_those_of_draws_in_a_loop(n: int) -> None:
    samples = np.random.default_rng(n).gamma(1.0, 3.0, (3, n)) * [[1], [1e-9], [1e6]] + 5
    means = resampled_means(samples, stream=1)
    rng = np.random.default_rng([SEED, n, 1])
    for start in (0, 250, 500):  # the draws are made for 250 resamples at a time
        drawn = rng.integers(0, n, (250, n), dtype=np.int32)
        expected = samples[:, drawn].mean(axis=2)
        tolerance = 1e-11 * np.abs(samples).max(axis=1, keepdims=True)
        assert (np.abs(means[:, start : start + 250] - expected) <= tolerance).all()


def test_resampled_means_depend_on_no_other_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.random.default_rng(0).normal(size=(70, 333)) * np.logspace(-8, 8, 70)[:, None]
    together = resampled_means(samples, stream=0)
    for i in (0, 31, 69):
        np.testing.assert_array_equal(resampled_means(samples[i : i + 1], stream=0)[0], together[i])
    monkeypatch.setattr(bootstrap, "KEPT_BYTES", 1000)  # draws that are too large to be kept
    np.testing.assert_array_equal(resampled_means(samples, stream=0), together)


def test_draws_that_are_kept_stay_below_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
    monkeypatch.setattr(bootstrap, "_kept", kept)
    monkeypatch.setattr(bootstrap, "KEPT_BYTES", 100 * RESAMPLES)
    for n, left in ((40, {40}), (50, {40, 50}), (40, {40, 50}), (60, {40, 60}), (101, {40, 60})):
        resampled_means(np.arange(float(n))[None], stream=0)
        assert {length for length, _ in kept} == left
        assert sum(each.nbytes for each in kept.values()) <= bootstrap.KEPT_BYTES
        for counts in kept.values():
            assert (counts.sum(axis=1) == counts.shape[1]).all()


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


def test_many_comparisons_are_those_made_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(9)
    samples = [rng.normal(size=n) for n in (30, 30, 12, 12)]
    samples += [np.append(rng.normal(size=30), np.nan), np.array([np.nan]), np.array([1.0])]
    pairs = [(i, j) for i in range(7) for j in range(7) if i != j]
    together = compare_pairs(samples, pairs)
    for (i, j), found in zip(pairs, together, strict=True):
        assert found == compare(samples[i], samples[j])
        assert (found.low is None) == (min(found.n_x, found.n_y) < 2)
    found = dict(zip(pairs, together, strict=True))
    assert found[5, 0].difference is None and found[5, 0].p is None and found[5, 0].n_x == 0
    assert found[0, 5].difference is None and (found[0, 5].n_x, found[0, 5].n_y) == (30, 0)
    assert found[6, 4].difference is not None and (found[6, 4].n_x, found[6, 4].n_y) == (1, 30)
    monkeypatch.setattr("iibench.statistics.scores.BATCH", 4)
    assert compare_pairs(samples, pairs) == together
    assert compare_pairs(samples, []) == []


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


def rank_intervals(samples: list[np.ndarray]) -> list[tuple[int, int]]:
    return ranks_left_open(separations(samples))


def test_rank_intervals() -> None:
    rng = np.random.default_rng(1)
    low, high = rng.normal(0, 1, 200), rng.normal(5, 1, 200)
    also_high = rng.normal(5, 1, 200)
    assert rank_intervals([low, high, also_high]) == [(3, 3), (1, 2), (1, 2)]
    assert rank_intervals([low]) == [(1, 1)]
    assert rank_intervals([np.ones(9), np.ones(9)]) == [(1, 2), (1, 2)]


def test_a_summary_loops_over_neither_units_nor_resamples() -> None:
    rng = np.random.default_rng(0)
    few, many = (rng.normal(size=n) for n in (50, 5000))
    calls = number_of_calls(lambda: summarise(many))  # its draws are made in blocks
    assert calls < 3 * number_of_calls(lambda: summarise(few)) < RESAMPLES / 4


@given(st.integers(1, 9), st.integers(0, 2**31 - 1), st.floats(0, 1))
def test_letters_are_shared_exactly_where_nothing_separates(
    m: int, seed: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((m, m)) < share, 1).astype(int)
    separated = upper - upper.T  # lower numbers are above
    letters = tie_letters(separated, list(range(m)))
    sets = {i: set(_letters(text)) for i, text in letters.items()}
    for i in range(m):
        assert sets[i]
        for j in range(m):
            assert bool(sets[i] & sets[j]) == (i == j or not separated[i, j])
    assert letters[0].startswith("a")


def _letters(text: str) -> list[str]:
    import re

    return re.findall(r"[a-z]\d*", text)


def test_separations_and_ranks_agree() -> None:
    rng = np.random.default_rng(0)
    samples = [rng.normal(mean, 1, 60) for mean in (0, 0.05, 3)] + [np.full(4, np.nan)]
    separated = separations(samples)
    np.testing.assert_array_equal(separated, -separated.T)
    assert separated[2, 0] == separated[2, 1] == 1
    assert separated[0, 1] == 0
    assert not separated[3].any()
    assert rank_intervals(samples[:3]) == [(2, 3), (2, 3), (1, 1)]
    assert tie_letters(separated, [2, 1, 0]) == {2: "a", 1: "b", 0: "b"}
