"""The scale of margins and held-out likelihoods, against scikit-learn, SciPy and naive loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from iibench.statistics.calibration import (
    CHANCE,
    STEEPEST,
    fit_scale,
    held_out_log_likelihood,
    log_likelihoods,
)


def simulated(
    seed: int, k: float = 1.5, stimuli: int = 600
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    margins = rng.normal(0.7, 1, stimuli)
    n = rng.integers(0, 5, stimuli)
    first = rng.binomial(n, expit(k * margins))
    return margins, first, n - first


def test_scale_is_the_logistic_regression_without_intercept() -> None:
    margins, first, second = simulated(0)
    x = np.concatenate([np.repeat(margins, first), np.repeat(margins, second)])[:, None]
    labels = np.repeat([1, 0], [first.sum(), second.sum()])
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(x, labels)
    found = fit_scale(margins, first, second)
    assert found.bound is None
    assert found.k == pytest.approx(model.coef_[0, 0], rel=1e-5)
    assert found.k == pytest.approx(1.5, rel=0.15)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.floats(-6, 6))
def test_scale_maximises_the_likelihood_in_any_unit_of_the_margins(seed: int, power: float) -> None:
    margins, first, second = simulated(seed, stimuli=60)
    unit = 10**power
    found = fit_scale(margins * unit, first, second)
    best = minimize_scalar(
        lambda k: -log_likelihoods(margins, first, second, k).sum(),
        bounds=(0, 100),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert found.k * unit == pytest.approx(best.x, rel=1e-4)


def test_scale_at_its_bounds() -> None:
    margins = np.array([-2.0, -1.0, 1.0, 4.0])
    few = np.array([0, 0, 3, 1]), np.array([2, 1, 0, 0])
    separable = fit_scale(margins, *few)
    assert separable.bound == "upper" and separable.k == STEEPEST / 1.5
    assert fit_scale(-margins, *few) == fit_scale(np.zeros(4), *few)
    for useless in (-margins, np.zeros(4), np.full(4, np.nan)):
        scale = fit_scale(useless, *few)
        assert (scale.k, scale.bound) == (0.0, "zero")


def test_log_likelihoods_against_a_loop_and_far_out() -> None:
    margins, first, second = simulated(1, stimuli=40)
    expected = [
        f * np.log(expit(2 * m)) + s * np.log(1 - expit(2 * m))
        for m, f, s in zip(margins, first, second, strict=True)
    ]
    assert log_likelihoods(margins, first, second, 2.0) == pytest.approx(np.array(expected))
    far = log_likelihoods(np.array([800.0, -800.0]), np.array([0, 1]), np.array([1, 0]), 1.0)
    assert far == pytest.approx([-800, -800])


def test_no_unit_helps_to_predict_itself() -> None:
    margins, first, second = simulated(2)
    unit = np.arange(600) % 12
    found = held_out_log_likelihood(margins, first, second, unit, folds=4)
    assert len(found.scales) == 4 and found.units == 12
    matched = []
    for scale in found.scales:
        expected = log_likelihoods(margins, first, second, scale.k)
        rows = np.isclose(found.log_likelihood, expected, rtol=1e-12)
        held = np.unique(unit[rows & (first + second > 0)])
        inside = np.isin(unit, held)
        assert len(held) == 3
        trained = fit_scale(margins[~inside], first[~inside], second[~inside])
        assert trained.k == pytest.approx(scale.k, rel=1e-9)
        right, total = first[~inside].sum(), (first + second)[~inside].sum()
        rate = (right + 0.5) / (total + 1)
        constant = first[inside] * np.log(rate) + second[inside] * np.log(1 - rate)
        answered = (first + second)[inside] > 0
        assert found.constant[inside][answered] == pytest.approx(constant[answered])
        matched.extend(held)
    assert sorted(matched) == list(range(12))
    kept = first + second > 0
    assert np.isnan(found.log_likelihood[~kept]).all()
    answers = (first + second).sum()
    assert found.answers == answers
    assert found.mean == pytest.approx(found.log_likelihood[kept].sum() / answers)
    assert found.constant_mean == pytest.approx(found.constant[kept].sum() / answers)
    # the margins made the answers: better than the constant rate, which is better than chance
    assert found.mean > found.constant_mean > CHANCE


def test_useless_margins_are_no_better_than_chance() -> None:
    margins, first, second = simulated(3)
    unit = np.arange(600) // 20
    shuffled = np.random.default_rng(0).permutation(margins - margins.mean())
    assert held_out_log_likelihood(shuffled, first, second, unit).mean == pytest.approx(
        CHANCE, abs=0.01
    )
    flat = held_out_log_likelihood(np.zeros(600), first, second, unit)
    assert flat.mean == pytest.approx(CHANCE, abs=1e-12)
    assert {scale.bound for scale in flat.scales} == {"zero"}


def test_missing_margins_and_few_units() -> None:
    margins, first, second = simulated(4, stimuli=90)
    unit = np.arange(90) // 30
    holes = margins.copy()
    holes[unit == 2] = np.nan
    found = held_out_log_likelihood(holes, first, second, unit)
    assert found.units == 2 and len(found.scales) == 2
    assert np.isnan(found.log_likelihood[unit == 2]).all()
    alone = held_out_log_likelihood(margins, first, second, np.zeros(90, np.int64))
    assert np.isnan(alone.mean) and alone.scales == () and alone.units == 1
    nobody = np.zeros(90, np.int64)
    assert np.isnan(held_out_log_likelihood(margins, nobody, nobody, unit).mean)


def test_the_folds_depend_on_the_seed_alone() -> None:
    margins, first, second = simulated(5)
    unit = np.arange(600) // 20
    once, again = (held_out_log_likelihood(margins, first, second, unit) for _ in range(2))
    assert once.mean == again.mean and once.scales == again.scales
    other = held_out_log_likelihood(margins, first, second, unit, seed=1)
    assert other.mean != once.mean and other.mean == pytest.approx(once.mean, abs=0.01)
