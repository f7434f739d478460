"""A cache with a shared store behind it: what one machine computed, another finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iibench.cache.entries import Cache
from iibench.cache.shared_store import open_shared_store


@pytest.fixture
def node(tmp_path: Path):
    """Makes the cache of a machine; all share one store."""

    def make(name: str, warn=lambda text: None) -> Cache:
        return Cache(tmp_path / name, warn, open_shared_store(str(tmp_path / "shared")))

    return make


def test_a_blob_is_read_through_and_kept(node, tmp_path: Path) -> None:
    node("a").store("scores", "ab12", {"why": 1}, {"a": np.arange(3)}, {"notes": ["x"]})
    other = node("b")
    assert other.has("scores", "ab12")
    blob = other.load("scores", "ab12")
    assert blob is not None
    np.testing.assert_array_equal(blob.arrays["a"], [0, 1, 2])
    assert blob.meta == {"notes": ["x"]}
    alone = Cache(tmp_path / "b").load("scores", "ab12")  # without the store
    assert alone is not None
    assert other.load("scores", "cd34") is None
    assert not other.has("scores", "cd34")


def test_a_damaged_blob_is_reported_left_out_and_overwritten(node, tmp_path: Path) -> None:
    node("a").store("scores", "ab12", {}, {"a": np.zeros(100)}, {})
    file = next((tmp_path / "shared").rglob("ab12.blob"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 255
    file.write_bytes(data)
    messages: list[str] = []
    other = node("b", messages.append)
    assert other.load("scores", "ab12") is None
    assert messages == [
        "shared cache: a damaged entry of kind scores was left out and is computed anew"
    ]
    other.store("scores", "ab12", {}, {"a": np.ones(2)}, {})
    third = node("c").load("scores", "ab12")
    assert third is not None
    np.testing.assert_array_equal(third.arrays["a"], [1, 1])


def test_a_blob_that_was_here_before_the_store_is_published(node, tmp_path: Path) -> None:
    Cache(tmp_path / "a").store("scores", "ab12", {}, {"a": np.ones(1)}, {})
    assert not node("b").has("scores", "ab12")
    node("a").publish("scores", "ab12")
    node("a").publish("scores", "cd34")  # there is none
    assert node("b").load("scores", "ab12") is not None
    assert not node("b").has("scores", "cd34")


def test_rows_of_another_machine_are_found_with_their_shape(node) -> None:
    rows = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    assert node("b").existing_rows("activations", "cd34") is None
    store = node("a").rows("activations", "cd34", {"why": 1}, 10, 4)
    with store.filling():
        store.put(np.arange(7), rows[:7])
    other = node("b").existing_rows("activations", "cd34")
    assert other is not None
    assert (other.n, other.width) == (10, 4)
    assert other.count() == 0
    np.testing.assert_array_equal(other.uncomputed(np.arange(10)), [7, 8, 9])
    assert other.count() == 0  # planning takes nothing over
    np.testing.assert_array_equal(other.missing(np.arange(10)), [7, 8, 9])
    np.testing.assert_array_equal(other.array()[:7], rows[:7])


def test_a_row_damaged_here_is_taken_from_the_store(node, tmp_path: Path) -> None:
    rows = np.ones((5, 8), np.float32)
    node("a").rows("embeddings", "cd34", {}, 5, 8).put(np.arange(5), rows)
    with next((tmp_path / "a").rglob("rows.bin")).open("r+b") as file:
        file.seek(3 * 8 * 4)
        file.write(b"\1\2\3\4")
    messages: list[str] = []
    again = node("a", messages.append).existing_rows("embeddings", "cd34")
    assert again is not None
    assert again.missing(np.arange(5)).size == 0
    np.testing.assert_array_equal(again.array(), rows)
    assert messages == ["cache: damaged rows of kind embeddings were dropped and are computed anew"]


def test_workers_of_a_machine_fill_at_the_same_time(node) -> None:
    """They never fill the same rows, so they need not wait for each other."""
    cache = node("a").of_node("here")
    one, other = (cache.rows("embeddings", "cd34", {}, 6, 2) for _ in range(2))
    with one.filling(), other.filling():
        one.put(np.array([0]), np.zeros((1, 2), np.float32))
        other.put(np.array([5]), np.ones((1, 2), np.float32))
    np.testing.assert_array_equal(one.missing(np.arange(6)), [1, 2, 3, 4])


def test_a_fresh_cache_has_no_store_behind_it(node) -> None:
    node("a").store("scores", "ab12", {}, {"a": np.ones(1)}, {})
    empty = node("b").without_entries()
    assert empty.load("scores", "ab12") is None
    empty.store("scores", "cd34", {}, {"a": np.ones(1)}, {})
    assert not node("c").has("scores", "cd34")


def test_caches_of_nodes_are_cleared_with_the_rest(node) -> None:
    cache = node("a")
    cache.of_node("here").store("scores", "ab12", {}, {"a": np.ones(1)}, {})
    assert cache.sizes() == {}
    cache.clear()
    assert list(cache.root.rglob("*")) == []
