"""The page's content and escaping, read as HTML."""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iibench.records import Section, Verdict
from iibench.report.base import script_json
from iibench.report.page import render, write_page

from .conftest import SyntheticRun, full_cases, make_case, make_run

EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)>&amp;'


class Page(HTMLParser):
    """The page's elements and text; the text of scripts and styles apart."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.pieces: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.captions: list[str] = []
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "br", "img", "line", "rect", "input"}:
            self._inside.append(tag)
        if tag == "script":
            self.scripts.append("")
        elif tag == "table":
            self.tables.append([])
            self.captions.append("")
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if "script" in self._inside:
            self.scripts[-1] += data
        elif "style" not in self._inside and "svg" not in self._inside:
            self.pieces.append(data)
            if "caption" in self._inside:
                self.captions[-1] += data
            elif "td" in self._inside or "th" in self._inside:
                self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    @property
    def payload(self) -> Any:
        return json.loads(self.scripts[0])

    def table(self, caption: str) -> dict[str, list[str]]:
        """Rows of the table with this caption, by method, cells with single spaces."""
        rows = self.tables[self.captions.index(caption)]
        return {row[0].strip(): [" ".join(cell.split()) for cell in row] for row in rows}


@pytest.fixture(scope="module")
def html(small_run: SyntheticRun) -> str:
    return render(small_run, [Section("Extra", ("A paragraph.",), ((("a", "b"), (("1", "2"),)),))])


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_header_and_warning(page: Page) -> None:
    assert "CIFAR-10 was not found; photo_patches was used instead" in page.text
    assert "3 cases were deselected" in page.text
    banners = [a for tag, a in page.elements if (a.get("class") or "") == "banner"]
    assert len(banners) == 1
    assert "toy, n = 2,000 images, 32 × 32 px" in page.text
    assert "23 November 2026, 14:05 UTC" in page.text
    assert "378 passed, 1 error, 1 skipped" in page.text
    assert "1 met, 1 not met, 1 skipped" in page.text


def test_the_rows_hold_the_numbers_of_the_leaderboard(page: Page, small_run: SyntheticRun) -> None:
    board = small_run.leaderboard()
    board = board[(board.metric == "lpips") & (board.evaluation == "ii")].set_index("finder")
    rows = page.table("ii under lpips")
    names = list(rows)
    assert names[1:] == list(board.index)
    for finder, row in board.iterrows():
        cells = rows[str(finder)]
        assert f"{abs(row['mean']):.4f}" in cells[3] and f"{abs(row['low']):.4f}" in cells[3]
        assert cells[2] == str(row["k"])
        assert cells[7] == f"{row['n_scored']} / {row['k']}"
        if finder == "neurons":
            assert cells[8] == "baseline"
        else:
            assert f"{abs(row['diff_to_neurons']):.4f}" in cells[8]
            expected = "<0.001" if row["p_holm"] < 0.001 else f"{row['p_holm']:.3f}"
            assert cells[9] == expected
    assert "-0." not in " ".join(" ".join(cells) for cells in rows.values())
    assert "1 × dead: no response" in page.text


def test_tables_come_in_order_and_lines_only_at_the_lowest_value(page: Page) -> None:
    captions = page.captions
    assert captions[:5] == [
        f"ii under {m}" for m in ("lpips", "color", "label", "dreams", "lpips[input=paper2310]")
    ]
    assert "ii under lpips[3]" in captions
    assert "insilico[difficulty=0] under color" in captions
    assert not any("difficulty=0.05" in caption for caption in captions)
    assert "insilico[difficulty=0,observer=two_sided] under lpips" in captions


def test_accuracies_have_three_decimals(page: Page) -> None:
    mean = page.table("insilico[difficulty=0] under lpips")["neurons"][3].split()[0]
    assert len(mean.partition(".")[2]) == 3


def test_the_first_sentence_is_built_from_the_numbers(page: Page, small_run: SyntheticRun) -> None:
    board = small_run.leaderboard()
    best = board[(board.metric == "lpips") & (board.evaluation == "ii")].iloc[0]
    start = page.text.index("In ten seconds", page.text.index("Skip") + 100)
    sentence = page.text[start : start + 600]
    assert f"{best['finder']} has the highest mean, −{abs(best['mean']):.4f}" in sentence
    assert ("Certain" in sentence) == (best["rank_high"] == 1) or "Not certain:" in sentence


def test_certainty_follows_from_the_ranks() -> None:
    rng = np.random.default_rng(0)
    apart = [
        make_case("neurons", "lpips", rng.normal(0, 1, 99)),
        make_case("pca", "lpips", rng.normal(9, 1, 99)),
    ]
    alike = [
        make_case("neurons", "lpips", rng.normal(0, 1, 99)),
        make_case("pca", "lpips", rng.normal(0, 1, 99)),
    ]
    assert (
        "Certain within this run: every other method is separably lower"
        in Page(render(make_run(apart))).text
    )
    text = Page(render(make_run(alike))).text
    assert "may be first as well" in text and "Certain within" not in text


def test_expectations_have_symbols_and_words(page: Page) -> None:
    assert "✓ passed K-Means above neurons p = 0.001" in page.text
    assert "✗ failed PCA above K-Means p = 0.9" in page.text
    assert "– skipped On another dataset it is about cifar10" in page.text


def test_what_did_not_pass_is_shown_with_its_reason(page: Page) -> None:
    assert "error did not converge" in page.table("ii under color")["sae[z=64]"][1]
    assert "✗ error did not converge toy/net/layer1/sae[z=64]/color/ii" in page.text
    assert "– skipped no weights toy/net/layer1/pca/dreams/ii" in page.text


def test_cases_that_a_line_lacks_are_said_beside_it() -> None:
    rng = np.random.default_rng(0)
    cases = [
        make_case("pca", "lpips", rng.random(9), "insilico[difficulty=0]"),
        make_case("pca", "lpips", rng.random(9), "insilico[difficulty=0.1]"),
        make_case(
            "pca",
            "lpips",
            [],
            "insilico[difficulty=0.2]",
            status="error",
            summary=None,
            reason="too few images",
        ),
    ]
    page = Page(render(make_run(cases)))
    (plot,) = page.payload["plots"].values()
    assert plot["data"][-1]["x"] == [0, 0.1]
    assert "1 of its 3 cases did not pass" in page.text and "too few images" in page.text
    assert "1 of its" not in Page(render(make_run(cases[:2]))).text


def test_how_it_was_computed(page: Page) -> None:
    for words in (
        "the mean over all M·M ordered pairs, the M self-pairs included",
        "with AlexNet features, the sum over its five taps",
        "divide a sum by 5 before comparing",
        "Minus the distance color. Similarity in (-inf, 0].",
        "Computed at 32 × 32 pixels. Caution: below 64 × 64",
        "That is not a correct input",
        "10,000 resamples",
        "Mann-Whitney",
        "Holm-corrected",
        "iibench run synthetic.yaml",
        "torch 2.14",
        "d" * 64,
        "e" * 64,
        'iibench: "1" name: synthetic',
        "lpips_alex",
    ):
        assert words in page.text, words


@pytest.mark.parametrize(
    ("mean", "words"), [("eq1", "divided by M"), ("off_diagonal", "two different images")]
)
def test_the_average_that_was_used_is_named(mean: str, words: str) -> None:
    case = make_case("neurons", "lpips", [0.1, 0.2])
    named = dataclasses.replace(case.evaluation, params={"m": 3, "mean": mean})
    text = Page(render(make_run([dataclasses.replace(case, evaluation=named)]))).text
    assert words in text and "M = 3" in text


def test_lpips_at_a_validated_size_has_no_caution() -> None:
    run = make_run([make_case("neurons", "lpips", [0.1, 0.2])])
    run.meta["metrics"]["lpips"]["size"] = 64
    text = Page(render(run)).text
    assert "Computed at 64 × 64 pixels." in text and "Caution" not in text


def test_plots(page: Page) -> None:
    plots = page.payload["plots"]
    boxes = [p for p in plots.values() if p["data"][0]["type"] == "box"]
    lines = [p for p in plots.values() if p["data"][0]["type"] == "scatter"]
    assert len(boxes) == 4 + 1  # whole metrics with a score, and the taps
    assert len(lines) == 3  # two_sided has one difficulty: nothing to draw a line through
    assert {a["id"] for _, a in page.elements if a.get("class") == "plot"} == set(plots)
    for plot in plots.values():
        assert plot["layout"]["xaxis"]["title"]["text"]
    for _, attributes in page.elements:
        if attributes.get("class") == "plot":
            assert attributes["role"] == "img" and attributes["aria-label"]
    figures = sum(tag == "figure" for tag, _ in page.elements)
    assert figures == sum(tag == "figcaption" for tag, _ in page.elements) == len(plots)
    for plot in lines:
        curves = [t for t in plot["data"] if t["mode"] == "lines+markers"]
        assert len(curves) == 9 and all(len(c["x"]) == 10 for c in curves)
        assert plot["layout"]["shapes"][0]["y0"] == 0.5


def test_boxes_are_the_quartiles_and_points_the_units(small_run: SyntheticRun, page: Page) -> None:
    case = next(
        c
        for c in small_run.cases
        if c.finder.label == "nmf" and c.metric and c.metric.label == "lpips"
    )
    scored = [s for s in case.scores if s is not None]
    data = page.payload["plots"]["plot-0-0-0"]["data"]
    at = next(i for i, trace in enumerate(data) if trace.get("name") == "nmf")
    box, points = data[at], data[at + 1]
    quartiles = [box["q1"][0], box["median"][0], box["q3"][0]]
    np.testing.assert_allclose(quartiles, np.quantile(scored, [0.25, 0.5, 0.75]), rtol=1e-4)
    np.testing.assert_allclose(points["x"], scored, rtol=1e-4)
    assert points["customdata"] == list(range(1, len(case.scores)))  # unit 0 is unscored


def test_the_gallery_opens_with_neurons_and_the_best_other_method(page: Page) -> None:
    payload = page.payload
    entries = payload["galleries"]["place-0"]
    assert payload["baseline"] == "neurons"
    assert payload["alternative"] not in {"", "neurons"}
    assert {e["measure"] for e in entries} == {
        f"ii · {m}" for m in ("lpips", "color", "label", "lpips[input=paper2310]")
    }
    assert entries[0]["measure"] == "ii · lpips"
    assert all(uri.startswith("data:image/png") for uri in payload["images"])


def test_headings_go_down_one_level_at_a_time(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    tags = dict(page.elements[:3])
    assert tags["html"] == {"lang": "en"}


def test_nothing_points_out_of_the_folder(html: str, page: Page) -> None:
    links = [v for _, a in page.elements for k, v in a.items() if k in {"src", "href"} and v]
    assert all(link.startswith("#") or "/" not in link for link in links), links
    assert "http://" not in html and "https://" not in html


def test_sections_of_plugins(page: Page) -> None:
    assert "A paragraph." in page.text
    assert [["a", "b"], ["1", "2"]] in page.tables


# --------------------------------------------------------------------------------- escaping


def test_text_from_outside_is_escaped_everywhere() -> None:
    rng = np.random.default_rng(0)
    finder, metric = f"pca[{EVIL}]", f"color[{EVIL}]"
    cases = [
        make_case("neurons", metric, rng.normal(size=9), dataset=EVIL),
        make_case(finder, metric, rng.normal(size=9), dataset=EVIL, notes=(EVIL,)),
        make_case(
            finder,
            None,
            [],
            dataset=EVIL,
            status="error",
            reason=EVIL,
            traceback=EVIL,
            summary=None,
        ),
        make_case("ica", metric, [None, 0.1], dataset=EVIL, reasons=(EVIL, None)),
    ]
    run = make_run(
        cases,
        [Verdict(EVIL, "failed", EVIL)],
        notes=[{"level": "warning", "text": EVIL}, {"level": "info", "text": EVIL}],
        name=EVIL,
        command=EVIL,
        device=EVIL,
        suite={"name": EVIL, "description": EVIL, "path": EVIL, "sha256": "", "text": EVIL},
        versions={EVIL: EVIL},
        plugins=[{"name": EVIL, "source": EVIL, "reason": EVIL}],
        assets={EVIL: {"filename": EVIL, "sha256": EVIL}},
    )
    run.meta["evaluations"]["ii"] |= {"unit": EVIL, "summary": EVIL}
    run.meta["metrics"][metric] |= {
        "summary": EVIL,
        "citation": EVIL,
        "fingerprint": EVIL,
        "range": EVIL,
    }
    html = render(run, [Section(EVIL, (EVIL,), (((EVIL,), ((EVIL,),)),))])
    assert "<script>alert" not in html
    assert "<img" not in html
    page = Page(html)
    assert sum(tag == "script" for tag, _ in page.elements) == 3
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)
    assert page.text.count('alert("x")') > 20  # shown as text
    for text in _strings(page.payload["plots"]):
        assert "<script" not in text and "<img" not in text  # plotly reads tags in its labels


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [s for key, v in value.items() if key != "hovertemplate" for s in _strings(v)]
    if isinstance(value, list):
        return [s for v in value for s in _strings(v)]
    return [value] if isinstance(value, str) else []


def test_json_in_a_script_cannot_end_it() -> None:
    value = {"</script>": ["<!--", "&", "\u2028", 'quote"', "é"]}
    text = script_json(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json([float("nan")])


# ------------------------------------------------------------------------------- odd runs


def test_a_run_without_any_case() -> None:
    text = Page(render(make_run([]))).text
    assert "No case was run" in text and "Cases none" in text


def test_a_run_where_no_case_passed() -> None:
    run = make_run(
        [
            make_case("pca", "lpips", [], status="skipped", reason="no weights", summary=None),
            make_case(
                "ica", "lpips", [None, None], status="failed", reason="no direction could be scored"
            ),
        ]
    )
    page = Page(render(run))
    assert "no method has a score" in page.text
    assert "failed no direction could be scored" in page.table("ii under lpips")["ica"][1]
    assert page.payload["plots"] == {} and page.payload["galleries"] == {}


def test_one_method_alone() -> None:
    text = Page(render(make_run([make_case("pca", "lpips", [0.1, 0.3, 0.2])]))).text
    assert "It is the only method with a score" in text


def test_without_neurons_there_is_no_difference_to_them() -> None:
    rng = np.random.default_rng(0)
    run = make_run([make_case(f, "lpips", rng.normal(size=20)) for f in ("pca", "ica")])
    page = Page(render(run))
    rows = page.table("ii under lpips")
    assert rows["pca"][8] == "–" and rows["pca"][9] == ""
    assert page.payload["baseline"] == ""


def test_a_single_unit_has_no_interval() -> None:
    run = make_run([make_case("pca", "lpips", [0.25]), make_case("neurons", "lpips", [0.1, 0.2])])
    rows = Page(render(run)).table("ii under lpips")
    assert rows["pca"][3] == "0.2500" and rows["pca"][6] == "–"
    assert rows["pca"][8] == "+0.1000"


def test_equal_scores_everywhere() -> None:
    run = make_run([make_case(f, "label", [1.0] * 6) for f in ("neurons", "pca")])
    rows = Page(render(run)).table("ii under label")
    assert rows["pca"][1] == rows["neurons"][1] == "1–2"
    assert rows["pca"][9] == "1.000" and rows["pca"][10] == "0.50"


def test_an_interrupted_run_says_so() -> None:
    run = make_run([make_case("pca", "lpips", [0.1, 0.2])], interrupted=True)
    assert (
        "This run was interrupted: only the cases that had ended are shown"
        in Page(render(run)).text
    )


def test_an_evaluation_without_a_metric() -> None:
    run = make_run([make_case(f, None, [0.1, 0.2, 0.4], "activity") for f in ("neurons", "pca")])
    page = Page(render(run))
    assert "activity under no metric" in page.captions
    assert len(page.payload["plots"]) == 1


def test_datasets_and_layers_never_share_a_table() -> None:
    rng = np.random.default_rng(0)
    places = [("a", "layer1"), ("a", "layer2"), ("b", "layer1"), ("b", "layer2")]
    cases = [
        make_case(finder, "lpips", rng.normal(size=9), dataset=dataset, layer=layer)
        for dataset, layer in places
        for finder in ("neurons", "pca")
    ]
    page = Page(render(make_run(cases)))
    assert page.captions == ["ii under lpips"] * 4
    assert all(len(table) == 3 for table in page.tables)
    for dataset, layer in places:
        assert f"{layer} of net on {dataset}" in page.text
    assert set(page.payload["galleries"]) == {f"place-{i}" for i in range(4)}


# -------------------------------------------------------------------------------- the files


def test_files_are_written_whole_and_script_only_once(
    tmp_path: Path, small_run: SyntheticRun
) -> None:
    path = write_page(small_run, tmp_path)
    assert path == tmp_path / "index.html"
    assert {p.name for p in tmp_path.iterdir()} == {"index.html", "plotly.min.js"}
    script = tmp_path / "plotly.min.js"
    assert "plotly.js" in script.read_text("utf-8")[:200]
    before = script.stat().st_mtime_ns
    path.write_text("old")
    write_page(small_run, tmp_path)
    assert script.stat().st_mtime_ns == before
    assert path.read_text("utf-8").startswith("<!doctype html>")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.slow
def test_a_run_of_the_papers_size_is_small_and_fast(tmp_path: Path) -> None:
    run = make_run(full_cases())
    start = time.process_time()
    page = write_page(run, tmp_path)
    assert time.process_time() - start < 20  # about 2 s on a quiet machine
    assert page.stat().st_size < 5_000_000
