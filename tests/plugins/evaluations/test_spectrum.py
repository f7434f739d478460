"""Spectra against numpy.linalg on explicit copies; fits against numpy.polyfit; known power laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.contract.errors import CaseError
from iibench.results.details_io import checked, packed, unpacked
from iibench.statistics.resampling import resample_units
from iibench_plugins.evaluations import spectrum
from iibench_plugins.evaluations.spectrum import eigenvalues as numerics
from tests.plugins.evaluations.arrays import array_inputs


def power_law(n: int, N: int, exponent: float, seed: int = 0) -> np.ndarray:
    """Activations of n images whose covariance has eigenvalues r^-exponent, in rotated axes."""
    rng = np.random.default_rng(seed)
    scale = np.arange(1, N + 1) ** (-exponent / 2)
    turn = np.linalg.qr(rng.normal(size=(N, N)))[0]
    return ((rng.normal(size=(n, N)) * scale) @ turn + 3).astype(np.float32)


def exact_power_law(n: int, N: int, exponent: float) -> np.ndarray:
    """The same with exactly these eigenvalues in the sample."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, N))
    left = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[0]
    return left * np.sqrt(n * np.arange(1, N + 1.0) ** -exponent)


def evaluated(A: np.ndarray, **params: object) -> dict[str, object]:
    got = spectrum.evaluate(spectrum.Params(**params), array_inputs(A, A))
    details = checked(got.details, "spectrum")
    assert np.isnan(got.values).all()
    assert set(got.reasons) == {spectrum.WHOLE_LAYER}
    return {"details": details, **{measure.name: measure for measure in details.measures}}


@pytest.mark.parametrize(("n", "N"), [(150, 20), (30, 45), (40, 40)])
def test_eigenvalues_equal_those_of_explicit_copies(n: int, N: int) -> None:
    A = power_law(n, N, 1.0)
    whole, resampled = numerics.spectra(A, 5, seed=2)
    counts = resample_units(np.arange(n), 5, 2)
    for weights, got in zip([np.ones(n, int), *counts], [whole, *resampled], strict=True):
        copies = np.repeat(A.astype(np.float64), weights, axis=0)
        expected = np.linalg.eigvalsh(np.cov(copies.T, bias=True))[::-1][: min(n, N)]
        assert got == pytest.approx(np.maximum(expected, 0), rel=1e-9, abs=1e-12)


