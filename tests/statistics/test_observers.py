"""The observers against loops written from the formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iibench.statistics.observers import correct, evidence_two_sided, margin_eq2, margin_two_sided


def draw(seed: int, t: int = 20, f: int = 9, g: int = 9) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return -rng.random((t, 2, f)), -rng.random((t, 2, g))


def test_eq2_is_the_nearest_reference() -> None:
    near, _ = draw(0)
    expected = []
    for trial in -near:  # distances
        d_first, d_second = min(trial[0]), min(trial[1])
        expected.append(d_second - d_first)
    np.testing.assert_array_equal(margin_eq2(near), expected)


@pytest.mark.parametrize("pool", ["mean", "max"])
@pytest.mark.parametrize("zscore", [False, True])
@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 1.0])
def test_two_sided_is_the_released_codes_rule(pool: str, zscore: bool, weight: float) -> None:
    near, far = draw(1)
    before = near.copy(), far.copy()
    got = margin_two_sided(near, far, pool, zscore, weight)
    take = {"mean": np.mean, "max": np.max}[pool]
    expected = []
    for a, b in zip(near, far, strict=True):
        both = np.concatenate([a, b], axis=1)
        m, sd = (both.mean(), both.std()) if zscore else (0.0, 1.0)
        a, b = (a - m) / sd, (b - m) / sd
        first = weight * take(a[0]) + (1 - weight) * take(b[1])
        second = weight * take(a[1]) + (1 - weight) * take(b[0])
        expected.append(2 * (first - second))
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    # trap 6: the caller's arrays are left alone
    np.testing.assert_array_equal(near, before[0])
    np.testing.assert_array_equal(far, before[1])


def test_mean_pooling_is_the_machine_interpretability_scores_delta() -> None:
    near, far = draw(2)
    delta_first = near[:, 0].mean(1) - far[:, 0].mean(1)
    delta_second = near[:, 1].mean(1) - far[:, 1].mean(1)
    np.testing.assert_allclose(
        margin_two_sided(near, far, "mean"), delta_first - delta_second, atol=1e-12
    )


def test_weight_one_and_max_is_eq2() -> None:
    near, far = draw(3)
    np.testing.assert_allclose(
        margin_two_sided(near, far, "max", weight=1.0), 2 * margin_eq2(near), atol=1e-12
    )


def test_a_trial_without_variation_is_a_tie_under_z_scores() -> None:
    same = np.full((1, 2, 3), -0.4)
    assert margin_two_sided(same, same, "max", zscore=True) == 0


@given(st.integers(0, 10_000), st.sampled_from(["mean", "max"]))
def test_exchanging_the_queries_turns_the_margin(seed: int, pool: str) -> None:
    near, far = draw(seed, t=3)
    there = margin_two_sided(near, far, pool)
    back = margin_two_sided(near[:, ::-1], far[:, ::-1], pool)
    np.testing.assert_allclose(there, -back, atol=1e-12)
    np.testing.assert_allclose(margin_eq2(near), -margin_eq2(near[:, ::-1]), atol=1e-12)


def test_ties_count_one_half() -> None:
    np.testing.assert_array_equal(
        correct(np.array([0.2, 0.0, -0.1, np.nan])), [1.0, 0.5, 0.0, np.nan]
    )


@given(
    st.integers(1, 12),
    st.integers(0, 2**31 - 1),
)
def test_equal_evidence_of_similarities_0_and_1_is_a_tie(references: int, seed: int) -> None:
    """Counts of matches decide, whatever the rounding of their means."""
    rng = np.random.default_rng(seed)
    near, far = rng.integers(0, 2, (2, 50, 2, references)).astype(float)
    evidence = evidence_two_sided(near, far)
    counted = near.sum(axis=2) + far.sum(axis=2)[:, ::-1]
    assert ((evidence[:, 0] == evidence[:, 1]) == (counted[:, 0] == counted[:, 1])).all()
    margins = margin_two_sided(near, far)
    assert (np.sign(margins) == np.sign(counted[:, 0] - counted[:, 1])).all()
