"""The page in a real browser: plots, both themes, print, places, and not one request to a network."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iibench.report.page import write_page, write_single
from tests.report.conftest import EVIL_LABEL, SyntheticRun, make_case, make_run

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: Plots of `small_run` that stand open: the main metric of each evaluation that has one.
OPEN_PLOTS = 2


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


def ready(page: Any) -> None:
    """Waits until tables can be sorted."""
    until(page, lambda: page.locator("html[data-tables=ready]").count() == 1)


def draw_all(page: Any) -> int:
    """Scrolls to every plot that is not folded; returns how many were drawn."""
    plots = [plot for plot in page.locator(".plot").all() if plot.is_visible()]
    for plot in plots:
        plot.scroll_into_view_if_needed()
        until(page, lambda p=plot: p.get_attribute("data-drawn") == "yes")
        assert plot.locator("svg.main-svg").count()
    return len(plots)


def unfold_all(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")


def serious(page: Any) -> list[str]:
    """What axe-core finds on the page that is serious or worse."""
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['html'][:200]} {node['failureSummary']}"
        for rule in found["violations"]
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_plot_is_drawn_in_both_themes(browser: Any, address: str, scheme: str) -> None:
    page, wrong = open_page(browser, address, color_scheme=scheme)
    assert draw_all(page) == OPEN_PLOTS
    page.locator("details.parts > summary").click()
    page.locator("details.halves > summary").first.click()
    assert draw_all(page) > OPEN_PLOTS + 4
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    text = page.locator(".plot .xtick text").first.evaluate("e => getComputedStyle(e).fill")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    assert text != background
    assert page.evaluate("getComputedStyle(document.querySelector('.plot .box')).stroke") != "none"
    assert wrong == []
    page.close()


def test_the_theme_follows_the_system_until_the_reader_chooses(browser: Any, address: str) -> None:
    context = browser.new_context(color_scheme="light")
    page, wrong = open_page(context, address)
    page.locator(".plot").first.scroll_into_view_if_needed()
    page.locator(".plot[data-drawn=yes]").first.wait_for()
    tick = "getComputedStyle(document.querySelector('.plot .xtick text')).fill"
    before = page.evaluate(tick)
    page.emulate_media(color_scheme="dark")
    until(page, lambda: page.evaluate(tick) != before)
    dark = page.evaluate(tick)
    button = page.locator("button.theme")
    assert button.inner_text() == "Light theme"
    button.press("Enter")
    until(page, lambda: page.evaluate(tick) == before)
    assert "theme=light" in page.url and button.inner_text() == "Dark theme"
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    second, wrong_too = open_page(context, f"{address}?theme=dark")
    second.locator(".plot").first.scroll_into_view_if_needed()
    until(second, lambda: second.locator(".plot[data-drawn=yes]").count() > 0)
    assert second.evaluate(tick) == dark  # the address comes before what was chosen earlier
    assert wrong == wrong_too == []
    context.close()


def test_names_in_the_legend_can_be_ticked_off(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, address)
    plot = page.locator("#plot-0-1-0-0")
    plot.scroll_into_view_if_needed()
    until(page, lambda: plot.get_attribute("data-drawn") == "yes")
    boxes = plot.locator("xpath=following-sibling::fieldset").locator("input")
    assert boxes.count() == 9
    lines = plot.locator(".scatterlayer .trace")
    before = lines.count()
    boxes.first.focus()
    page.keyboard.press("Space")
    until(page, lambda: lines.count() == before - 2)  # the line and its band
    page.keyboard.press("Space")
    until(page, lambda: lines.count() == before)
    assert wrong == []
    page.close()


def saved(page: Any, plot: str) -> list[dict[str, str]]:
    """The rows of the file behind a figure's link."""
    button = page.locator(f"button.csv[data-plot='{plot}']")
    with page.expect_download() as waiting:
        button.click()
    assert waiting.value.suggested_filename == f"{plot}.csv"
    text = Path(waiting.value.path()).read_text("utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def test_the_data_of_a_plot_can_be_saved(
    browser: Any, address: str, small_run: SyntheticRun
) -> None:
    page, wrong = open_page(browser, address)
    rows = saved(page, "plot-0-0-0-0")
    case = next(c for c in small_run.cases if c.id == "toy/net/layer1/nmf/lpips/ii")
    units = {int(r["unit"]): float(r["score"]) for r in rows if r["series"] == "nmf" and r["unit"]}
    assert set(units) == {i for i, s in enumerate(case.scores) if s is not None}
    for unit, score in units.items():
        assert score == pytest.approx(case.scores[unit], rel=1e-4)
    box = next(r for r in rows if r["series"] == "nmf" and r["median"])
    scored = [s for s in case.scores if s is not None]
    assert float(box["median"]) == pytest.approx(np.median(scored), rel=1e-4)
    rows = saved(page, "plot-0-1-0-0")
    assert set(rows[0]) == {"series", "difficulty", "mean", "low", "high", "n"}
    assert len(rows) == 9 * 10
    assert wrong == []
    page.close()


