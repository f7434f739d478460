"""Paired comparison of two score vectors, against loops and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.statistics.paired import paired

NAN = float("nan")
scores = st.one_of(
    st.floats(-10, 10), st.integers(-4, 4).map(lambda i: i / 4), st.just(float("nan"))
)
pairs = st.lists(st.tuples(scores, scores), max_size=40)


def sides(rows: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([x for x, _ in rows], float), np.array([y for _, y in rows], float)


def test_counts_and_difference_by_hand() -> None:
    found = paired(np.array([1, 2, 3, NAN, 5.0]), np.array([2, 1, 3, 4, NAN]))
    assert (found.n, found.n_x, found.n_y) == (3, 4, 4)
    assert (found.up, found.down, found.equal) == (1, 1, 1)
    assert found.difference == 0 and found.p == 1
    assert found.low is not None and found.high is not None and found.low <= 0 <= found.high


def test_no_unit_in_both_gives_no_number() -> None:
    found = paired(np.array([NAN, 1]), np.array([1, NAN]))
    assert (found.difference, found.low, found.high, found.p) == (None,) * 4
    assert (found.n, found.n_x, found.n_y) == (0, 1, 1)


def test_one_unit_has_no_interval() -> None:
    found = paired(np.array([1.0]), np.array([3.0]))
    assert (found.difference, found.low, found.high, found.p) == (2, None, None, 1)


def test_unchanged_scores_give_zero_everywhere() -> None:
    x = np.arange(50.0)
    found = paired(x, x)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert found.equal == 50


def test_an_interval_that_ends_at_zero_says_so() -> None:
    y = np.zeros(64)
    y[25] = 0.05  # most resamples of one changed unit in many hold none of it, or only it
    found = paired(np.zeros(64), y)
    assert found.low == 0 and found.high is not None and found.high > 0


def test_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="same units"):
        paired(np.zeros(2), np.zeros(3))


def test_the_interval_is_that_of_a_naive_bootstrap() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=40), rng.normal(0.3, 1, 40)
    means = []
    for _ in range(10_000):
        drawn = rng.integers(0, 40, 40)
        means.append(np.mean([y[i] - x[i] for i in drawn]))
    found = paired(x, y)
    assert [found.low, found.high] == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.02)


@pytest.mark.parametrize("n", [6, 11, 25, 80])
def test_p_is_scipys(n: int) -> None:
    from scipy.stats import permutation_test

    rng = np.random.default_rng(n)
    x = rng.normal(size=n)
    y = x + rng.normal(0.25, 0.8, n)
    reference = permutation_test(
        (x, y),
        lambda a, b, axis: np.mean(b - a, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000 if n > 12 else np.inf,
        rng=np.random.default_rng(0),
    )
    found = paired(x, y)
    assert found.p == pytest.approx(reference.pvalue, abs=1e-12 if n <= 12 else 0.012)


def test_many_units_that_all_move_reach_the_smallest_p() -> None:
    found = paired(np.zeros(5000), np.full(5000, 1e-7) * np.arange(1, 5001))
    assert found.p == 1 / 10_001
    assert found.up == 5000


def test_p_of_few_changed_units_among_many_is_exact() -> None:
    y = np.zeros(400)
    y[[3, 77, 200, 399]] = [0.5, 0.25, 1.0, 0.125]
    # all of them up, or all of them down: 2 of 2^4 patterns
    assert paired(np.zeros(400), y).p == 2 / 16


@settings(max_examples=60, deadline=None)
@given(pairs)
def test_exchanging_the_sides_turns_the_difference(rows: list[tuple[float, float]]) -> None:
    x, y = sides(rows)
    there, back = paired(x, y), paired(y, x)
    assert (there.up, there.down, there.equal) == (back.down, back.up, back.equal)
    assert there.up + there.down + there.equal == there.n
    if there.difference is None or back.difference is None:
        assert there.n == 0
        return
    assert there.difference == pytest.approx(-back.difference, abs=1e-12)
    assert there.p is not None and back.p is not None
    assert 0 < there.p <= 1
    # the same seeded patterns; a sum and its mirror image are as far from zero
    assert there.p == pytest.approx(back.p, abs=1e-12)
    if there.low is not None and there.high is not None:
        assert there.low <= there.difference + 1e-6 and there.high >= there.difference - 1e-6


@settings(max_examples=40, deadline=None)
@given(pairs, st.integers(0, 5))
def test_unscored_units_change_nothing(rows: list[tuple[float, float]], more: int) -> None:
    x, y = sides(rows)
    wider = paired(np.append(x, [NAN] * more), np.append(y, [1.0] * more))
    plain = paired(x, y)
    assert (wider.difference, wider.low, wider.high, wider.p) == (
        plain.difference,
        plain.low,
        plain.high,
        plain.p,
    )
    assert wider.n_y == plain.n_y + more
