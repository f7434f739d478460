"""Ceilings of the area: the formulas against integration, the estimates against what was put in."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from iibench.statistics.agreement import auc
from iibench.statistics.ceilings import (
    Family,
    fitted_ceiling,
    fraction,
    ideal_auc,
    leave_one_out_auc,
)
from iibench.statistics.resampling import resample_units
from tests.benchmarks.agreement_coverage import SCENARIOS, estimates, population, simulate


def beta_binomial(
    rng: np.random.Generator, a: float, b: float, stimuli: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(first, second, unit) of stimuli with two to four answers."""
    n = rng.integers(2, 5, stimuli)
    first = rng.binomial(n, rng.beta(a, b, stimuli))
    return first, n - first, np.arange(stimuli) // 11


# ------------------------------------------------------------------------- what is ideal


def test_no_score_beats_the_true_probabilities() -> None:
    rng = np.random.default_rng(0)
    p, n = rng.beta(4, 1, 500), rng.integers(2, 5, 500)
    best = ideal_auc(p, n)
    for noise in (0.1, 1.0, 5.0):
        score = logit(p) + noise * rng.normal(size=500)
        assert auc(score, p * n, (1 - p) * n) < best
    # the average over answers that could have been given
    drawn = [rng.binomial(n, p) for _ in range(300)]
    assert best == pytest.approx(np.mean([auc(p, k, n - k) for k in drawn]), abs=0.003)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.floats(-2, 2.5), st.floats(-2, 2.5))
def test_ideal_area_of_a_beta_distribution_is_the_integral(log_a: float, log_b: float) -> None:
    from iibench.statistics.ceilings import _beta_area

    a, b = np.exp(log_a), np.exp(log_b)
    mean, r = a / (a + b), 1 / (1 + a + b)
    right, wrong = scipy.stats.beta(a + 1, b), scipy.stats.beta(a, b + 1)
    # P(X > Y) over quantiles of X, which are smooth where densities have poles
    expected = scipy.integrate.quad(lambda q: wrong.cdf(right.ppf(q)), 0, 1, limit=200)[0]
    assert _beta_area(logit(mean), r) == pytest.approx(expected, abs=1e-5)


def test_ideal_area_of_little_variation_is_that_of_a_normal_one() -> None:
    from iibench.statistics.ceilings import _beta_area, _normal_area

    for r in (1e-4, 1e-6, 1e-8):
        # E|p - p'| = 2 sd / sqrt(pi)
        sd = np.sqrt(0.8 * 0.2 * r)
        expected = sd / (2 * np.sqrt(np.pi) * 0.8 * 0.2)
        assert _beta_area(logit(0.8), r) - 0.5 == pytest.approx(expected, rel=0.01)
        variance = (sd / (0.8 * 0.2)) ** 2
        assert _normal_area(logit(0.8), variance) - 0.5 == pytest.approx(expected, rel=0.01)
    assert _beta_area(logit(0.8), 0.0) == _normal_area(logit(0.8), 0.0) == 0.5


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 0.5), (2.0, 1.3), (-1.0, 4.0)])
def test_ideal_area_of_a_logit_normal_distribution_is_the_integral(mean: float, sd: float) -> None:
    from iibench.statistics.ceilings import _normal_area

    z = np.linspace(-8, 8, 20_001)
    p, density = expit(mean + sd * z), scipy.stats.norm.pdf(z)
    expected = ideal_auc(p, density)
    assert _normal_area(mean, sd**2) == pytest.approx(expected, abs=1e-6)


def test_fraction_of_the_ceiling() -> None:
    assert fraction(0.6, 0.7) == pytest.approx(0.5)
    assert fraction(0.45, 0.7) == pytest.approx(-0.25)
    assert fraction(0.3, 0.6, chance=0.0) == pytest.approx(0.5)
    for value, ceiling in ((0.6, 0.5), (0.6, 0.4), (None, 0.7), (0.6, None), (np.nan, 0.7)):
        assert fraction(value, ceiling) is None
    assert fraction(0.6, float("nan")) is None


# ------------------------------------------------------------------------- other people's answers


def test_leave_one_out_scores_each_answer_by_the_others() -> None:
    rng = np.random.default_rng(1)
    n = rng.integers(0, 5, 60)
    first = rng.binomial(n, rng.beta(3, 1, 60))
    second, unit = n - first, np.arange(60) // 5
    labels, scores = [], []
    for f, s in zip(first, second, strict=True):
        given_answers = [1] * f + [0] * s
        for i, answer in enumerate(given_answers):
            others = given_answers[:i] + given_answers[i + 1 :]
            if others:
                labels.append(answer)
                scores.append(np.mean(others))
    found = leave_one_out_auc(first, second, unit, resample_units(unit, 200))
    assert found.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert found.answers == len(labels)
    assert (found.stimuli, found.left_out) == ((n >= 2).sum(), (n < 2).sum())
    assert found.low is not None and found.high is not None and found.value is not None
    assert found.low < found.value < found.high


# ------------------------------------------------------------------------- fitted distributions


