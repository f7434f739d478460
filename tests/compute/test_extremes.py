"""Streamed extremes against both ends of a sorted list."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.compute.exemplars import exemplars
from iibench.compute.extremes import Extremes
from iibench.compute.ranking import order_by_response

seeds = st.integers(0, 2**32 - 1)


def responses_of(seed: int, n: int, k: int) -> np.ndarray:
    """Responses with many ties, negative ones and zeros of both signs."""
    rng = np.random.default_rng(seed)
    values = rng.integers(-2, 3, (n, k)).astype(np.float32)
    values[rng.random((n, k)) < 0.3] *= np.float32(-0.0)
    return np.where(rng.random((1, k)) < 0.5, values, rng.standard_normal((n, k))).astype(
        np.float32
    )


def streamed(responses: np.ndarray, m: int, cuts: list[int]) -> list[Extremes]:
    """One result per block of rows."""
    edges = [0, *sorted({c for c in cuts if 0 < c < len(responses)}), len(responses)]
    return [
        Extremes.empty(responses.shape[1], m).update(responses[a:b], a) for a, b in pairwise(edges)
    ]


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(6, 60), st.integers(1, 5), st.lists(st.integers(1, 59)), st.randoms())
def test_blocks_in_any_order_give_both_ends_of_the_order(seed, n, k, cuts, random) -> None:
    responses, m = responses_of(seed, n, k), 6
    order = order_by_response(responses)
    parts = streamed(responses, m, cuts)
    random.shuffle(parts)
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    np.testing.assert_array_equal(merged.top, exemplars(order, m))
    np.testing.assert_array_equal(merged.bottom, exemplars(order[::-1], m))


@settings(max_examples=30, deadline=None)
@given(seeds, st.lists(st.integers(1, 99), min_size=2, max_size=6))
def test_one_pass_and_merging_are_the_same_and_merging_is_associative(seed, cuts) -> None:
    responses, m = responses_of(seed, 100, 3), 4
    one = Extremes.empty(3, m)
    edges = [0, *sorted(set(cuts)), 100]
    for a, b in pairwise(edges):
        one = one.update(responses[a:b], a)
    parts = streamed(responses, m, cuts)
    first, *rest = parts
    left, right = first, parts[-1]
    for part in rest:
        left = left.merge(part)
    for part in reversed(parts[:-1]):
        right = part.merge(right)
    for found in (left, right):
        np.testing.assert_array_equal(found.largest, one.largest)
        np.testing.assert_array_equal(found.smallest, one.smallest)


def test_too_few_images_leave_places_empty() -> None:
    found = Extremes.empty(1, 3).update(np.array([[2.0], [5.0]], np.float32), 7)
    assert found.top.tolist() == [[8, 7, -1]]
    assert found.bottom.tolist() == [[7, 8, -1]]


@pytest.mark.parametrize("first", [0, 2**31, 2**32 - 5])
def test_image_numbers_up_to_32_bits(first: int) -> None:
    responses = np.array([[1.0], [3.0], [2.0], [3.0]], np.float32)
    found = Extremes.empty(1, 2).update(responses, first)
    assert found.top.tolist() == [[first + 1, first + 3]]
    assert found.bottom.tolist() == [[first, first + 2]]
