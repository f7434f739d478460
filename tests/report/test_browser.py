"""The page in a real browser: plots, sorting, choosing, both themes, and not one request to a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iibench.report.page import write_page

from .conftest import EVIL_LABEL, SyntheticRun, make_case, make_run

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, small_run: SyntheticRun) -> str:
    return write_page(small_run, tmp_path_factory.mktemp("page")).as_uri()


def open_page(browser: Any, address: str, **options: Any) -> tuple[Any, list[str]]:
    """(the page, what went wrong so far: errors and requests that are no local file)."""
    page = browser.new_page(**options)
    wrong: list[str] = []
    page.on("console", lambda m: wrong.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request",
        lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else wrong.append(r.url),
    )
    page.goto(address)
    return page, wrong


def until(page: Any, holds: Callable[[], bool]) -> None:
    """Waits up to a minute for `holds`: machines are busy. Playwright's own waiting evaluates text
    inside the page, which the page's policy forbids."""
    for _ in range(1200):
        if holds():
            return
        page.wait_for_timeout(50)
    assert holds()


def draw_all(page: Any) -> int:
    """Scrolls to every plot; returns how many were drawn."""
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        until(page, lambda p=plot: p.get_attribute("data-drawn") == "yes")
        assert plot.locator("svg.main-svg").count()
    return int(page.locator(".plot[data-drawn=yes]").count())


def column(page: Any, caption: str, index: int) -> list[str]:
    table = page.locator("table", has=page.locator("caption", has_text=caption)).first
    return list(table.locator(f"tbody tr > *:nth-child({index})").all_inner_texts())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_plot_is_drawn_in_both_themes(browser: Any, address: str, scheme: str) -> None:
    page, wrong = open_page(browser, address, color_scheme=scheme)
    assert draw_all(page) == page.locator(".plot").count() == 8
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    text = page.locator(".plot .xtick text").first.evaluate("e => getComputedStyle(e).fill")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    assert text != background
    assert page.evaluate("getComputedStyle(document.querySelector('.plot .box')).stroke") != "none"
    assert wrong == []
    page.close()


def test_the_theme_can_change_while_the_page_is_open(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, address, color_scheme="light")
    page.locator(".plot[data-drawn=yes]").first.wait_for()
    tick = "getComputedStyle(document.querySelector('.plot .xtick text')).fill"
    before = page.evaluate(tick)
    page.emulate_media(color_scheme="dark")
    until(page, lambda: page.evaluate(tick) != before)
    assert wrong == []
    page.close()


def test_a_click_on_a_heading_sorts_and_missing_values_stay_last(
    browser: Any, address: str
) -> None:
    page, wrong = open_page(browser, address)
    table = page.locator("table", has=page.locator("caption", has_text="ii under color")).first
    original = column(page, "ii under color", 1)
    assert original[-1] == "sae[z=64]"
    button = table.locator("thead button", has_text="Mean")
    button.click()
    assert table.locator("thead th[aria-sort=descending]").count() == 1
    assert column(page, "ii under color", 1) == original
    button.press("Enter")
    assert column(page, "ii under color", 1) == [*reversed(original[:-1]), "sae[z=64]"]
    table.locator("thead button", has_text="Method").click()
    names = column(page, "ii under color", 1)
    assert names[0] > names[-1] and sorted(names) == sorted(original)
    table.get_by_role("button", name="K", exact=True).click()
    sizes = [int(cell) for cell in column(page, "ii under color", 3) if cell]
    assert sizes == sorted(sizes, reverse=True)
    assert wrong == []
    page.close()


def test_methods_and_scores_can_be_chosen_in_the_gallery(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, address)
    gallery = page.locator(".gallery")
    panels = gallery.locator(".panel")
    assert panels.locator("img").count() == 2 * 5 * 5
    assert panels.nth(0).locator("select").input_value() == "neurons"
    other = panels.nth(1).locator("select").input_value()
    assert other != "neurons"
    before = panels.nth(1).inner_text()
    panels.nth(1).locator("select").select_option("ica")
    assert panels.nth(1).inner_text() != before
    assert panels.nth(1).locator("img").first.get_attribute("alt").startswith("ica, unit ")
    before = panels.nth(0).inner_text()
    gallery.locator("select.measure").select_option("ii · color")
    assert panels.nth(0).inner_text() != before
    assert panels.nth(1).locator("select").input_value() == "ica"
    loaded = "[...document.querySelectorAll('.gallery img')].every(i => i.naturalWidth === 32)"
    until(page, lambda: page.evaluate(loaded))
    assert wrong == []
    page.close()


def test_a_phone_needs_no_sideways_scrolling_of_the_page(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, address, viewport={"width": 400, "height": 800})
    draw_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert wrong == []
    page.close()


def test_labels_with_markup_run_nothing(browser: Any, tmp_path: Path) -> None:
    scores = [0.1 * i for i in range(8)]
    cases = [
        make_case(f, f"color[{EVIL_LABEL}]", scores) for f in ("neurons", f"pca[{EVIL_LABEL}]")
    ]
    address = write_page(make_run(cases), tmp_path).as_uri()
    page, wrong = open_page(browser, address)
    assert draw_all(page) == 1
    assert page.evaluate("window.hacked") is None
    assert page.locator(".plot img, .gallery img[src='x']").count() == 0
    ticks = "".join(page.locator(".plot .ytick").all_text_contents())
    assert "<img src=x" in ticks  # shown as text
    assert wrong == []
    page.close()


def test_without_its_script_the_page_still_has_tables_and_pictures(
    browser: Any, tmp_path: Path, small_run: SyntheticRun
) -> None:
    path = write_page(small_run, tmp_path)
    (tmp_path / "plotly.min.js").unlink()
    page, _ = open_page(browser, path.as_uri())
    assert "needs plotly.min.js" in page.locator(".plot").first.inner_text()
    assert page.locator(".gallery img").count() == 50
    page.close()
