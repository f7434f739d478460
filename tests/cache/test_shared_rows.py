"""Rows exchanged through a shared store: a union of blobs, whatever the order, repetition or number of
writers; damage costs its rows alone."""

from __future__ import annotations

import uuid
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.cache import shared_rows
from iibench.cache.entries import Cache
from iibench.cache.shared_rows import RowBlob, read_blob
from iibench.cache.shared_store import Damaged, open_shared_store

N, WIDTH = 12, 3
#: The row that belongs to each image.
TRUTH = np.random.default_rng(0).normal(size=(N, WIDTH)).astype(np.float32)
pieces = st.lists(st.lists(st.integers(0, N - 1), min_size=1, max_size=6, unique=True), max_size=6)


def fresh_url() -> str:
    return f"memory://{uuid.uuid4().hex}"


def rows_at(url: str, folder: Path):
    """A node's view of the rows behind `url`."""
    cache = Cache(folder, shared=open_shared_store(url))
    return cache.rows("embeddings", "cd34", {"why": 1}, N, WIDTH)


def content(url: str, folder: Path) -> dict[int, tuple[float, ...]]:
    """What a new reader finds: image -> row."""
    rows = rows_at(url, folder)
    everything = np.arange(N)
    there = np.setdiff1d(everything, rows.missing(everything))
    return {int(i): tuple(rows.array()[i].tolist()) for i in there}


