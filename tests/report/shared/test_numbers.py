"""How the page writes numbers, times and intervals."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iibench.report.shared.numbers import (
    compact,
    decimals_for,
    duration,
    interval,
    moment,
    number,
    p_value,
    signed,
)


def test_numbers_have_a_true_minus_and_no_negative_zero() -> None:
    assert number(-0.21234) == "−0.2123"
    assert number(-0.00001) == "0.0000"
    assert number(None) == number(math.nan) == "–"
    assert (
        signed(0.5, 3) == "+0.500" and signed(-0.5, 3) == "−0.500" and signed(0.00001) == "0.0000"
    )
    assert interval(-0.2, 0.1, 2) == "[−0.20, 0.10]"
    assert interval(None, 0.1) == ""


def test_p_values() -> None:
    assert [p_value(p) for p in (0.0009, 0.001, 0.0336, 1.0)] == [
        "<0.001",
        "0.001",
        "0.034",
        "1.000",
    ]
    assert p_value(None) == p_value(math.nan) == "–"


def test_decimals_suit_the_kind_of_score() -> None:
    assert decimals_for([0.7, 0.9], 0.5) == 3
    assert decimals_for([-0.21, -0.3, None], None) == 4
    assert decimals_for([-0.0159, -0.0188], None) == 4
    assert decimals_for([0.00123], None) == 6
    assert decimals_for([1234.0], None) == 1
    assert decimals_for([], None) == decimals_for([0.0, math.nan], None) == 4


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (12.3, "12 s"), (59.7, "1 min 0 s"), (185, "3 min 5 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_moments() -> None:
    assert moment("2026-11-23T14:05:00+00:00") == "23 November 2026, 14:05 UTC"
    assert moment("yesterday") == "yesterday"
    assert moment(None) == "–"


@given(st.one_of(st.floats(-1e300, 1e300), st.sampled_from([math.nan, math.inf, -math.inf])))
def test_plot_values_keep_five_digits(value: float) -> None:
    found = compact(value)
    if not math.isfinite(value):
        assert found is None
    else:
        assert found == pytest.approx(value, rel=5e-5)
