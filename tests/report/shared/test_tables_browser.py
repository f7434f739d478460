"""Tables in a real browser: sorting, filtering, columns, and all of it in the address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iibench.report.page import write_page
from tests.report.conftest import SyntheticRun, make_case, make_run
from tests.report.directions.test_browser import open_page, ready, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LPIPS, COLOR = "table-0-0-0", "table-0-0-1"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, small_run: SyntheticRun) -> str:
    return write_page(small_run, tmp_path_factory.mktemp("page")).as_uri()


@pytest.fixture
def page(browser: Any, address: str) -> Any:
    found, wrong = open_page(browser, address)
    ready(found)
    yield found
    assert wrong == []
    found.close()


def cells(page: Any, table: str, key: str) -> list[str]:
    """The cells of a column as they stand, by the key of its heading."""
    heads = page.locator(f"#{table} thead th")
    keys = [heads.nth(i).get_attribute("data-key") for i in range(heads.count())]
    at = keys.index(key) + 1
    return list(page.locator(f"#{table} tbody tr > *:nth-child({at})").all_inner_texts())


def head(page: Any, table: str, key: str) -> Any:
    return page.locator(f"#{table} thead th[data-key={key}] button")


def view(page: Any) -> list[Any]:
    """What a reader sees of the tables: rows, sorting, columns, and which are shown."""
    return page.evaluate(  # type: ignore[no-any-return]
        """[...document.querySelectorAll('table.board')].map((t) => [t.id, !t.closest('[hidden]'),
        [...t.tBodies[0].rows].map((r) => [...r.cells].map((c) => c.textContent.trim())),
        [...t.tHead.rows[0].cells].map((c) => [c.textContent, c.ariaSort])])"""
    )


def test_a_click_on_a_heading_sorts_and_missing_values_stay_last(page: Any) -> None:
    page.locator("details.view > summary", has_text="color").first.click()
    original = cells(page, COLOR, "method")
    assert original[-1] == "sae[z=64]"
    mean = head(page, COLOR, "mean")
    mean.click()
    assert page.locator(f"#{COLOR} th[data-key=mean]").get_attribute("aria-sort") == "descending"
    assert cells(page, COLOR, "method") == original
    mean.press("Enter")
    assert page.locator(f"#{COLOR} th[data-key=mean]").get_attribute("aria-sort") == "ascending"
    assert cells(page, COLOR, "method") == [*reversed(original[:-1]), "sae[z=64]"]
    mean.click()  # back to the order of the page
    assert page.locator(f"#{COLOR} th[aria-sort]").count() == 0
    assert cells(page, COLOR, "method") == original
    head(page, COLOR, "method").click()
    assert cells(page, COLOR, "method") == sorted(
        original, key=lambda name: (name.split("[")[0], len(name), name)
    )
    head(page, COLOR, "k").click()
    sizes = [int(cell) for cell in cells(page, COLOR, "k") if cell]
    assert sizes == sorted(sizes, reverse=True)
    assert "did not converge" in cells(page, COLOR, "rank")[-1]


def test_every_column_sorts(page: Any) -> None:
    page.locator(".menu summary").click()
    for box in page.locator(".menu input").all():
        box.check()
    page.keyboard.press("Escape")
    heads = page.locator(f"#{LPIPS} thead th")
    assert heads.count() == 15
    for i in range(heads.count()):
        button = heads.nth(i).locator("button")
        if not button.count():
            assert heads.nth(i).get_attribute("data-key") == "units"
            continue
        button.click()
        assert heads.nth(i).get_attribute("aria-sort") in {"ascending", "descending"}
    head(page, LPIPS, "baseline").click()
    assert cells(page, LPIPS, "baseline")[-1] == "baseline"
    values = [float(c.split()[0].replace("−", "-")) for c in cells(page, LPIPS, "baseline")[:-1]]
    assert values == sorted(values, reverse=True)


def test_rows_are_filtered_in_all_tables(page: Any) -> None:
    page.get_by_role("searchbox").fill("kmeans")
    until(page, lambda: "q=kmeans" in page.url)
    assert set(cells(page, LPIPS, "method")) == {f"kmeans[k={k}]" for k in (128, 256, 512)}
    assert "of" in page.locator("output.status").inner_text()
    page.get_by_role("searchbox").fill("nothing like it")
    assert "No row of this table holds the text" in page.locator(f"#{LPIPS} tbody").inner_text()
    page.get_by_role("searchbox").fill("")
    assert len(cells(page, LPIPS, "method")) == 9
    assert "?" not in page.url


def test_columns_can_be_chosen(page: Any) -> None:
    assert page.locator(f"#{LPIPS} th[data-key=sd]").count() == 0
    page.locator(".menu summary").click()
    page.get_by_label("SD", exact=True).check()
    page.get_by_label("Seconds").uncheck()
    assert page.locator(f"#{LPIPS} th[data-key=sd]").is_visible()
    assert page.locator("th[data-key=seconds]").count() == 0
    assert "show=sd" in page.url and "hide=seconds" in page.url
    page.keyboard.press("Escape")
    assert not page.get_by_label("Seconds").is_visible()


def test_evaluations_and_metrics_can_be_chosen(page: Any) -> None:
    page.locator("select[name=m]").select_option("color")
    assert not page.locator(f"#{LPIPS}").is_visible()
    assert page.locator(f"#{COLOR}").is_visible()  # it was folded
    page.locator("select[name=e]").select_option("insilico")
    assert not page.locator(f"#{COLOR}").is_visible()
    assert page.locator("table.board:visible").count() == 1
    assert page.locator("section.family:visible").count() == 1


def change(page: Any) -> None:
    """Something of everything."""
    page.locator("select[name=m]").select_option("color")
    page.get_by_role("searchbox").fill("k=")
    head(page, COLOR, "k").click()
    head(page, COLOR, "mean").click(modifiers=["Shift"])
    page.locator(".menu summary").click()
    page.get_by_label("Median", exact=True).check()
    page.get_by_label("Sparseness").uncheck()
    page.keyboard.press("Escape")


def test_the_address_holds_the_view(browser: Any, page: Any) -> None:
    change(page)
    before = view(page)
    address = page.url
    for part in ("m=color", "q=k", f"sort={COLOR}.k.desc.mean.desc", "show=median", "hide=spars"):
        assert part in address
    page.reload()
    ready(page)
    assert view(page) == before
    other, wrong = open_page(browser, address)
    ready(other)
    assert view(other) == before
    assert other.get_by_role("searchbox").input_value() == "k="
    assert wrong == []
    other.close()


def test_reset_forgets_everything_but_the_theme(page: Any) -> None:
    before = view(page)
    reset = page.get_by_role("button", name="Reset")
    assert reset.is_disabled()
    page.locator("button.theme").click()
    assert reset.is_disabled()
    change(page)
    assert view(page) != before
    reset.click()
    assert view(page) == before
    assert page.url.split("?")[1] == "theme=dark"
    assert reset.is_disabled() and page.get_by_role("searchbox").input_value() == ""


def test_back_and_forward_repeat_the_views(page: Any) -> None:
    start = view(page)
    head(page, LPIPS, "k").click()
    sorted_ = view(page)
    page.locator("select[name=e]").select_option("ii")
    chosen = view(page)
    page.go_back()
    until(page, lambda: view(page) == sorted_)
    page.go_back()
    until(page, lambda: view(page) == start)
    page.go_forward()
    until(page, lambda: view(page) == sorted_)
    page.go_forward()
    until(page, lambda: view(page) == chosen)
    assert page.locator("select[name=e]").input_value() == "ii"


def test_places_and_views_live_side_by_side(page: Any) -> None:
    head(page, LPIPS, "k").click()
    page.locator("nav a", has_text="Cards").click()
    assert page.url.endswith("#cards") and f"sort={LPIPS}.k.desc" in page.url
    head(page, LPIPS, "k").click()
    assert page.url.endswith("#cards") and f"sort={LPIPS}.k.asc" in page.url


def test_the_keyboard_reaches_the_controls_in_order(page: Any) -> None:
    page.get_by_role("searchbox").focus()
    seen = []
    for _ in range(5):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("document.activeElement.name || document.activeElement.innerText")
        )
    assert seen[:3] == ["e", "m", "Columns"]


@pytest.mark.parametrize(
    "query", ["?sort=nothing~table-0-0-0.what.up&show=%3Cimg%3E&e=x", "?sort=.....&hide=method~~"]
)
def test_an_address_that_makes_no_sense_breaks_nothing(
    browser: Any, address: str, query: str
) -> None:
    page, wrong = open_page(browser, address + query)
    ready(page)
    assert wrong == []
    page.get_by_role("button", name="Reset").click()
    assert len(cells(page, LPIPS, "method")) == 9
    page.close()


def test_a_table_of_more_than_a_hundred_rows_has_pages(browser: Any, tmp_path: Path) -> None:
    cases = [make_case(f"kmeans[k={k}]", "lpips", [k / 200, k / 100]) for k in range(2, 122)]
    page, wrong = open_page(browser, write_page(make_run(cases), tmp_path).as_uri())
    ready(page)
    assert page.locator(f"#{LPIPS} tbody tr").count() == 100
    page.locator(".dt-paging-button", has_text="2").first.click()
    until(page, lambda: page.locator(f"#{LPIPS} tbody tr").count() == 20)
    assert wrong == []
    page.close()