@settings(max_examples=30, deadline=None)
@given(pieces, st.randoms(use_true_random=False), st.integers(1, 3))
def test_the_store_is_a_union(tmp_path_factory, written, random, writers) -> None:
    """Commutative, associative, idempotent: order, grouping and repetition of the pieces do not matter."""
    root = tmp_path_factory.mktemp("union")
    url = fresh_url()
    nodes = [rows_at(url, root / f"node{k}") for k in range(writers)]
    again = written + [random.choice(written) for _ in range(len(written) // 2)]
    random.shuffle(again)
    for piece in again:
        node = random.choice(nodes)
        with node.filling():
            for part in (piece[: len(piece) // 2], piece[len(piece) // 2 :]):
                if part:
                    node.put(np.array(part), TRUTH[part])
    images = {i for piece in written for i in piece}
    expected = {i: tuple(TRUTH[i].tolist()) for i in images}
    assert content(url, root / "reader") == expected
    everything = np.arange(N)
    unplanned = rows_at(url, root / "planner").uncomputed(everything)
    assert set(everything) - set(unplanned) == images


def test_the_same_rows_are_one_object(tmp_path: Path) -> None:
    url = fresh_url()
    for node, order in (("a", [4, 5, 6]), ("b", [6, 4, 5])):
        rows = rows_at(url, tmp_path / node)
        with rows.filling():
            rows.put(np.array(order), TRUTH[order])
    names = open_shared_store(url).names("v1/embeddings/cd/cd34")
    assert len([name for name in names if name.endswith(".rows")]) == 1


def test_where_blobs_disagree_every_reader_takes_the_same(tmp_path: Path) -> None:
    """As rounding may make them: the first by name counts, whoever wrote first."""
    found = []
    for order in ((0, 1), (1, 0)):
        url = fresh_url()
        nodes = [rows_at(url, tmp_path / f"{order}{k}") for k in range(2)]
        for k in order:
            nodes[k].put(np.array([3]), TRUTH[[3]] + k)
        found.append(content(url, tmp_path / f"reader{order}"))
    assert found[0] == found[1]


def test_rows_put_outside_of_filling_are_there_at_once(tmp_path: Path) -> None:
    url = fresh_url()
    rows_at(url, tmp_path / "a").put(np.array([2]), TRUTH[[2]])
    assert list(content(url, tmp_path / "b")) == [2]


def test_a_node_that_dies_while_filling_has_pushed_full_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iibench.cache import rows as cache

    monkeypatch.setattr(cache, "PUSH_BYTES", 2 * 4 * WIDTH)
    url = fresh_url()
    rows = rows_at(url, tmp_path / "a")
    with rows.filling():
        for i in range(5):
            rows.put(np.array([i]), TRUTH[[i]])
        assert list(content(url, tmp_path / "b")) == [0, 1, 2, 3]
    assert list(content(url, tmp_path / "c")) == [0, 1, 2, 3, 4]


def test_large_pieces_become_several_blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_rows, "BLOB_BYTES", 5 * 4 * WIDTH)
    url = fresh_url()
    rows = rows_at(url, tmp_path / "a")
    rows.put(np.arange(N), TRUTH)
    names = open_shared_store(url).names("v1/embeddings/cd/cd34")
    assert [name.rpartition("-")[0] for name in names if name.endswith(".rows")] == [
        "0000000000-0000000004-5",
        "0000000005-0000000009-5",
        "0000000010-0000000011-2",
    ]
    assert len(content(url, tmp_path / "b")) == N


def test_rows_that_were_here_before_the_store_are_published(tmp_path: Path) -> None:
    Cache(tmp_path / "a").rows("embeddings", "cd34", {}, N, WIDTH).put(np.arange(4), TRUTH[:4])
    url = fresh_url()
    rows = rows_at(url, tmp_path / "a")
    assert content(url, tmp_path / "b") == {}
    rows.publish(np.arange(6))
    assert list(content(url, tmp_path / "c")) == [0, 1, 2, 3]


def test_a_damaged_blob_costs_its_rows_alone_and_is_replaced(tmp_path: Path) -> None:
    url = fresh_url()
    writer = rows_at(url, tmp_path / "a")
    writer.put(np.arange(4), TRUTH[:4])
    writer.put(np.arange(6, 9), TRUTH[6:9])
    system, path = fsspec.core.url_to_fs(f"{url}/v1/embeddings/cd/cd34")
    file = next(p for p in system.ls(path, detail=False) if "/0000000000-" in p)
    data = bytearray(system.cat_file(file))
    data[-1] ^= 255
    system.pipe_file(file, bytes(data))

    messages: list[str] = []
    cache = Cache(tmp_path / "b", messages.append, open_shared_store(url))
    rows = cache.existing_rows("embeddings", "cd34")
    assert rows is not None
    np.testing.assert_array_equal(rows.missing(np.arange(9)), np.arange(6))
    rows.missing(np.arange(9))
    assert messages == [
        "shared cache: damaged rows of kind embeddings were dropped and are computed anew"
    ]
    rows.put(np.arange(6), TRUTH[:6])  # in another piece than before
    assert system.cat_file(file)[-1] != data[-1]
    messages.clear()
    again = Cache(tmp_path / "c", messages.append, open_shared_store(url))
    rows = again.existing_rows("embeddings", "cd34")
    assert rows is not None
    np.testing.assert_array_equal(rows.missing(np.arange(N)), np.arange(9, N))
    assert messages == []


def test_a_blob_that_another_has_repaired_stays(tmp_path: Path) -> None:
    """Two have seen it damaged; one writes its rows anew, the other then writes other rows."""
    url = fresh_url()
    rows_at(url, tmp_path / "a").put(np.arange(4), TRUTH[:4])
    system, path = fsspec.core.url_to_fs(f"{url}/v1/embeddings/cd/cd34")
    file = next(p for p in system.ls(path, detail=False) if p.endswith(".rows"))
    good = system.cat_file(file)
    system.pipe_file(file, good[:-1] + b"!")
    one, other = (rows_at(url, tmp_path / name) for name in "bc")
    for rows in (one, other):
        np.testing.assert_array_equal(rows.missing(np.arange(4)), np.arange(4))
    one.put(np.arange(4), TRUTH[:4])
    other.put(np.arange(6, 8), TRUTH[6:8])
    assert system.cat_file(file) == good
    assert list(content(url, tmp_path / "d")) == [0, 1, 2, 3, 6, 7]


def test_what_is_no_blob_is_damaged() -> None:
    good = RowBlob(np.array([1, 4]), TRUTH[[1, 4]])
    back = read_blob(good.content(), N, WIDTH)
    np.testing.assert_array_equal(back.indices, [1, 4])
    np.testing.assert_array_equal(back.rows, TRUTH[[1, 4]])
    for content_, n, width in (
        (b"", N, WIDTH),
        (good.content()[:-4], N, WIDTH),
        (good.content(), N, WIDTH + 1),
        (good.content(), 4, WIDTH),
        (RowBlob(np.array([4, 1]), TRUTH[[1, 4]]).content(), N, WIDTH),
    ):
        with pytest.raises(Damaged):
            read_blob(content_, n, width)
