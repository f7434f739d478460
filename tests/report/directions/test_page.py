"""The page's content and escaping, read as HTML."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iibench.contract.measures import Section
from iibench.contract.reports import Verdict
from iibench.report import page as pages
from iibench.report.directions.plots import MOST_OUTLIERS
from iibench.report.page import write_page, write_single
from iibench.report.shared.script_json import script_json
from iibench.results.run import Run
from tests.report.conftest import Kept, SyntheticRun, full_cases, make_case, make_run

EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)>&amp;'


def render(run: Run, sections: Sequence[Section] = ()) -> str:
    return pages.render(run, Kept(), sections)


def plots_of(run: Run) -> dict[str, Any]:
    """What plotly draws on the page of the run."""
    kept = Kept()
    pages.render(run, kept)
    return kept.plots


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

    def table(self, caption: str) -> dict[str, dict[str, str]]:
        """Rows of the table with this caption, by method: heading -> cell, with single spaces."""
        rows = self.tables[self.captions.index(caption)]
        words = [[" ".join(cell.split()) for cell in row] for row in rows]
        return {row[0]: dict(zip(words[0], row, strict=False)) for row in words[1:]}


@pytest.fixture(scope="module")
def kept() -> Kept:
    return Kept()


@pytest.fixture(scope="module")
def html(small_run: SyntheticRun, kept: Kept) -> str:
    return pages.render(
        small_run, kept, [Section("Extra", ("A paragraph.",), ((("a", "b"), (("1", "2"),)),))]
    )


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
    assert list(rows) == list(board.index)
    mean = "Mean [95 % interval]"
    for finder, row in board.iterrows():
        cells = rows[str(finder)]
        assert f"{abs(row['mean']):.4f}" in cells[mean] and f"{abs(row['low']):.4f}" in cells[mean]
        assert cells["K"] == f"{row['k']}"
        assert cells["Scored / unscored"] == f"{row['n_scored']} / {row['dead']}"
        assert cells["Sparseness"] == f"{row['sparseness']:.2f}"
        ranks = dict.fromkeys([row["rank_low"], row["rank_high"]])
        assert cells["Rank"] == f"{'–'.join(map(str, ranks))} {row['tie_group']}"
        for name, of, low, p in (
            ("neurons", "diff_to_baseline", "diff_low", "p_holm"),
            ("random", "diff_to_control", "control_low", "control_p_holm"),
        ):
            cell = cells[f"Difference to {name}"]
            if str(finder).startswith(name):
                assert cell == "baseline"
                continue
            assert f"{abs(row[of]):.4f}" in cell and f"{abs(row[low]):.4f}" in cell
            expected = "p <0.001" if row[p] < 0.001 else f"p = {row[p]:.3f}"
            assert cell.endswith(expected)
    assert "-0." not in " ".join(" ".join(cells.values()) for cells in rows.values())
    assert "1 × dead: no response" in page.text
    assert "n = 12 to 51 scored units a method." in page.text
    assert "bootstrap over units (directions); p: Mann-Whitney, Holm over the column" in page.text


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
    mean = page.table("insilico[difficulty=0] under lpips")["neurons"][
        "Mean [95 % interval]"
    ].split()[0]
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
    assert "error did not converge" in page.table("ii under color")["sae[z=64]"]["Rank"]
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
    (plot,) = plots_of(make_run(cases)).values()
    assert plot["data"][-1]["x"] == [0, 0.1]
    assert "1 of its 3 cases did not pass" in page.text and "too few images" in page.text
    assert "1 of its" not in Page(render(make_run(cases[:2]))).text


def test_how_it_was_computed(page: Page) -> None:
    for words in (
        "How ii is measured.",
        "Minus the distance color. Similarity in (-inf, 0].",
        "Difference to neurons, to random",
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


def test_plots(page: Page, kept: Kept) -> None:
    plots = kept.plots
    boxes = [p for p in plots.values() if p["data"][0]["type"] == "box"]
    lines = [p for p in plots.values() if p["data"][0]["type"] == "scatter"]
    assert len(boxes) == 4 + 1 + 4  # whole metrics with a score, the taps, and split halves
    assert len(lines) == 3  # two_sided has one difficulty: nothing to draw a line through
    shown = [a for _, a in page.elements if a.get("class") == "plot"]
    assert {a["id"] for a in shown} == set(plots)
    for attributes in shown:
        assert attributes["role"] == "img" and attributes["aria-label"]
        assert attributes["id"] in kept.values[attributes["data-plots"] or ""]
    for plot in plots.values():
        for axis in ("xaxis", "yaxis"):
            found = plot["layout"][axis]
            assert found.get("title", {}).get("text") or found["ticktext"]
    figures = sum(tag == "figure" for tag, _ in page.elements)
    assert figures == sum(tag == "figcaption" for tag, _ in page.elements) == len(plots)
    assert figures == sum("csv" in (a.get("class") or "") for _, a in page.elements)
    for plot in lines:
        curves = [t for t in plot["data"] if t["mode"] == "lines+markers"]
        assert len(curves) == 9 and all(len(c["x"]) == 10 for c in curves)
        assert plot["layout"]["shapes"][0]["y0"] == 0.5


def scores(run: SyntheticRun, finder: str) -> list[float]:
    case = next(
        c for c in run.cases if c.finder.label == finder and c.metric and c.metric.label == "lpips"
    )
    return [s for s in case.scores if s is not None]


def test_boxes_are_the_quartiles_and_points_the_units(small_run: SyntheticRun, kept: Kept) -> None:
    scored = scores(small_run, "nmf")
    data = kept.plots["plot-0-0-0-0"]["data"]
    at = next(i for i, trace in enumerate(data) if trace.get("name") == "nmf")
    box, points = data[at], data[at + 1]
    quartiles = [box["q1"][0], box["median"][0], box["q3"][0]]
    np.testing.assert_allclose(quartiles, np.quantile(scored, [0.25, 0.5, 0.75]), rtol=1e-4)
    np.testing.assert_allclose(points["x"], scored, rtol=1e-4)
    assert points["customdata"] == list(range(1, len(scored) + 1))  # unit 0 is unscored
    assert points["meta"] == {"series": "nmf", "columns": {"unit": "customdata", "score": "x"}}


def test_halves_are_split_at_the_median_of_a_method(small_run: SyntheticRun, kept: Kept) -> None:
    scored = sorted(scores(small_run, "nmf"))
    assert len(scored) % 2 == 0
    traces = {t["name"]: t for t in kept.plots["plot-0-0-halves-0"]["data"]}
    for side, half in (
        ("lower", scored[: len(scored) // 2]),
        ("upper", scored[len(scored) // 2 :]),
    ):
        box = traces[f"nmf, {side} half (n = {len(half)})"]
        np.testing.assert_allclose(box["median"][0], np.median(half), rtol=1e-4)
        np.testing.assert_allclose(box["mean"][0], np.mean(half), rtol=1e-4)


@pytest.mark.slow
def test_many_units_leave_only_the_furthest_as_points() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_t(2, 70_000)
    plots = plots_of(make_run([make_case("pca", "lpips", list(values))]))
    box, points = plots["plot-0-0-0-0"]["data"]
    beyond = values[(values < box["lowerfence"][0]) | (values > box["upperfence"][0])]
    assert len(points["x"]) == MOST_OUTLIERS < len(beyond)
    assert np.abs(points["x"]).max() == pytest.approx(np.abs(beyond).max(), rel=1e-4)
    furthest = np.sort(np.abs(values - np.median(values)))[-MOST_OUTLIERS]
    assert np.abs(np.array(points["x"]) - np.median(values)).min() == pytest.approx(
        furthest, rel=1e-3
    )


def test_headings_go_down_one_level_at_a_time(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    tags = dict(page.elements[:3])
    assert tags["html"] == {"lang": "en"}


def test_nothing_points_out_of_the_folder(html: str, page: Page) -> None:
    links = [v for _, a in page.elements for k, v in a.items() if k in {"src", "href"} and v]
    assert all(link.startswith("#") or "/" not in link for link in links), links
    assert "//cdn" not in html and not re.search(r"""(src|href)=["']?(https?:)?//""", html)


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
    card = {
        "definition": EVIL,
        "citation": EVIL,
        "bibtex": EVIL,
        "licence": EVIL,
        "version": EVIL,
        "plugin": EVIL,
        "params": {EVIL: EVIL},
        "parameters": [{"name": EVIL, "type": EVIL, "default": EVIL, "help": EVIL}],
        "assets": [EVIL],
    }
    run.meta["finders"] = {finder: {"name": EVIL, "summary": EVIL, **card}}
    run.meta["evaluations"]["ii"] |= {"unit": EVIL, "summary": EVIL, **card}
    run.meta["metrics"][metric] |= {
        **card,
        "summary": EVIL,
        "level": EVIL,
        "citation": EVIL,
        "fingerprint": EVIL,
        "range": EVIL,
    }
    kept = Kept()
    html = pages.render(run, kept, [Section(EVIL, (EVIL,), (((EVIL,), ((EVIL,),)),))])
    assert "<script>alert" not in html
    assert "<img" not in html
    page = Page(html)
    # theme, payload, embedded places, the page's own
    assert sum(tag == "script" for tag, _ in page.elements) == 4
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)
    assert page.text.count('alert("x")') > 20  # shown as text
    for text in _strings(kept.plots):
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
    assert "failed no direction could be scored" in page.table("ii under lpips")["ica"]["Rank"]
    assert plots_of(run) == {}


