"""Arrays that datasets keep in the cache: read back as they were written, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from plugins.datasets._images.npz import read_arrays, write_arrays


def test_no_flipped_bit_changes_what_is_read(tmp_path: Path) -> None:
    place = tmp_path / "kept.npz"
    offsets = np.array([1, 22, 333], np.int64)
    write_arrays(place, offsets=offsets)
    whole = place.read_bytes()
    for i in range(len(whole)):
        damaged = bytearray(whole)
        damaged[i] ^= 1 << i % 7
        place.write_bytes(damaged)
        found = read_arrays(place, "offsets")
        if found is not None:
            assert found["offsets"].dtype == offsets.dtype
            np.testing.assert_array_equal(found["offsets"], offsets)


def test_what_is_cut_off_or_missing_is_not_there(tmp_path: Path) -> None:
    place = tmp_path / "kept.npz"
    assert read_arrays(place, "offsets") is None
    write_arrays(place, offsets=np.arange(3))
    assert read_arrays(place, "offsets", "sizes") is None
    place.write_bytes(place.read_bytes()[:-30])
    assert read_arrays(place, "offsets") is None
