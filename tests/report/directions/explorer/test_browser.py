"""The unit explorer, the pages of units and the gallery in a real browser, opened from disk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iibench.report.page import write_page, write_single
from tests.report.conftest import EVIL_LABEL
from tests.report.directions.explorer.unit_runs import UnitRun, unit_run
from tests.report.directions.test_browser import open_page, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice")


@pytest.fixture(scope="module")
def run() -> UnitRun:
    return unit_run()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, run: UnitRun) -> str:
    return write_page(run, tmp_path_factory.mktemp("page")).as_uri()


def scores(run: UnitRun, finder: str, evaluation: str, metric: str) -> np.ndarray:
    return np.array(
        next(
            case.scores
            for case in run.cases
            if case.metric
            and (case.finder.label, case.evaluation.label, case.metric.label)
            == (finder, evaluation, metric)
        ),
        float,
    )


def explore(page: Any) -> Any:
    """The explorer, once it shows units."""
    section = page.locator("#explorer-0")
    section.scroll_into_view_if_needed()
    until(page, lambda: bool(section.get_attribute("data-shown")))
    return section


def changed(page: Any, section: Any, act: Any) -> None:
    """Does something and waits until the explorer has followed."""
    before = section.get_attribute("data-shown")
    act()
    until(page, lambda: section.get_attribute("data-shown") != before)


def shown_units(section: Any) -> list[int]:
    links = section.locator(".unit-card h4 a").all_inner_texts()
    return [int(text.removeprefix("unit ")) for text in links]


def open_unit(page: Any) -> Any:
    """The page of a unit, once it and its trials are shown."""
    view = page.locator(".unit-page")
    until(page, lambda: bool(view.get_attribute("data-shown")))
    until(page, lambda: view.locator(".trial, .unit-trials .info").count() > 0)
    return view


def serious(page: Any, selector: str) -> list[str]:
    """Serious and critical findings of axe within an element; the page's policy allows no evaluation of
    text, so axe stands in the page as a script."""
    import axe_playwright_python

    script = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
    page.add_script_tag(content=script)
    found = page.evaluate(
        "([selector, tags]) => axe.run(selector, {runOnly: tags})", [selector, list(AXE)]
    )
    return [
        f"{v['id']}: {v['nodes'][0]['html']}"
        for v in found["violations"]
        if v["impact"] in {"serious", "critical"}
    ]


def test_units_are_sorted_by_any_score_and_missing_ones_come_last(
    browser: Any, address: str, run: UnitRun
) -> None:
    page, wrong = open_page(browser, address)
    section = explore(page)
    best = section.locator(".methods input:checked").count()
    assert best == 1
    label = section.locator(".unit-card .of").first.inner_text()
    expected = scores(run, label, "ii", "lpips")
    order = np.argsort(-expected, kind="stable")
    assert shown_units(section) == order[:24].tolist()
    changed(page, section, lambda: section.get_by_label("Order").select_option("asc"))
    low = np.argsort(expected, kind="stable")
    assert shown_units(section) == low[:24].tolist()
    changed(
        page, section, lambda: section.get_by_label("Sort by").select_option(label="ii · color")
    )
    low = np.argsort(scores(run, label, "ii", "color"), kind="stable")
    assert shown_units(section) == low[:24].tolist()
    changed(page, section, lambda: section.locator("[data-step=last]").click())
    assert shown_units(section)[-1] == 3  # unscored
    last = section.locator(".unit-card").last
    assert "dead: no response" in last.inner_text()
    changed(page, section, lambda: section.get_by_label("Sort by").select_option("sparseness"))
    facts = run.directions()
    expected = facts[facts.finder == label].sort_values("unit").sparseness.to_numpy()
    assert shown_units(section) == np.argsort(expected)[:24].tolist()
    assert wrong == []
    page.close()


def test_units_are_filtered_and_the_url_keeps_it(browser: Any, address: str, run: UnitRun) -> None:
    page, wrong = open_page(browser, address)
    section = explore(page)
    label = section.locator(".unit-card .of").first.inner_text()
    values = scores(run, label, "ii", "lpips")
    low, high = np.nanquantile(values, [0.3, 0.6])

    def fill(name: str, text: str) -> None:
        section.get_by_label(name, exact=True).fill(text)
        changed(page, section, lambda: section.get_by_label(name, exact=True).press("Tab"))

    fill("From", f"{low:.6f}")
    fill("to", f"{high:.6f}")
    inside = np.flatnonzero((values >= round(low, 6)) & (values <= round(high, 6)))
    assert section.locator(".told").inner_text().startswith(f"{len(inside)} units")
    assert sorted(shown_units(section)) == inside.tolist()
    fill("Unit numbers", "0-9, 40")
    wanted = [u for u in inside if u <= 9 or u == 40]
    assert sorted(shown_units(section)) == wanted
    kept = page.url
    assert "x0.min=" in kept and "x0.unit=" in kept
    other, more = open_page(browser, kept)
    assert sorted(shown_units(explore(other))) == wanted
    assert explore(other).get_by_label("Unit numbers").input_value() == "0-9, 40"
    changed(
        other, explore(other), lambda: explore(other).get_by_role("button", name="Reset").click()
    )
    assert len(shown_units(explore(other))) == 24
    assert "x0." not in other.url
    assert wrong == more == []
    other.close()
    page.close()


def test_two_scores_can_be_compared(browser: Any, address: str, run: UnitRun) -> None:
    from scipy.stats import rankdata

    page, wrong = open_page(browser, address)
    section = explore(page)
    label = section.locator(".unit-card .of").first.inner_text()
    second = section.get_by_label("Compare ranks with")
    changed(page, section, lambda: second.select_option(label="ii · color"))
    first, other = (scores(run, label, "ii", metric) for metric in ("lpips", "color"))
    scored = ~np.isnan(first)
    ranks = [rankdata(-values[scored]) for values in (first, other)]
    difference = np.abs(ranks[0] - ranks[1])
    found = shown_units(section)
    positions = np.flatnonzero(scored).tolist()
    by_unit = dict(zip(positions, difference, strict=True))
    assert [by_unit[u] for u in found] == sorted(difference.tolist(), reverse=True)[:24]
    at = positions.index(found[0])
    assert (
        f"rank {ranks[0][at]:.0f} of 69, and {ranks[1][at]:.0f} of 69 under ii · color"
        in section.locator(".unit-card").first.inner_text()
    )
    assert wrong == []
    page.close()


def test_several_methods_stand_in_one_list(browser: Any, address: str, run: UnitRun) -> None:
    page, wrong = open_page(browser, address)
    section = explore(page)
    changed(page, section, lambda: section.locator(".methods input").nth(1).check())
    assert section.locator(".told").inner_text().startswith("140 units")
    both = [(v, f) for f in ("neurons", "pca") for v in scores(run, f, "ii", "lpips")]
    expected = [f for _, f in sorted((e for e in both if not np.isnan(e[0])), reverse=True)]
    assert section.locator(".unit-card .of").all_inner_texts() == expected[:24]
    assert "x0.m=" in page.url
    assert wrong == []
    page.close()


def test_a_card_shows_images_scores_and_responses(browser: Any, address: str, run: UnitRun) -> None:
    page, wrong = open_page(browser, address)
    section = explore(page)
    card = section.locator(".unit-card").first
    unit, label = shown_units(section)[0], card.locator(".of").inner_text()
    frame = run.exemplars()
    for side, group in (("top", 0), ("bottom", 1)):
        rows = frame[(frame.finder == label) & (frame.unit == unit) & (frame.side == side)]
        names = card.locator(".pictures").nth(group).locator("canvas")
        found = [name.get_attribute("aria-label") for name in names.all()]
        images = rows.sort_values("rank").image
        assert [int(re.findall(r"image (\d+)", name)[0]) for name in found] == images.to_list()
    until(page, lambda: card.locator("canvas[data-drawn=yes]").count() == 10)
    text = card.locator(".scores").inner_text().replace("−", "-")
    for metric in ("lpips", "color"):
        value = scores(run, label, "insilico[difficulty=0]", metric)[unit]
        assert f"{value:.3f}" in text
        assert f"{scores(run, label, 'ii', metric)[unit]:.4f}" in text
    assert card.locator(".responses").get_attribute("aria-label").startswith("histogram of 300")
    assert wrong == []
    page.close()


def test_a_link_opens_a_unit_and_back_returns(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, address)
    section = explore(page)
    changed(page, section, lambda: section.get_by_label("Order").select_option("asc"))
    link = section.locator(".unit-card h4 a").nth(4)
    link.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    scrolled = page.evaluate("scrollY")
    target = link.get_attribute("href")
    link.focus()
    page.keyboard.press("Enter")
    view = open_unit(page)
    assert page.url.endswith(target)
    assert not section.is_visible()
    assert page.evaluate("document.activeElement.tagName") == "H1"
    assert "Unit" in page.title()
    number = int(target.rpartition("/")[2])
    view.locator(".unit-bar a", has_text=f"unit {number + 1}").click()
    until(page, lambda: f"Unit {number + 1} of" in page.locator(".unit-page h1").inner_text())
    page.go_back()
    until(page, lambda: f"Unit {number} of" in page.locator(".unit-page h1").inner_text())
    page.go_back()
    until(page, section.is_visible)
    assert section.get_by_label("Order").input_value() == "asc"
    until(page, lambda: abs(page.evaluate("scrollY") - scrolled) < 5)
    assert page.evaluate("document.activeElement.getAttribute('href')") == target
    assert wrong == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_unit_link_works_in_a_fresh_page(
    browser: Any, address: str, run: UnitRun, scheme: str
) -> None:
    page, wrong = open_page(browser, f"{address}#unit/0/pca/5", color_scheme=scheme)
    view = open_unit(page)
    assert view.locator("h1").inner_text().startswith("Unit 5 of pca")
    assert not page.locator("#explorer-0").is_visible()
    values = scores(run, "pca", "ii", "color")
    rank = int((values > values[5]).sum()) + 1
    row = view.locator(".unit-scores tbody tr").nth(1).inner_text().replace("−", "-").split()
    below = 100 * (69 - rank) / 68
    assert row == ["ii", "color", f"{values[5]:.4f}", str(rank), "69", f"{below:.1f}"]
    frame = run.exemplars()
    rows = frame[(frame.finder == "pca") & (frame.unit == 5) & (frame.side == "bottom")]
    captions = view.locator(".large").nth(1).locator("figcaption").all_inner_texts()
    given = [float(text.partition(": ")[2].replace("−", "-")) for text in captions]
    np.testing.assert_allclose(given, rows.sort_values("rank").response, rtol=1e-3)
    chart = view.locator(".histogram")
    chart.scroll_into_view_if_needed()
    until(page, lambda: chart.get_attribute("data-drawn") == "yes")
    assert "images (n = 300)" in chart.locator(".ytitle").text_content()
    tick = page.locator(".histogram .xtick text").first.evaluate("e => getComputedStyle(e).fill")
    assert tick != page.evaluate("getComputedStyle(document.body).backgroundColor")
    view.get_by_text("All units").click()
    until(page, page.locator("#explorer-0").is_visible)
    assert page.evaluate("document.activeElement.id") == "explorer-title-0"
    assert wrong == []
    page.close()


def test_the_histogram_follows_the_theme(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, f"{address}?theme=light#unit/0/pca/5")
    chart = open_unit(page).locator(".histogram")
    chart.scroll_into_view_if_needed()
    until(page, lambda: chart.get_attribute("data-drawn") == "yes")
    tick = "getComputedStyle(document.querySelector('.histogram .xtick text')).fill"
    before = page.evaluate(tick)
    page.locator("button.theme").click()
    until(page, lambda: page.evaluate(tick) != before)
    page.get_by_label("logarithmic counts").check()
    until(
        page,
        lambda: page.evaluate("document.querySelector('.histogram').layout.yaxis.type") == "log",
    )
    with page.expect_download() as download:
        page.get_by_role("button", name="Data (CSV)").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0] == "low,high,images" and len(lines) == 41
    assert sum(int(line.split(",")[2]) for line in lines[1:]) == 300
    assert wrong == []
    page.close()


@pytest.mark.parametrize("observer", ["", ",observer=two_sided"])
def test_wrong_trials_are_marked_and_equal_to_the_data(
    browser: Any, address: str, run: UnitRun, observer: str
) -> None:
    evaluation = f"insilico[difficulty=0{observer}]"
    page, wrong = open_page(browser, f"{address}#unit/0/neurons/7")
    part = open_unit(page).locator(".unit-trials")
    part.get_by_label("Evaluation").select_option(evaluation)
    part.get_by_label("Metric").select_option("color")
    frame = run.unit_evidence()
    case = f"toy/net/layer1/neurons/color/{evaluation}"
    rows = frame[(frame.case == case) & (frame.unit == 7)].sort_values("trial")
    margins = (rows.strong - rows.weak).to_numpy()
    words = {1: "✓ right", -1: "✗ wrong", 0: "= tie, counts one half"}
    expected = [words[int(np.sign(margin))] for margin in margins]
    assert part.locator(".verdict b").all_inner_texts() == expected
    assert "= tie, counts one half" in expected  # unit 7 has one
    told = part.locator(".told").inner_text()
    accuracy = scores(run, "neurons", evaluation, "color")[7]
    assert f"{(margins < 0).sum()} wrong and 1 tie of 6 trials" in told
    assert f"accuracy {accuracy:.3f}, the score of the unit" in told
    given = [float(text.replace("−", "-")) for text in part.locator(".query b").all_inner_texts()]
    np.testing.assert_allclose(given, rows[["strong", "weak"]].to_numpy().ravel(), atol=5.1e-5)
    trials = run.unit_trials()
    shown = trials[
        (trials.finder == "neurons") & (trials.evaluation == evaluation) & (trials.unit == 7)
    ].sort_values("trial")
    sides = (["weak_references"] if observer else []) + ["strong_references"]
    names = part.locator(".trial").first.locator(".references canvas")
    found = [int(re.findall(r"\d+", n.get_attribute("aria-label"))[0]) for n in names.all()]
    assert found == [int(i) for side in sides for i in shown.iloc[0][side]]
    part.get_by_label("Only wrong ones").check()
    assert part.locator(".trial").count() == (margins < 0).sum()
    assert part.locator(".trial.wrong").count() == part.locator(".trial").count()
    again, more = open_page(browser, page.url)
    kept = open_unit(again).locator(".unit-trials")
    assert kept.get_by_label("Metric").input_value() == "color"
    assert kept.get_by_label("Only wrong ones").is_checked()
    assert wrong == more == []
    again.close()
    page.close()


def test_an_unscored_unit_says_why(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, f"{address}#unit/0/pca/3")
    view = open_unit(page)
    assert view.locator(".unit-scores .missing").first.inner_text() == "dead: no response"
    assert "Not scored under lpips: dead: no response" in view.locator(".told").inner_text()
    assert view.locator(".trial.wrong, .trial.right").count() == 0
    assert wrong == []
    page.close()


@pytest.mark.parametrize(
    "place",
    ["unit/0/pca/70", "unit/0/none/1", "unit/7/pca/1", "unit/0/pca/x", "unit/0/%/1", "unit"],
)
def test_a_link_to_no_unit_says_so(browser: Any, address: str, place: str) -> None:
    page, wrong = open_page(browser, f"{address}#{place}")
    until(page, lambda: page.locator(".unit-page h1").count() == 1)
    assert page.locator(".unit-page h1").inner_text() == "No such unit"
    assert wrong == []
    page.close()


def test_pictures_are_exact_and_a_single_file_has_everything(
    browser: Any, tmp_path: Path, run: UnitRun
) -> None:
    import io

    from PIL import Image

    path = write_single(run, tmp_path / "page.html")
    page, wrong = open_page(browser, f"{path.as_uri()}#unit/0/pca/5")
    view = open_unit(page)
    until(page, lambda: view.locator(".large canvas:not([data-drawn])").count() == 0)
    canvas = view.locator(".large canvas").first
    image = int(re.findall(r"\d+", canvas.get_attribute("aria-label"))[0])
    # pictures in the page's own file may be read back, those beside it may not
    read = "e => [...e.getContext('2d').getImageData(0, 0, e.width, e.height).data]"
    pixels = np.array(canvas.evaluate(read), np.uint8).reshape(32, 32, 4)[..., :3]
    expected = np.asarray(Image.open(io.BytesIO(run.images()["toy", image])))
    assert (pixels == expected).all()
    assert canvas.evaluate("e => getComputedStyle(e).imageRendering") == "pixelated"
    assert view.locator(".trial").count() == 6
    assert wrong == []
    page.close()


def test_labels_with_markup_run_nothing(browser: Any, tmp_path: Path) -> None:
    finder, metric = f"pca[{EVIL_LABEL}/'\"&|%,]", f"color[{EVIL_LABEL}</script>]"
    run = unit_run(finders=("neurons", finder), metrics=(metric, "lpips"), k=8, n=60)
    page, wrong = open_page(browser, write_page(run, tmp_path).as_uri())
    section = explore(page)
    changed(page, section, lambda: section.locator(".methods input").nth(1).check())
    page.locator("#gallery-0").scroll_into_view_if_needed()
    until(page, lambda: page.locator("#gallery-0 canvas").count() == 50)
    section.locator(".unit-card", has_text="pca[").first.locator("h4 a").click()
    view = open_unit(page)
    assert view.locator("h1").inner_text().startswith("Unit")
    assert EVIL_LABEL in view.locator("h1").inner_text()
    assert view.locator(".unit-trials").get_by_label("Metric").input_value() in {metric, "lpips"}
    assert view.locator(".trial").count() > 0
    chart = view.locator(".histogram")
    chart.scroll_into_view_if_needed()
    until(page, lambda: chart.get_attribute("data-drawn") == "yes")
    page.reload()
    assert EVIL_LABEL in open_unit(page).locator("h1").inner_text()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src='x']").count() == 0
    assert wrong == []
    page.close()


def test_two_methods_stand_side_by_side_in_the_gallery(
    browser: Any, address: str, run: UnitRun
) -> None:
    page, wrong = open_page(browser, address)
    gallery = page.locator("#gallery-0")
    gallery.scroll_into_view_if_needed()
    until(page, lambda: gallery.locator("canvas").count() == 50)
    until(page, lambda: gallery.locator("canvas:not([data-drawn])").count() == 0)
    panels = gallery.locator(".panel")
    assert [panel.locator("select").input_value() for panel in panels.all()] == ["neurons", "pca"]
    values = scores(run, "neurons", "ii", "lpips")
    worst, best = int(np.nanargmin(values)), int(np.nanargmax(values))
    links = panels.first.locator("a").all_inner_texts()
    assert (links[0], links[-1]) == (f"unit {worst}", f"unit {best}")
    gallery.locator("select.measure").select_option("ii · color")
    best = int(np.nanargmax(scores(run, "neurons", "ii", "color")))
    assert panels.first.locator("a").last.inner_text() == f"unit {best}"
    panels.first.locator("a").last.click()
    view = open_unit(page)
    assert view.locator("h1").inner_text().startswith(f"Unit {best} of neurons")
    assert wrong == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_for_assistive_technology(browser: Any, address: str, scheme: str) -> None:
    page, _ = open_page(browser, address, color_scheme=scheme)
    explore(page)
    page.locator("#gallery-0").scroll_into_view_if_needed()
    until(page, lambda: page.locator("#gallery-0 canvas").count() == 50)
    for selector in ("#explorer-0", "#gallery-0"):
        assert serious(page, selector) == []
    page.evaluate("location.hash = '#unit/0/pca/5'")
    open_unit(page)
    assert serious(page, ".unit-page") == []
    page.close()


def test_a_phone_needs_no_sideways_scrolling(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, address, viewport={"width": 390, "height": 800})
    explore(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.evaluate("location.hash = '#unit/0/pca/5'")
    part = open_unit(page).locator(".unit-trials")
    part.get_by_label("Evaluation").select_option("insilico[difficulty=0,observer=two_sided]")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert wrong == []
    page.close()


def test_the_keyboard_reaches_units_and_pages(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, address)
    section = explore(page)
    section.get_by_label("Unit numbers").focus()
    page.keyboard.press("Tab")  # Reset
    page.keyboard.press("Tab")
    first = section.locator(".unit-card h4 a").first
    assert page.evaluate("document.activeElement.href") == first.evaluate("e => e.href")
    before = shown_units(section)
    section.get_by_role("button", name="Next").focus()
    changed(page, section, lambda: page.keyboard.press("Enter"))
    assert not set(before) & set(shown_units(section))
    assert page.evaluate("document.activeElement.textContent") == "Next"
    assert "x0.page=2" in page.url
    assert wrong == []
    page.close()
