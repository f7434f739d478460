"""Active with others, against numpy.corrcoef neuron by neuron; its relation to II against SciPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from iibench.contract.details import XYPlot
from iibench.contract.errors import CaseError
from iibench.results.details_io import checked, packed, unpacked
from iibench_plugins.evaluations import ii
from iibench_plugins.evaluations import privileged_basis as basis
from tests.plugins.evaluations.arrays import array_inputs


def layer(seed: int = 0, n: int = 200, N: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 5)).astype(np.float32)
    A = np.maximum(rows @ rng.normal(size=(5, N)) + rng.normal(size=(n, N)), 0).astype(np.float32)
    return A, rows


def naive(A: np.ndarray) -> np.ndarray:
    A = A.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.array(
            [
                np.corrcoef(A[:, k], np.delete(A, k, axis=1).mean(axis=1))[0, 1]
                for k in range(A.shape[1])
            ]
        )


def test_values_equal_a_naive_loop() -> None:
    A, rows = layer()
    got = basis.evaluate(basis.Params(), array_inputs(A, rows))
    assert got.values == pytest.approx(naive(A), abs=1e-12)
    assert got.reasons == (None,) * 12


def test_measures_and_figure_are_those_of_the_values() -> None:
    A, rows = layer()
    inputs = array_inputs(A, rows)
    got = basis.evaluate(basis.Params(m=4), inputs)
    index = ii.evaluate(ii.Params(m=4), inputs).values
    details = checked(got.details, "privileged_basis")
    measures = {measure.name: measure for measure in details.measures}
    assert details.headline == "spearman"
    assert measures["spearman"].value == pytest.approx(spearmanr(got.values, index).statistic)
    assert measures["pearson"].value == pytest.approx(pearsonr(got.values, index).statistic)
    assert measures["active_with_others"].value == pytest.approx(got.values.mean())
    for measure in details.measures:
        assert measure.n == 12
        assert measure.low < measure.value < measure.high
    (figure,) = details.figures
    assert isinstance(figure, XYPlot)
    (points,) = figure.series
    assert points.x == pytest.approx(index)
    assert points.y == pytest.approx(got.values)
    assert unpacked(*packed(details)).measures == details.measures


def test_some_neurons_are_held_against_all_others_of_the_layer() -> None:
    A, rows = layer()
    some = basis.evaluate(basis.Params(), array_inputs(A, rows, vectors=np.eye(12)[[7, 2, 4]]))
    assert some.values == pytest.approx(naive(A)[[7, 2, 4]], abs=1e-12)


def test_directions_are_held_against_the_other_directions() -> None:
    A, rows = layer()
    vectors = np.random.default_rng(1).normal(size=(6, 12))
    inputs = array_inputs(A, rows, vectors=vectors)
    assert basis.evaluate(basis.Params(), inputs).values == pytest.approx(
        naive(inputs.responses), abs=1e-12
    )


def test_a_dead_neuron_has_no_value_and_still_is_one_of_the_others() -> None:
    A, rows = layer()
    A[:, 3] = 2.0
    got = basis.evaluate(basis.Params(), array_inputs(A, rows))
    assert np.isnan(got.values[3])
    assert "dead" in got.reasons[3]
    live = [k for k in range(12) if k != 3]
    assert got.values[live] == pytest.approx(naive(A)[live], abs=1e-12)


def test_others_that_never_differ_are_a_reason() -> None:
    A, rows = layer(N=3)
    A[:, 1:] = 1.5
    got = basis.evaluate(basis.Params(), array_inputs(A, rows))
    assert np.isnan(got.values).all()
    assert got.reasons[0] == basis.ALONE
    assert got.details.measures[0].value is None
    assert got.details.measures[0].reason


def test_a_single_neuron_is_an_error() -> None:
    A, rows = layer(N=1)
    with pytest.raises(CaseError, match="only 1"):
        basis.evaluate(basis.Params(), array_inputs(A, rows))


@given(
    scale=st.floats(0.01, 100),
    shift=st.floats(-50, 50),
    unit=st.integers(0, 11),
    seed=st.integers(0, 20),
)
@settings(max_examples=40, deadline=None)
def test_a_neurons_own_scale_does_not_matter(
    scale: float, shift: float, unit: int, seed: int
) -> None:
    A, _ = layer(seed)
    own = np.arange(12)
    before = basis.active_with_others(A, A, own)[unit]
    A[:, unit] = A[:, unit] * np.float32(scale) + np.float32(shift)
    assert basis.active_with_others(A, A, own)[unit] == pytest.approx(before, abs=1e-4)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    A, rows = layer()
    inputs = array_inputs(A, rows)
    whole = basis.evaluate(basis.Params(), inputs).values
    monkeypatch.setattr(basis, "BLOCK", 450)
    assert basis.evaluate(basis.Params(), inputs).values == pytest.approx(whole, abs=1e-12)


def test_the_same_seed_gives_the_same_numbers() -> None:
    A, rows = layer()
    inputs = array_inputs(A, rows)
    first, again = (basis.evaluate(basis.Params(), inputs).details.measures for _ in range(2))
    assert first == again
    other = basis.evaluate(basis.Params(), replace(inputs, seed=4)).details.measures
    assert other[0].value == first[0].value
    assert other[0].low != first[0].low
