"""Expectations: how a suite states them, and what becomes of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from iibench.contract.reports import CaseReport, Named, Status, Verdict
from iibench.results.verdicts import Expectation, judge, sentence
from iibench.suite.cases import DatasetChoice
from iibench.suite.collect import with_limit

DIGITS = DatasetChoice("digits", None, "train", "test", "digits")
PATCHES = DatasetChoice("patches", None, "fit", "evaluate", "patches[n=10]")
ABOVE = Expectation("ii", "lpips", "kmeans[k=256]", "digits", above="neurons", alpha=0.01)


def report(
    finder: str,
    scores: Any = (),
    *,
    status: Status = "passed",
    reason: str | None = None,
    layer: str = "layer1",
    dataset: str = "digits",
    evaluation: str = "ii",
    metric: str | None = "lpips",
) -> CaseReport:
    def named(label: str) -> Named:
        return Named(label.partition("[")[0], label)

    return CaseReport(
        id=f"{dataset}/net/{layer}/{finder}/{metric}/{evaluation}",
        dataset=dataset,
        model=named("net"),
        layer=layer,
        finder=named(finder),
        metric=None if metric is None else named(metric),
        evaluation=named(evaluation),
        status=status,
        seed=0,
        reason=reason,
        scores=tuple(None if np.isnan(s) else float(s) for s in scores),
    )


# ------------------------------------------------------------------------------------- reading


def expecting(statement: str, text: str) -> str:
    return f"{text}expect:\n  - {statement}\n"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "{on: ii/lpips, finder: 'kmeans[k=256]', above: neurons, test: mann_whitney, "
            "alpha: 0.01, dataset: digits}",
            ABOVE,
        ),
        (
            "{on: 'insilico[difficulty=0.0]/lpips', finder: neurons, at_least: 0.7}",
            Expectation("insilico[difficulty=0]", "lpips", "neurons", "digits", at_least=0.7),
        ),
        (
            "{on: 'ii/lpips[3]', finder: kmeans, at_most: 0, model: net, layer: early}",
            Expectation(
                *("ii", "lpips[3]", "kmeans[k=256]", "digits"),
                at_most=0,
                model="net",
                layer="layer1",
            ),
        ),
        (
            "{on: sparsity, finder: neurons, at_least: 0, at_most: 1, dataset: patches, text: t, "
            "layer: 'layer2[pool=max]'}",
            Expectation(
                *("sparsity", None, "neurons", "patches[n=10]"),
                at_least=0,
                at_most=1,
                layer="layer2[pool=max]",
                text="t",
            ),
        ),
    ],
)
def test_statements_are_resolved_to_labels(
    load: Any, suite_text: str, statement: str, expected: Expectation
) -> None:
    assert load(expecting(statement, suite_text)).expectations == (expected,)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("{on: ii/lpips}", ": found no key 'finder'; expected it beside the others"),
        ("{on: ii/lpips, finder: neurons}", ": found neither; expected either above or at_least"),
        (
            "{on: ii/lpips, finder: kmeans, above: neurons, at_least: 0}",
            ": found above, at_least; expected either above or at_least / at_most",
        ),
        ("{on: ii/lpips, finder: neurons, above: neurons}", ".above: found neurons again; "),
        ("{on: ii/lpips, at_least: 0}", ": found no key 'finder'; expected it beside the others"),
        ("{finder: neurons, at_least: 0}", ": found no key 'on'; expected it beside the others"),
        ("{on: ii/lpips, finder: kmeans, above: 'kmeans[k=256]'}", ".above: found kmeans[k=256] "
         "again; expected another finder"),
        ("{on: ii/lpips, finder: neurons, at_most: .inf}", ".at_most: found Infinity; expected a"),
        ("{on: ii/lpips, finder: pca, at_least: 0}", ".finder: found 'pca'; expected one of "
         "this suite's finders; known: neurons, kmeans[k=128], kmeans[k=256]"),
        ("{on: ii/lpips, finder: kmean, at_least: 0}", ".finder: found 'kmean'; expected one of "
         "this suite's finders; nearest: kmeans[k="),
        ("{on: ii/lpips, finder: neurons, above: 'kmeans[k=3]'}", ".above: found 'kmeans[k=3]'; "),
        ("{on: iii/lpips, finder: neurons, at_least: 0}", ".on: found 'iii'; expected one of this "
         "suite's evaluations; nearest: ii"),
        ("{on: ii/label, finder: neurons, at_least: 0}", ".on: found 'label'; expected one of "
         "this suite's metrics; known: color, lpips, lpips[0]"),
        ("{on: ii/color/x, finder: neurons, at_least: 0}", ".on: found 'ii/color/x'; expected "
         "evaluation/metric"),
        ("{on: ii, finder: neurons, at_least: 0}", ".on: found 'ii'; expected ii/METRIC"),
        ("{on: sparsity/color, finder: neurons, at_least: 0}", ".on: found 'sparsity/color'; "
         "expected sparsity alone, which needs no metric"),
        ("{on: 'insilico[difficulty=0]/lpips[3]', finder: neurons, at_least: 0}", ".on: found "
         "'insilico[difficulty=0]/lpips[3]'; expected a metric of insilico[difficulty=0]: color, "
         "lpips"),
        ("{on: ii/lpips, finder: neurons, at_least: x}", '.at_least: found "x" (text); expected a '
         "number"),
        ("{on: ii/lpips, finder: kmeans, above: neurons, alpha: 1}", ".alpha: found 1; expected a "
         "number > 0 and < 1"),
        ("{on: ii/lpips, finder: kmeans, above: neurons, test: t}", '.test: found "t" (text); '
         "expected mann_whitney"),
        ("{on: ii/lpips, finder: neurons, at_least: 0, alpha: 0.1}", ".alpha: found alpha without "
         "above; expected them together"),
        ("{on: ii/lpips, finder: neurons, at_least: 0, layr: x}", ".layr: unknown key 'layr'; "
         "nearest: layer"),
        ("{on: ii/lpips, finder: neurons, at_least: 0, layer: layer2[pool=mix]}", ": "),
        ("{on: ii/lpips, finder: neurons, at_least: 0, layer: layer2}", None),
        ("{on: ii/lpips, finder: neurons, at_least: 0, layer: layer9}", ".layer: unknown layer of "
         "this suite 'layer9'; nearest: layer2, layer1"),
        ("{on: ii/lpips, finder: neurons, at_least: 0, dataset: digit}", ".dataset: unknown dataset "
         "of this suite 'digit'; nearest: digits"),
        ("{on: ii/lpips, finder: neurons, at_least: 0, model: nets}", ".model: found 'nets'; "
         "expected one of this suite's models; nearest: net"),
        ("above", ': found "above" (text); expected a mapping'),
    ],
)  # fmt: skip
def test_statements_that_the_suite_cannot_answer(
    load: Any, problems: Any, suite_text: str, statement: str, message: str | None
) -> None:
    text = expecting(statement, suite_text)
    if message is None:
        assert len(load(text).expectations) == 1
    elif message == ": ":
        assert "not valid YAML" in problems(text)[0]
    else:
        assert any(
            line.startswith(f"tiny.yaml:23: expect[0]{message}") for line in problems(text)
        ), problems(text)


# ------------------------------------------------------------------------------------- judging


def one(expectation: Expectation, *reports: CaseReport, dataset: DatasetChoice = DIGITS) -> Verdict:
    [verdict] = judge([expectation], reports, dataset)
    return verdict


def test_above_is_scipys_one_sided_test() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.2, 0.8):
        x, y = rng.normal(shift, size=60), rng.normal(size=40)
        x[:3] = np.nan
        u, p = mannwhitneyu(x[3:], y, alternative="greater")
        verdict = one(ABOVE, report("kmeans[k=256]", x), report("neurons", y))
        assert verdict.status == ("passed" if p < 0.01 else "failed")
        assert f"mean {x[3:].mean():.4g} (n = 57) against {y.mean():.4g} (n = 40)" in verdict.detail
        assert f"U = {u:g}, one-sided p = {p:.3g}, alpha = 0.01" in verdict.detail
        assert verdict.dataset == "digits"


def test_equal_scores_are_not_above() -> None:
    same = [1.0] * 20
    verdict = one(ABOVE, report("kmeans[k=256]", same), report("neurons", same))
    assert verdict.status == "failed"


def test_bounds_are_on_the_mean_of_scored_units() -> None:
    scores = [0.5, 1.0, float("nan")]
    for bounds, status in (
        ({"at_least": 0.75}, "passed"),
        ({"at_least": 0.76}, "failed"),
        ({"at_most": 0.75}, "passed"),
        ({"at_least": 0.1, "at_most": 0.7}, "failed"),
    ):
        expectation = Expectation("ii", "lpips", "neurons", "digits", **bounds)
        verdict = one(expectation, report("neurons", scores))
        assert verdict.status == status
        assert verdict.detail.startswith("mean 0.75 over 2 scored units; expected ")


def test_each_model_and_layer_has_its_verdict() -> None:
    reports = [
        report(finder, scores, layer=layer)
        for layer, high in (("layer1", "kmeans[k=256]"), ("layer2", "neurons"))
        for finder in ("kmeans[k=256]", "neurons")
        for scores in [np.arange(30) + 100.0 * (finder == high)]
    ]
    verdicts = judge([ABOVE], reports, DIGITS)
    assert [(v.text, v.status) for v in verdicts] == [
        ("kmeans[k=256] scores above neurons on ii/lpips (net, layer1)", "passed"),
        ("kmeans[k=256] scores above neurons on ii/lpips (net, layer2)", "failed"),
    ]
    second = dataclasses.replace(ABOVE, layer="layer2", text="As the paper says")
    assert one(second, *reports).text == "As the paper says"
    assert one(second, *reports).status == "failed"


@pytest.mark.parametrize(
    ("reports", "detail"),
    [
        ([], "kmeans[k=256] on ii/lpips was not run in this selection of cases"),
        ([report("neurons", [1.0])], "kmeans[k=256] on ii/lpips was not run in this selection"),
        ([report("kmeans[k=256]", [1.0])], "neurons on ii/lpips was not run in this selection"),
        (
            [report("kmeans[k=256]", [1.0]), report("neurons", status="skipped", reason="no file")],
            "neurons on ii/lpips was skipped: no file",
        ),
        (
            [report("kmeans[k=256]", status="error", reason="K > n"), report("neurons", [1.0])],
            "kmeans[k=256] on ii/lpips ended in an error: K > n",
        ),
        (
            [report("kmeans[k=256]", [float("nan")]), report("neurons", [1.0])],
            "kmeans[k=256] on ii/lpips has no scored unit",
        ),
        (
            [report("kmeans[k=256]", [1.0], metric="color"), report("neurons", [1.0], dataset="x")],
            "kmeans[k=256] on ii/lpips was not run in this selection of cases",
        ),
    ],
)
def test_what_cannot_be_judged_is_skipped_with_its_reason(
    reports: list[CaseReport], detail: str
) -> None:
    verdict = one(ABOVE, *reports)
    assert verdict.status == "skipped"
    assert verdict.detail.startswith(detail)


def test_another_dataset_skips() -> None:
    reports = [report(f, [1.0], dataset="patches[n=10]") for f in ("kmeans[k=256]", "neurons")]
    verdict = one(ABOVE, *reports, dataset=PATCHES)
    assert (verdict.status, verdict.detail) == (
        "skipped",
        "it is about digits; patches[n=10] was used",
    )


def test_a_limited_dataset_is_still_that_dataset() -> None:
    limited = with_limit(DIGITS, 50)
    expectation = Expectation("ii", "lpips", "neurons", "digits", at_least=0)
    verdict = one(expectation, report("neurons", [1.0], dataset=limited.label), dataset=limited)
    assert (verdict.status, verdict.dataset) == ("passed", "digits[limit=50]")


def test_sentences() -> None:
    both = Expectation("sparsity", None, "neurons", "digits", at_least=0.5, at_most=1)
    assert sentence(both) == "the mean of neurons on sparsity is at least 0.5 and at most 1"
