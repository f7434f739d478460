"""Areas, curves and shares of agreement, against scikit-learn and naive loops."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from iibench.statistics.agreement import (
    agreeing,
    agreement,
    always_first,
    auc,
    auc_resampled,
    majority_agreeing,
    majority_agreement,
    roc,
    thinned,
    vote_ceiling,
)
from iibench.statistics.resampling import interval, resample_units, share_resampled
from tests.conftest import number_of_calls

#: stimuli as (margin, answers for query 0, for query 1), with many ties and with both kinds of answers
STIMULI = st.lists(
    st.tuples(st.integers(-4, 4), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=25
).filter(lambda rows: sum(r[1] for r in rows) > 0 and sum(r[2] for r in rows) > 0)
Rows = list[tuple[int, int, int]]


def split(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = np.array(rows)
    return table[:, 0].astype(np.float64), table[:, 1], table[:, 2]


def expanded(
    margins: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(labels, scores), a row per answer."""
    scores = np.concatenate([np.repeat(margins, first), np.repeat(margins, second)])
    return np.repeat([1, 0], [first.sum(), second.sum()]), scores


def simulated(seed: int, stimuli: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    margins = rng.normal(size=stimuli)
    n = rng.integers(0, 5, stimuli)
    first = rng.binomial(n, 1 / (1 + np.exp(-margins - 1)))
    return margins, first, n - first


# ----------------------------------------------------------------------------- the area, the curve


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(STIMULI)
def test_area_and_curve_are_those_of_scikit_learn_on_every_answer(rows: Rows) -> None:
    margins, first, second = split(rows)
    labels, scores = expanded(margins, first, second)
    assert auc(margins, first, second) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    for drop in (False, True):
        expected = roc_curve(labels, scores, drop_intermediate=drop)[:2]
        found = roc(margins, first, second, drop_intermediate=drop)
        for mine, theirs in zip(found, expected, strict=True):
            assert mine == pytest.approx(theirs, abs=1e-12)


def test_area_of_continuous_margins() -> None:
    margins, first, second = simulated(0, 2000)
    labels, scores = expanded(margins, first, second)
    expected = roc_auc_score(labels, scores)
    assert auc(margins, first, second) == pytest.approx(expected, abs=1e-12)
    right = scores[labels == 1]
    u = scipy.stats.mannwhitneyu(right, scores[labels == 0]).statistic
    assert auc(margins, first, second) == pytest.approx(u / (len(right) * (labels == 0).sum()))


def test_area_of_one_kind_of_answer_is_undefined_and_has_no_curve() -> None:
    margins = np.array([0.1, 0.2])
    for first, second in (([1, 2], [0, 0]), ([0, 0], [3, 1]), ([0, 0], [0, 0])):
        assert np.isnan(auc(margins, np.array(first), np.array(second)))
        assert len(roc(margins, np.array(first), np.array(second))[0]) == 0
    nobody = np.full(2, np.nan)
    assert np.isnan(auc(nobody, np.array([1, 2]), np.array([2, 1])))


def test_stimuli_without_margin_are_left_out() -> None:
    margins, first, second = simulated(1)
    expected = auc(margins[5:], first[5:], second[5:])
    margins[:5] = np.nan
    assert auc(margins, first, second) == expected


def test_infinite_margins_are_ordinary_ties() -> None:
    margins = np.array([-np.inf, -np.inf, 0.0, np.inf])
    ranks = np.array([0.0, 0.0, 1.0, 2.0])
    first, second = np.array([1, 0, 2, 1]), np.array([1, 2, 1, 0])
    assert auc(margins, first, second) == auc(ranks, first, second)
    unit, counts = np.arange(4), resample_units(np.arange(4), 30)
    found, expected = (auc_resampled(m, first, second, unit, counts) for m in (margins, ranks))
    assert found == pytest.approx(expected, nan_ok=True)


@settings(max_examples=100, deadline=None)
@given(STIMULI, st.randoms(use_true_random=False))
def test_area_depends_on_the_order_of_margins_alone(rows: Rows, random: object) -> None:
    margins, first, second = split(rows)
    found = auc(margins, first, second)
    assert auc(np.exp(margins / 3) - 7, first, second) == found
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert auc(*split(shuffled)) == pytest.approx(found, abs=1e-14)
    assert auc(-margins, first, second) == pytest.approx(1 - found, abs=1e-12)
    # exchanging the queries exchanges the answers and turns the margins
    assert auc(-margins, second, first) == pytest.approx(found, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(STIMULI)
def test_answers_may_be_listed_one_by_one_or_merged(rows: Rows) -> None:
    margins, first, second = split(rows)
    labels, scores = expanded(margins, first, second)
    single = auc(scores, labels, 1 - labels)
    values = np.unique(margins)
    merged = [[x, first[margins == x].sum(), second[margins == x].sum()] for x in values]
    assert auc(margins, first, second) == pytest.approx(single, abs=1e-12)
    assert auc(*np.array(merged).T) == pytest.approx(single, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(STIMULI, st.integers(1, 6))
def test_area_in_resamples_is_that_of_the_drawn_answers(rows: Rows, units: int) -> None:
    margins, first, second = split(rows)
    unit = np.arange(len(rows)) % units
    counts = np.concatenate([np.ones((1, units), np.int32), resample_units(np.arange(units), 8)])
    found = auc_resampled(margins, first, second, unit, counts)
    for value, drawn in zip(found, counts, strict=True):
        times = drawn[unit]
        assert value == pytest.approx(
            auc(margins, first * times, second * times), abs=1e-12, nan_ok=True
        )
    assert found[0] == pytest.approx(auc(margins, first, second), abs=1e-12)


def test_resamples_with_one_kind_of_answer_are_nan() -> None:
    unit = np.array([0, 1])
    counts = np.array([[2, 0], [1, 1], [0, 2]])
    found = auc_resampled(np.array([0.0, 1.0]), np.array([2, 1]), np.array([0, 1]), unit, counts)
    assert np.isnan(found[0]) and found[1] == pytest.approx(1 / 6) and found[2] == 0.5
    nobody = np.zeros(2, np.int64)
    assert np.isnan(auc_resampled(np.zeros(2), nobody, nobody, unit, counts)).all()


def test_no_function_is_called_for_each_stimulus_or_resample() -> None:
    rng = np.random.default_rng(0)

    def calls(stimuli: int, resamples: int) -> int:
        unit = np.arange(stimuli) // 20
        margins = rng.normal(size=stimuli)
        first, second = rng.integers(0, 4, stimuli), rng.integers(0, 4, stimuli)

        def resampled() -> None:
            counts = resample_units(unit, resamples)
            found = auc_resampled(margins, first, second, unit, counts)
            low, high = interval(found, stimuli // 20)
            assert low is not None and high is not None and low < auc(margins, first, second) < high

        return number_of_calls(resampled)

    assert calls(8000, 800) < 800  # a loop over resamples calls as many, one over stimuli more


def test_a_thinned_curve_keeps_its_ends_and_its_area() -> None:
    fpr, tpr = roc(*simulated(3, 5000))
    x, y = thinned(fpr, tpr)
    assert len(x) <= 200 < len(fpr)
    assert (x[0], y[0], x[-1], y[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert set(zip(x, y, strict=True)) <= set(zip(fpr, tpr, strict=True))
    assert (np.diff(x) >= 0).all() and (np.diff(y) >= 0).all()
    assert np.trapezoid(y, x) == pytest.approx(np.trapezoid(tpr, fpr), abs=1e-3)
    for points in (2, 3, 50):
        assert 2 <= len(thinned(fpr, tpr, points)[0]) <= points
    assert thinned(x, y)[0] is x


# ------------------------------------------------------------------------- shares of equal choices


def test_agreement_counts_answers_and_halves_ties() -> None:
    margins = np.array([2.0, -1.0, 0.0, np.nan])
    first, second = np.array([3, 1, 2, 5]), np.array([1, 4, 2, 5])
    assert agreement(margins, first, second) == pytest.approx((3 + 4 + 2) / (4 + 5 + 4))
    assert agreeing(margins, first, second) == pytest.approx([0.75, 0.8, 0.5, np.nan], nan_ok=True)
    assert always_first(first, second) == 11 / 23
    # an observer that is always right agrees as often as people are right
    right = np.ones(4)
    assert agreement(right, first, second) == always_first(first, second)


def test_majority_counts_stimuli() -> None:
    margins = np.array([2.0, -1.0, 0.0, 1.0, np.nan, -3.0])
    first, second = np.array([3, 4, 2, 2, 5, 0]), np.array([1, 1, 1, 2, 1, 0])
    # right, wrong, tie of the observer; then no majority, no margin, no answers
    assert majority_agreement(margins, first, second) == pytest.approx((1 + 0 + 0.5) / 3)
    assert np.isnan(majority_agreeing(margins, first, second)[3:]).all()
    assert vote_ceiling(first, second) == pytest.approx((3 + 4 + 2 + 2 + 5) / 22)
    assert vote_ceiling(first, second, majority_only=True) == pytest.approx(14 / 18)


@settings(max_examples=100, deadline=None)
@given(STIMULI)
def test_no_observer_agrees_with_more_votes_than_the_ceiling(rows: Rows) -> None:
    margins, first, second = split(rows)
    ceiling = vote_ceiling(first, second)
    assert agreement(margins, first, second) <= ceiling + 1e-12
    assert agreement(first - second, first, second) == pytest.approx(ceiling)
    found, turned = agreement(margins, first, second), agreement(-margins, first, second)
    assert found + turned == pytest.approx(1)
    unit = np.arange(len(rows))
    once = np.ones((1, len(rows)), np.int32)
    values = agreeing(margins, first, second)
    assert share_resampled(values, first + second, unit, once)[0] == pytest.approx(found)


def test_shares_of_nothing_are_undefined() -> None:
    nobody = np.zeros(2, np.int64)
    margins = np.zeros(2)
    assert np.isnan(agreement(margins, nobody, nobody))
    assert np.isnan(always_first(nobody, nobody))
    assert np.isnan(vote_ceiling(nobody, nobody))
    assert np.isnan(majority_agreement(margins, nobody + 1, nobody + 1))
    assert np.isnan(vote_ceiling(nobody + 1, nobody + 1, majority_only=True))


@pytest.mark.shared
def test_vote_ceiling_of_published_triplets(shared: Path) -> None:
    """Lagunas et al. 2019, test triplets: 0.8381 of all votes side with a majority, 0.8625 without ties."""
    path = shared / "data" / "materials2019" / "answers_processed_test.json"
    votes = np.array(json.loads(path.read_text())["agreement"])
    first, second = votes.T
    assert vote_ceiling(first, second) == pytest.approx(0.8381, abs=5e-5)
    assert vote_ceiling(first, second, majority_only=True) == pytest.approx(0.8625, abs=5e-5)
