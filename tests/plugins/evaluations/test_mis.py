"""The Machine Interpretability Score against a naive loop from its formulas; how its tasks are drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.compute.ranking import order_by_response, order_with_random_ties
from iibench.compute.similarity.lookups import EmbeddingSimilarity
from iibench.contract.errors import CaseError
from iibench.contract.evaluations import EvaluationInputs
from iibench.suite.params import ParamError, label, parse_params
from iibench_plugins.evaluations import mis
from iibench_plugins.evaluations.mis.tasks import draw_tasks


def make_inputs(responses, rows, seed=3, distance="cosine") -> EvaluationInputs:
    lookup = EmbeddingSimilarity(lambda indices: rows, len(rows), distance)
    return EvaluationInputs(responses, order_by_response(responses), lookup, None, seed)


@pytest.fixture
def inputs() -> EvaluationInputs:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(150, 6)).astype(np.float32)
    responses = (rows @ rng.normal(size=(6, 7)) + rng.normal(size=(150, 7))).astype(np.float32)
    return make_inputs(responses, rows)


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(
        sum(x * x for x in a) * sum(y * y for y in b)
    )


def naive(rows, responses, params, top_tasks, bottom_tasks, squash):
    """The score of one direction, image by image; a task is a set of images in any order.

    It sorts each set by response itself: the K strongest of the top images explain and the weakest asks,
    the K weakest of the bottom images explain and the strongest asks.
    """
    total = 0.0
    for top, bottom in zip(top_tasks, bottom_tasks, strict=True):
        top = sorted(top, key=lambda i: -responses[i])
        bottom = sorted(bottom, key=lambda i: responses[i])
        E_plus, q_plus = top[: params.references], top[params.references]
        E_minus, q_minus = bottom[: params.references], bottom[params.references]

        def a(q, E):
            return sum(cosine(rows[q], rows[e]) for e in E) / len(E)

        delta_plus = a(q_plus, E_plus) - a(q_plus, E_minus)
        delta_minus = a(q_minus, E_plus) - a(q_minus, E_minus)
        total += squash(delta_plus - delta_minus)
    return total / len(top_tasks)


@pytest.mark.parametrize(
    ("values", "squash"),
    [
        ({}, lambda d: 1 / (1 + math.exp(-d / 0.16))),
        ({"temperature": 0.5}, lambda d: 1 / (1 + math.exp(-d / 0.5))),
        ({"temperature": None, "scale": 0.16}, lambda d: 1 / (1 + math.exp(-0.16 * d))),
        ({"temperature": None}, lambda d: 1.0 if d > 0 else 0.5 if d == 0 else 0.0),
    ],
)
@pytest.mark.parametrize(("tasks", "references", "quantile"), [(20, 9, 0.25), (3, 1, 0.5)])
def test_the_score_equals_a_naive_loop(inputs, values, squash, tasks, references, quantile):
    params = mis.Params(tasks=tasks, references=references, quantile=quantile, **values)
    got = mis.evaluate(params, inputs)
    assert got.reasons == (None,) * 7
    assert got.trials == tasks
    rows = inputs.similarity._rows(None).astype(float)
    drawn = draw_tasks(inputs.order, quantile, tasks, references, inputs.seed)
    for unit in range(7):
        top = [[*drawn.strong_references[unit, t], drawn.strong[unit, t]] for t in range(tasks)]
        bottom = [[drawn.weak[unit, t], *drawn.weak_references[unit, t]] for t in range(tasks)]
        expected = naive(rows, inputs.responses[:, unit], params, top, bottom, squash)
        assert got.values[unit] == pytest.approx(expected, abs=1e-6)


@given(
    n=st.integers(20, 120),
    quantile=st.floats(0.05, 0.5),
    tasks=st.integers(1, 6),
    references=st.integers(1, 9),
    seed=st.integers(0, 2**63 - 1),
    levels=st.sampled_from([2, 10, 10_000]),
)
@settings(max_examples=150, deadline=None)
def test_tasks_are_as_they_are_defined(n, quantile, tasks, references, seed, levels):
    rng = np.random.default_rng(seed)
    responses = rng.integers(0, levels, size=(n, 3)).astype(np.float32)
    order = order_with_random_ties(responses, order_by_response(responses), seed)
    size = math.ceil(round(quantile * n, 9))
    if size < references + 1 or 2 * size > n:
        with pytest.raises(CaseError, match="too few images for the tasks"):
            draw_tasks(order, quantile, tasks, references, seed)
        return
    drawn = draw_tasks(order, quantile, tasks, references, seed)
    assert drawn.strong.shape == drawn.weak.shape == (3, tasks)
    assert drawn.strong_references.shape == drawn.weak_references.shape == (3, tasks, references)
    for unit in range(3):
        r = responses[:, unit]
        ranked = np.sort(r)[::-1]
        for t in range(tasks):
            top = [*drawn.strong_references[unit, t], drawn.strong[unit, t]]
            bottom = [*drawn.weak_references[unit, t], drawn.weak[unit, t]]
            assert len({*top, *bottom}) == 2 * (references + 1)
            assert set(top) <= set(order[:size, unit])
            assert set(bottom) <= set(order[n - size :, unit])
            assert (r[top] >= ranked[size - 1]).all()
            assert (r[bottom] <= ranked[n - size]).all()
            assert (np.diff(r[top]) <= 0).all()
            assert (np.diff(r[bottom]) >= 0).all()


def test_every_image_of_a_set_is_drawn_equally_often():
    order = order_by_response(np.arange(40, dtype=np.float32)[:, None])
    drawn = draw_tasks(order, 0.25, 4000, 3, 1)
    for images, values in (
        (np.arange(30, 40), np.c_[drawn.strong_references[0], drawn.strong[0]]),
        (np.arange(10), np.c_[drawn.weak_references[0], drawn.weak[0]]),
    ):
        found, counts = np.unique(values, return_counts=True)
        assert np.array_equal(found, images)
        # each is in a task with probability 4 / 10
        assert (np.abs(counts / 4000 - 0.4) < 5 * math.sqrt(0.4 * 0.6 / 4000)).all()


def test_neither_other_directions_nor_their_number_matter(inputs):
    few = make_inputs(inputs.responses[:, :3], inputs.similarity._rows(None))
    changed = inputs.responses.copy()
    changed[:, 3:] = changed[::-1, 3:]
    other = make_inputs(changed, inputs.similarity._rows(None))
    whole = mis.evaluate(mis.Params(), inputs).values
    assert np.array_equal(mis.evaluate(mis.Params(), few).values, whole[:3])
    assert np.array_equal(mis.evaluate(mis.Params(), other).values[:3], whole[:3])


def test_every_metric_gets_the_same_tasks_and_every_seed_others(inputs):
    asked = []

    class Watched:
        def cross(self, left, right):
            asked.append((left.copy(), right.copy()))
            return inputs.similarity.cross(left, right)

    def run(seed):
        asked.clear()
        seen = EvaluationInputs(inputs.responses, inputs.order, Watched(), None, seed)
        mis.evaluate(mis.Params(), seen)
        return [np.concatenate([left, right], axis=1) for left, right in asked]

    first, again, other = run(3), run(3), run(4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_block_size_does_not_matter(inputs, monkeypatch):
    whole = mis.evaluate(mis.Params(), inputs).values
    monkeypatch.setattr(mis, "BLOCK", 20 * 36 * 2)  # two directions at a time
    np.testing.assert_allclose(mis.evaluate(mis.Params(), inputs).values, whole, rtol=1e-12)


def test_constant_directions_are_not_scored(inputs):
    responses = inputs.responses.copy()
    responses[:, 2] = 0
    responses[:, 4] = 0.01 + 1e-9 * np.arange(150) / 150
    got = mis.evaluate(mis.Params(), make_inputs(responses, inputs.similarity._rows(None)))
    for unit, reason in enumerate(got.reasons):
        dead = unit in {2, 4}
        assert np.isnan(got.values[unit]) == dead
        assert (reason is not None and "constant" in reason) == dead
    all_dead = make_inputs(np.ones((150, 2), np.float32), inputs.similarity._rows(None))
    assert np.isnan(mis.evaluate(mis.Params(), all_dead).values).all()


def test_a_similarity_that_follows_the_responses_is_near_one_and_its_opposite_near_zero():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 1)).astype(np.float32)
    params = mis.Params(tasks=5, references=4)
    right = make_inputs(rows, rows, distance="euclidean")
    assert mis.evaluate(params, right).values[0] > 0.99

    class Opposite:
        def cross(self, left, right_images):
            return -right.similarity.cross(left, right_images)

    wrong = EvaluationInputs(rows, right.order, Opposite(), None, 3)
    assert mis.evaluate(params, wrong).values[0] < 0.01


def test_a_similarity_that_knows_nothing_scores_at_chance():
    rng = np.random.default_rng(0)
    responses = rng.normal(size=(400, 200)).astype(np.float32)
    noise = make_inputs(responses, rng.normal(size=(400, 8)).astype(np.float32))
    for values in ({}, {"temperature": None}):
        found = mis.evaluate(mis.Params(**values), noise).values
        assert abs(found.mean() - 0.5) < 4 * found.std() / math.sqrt(200)
    same = make_inputs(responses, np.ones((400, 2), np.float32))
    for values in ({}, {"temperature": None}, {"temperature": None, "scale": 2.0}):
        np.testing.assert_allclose(mis.evaluate(mis.Params(**values), same).values, 0.5, atol=1e-6)


def test_a_small_temperature_is_the_share_and_large_distances_do_no_harm(inputs, recwarn):
    rows = inputs.similarity._rows(None) * np.float32(1e6)
    far = make_inputs(inputs.responses, rows, distance="squared_euclidean")
    share = mis.evaluate(mis.Params(temperature=None), far).values
    np.testing.assert_allclose(mis.evaluate(mis.Params(), far).values, share, atol=1e-9)
    assert not recwarn.list


def test_too_few_images_are_an_error_that_says_why(inputs):
    with pytest.raises(
        CaseError, match=r"a set of 10 images at least, and a quantile of 0\.05 .* 8"
    ):
        mis.evaluate(mis.Params(quantile=0.05), inputs)
    odd = make_inputs(inputs.responses[:49], inputs.similarity._rows(None)[:49])
    with pytest.raises(CaseError, match=r"quantile of 0\.5 of 49 images is 25, so .* share images"):
        mis.evaluate(mis.Params(quantile=0.5), odd)


def test_temperature_and_scale_exclude_each_other():
    (spec,) = mis.iibench_register_evaluations()
    with pytest.raises(
        ParamError, match="found temperature 0.16 and scale 2; expected one of them"
    ):
        parse_params(spec, {"scale": 2})
    scaled = parse_params(spec, {"temperature": None, "scale": 0.16})
    assert label(spec, scaled) == "mis[temperature=none,scale=0.16]"
    assert label(spec, parse_params(spec, {})) == "mis"
    assert spec.images(scaled, 0) == 20 * 20
