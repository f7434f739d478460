"""The page of two runs side by side, made from runs of random numbers."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from iibench.contract.reports import CaseReport
from iibench.report.comparison.images import ImageFiles
from iibench.report.comparison.page import MOST_CASES, change_text, write_comparison
from iibench.results.comparison.conditions import judge_conditions, read_condition
from iibench.results.comparison.runs import RunComparison, compare_runs
from iibench.results.run import Run
from tests.report.conftest import EVIL_LABEL, SyntheticRun, make_case, make_run

METHODS = ("neurons", "pca", "kmeans[k=8]")


def cases(shift: float = 0.0, label: str = "", k: int = 12) -> list[CaseReport]:
    """Three methods under two metrics; those of `lpips` are shifted for the first half of their units."""
    found = []
    for i, method in enumerate(METHODS):
        for metric in ("lpips", "color"):
            rng = np.random.default_rng([i, len(metric)])
            scores = list(rng.normal(-0.3, 0.05, k))
            if metric == "lpips":
                scores[: k // 2] = [s + shift * (j + 1) for j, s in enumerate(scores[: k // 2])]
            name = f"{method}{label}"
            found.append(make_case(name, f"{metric}{label}", scores, seeds={"finder": 1}))
    return found


def pair(shift: float = -0.01, label: str = "", **meta: Any) -> tuple[SyntheticRun, SyntheticRun]:
    """Two runs; in the second, units have moved and have other images at their first rank."""
    a, b = make_run(cases(label=label)), make_run(cases(shift, label), **meta)
    tops = b.tops.copy()
    first = (tops["rank"] == 0) & (tops["unit"] < 3)
    tops.loc[first, "image"] = 59
    return a, dataclasses.replace(b, tops=tops, pngs={**a.pngs, **b.pngs})


def written(found: RunComparison, folder: Path, *conditions: str) -> str:
    outcomes = judge_conditions([read_condition(text) for text in conditions], found)
    return write_comparison(found, folder, outcomes).read_text(encoding="utf-8")


def table(html: str, id: str) -> list[list[str]]:
    """Cells of a table's body, as text."""
    body = re.search(rf'<table[^>]*id="{id}".*?<tbody>(.*?)</tbody>', html, re.DOTALL)
    assert body is not None
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body.group(1), re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[" ".join(re.sub(r"<[^>]+>", " ", c).split()) for c in row] for row in cells]


def plot(folder: Path, number: int) -> dict[str, Any]:
    text = (folder / "data" / f"plots-{number}.js").read_text()
    found: dict[str, Any] = json.loads(text[text.index(",") + 1 : text.rindex(")")])
    return found[f"plot-{number}"]


def test_the_table_holds_every_case_changed_ones_first(tmp_path: Path) -> None:
    found = compare_runs(*pair())
    rows = table(written(found, tmp_path), "cases-table")
    assert len(rows) == 6
    assert [row[1] for row in rows] == ["lpips"] * 3 + ["color"] * 3
    for row, case in zip(rows, found.changed, strict=False):
        assert case.difference is not None
        assert row[5].startswith(f"{case.difference:.4f}".replace("-", "−"))
        assert row[7] == "6 of 12 units"
        assert row[8].endswith("unit 5")
    assert all(row[5] == "the same" and row[7] == "0 of 12 units" for row in rows[3:])


def test_a_scatter_holds_each_unit_once(tmp_path: Path) -> None:
    found = compare_runs(*pair())
    written(found, tmp_path)
    figure = plot(tmp_path, 0)
    case = found.changed[0]
    shown = {
        custom[0]: (x, y)
        for trace in figure["data"]
        for custom, x, y in zip(trace["customdata"], trace["x"], trace["y"], strict=True)
    }
    assert sorted(shown) == list(range(12))
    for unit, (x, y) in shown.items():
        assert x == pytest.approx(case.scores[0][unit], rel=1e-4)
        assert y == pytest.approx(case.scores[1][unit], rel=1e-4)
    assert {trace["name"] for trace in figure["data"]} == {
        "smaller in B (n = 6)",
        "the same (n = 6)",
    }
    assert figure["layout"]["xaxis"]["title"]["text"] == "score of the unit in A (similarity)"
    assert figure["layout"]["xaxis"]["range"] == figure["layout"]["yaxis"]["range"]


