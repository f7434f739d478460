"""The sign-flip test against SciPy and loops over patterns of signs."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.statistics.bootstrap import RESAMPLES
from iibench.statistics.sign_flips import EXACT, sign_flip_p
from tests.conftest import number_of_calls


def p_of(column: list[float] | np.ndarray) -> float:
    return float(sign_flip_p(np.asarray(column, float)[:, None])[0])


def exact(steps: list[int]) -> Fraction:
    """The share of all patterns of signs under which the sum is as far from zero, in whole numbers."""
    sums = [
        abs(sum(s * v for s, v in zip(signs, steps, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(steps))
    ]
    return Fraction(sum(each >= abs(sum(steps)) for each in sums), len(sums))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-6, 6), max_size=9), st.sampled_from([1.0, 1 / 20, 1 / 3, 1e-12, 7e9]))
def test_few_differences_are_a_loop_over_all_signs(steps: list[int], step: float) -> None:
    assert p_of([s * step for s in steps]) == float(exact(steps))


def test_twelve_differences_are_exact_and_thirteen_are_drawn() -> None:
    steps = [3, -1, 2, 2, -4, 1, 5, 1, -2, 3, 1, 2]
    assert len(steps) == EXACT
    assert p_of(steps) == float(exact(steps))
    steps.append(1)
    found = p_of(steps)
    assert found == pytest.approx(float(exact(steps)), abs=0.015)
    assert (found * (RESAMPLES + 1)) == pytest.approx(round(found * (RESAMPLES + 1)), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 9, 40, 300])
def test_p_values_are_scipys(n: int) -> None:
    rng = np.random.default_rng(n)
    differences = np.round(rng.normal(0.4 / np.sqrt(n), 0.4, (n, 6)) * 20) / 20
    for column, found in zip(differences.T, sign_flip_p(differences), strict=True):
        expected = scipy.stats.permutation_test(
            (column,),
            lambda x, axis: x.mean(axis=axis),
            permutation_type="samples",
            n_resamples=20_000 if n > EXACT else np.inf,
            random_state=0,
        ).pvalue
        assert found == pytest.approx(expected, abs=1e-12 if n <= EXACT else 0.02)


@pytest.mark.parametrize("n", [13, 100, 2500])
def test_random_signs_are_fair_at_every_place(n: int) -> None:
    # a large difference against all of the small ones: no pattern of signs has a smaller sum
    column = np.full(n, 1e-3 / n)
    column[n // 2] = -1
    assert p_of(column) == 1
    # by the central limit theorem, for differences of one size
    for extra in (0.5, 1.0, 2.0):
        ahead = round((n + extra * np.sqrt(n)) / 2)
        signs = np.repeat([1.0, -1.0], [ahead, n - ahead])
        expected = scipy.stats.binomtest(ahead, n).pvalue
        assert p_of(np.random.default_rng(n).permutation(signs)) == pytest.approx(
            expected, abs=0.02
        )


def test_smallest_and_largest_p() -> None:
    assert p_of(np.zeros(30)) == 1.0
    assert p_of(np.ones(30)) == 1 / (RESAMPLES + 1)
    assert p_of(np.full(5000, 1e-7) * np.arange(1, 5001)) == 1 / (RESAMPLES + 1)
    assert p_of([]) == 1.0
    assert sign_flip_p(np.zeros((4, 0))).shape == (0,)


COLUMNS = st.integers(1, 60), st.integers(1, 70), st.integers(0, 2**31 - 1)


def drawn(n: int, m: int, seed: int) -> np.ndarray:
    """Steps of a quarter, among them many zeros; half of the columns have few differences."""
    rng = np.random.default_rng(seed)
    found = rng.integers(-4, 5, (n, m)) / 4.0
    return found * (rng.random((n, m)) < rng.choice([0.1, 0.9], m))


@settings(max_examples=40, deadline=None)
@given(*COLUMNS)
def test_a_column_is_looked_at_alone(n: int, m: int, seed: int) -> None:
    differences = drawn(n, m, seed)
    p = sign_flip_p(differences)
    assert ((p > 0) & (p <= 1)).all()
    for i in {0, m // 2, m - 1}:
        np.testing.assert_array_equal(sign_flip_p(differences[:, [i]]), p[[i]])
    order = np.random.default_rng(seed).permutation(m)
    np.testing.assert_array_equal(sign_flip_p(differences[:, order]), p[order])


@settings(max_examples=40, deadline=None)
@given(*COLUMNS, st.sampled_from([8.0, 0.1, 1 / 3, 1e-200, 1e250]))
def test_p_looks_at_nothing_but_size_and_sign(n: int, m: int, seed: int, scale: float) -> None:
    differences = drawn(n, m, seed)
    p = sign_flip_p(differences)
    np.testing.assert_array_equal(sign_flip_p(-differences), p)
    np.testing.assert_array_equal(sign_flip_p(differences * scale), p)


@settings(max_examples=40, deadline=None)
@given(*COLUMNS)
def test_differences_of_zero_change_nothing(n: int, m: int, seed: int) -> None:
    differences = drawn(n, m, seed)
    p = sign_flip_p(differences)
    at = np.sort(np.random.default_rng(seed).integers(0, n + 1, 40))
    np.testing.assert_array_equal(sign_flip_p(np.insert(differences, at, 0.0, axis=0)), p)
    for column, found in zip(differences.T, p, strict=True):
        assert p_of(column[column != 0]) == found


@pytest.mark.parametrize("n", [24, 256, 10_000])
def test_tied_sums_of_inexact_steps_count(n: int) -> None:
    # accuracies move in steps of 1/20, which no float holds exactly: 0.35 - 0.3 is not 0.05
    rng = np.random.default_rng(n)
    x, y = rng.integers(0, 21, (2, n, 4))
    y += np.array([0, 1, 0, 0]) * (rng.random((n, 4)) < 1 / np.sqrt(n))
    np.testing.assert_array_equal(sign_flip_p(y / 20 - x / 20), sign_flip_p((y - x).astype(float)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(900, 990), st.integers(-3, 3)), max_size=9))
def test_small_differences_of_large_scores_tie(scores: list[tuple[int, int]]) -> None:
    # the rounding errors of scores near 1 are a thousand times as large beside differences of 1/1000
    differences = [(x + step) / 1000 - x / 1000 for x, step in scores]
    assert p_of(differences) == float(exact([step for _, step in scores]))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [(10_000, 45), (256, 1000), (10_000, 1)])
def test_units_and_pairs_are_looped_over_one_after_the_other(n: int, m: int) -> None:
    differences = np.random.default_rng(0).normal(size=(n, m))
    assert number_of_calls(lambda: sign_flip_p(differences)) < 10 * n + 100 * m
