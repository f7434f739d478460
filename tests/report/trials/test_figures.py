"""Figures, pictures and units on the page of a run on trials, and which trials are chosen."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iibench.contract.measures import Curve, Measure
from iibench.contract.reports import Named
from iibench.contract.trials import TrialScores
from iibench.report.trials.choice import choose, choose_of_units, images_of_trials
from iibench.report.trials.page import render_trials
from iibench.report.trials.units import extremes
from iibench.results.run import Run
from tests.report.conftest import Kept
from tests.report.directions.test_page import Page
from tests.report.trials import runs as made
from tests.report.trials.runs import OBSERVERS, articles, colours, report_of, rows_of, shown, value


@pytest.fixture(scope="module")
def run(trial_run: Run) -> Run:
    return trial_run


@pytest.fixture(scope="module")
def html(trial_html: str) -> str:
    return trial_html


@pytest.fixture(scope="module")
def page(trial_html: str) -> Page:
    return Page(trial_html)


@pytest.fixture(scope="module")
def data(trial_data: made.Data) -> made.Data:
    return trial_data


# ----------------------------------------------------------------------------------- figures


def test_a_curve_per_metric_and_group(run: Run, page: Page, trial_plots: dict[str, Any]) -> None:
    plots = trial_plots
    assert {a["id"] for _, a in page.elements if a.get("class") == "plot"} == set(plots)
    first = [plots[name] for name in plots if name.startswith("curve-0-")]
    assert len(first) == 9  # all answers, then groups of layers
    assert sum(name.startswith("curve-1-") for name in plots) == 1
    assert "more figures" in page.text
    for metric in made.METRICS:
        report = report_of(run, OBSERVERS[0], metric)
        trace = next(t for t in first[0]["data"] if t["name"].startswith(f"{metric}  "))
        curve = next(c for c in report.curves if not c.group)
        np.testing.assert_allclose(trace["x"], curve.x, atol=1e-4)
        np.testing.assert_allclose(trace["y"], curve.y, atol=1e-4)
        m = value(report, "auc")
        words = f"{metric}  {shown(m.value)} [{shown(m.low)}, {shown(m.high)}]"
        assert trace["name"] == words
        assert trace["visible"] == ("legendonly" if metric == "colour[r]" else True)
    title = first[0]["layout"]["legend"]["title"]["text"]
    assert title == "AUC [95 %], n = 180"
    group = {"model": "net0", "layers": "layer1"}
    at = next(
        i
        for i, (_, a) in enumerate(page.elements)
        if "layers layer1" in (a.get("aria-label") or "")
    )
    plot = plots[page.elements[at][1]["id"] or ""]
    curve = next(c for c in report_of(run, OBSERVERS[0], "blue").curves if c.group == group)
    trace = next(t for t in plot["data"] if t["name"].startswith("blue"))
    np.testing.assert_allclose(trace["y"], curve.y, atol=1e-4)
    assert (
        "Not drawn: model net0, layers layer0, confidence 3 (all answers are the same" in page.text
    )


def test_dots_with_intervals_and_the_ceiling(run: Run, trial_plots: dict[str, Any]) -> None:
    plot = trial_plots["dots-0-0"]
    board = run.leaderboard()
    board = board[(board["evaluation"] == OBSERVERS[0]) & board["value"].notna()]
    assert plot["layout"]["yaxis"]["ticktext"] == list(board["metric"])[::-1]
    for trace, (_, row) in zip(plot["data"], board[::-1].iterrows(), strict=True):
        assert trace["x"][0] == pytest.approx(row["value"], rel=1e-4)
        ends = trace["error_x"]
        assert trace["x"][0] + ends["array"][0] == pytest.approx(row["high"], abs=1e-4)
        assert trace["x"][0] - ends["arrayminus"][0] == pytest.approx(row["low"], abs=1e-4)
    ceiling = value(report_of(run, OBSERVERS[0], "colour"), "auc_ceiling")
    spans = {(s.get("x0"), s.get("x1")) for s in plot["layout"]["shapes"]}
    assert {(0.5, 0.5), (ceiling.value, ceiling.value), (ceiling.low, ceiling.high)} <= spans


@pytest.mark.slow
def test_curves_are_thinned_and_then_left_out(tmp_path: Path) -> None:
    x = tuple(np.linspace(0, 1, 200))
    curves = tuple(Curve("roc", x, x, {"model": f"net{i}", "layers": "l"}) for i in range(900))
    measures = (Measure("auc", 0.6, {}, n=9, stimuli=9, units=9),)
    scores = TrialScores(measures, curves=curves)
    reports = [
        made.report("toy", f"m{i}", Named("human", "human"), scores, "auc") for i in range(4)
    ]
    kept = Kept()
    page = Page(render_trials(made.write(tmp_path, reports, None), kept))
    plots = [p for name, p in kept.plots.items() if not name.startswith("dots")]
    points = sum(len(trace["x"]) for p in plots for trace in p["data"])
    drawn = sum(len(p["data"]) for p in plots)
    assert points <= 60_000 and all(len(t["x"]) >= 25 for p in plots for t in p["data"])
    assert f"{3600 - drawn} further curves are left out" in page.text


# --------------------------------------------------------------------------- pictures, units


def test_trials_are_drawn_as_people_saw_them(run: Run, html: str, data: made.Data) -> None:
    trials = run.trials().set_index("name")
    found = articles(html)
    assert 6 <= len(found) <= 10
    assert "further trial" not in html  # every image was kept
    for article in found:
        text = Page(article).text
        name = next(n for n in re.findall(r"unit\d+/\d+", text))
        trial = trials.loc[name]
        expected = [*trial["opposite"], *trial["queries"], *trial["references"]]
        assert colours(article) == [tuple(data.colours[i]) for i in expected]
        total = trial["first"] + trial["second"]
        assert f"right answer {trial['first']} of {total} people" in text
        assert f"wrong answer {trial['second']} of {total} people" in text
        for metric in ("colour", "blue"):
            margins = [
                report_of(run, label, metric).margins[trial["stimulus"]] for label in OBSERVERS
            ]
            for margin in margins:
                assert margin is not None
                choice = "✓ right" if margin > 0 else "✗ wrong" if margin < 0 else "tie"
                assert f"{shown(margin, 4).lstrip('−')} {choice}" in text


def test_the_kinds_say_who_is_right(run: Run, html: str) -> None:
    trials = run.trials().set_index("name")
    board = run.leaderboard()
    board = board[
        (board["evaluation"] == OBSERVERS[0]) & ~board["metric"].str.contains(r"\[", na=True)
    ]
    margins = report_of(run, OBSERVERS[0], board.iloc[0]["metric"]).margins
    section = html[html.index('id="pictures"') : html.index('id="units"')]
    for heading, people, observer in (
        ("Most people and the observer are right", True, True),
        ("Most people are right, the observer is wrong", True, False),
        ("The observer is right, most people are wrong", False, True),
        ("Most people and the observer are wrong", False, False),
    ):
        if heading not in section:
            continue
        part = section[section.index(heading) :].split("<h3>")[0]
        for article in articles(part):
            trial = trials.loc[re.findall(r"unit\d+/\d+", Page(article).text)[0]]
            assert (trial["first"] > trial["second"]) == people
            assert ((margins[trial["stimulus"]] or 0) > 0) == observer


def test_units_by_difference_of_ranks(run: Run, page: Page, trial_plots: dict[str, Any]) -> None:
    board = run.leaderboard()
    board = board[
        (board["evaluation"] == OBSERVERS[0]) & ~board["metric"].str.contains(r"\[", na=True)
    ]
    report = report_of(run, OBSERVERS[0], board.iloc[0]["metric"])
    frame = run.unit_measures()
    frame = frame[frame["case"] == report.id].pivot(index="unit", columns="measure", values="value")
    ranks = frame.rank(ascending=False)
    difference = (ranks["ii"] - ranks["human_accuracy"]).sort_values(key=abs, ascending=False)
    rows = rows_of(page, "The 10 units whose ranks by people and by Interpretability Index")
    names = list(rows)[1:]
    assert len(names) == 10
    sizes = [abs(difference[name]) for name in names]
    assert sizes == list(difference.abs()[:10])
    for name in names:
        cells = rows[name]
        assert cells[1] == shown(frame["human_accuracy"][name])
        assert cells[2] == f"{ranks['human_accuracy'][name]:g}"
        assert cells[5].replace("−", "-").lstrip("+") == f"{difference[name]:.1f}"
        easier = "people" if difference[name] > 0 else report.metric.label  # type: ignore[union-attr]
        assert cells[6] == easier
    plot = trial_plots["unit-0"]["data"][0]
    at = dict(zip(plot["customdata"], zip(plot["x"], plot["y"], strict=True), strict=True))
    for name, row in frame.iterrows():
        assert at[name] == pytest.approx((row["ii"], row["human_accuracy"]), rel=1e-4)


@given(
    st.integers(1, 12).flatmap(
        lambda s: st.tuples(
            st.lists(st.floats(-2, 2) | st.just(float("nan")), min_size=s, max_size=s),
            st.lists(st.integers(0, 4), min_size=s, max_size=s),
            st.lists(st.integers(0, 4), min_size=s, max_size=s),
        )
    ),
    st.booleans(),
)
def test_chosen_trials_are_of_their_kind(
    given: tuple[list[float], list[int], list[int]], has_truth: bool
) -> None:
    margins, first, second = (np.array(v) for v in given)
    found = choose(margins, first, second, has_truth)
    assert all(not np.isnan(margins[c.stimulus]) for c in found)
    asked = (first + second).any()
    for c in found:
        m, lead = margins[c.stimulus], first[c.stimulus] - second[c.stimulus]
        if not asked:
            assert (m > 0) == (c.kind == "The observer is right")
        elif has_truth:
            kinds = {
                (True, True): "Most people and the observer are right",
                (True, False): "Most people are right, the observer is wrong",
                (False, True): "The observer is right, most people are wrong",
                (False, False): "Most people and the observer are wrong",
            }
            assert m != 0 and lead != 0 and c.kind == kinds[bool(lead > 0), bool(m > 0)]
        else:
            assert m * lead != 0
            assert (m * lead > 0) == (c.kind == "The metric sides with most people")
    per_kind = pd.Series([c.kind for c in found]).value_counts()
    assert (per_kind <= (2 if has_truth or not asked else 4)).all()


def test_units_of_most_disagreement(data: made.Data) -> None:
    report = made.judged(data, OBSERVERS[0], {"colour": (1.0, 1.0, 1.0)})[0]
    human = pd.Series(report.per_unit["human_accuracy"]).rank(ascending=False)
    difference = pd.Series(report.per_unit["ii"]).rank(ascending=False) - human
    found = extremes(report)
    assert found is not None
    assert difference[found[0]] == difference.max() and difference[found[1]] == difference.min()
    trials = data.trials
    margins = np.array(report.margins, float)
    first, second = (
        np.bincount(trials.answers.stimulus, w, len(trials))
        for w in (trials.answers.first, ~trials.answers.first)
    )
    easier, harder = choose_of_units(report, trials.unit, margins, first, second, trials.columns)
    assert trials.unit[easier.stimulus] == found[0] and trials.unit[harder.stimulus] == found[1]
    inside = trials.unit == found[0]
    assert margins[easier.stimulus] == margins[inside].min()
    ordinary = np.where(np.arange(len(trials)) % 5 == 2, "natural", "optimized")
    columns = {"condition": ordinary}
    for chosen in choose_of_units(report, trials.unit, margins, first, second, columns):
        assert ordinary[chosen.stimulus] == "natural"
    assert not choose_of_units(
        dataclasses.replace(report, per_unit={}), trials.unit, margins, first, second, {}
    )


def test_images_that_do_not_fit_are_said(
    data: made.Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = made.judged(data, OBSERVERS[0], made.METRICS)
    run = made.write(tmp_path, reports, data)
    monkeypatch.setattr("iibench.report.trials.pictures.BUDGET", 6000)
    html = render_trials(run, Kept())
    assert 1 <= len(articles(html)) < 6
    assert "further trials are not shown" in html


def test_the_images_of_a_run_are_those_that_its_page_shows(run: Run, data: made.Data) -> None:
    kept = {image for _, image in run.images()}
    assert kept == set(images_of_trials(run.trial_cases, data.trials))
