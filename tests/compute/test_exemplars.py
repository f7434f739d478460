"""Exemplars and trials against naive definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.compute import ranking
from iibench.compute.exemplars import constant_directions, difficulty_range, exemplars, make_trials
from iibench.compute.ranking import ShuffledOrder, order_by_response, order_with_random_ties
from iibench.contract.errors import CaseError

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=50, deadline=None)
@given(seeds, st.integers(1, 30), st.integers(1, 4))
def test_exemplars_are_the_largest_responses_ties_to_the_lower_index(
    seed: int, n: int, k: int
) -> None:
    responses = np.random.default_rng(seed).integers(0, 4, (n, k)).astype(np.float32)
    m = min(5, n)
    got = exemplars(order_by_response(responses), m)
    for unit in range(k):
        expected = sorted(range(n), key=lambda i: (-responses[i, unit], i))[:m]
        assert got[unit].tolist() == expected


def test_too_few_images_for_the_exemplars() -> None:
    with pytest.raises(CaseError, match="5 exemplars.*4 images"):
        exemplars(order_by_response(np.zeros((4, 2), np.float32)), 5)


def test_constant_directions() -> None:
    responses = np.array([[0, 1], [0, 2]], np.float32)
    assert constant_directions(responses, order_by_response(responses)).tolist() == [True, False]


@given(st.integers(2, 3000), st.integers(0, 49).map(lambda percent: percent / 100))
def test_the_range_is_between_the_quantiles(n: int, difficulty: float) -> None:
    values = np.arange(n, dtype=np.float64)
    low, high = difficulty_range(n, difficulty)
    inside = (values >= np.quantile(values, difficulty) - 1e-6) & (
        values <= np.quantile(values, 1 - difficulty) + 1e-6
    )
    assert values[low:high].tolist() == values[inside].tolist()


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.05, 0.2]), st.integers(1, 4), st.integers(1, 5))
def test_trials(seed: int, difficulty: float, trials: int, references: int) -> None:
    n, k = 120, 3
    responses = np.random.default_rng(seed).normal(size=(n, k)).astype(np.float32)
    order = order_by_response(responses)
    drawn = make_trials(order, difficulty, trials, references, seed)
    low, high = difficulty_range(n, difficulty)
    for unit in range(k):
        strong = [int(i) for i in drawn.strong[unit]]
        weak = [int(i) for i in drawn.weak[unit]]
        used = [
            *strong,
            *weak,
            *drawn.strong_references[unit].ravel().tolist(),
            *drawn.weak_references[unit].ravel().tolist(),
        ]
        assert len(used) == len(set(used)) == 2 * trials * (references + 1)
        ranked = sorted(range(n), key=lambda i: (-responses[i, unit], i))[low:high]
        side = trials * (references + 1)
        assert sorted(strong) == sorted(ranked[:trials])
        assert sorted(weak) == sorted(ranked[-trials:])
        assert set(used) == {*ranked[:side], *ranked[-side:]}
        for block in range(references):  # every trial has one reference of each block of ranks
            ranks = ranked[trials * (block + 1) : trials * (block + 2)]
            assert drawn.strong_references[unit, :, block].tolist() == ranks


def test_trials_are_seeded_and_do_not_depend_on_other_directions() -> None:
    responses = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    order = order_by_response(responses)
    one, same, other = (make_trials(order, 0.0, 5, 3, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.strong, same.strong)
    assert (one.strong != other.strong).any()
    first = make_trials(order[:, :1], 0.0, 5, 3, 1)
    np.testing.assert_array_equal(first.strong, one.strong[:1])


def test_too_few_images_for_the_trials_says_how_many_are_needed() -> None:
    order = order_by_response(np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32))
    make_trials(order, 0.1, 20, 9, 0)
    with pytest.raises(
        CaseError, match=r"need 400 images, and at difficulty 0\.2 there are 300 of 500"
    ):
        make_trials(order, 0.2, 20, 9, 0)


def test_ties_are_shuffled_where_there_are_any_and_only_there() -> None:
    rng = np.random.default_rng(0)
    responses = rng.normal(size=(200, 3)).astype(np.float32)
    responses[:, 1] = np.maximum(responses[:, 1] - 2, 0)  # sparse: mostly zero
    order = order_by_response(responses)
    shuffled = order_with_random_ties(responses, order, 5)
    np.testing.assert_array_equal(shuffled[:, [0, 2]], order[:, [0, 2]])
    assert (shuffled[:, 1] != order[:, 1]).any()
    for unit in range(3):
        assert sorted(shuffled[:, unit].tolist()) == list(range(200))
        ranked = responses[shuffled[:, unit], unit]
        assert (np.diff(ranked) <= 0).all()
    np.testing.assert_array_equal(shuffled, order_with_random_ties(responses, order, 5))


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(5, 60), st.integers(1, 5), st.lists(st.integers(0, 4), min_size=1))
def test_random_ties_by_rank_are_those_of_the_whole_order(
    seed: int, n: int, k: int, ranks: list[int]
) -> None:
    """Whichever ranks are asked for, and in blocks of one direction too."""
    rng = np.random.default_rng(seed)
    responses = np.maximum(rng.integers(-3, 4, (n, k)), 0).astype(np.float32)
    responses[:, 0] = rng.permutation(n)
    order = order_by_response(responses)
    whole = order_with_random_ties(responses, order, 3)
    shuffled = ShuffledOrder(responses, order, 3)
    chosen = np.concatenate([np.array(ranks), n - 1 - np.array(ranks)])
    per_direction = rng.integers(0, n, (k, 2, 3))
    columns = np.arange(k)[:, None, None]
    for size in (ranking.BLOCK_BYTES, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ranking.unit_blocks, "__defaults__", (size,))
            np.testing.assert_array_equal(shuffled[chosen], whole[chosen])
            np.testing.assert_array_equal(
                shuffled[per_direction, columns], whole[per_direction, columns]
            )


def test_the_order_is_that_of_a_stable_sort() -> None:
    """With infinities aside: negative, denormal, equal and zeros of both signs."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((500, 7)) * 10.0 ** rng.integers(-44, 38, (500, 7))
    responses = values.astype(np.float32)
    responses[rng.random((500, 7)) < 0.2] = 0.0
    responses[rng.random((500, 7)) < 0.1] = -0.0
    responses[::5] = responses[0]
    expected = np.argsort(-responses.astype(np.float64), axis=0, kind="stable")
    np.testing.assert_array_equal(order_by_response(responses), expected)
    into = np.zeros((500, 7), np.int32)
    assert order_by_response(responses, into) is into
    np.testing.assert_array_equal(into, expected)
