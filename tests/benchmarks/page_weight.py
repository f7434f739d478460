"""What a large page weighs and how fast it is: 10,000 units under 10 metrics.

    python -m tests.benchmarks.page_weight [--units 10000] [--images 10000] [--out DIR]

Writes the page of a SYNTHETIC run with two methods, each with that many units scored by II and by
in-silico trials, as a folder and as a single file; then opens the folder's page in Chromium from disk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from iibench.report.directions.tables import places
from iibench.report.page import write_page, write_single
from tests.report.directions.explorer.unit_runs import UnitRun, unit_run

METRICS = 10
TRIALS = 20
REPEATS = 5
#: The page's limits: bytes that load at first, and seconds until a click on a heading sorts.
FIRST_BYTES, FIRST_SECONDS = 5_000_000, 2.0


def main() -> None:
    """Prints the numbers as JSON and writes them to the folder that `--out` names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=10_000, help="units of each method")
    parser.add_argument("--images", type=int, default=10_000, help="32 x 32 images")
    parser.add_argument("--out", type=Path, help="folder for the page and page_weight.json")
    asked = parser.parse_args()
    folder = asked.out or Path(tempfile.mkdtemp(prefix="page-weight-"))
    run = unit_run(
        metrics=[f"metric{i}" for i in range(METRICS)],
        k=asked.units,
        n=asked.images,
        trials=TRIALS,
        observers=("",),
    )
    found = {"units": asked.units, "metrics": METRICS, "images": asked.images}
    found |= written(run, folder / "page")
    found |= single(run, folder / "single.html")
    found |= opened(folder / "page")
    text = json.dumps(found, indent=1)
    print(text)
    if asked.out:
        (folder / "page_weight.json").write_text(text + "\n", encoding="utf-8")
    else:
        shutil.rmtree(folder)


def written(run: UnitRun, folder: Path) -> dict[str, Any]:
    """Seconds to write the page, and bytes of its parts."""
    start = time.perf_counter()
    places(run, run.leaderboard())
    tables = time.perf_counter() - start
    start = time.perf_counter()
    page = write_page(run, folder)
    seconds = time.perf_counter() - start
    data = {file.name: file.stat().st_size for file in (folder / "data").iterdir()}
    trials = [size for name, size in data.items() if name.startswith("trials")]
    return {
        "seconds_statistics": round(tables, 2),
        "seconds_page": round(seconds, 2),
        "bytes_index": page.stat().st_size,
        "bytes_units_file": max(s for name, s in data.items() if name.startswith("units")),
        "bytes_trials_file": max(trials, default=0),
        "bytes_trials_all": sum(trials),
        "bytes_sprites": sum(f.stat().st_size for f in (folder / "sprites").iterdir()),
        "sheets": sum(1 for _ in (folder / "sprites").iterdir()),
    }


def single(run: UnitRun, path: Path) -> dict[str, Any]:
    """Seconds to write the page as a single file, and its bytes."""
    start = time.perf_counter()
    write_single(run, path)
    return {
        "seconds_single": round(time.perf_counter() - start, 2),
        "bytes_single": path.stat().st_size,
    }


def opened(folder: Path) -> dict[str, Any]:
    """Median seconds in Chromium: until a table sorts, to open the explorer, to show a unit's page."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        first = _first_bytes(browser, folder)
        rows = [_times(browser, folder) for _ in range(REPEATS)]
        browser.close()
    result = {
        name: round(statistics.median(row[name] for row in rows), 3)
        for name in rows[0]
        if name.startswith("seconds")
    }
    return {
        **result,
        "first_within_time": result["seconds_interactive"] <= FIRST_SECONDS,
        "bytes_first": first,
        "first_within_limit": first <= FIRST_BYTES,
        "bytes_explorer": rows[0]["bytes_explorer"],
        "load_average": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
    }


def _times(browser: Any, folder: Path) -> dict[str, float]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    start = time.perf_counter()
    page.goto((folder / "index.html").as_uri(), wait_until="commit")
    button = page.locator("table.board thead button").nth(1)
    sorted_heading = "!!document.querySelector('table.board th[aria-sort]:not([aria-sort=none])')"
    while True:
        if button.count() and page.locator("table.board.ready").count():
            button.click()
            if page.evaluate(sorted_heading):
                break
        page.wait_for_timeout(10)
    interactive = time.perf_counter() - start
    page.wait_for_load_state("load")
    before = len(requested)
    start = time.perf_counter()
    page.evaluate("document.getElementById('explorer-0').scrollIntoView({behavior: 'instant'})")
    page.locator("#explorer-0 .unit-card").first.wait_for()
    while page.evaluate("!!document.querySelector('.unit-card canvas:not([data-drawn])')"):
        page.wait_for_timeout(10)
    explorer = time.perf_counter() - start
    loaded = sum(_size(folder, url) for url in requested[before:])
    start = time.perf_counter()
    page.locator("#explorer-0 .unit-card a").nth(5).click()
    page.locator(".unit-page .trial").first.wait_for()
    unit = time.perf_counter() - start
    page.close()
    return {
        "seconds_interactive": interactive,
        "seconds_explorer": explorer,
        "seconds_unit": unit,
        "bytes_explorer": loaded,
    }


def _first_bytes(browser: Any, folder: Path) -> int:
    """Bytes of everything that the page loads while nobody touches it."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto((folder / "index.html").as_uri(), wait_until="load")
    page.wait_for_timeout(2000)
    page.close()
    return sum(_size(folder, url) for url in requested)


def _size(folder: Path, url: str) -> int:
    file = folder / url.removeprefix(folder.as_uri()).lstrip("/")
    return file.stat().st_size if file.is_file() else 0


if __name__ == "__main__":
    main()
