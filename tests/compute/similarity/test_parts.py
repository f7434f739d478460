"""Parts of a metric asked together against each on its own and against a loop."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.compute.similarity.lookups import EmbeddingSimilarity, cross_together
from iibench.compute.similarity.parts import PartSimilarities
from iibench.compute.similarity.streamed import StreamedSimilarity

PARTS = {"": None, "0": slice(0, 3), "1": slice(3, 8), "2": slice(8, 12)}
seeds = st.integers(0, 2**32 - 1)


def questions(seed: int, n: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings (n, 12) and groups of images on either side."""
    rng = np.random.default_rng(seed)
    rows = (rng.standard_normal((n, 12)) + rng.integers(0, 20)).astype(np.float32)
    return rows, rng.integers(0, n, (7, 2)), rng.integers(0, n, (7, 5))


def lookups_of(rows: np.ndarray, distance: str, dense: tuple[str, ...] = ()) -> dict:
    return {
        name: EmbeddingSimilarity(
            lambda indices: rows, len(rows), distance, columns=part, dense=name in dense
        )
        for name, part in PARTS.items()
    }


def naive(rows: np.ndarray, distance: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Pair by pair, in float64."""
    out = np.empty((len(left), left.shape[1], right.shape[1]))
    x = rows.astype(np.float64)
    for g, i, j in np.ndindex(out.shape):
        a, b = x[left[g, i]], x[right[g, j]]
        square = ((a - b) ** 2).sum()
        cosine = a @ b / np.sqrt((a @ a) * (b @ b))
        out[g, i, j] = {"squared_euclidean": -square, "euclidean": -np.sqrt(square)}.get(
            distance, cosine
        )
    return out


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from(["squared_euclidean", "euclidean", "cosine"]))
def test_together_as_alone_and_as_pair_by_pair(seed: int, distance: str) -> None:
    rows, left, right = questions(seed)
    found = cross_together(lookups_of(rows, distance), left, right)
    for name, part in PARTS.items():
        expected = naive(rows[:, part or slice(None)], distance, left, right)
        np.testing.assert_allclose(found[name], expected, atol=2e-4, rtol=1e-4)
        alone = lookups_of(rows, distance)[name].cross(left, right)
        np.testing.assert_allclose(found[name], alone, atol=2e-4, rtol=1e-5)


def test_rows_are_gathered_once_for_all_parts() -> None:
    rows, left, right = questions(1)
    calls = []

    def counted(indices: np.ndarray) -> np.ndarray:
        calls.append(indices)
        return rows

    parts = PartSimilarities(
        {
            name: EmbeddingSimilarity(counted, len(rows), "squared_euclidean", columns=part)
            for name, part in PARTS.items()
        },
        memory=1 << 20,
    )
    for name in PARTS:
        parts.part(name).cross(left, right)
    assert len(calls) == 1
    parts.part("1").cross(left, right)  # what was handed out is not kept
    assert len(calls) == 2


@pytest.mark.parametrize("memory", [0, 1 << 20])
@pytest.mark.parametrize("dense", [(), ("",), ("", "1")])
def test_memory_and_matrices_change_nothing(memory: int, dense: tuple[str, ...]) -> None:
    rows, left, right = questions(2)
    parts = PartSimilarities(lookups_of(rows, "squared_euclidean", dense), memory)
    for name, part in PARTS.items():
        expected = naive(rows[:, part or slice(None)], "squared_euclidean", left, right)
        for _ in range(2):
            got = parts.part(name).cross(left, right)
            np.testing.assert_allclose(got, expected, atol=2e-4, rtol=1e-4)
        np.testing.assert_allclose(
            parts.part(name).within(left),
            naive(rows[:, part or slice(None)], "squared_euclidean", left, left),
            atol=1e-5,
            rtol=1e-5,
        )


def test_labels_of_parts_that_are_equal_or_not() -> None:
    rows = np.random.default_rng(3).integers(0, 2, (9, 2)).astype(np.float32)
    lookups = {
        name: EmbeddingSimilarity(lambda indices: rows, 9, "equal", columns=part)
        for name, part in {"": None, "0": slice(0, 1)}.items()
    }
    left, right = np.array([[0, 1]]), np.array([[2, 3, 4]])
    parts = PartSimilarities(lookups, 1 << 20)
    for name, width in (("", 2), ("0", 1)):
        expected = (rows[left[0], None, :width] == rows[right[0], :width]).all(axis=2)
        assert parts.part(name).cross(left, right)[0].tolist() == expected.tolist()


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 40), st.sampled_from(["squared_euclidean", "euclidean", "cosine"]))
def test_streamed_as_from_memory(seed: int, capacity: int, distance: str) -> None:
    rows, left, right = questions(seed)
    embedded: list[int] = []

    def batches(indices: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        embedded.extend(indices.tolist())
        for positions in np.array_split(np.arange(len(indices)), 1 + len(indices) // 4):
            yield positions, rows[indices[positions]]

    def compare(held: np.ndarray) -> EmbeddingSimilarity:
        return EmbeddingSimilarity(lambda indices: held, len(held), distance)

    streamed = StreamedSimilarity(batches, 12, compare, capacity)
    np.testing.assert_allclose(
        streamed.cross(left, right), naive(rows, distance, left, right), atol=2e-4, rtol=1e-4
    )
    if capacity >= 30:  # all images fit, so each is embedded once
        assert sorted(embedded) == sorted(set(np.concatenate([left, right], axis=1).ravel()))
    np.testing.assert_allclose(
        streamed.within(left), naive(rows, distance, left, left), atol=1e-5, rtol=1e-5
    )