def test_one_method_alone() -> None:
    text = Page(render(make_run([make_case("pca", "lpips", [0.1, 0.3, 0.2])]))).text
    assert "It is the only method with a score" in text


def test_without_neurons_there_is_no_difference_to_them() -> None:
    rng = np.random.default_rng(0)
    run = make_run([make_case(f, "lpips", rng.normal(size=20)) for f in ("pca", "ica")])
    page = Page(render(run))
    rows = page.table("ii under lpips")
    assert rows["pca"]["Difference to baseline"] == "no baseline"
    assert rows["pca"]["Difference to control"] == "no control"
    reason = "No difference to baseline: there are no scores of a baseline to compare with."
    assert reason in page.text


def test_a_single_unit_has_no_interval() -> None:
    run = make_run([make_case("pca", "lpips", [0.25]), make_case("neurons", "lpips", [0.1, 0.2])])
    rows = Page(render(run)).table("ii under lpips")
    assert rows["pca"]["Mean [95 % interval]"] == "0.2500 no interval: one unit"
    assert rows["pca"]["SD"] == "one unit"
    assert rows["pca"]["Difference to neurons"].startswith("+0.1000 no interval")


def test_equal_scores_everywhere() -> None:
    run = make_run([make_case(f, "label", [1.0] * 6) for f in ("neurons", "pca")])
    rows = Page(render(run)).table("ii under label")
    assert rows["pca"]["Rank"] == rows["neurons"]["Rank"] == "1–2 a"
    assert rows["pca"]["p to neurons"] == "1.000" and rows["pca"]["Effect"] == "0.50"


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
    assert len(plots_of(run)) == 2  # and split halves


