"""Mapped arrays, direction by direction: complete or not there, and checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iibench.cache.by_direction import load_by_direction, make_by_direction
from iibench.cache.mapped import release

VALUES = np.arange(12, dtype=np.float32).reshape(4, 3)


def fill(array: np.ndarray) -> None:
    array[:] = VALUES


def damaged() -> None:
    raise AssertionError("nothing is damaged here")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    made = make_by_direction(tmp_path / "a" / "b", np.float32, 4, 3, fill)
    np.testing.assert_array_equal(made, VALUES)
    read = load_by_direction(tmp_path / "a" / "b", np.float32, damaged)
    assert isinstance(read, np.memmap)
    np.testing.assert_array_equal(read, VALUES)
    assert read[:, 1].flags.contiguous
    with pytest.raises(ValueError, match="read-only"):
        read[0, 0] = 1


def test_released_pages_are_read_again(tmp_path: Path) -> None:
    made = make_by_direction(tmp_path / "a", np.float32, 4, 3, fill)
    for part in (made, made[1:], made.T):
        release(part)
        np.testing.assert_array_equal(made, VALUES)
    plain = VALUES.copy()
    release(plain)
    np.testing.assert_array_equal(plain, VALUES)


def test_one_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    def fail(array: np.ndarray) -> None:
        array[0] = 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_by_direction(tmp_path / "a", np.float32, 4, 3, fail)
    assert load_by_direction(tmp_path / "a", np.float32, damaged) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("harm", ["byte", "cut", "about"])
def test_a_damaged_one_is_told_and_removed(tmp_path: Path, harm: str) -> None:
    make_by_direction(tmp_path / "a", np.float32, 4, 3, fill)
    values = tmp_path / "a" / "values.bin"
    if harm == "byte":
        values.write_bytes(b"\x01" + values.read_bytes()[1:])
    elif harm == "cut":
        values.write_bytes(values.read_bytes()[:-4])
    else:
        (tmp_path / "a" / "entry.json").write_text("{")
    told: list[str] = []
    assert load_by_direction(tmp_path / "a", np.float32, lambda: told.append("damaged")) is None
    assert told == ["damaged"]
    assert not (tmp_path / "a").exists()


def test_of_two_at_once_one_stays(tmp_path: Path) -> None:
    def fill_twice(array: np.ndarray) -> None:
        fill(array)
        make_by_direction(tmp_path / "a", np.float32, 4, 3, fill)

    made = make_by_direction(tmp_path / "a", np.float32, 4, 3, fill_twice)
    np.testing.assert_array_equal(made, VALUES)
    np.testing.assert_array_equal(load_by_direction(tmp_path / "a", np.float32, damaged), VALUES)
    assert [folder.name for folder in tmp_path.iterdir()] == ["a"]


def test_no_flipped_bit_of_the_account_is_taken_for_another_array(tmp_path: Path) -> None:
    make_by_direction(tmp_path / "a", np.float32, 4, 3, fill)
    account = tmp_path / "a" / "entry.json"
    whole = account.read_bytes()
    for i in range(len(whole)):
        harmed = bytearray(whole)
        harmed[i] ^= 1 << i % 7
        account.write_bytes(harmed)
        found = load_by_direction(tmp_path / "a", np.float32, lambda: None)
        if found is None:
            make_by_direction(tmp_path / "a", np.float32, 4, 3, fill)
        else:
            np.testing.assert_array_equal(found, VALUES)
