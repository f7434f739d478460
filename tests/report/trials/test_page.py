"""The page of a run on trials: what it says of made-up runs, read as HTML."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from iibench.contract.measures import Measure, Section
from iibench.contract.reports import Named
from iibench.contract.trials import TrialScores
from iibench.report.page import write_page
from iibench.report.trials import page as trial_page
from iibench.report.trials.page import is_synthetic
from iibench.results.run import Run
from tests.report.conftest import Kept
from tests.report.directions.test_page import EVIL, Page
from tests.report.trials import runs as made
from tests.report.trials.runs import OBSERVERS, articles, colours, report_of, rows_of, shown, value


def render_trials(run: Run, sections: Sequence[Section] = ()) -> str:
    return trial_page.render_trials(run, Kept(), sections)


def plots_of(run: Run) -> dict[str, Any]:
    """What plotly draws on the page of the run."""
    kept = Kept()
    trial_page.render_trials(run, kept)
    return kept.plots


@pytest.fixture(scope="module")
def run(trial_run: Run) -> Run:
    return trial_run


@pytest.fixture(scope="module")
def html(trial_html: str) -> str:
    return trial_html


@pytest.fixture(scope="module")
def page(trial_html: str) -> Page:
    return Page(trial_html)


# ------------------------------------------------------------------------------ header, words


def test_header(page: Page) -> None:
    for words in (
        "60 of 12 units",
        "Answers 180",
        "Images 1,200, 8 × 8 px",
        "6 passed, 1 failed, 1 skipped",
        "1 met, 0 not met, 0 skipped",
        "made of flat colours",
        "✓ passed colour follows people",
        "From a plugin.",
        "iibench run t.yaml",
        "– skipped no weights put them there",
    ):
        assert words in page.text, words
    assert not any("banner" in (a.get("class") or "") for _, a in page.elements)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("note", "synthetic"),
    [
        ("SYNTHETIC: no person gave these answers. More.", True),
        ("The answers are SYNTHETIC", True),
        ("From the release of 2023. SYNTHETIC references are those of the units.", False),
        ("synthetic references are called optimized", False),
    ],
)
def test_synthetic_data_cannot_be_missed(
    run: Run, tmp_path: Path, note: str, synthetic: bool
) -> None:
    meta = {k: v for k, v in run.meta.items() if k != "datasets"}
    split = {**run.meta["datasets"]["toy"]["splits"]["evaluate"], "notes": [note]}
    meta["datasets"] = {"toy": {"splits": {"evaluate": split}}}
    changed = dataclasses.replace(run, meta=meta)
    page = Page(render_trials(changed))
    assert is_synthetic(note) == synthetic
    banners = [a for _, a in page.elements if "banner" in (a.get("class") or "").split()]
    assert len(banners) == synthetic
    assert ("SYNTHETIC DATA" in page.text) == synthetic
    captions = page.text.count("Synthetic data.")
    assert captions == (len(plots_of(changed)) if synthetic else 0)
    assert page.text.count(note) == 1 + synthetic  # and among what was kept


def test_the_first_answer_is_built_from_the_numbers(run: Run, page: Page) -> None:
    board = run.leaderboard()
    board = board[board["evaluation"] == OBSERVERS[0]]
    best = board.iloc[0]
    report = report_of(run, OBSERVERS[0], best["metric"])
    start = page.text.index(f"{OBSERVERS[0]} : {best['metric']} agrees best with people: AUC")
    sentence = page.text[start : page.text.index(f"{OBSERVERS[1]} :", start)]
    assert shown(best["value"]) in sentence and f"({best['n']:,} answers" in sentence
    share = value(report, "auc_of_ceiling").value
    assert share is not None and f"{shown(100 * share, 0)} %" in sentence
    certain = (board["rank_low"] == 1).sum() == 1
    assert ("Certain within" in sentence) == certain != ("Not certain:" in sentence)
    gap = value(report, "agreement").value - value(report, "always_right").value  # type: ignore[operator]
    assert f"({'+' if gap > 0 else ''}{shown(gap)})" in sentence
    assert f"It is right on {shown(value(report, 'insilico_accuracy').value)}" in sentence
    accuracy = value(report_of(run, "human_accuracy", None), "human_accuracy")
    assert f"human_accuracy : human accuracy {shown(accuracy.value)}" in page.text


def certain(values: Sequence[float], tmp_path: Path) -> str:
    """The page of a few metrics whose headline is the same in every resample."""
    rng = np.random.default_rng(0)
    reports = []
    for i, v in enumerate(values):
        scores = TrialScores(
            (Measure("auc", v, {}, v - 0.01, v + 0.01, 99, 9, 9),),
            resampled=v + rng.normal(0, 1e-4, 60),
        )
        reports.append(made.report("toy", f"m{i}", Named("human", "human"), scores, "auc"))
    return Page(render_trials(made.write(tmp_path, reports, None))).text


@pytest.mark.slow
def test_certainty_follows_from_the_ranks(tmp_path: Path) -> None:
    assert "m0 agrees best with people: AUC 0.800" in certain([0.8, 0.7], tmp_path / "a")
    assert "Certain within this run" in certain([0.8, 0.7], tmp_path / "a")
    alike = certain([0.8, 0.8, 0.8, 0.8, 0.8, 0.8], tmp_path / "b")
    assert "m1, m2, m3 and 2 more may be first as well" in alike
    assert "Certain within" not in alike
    alone = certain([0.505], tmp_path / "c")
    assert "It is the only metric with a score" in alone
    assert "the interval reaches chance, 0.50" in alone


# ------------------------------------------------------------------------------------ tables


def test_the_leaderboard_holds_the_numbers(run: Run, page: Page) -> None:
    board = run.leaderboard()
    board = board[board["evaluation"] == OBSERVERS[0]].set_index("metric")
    rows = rows_of(page, f"{OBSERVERS[0]}: AUC of every metric")
    names = [name.removesuffix(" ✗ failed") for name in rows]
    assert names[1:] == list(board.index) and names[-1] == "far"
    assert rows["far"][1].startswith("skipped no weights (")
    assert sum(name.endswith("✗ failed") for name in rows) == 1
    head = rows["Metric"]
    for name, cells in zip(names[1:-1], list(rows.values())[1:-1], strict=True):
        row, report = board.loc[name], report_of(run, OBSERVERS[0], name)
        cell = dict(zip(head, cells, strict=True))
        low, high = shown(row["low"]), shown(row["high"])
        assert cell["AUC [95 % interval]"] == f"{shown(row['value'])} [{low}, {high}]"
        share = value(report, "auc_of_ceiling").value
        assert share is not None
        assert cell["Share of ceiling"].startswith(f"{shown(100 * share, 0)} % [")
        if name == board.index[0]:
            assert cell["Difference to best"] == "best" and cell["p (Holm)"] == ""
        else:
            ends = f"[{shown(row['diff_low'])}, {shown(row['diff_high'])}]"
            assert cell["Difference to best"] == f"{shown(row['diff_to_best'])} {ends}"
            assert cell["p (Holm)"] == shown(row["p_holm"])
        ranks = sorted({int(row["rank_low"]), int(row["rank_high"])})
        assert cell["Rank"] == "–".join(map(str, ranks))
        for title, measure, beside, words in (
            ("In-silico accuracy", "insilico_accuracy", None, ""),
            ("Agreement", "agreement", "always_right", "against always right"),
            ("Log-likelihood", "log_likelihood", "log_likelihood_constant", "a constant rate"),
        ):
            found = value(report, measure)
            assert found.value is not None
            places = 4 if measure == "log_likelihood" else 3
            assert cell[title].startswith(shown(found.value, places))
            if beside:
                gap = found.value - (value(report, beside).value or 0)
                assert shown(gap, places).lstrip("−") in cell[title] and words in cell[title]
        assert [cell[h] for h in ("Answers", "Stimuli", "Units")] == ["180", "60", "12"]
    people = ("Ceiling of the AUC", "Human accuracy", "Always right", "Reliability of units")
    report = report_of(run, OBSERVERS[0], "colour")
    for title, name in zip(
        people, ("auc_ceiling", "human_accuracy", "always_right", "reliability"), strict=True
    ):
        assert f"{title} {shown(value(report, name).value)}" in page.text


def test_correlations_over_units(run: Run, page: Page) -> None:
    rows = rows_of(page, "Unit by unit")
    head = rows["Metric"]
    assert head[1] == "Interpretability Index:Pearson’s r"
    for metric in made.METRICS:
        report = report_of(run, OBSERVERS[0], metric)
        cells = rows[metric]
        assert cells[1].startswith(shown(value(report, "pearson_ii").value))
        part = value(report, "pearson_ii_of_ceiling").value
        assert cells[2] == ("undefined" if part is None else f"{shown(100 * part, 0)} %")
        assert cells[3].startswith(shown(value(report, "spearman_ii").value))


def test_every_group_has_a_row(run: Run, page: Page) -> None:
    frame = run.measures()
    frame = frame[(frame["evaluation"] == OBSERVERS[0]) & (frame["measure"] == "auc")]
    groups = frame[frame["group"] != "{}"]["group"].unique()
    tables = {
        text: page.tables[i]
        for i, text in enumerate(page.captions)
        if text.startswith(f"{OBSERVERS[0]} by ")
    }
    whole = {text: rows for text, rows in tables.items() if text.endswith(": AUC")}
    parts = [rows for text, rows in tables.items() if text.endswith(": AUC, parts of metrics")]
    assert sum(len(rows) - 1 for rows in whole.values()) == len(groups)
    assert sum(len(rows) - 1 for rows in parts) == len(groups)
    assert all(rows[0][-4].strip() == "colour[r]" for rows in parts)
    rows = whole[f"{OBSERVERS[0]} by model, layers, confidence: AUC"]
    head = [cell.strip() for cell in rows[0]]
    assert head[:3] == ["model", "layers", "confidence"]
    assert set(head[3:5]) == {"colour", "blue"}
    assert head[5:] == ["Human accuracy", "Ceiling of the AUC", "Answers", "Stimuli", "Units"]
    for row in rows[1:]:
        cells = [" ".join(cell.split()) for cell in row]
        group = dict(zip(head[:3], cells[:3], strict=True))
        for i, name in ((3, head[3]), (4, head[4])):
            found = value(report_of(run, OBSERVERS[0], name), "auc", group)
            expected = "undefined" if found.value is None else shown(found.value)
            assert cells[i].startswith(expected)
        assert cells[5].startswith(
            shown(value(report_of(run, OBSERVERS[0], "blue"), "human_accuracy", group).value)
        )
    reason = "all answers are the same, so there is no ROC curve"
    assert f"Undefined: 2 × {reason}" in page.text
    assert any(a.get("title") == reason for _, a in page.elements)


def test_evaluations_side_by_side(run: Run, page: Page) -> None:
    rows = rows_of(page, "AUC of every metric under each evaluation")
    assert rows["Metric"][1:] == list(OBSERVERS)
    for metric in made.METRICS:
        for label, cell in zip(OBSERVERS, rows[metric][1:], strict=True):
            assert cell.startswith(shown(value(report_of(run, label, metric), "auc").value))
    assert rows["far"][1:] == ["no score", "no score"]


def test_published_values_are_matched_by_measure_and_group(run: Run, page: Page) -> None:
    a, b = (page.tables[page.captions.index(source)] for source in "AB")
    a = {row[0].strip(): [" ".join(cell.split()) for cell in row] for row in a}
    ours = value(report_of(run, OBSERVERS[0], "colour"), "auc", {"model": "net0"})
    assert ours.value is not None
    cells = a["model net0"]
    assert cells[1:6] == ["colour", OBSERVERS[0], "AUC", "0.700", "90"]
    assert cells[6].startswith(shown(ours.value)) and cells[7] == str(ours.n)
    assert cells[8].lstrip("+−") == shown(abs(ours.value - 0.7))
    assert a["all answers"][1] == "no metric" and a["all answers"][3] == "Human accuracy"
    last = [" ".join(row[-1].split()) for row in b[1:]]
    assert last[1:] == [
        "not in this run",
        "not in this run: it has no such group or measure",
        "skipped: no weights",
        "undefined: all answers are the same, so there is no ROC curve",
    ]


def test_without_references_there_is_no_such_section(run: Run) -> None:
    bare = dataclasses.replace(run, meta={**run.meta, "references": []})
    assert "Published values" not in Page(render_trials(bare)).text


def test_only_tables_that_exist_are_pointed_to(page: Page, tmp_path: Path) -> None:
    def links(page: Page) -> set[str]:
        found = {a.get("href") or "" for tag, a in page.elements if tag == "a"}
        return {link for link in found if not link.startswith("#")}

    names = ("measures", "trials", "answers", "margins", "unit_measures", "curves", "resamples")
    assert links(page) == {"leaderboard.csv", "run.json", *(f"{n}.parquet" for n in names)}
    failed = [made.unscored("toy", "far", "human", "error", "wrong")]
    alone = made.write(tmp_path, failed, None)
    bare = Page(render_trials(alone))
    assert links(bare) == {"leaderboard.csv", "run.json"}
    assert "no metric has a score (wrong)" in bare.text
    assert plots_of(alone) == {}


def test_every_measure_is_defined(run: Run, page: Page) -> None:
    terms = page.text[page.text.index("How this was computed", 2000) :]
    for words in (
        "Area under the ROC curve: the chance that an answer that is right",
        "from a beta-binomial fit",
        "Each answer is scored by the share of the other answers",
        "Agreement of an observer that always chooses the right query",
        "sigmoid(k × margin)",
        "Spearman-Brown",
        "Correlation over units between human accuracy and a number",
        "How alike the positive references of the unit's stimuli are",
        "(value − chance) / (ceiling − chance)",
        "the most similar positive reference (Eq. 2)",
        "weight 0.5 for the positive one",
        "Minus the distance colour.",
        "24 times",
    ):
        assert words in terms, words


def test_measures_that_the_page_has_never_met(tmp_path: Path) -> None:
    reports = [made.third_party("toy", name, v) for name, v in (("a", 0.7), ("b", 0.6))]
    run = made.write(tmp_path, reports, None)
    page = Page(render_trials(run))
    rows = rows_of(page, "closeness_test: closeness of every metric")
    assert rows["a"][2] == "0.700 [0.600, 0.800]"
    assert rows["a"][rows["Metric"].index("oddness")] == "1.4000"
    assert "closeness_ceiling 0.9000 [0.8500, 0.9500]" in page.text
    shapes = plots_of(run)["dots-0-0"]["layout"]["shapes"]
    assert any(s.get("x0") == 0.85 and s.get("x1") == 0.95 for s in shapes)
    groups = rows_of(page, "closeness_test by colour of eyes")
    assert groups["green"][1] == "0.350" and groups["blue"][1] == "undefined"
    assert "Undefined: 2 × nobody has them" in page.text
    assert "oddness A measure of closeness_test: What closeness_test measures." in page.text


# --------------------------------------------------------------------------------- other runs


def test_similarity_judgements(tmp_path: Path) -> None:
    data = made.make_data(references=1, opposite=0, has_truth=False)
    run = made.write(tmp_path, made.judged(data, "triplets", made.METRICS), data, size=298)
    html = render_trials(run)
    page = Page(html)
    assert "agrees best with people: agreement with votes 0." in page.text
    assert "Agreement with majorities" in rows_of(page, "triplets: Agreement with votes")["Metric"]
    found = articles(html)
    assert found and all(article.count("<img") == 3 for article in found)
    assert all(len(colours(article)) == 3 for article in found)
    text = Page(found[0]).text
    assert text.index("Reference") < text.index("candidate A") < text.index("candidate B")
    assert "The metric sides with most people" in page.text
    curve = plots_of(run)["curve-0-0"]
    assert "votes" in curve["layout"]["xaxis"]["title"]["text"]
    assert "Units where" not in page.text
    assert all("jpeg" in uri for uri in re.findall(r'src="(data:image/\w+)', html))


def test_trials_that_nobody_answered(tmp_path: Path) -> None:
    data = made.without_answers(made.make_data())
    run = made.write(tmp_path, made.judged(data, "insilico_trials", made.METRICS), data)
    html = render_trials(run)
    page = Page(html)
    assert "comes first: in-silico accuracy" in page.text and "(60 stimuli, 12 units)" in page.text
    assert "Answers none" in page.text
    assert "Answers" not in rows_of(page, "insilico_trials: In-silico accuracy")["Metric"]
    assert "Groups of stimuli" in page.text
    assert "The observer is right" in page.text and "people saw" not in articles(html)[0]
    assert "of 0 people" not in page.text


def test_answers_without_images(tmp_path: Path) -> None:
    data = made.make_data()
    gone = {
        name: np.full_like(getattr(data.trials, name), -1)
        for name in ("queries", "references", "opposite")
    }
    data = made.Data(data.colours, dataclasses.replace(data.trials, **gone))
    run = made.write(tmp_path, made.judged(data, "human_accuracy", {}), data)
    page = Page(render_trials(run))
    assert "Human accuracy" in page.text and plots_of(run) == {}
    assert rows_of(page, "human_accuracy by confidence")["3"][1].startswith("0.")
    assert "ROC curves" not in page.text and not articles(page.text)


def test_headings_go_down_one_level_at_a_time(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = [a["id"] for _, a in page.elements if a.get("id")]
    assert len(ids) == len(set(ids))
    for _, a in page.elements:
        if a.get("aria-labelledby"):
            assert a["aria-labelledby"] in ids
        if (a.get("href") or "").startswith("#"):
            assert unquote((a["href"] or "")[1:]) in {*ids, "content"}


def test_nothing_points_out_of_the_folder(html: str) -> None:
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", html)


# ----------------------------------------------------------------------------------- escaping


def test_text_from_outside_is_escaped_everywhere(tmp_path: Path) -> None:
    run = made.evil_run(tmp_path, EVIL)
    html = render_trials(run, [Section(EVIL, (EVIL,), (((EVIL,), ((EVIL,),)),))])
    assert "<script>alert" not in html and "<img src=x" not in html
    page = Page(html)
    assert sum(tag == "script" for tag, _ in page.elements) == 4
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)
    assert all(a["src"].startswith("data:") for tag, a in page.elements if tag == "img")  # type: ignore[union-attr]
    assert page.text.count('alert("x")') > 60  # shown as text

    def strings(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [s for v in value.values() for s in strings(v)]
        if isinstance(value, list):
            return [s for v in value for s in strings(v)]
        return [value] if isinstance(value, str) else []

    for text in strings(plots_of(run)):
        assert "<script" not in text and "<img" not in text  # plotly reads tags in its labels


# ---------------------------------------------------------------------------------- the whole


@pytest.mark.slow
def test_a_run_of_a_releases_size_is_small(tmp_path: Path) -> None:
    run = made.big_run(tmp_path)
    size = write_page(run, tmp_path).stat().st_size
    assert size + 1_800_000 < 5_000_000  # with all the pictures that it may hold
