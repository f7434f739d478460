"""Texts and numbers as files can hold them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest

from iibench.contract.errors import one_line
from iibench.contract.texts import plain_json, text_of, writable

BYTES = b"na\xefve.png".decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Record:
    name: str
    parts: tuple[str, ...] = ()
    size: int = 0


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (BYTES, r"na\udcefve.png"),
        ([BYTES, 3], [r"na\udcefve.png", 3]),
        ({BYTES: (BYTES,)}, {r"na\udcefve.png": (r"na\udcefve.png",)}),
        (Record("a", (BYTES,), 4), Record("a", (r"na\udcefve.png",), 4)),
        ("\ud83d alone", r"\ud83d alone"),
    ],
)
def test_surrogates_are_escaped_wherever_they_stand(value: object, expected: object) -> None:
    assert writable(value) == expected
    json.dumps(plain_json(value), ensure_ascii=False).encode()


def test_arrays_of_text_are_made_writable() -> None:
    for kind in (object, str):
        found = writable(np.array([[BYTES, "b"]], kind))
        assert found.tolist() == [[r"na\udcefve.png", "b"]]


@pytest.mark.parametrize(
    "value", ["ñ 字 🙂", ("a", 1.5), {"a": [1]}, Record("a"), np.arange(3), None]
)
def test_what_can_be_written_is_given_back_itself(value: object) -> None:
    assert writable(value) is value


def test_numbers_that_json_does_not_know_are_none() -> None:
    found = plain_json({"a": float("nan"), "b": np.float32("inf"), "c": np.arange(2), 3: {1.0}})
    assert found == {"a": None, "b": None, "c": [0, 1], "3": [1.0]}


def test_an_error_without_a_text_has_one() -> None:
    assert text_of(Mute()) == "a Mute without a text"
    assert one_line(Mute()) == "Mute: a Mute without a text"
