"""The page of a run on trials in a real browser, with its console and its requests watched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iibench.contract.measures import Section
from iibench.report.page import write_page
from iibench.results.run import Run
from tests.report.directions.test_browser import (
    draw_all,
    open_page,
    ready,
    serious,
    unfold_all,
    until,
)
from tests.report.trials.runs import evil_run

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def address(trial_run: Run) -> str:
    return write_page(trial_run, trial_run.folder).as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_plot_is_drawn(browser: Any, address: str, scheme: str) -> None:
    page, wrong = open_page(browser, address, color_scheme=scheme)
    unfold_all(page)
    assert draw_all(page) == page.locator(".plot").count() > 20
    widths = [p.bounding_box()["width"] for p in page.locator(".plot svg.main-svg").all()]
    assert min(widths) > 250
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    text = page.locator(".plot .xtick text").first.evaluate("e => getComputedStyle(e).fill")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    assert text != background
    assert wrong == []
    page.close()


def test_a_tick_in_the_legend_shows_a_part(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, address)
    plot = page.locator("#curve-0-0")
    plot.scroll_into_view_if_needed()
    until(page, lambda: plot.get_attribute("data-drawn") == "yes")
    assert plot.locator(".scatterlayer .trace").count() == 2
    legend = plot.locator("xpath=following-sibling::fieldset")
    assert "AUC [95 %], n = 180" in legend.locator("legend").inner_text()
    boxes = legend.locator("input")
    assert [box.is_checked() for box in boxes.all()] == [True, True, False]
    boxes.nth(2).check()
    until(page, lambda: plot.locator(".scatterlayer .trace").count() == 3)
    assert wrong == []
    page.close()


def test_a_click_on_a_heading_sorts(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, address)
    ready(page)
    table = page.locator("table", has=page.locator("caption", has_text="best first")).first

    def order() -> list[str]:
        return list(table.locator("tbody th").all_inner_texts())

    before = order()
    assert before[-1] == "far"
    button = table.locator("thead button", has_text="AUC [95 % interval]")
    button.click()
    assert order() == before
    button.press("Enter")
    assert order() == [*reversed(before[:-1]), "far"]  # no value: last both ways
    assert "sort=table-0." in page.url
    page.reload()
    ready(page)
    assert order() == [*reversed(before[:-1]), "far"]
    assert wrong == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_bars_access(browser: Any, address: str, scheme: str) -> None:
    page, wrong = open_page(browser, address, color_scheme=scheme)
    ready(page)
    unfold_all(page)
    draw_all(page)
    assert serious(page) == []
    assert wrong == []
    page.close()


@pytest.mark.parametrize("width", [390, 1280, 2400])
def test_the_page_never_scrolls_sideways(browser: Any, address: str, width: int) -> None:
    page, wrong = open_page(browser, address, viewport={"width": width, "height": 800})
    draw_all_visible(page)
    for details in page.locator("main > section > details").all():
        details.locator("summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    loaded = "[...document.querySelectorAll('.trial img')].every(i => i.naturalWidth === 8)"
    until(page, lambda: page.evaluate(loaded))
    if width == 390:
        boxes = [
            page.locator(".stage").first.locator("> div").nth(i).bounding_box() for i in range(3)
        ]
        assert boxes[0]["x"] < boxes[1]["x"] < boxes[2]["x"]  # opposite, queries, positive
    assert wrong == []
    page.close()


def draw_all_visible(page: Any) -> None:
    for plot in page.locator(".plot").all():
        if plot.is_visible():
            plot.scroll_into_view_if_needed()
            until(page, lambda p=plot: p.get_attribute("data-drawn") == "yes")


@pytest.mark.parametrize(
    "evil", ["<img src=x onerror=window.hacked=1>", "</script><script>window.hacked=1</script>"]
)
def test_markup_from_outside_runs_nothing(browser: Any, tmp_path: Path, evil: str) -> None:
    run = evil_run(tmp_path, evil)
    written = write_page(run, tmp_path / "page", [Section(evil, (evil,))])
    page, wrong = open_page(browser, written.as_uri())
    ready(page)
    unfold_all(page)
    draw_all(page)
    plot = page.locator("#unit-0")
    plot.scroll_into_view_if_needed()
    point = plot.locator(".points path").first.bounding_box()
    page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    until(page, lambda: plot.locator(".hoverlayer text").count() > 0)
    hover = "".join(plot.locator(".hoverlayer text").all_text_contents())
    assert evil[:10] in hover  # shown as text
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src='x']").count() == 0
    assert wrong == []
    page.close()
