"""Analyses and published statements on the page: their numbers, figures, maps and pictures."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iibench.contract.details import (
    Axis,
    Details,
    HeatMap,
    Histogram,
    ImageMap,
    ImageRows,
    Series,
    XYPlot,
    images_shown,
)
from iibench.contract.measures import Measure
from iibench.contract.reports import CaseReport, Verdict
from iibench.report.directions.analyses.analyses import measure_row
from iibench.report.directions.analyses.figures import plotted
from iibench.report.directions.page import render
from iibench.report.directions.statements import statements
from iibench.report.page import write_page, write_single
from iibench.statistics.scores import compare
from tests.report.conftest import EVIL_LABEL, Kept, SyntheticRun, make_case, make_run
from tests.report.directions.explorer.test_browser import serious
from tests.report.directions.test_browser import open_page, until

POINTS = 24


def details(text: str = "plain") -> Details:
    """A figure of every kind; `text` stands in all of its words."""
    rng = np.random.default_rng(0)
    x = np.arange(6.0)
    y = np.array([1.0, 2.0, np.nan, 4.0, 5.0, 6.0])
    classes = tuple(f"{text} {i % 3}" for i in range(POINTS))
    figures = (
        XYPlot(
            f"curve {text}",
            Axis(f"rank {text}", log=True),
            Axis("variance", ticks=((1.0, f"one {text}"), (4.0, "four"))),
            (
                Series(f"line {text}", x, y, True, y - 1, y + 1),
                Series("points", x, y + 3, text=(text,) * 6, units=np.arange(6)),
            ),
            f"caption {text}",
        ),
        Histogram("counts", Axis("value"), np.array([-1.0, 0.0, 2.0]), np.array([3, 4]), "c"),
        HeatMap(
            "cells",
            Axis("column"),
            Axis("row"),
            ("a", text),
            ("1", "2", "3"),
            np.array([[0.5, np.nan], [1, 2], [3, 4]]),
            f"value {text}",
            "c",
        ),
        ImageMap(
            "map",
            rng.normal(size=POINTS),
            rng.normal(size=POINTS),
            np.arange(POINTS),
            {
                "own colour": ("#102030",) * POINTS,
                f"class {text}": classes,
                "activation": np.linspace(0, 1, POINTS),
            },
            "c",
        ),
        ImageRows("rows", ((f"row {text}", (30, 31, 32)), ("second", (1, 2))), "c"),
    )
    return Details(
        (
            Measure("slope", -0.25, low=-0.5, high=-0.125, n=1234),
            Measure("p_slope", 0.0002, n=1234),
            Measure("images", 24.0, n=24),
            Measure("undefined", None, n=1, reason=f"too few {text}"),
        ),
        "slope",
        figures,
        {"points": {"x": x, "y": y}},
        (f"note {text}",),
    )


def analysed(text: str = "plain", **changes: Any) -> CaseReport:
    found = details(text)
    fields: dict[str, Any] = {
        "is_analysis": True,
        "headline": "slope",
        "measures": found.measures,
        "details": found,
        "details_folder": "manifold-12345678",
    }
    return make_case("neurons", "lpips", [None] * 20, "manifold", **{**fields, **changes})


def a_run(text: str = "plain", **changes: Any) -> SyntheticRun:
    rng = np.random.default_rng(0)
    cases = [
        make_case(finder, "lpips", rng.normal(size=20).tolist()) for finder in ("neurons", "pca")
    ]
    run = make_run([*cases, analysed(text, **changes)])
    run.meta["evaluations"]["manifold"] |= {"plot": "none", "summary": f"maps {text}"}
    return run


def rows_of(html: str) -> list[list[str]]:
    plain = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in html.split("<tr")[1:]]
    return [[re.sub(r"<[^>]+>", "", cell).strip() for cell in row] for row in plain]


def test_an_analysis_has_its_numbers_on_the_page_and_no_leaderboard() -> None:
    run = a_run()
    kept = Kept()
    html = render(run, kept)
    section = html[html.index('id="analyses-0"') : html.index('id="computed"')]
    rows = rows_of(section)
    assert ["slope", "−0.2500", "[−0.5000, −0.1250]", "1,234"] in rows
    assert ["p_slope", "&lt;0.001", "", "1,234"] in rows
    assert ["images", "24", "", "24"] in rows
    assert ["undefined", "too few plain", "1"] in rows
    assert 'href="analyses/manifold-12345678/points.parquet">points</a> (6 rows)' in section
    assert "manifold" not in html[html.index('class="boards"') : html.index('id="analyses-0"')]
    assert set(run.leaderboard()["evaluation"]) == {"ii"}


def test_everything_of_a_case_is_in_one_file_and_its_images_are_on_the_sheets() -> None:
    run = a_run()
    kept = Kept()
    render(run, kept)
    data = kept.values["analysis-0-0"]
    assert list(data) == [f"analysis-0-0-{i}" for i in range(5)]
    assert data["analysis-0-0-4"]["rows"] == [
        {"text": "row plain", "images": [30, 31, 32]},
        {"text": "second", "images": [1, 2]},
    ]
    assert list(images_shown(details()))[:5] == [30, 31, 32, 1, 2]
    assert {image for _, image in run.images()} >= set(images_shown(details()))


def test_a_page_elsewhere_names_the_tables_without_linking_them(tmp_path: Path) -> None:
    html = write_single(a_run(), tmp_path / "page.html").read_text("utf-8")
    assert "points (6 rows), in the run folder" in html
    assert 'href="results.parquet"' not in html
    assert 'href="analyses/' not in html


def test_a_case_that_found_nothing_says_why() -> None:
    run = a_run(
        headline="",
        measures=(),
        details=None,
        details_folder="",
        status="skipped",
        reason="umap is not installed",
    )
    html = render(run, Kept())
    section = html[html.index('id="analyses-0"') :]
    assert "neurons under lpips: skipped, umap is not installed." in section
    assert set(run.leaderboard()["evaluation"]) == {"ii"}


def test_a_run_of_analyses_alone_has_a_page() -> None:
    run = make_run([analysed()])
    run.meta["evaluations"]["manifold"] |= {"plot": "none"}
    kept = Kept()
    assert 'id="analyses-0"' in render(run, kept)
    assert kept.files  # its images


def test_points_without_a_value_are_left_out_and_bands_follow_the_rest() -> None:
    band, line, points = plotted(details().figures[0]).data
    # x = 0 has no logarithm, the third y no value
    assert line["x"] == [1, 3, 4, 5]
    assert line["y"] == [2, 4, 5, 6]
    assert band["y"] == [3, 5, 6, 7, 5, 4, 3, 1]
    assert points["customdata"] == [1, 3, 4, 5]
    assert points["meta"]["units"] is True
    layout = plotted(details().figures[0]).layout
    assert layout["xaxis"]["type"] == "log"
    assert layout["yaxis"]["ticktext"] == ["one plain", "four"]


def test_bars_and_cells_are_those_of_the_analysis() -> None:
    (bars,) = plotted(details().figures[1]).data
    assert (bars["x"], bars["width"], bars["y"]) == ([-0.5, 1.0], [1.0, 2.0], [3, 4])
    (cells,) = plotted(details().figures[2]).data
    assert cells["z"] == [[0.5, None], [1, 2], [3, 4]]
    assert cells["x"] == ["a", "plain"]
    assert cells["y"] == [1, 2, 3]


def test_a_map_offers_its_colourings() -> None:
    (points,) = plotted(details().figures[3]).data
    own, classes, numbers = points["meta"]["choices"]
    assert own["kind"] == "colours"
    assert classes["classes"] == ["plain 0", "plain 1", "plain 2"]
    assert classes["values"] == [i % 3 for i in range(POINTS)]
    assert numbers["kind"] == "numbers"
    assert numbers["values"][-1] == 1.0


def test_what_is_no_colour_is_a_class() -> None:
    figure = dataclasses.replace(
        details().figures[3], colourings={"bad": ("#12345;", "red;x") * (POINTS // 2)}
    )
    (choice,) = plotted(figure).data[0]["meta"]["choices"]
    assert choice["kind"] == "classes"


@pytest.mark.parametrize(
    ("measure", "value", "bounds"),
    [
        (Measure("x", 0.12345, low=0.1, high=0.2), "0.1235", "[0.1000, 0.2000]"),
        (Measure("x", 3.0, n=5), "3", ""),
        (Measure("x", 3.0, low=2.0, high=4.0), "3.0000", "[2.0000, 4.0000]"),
        (Measure("gradient_p", 3e-9), "<0.001", ""),
        (
            Measure("x", -0.00001234, low=-0.00002, high=0.0),
            "−0.00001234",
            "[−0.00002000, 0.00000000]",
        ),
    ],
)
def test_measures_in_words(measure: Measure, value: str, bounds: str) -> None:
    row = measure_row(measure)
    assert (row.value, row.interval) == (value, bounds)


# ------------------------------------------------------------------------------------ statements


def stated(run: SyntheticRun) -> SyntheticRun:
    """The run with verdicts of every kind; one of them is stated nowhere."""
    pca, neurons, manifold = (
        next(c.id for c in run.cases if (c.finder.label, c.evaluation.name) == key)
        for key in (("pca", "ii"), ("neurons", "ii"), ("neurons", "manifold"))
    )
    verdicts = (
        Verdict("A is above B", "failed", "U = 1", "toy", pca, neurons, figure="Fig. 1"),
        Verdict("slopes", "passed", "d", "toy", manifold, None, "slope", "Fig. 2", "−0.18"),
        Verdict(
            "asks people",
            "skipped",
            "not testable here: no people",
            figure="Fig. 3",
            not_testable=True,
        ),
        Verdict("other data", "skipped", "it is about cifar10", figure="Fig. 4"),
        Verdict("an expectation", "passed", "mean 3", "toy", pca),
    )
    return dataclasses.replace(run, verdicts=verdicts)


def test_statements_stand_beside_what_was_found() -> None:
    run = stated(a_run())
    found = statements(run)
    assert [s.word for s in found] == ["does not hold", "holds", "not testable here", "not tested"]
    x, y = (
        np.array(next(c.scores for c in run.cases if c.finder.label == name), float)
        for name in ("pca", "neurons")
    )
    difference = compare(x, y)
    assert f"{difference.low:.4f}".replace("-", "−") in found[0].difference
    assert found[0].difference.endswith(f"to neurons, p {difference.p:.3f}")
    assert f"{x.mean():.4f}".replace("-", "−") in found[0].found
    assert found[1].found == "slope −0.2500 [−0.5000, −0.1250]"
    assert found[1].published == "−0.18"
    assert found[2].detail == "no people"
    assert found[3].found == ""


def test_the_table_of_statements_and_the_other_expectations() -> None:
    html = render(stated(a_run()), Kept())
    table = html[html.index('id="statements"') : html.index('class="boards"')]
    rows = rows_of(table)
    assert [row[0] for row in rows[1:]] == ["A is above B", "slopes", "asks people", "other data"]
    assert rows[2][1:] == ["✓ holds", "slope −0.2500 [−0.5000, −0.1250]d", "−0.18", "Fig. 2"]
    assert "<b>1</b> hold. <b>1</b> do not hold. <b>1</b> cannot be tested here." in table
    others = html[html.index('id="expectations"') :]
    assert "an expectation" in others
    assert "A is above B" not in others


# --------------------------------------------------------------------------------- in a browser


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_analyses_in_a_browser(browser: Any, tmp_path: Path, scheme: str) -> None:
    run = stated(a_run(EVIL_LABEL))
    page, wrong = open_page(browser, write_page(run, tmp_path).as_uri(), color_scheme=scheme)
    plots = [plot for plot in page.locator(".analyses .plot").all() if plot.is_visible()]
    assert len(plots) == 4
    for plot in plots:
        plot.scroll_into_view_if_needed()
        until(page, lambda p=plot: p.get_attribute("data-drawn") == "yes")

    rows = page.locator(".image-rows")
    rows.scroll_into_view_if_needed()
    until(page, lambda: rows.locator("canvas[data-drawn]").count() == 5)

    controls = page.locator("[data-map]")
    name = controls.get_attribute("data-map")
    chosen = controls.locator(".choice")
    legend = page.locator(f"#{name} + .legend label")
    assert legend.count() == 0
    chosen.select_option("1")
    until(page, lambda: legend.count() == 3)
    chosen.select_option("2")
    until(page, lambda: page.locator(f"#{name} .colorbar").count() == 1)
    assert legend.count() == 0
    controls.locator(".thumbnails").check()
    until(page, lambda: page.locator(f"#{name} canvas.over[data-drawn]").count() == 1)
    chosen.select_option("1")
    until(page, lambda: legend.count() == 3)
    page.locator(f"#{name} .point").first.hover(force=True)
    until(page, lambda: page.locator(f"#{name} .preview canvas[data-drawn]").count() == 1)

    said = page.locator(f"#{name} .preview span").last.inner_text()
    assert f": {EVIL_LABEL} " in said  # as it is written, neither read as markup nor escaped

    # a point of a direction leads to its page
    page.locator("#analysis-0-0-0 .point").last.click(force=True)
    until(page, lambda: "#unit/0/neurons/" in page.url)
    page.go_back()
    until(page, lambda: page.locator("#analyses-0").is_visible())
    assert serious(page, "#analyses-0") == []
    assert serious(page, "#statements") == []
    assert page.evaluate("() => window.hacked") is None
    assert wrong == []
    page.close()