def test_units_that_changed_most_have_their_images_on_both_sides(tmp_path: Path) -> None:
    a, b = pair()
    found = compare_runs(a, b)
    html = written(found, tmp_path)
    sources = re.findall(r'<img src="(sprites/[^"]+)"', html)
    assert sources and all((tmp_path / source).is_file() for source in sources)
    files = list((tmp_path / "sprites").iterdir())
    assert len(files) == len(set(sources)) < len(sources)  # each image once
    section = html[html.index('id="case-0"') : html.index('id="case-1"')]
    case = found.changed[0]
    assert isinstance(case.a, CaseReport)
    order = [int(u) for u in re.findall(r"<h4>Unit (\d+)</h4>", section)]
    assert order == [5, 4, 3, 2, 1, 0]
    assert section.count("<img") == 6 * 10
    assert "rank 1 of unit 2 in B, not in the other run" in section
    assert 'rank 1 of unit 4 in B" title' in section
    assert section.count("The same images activate it most in both runs.") == 3


def test_images_that_are_not_kept_are_said_to_be(tmp_path: Path) -> None:
    a, b = pair()
    some = {key: png for key, png in a.pngs.items() if key[1] % 2}
    html = written(
        compare_runs(dataclasses.replace(a, pngs=some), dataclasses.replace(b, pngs=some)), tmp_path
    )
    assert ": this image is not kept in the run" in html
    none = [dataclasses.replace(run, pngs={}, tops=pd.DataFrame()) for run in (a, b)]
    html = written(compare_runs(*none), tmp_path)
    assert "Neither run has images of this unit." in html and "<img" not in html
    only = compare_runs(a, dataclasses.replace(b, tops=pd.DataFrame()))
    assert "Run B has no images of this unit." in written(only, tmp_path)


def test_images_end_with_their_budget() -> None:
    class Kept:
        def __init__(self) -> None:
            self.names: list[str] = []

        def data(self, name: str, value: Any) -> bool:
            return True

        def image(self, name: str, content: bytes) -> str:
            self.names.append(name)
            return name

    output = Kept()
    files = ImageFiles(output, budget=10)
    first = files.url(b"\x89PNGab")
    assert first is not None and first.endswith(".png")
    assert files.url(b"\x89PNGab") == first and len(output.names) == 1
    assert files.url(b"12345678") is None
    second = files.url(b"1234")
    assert second is not None and second.endswith(".jpg")


def test_cases_beyond_the_page_are_counted(tmp_path: Path) -> None:
    many = [make_case("pca", f"color[x={i}]", [0.1, 0.2, 0.3]) for i in range(MOST_CASES + 3)]
    moved = [dataclasses.replace(case, scores=(0.1, 0.2, 0.4)) for case in many]
    html = written(compare_runs(make_run(many), make_run(moved)), tmp_path)
    assert "The plots and images of 3 more changed cases are left out" in html
    assert len(table(html, "cases-table")) == MOST_CASES + 3


def test_settings_are_named_and_long_ones_shortened(tmp_path: Path) -> None:
    a, b = pair(seed=4, versions={"iibench": "0.2.0", "python": "3.11.9", "torch": "2.14"})
    b.meta["metrics"]["lpips"]["fingerprint"] = "e" * 64
    html = written(compare_runs(a, b), tmp_path)
    rows = table(html, "settings-table")
    assert ["seed", "run", "0", "4"] in rows
    assert ["iibench", "versions", "0.1.0", "0.2.0"] in rows
    assert ["lpips fingerprint", "metrics", "ffffffffffff…", "eeeeeeeeeeee…"] in rows
    assert f'title="{"e" * 64}"' in html


def test_units_that_are_not_the_same_get_boxes_and_the_reason(tmp_path: Path) -> None:
    a, b = pair()
    b.meta["models"]["net"]["weights_sha256"] = "d" * 64
    found = compare_runs(a, b)
    html = written(found, tmp_path)
    assert "Not compared unit by unit: the network&#39;s weights differ." in html
    assert "3 cases are not compared" not in html  # all six are
    assert "6 cases are not compared unit by unit" in html
    assert [trace["type"] for trace in plot(tmp_path, 0)["data"]] == ["box", "box"]
    assert all(row[7] == "not paired" for row in table(html, "cases-table"))