def test_both_ways_to_the_eigenvalues_agree() -> None:
    A = power_law(60, 60, 1.2)
    mean = A.mean(axis=0, dtype=np.float64)
    weights = resample_units(np.arange(60), 1, 0)[0].astype(float)
    by_neurons = numerics._by_neurons(A, mean)(weights)
    assert numerics._by_images(A, mean)(weights) == pytest.approx(by_neurons, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("weights", ["rank", "equal"])
def test_the_fit_is_polyfits(weights: str) -> None:
    values = np.sort(np.random.default_rng(0).random(80))[::-1]
    highs = np.array([20, 50, 80])
    got = numerics.exponents(values, numerics.slopes(6, highs, 80, weights))
    for high, exponent in zip(highs, got, strict=True):
        rank = np.arange(6, high + 1)
        w = (
            1 / np.sqrt(rank) if weights == "rank" else None
        )  # polyfit weighs residuals, not squares
        slope, factor = np.polyfit(np.log(rank), np.log(values[5:high]), 1, w=w)
        assert exponent == pytest.approx(-slope)
        line = numerics.line_through(values, 6, int(high), float(exponent), weights)
        assert line == pytest.approx(factor)


@given(exponent=st.floats(0.2, 4), scale=st.floats(1e-6, 1e6), low=st.integers(1, 30))
@settings(max_examples=50, deadline=None)
def test_a_power_law_is_recovered_whatever_its_scale(
    exponent: float, scale: float, low: int
) -> None:
    values = scale * np.arange(1, 61.0) ** -exponent
    coefficients = numerics.slopes(low, np.array([45, 60]), 60, "rank")
    assert numerics.exponents(values, coefficients) == pytest.approx([exponent] * 2, rel=1e-9)


def test_measures_of_an_exact_power_law() -> None:
    found = evaluated(exact_power_law(3000, 40, 1.5), low=3, resamples=50)
    assert found["details"].headline == "excess"
    assert found["exponent_fitted"].value == pytest.approx(1.5, abs=1e-4)
    assert found["r_squared"].value == pytest.approx(1, abs=1e-6)
    assert found["last_rank"].value == 40
    # images of 4 x 5 pixels: d = 60
    assert found["critical_exponent"].value == pytest.approx(1 + 2 / 60)
    excess, exponent = found["excess"], found["exponent"]
    assert excess.value == pytest.approx(exponent.value - 1 - 2 / 60)
    assert excess.low == pytest.approx(exponent.low - 1 - 2 / 60)
    assert excess.low < excess.value < excess.high
    assert excess.n == 3000


def test_the_correction_takes_the_samples_bias_off() -> None:
    found = [evaluated(power_law(600, 60, 1.0, seed), low=5, resamples=60) for seed in range(12)]
    fitted = np.mean([f["exponent_fitted"].value for f in found])
    corrected = np.mean([f["exponent"].value for f in found])
    assert fitted - 1 > 0.04
    assert abs(corrected - 1) < 0.25 * (fitted - 1)
    inside = [f["exponent"].low <= 1 <= f["exponent"].high for f in found]
    assert np.mean(inside) >= 0.7


def test_the_dimension_can_be_given() -> None:
    found = evaluated(power_law(300, 30, 1.0), low=2, dimension=8, resamples=50)
    assert found["critical_exponent"].value == 1.25


def test_too_few_images_give_no_interval_and_say_so() -> None:
    found = evaluated(power_law(60, 80, 1.0), low=5, resamples=50)
    assert found["exponent"].value is None
    assert "too few images" in found["excess"].reason
    assert found["exponent_fitted"].value > 0
    assert all("left" not in note for note in found["details"].notes)
    assert unpacked(*packed(found["details"])).measures == found["details"].measures


def test_a_short_range_is_an_error() -> None:
    A = power_law(100, 18, 1.0)
    with pytest.raises(CaseError, match=r"8 from rank 11 to 18 .* lower `low`"):
        spectrum.evaluate(spectrum.Params(), array_inputs(A, A))
    with pytest.raises(CaseError, match="at least 10"):
        spectrum.evaluate(spectrum.Params(low=1), array_inputs(np.ones((50, 18)), A[:50]))


def test_dead_neurons_are_no_eigenvalues() -> None:
    A = power_law(400, 30, 1.0)
    dead = np.concatenate([A, np.full((400, 10), 2, np.float32)], axis=1)
    alone, beside = (evaluated(x, low=2, resamples=50) for x in (A, dead))
    assert beside["last_rank"].value == 30
    assert beside["exponent"].value == pytest.approx(alone["exponent"].value, abs=1e-6)


def test_a_layer_that_is_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numerics, "LIMIT", 25)
    with pytest.raises(CaseError, match="too large"):
        numerics.spectra(power_law(40, 30, 1.0), 2, 0)


def test_figures_and_tables_hold_what_was_fitted() -> None:
    details = evaluated(power_law(500, 40, 1.0), low=3, high=25, resamples=50)["details"]
    spectrum_plot, range_plot = details.figures
    points, fitted, critical = spectrum_plot.series
    table = details.tables["eigenvalues"]
    assert points.y == pytest.approx(table["eigenvalue"])
    assert table["in_fit"].sum() == 23
    for line, exponent in ((fitted, "exponent_fitted"), (critical, "critical_exponent")):
        (value,) = (m.value for m in details.measures if m.name == exponent)
        slope = np.diff(np.log(line.y)) / np.diff(np.log(line.x))
        assert -slope[0] == pytest.approx(value)
    ranges = details.tables["ranges"]
    assert 25 in ranges["last_rank"]
    assert (np.diff(ranges["last_rank"]) > 0).all()
    assert range_plot.series[0].y == pytest.approx(ranges["exponent"])


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for n, N in ((90, 30), (30, 90)):
        A = power_law(n, N, 1.0)
        whole = numerics.spectra(A, 2, 0)
        monkeypatch.setattr(numerics, "BLOCK", 500)
        for one, other in zip(whole, numerics.spectra(A, 2, 0), strict=True):
            assert one == pytest.approx(other, rel=1e-10, abs=1e-13)
        monkeypatch.undo()


def test_the_same_seed_gives_the_same_numbers_and_progress_is_told() -> None:
    A = power_law(200, 30, 1.0)
    inputs = array_inputs(A, A)
    params = spectrum.Params(low=3, resamples=50)
    first, again = (spectrum.evaluate(params, inputs).details.measures for _ in range(2))
    assert first == again
    assert inputs.context.told[-1] == (51, 51, "spectra")
