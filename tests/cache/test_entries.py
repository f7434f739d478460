"""The content-keyed cache: keys, atomic blobs, resumable rows, damage."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iibench.cache.entries import Cache, key_of
from iibench.contract.errors import UsageError


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


plain = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5)


@given(plain)
def test_key_ignores_the_order_of_keys(description: dict[str, object]) -> None:
    backwards = dict(reversed(list(description.items())))
    assert key_of(description) == key_of(backwards)


@given(plain, plain)
def test_different_descriptions_have_different_keys(
    one: dict[str, object], other: dict[str, object]
) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)


def test_blob_round_trip(cache: Cache) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([1, 2], np.int64)}
    assert cache.load("scores", "ab12") is None
    cache.store("scores", "ab12", {"why": 1}, arrays, {"reasons": [None, "dead"]})
    blob = cache.load("scores", "ab12")
    assert blob is not None
    assert blob.meta == {"reasons": [None, "dead"]}
    np.testing.assert_array_equal(blob.arrays["a"], arrays["a"])
    assert blob.arrays["b"].dtype == np.int64


def test_storing_twice_keeps_the_first(cache: Cache) -> None:
    cache.store("scores", "ab12", {}, {"a": np.zeros(1)}, {})
    cache.store("scores", "ab12", {}, {"a": np.ones(1)}, {})
    blob = cache.load("scores", "ab12")
    assert blob is not None
    assert blob.arrays["a"][0] == 0
    assert not list(cache.root.rglob(".new-*"))


def test_a_damaged_blob_is_reported_and_dropped(cache: Cache) -> None:
    messages: list[str] = []
    cache.warn = messages.append
    cache.store("scores", "ab12", {}, {"a": np.zeros(100)}, {})
    file = next(cache.root.rglob("arrays.npz"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 255
    file.write_bytes(data)
    assert cache.load("scores", "ab12") is None
    assert len(messages) == 1
    assert "damaged" in messages[0]
    assert not cache.has("scores", "ab12")


META = {"trials": 20, "measures": [{"name": "loss", "value": 3.312}], "note": "ok"}
DAMAGED = "cache: a damaged entry of kind trials was dropped and is computed anew"


def test_no_flipped_bit_of_an_entry_changes_its_value(cache: Cache) -> None:
    messages: list[str] = []
    cache.warn = messages.append
    arrays = {"a": np.array([1.5, 2.5])}
    cache.store("trials", "ab12", {"layer": "conv"}, arrays, META)
    file = next(cache.root.rglob("entry.json"))
    whole = file.read_bytes()
    for i in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[i] ^= 1 << i % 7
        file.write_bytes(damaged)
        blob = cache.load("trials", "ab12")
        if blob is None:
            assert messages.pop() == DAMAGED
            cache.store("trials", "ab12", {"layer": "conv"}, arrays, META)
        else:  # white space
            assert blob.meta == META
    assert not messages


def test_a_changed_number_in_an_entry_is_not_taken(cache: Cache) -> None:
    messages: list[str] = []
    cache.warn = messages.append
    cache.store("trials", "ab12", {}, {"a": np.zeros(3)}, META)
    file = next(cache.root.rglob("entry.json"))
    file.write_text(file.read_text().replace("3.312", "3.212"))
    assert cache.load("trials", "ab12") is None
    assert messages == [DAMAGED]


@pytest.mark.parametrize("text", ["", "[]", "3", "null", '{"sha256": 3, "seal": []}', "[" * 100000])
def test_an_entry_that_is_none_is_dropped(cache: Cache, text: str) -> None:
    cache.store("trials", "ab12", {}, {"a": np.zeros(3)}, META)
    next(cache.root.rglob("entry.json")).write_text(text)
    assert cache.load("trials", "ab12") is None
    cache.store("trials", "ab12", {}, {"a": np.zeros(3)}, META)
    assert cache.load("trials", "ab12") is not None


def test_an_entry_without_a_seal_is_computed_anew(cache: Cache) -> None:
    cache.store("trials", "ab12", {}, {"a": np.zeros(3)}, META)
    file = next(cache.root.rglob("entry.json"))
    entry = json.loads(file.read_text())
    del entry["seal"]
    file.write_text(json.dumps(entry))
    assert cache.load("trials", "ab12") is None


def test_numbers_that_are_not_finite_are_sealed_too(cache: Cache) -> None:
    cache.store("trials", "ab12", {}, {}, {"value": float("nan"), "others": {1: float("inf")}})
    blob = cache.load("trials", "ab12")
    assert blob is not None
    assert np.isnan(blob.meta["value"])
    assert blob.meta["others"] == {"1": float("inf")}


@pytest.mark.parametrize(
    "change", [('"n": 5', '"n": 4'), ('"n": 5', '"n": 7'), ('"width": 8', '"width": 9'), ("{", "(")]
)
def test_rows_do_not_take_a_changed_shape(cache: Cache, change: tuple[str, str]) -> None:
    store = cache.rows("embeddings", "cd34", {"why": 1}, 5, 8)
    store.put(np.arange(5), np.ones((5, 8), np.float32))
    file = next(cache.root.rglob("entry.json"))
    file.write_text(file.read_text().replace(*change))
    assert cache.existing_rows("embeddings", "cd34") is None
    mended = cache.rows("embeddings", "cd34", {"why": 1}, 5, 8)
    assert not mended.missing(np.arange(5)).size
    again = cache.existing_rows("embeddings", "cd34")
    assert again is not None
    assert again.array().shape == (5, 8)


def test_rows_are_filled_in_any_order_and_survive_reopening(cache: Cache) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(10, 4)).astype(np.float32)
    store = cache.rows("embeddings", "cd34", {}, 10, 4)
    everything = np.arange(10)
    np.testing.assert_array_equal(store.missing(everything), everything)
    first = np.array([7, 2, 5])
    store.put(first, rows[first])
    again = cache.existing_rows("embeddings", "cd34")
    assert again is not None
    np.testing.assert_array_equal(again.missing(everything), [0, 1, 3, 4, 6, 8, 9])
    np.testing.assert_array_equal(again.array()[first], rows[first])
    assert again.count() == 3


def test_a_row_of_zeros_counts_as_there(cache: Cache) -> None:
    store = cache.rows("embeddings", "cd34", {}, 2, 3)
    store.put(np.array([1]), np.zeros((1, 3), np.float32))
    np.testing.assert_array_equal(store.missing(np.arange(2)), [0])


def test_a_damaged_row_is_reported_and_computed_anew(cache: Cache) -> None:
    messages: list[str] = []
    cache.warn = messages.append
    store = cache.rows("embeddings", "cd34", {}, 5, 8)
    store.put(np.arange(5), np.ones((5, 8), np.float32))
    with next(cache.root.rglob("rows.bin")).open("r+b") as file:
        file.seek(3 * 8 * 4)
        file.write(b"\1\2\3\4")
    reopened = cache.existing_rows("embeddings", "cd34")
    assert reopened is not None
    np.testing.assert_array_equal(reopened.missing(np.arange(5)), [3])
    assert len(messages) == 1


def test_sizes_and_clear(cache: Cache) -> None:
    cache.store("scores", "ab12", {}, {"a": np.zeros(10)}, {})
    cache.rows("embeddings", "cd34", {}, 1_000_000, 1000)  # sparse: 4 GB that take no space
    sizes = cache.sizes()
    assert sizes["scores"][0] == 1
    assert sizes["embeddings"][0] == 1
    assert sizes["embeddings"][1] < 1_000_000
    cache.clear("scores")
    assert "scores" not in cache.sizes()
    cache.clear()
    assert cache.sizes() == {}


def test_sizes_where_the_system_counts_no_blocks(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store("scores", "ab12", {}, {"a": np.zeros(10)}, {})
    entry = cache.root / "scores" / "ab" / "ab12"
    length = sum(len(file.read_bytes()) for file in entry.iterdir())
    whole = Path.stat

    def without_blocks(self: Path, **options: bool) -> SimpleNamespace:
        found = whole(self, **options)
        return SimpleNamespace(st_mode=found.st_mode, st_size=found.st_size)

    monkeypatch.setattr(Path, "stat", without_blocks)
    assert cache.sizes() == {"scores": (1, length)}


def test_a_cache_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="--cache-dir"):
        Cache(tmp_path / "file")


def test_clear_removes_entries_and_nothing_else(cache: Cache, tmp_path: Path) -> None:
    """The cache folder may be one that holds files of the user's own."""
    cache.store("scores", "ab12", {}, {"x": np.zeros(2)}, {})
    cache.without_entries().store("scores", "cd12", {}, {"x": np.zeros(2)}, {})
    mine = [cache.root / name for name in ("holiday/a.jpg", "scores/ab/x/a.txt", "notes.md")]
    outside = tmp_path / "outside"
    for path in (*mine, outside / "ab" / "ab99" / "entry.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    (cache.root / "linked").symlink_to(outside)
    cache.clear()
    assert all(path.read_text() == "{}" for path in mine)
    assert (outside / "ab/ab99/entry.json").is_file()
    assert not cache.has("scores", "ab12")
    assert not list(cache.root.glob(".fresh-*"))
