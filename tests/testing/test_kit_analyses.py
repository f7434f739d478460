"""The conformance kit on analyses: the paper's, and analyses with one mistake each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from iibench import EvaluationSpec, UnitScores
from iibench.contract.details import Axis, Details, ImageMap, ImageRows, Series, XYPlot
from iibench.contract.errors import CaseError, PluginError
from iibench.contract.measures import Measure
from iibench.hooks.loading import load_plugins
from iibench.suite.labels import read_label
from iibench.suite.params import label_values, parse_params
from iibench.testing import check_evaluation, toy_harness
from iibench.testing.evaluations.analysis_rules import alike
from iibench.testing.evaluations.toy_context import ToyContext, analysis_inputs


@pytest.fixture(scope="module")
def harness():
    return toy_harness(load_plugins(environ="", entry_points=False))


# ---------------------------------------------------------------------------- those of the paper


@pytest.mark.slow
@pytest.mark.parametrize(
    "label",
    [
        "manifold[resamples=200]",
        "manifold[space=raw,m=3,points=5]",
        "privileged_basis",
        "spectrum[resamples=50]",
        "spectrum[low=2,weights=equal,resamples=50]",
        "sensitivity[pairs=2]",
        "sensitivity[activations=raw,distance=unit,pairs=2]",
        "synergy[resamples=200]",
        "split_half",
        'split_half[finder="kmeans[k=4]",m=3]',
    ],
)
def test_the_papers_analyses_keep_every_rule(harness, label: str) -> None:
    written = read_label(label)
    spec = harness.inputs.registry.evaluations[written.name].spec
    params = parse_params(spec, label_values(spec, written.params))
    report = check_evaluation(spec, params, harness, label=label)
    report.raise_if_failed()
    assert {check.name for check in report.skipped} <= {"dead direction"}
    assert len(report.passed) >= 17


# ----------------------------------------------------------------------------------- mistakes


@dataclass(frozen=True)
class Params:
    """Parameters."""


def analysis(params: Params, inputs: Any) -> UnitScores:
    """Mean response of every direction; an analysis without a mistake."""
    if len(inputs.order) < 10:
        raise CaseError(f"10 images are needed and there are {len(inputs.order)}")
    dead = np.ptp(inputs.responses, axis=0) == 0
    values = inputs.responses.astype(np.float64).mean(axis=0)
    values[dead] = np.nan
    units = np.flatnonzero(~dead)
    drawn = np.random.default_rng(inputs.seed).random(len(units))
    plot = XYPlot(
        *("Mean response", Axis("direction"), Axis("mean response (activation)")),
        (Series("directions", units.astype(float), drawn, units=units),),
        "Larger is more active.",
    )
    top = inputs.order[:4, units].T
    rows = tuple(
        (f"direction {k}", tuple(map(int, row))) for k, row in zip(units, top, strict=True)
    )
    table = {"direction": units, "mean": values[units], "name": np.array([f"d{k}" for k in units])}
    inputs.context.responses_of("kmeans[k=3]", np.arange(3))
    inputs.context.progress(1, 2, "means")
    details = Details(
        (Measure("mean", float(np.nanmean(values)), n=len(units)),),
        "mean",
        (plot, ImageRows("MEIs", rows, "Look at them.")),
        {"directions": table},
    )
    return UnitScores(values, tuple("dead" if d else None for d in dead), details=details)


def spec(evaluate: Callable[..., Any] = analysis, **more: Any) -> EvaluationSpec:
    given = {"finders": lambda params: ("kmeans[k=3]",), "plot": "none", "params": Params, **more}
    return EvaluationSpec(name="planted", summary="", evaluate=evaluate, **given)


def changed(change: Callable[[Details], Details]) -> EvaluationSpec:
    """The analysis with its details changed."""

    def evaluate(params: Params, inputs: Any) -> UnitScores:
        found = analysis(params, inputs)
        return dataclasses.replace(found, details=change(found.details))

    return spec(evaluate)


def figure(**changes: Any) -> EvaluationSpec:
    return changed(
        lambda d: dataclasses.replace(
            d, figures=(dataclasses.replace(d.figures[0], **changes), d.figures[1])
        )
    )


def series(**changes: Any) -> EvaluationSpec:
    return changed(
        lambda d: dataclasses.replace(
            d,
            figures=(
                dataclasses.replace(
                    d.figures[0],
                    series=(dataclasses.replace(d.figures[0].series[0], **changes),),
                ),
            ),
        )
    )


def table(**columns: Any) -> EvaluationSpec:
    return changed(lambda d: dataclasses.replace(d, tables={"directions": columns}))


def unseeded(d: Details) -> Details:
    noisy = Measure("mean", float(np.random.normal()), n=3)
    return dataclasses.replace(d, measures=(noisy,))


def unseeded_table(d: Details) -> Details:
    return dataclasses.replace(d, tables={"noise": {"x": np.random.normal(size=3)}})


def with_lab(use: Callable[[Any], Any]) -> EvaluationSpec:
    def evaluate(params: Params, inputs: Any) -> UnitScores:
        use(inputs.context)
        return analysis(params, inputs)

    return spec(evaluate)


def in_place(context: Any) -> None:
    context.activations().sort(axis=0)


def dead_scored(params: Params, inputs: Any) -> UnitScores:
    found = analysis(params, inputs)
    return UnitScores(np.nan_to_num(found.values), (None,) * 99, details=found.details)


def dead_valued(params: Params, inputs: Any) -> UnitScores:
    found = analysis(params, inputs)
    reasons = (None,) * len(found.values)
    return UnitScores(np.nan_to_num(found.values), reasons, details=found.details)


def too_few(params: Params, inputs: Any) -> UnitScores:
    inputs.order[9]  # an IndexError where there are fewer
    return analysis(params, inputs)


def neurons_only(params: Params, inputs: Any) -> UnitScores:
    if not (inputs.context.directions().vectors.max(axis=1) == 1).all():
        raise ValueError("no neurons")
    return analysis(params, inputs)


def two_directions(params: Params, inputs: Any) -> UnitScores:
    inputs.responses[:, 1]
    return analysis(params, inputs)


def strange_map(d: Details) -> Details:
    images = np.array([0, 5000])
    where = ImageMap("map", np.zeros(2), np.zeros(2), images, {"x": np.zeros(2)}, "A map.")
    return dataclasses.replace(d, figures=(where,))


MISTAKES: dict[str, tuple[EvaluationSpec, str, str]] = {
    "empty caption": (figure(caption=" "), "details", "has no caption"),
    "axis": (figure(x=Axis("")), "details", "an axis x without a title"),
    "unequal lengths": (series(y=np.zeros(3)), "details", "y of the series 'directions'"),
    "no figure": (changed(lambda d: dataclasses.replace(d, figures=("a",))), "details", "no kind"),
    "headline": (changed(lambda d: dataclasses.replace(d, headline="x")), "details", "none of its"),
    "table": (table(a=np.zeros(3), b=np.zeros(2)), "details", "differ in length"),
    "matrix": (table(a=np.zeros((3, 2))), "details", "no array with one value per row"),
    "objects": (table(a=np.array([{}, 1])), "details", "holds object"),
    "no details": (
        spec(lambda p, i: dataclasses.replace(analysis(p, i), details=None)),
        "details",
        "gave NoneType",
    ),
    "direction": (series(units=np.arange(90, 100)), "indices", "shows direction 90 of 11"),
    "image": (changed(strange_map), "indices", "shows image 5000 of 300"),
    "other finder": (
        with_lab(lambda context: context.responses_of("pca", np.arange(3))),
        "finders",
        "responses_of('pca', ...) is asked, and finders(params) gives ('kmeans[k=3]',)",
    ),
    "unnamed finder": (spec(finders=lambda params: ()), "finders", "finders(params) gives ()"),
    "one finder": (spec(finders=lambda params: "kmeans[k=3]"), "finders", "gave 'kmeans[k=3]'"),
    "unknown finder": (
        spec(finders=lambda params: ("kmeans[k=3]", "kmeens")),
        "finders",
        "unknown finder 'kmeens'; nearest: kmeans",
    ),
    "wrong finder": (
        spec(finders=lambda params: ("kmeans[k=3]", "kmeans[k=0]")),
        "finders",
        "expected integer >= 1",
    ),
    "unseeded": (changed(unseeded), "determinism", "the measure mean"),
    "unseeded table": (changed(unseeded_table), "determinism", "the table noise"),
    "reasons": (spec(dead_scored), "scores", "99 reasons for 11 directions"),
    "dead": (spec(dead_valued), "dead direction", "a score of 0"),
    "few images": (spec(too_few), "few images", "three images: raised IndexError"),
    "features": (spec(neurons_only), "features", "raised ValueError: no neurons"),
    "one direction": (spec(two_directions), "one direction", "one direction: raised IndexError"),
    "in place": (with_lab(in_place), "inputs unchanged", "the activations are changed"),
    "progress": (
        with_lab(lambda context: context.progress(3, 2, "x")),
        "progress",
        "progress(3, 2, 'x')",
    ),
    "nothing to do": (
        with_lab(lambda context: context.progress(0, 0, "x")),
        "progress",
        "progress(0, 0",
    ),
    "images": (spec(images=lambda params, n: n / 2), "images", "gave 500.0"),
    "seed": (with_lab(lambda context: np.random.seed(0)), "global seeds", "numpy.random"),
    "print": (with_lab(lambda context: print("fitting")), "quiet", "fitting"),
    "similarities": (
        spec(
            lambda p, i: (i.similarity.within(np.zeros((1, 2), int)), analysis(p, i))[1],
            needs_metric=False,
        ),
        "load",
        "similarities are asked for",
    ),
    "gradients": (
        with_lab(lambda context: context.gradient_norms(np.arange(3), lambda y, rows: y)),
        "load",
        "a score of activations gave shape (3, 32); expected (3,)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_right_rule_finds_the_mistake(harness, name: str) -> None:
    planted, rule, words = MISTAKES[name]
    report = check_evaluation(planted, harness=harness)
    assert report[rule].status == "failed"
    assert words in report[rule].seen
    assert report[rule].cause
    failed = {check.name for check in report.failed}
    # what is wrong in the details is wrong with fewer directions too
    assert failed - {rule} <= {
        *("features", "one direction", "few images", "kept", "scores", "dead direction")
    }


def test_no_false_alarm(harness) -> None:
    report = check_evaluation(spec(), harness=harness)
    report.raise_if_failed()
    assert not report.skipped
    assert len(report.passed) == 19


def test_details_belong_to_analyses() -> None:
    report = check_evaluation(
        EvaluationSpec(
            name="planted",
            summary="",
            evaluate=lambda p, i: UnitScores(
                np.zeros(i.responses.shape[1]),
                (None,) * i.responses.shape[1],
                details=Details((Measure("m", 1.0),), "m"),
            ),
        )
    )
    assert "gave details, and its plot is 'box'" in report["scores"].seen


def test_without_a_registry_names_of_finders_are_not_looked_up() -> None:
    report = check_evaluation(spec(finders=lambda params: ("kmeans[k=3]", "no_such")))
    report.raise_if_failed()


# ------------------------------------------------------------------------------ the toy context


def test_gradients_of_the_toy_context_are_those_of_autograd() -> None:
    context = analysis_inputs().context
    assert isinstance(context, ToyContext)
    targets = torch.randn(130, context.A.shape[1], generator=torch.Generator().manual_seed(0))
    indices = np.random.default_rng(0).integers(0, len(context.A), 130)
    norms = context.gradient_norms(indices, lambda y, rows: (y - targets[rows]).norm(dim=1))
    for k in (0, 63, 64, 129):
        x = torch.from_numpy(context.pixels[indices[k]]).double().flatten() / 255
        at = x.clone().requires_grad_()
        weights = torch.from_numpy(context.weights).double()
        y = torch.from_numpy(context.A[indices[k]]).double() + (at - x) @ weights
        (y - targets[k].double()).norm().backward()
        assert norms[k] == pytest.approx(float(at.grad.norm()), rel=1e-5)


def test_a_score_of_the_wrong_shape_is_told() -> None:
    context = analysis_inputs().context
    with pytest.raises(PluginError, match=r"gave shape \(2, 32\)"):
        context.gradient_norms(np.arange(2), lambda y, rows: y)


def test_responses_to_a_finder_depend_on_its_label_and_the_neurons() -> None:
    context = analysis_inputs().context
    first = context.responses_of("kmeans", np.arange(5))
    assert first.shape == (300, 4)
    assert np.array_equal(first, context.responses_of("kmeans", np.arange(5)))
    assert not np.array_equal(first, context.responses_of("pca", np.arange(5)))
    assert not np.array_equal(first, context.responses_of("kmeans", np.arange(1, 6)))
    assert context.asked == ["kmeans", "kmeans", "pca", "kmeans"]


def test_alike_goes_by_values_types_and_names() -> None:
    one = {"a": np.array([1.0, np.nan]), "b": (1, "x", 2.0)}
    assert alike(one, {"a": np.array([1.0 + 1e-9, np.nan]), "b": [1, "x", 2.0 + 1e-9]}) is False
    assert alike(one, {"a": np.array([1.0 + 1e-9, np.nan]), "b": (1, "x", 2.0 + 1e-9)})
    assert not alike(one, {"a": np.array([1.1, np.nan]), "b": (1, "x", 2.0)})
    assert not alike(one, {"a": np.array([1.0, 0.0]), "b": (1, "x", 2.0)})
    assert not alike(np.array([1]), np.array([1.0]))
    assert not alike(Measure("a", 1.0), Measure("b", 1.0))