def test_fit_is_the_maximum_of_the_beta_binomial_likelihood() -> None:
    from iibench.statistics.ceilings import _fit_ideal

    first, second, _ = beta_binomial(np.random.default_rng(2), 4, 1, 800)
    pairs, weights = np.unique(np.stack([first, second], 1), axis=0, return_counts=True)
    params = _fit_ideal("beta", pairs, weights, None)[1]
    assert params is not None

    def likelihood(shift: np.ndarray) -> float:
        m, r = expit(params[0] + shift[0]), params[1] + shift[1]
        a, b = m * (1 - r) / r, (1 - m) * (1 - r) / r
        return float(scipy.stats.betabinom.logpmf(first, first + second, a, b).sum())

    best = likelihood(np.zeros(2))
    for angle in np.linspace(0, 2 * np.pi, 16):
        assert likelihood(0.003 * np.array([np.cos(angle), np.sin(angle)])) < best


def test_fit_is_the_maximum_of_the_logit_normal_likelihood() -> None:
    from iibench.statistics.ceilings import _fit_ideal

    rng = np.random.default_rng(3)
    n = rng.integers(2, 5, 800)
    first = rng.binomial(n, expit(1.5 + 1.2 * rng.normal(size=800)))
    pairs, weights = np.unique(np.stack([first, n - first], 1), axis=0, return_counts=True)
    params = _fit_ideal("logit_normal", pairs, weights, None)[1]
    assert params is not None
    z, masses = np.polynomial.hermite_e.hermegauss(80)

    def likelihood(shift: np.ndarray) -> float:
        p = expit(params[0] + shift[0] + np.sqrt(params[1] + shift[1]) * z)
        each = p ** pairs[:, :1] * (1 - p) ** pairs[:, 1:] @ masses
        return float(weights @ np.log(each))

    best = likelihood(np.zeros(2))
    for angle in np.linspace(0, 2 * np.pi, 16):
        assert likelihood(0.01 * np.array([np.cos(angle), np.sin(angle)])) < best


@pytest.mark.parametrize("family", ["beta", "logit_normal"])
@pytest.mark.parametrize("votes", [1, 40])
def test_a_ceiling_that_was_put_in_is_found(family: Family, votes: int) -> None:
    rng = np.random.default_rng(4)
    n = rng.integers(2, 5, 8000) * votes
    p = rng.beta(4, 1, 8000) if family == "beta" else expit(1.5 + 1.2 * rng.normal(size=8000))
    first = rng.binomial(n, p)
    unit = np.arange(8000) // 11
    found = fitted_ceiling(first, n - first, unit, resample_units(unit, 5), family)
    assert found.value == pytest.approx(ideal_auc(p, np.ones(8000)), abs=0.02)


@pytest.mark.parametrize("family", ["beta", "logit_normal"])
def test_answers_without_variation_have_the_ceiling_of_chance(family: Family) -> None:
    n = np.full(880, 3)
    # less variation between stimuli than chance makes
    first = np.where(np.arange(880) % 2 == 0, 2, 3)
    unit = np.arange(880) // 11
    found = fitted_ceiling(first, n - first, unit, resample_units(unit, 20), family)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    assert fraction(0.6, found.value) is None


@pytest.mark.parametrize("family", ["beta", "logit_normal"])
def test_unanimous_stimuli_have_a_ceiling_near_one(family: Family) -> None:
    right = (np.arange(300) < 240).astype(np.int64)
    unit = np.arange(300) % 30
    found = fitted_ceiling(3 * right, 3 - 3 * right, unit, resample_units(unit, 10), family)
    assert found.value is not None and 0.99 < found.value <= 1


@pytest.mark.parametrize("estimate", [fitted_ceiling, leave_one_out_auc])
def test_ceilings_that_are_undefined_say_why(estimate: object) -> None:
    unit = np.arange(6) // 2
    counts = resample_units(unit, 10)
    two, one, none = np.full(6, 2), np.array([1, 0, 1, 0, 1, 0]), np.zeros(6, np.int64)
    same = estimate(two, none, unit, counts)  # type: ignore[operator]
    assert same.value is None and same.reason == "all answers are the same"
    single = estimate(one, 1 - one, unit, counts)  # type: ignore[operator]
    assert single.value is None and single.reason == "no stimulus has two answers"
    assert estimate(none, none, unit, counts).value is None  # type: ignore[operator]
    alone = estimate(two, two - 1, none, resample_units(none, 10))  # type: ignore[operator]
    assert alone.value is not None and alone.low is None and alone.units == 1


# ------------------------------------------------------------------------- coverage, a small version


@pytest.mark.slow
@pytest.mark.parametrize("name", ["beta", "clustered"])
def test_intervals_cover_what_was_put_in(name: str) -> None:
    """The full version is `python -m tests.benchmarks.agreement_coverage`."""
    truth = population(SCENARIOS[name], seed=0)
    repeats = 12
    covered = dict.fromkeys(truth, 0)
    found: dict[str, list[float]] = {what: [] for what in truth}
    for i in range(repeats):
        data = simulate(SCENARIOS[name], np.random.default_rng([9, i]))
        for what, (value, low, high) in estimates(data, i, resamples=300, refits=100).items():
            assert value is not None and low is not None and high is not None
            covered[what] += low <= truth[what] <= high
            found[what].append(value)
    # halves of a unit that hold different stimuli give too low a ceiling (see `split_half`)
    for what in truth.keys() - {"split half, participants", "split half, answers"}:
        # with 95 % each, fewer than 8 of 12 have a probability of 2e-4
        assert covered[what] >= 8, what
        spread = np.std(found[what]) / np.sqrt(repeats)
        assert np.mean(found[what]) == pytest.approx(truth[what], abs=0.03 + 3 * spread), what