def test_a_case_that_failed_is_shown_with_its_reason(tmp_path: Path) -> None:
    a, b = pair(0.0)
    lost = dataclasses.replace(
        b.cases[0], status="error", reason="no <convergence>", summary=None, scores=(), reasons=()
    )
    b = dataclasses.replace(b, cases=(lost, *b.cases[1:]))
    html = written(compare_runs(a, b), tmp_path)
    assert "error: no &lt;convergence&gt;" in html
    row = table(html, "cases-table")[0]
    assert row[4] == "error" and row[5] == "no score in B"
    assert "1 case ended in another way" in html


def test_runs_that_share_no_case_say_why(tmp_path: Path) -> None:
    a = make_run([make_case("pca", "color", [0.1, 0.2], dataset="one")])
    b = make_run([make_case("pca", "color", [0.1, 0.2], dataset="two")])
    html = written(compare_runs(a, b), tmp_path)
    assert "dataset one in A, two in B" in html
    assert "1 case only in A" in html and "No case is in both runs." in html


def test_outcomes_of_conditions_are_on_the_page(tmp_path: Path) -> None:
    html = written(compare_runs(*pair()), tmp_path, "ii/lpips < -0.01", "|ii/color| > 0")
    assert "ii/lpips &lt; -0.01" in html and "for 3 of 3 cases" in html
    assert "for none of 3 cases" in html


def test_trials_show_margins_and_other_measures(tmp_path: Path, trial_run: Run) -> None:
    first, *rest = trial_run.trial_cases
    margins = tuple(None if m is None else m + 0.01 * i for i, m in enumerate(first.margins))
    moved = dataclasses.replace(
        first,
        margins=margins,
        measures=tuple(
            dataclasses.replace(m, value=None if m.value is None else m.value - 0.01)
            for m in first.measures
        ),
    )
    html = written(
        compare_runs(trial_run, dataclasses.replace(trial_run, trial_cases=(moved, *rest))),
        tmp_path,
    )
    assert "Other measures" in html
    assert f"<h4>Stimulus {len(margins) - 1}</h4>" in html
    assert plot(tmp_path, 0)["layout"]["xaxis"]["title"]["text"].startswith(
        "margin of the stimulus"
    )


def test_no_label_is_read_as_markup(tmp_path: Path) -> None:
    a, b = pair(label=f"[{EVIL_LABEL}]", name=EVIL_LABEL)
    b.meta["versions"][EVIL_LABEL] = EVIL_LABEL
    html = written(compare_runs(a, b), tmp_path)
    assert "<img src=x" not in html

    class Images(HTMLParser):
        found: list[str | None] = []  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "img":
                self.found.append(dict(attrs).get("src"))

    parser = Images()
    parser.feed(html)
    assert parser.found and all(s and s.startswith("sprites/") for s in parser.found)
    for file in (tmp_path / "data").iterdir():
        assert "<" not in file.read_text()


def test_the_page_names_no_path_of_the_machine(tmp_path: Path) -> None:
    a, b = pair()
    a = dataclasses.replace(a, folder=tmp_path / "before")
    html = written(compare_runs(a, b), tmp_path / "page")
    assert str(tmp_path) not in html and "folder before" in html


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((-0.0175, -0.03, -0.0067), ("−0.0175", "[−0.0300, −0.0067]")),
        ((0.5,), ("+0.500", "")),
        ((-123.4, -200.0, 5.0), ("−123", "[−200, +5]")),
        ((-2e-9, -3.37e-9, 0.0), ("−2.00e−9", "[−3.37e−9, 0]")),
        ((-1e-9, -0.0145, 0.0143), ("0.0000", "[−0.0145, +0.0143]")),
        ((0.0, None, None), ("0", "")),
        ((None,), ("–", "")),
    ],
)
def test_no_change_is_shown_as_zero_that_is_none(
    values: tuple[float | None, ...], shown: tuple[str, str]
) -> None:
    assert change_text(*values) == shown
