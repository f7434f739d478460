"""Mapped arrays, direction by direction (by_direction.py), exchanged with the shared store behind a cache.

A direction's n values are a row of `shared_rows.SharedRows`, whose bits are kept: float32 or int32.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.cache.by_direction import ABOUT, ORDERS, RESPONSES, load_columns, make_columns
from iibench.cache.entries import Cache, shared_name
from iibench.cache.mapped import release
from iibench.cache.shared_rows import ENTRY, SharedRows
from iibench.cache.shared_store import Damaged, SharedStore

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

#: Kind -> type of its values.
TYPES: dict[str, npt.DTypeLike] = {RESPONSES: np.float32, ORDERS: np.int32}


def publish_columns(cache: Cache, kind: str, key: str) -> None:
    """Writes the array of this key, if it is here, to the shared store, where that does not have it."""
    if cache.shared is None or _complete(cache, kind, key) is not None:
        return
    values = load_columns(cache.place(kind, key), TYPES[kind], lambda: None)
    if values is not None:
        directions = values.T.view(np.float32)
        rows = _rows(cache.shared, kind, key, *directions.shape)
        rows.push(np.arange(len(directions)), directions.__getitem__)
        release(values)


def fetch_columns(cache: Cache, kind: str, key: str) -> None:
    """Makes the array of this key here from what the shared store has, where all of it is there."""
    place = cache.place(kind, key)
    found = None if (place / ABOUT).exists() else _complete(cache, kind, key)
    if found is None:
        return
    rows, k, n = found
    try:
        make_columns(place, TYPES[kind], n, k, partial(_fill, rows))
    except Damaged:
        cache.warn(f"shared cache: damaged {kind.partition('_')[0]} are computed anew")


def _fill(rows: SharedRows, values: Array) -> None:
    """Takes all directions from the store; raises `Damaged` where one cannot be had."""
    wanted = np.arange(values.shape[1])
    for blob in rows.take(wanted):
        values.T.view(np.float32)[blob.indices] = blob.rows
        wanted = np.setdiff1d(wanted, blob.indices)
        release(values)
    if wanted.size:
        raise Damaged("not all directions")


def has_columns(cache: Cache, kind: str, key: str) -> bool:
    """Whether the array of this key is here or in the shared store."""
    return (cache.place(kind, key) / ABOUT).exists() or _complete(cache, kind, key) is not None


def _complete(cache: Cache, kind: str, key: str) -> tuple[SharedRows, int, int] | None:
    """(rows, K, n) where the shared store has all directions."""
    if cache.shared is None:
        return None
    try:
        content = cache.shared.read(f"{shared_name(kind, key)}/{ENTRY}")
    except Damaged:
        return None
    if content is None:
        return None
    entry = json.loads(content)
    rows = _rows(cache.shared, kind, key, entry["k"], entry["n"])
    return (rows, entry["k"], entry["n"]) if rows.held(np.arange(entry["k"])).all() else None


def _rows(store: SharedStore, kind: str, key: str, k: int, n: int) -> SharedRows:
    entry = json.dumps({"k": k, "n": n}).encode()
    return SharedRows(store, shared_name(kind, key), k, n, lambda: None, entry)
