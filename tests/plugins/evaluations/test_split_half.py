"""Directions found in halves of the neurons, against the same numbers made by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from iibench.compute.ranking import order_by_response
from iibench.compute.similarity.lookups import EmbeddingSimilarity
from iibench.contract.details import XYPlot
from iibench.contract.errors import CaseError
from iibench.contract.evaluations import EvaluationInputs
from iibench.contract.specs import Directions
from iibench.results.details_io import checked, read_details, write_details
from iibench.statistics.scores import compare, holm
from iibench_plugins.evaluations import ii, split_half

N, IMAGES = 13, 200


@dataclass
class Halving:
    """A context whose other finder adds up neighbouring neurons of those that it is given."""

    responses: np.ndarray
    vectors: np.ndarray
    dead: bool = False
    asked: list[tuple[str, list[int]]] = field(default_factory=list)

    def directions(self) -> Directions:
        return Directions(self.vectors)

    def responses_of(self, finder: str, neurons: np.ndarray) -> np.ndarray:
        self.asked.append((finder, list(map(int, neurons))))
        chosen = self.responses[:, [self.column(int(i)) for i in neurons]]
        found = chosen[:, :-1] + chosen[:, 1:]
        if self.dead:
            found[:, 0] = 0
        return found

    def column(self, neuron: int) -> int:
        return int(np.flatnonzero(self.vectors[:, neuron])[0])


def make_inputs(vectors: np.ndarray | None = None, **settings: Any) -> EvaluationInputs:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(IMAGES, 4)).astype(np.float32)
    k = N if vectors is None else len(vectors)
    responses = (rows @ rng.normal(size=(4, k)) + rng.normal(size=(IMAGES, k))).astype(np.float32)
    lookup = EmbeddingSimilarity(lambda indices: rows, IMAGES, "squared_euclidean")
    context: Any = Halving(
        responses, np.eye(N, dtype=np.float32) if vectors is None else vectors, **settings
    )
    return EvaluationInputs(responses, order_by_response(responses), lookup, None, 3, context)


def index(inputs: EvaluationInputs, responses: np.ndarray) -> np.ndarray:
    """II from the definition."""
    values = []
    for column in responses.T:
        top = np.argsort(-column, kind="stable")[:5]
        values.append(
            np.mean(
                [inputs.similarity.within(np.array([[a, b]]))[0, 0, 1] for a in top for b in top]
            )
        )
    return np.array(values)


def test_every_number_equals_one_made_by_hand() -> None:
    inputs = make_inputs()
    got = split_half.evaluate(split_half.Params(finder="sums"), inputs)
    assert got.details is not None
    checked(got.details, "split_half")
    of_neurons = index(inputs, inputs.responses)
    np.testing.assert_allclose(got.values, of_neurons)
    ranked = np.argsort(of_neurons, kind="stable")
    halves = np.sort(ranked[:6]), np.sort(ranked[7:])
    context: Any = inputs.context
    assert context.asked == [("sums", list(map(int, half))) for half in halves]
    groups = {}
    for name, half in zip(("lower", "upper"), halves, strict=True):
        chosen = inputs.responses[:, half]
        groups[f"ii_neurons_{name}"] = of_neurons[half]
        groups[f"ii_directions_{name}"] = index(inputs, chosen[:, :-1] + chosen[:, 1:])
    measures = {measure.name: measure for measure in got.details.measures}
    for name, values in groups.items():
        assert measures[name].value == pytest.approx(values.mean())
        assert measures[name].n == len(values)
    on_lower, on_upper = groups["ii_directions_lower"], groups["ii_directions_upper"]
    tests = {
        "gain_lower": (on_lower, groups["ii_neurons_lower"]),
        "gain_upper": (on_upper, groups["ii_neurons_upper"]),
        "upper_minus_lower": (on_upper, on_lower),
    }
    p = holm([mannwhitneyu(x, y, method="asymptotic").pvalue for x, y in tests.values()])
    for (name, (x, y)), corrected in zip(tests.items(), p, strict=True):
        assert measures[name].value == pytest.approx(x.mean() - y.mean())
        assert measures[f"p_{name}"].value == pytest.approx(corrected)
        expected = compare(x, y)
        assert measures[name].low == pytest.approx(expected.low)
        assert measures[name].high == pytest.approx(expected.high)
    half = got.details.tables["neurons"]["half"]
    assert [list(np.flatnonzero(half == name)) for name in ("lower", "upper")] == [
        list(half) for half in halves
    ]
    assert half[ranked[6]] == "neither"
    assert "the middle one, of 13, is in neither" in got.details.notes[0]


def test_the_default_finder_is_declared() -> None:
    spec = next(iter(split_half.iibench_register_evaluations()))
    assert spec.finders(split_half.Params()) == ("kmeans[k=128]",)


def test_ii_is_that_of_the_evaluation_ii() -> None:
    inputs = make_inputs()
    got = split_half.evaluate(split_half.Params(m=3, mean="off_diagonal"), inputs)
    expected = ii.evaluate(ii.Params(m=3, mean="off_diagonal"), inputs).values
    np.testing.assert_array_equal(got.values, expected)


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, np.nan]), min_size=4, max_size=30))
def test_halves_have_one_size_and_do_not_cross(listed: list[float]) -> None:
    values = np.array(listed)
    scored = int((~np.isnan(values)).sum())
    if scored < 4:
        with pytest.raises(CaseError, match="needs four neurons"):
            split_half.halves(values)
        return
    lower, upper = split_half.halves(values)
    assert len(lower) == len(upper) == scored // 2
    assert not set(lower) & set(upper)
    assert values[lower].max() <= np.nanmedian(values) <= values[upper].min()
    everywhere = np.concatenate([lower, upper])
    for value in (
        0.0,
        1.0,
        2.0,
    ):  # of equal neurons, those with lower numbers are in the lower half
        mine = [i for i in np.flatnonzero(values == value) if i in everywhere]
        sides = [i in upper for i in mine]
        assert sides == sorted(sides)


def test_dead_units_are_in_no_half() -> None:
    inputs = make_inputs(dead=True)
    inputs.responses[:, 2] = 1
    inputs = EvaluationInputs(
        inputs.responses,
        order_by_response(inputs.responses),
        inputs.similarity,
        None,
        3,
        inputs.context,
    )
    got = split_half.evaluate(split_half.Params(), inputs)
    assert got.details is not None
    assert np.isnan(got.values[2])
    assert got.reasons[2] is not None
    assert got.details.tables["neurons"]["half"][2] == "neither"
    assert "1 dead" in got.details.notes[0]
    assert "1 of 5 directions found in the lower half are dead" in " ".join(got.details.notes)
    measures = {measure.name: measure for measure in got.details.measures}
    assert measures["ii_directions_lower"].n == 4


def test_chosen_neurons_keep_their_numbers() -> None:
    chosen = [7, 3, 11, 0, 5, 12]
    inputs = make_inputs(np.eye(N, dtype=np.float32)[chosen])
    got = split_half.evaluate(split_half.Params(), inputs)
    assert got.details is not None
    assert list(got.details.tables["neurons"]["neuron"]) == chosen
    context: Any = inputs.context
    assert sorted(context.asked[0][1] + context.asked[1][1]) == sorted(chosen)
    plot = got.details.figures[0]
    assert isinstance(plot, XYPlot)
    for series, asked in zip(plot.series, context.asked, strict=False):
        assert series.units is not None
        assert [chosen[unit] for unit in series.units] == asked[1]


@pytest.mark.parametrize("kind", ["mixed", "scaled", "twice"])
def test_directions_that_are_no_neurons_are_an_error(kind: str) -> None:
    vectors = np.eye(N, dtype=np.float32)
    vectors[3] = {"mixed": vectors[3] + vectors[4], "scaled": 2 * vectors[3], "twice": vectors[4]}[
        kind
    ]
    with pytest.raises(CaseError, match="not basis vectors"):
        split_half.evaluate(split_half.Params(), make_inputs(vectors))


def test_the_figure_has_a_column_per_group_and_survives_the_run_folder(tmp_path: Any) -> None:
    details = split_half.evaluate(split_half.Params(), make_inputs()).details
    assert details is not None
    plot = details.figures[0]
    assert isinstance(plot, XYPlot)
    points = [series for series in plot.series if not series.line]
    assert [len(series.x) for series in points] == [6, 6, 5, 5]
    for column, series in enumerate(points, 1):
        assert np.abs(series.x - column).max() < 0.301
    write_details(tmp_path / "details", details)
    back = read_details(tmp_path / "details")
    assert back.measures == details.measures
    assert list(back.tables["directions"]["half"]) == ["lower"] * 5 + ["upper"] * 5
