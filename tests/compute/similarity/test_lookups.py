"""Similarities from embeddings equal a naive loop over pairs, whatever the strategy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.compute.similarity.lookups import EmbeddingSimilarity, PairwiseSimilarity, dense_pays
from iibench.contract.errors import CaseError, PluginError
from iibench.contract.specs import Distance


def naive(distance: Distance, a: np.ndarray, b: np.ndarray) -> float:
    """Similarity of two rows, from the definition."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    if distance == "squared_euclidean":
        return -float(((a - b) ** 2).sum())
    if distance == "euclidean":
        return -float(np.sqrt(((a - b) ** 2).sum()))
    if distance == "cosine":
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    return float((a == b).all())


DISTANCES: tuple[Distance, ...] = ("squared_euclidean", "euclidean", "cosine", "equal")


def table(distance: Distance, n: int, d: int, offset: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if distance == "equal":
        return rng.integers(0, 3, (n, 1)).astype(np.float32)
    return (rng.normal(size=(n, d)) + offset).astype(np.float32)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("offset", [0.0, 30.0])
@pytest.mark.parametrize("distance", DISTANCES)
def test_cross_and_within_equal_a_naive_loop(
    distance: Distance, offset: float, dense: bool
) -> None:
    rows = table(distance, 40, 12, offset, 0)
    rows[7] = rows[3]  # a duplicate image
    lookup = EmbeddingSimilarity(lambda indices: rows, 40, distance, dense=dense)
    rng = np.random.default_rng(1)
    left, right = rng.integers(0, 40, (9, 2)), rng.integers(0, 40, (9, 5))
    left[0, 0], right[0, 0] = 3, 7
    got = lookup.cross(left, right)
    for g in range(9):
        for i in range(2):
            for j in range(5):
                expected = naive(distance, rows[left[g, i]], rows[right[g, j]])
                assert got[g, i, j] == pytest.approx(expected, abs=2e-5 * (1 + abs(expected)))
    groups = np.stack([rng.permutation(40)[:5] for _ in range(6)])
    groups[0, :2] = 3, 7
    inside = lookup.within(groups)
    for g in range(6):
        for i in range(5):
            for j in range(5):
                expected = naive(distance, rows[groups[g, i]], rows[groups[g, j]])
                assert inside[g, i, j] == pytest.approx(expected, abs=1e-5 * (1 + abs(expected)))
    assert inside[0, 0, 1] == (1.0 if distance in {"cosine", "equal"} else 0.0) or (
        distance == "cosine" and inside[0, 0, 1] == pytest.approx(1.0)
    )


def test_a_part_is_the_metric_of_its_columns() -> None:
    rows = table("squared_euclidean", 20, 10, 0.0, 2)
    left, right = np.array([[0, 1]]), np.array([[2, 3, 4]])
    parts = [
        EmbeddingSimilarity(lambda i: rows, 20, "squared_euclidean", columns=part, dense=dense)
        for part, dense in ((slice(0, 4), False), (slice(4, 10), True))
    ]
    whole = EmbeddingSimilarity(lambda i: rows, 20, "squared_euclidean")
    total = sum(part.cross(left, right) for part in parts)
    np.testing.assert_allclose(total, whole.cross(left, right), atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(DISTANCES[:3]))
def test_similarity_is_symmetric_and_highest_for_the_same_image(
    seed: int, distance: Distance
) -> None:
    rows = table(distance, 12, 6, 1.0, seed)
    lookup = EmbeddingSimilarity(lambda i: rows, 12, distance)
    everything = np.arange(12)[None, :]
    both = lookup.within(everything)[0]
    np.testing.assert_array_equal(both, both.T)
    assert (both <= both.diagonal()[:, None] + 1e-12).all()


def test_only_the_rows_that_are_needed_are_asked_for() -> None:
    rows = table("squared_euclidean", 50, 3, 0.0, 0)
    asked: set[int] = set()

    def read(indices: np.ndarray) -> np.ndarray:
        asked.update(int(i) for i in indices)
        return rows

    lookup = EmbeddingSimilarity(read, 50, "squared_euclidean")
    lookup.within(np.array([[1, 2], [2, 5]]))
    lookup.cross(np.array([[9]]), np.array([[8]]))
    assert asked == {1, 2, 5, 8, 9}


def test_the_matrix_pays_only_for_many_questions() -> None:
    assert not dense_pays(10_000, 256 * 400)
    assert dense_pays(10_000, 20 * 256 * 400)
    assert not dense_pays(1_000_000, 1e12)


class Negated:
    """A pairwise metric: minus the difference of mean brightness."""

    fingerprint = ""

    def pairwise(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return -(a.mean((1, 2, 3))[:, None] - b.mean((1, 2, 3))[None]).abs()


def images(indices: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(indices, np.float32))[:, None, None, None] / 10


def test_pairwise_metric() -> None:
    lookup = PairwiseSimilarity(Negated(), images, "toy")
    got = lookup.cross(np.array([[1, 2]]), np.array([[3, 5, 1]]))
    np.testing.assert_allclose(got, -np.array([[[0.2, 0.4, 0.0], [0.1, 0.3, 0.1]]]), atol=1e-6)


def test_pairwise_metric_of_the_wrong_shape_is_named() -> None:
    class Diagonal(Negated):
        def pairwise(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return super().pairwise(a, b)[:, 0]

    with pytest.raises(PluginError, match=r"metric toy.*\(2,\).*\(2, 3\)"):
        PairwiseSimilarity(Diagonal(), images, "toy").cross(np.ones((1, 2)), np.ones((1, 3)))


def test_pairwise_metric_that_gives_nan_is_named() -> None:
    class Broken(Negated):
        def pairwise(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return super().pairwise(a, b) * float("nan")

    with pytest.raises(CaseError, match="toy"):
        PairwiseSimilarity(Broken(), images, "toy").within(np.ones((1, 2)))
