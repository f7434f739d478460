"""A third party's plugin whose names the pages have never met: a metric, finders and evaluations."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from iibench import (
    Directions,
    EvaluationBase,
    FinderSpec,
    Measure,
    MeasureInfo,
    MetricSpec,
    TrialEvaluationSpec,
    TrialInputs,
    TrialScores,
    hookimpl,
)
from iibench.testing.toy_methods import EVALUATION, FINDER, METRIC, encode, evaluate, judge


def fit_noise(params: Any, A: Any, context: Any) -> Directions:
    drawn = np.random.default_rng(context.seed).standard_normal((6, A.shape[1]))
    return Directions(drawn.astype(np.float32))


def project(params: Any, directions: Directions, A: Any) -> Any:
    return np.ascontiguousarray(A @ directions.vectors.T)


def fit_spread(params: Any, A: Any, context: Any) -> Directions:
    _, _, vectors = np.linalg.svd(A - A.mean(axis=0), full_matrices=False)
    return Directions(vectors[:6].astype(np.float32))


def judged(params: Any, inputs: TrialInputs) -> TrialScores:
    """Agreement beside luck, a ceiling, and numbers of units that follow people's."""
    scores = judge(params, inputs)
    (own,) = scores.measures
    n, units = (
        {"n": own.n, "stimuli": own.stimuli},
        np.arange(len(inputs.trials.units), dtype=float),
    )
    value = own.value or 0.0
    group = {"model": "net0"}
    return dataclasses.replace(
        scores,
        measures=(
            dataclasses.replace(own, name="assent", low=value - 0.1, high=value + 0.1),
            Measure("luck", 0.25, **n),
            Measure("bound", 0.9, **n),
            Measure("assent_of_ceiling", 0.5, **n),
            Measure("heads", 12.0),
            Measure("pearson_charm", 0.75, **n),
            Measure("spearman_charm", 0.7, **n),
            Measure("assent", value, group, **n),
            Measure("luck", 0.25, group, **n),
            Measure("bound", 0.9, group, **n),
            Measure("wit", 0.125, **n),
            Measure("wit", 0.125, group, **n),
        ),
        per_unit={"taste": units, "charm": units[::-1] ** 2},
    )


@hookimpl
def iibench_register_metrics() -> Iterable[MetricSpec]:
    yield dataclasses.replace(
        METRIC,
        name="hue",
        sentence=lambda params, sizes: f"Hue seen at {' and '.join(f'{h}x{w}' for h, w in sizes)}.",
    )


@hookimpl
def iibench_register_finders() -> Iterable[FinderSpec]:
    yield dataclasses.replace(FINDER, name="axes", called="coordinate axes", encode=encode)
    yield dataclasses.replace(
        FINDER, name="fog", fit=fit_noise, encode=project, role="control", called="foggy directions"
    )
    yield dataclasses.replace(
        FINDER, name="spread", fit=fit_spread, encode=project, role="method", trains_on=True
    )


@hookimpl
def iibench_register_evaluations() -> Iterable[EvaluationBase]:
    yield dataclasses.replace(EVALUATION, name="aside", evaluate=evaluate)
    yield dataclasses.replace(
        EVALUATION,
        name="unity",
        leads=True,
        sentence=lambda params: "How much the top images agree.",
    )
    yield TrialEvaluationSpec(
        name="court",
        summary="whom the court sides with",
        judge=judged,
        headline_measure="assent",
        chance=0.5,
        unit="share of answers",
        sentence=lambda params: "The court hears every answer once.",
        measures={
            "assent": MeasureInfo(
                title="Assent",
                text="Share of answers that assent.",
                ceiling="bound",
                against="luck",
                first="pleases people most",
            ),
            "luck": MeasureInfo(
                title="Luck", text="What a coin gets.", people=True, short="a coin"
            ),
            "bound": MeasureInfo(title="Bound", text="The most there is.", people=True),
            "heads": MeasureInfo(title="Heads", text="How many people.", people=True, count=True),
            "wit": MeasureInfo(
                title="Wit",
                text="Share of witty answers.",
                beside="luck",
                sentence="Its wit is {value}, a coin's {other} ({difference}).",
            ),
        },
        unit_numbers={"charm": MeasureInfo(title="Charm", text="How charming a unit is.")},
    )
