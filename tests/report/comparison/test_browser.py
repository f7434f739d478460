"""The page of two runs side by side in a real browser."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

from iibench.report.comparison.page import write_comparison
from iibench.results.comparison.runs import compare_runs
from tests.report.comparison.test_page import pair
from tests.report.conftest import EVIL_LABEL
from tests.report.directions.test_browser import open_page, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of two runs, moved after it was made."""
    made = tmp_path_factory.mktemp("compare") / "made"
    write_comparison(compare_runs(*pair(seed=4)), made)
    return (Path(shutil.move(made, made.parent / "moved place")) / "index.html").as_uri()


def draw_all(page: Any) -> int:
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        until(page, lambda p=plot: p.get_attribute("data-drawn") == "yes")
        assert plot.locator("svg.main-svg").count()
    return int(page.locator(".plot[data-drawn=yes]").count())


def test_plots_are_drawn_and_images_are_there(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, address)
    assert draw_all(page) == 3
    for image in page.locator(".changed-unit img").all():
        image.scroll_into_view_if_needed()
    loaded = "[...document.images].every(i => i.complete && i.naturalWidth === 32)"
    until(page, lambda: page.evaluate(loaded))
    assert page.locator(".changed-unit img").count() == 3 * 6 * 10
    assert page.locator(".changed-unit img.alone").count()
    assert wrong == []
    page.close()


def test_tables_are_sorted_filtered_and_kept_in_the_address(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, address)
    until(page, lambda: page.evaluate("document.documentElement.dataset.tables") == "ready")
    table = page.locator("#cases-table")
    table.locator("thead button", has_text="Method").click()
    names = table.locator("tbody th").all_inner_texts()
    assert names == sorted(names)
    page.get_by_role("searchbox").fill("pca")
    until(page, lambda: table.locator("tbody tr").count() == 2)
    assert "q=pca" in page.url and "sort=" in page.url
    page.reload()
    until(page, lambda: page.locator("#cases-table tbody tr").count() == 2)
    page.get_by_role("button", name="Reset").click()
    until(page, lambda: page.locator("#cases-table tbody tr").count() == 6)
    assert wrong == []
    page.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_no_width_needs_sideways_scrolling(browser: Any, address: str, width: int) -> None:
    page, wrong = open_page(browser, address, viewport={"width": width, "height": 800})
    draw_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert wrong == []
    page.close()


def test_a_method_leads_to_its_units_and_the_theme_redraws(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, address, color_scheme="light")
    draw_all(page)
    page.locator("#cases-table tbody a").first.click()
    assert page.url.endswith("#case-0")
    tick = "getComputedStyle(document.querySelector('.plot .xtick text')).fill"
    before = page.evaluate(tick)
    page.get_by_role("button", name="Dark theme").click()
    until(page, lambda: page.evaluate(tick) != before)
    assert wrong == []
    page.close()


def test_labels_with_markup_run_nothing(browser: Any, tmp_path: Path) -> None:
    a, b = pair(label=f"[{EVIL_LABEL}]", name=EVIL_LABEL)
    b.meta["versions"][EVIL_LABEL] = EVIL_LABEL
    lost = dataclasses.replace(b.cases[1], status="error", reason=EVIL_LABEL, summary=None)
    b = dataclasses.replace(b, cases=(b.cases[0], lost, *b.cases[2:]))
    address = write_comparison(compare_runs(a, b), tmp_path).as_uri()
    page, wrong = open_page(browser, address)
    draw_all(page)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src='x']").count() == 0
    assert EVIL_LABEL in page.locator("#units").inner_text()
    assert wrong == []
    page.close()


def test_the_page_is_accessible(browser: Any, address: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page, _ = open_page(browser, address)
    draw_all(page)
    found = axe.Axe().run(page).response["violations"]
    serious = [v["id"] for v in found if v["impact"] in {"serious", "critical"}]
    assert serious == []
    page.close()
