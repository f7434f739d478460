"""The site of several runs: which numbers share a table, and the pages in a browser."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.contract.measures import Section
from iibench.contract.reports import CaseReport
from iibench.report.site.page import groups, render_site, unique_names, write_site
from iibench.results.run import Run
from iibench.statistics.scores import compare, holm, ranks_left_open, separations
from tests.report.conftest import EVIL_LABEL, Kept, SyntheticRun, make_case, make_run
from tests.report.directions.test_browser import open_page, ready, serious, until
from tests.report.directions.test_page import Page
from tests.report.trials import runs as trial_runs


def small(folder: str, seed: int = 0, finders: Sequence[str] = ("neurons", "pca")) -> SyntheticRun:
    rng = np.random.default_rng(seed)
    cases = [
        make_case(finder, metric, rng.normal(i, 1, 20))
        for metric in ("lpips", "color")
        for i, finder in enumerate(finders)
    ]
    return dataclasses.replace(make_run(cases), folder=Path(folder))


def changed(run: SyntheticRun, kind: str, label: str, **values: Any) -> SyntheticRun:
    """The run with other facts about a metric, model, evaluation or dataset."""
    records = {**run.meta[kind], label: {**run.meta[kind][label], **values}}
    return dataclasses.replace(run, meta={**run.meta, kind: records})


def of(found: Sequence[Any], metric: str) -> list[Any]:
    return [group for group in found if dict(group.labels).get("metric") == metric]


# ----------------------------------------------------------------------------------- groups


def test_equal_results_are_one_row_that_names_its_runs() -> None:
    a, b, c = small("a"), small("b"), small("c", seed=1)
    (group,) = of(groups([a, b, c]), "lpips")
    assert group.shared
    rows = {
        (report.finder.label, tuple(run.folder.name for run in runs))
        for (_, report), runs in zip(group.rows, group.runs, strict=True)
    }
    assert rows == {
        ("neurons", ("a", "b")),
        ("pca", ("a", "b")),
        ("neurons", ("c",)),
        ("pca", ("c",)),
    }


@pytest.mark.parametrize(
    ("kind", "label", "values", "words"),
    [
        ("metrics", "lpips", {"fingerprint": "9" * 64}, "fingerprint of the metric"),
        ("metrics", "lpips", {"version": "2"}, "version of the metric"),
        ("evaluations", "ii", {"version": "2"}, "version of the evaluation"),
        ("models", "net", {"weights_sha256": "9" * 64}, "weights of the model"),
        ("models", "net", {"weights": {"layer1": {"sha256": "9" * 64}}}, "weights of the model"),
        (
            "datasets",
            "toy",
            {"splits": {"evaluate": {"n": 2000, "fingerprint": "9" * 64}}},
            "images of the dataset",
        ),
        (
            "datasets",
            "toy",
            {"splits": {"evaluate": {"n": 1999, "fingerprint": "d" * 64}}},
            "number of images",
        ),
    ],
)
def test_what_differs_is_kept_apart_and_said(
    kind: str, label: str, values: dict[str, Any], words: str
) -> None:
    runs = [small("a"), changed(small("b", seed=1), kind, label, **values)]
    first, second = of(groups(runs), "lpips")
    for group, other in ((first, second), (second, first)):
        assert not group.shared
        (reason,) = group.apart
        assert reason.startswith(words) and reason.count(" here,") == 1
        assert dict(group.key)[words] != dict(other.key)[words]
    untouched = of(groups(runs), "color")
    assert len(untouched) == (1 if kind == "metrics" else 2)


def test_the_weights_up_to_another_layer_do_not_matter() -> None:
    a = changed(small("a"), "models", "net", weights={"layer1": {"sha256": "1"}})
    both = {"layer1": {"sha256": "1"}, "layer4": {"sha256": "2"}}
    b = changed(small("b", seed=1), "models", "net", weights=both)
    assert len(of(groups([a, b]), "lpips")) == 1


def test_cases_without_a_score_keep_their_reason() -> None:
    lost = make_case("ica", "lpips", [], status="skipped", reason="no weights", summary=None)
    a = make_run([*small("a").cases, lost])
    page = Page(render_site([a, small("b", seed=1)], Kept()))
    assert "skipped no weights" in page.table("ii under lpips")["ica"]["Rank"]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=5))
def test_every_case_is_in_exactly_one_table(made: list[tuple[int, bool]]) -> None:
    runs = []
    for i, (seed, other) in enumerate(made):
        run = small(str(i), seed)
        runs.append(changed(run, "metrics", "lpips", version="2") if other else run)
    found = groups(runs)
    count = sum(len(several) for group in found for several in group.runs)
    assert count == sum(len(run.cases) for run in runs)
    for group in found:
        assert len(group.rows) == len(group.runs)
        seen = {(r.finder.label, r.scores) for _, r in group.rows if isinstance(r, CaseReport)}
        assert len(seen) == len(group.rows)


def test_methods_of_several_runs_are_ranked_together() -> None:
    runs = [small("a"), small("b", seed=1, finders=("neurons", "pca", "ica"))]
    page = Page(render_site(runs, Kept()))
    (group,) = of(groups(runs), "lpips")
    samples = [np.array(report.scores, float) for _, report in group.rows]
    ranks = ranks_left_open(separations(samples))
    base = next(i for i, (_, r) in enumerate(group.rows) if r.id.split("/")[3] == "neurons")
    others = [i for i in range(len(samples)) if i != base]
    adjusted = holm([compare(samples[i], samples[base]).p or 1.0 for i in others])
    p = dict(zip(others, adjusted, strict=True))
    caption = page.captions.index("ii under lpips")
    head, *rows = page.tables[caption]
    assert [cell.strip() for cell in head[:3]] == ["Method", "Run", "Rank"]
    at = [cell.strip() for cell in head].index("Difference to neurons")
    shown = {
        (row[0].strip(), row[1].strip()): [" ".join(cell.split()) for cell in row] for row in rows
    }
    for i, ((run, report), rank) in enumerate(zip(group.rows, ranks, strict=True)):
        assert isinstance(report, CaseReport)
        cells = shown[report.finder.label, run.folder.name]
        assert rank is not None
        assert cells[2].split()[0] == "–".join(map(str, sorted(set(rank))))
        if i in p:
            words = "p <0.001" if p[i] < 0.001 else f"p = {p[i]:.3f}"
            assert cells[at].endswith(words)
        else:
            assert cells[at] == "baseline"


@pytest.mark.slow
def test_trials_share_a_table_only_with_the_same_resamples(tmp_path: Path) -> None:
    data = trial_runs.make_data()
    a = trial_runs.full_run(tmp_path / "a", data)
    b = trial_runs.full_run(tmp_path / "b", data)
    found = groups([a, b])
    assert all(group.of_trials and group.shared for group in found)
    other = dataclasses.replace(
        b,
        trial_cases=tuple(dataclasses.replace(r, seeds={"draws": 7}) for r in b.trial_cases),
    )
    apart = groups([a, other])
    assert not any(group.shared for group in apart)
    assert all("seed of the resamples" in group.apart[0] for group in apart)
    page = Page(render_site([a, b], Kept()))
    at = next(i for i, c in enumerate(page.captions) if c.startswith(trial_runs.OBSERVERS[0]))
    assert [" ".join(cell.split()) for cell in page.tables[at][1]][1] == "a, b"


# --------------------------------------------------------------------------------- the files


def test_names_of_runs_are_unique_and_plain() -> None:
    runs = [small("a"), small("x/a"), small("A"), small("<b> c"), small("..."), small("a-2")]
    names = unique_names(runs)
    assert names == ["a", "a-2", "A-3", "b-c", "run", "a-2-2"] or len(
        {name.lower() for name in names}
    ) == len(runs)
    assert all(name.replace("-", "").replace("_", "").isalnum() for name in names)


def test_the_site_is_one_folder_with_one_set_of_libraries(tmp_path: Path) -> None:
    runs = [small("a"), small("b", seed=1)]
    sections = {id(runs[0]): [Section("Extra", ("Of a.",))]}
    index = write_site(runs, tmp_path / "site", lambda run: sections.get(id(run), []))
    assert index == tmp_path / "site" / "index.html"
    libraries = sorted(p.relative_to(tmp_path / "site") for p in tmp_path.rglob("*.min.js"))
    assert libraries == [Path("assets/plotly.min.js")]
    page = Page(index.read_text("utf-8"))
    links = {(a.get("href") or "").split("#")[0] for tag, a in page.elements if tag == "a"}
    assert {"runs/a/index.html", "runs/b/index.html"} <= links
    for link in links - {""}:
        assert (tmp_path / "site" / link).is_file()
    assert "Of a." in (tmp_path / "site/runs/a/index.html").read_text("utf-8")
    assert "Of a." not in (tmp_path / "site/runs/b/index.html").read_text("utf-8")


def test_no_run_and_a_run_without_cases() -> None:
    assert "No run has a case." in Page(render_site([], Kept())).text
    assert "No run has a case." in Page(render_site([make_run([])], Kept())).text


# ------------------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, trial_run: Run) -> str:
    runs: list[Run] = [
        small("a"),
        small("b", seed=1, finders=("neurons", "pca", "random[k=4]")),
        changed(small("c", seed=2), "metrics", "lpips", version="2"),
        trial_run,
    ]
    return write_site(runs, tmp_path_factory.mktemp("made") / "site").as_uri()


@pytest.mark.browser
@pytest.mark.slow
def test_tables_of_all_runs_are_filtered_and_lead_to_the_runs(browser: Any, address: str) -> None:
    page, wrong = open_page(browser, address)
    ready(page)
    page.get_by_role("searchbox").fill("random")
    table = page.locator("table.board:visible", has_text="ii under lpips").first
    assert table.locator("tbody tr").count() == 1
    page.get_by_role("button", name="Reset").click()
    assert table.locator("tbody tr").count() == 5
    table.locator("thead button", has_text="K").first.click()
    assert "sort=" in page.url
    table.locator("tbody a", has_text="b").last.click()
    until(page, lambda: "/runs/b/index.html" in page.url)
    ready(page)
    page.locator(".plot").first.scroll_into_view_if_needed()
    until(page, lambda: page.locator(".plot[data-drawn=yes]").count() > 0)
    page.go_back()
    page.locator("tbody a", has_text="pca").first.click()
    until(page, lambda: "#card/finder/pca" in page.url)
    assert wrong == []
    page.close()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_bars_access(browser: Any, address: str, scheme: str) -> None:
    page, wrong = open_page(browser, address, color_scheme=scheme)
    ready(page)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert serious(page) == []
    assert wrong == []
    page.close()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_the_index_never_scrolls_sideways(browser: Any, address: str, width: int) -> None:
    page, wrong = open_page(browser, address, viewport={"width": width, "height": 800})
    ready(page)
    page.evaluate("document.querySelectorAll('main details').forEach((d) => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert wrong == []
    page.close()


@pytest.mark.browser
@pytest.mark.slow
def test_markup_from_outside_runs_nothing(browser: Any, tmp_path: Path) -> None:
    evil = EVIL_LABEL
    runs = []
    for seed in (0, 1):
        cases = [
            make_case(f, f"color[{evil}]", np.random.default_rng(seed).normal(size=9), dataset=evil)
            for f in ("neurons", f"pca[{evil}]")
        ]
        cases.append(
            make_case(
                "x", f"color[{evil}]", [], dataset=evil, status="error", reason=evil, summary=None
            )
        )
        run = make_run(cases, name=evil, started=evil)
        run.meta["metrics"][f"color[{evil}]"]["version"] = f"{evil}{seed}"
        runs.append(dataclasses.replace(run, folder=tmp_path / evil))
    page, wrong = open_page(browser, write_site(runs, tmp_path / "site").as_uri())
    ready(page)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.get_by_text(evil).count() > 3
    assert wrong == []
    page.close()