def test_datasets_and_layers_never_share_a_table() -> None:
    rng = np.random.default_rng(0)
    places = [("a", "layer1"), ("a", "layer2"), ("b", "layer1"), ("b", "layer2")]
    cases = [
        make_case(finder, "lpips", rng.normal(size=9), dataset=dataset, layer=layer)
        for dataset, layer in places
        for finder in ("neurons", "pca")
    ]
    page = Page(render(make_run(cases)))
    boards = [i for i, caption in enumerate(page.captions) if caption == "ii under lpips"]
    assert len(boards) == 4 and not any(
        page.captions[i] for i in range(len(page.captions)) if i not in boards
    )
    assert all(len(page.tables[i]) == 3 for i in boards)
    for dataset, layer in places:
        assert f"{layer} of net on {dataset}" in page.text


# ------------------------------------------------------------------------- answers, controls


def test_a_method_that_wins_under_all_metrics_is_said_so_once() -> None:
    rng = np.random.default_rng(0)
    cases = [
        make_case(finder, metric, rng.normal(i, 0.1, 30))
        for metric in ("lpips", "color", "label")
        for i, finder in enumerate(("neurons", "pca"))
    ]
    page = Page(render(make_run(cases)))
    expected = (
        "ii : pca has the highest mean under all 3 metrics (lpips, color, label); "
        "certain under all of them."
    )
    assert expected in page.text
    assert "2 more" in page.text  # the sentences of the other two metrics