def test_a_phone_needs_no_sideways_scrolling_of_the_page(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, address, viewport={"width": 390, "height": 800})
    ready(page)
    draw_all(page)
    page.evaluate(
        "document.querySelectorAll('details.view, .card details').forEach((d) => { d.open = true; })"
    )
    draw_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert wrong == []
    page.close()


def test_a_link_to_a_card_unfolds_it(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, address)
    name = page.locator("#table-0-0-0 caption a", has_text="lpips")
    name.click()
    card = page.locator("[id='card/metric/lpips']")
    until(page, lambda: card.locator("details").get_attribute("open") is not None)
    assert card.locator("summary").evaluate("e => e === document.activeElement")
    assert page.url.endswith("#card/metric/lpips")
    part, _ = open_page(browser, f"{address}#card/metric/lpips%5B3%5D")
    inside = part.locator("article", has=part.locator("[id='card/metric/lpips[3]']"))
    until(part, lambda: inside.locator("details").get_attribute("open") is not None)
    assert wrong == []
    part.close()
    page.close()


def test_printed_pages_are_black_on_white_with_everything_unfolded(
    browser: Any, address: str
) -> None:
    page, wrong = open_page(browser, f"{address}?theme=dark")
    ready(page)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for hidden in ("form.tools", "nav", "button.theme"):
        assert not page.locator(hidden).first.is_visible()
    assert page.locator("#table-0-0-1").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert not page.locator("#table-0-0-1").is_visible()
    assert wrong == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_bars_access(browser: Any, address: str, scheme: str) -> None:
    page, wrong = open_page(browser, address, color_scheme=scheme)
    ready(page)
    draw_all(page)
    unfold_all(page)
    assert serious(page) == []
    assert wrong == []
    page.close()


def evil_page(tmp_path: Path, evil: str) -> SyntheticRun:
    """Markup in every text that comes from a suite or a plugin."""
    scores = [0.1 * i for i in range(8)]
    finders = ("neurons", f"pca[{evil}]", "random")
    cases = [
        make_case(finder, f"color[{evil}]", scores, notes=(evil,), reasons=(evil,) + (None,) * 7)
        for finder in finders
    ]
    cases.append(make_case("ica", f"color[{evil}]", [], status="error", reason=evil, summary=None))
    card = {
        "summary": evil,
        "definition": evil,
        "citation": evil,
        "bibtex": evil,
        "licence": evil,
        "plugin": evil,
        "parameters": [{"name": evil, "type": evil, "default": evil, "help": evil}],
        "assets": [evil],
    }
    run = make_run(
        cases,
        name=evil,
        suite={"name": evil, "description": evil, "path": evil, "text": evil},
        notes=[{"level": "warning", "text": evil}],
        plugins=[{"name": evil, "version": evil, "distribution": evil, "sha256": evil}],
        assets={evil: {"filename": evil, "sha256": evil}},
        finders={finder: {"name": finder, **card} for finder in finders},
    )
    for kind in ("metrics", "evaluations", "models", "datasets"):
        for record in run.meta[kind].values():
            record |= {"name": evil, **card}
    run.meta["evaluations"]["ii"] |= {"name": "ii", "unit": evil}
    return run


