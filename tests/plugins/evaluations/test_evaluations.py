"""II and in-silico psychophysics against naive loops written from the formulas."""

from __future__ import annotations

import numpy as np
import pytest

from iibench.compute.exemplars import make_trials
from iibench.compute.ranking import order_by_response, order_with_random_ties
from iibench.compute.similarity.lookups import EmbeddingSimilarity
from iibench.contract.errors import CaseError
from iibench.contract.evaluations import EvaluationInputs
from iibench_plugins.evaluations import ii, insilico


def make_inputs(responses: np.ndarray, rows: np.ndarray, seed: int = 3) -> EvaluationInputs:
    lookup = EmbeddingSimilarity(lambda indices: rows, len(rows), "squared_euclidean")
    return EvaluationInputs(responses, order_by_response(responses), lookup, None, seed)


@pytest.fixture
def inputs() -> EvaluationInputs:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(150, 6)).astype(np.float32)
    responses = (rows @ rng.normal(size=(6, 7)) + rng.normal(size=(150, 7))).astype(np.float32)
    return make_inputs(responses, rows)


def similarity(inputs: EvaluationInputs, a: int, b: int) -> float:
    return float(inputs.similarity.cross(np.array([[a]]), np.array([[b]]))[0, 0, 0])


@pytest.mark.parametrize("mean", ["all", "eq1", "off_diagonal"])
@pytest.mark.parametrize("m", [2, 5])
def test_ii_is_the_average_of_the_pairs(inputs: EvaluationInputs, m: int, mean: str) -> None:
    got = ii.evaluate(ii.Params(m=m, mean=mean), inputs)
    assert got.reasons == (None,) * 7
    for unit in range(7):
        top = np.argsort(-inputs.responses[:, unit], kind="stable")[:m]
        total = sum(similarity(inputs, j, k) for j in top for k in top)
        expected = total / {"all": m * m, "eq1": m, "off_diagonal": m * (m - 1)}[mean]
        assert got.values[unit] == pytest.approx(expected, abs=1e-5)


def test_a_dead_direction_is_not_scored(inputs: EvaluationInputs) -> None:
    responses = inputs.responses.copy()
    responses[:, 2] = 0
    rows = np.random.default_rng(1).normal(size=(150, 3)).astype(np.float32)
    got = ii.evaluate(ii.Params(), make_inputs(responses, rows))
    assert np.isnan(got.values[2])
    assert got.reasons[2] is not None
    assert "dead" in got.reasons[2]
    assert np.isfinite(np.delete(got.values, 2)).all()


def naive_insilico(params: insilico.Params, inputs: EvaluationInputs, unit: int) -> float:
    """Accuracy of one direction, trial by trial, from Eq. 2 and the description of the two observers."""
    trials = make_trials(
        inputs.order, params.difficulty, params.trials, params.references, inputs.seed
    )
    correct = 0.0
    for t in range(params.trials):
        queries = trials.strong[unit, t], trials.weak[unit, t]
        sides = trials.strong_references[unit, t], trials.weak_references[unit, t]
        table = np.array(
            [[[similarity(inputs, q, r) for r in side] for q in queries] for side in sides]
        )
        if params.observer == "eq2":
            cost = [min(-s for s in table[0, q]) for q in range(2)]
            difference = cost[1] - cost[0]
        else:
            if params.zscore:
                table = (table - table.mean()) / table.std()
            pool = np.mean if params.pool == "mean" else np.max
            first = pool(table[0, 0]) + pool(table[1, 1])
            second = pool(table[0, 1]) + pool(table[1, 0])
            difference = first - second
        correct += 1.0 if difference > 0 else 0.5 if difference == 0 else 0.0
    return correct / params.trials


@pytest.mark.parametrize(
    "params",
    [
        insilico.Params(trials=4, references=3),
        insilico.Params(trials=4, references=3, difficulty=0.25),
        insilico.Params(trials=3, references=2, observer="two_sided"),
        insilico.Params(trials=3, references=2, observer="two_sided", pool="max"),
        insilico.Params(trials=3, references=2, observer="two_sided", pool="max", zscore=True),
    ],
)
def test_insilico_equals_a_naive_loop(inputs: EvaluationInputs, params: insilico.Params) -> None:
    got = insilico.evaluate(params, inputs)
    assert got.trials == params.trials
    for unit in range(7):
        assert got.values[unit] == pytest.approx(naive_insilico(params, inputs, unit))


def test_a_similarity_that_follows_the_responses_is_always_right() -> None:
    responses = np.random.default_rng(0).normal(size=(200, 1)).astype(np.float32)
    for observer in ("eq2", "two_sided"):
        params = insilico.Params(trials=5, references=4, observer=observer)
        assert insilico.evaluate(params, make_inputs(responses, responses)).values[0] == 1.0


def test_ties_count_one_half(inputs: EvaluationInputs) -> None:
    same = make_inputs(inputs.responses, np.ones((150, 2), np.float32))
    got = insilico.evaluate(insilico.Params(trials=4, references=3), same)
    np.testing.assert_array_equal(got.values, 0.5)


def test_a_random_similarity_scores_at_chance() -> None:
    rng = np.random.default_rng(0)
    responses = rng.normal(size=(1000, 64)).astype(np.float32)
    rows = rng.normal(size=(1000, 8)).astype(np.float32)
    got = insilico.evaluate(insilico.Params(), make_inputs(responses, rows))
    assert abs(got.values.mean() - 0.5) < 4 * 0.5 / np.sqrt(64 * 20)


def test_directions_without_a_right_answer_are_not_scored() -> None:
    rng = np.random.default_rng(0)
    responses = rng.normal(size=(200, 2)).astype(np.float32)
    responses[:, 1] = 0
    responses[:3, 1] = 1  # active for three images: too few for four strong queries
    rows = rng.normal(size=(200, 2)).astype(np.float32)
    got = insilico.evaluate(insilico.Params(trials=4, references=2), make_inputs(responses, rows))
    assert np.isfinite(got.values[0])
    assert np.isnan(got.values[1])
    assert got.reasons[1] == "no right answer in 1 of 4 trials: both queries have the same response"


def test_the_order_of_images_does_not_decide_among_ties() -> None:
    rng = np.random.default_rng(0)
    responses = np.zeros((400, 1), np.float32)
    responses[:20, 0] = rng.random(20) + 1
    order = order_with_random_ties(responses, order_by_response(responses), 0)
    trials = make_trials(order, 0.0, 4, 9, 0)
    weak = trials.weak_references[0].ravel()
    assert weak.min() < 150 < 300 < weak.max()  # not the last images of the dataset


def test_too_few_images_is_an_error(inputs: EvaluationInputs) -> None:
    with pytest.raises(CaseError, match="too few images"):
        insilico.evaluate(insilico.Params(), inputs)


@pytest.mark.parametrize(
    ("mean", "words"),
    [
        ("all", "the mean over all M·M ordered pairs, the M self-pairs included"),
        ("eq1", "divided by M"),
        ("off_diagonal", "two different images"),
    ],
)
def test_the_sentence_of_the_index_names_the_average(mean: str, words: str) -> None:
    said = ii.sentence(ii.Params(m=3, mean=mean))  # type: ignore[arg-type]
    assert words in said and "M = 3" in said
