"""Mapped arrays of directions, exchanged between machines bit by bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iibench.cache import shared_rows
from iibench.cache.by_direction import load_by_direction, make_by_direction
from iibench.cache.entries import Cache
from iibench.cache.shared_by_direction import (
    fetch_by_direction,
    has_by_direction,
    publish_by_direction,
)
from iibench.cache.shared_store import open_shared_store

KEY = "ab12"
N, K = 30, 7
RESPONSES = np.random.default_rng(0).normal(size=(N, K)).astype(np.float32)
ORDERS = np.argsort(-RESPONSES, axis=0).astype(np.int32)
ARRAYS = {"responses_by_direction": RESPONSES, "orders_by_direction": ORDERS}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes the cache of a machine; all share one store, in blobs of two directions."""
    monkeypatch.setattr(shared_rows, "BLOB_BYTES", 2 * 4 * N)

    def make(name: str, warn=lambda text: None) -> Cache:
        return Cache(tmp_path / name, warn, open_shared_store(str(tmp_path / "shared")))

    return make


def fill(cache: Cache) -> None:
    for kind, values in ARRAYS.items():

        def copy(new, values=values) -> None:
            new[:] = values

        make_by_direction(cache.place(kind, KEY), values.dtype, N, K, copy)


def loaded(cache: Cache, kind: str):
    return load_by_direction(
        cache.place(kind, KEY), ARRAYS[kind].dtype, lambda: pytest.fail("damaged")
    )


def publish(cache: Cache) -> None:
    for kind in ARRAYS:
        publish_by_direction(cache, kind, KEY)


def fetch(cache: Cache) -> None:
    for kind in ARRAYS:
        fetch_by_direction(cache, kind, KEY)


def test_another_machine_gets_the_same_bits(node, tmp_path: Path) -> None:
    writer, reader = node("a"), node("b")
    publish(writer)  # there is nothing yet
    fetch(reader)
    assert not has_by_direction(reader, "responses_by_direction", KEY)
    fill(writer)
    publish(writer)
    publish(writer)
    assert len(list((tmp_path / "shared").rglob("*.rows"))) == 8
    assert has_by_direction(reader, "responses_by_direction", KEY)
    fetch(reader)
    for kind, values in ARRAYS.items():
        found = loaded(reader, kind)
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values)
    some = node("c")
    fetch_by_direction(some, "responses_by_direction", KEY)
    assert loaded(some, "responses_by_direction") is not None
    assert loaded(some, "orders_by_direction") is None


def test_what_is_not_all_there_is_not_taken(node, tmp_path: Path) -> None:
    writer, reader = node("a"), node("b")
    fill(writer)
    publish(writer)
    next((tmp_path / "shared" / "v1" / "responses_by_direction").rglob("*.rows")).unlink()
    fetch(reader)
    assert loaded(reader, "responses_by_direction") is None
    assert not has_by_direction(reader, "responses_by_direction", KEY)
    publish(writer)
    fetch(reader)
    np.testing.assert_array_equal(loaded(reader, "responses_by_direction"), RESPONSES)


def test_a_damaged_blob_is_told_and_nothing_is_left_behind(node, tmp_path: Path) -> None:
    fill(node("a"))
    publish(node("a"))
    file = next((tmp_path / "shared" / "v1" / "orders_by_direction").rglob("*.rows"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 255
    file.write_bytes(data)
    messages: list[str] = []
    reader = node("b", messages.append)
    fetch(reader)
    assert messages == ["shared cache: damaged orders are computed anew"]
    assert loaded(reader, "orders_by_direction") is None
    assert not list(reader.root.rglob(".new-*"))
    np.testing.assert_array_equal(loaded(reader, "responses_by_direction"), RESPONSES)


def test_without_a_store_nothing_happens(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    fill(cache)
    publish(cache)
    fetch(cache)
    assert has_by_direction(cache, "responses_by_direction", KEY)
    assert not has_by_direction(Cache(tmp_path / "other"), "responses_by_direction", KEY)