@pytest.mark.parametrize("evil", [EVIL_LABEL, "</script><script>window.hacked=1</script>"])
def test_markup_from_outside_runs_nothing(browser: Any, tmp_path: Path, evil: str) -> None:
    address = write_page(evil_page(tmp_path, evil), tmp_path).as_uri()
    page, wrong = open_page(browser, address)
    ready(page)
    unfold_all(page)
    assert draw_all(page) == 2
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src='x']").count() == 0
    ticks = "".join(page.locator(".plot .ytick").all_text_contents())
    assert evil[:10] in ticks  # shown as text
    page.locator("input[type=search]").fill(evil)
    page.locator("select[name=m]").evaluate("s => s.options.length")
    assert any(evil in row["series"] for row in saved(page, "plot-0-0-0-0"))
    assert page.evaluate("window.hacked") is None
    assert wrong == []
    page.close()


def test_without_its_libraries_the_page_can_be_read(
    browser: Any, tmp_path: Path, small_run: SyntheticRun
) -> None:
    path = write_page(small_run, tmp_path)
    for name in ("plotly.min.js", "tables.js"):
        (tmp_path / "assets" / name).unlink()
    page, _ = open_page(browser, path.as_uri())
    plot = page.locator(".plot").first
    plot.scroll_into_view_if_needed()
    until(page, lambda: "cannot be drawn" in plot.inner_text())
    assert "plotly.min.js is not beside this page" in plot.inner_text()
    assert "Tables cannot be sorted here" in page.locator("main").inner_text()
    assert page.locator("#table-0-0-0 tbody tr").count() == 9
    assert not page.locator("#table-0-0-0 th[data-key=sd]").is_visible()
    page.close()


def test_without_any_script_there_are_tables(browser: Any, address: str) -> None:
    page, _ = open_page(browser, address, java_script_enabled=False)
    assert page.locator("#table-0-0-0 tbody tr").count() == 9
    assert page.locator("#table-0-0-0 tbody tr").first.is_visible()
    assert not page.locator("form.tools").is_visible()
    page.locator("details.view > summary").first.click()
    assert page.locator("#table-0-0-1").is_visible()
    page.close()


def test_a_single_file_works_alone(browser: Any, tmp_path: Path, small_run: SyntheticRun) -> None:
    page, wrong = open_page(browser, write_single(small_run, tmp_path / "one.html").as_uri())
    ready(page)
    assert draw_all(page) == OPEN_PLOTS
    page.locator("#table-0-0-0 thead button").first.click()
    assert page.locator("#table-0-0-0 th[aria-sort]").count() == 1
    assert wrong == []
    page.close()


def test_ten_thousand_units_load_little_and_at_once(browser: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = {"neurons": 2000, "random[k=2000]": 2000, "kmeans[k=2000]": 2000, "sae[z=4000]": 4000}
    run = make_run(
        [
            make_case(finder, metric, list(rng.standard_t(3, k)))
            for metric in ("lpips", *(f"m{i}" for i in range(9)))
            for finder, k in sizes.items()
        ]
    )
    path = write_page(run, tmp_path)
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    loaded: list[str] = []
    page.on("requestfinished", lambda request: loaded.append(request.url))
    page.goto(path.as_uri())
    ready(page)
    page.wait_for_timeout(500)
    files_ = [tmp_path / url.split(tmp_path.name)[1].strip("/") for url in loaded]
    weight = sum(file.stat().st_size for file in files_)
    assert len(loaded) <= 3 and weight < 2_000_000  # about 0.8 MB: the page and the tables' script
    until_ready = page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive")
    assert until_ready < 2000  # about 200 ms on a quiet machine
    page.close()
