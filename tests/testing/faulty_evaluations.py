"""Evaluations with one mistake each, and without: mean similarity of the top images, less chance."""

from __future__ import annotations

import numpy as np

from iibench import EvaluationSpec, UnitScores
from iibench.contract.errors import CaseError

M = 8


def evaluate(params, inputs):
    n = len(inputs.order)
    if n < M:
        raise CaseError(f"{M} images are needed and there are {n}")
    top = inputs.order[:M].T.astype(np.int64)
    drawn = np.random.default_rng(inputs.seed).permutation(n)[:M][None].astype(np.int64)
    chance = inputs.similarity.within(drawn).mean()
    values = inputs.similarity.within(top).mean(axis=(1, 2)) - chance
    constant = np.ptp(inputs.responses, axis=0) == 0
    values[constant] = np.nan
    return UnitScores(values, tuple("dead" if dead else None for dead in constant))


def spec(evaluate=evaluate, **more):
    return EvaluationSpec(name="planted", summary="", evaluate=evaluate, **more)


def changed(change):
    """The evaluation with its scores changed."""

    def made(params, inputs):
        found = evaluate(params, inputs)
        return UnitScores(change(found.values, inputs), found.reasons)

    return made


def dead_scored(params, inputs):
    top = inputs.order[:M].T.astype(np.int64) if len(inputs.order) >= M else None
    if top is None:
        raise CaseError("too few images")
    return UnitScores(inputs.similarity.within(top).mean(axis=(1, 2)), (None,) * top.shape[0])


def unseeded(params, inputs):
    found = evaluate(params, inputs)
    return UnitScores(found.values + np.random.normal(0, 0.1, found.values.shape), found.reasons)


def in_place(params, inputs):
    found = evaluate(params, inputs)
    inputs.responses.sort(axis=0)
    return found


def without_reason(params, inputs):
    found = evaluate(params, inputs)
    return UnitScores(found.values, (None,) * len(found.values))


def bare(params, inputs):
    """Too few images end in an IndexError."""
    inputs.order[M]
    return evaluate(params, inputs)