def test_few_sentences_are_seen_at_once(html: str) -> None:
    shown = html[html.index('<section id="answers">') : html.index('<details class="more">')]
    assert shown.count("<li>") <= 6
    assert "against neurons" in shown and "against random directions" in shown


def controlled(neurons: float) -> SyntheticRun:
    """Accuracies of neurons under a metric and under a control that guesses."""
    rng = np.random.default_rng(0)
    label = "insilico[difficulty=0]"
    cases = [
        make_case(finder, metric, rng.normal(mean, 0.01, 40), label)
        for finder in ("neurons", "pca")
        for metric, mean in (("lpips", neurons), ("shuffled", 0.5))
    ]
    run = make_run(cases)
    run.meta["metrics"]["shuffled"]["level"] = "control"
    return run


def test_controls_are_marked_and_win_nothing() -> None:
    html = render(controlled(0.9))
    page = Page(html)
    assert "insilico[difficulty=0] under shuffled control" in page.captions
    answers = html[html.index('<section id="answers">') : html.index('role="search"')]
    assert "lpips" in answers and "shuffled" not in answers
    assert "Caution" not in html[: html.index('id="cards"')]


def test_a_metric_that_does_not_beat_the_control_gets_a_warning() -> None:
    text = Page(render(controlled(0.49))).text
    assert "Caution Under lpips the neurons reach 0.489" in text
    assert "which is not above the control shuffled with 0.50" in text


# -------------------------------------------------------------------------------- the files


@pytest.mark.slow
def test_files_are_written_whole_and_libraries_only_once(
    tmp_path: Path, small_run: SyntheticRun
) -> None:
    path = write_page(small_run, tmp_path)
    assert path == tmp_path / "index.html"
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"index.html", "assets", "data", "sprites", "iibench-files.json"}
    assert {p.name for p in (tmp_path / "assets").iterdir()} == {"plotly.min.js", "tables.js"}
    script = tmp_path / "assets" / "plotly.min.js"
    assert "plotly.js" in script.read_text("utf-8")[:200]
    before = script.stat().st_mtime_ns
    path.unlink()
    write_page(small_run, tmp_path)
    assert script.stat().st_mtime_ns == before
    assert path.read_text("utf-8").startswith("<!doctype html>")


def test_a_single_file_holds_everything(tmp_path: Path, small_run: SyntheticRun) -> None:
    path = write_single(small_run, tmp_path / "page.html")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    html = path.read_text("utf-8")
    assert path.stat().st_size < 20_000_000
    for block in ("library-plotly.min.js", "library-tables.js", "data-plots-0-0"):
        assert f'id="{block}"' in html


@pytest.mark.slow
def test_a_run_of_the_papers_size_is_small(tmp_path: Path) -> None:
    run = make_run(full_cases())
    page = write_page(run, tmp_path)
    assert page.stat().st_size < 5_000_000
