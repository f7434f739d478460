"""Sweeps of parameters on the page: which are found, and their figures against numbers made otherwise."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iibench.cli.main import run_program
from iibench.compute.response_facts import response_facts
from iibench.contract.reports import CaseReport, Named
from iibench.report import page as pages
from iibench.report.directions.sweeps.sweeps import find_sweeps, sparsities, swept
from iibench.report.directions.tables import places
from iibench.results.run import Run, load_run
from iibench.results.unit_tables import Stem, directions_frame
from tests.conftest import TOYS
from tests.report.conftest import EVIL_LABEL, Kept, SyntheticRun, make_case, make_run
from tests.report.directions.test_browser import open_page, until

Z, L1 = (16, 32, 300), (0.5, 1.0, 4.0)
#: Cases of the grid that have no score, and one that the run has not.
LOST = {(32, 4.0): ("error", "did not converge"), (300, 0.5): ("skipped", "too large & slow")}
ABSENT = (16, 1.0)
IMAGES = 60


def swept_case(name: str, params: dict[str, Any], scores: Any, **changes: Any) -> CaseReport:
    label = f"{name}[{','.join(f'{k}={v:g}' for k, v in params.items())}]"
    case = make_case(label, "lpips", scores, **changes)
    return dataclasses.replace(case, finder=Named(name, label, {**params, "epochs": 20}))


def rectified(k: int, seed: int) -> np.ndarray:
    """Responses (IMAGES, K) of which some are zero and the first direction's all are."""
    found = np.maximum(np.random.default_rng(seed).normal(-0.5, 1, (IMAGES, k)), 0)
    found[:, 0] = 0
    return found.astype(np.float32)


@pytest.fixture(scope="module")
def responses() -> dict[Stem, np.ndarray]:
    """Responses of the grid's directions by the labels of their finder."""
    return {}


@pytest.fixture(scope="module")
def grid(responses: dict[Stem, np.ndarray]) -> SyntheticRun:
    """Autoencoders over z and l1, K-Means over k, neurons."""
    rng = np.random.default_rng(1)
    cases = [make_case("neurons", "lpips", rng.normal(-0.3, 0.05, 24))]
    for k in (8, 16, 200):
        cases.append(swept_case("kmeans", {"k": k}, rng.normal(-0.1, 0.05, k)))
    for i, (z, l1) in enumerate(itertools.product(Z, L1)):
        if (z, l1) == ABSENT:
            continue
        if (z, l1) in LOST:
            status, reason = LOST[z, l1]
            lost: dict[str, Any] = {"status": status, "reason": reason, "summary": None}
            cases.append(swept_case("sae", {"z": z, "l1": l1}, [], **lost))
            continue
        scores = [None, *rng.normal(-0.2 - 0.02 * i, 0.05, z - 1)]
        cases.append(swept_case("sae", {"z": z, "l1": l1}, scores))
        responses["toy", "net", "layer1", cases[-1].finder.label] = rectified(z, i)
    run = make_run(cases)
    for case in cases:
        stem = ("toy", "net", "layer1", case.finder.label)
        if case.finder.name != "sae" and case.scores:
            responses[stem] = 1 + rectified(len(case.scores), 99)
    facts = {stem: response_facts(values) for stem, values in responses.items()}
    return dataclasses.replace(run, facts=directions_frame(facts))


def drawn(run: Run) -> tuple[str, dict[str, Any]]:
    """The page, and the figures of its sweeps."""
    kept = Kept()
    text = pages.render(run, kept)
    return text, {name: figure for name, figure in kept.plots.items() if "-sweep-" in name}


def of_kind(figures: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [
        f for f in figures.values() if f["data"][-1]["type"] == kind or f["data"][0]["type"] == kind
    ]


def test_the_heat_map_has_the_mean_of_every_cell(grid: SyntheticRun) -> None:
    _, figures = drawn(grid)
    (figure,) = of_kind(figures, "heatmap")
    trace, layout = figure["data"][0], figure["layout"]
    by_label = {case.finder.label: case for case in grid.cases}
    assert layout["xaxis"]["ticktext"] == ["16", "32", "300"]
    assert layout["yaxis"]["ticktext"] == ["0.5", "1", "4"]
    seen = {}
    for x, y, z, data in zip(*(trace[k] for k in ("x", "y", "z", "customdata")), strict=True):
        place = (Z[x], L1[y])
        assert tuple(data[:2]) == place
        seen[place] = z
        case = by_label.get(f"sae[z={place[0]},l1={place[1]:g}]")
        scores = [] if case is None else [s for s in case.scores if s is not None]
        if scores:
            assert case is not None and case.summary is not None
            assert z == pytest.approx(np.mean(scores), rel=1e-4)
            assert data[2] == pytest.approx(case.summary.low, rel=1e-4)
            assert data[3] == pytest.approx(case.summary.high, rel=1e-4)
            assert data[4:6] == [len(scores), place[0]]
        else:
            assert z is None and data[4] is None
    assert set(seen) == set(itertools.product(Z, L1))


def test_cells_without_a_score_are_empty_and_say_why(grid: SyntheticRun) -> None:
    text, figures = drawn(grid)
    (figure,) = of_kind(figures, "heatmap")
    trace, texts = figure["data"]
    why = {
        (Z[x], L1[y]): (z, hover, shown, data[-1])
        for x, y, z, hover, shown, data in zip(
            *(trace[k] for k in ("x", "y", "z", "hovertext")), texts["text"], trace["customdata"],
            strict=True,
        )
    }  # fmt: skip
    for place, (status, reason) in LOST.items():
        z, hover, shown, told = why[place]
        assert z is None and shown == ""
        assert html.unescape(told) == f"{status}: {reason}"
        assert html.escape(f"{status}: {reason}") in hover
        assert html.escape(f"z = {place[0]}, l1 = {place[1]:g} ({status}: {reason})") in text
    assert why[ABSENT][0] is None and "not in this run" in why[ABSENT][1]
    assert "z = 16, l1 = 1 (not in this run)" in text


def test_l0_and_dead_directions_are_those_of_the_responses(
    grid: SyntheticRun, responses: dict[Stem, np.ndarray]
) -> None:
    _, figures = drawn(grid)
    scatters = [
        f for f in of_kind(figures, "scatter") if "L0" in f["layout"]["xaxis"]["title"]["text"]
    ]
    score, dead = scatters
    seen = 0
    for trace in [*score["data"], *dead["data"]]:
        columns = trace["meta"]["columns"]
        if "L0" not in columns:
            assert trace["name"].startswith(
                ("neurons", "kmeans[k=8]", "kmeans[k=16]", "kmeans[k=200]")
            )
            continue
        for x, y, data in zip(trace["x"], trace["y"], trace["customdata"], strict=True):
            stem = ("toy", "net", "layer1", f"sae[z={data[0]:g},l1={data[1]:g}]")
            found = responses[stem]
            per_image = [sum(1 for r in row if r > 0) for row in found]
            assert x == pytest.approx(sum(per_image) / len(per_image), rel=1e-4)
            silent = sum(1 for column in found.T if len(set(column.tolist())) == 1)
            assert silent == 1
            if "dead (%)" in columns:
                assert y == pytest.approx(100 * silent / found.shape[1], rel=1e-4)
            seen += 1
    assert seen == 2 * (len(Z) * len(L1) - len(LOST) - 1)


def test_dead_directions_are_the_leaderboards(grid: SyntheticRun) -> None:
    board = grid.leaderboard().set_index("finder")
    for stem, fact in sparsities(grid).items():
        assert fact.k == board.loc[stem[3], "k"]
        if stem[3].startswith("sae"):
            assert fact.dead == board.loc[stem[3], "dead"]


def test_one_parameter_is_a_line_with_bars(grid: SyntheticRun) -> None:
    text, figures = drawn(grid)
    (figure,) = [
        f for f in of_kind(figures, "scatter") if "k (" in f["layout"]["xaxis"]["title"]["text"]
    ]
    trace = figure["data"][-1]
    assert figure["layout"]["xaxis"]["type"] == "log"  # 8 to 200
    assert trace["x"] == [8, 16, 200]
    for x, y, up, down in zip(
        trace["x"],
        trace["y"],
        trace["error_y"]["array"],
        trace["error_y"]["arrayminus"],
        strict=True,
    ):
        (case,) = [c for c in grid.cases if c.finder.label == f"kmeans[k={x:g}]"]
        assert case.summary is not None and case.summary.mean is not None
        assert y == pytest.approx(np.mean(np.array(case.scores, float)), rel=1e-4)
        assert y + up == pytest.approx(case.summary.high, rel=1e-3)
        assert y - down == pytest.approx(case.summary.low, rel=1e-3)
    assert "Each of its directions responds above zero to every image" in text
    names = [other["name"] for other in figure["data"][:-1]]
    assert names[0] == "neurons (n = 24)" and names[1].startswith("sae[z=16,l1=0.5]")


def test_a_line_has_a_gap_where_there_is_no_score() -> None:
    rng = np.random.default_rng(0)
    lost = swept_case("pca", {"k": 4}, [], status="skipped", reason=EVIL_LABEL, summary=None)
    run = make_run([swept_case("pca", {"k": k}, rng.normal(size=k)) for k in (2, 3, 5)] + [lost])
    text, figures = drawn(run)
    (figure,) = figures.values()
    assert [y is None for y in figure["data"][-1]["y"]] == [False, False, True, False]
    (cross,) = figure["layout"]["annotations"]
    assert cross["x"] == 4 and html.escape(EVIL_LABEL) in cross["hovertext"]
    assert "Its responses can be negative" in text
    assert EVIL_LABEL not in text and EVIL_LABEL not in str(figure)


def test_hostile_text_is_escaped(grid: SyntheticRun) -> None:
    def hostile(case: CaseReport) -> CaseReport:
        params = {f"{EVIL_LABEL}{key}": value for key, value in case.finder.params.items()}
        label = f"{case.finder.label}{EVIL_LABEL}"
        return dataclasses.replace(
            case,
            finder=Named(case.finder.name, label, params),
            metric=Named(EVIL_LABEL, EVIL_LABEL),
            reason=case.reason and EVIL_LABEL,
        )

    run = make_run([hostile(case) for case in grid.cases])
    for record in run.meta["evaluations"].values():
        record["unit"] = EVIL_LABEL
    for label, record in run.meta["finders"].items():
        (params,) = [c.finder.params for c in run.cases if c.finder.label == label][:1]
        record["parameters"] = [
            {"name": name, "type": "", "default": "", "help": EVIL_LABEL} for name in params
        ]
    text, figures = drawn(run)
    assert len(figures) >= 2
    assert EVIL_LABEL not in text
    for figure in figures.values():
        for trace in figure["data"]:
            trace.get("meta", {}).pop("columns", None)  # heads of a file, read by no browser
    assert EVIL_LABEL not in str(figures)


def test_a_sweep_is_chosen_with_the_tables_of_its_evaluation() -> None:
    rng = np.random.default_rng(0)
    run = make_run(
        [
            swept_case("pca", {"k": k}, rng.random(k), evaluation=f"insilico[difficulty={d:g}]")
            for k in (2, 3)
            for d in (0, 0.25)
        ]
    )
    (place,) = places(run, run.leaderboard())
    (sweep,) = find_sweeps(run, place)
    assert sweep.family == place.families[0].title
    assert [cell.row.case.evaluation.params["difficulty"] for cell in sweep.cells] == [0, 0]
    text, _ = drawn(run)
    assert set(re.findall('data-evaluation="([^"]*)"', text)) == {sweep.family}


def test_a_run_without_sweeps_has_no_such_section(small_run: SyntheticRun) -> None:
    text, figures = drawn(small_run)
    assert not figures and "Parameters of the methods" not in text


# ------------------------------------------------------------------------------------- finding


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ([{"k": 2}], []),
        ([{"k": 2, "on": True}, {"k": 2, "on": False}], []),
        ([{"k": 2, "by": "a"}, {"k": 3, "by": "b"}], []),
        ([{"k": None}, {"k": 2}, {"k": 3}], [(("k",), (1, 2))]),
        # one each way from a common case is no grid
        (
            [{"k": 2, "n": 1}, {"k": 3, "n": 1}, {"k": 4, "n": 1}, {"k": 3, "n": 5}],
            [(("k",), (0, 1, 2)), (("n",), (1, 3))],
        ),
        ([{"k": 2, "n": 1}, {"k": 3, "n": 2}], []),
        ([{"k": 1, "x": 1}, {"k": 2, "x": 1.0}, {"k": 2.0, "x": 3}], [(("k", "x"), (0, 1, 2))]),
    ],
)
def test_what_counts_as_a_sweep(params: list[dict[str, Any]], expected: list[Any]) -> None:
    assert swept(params) == expected


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "z": st.sampled_from([1, 2, 3]),
                "l1": st.sampled_from([0.5, 1.0, 2.0]),
                "epochs": st.sampled_from([1, 2]),
                "how": st.sampled_from(["a", "b"]),
            }
        ),
        min_size=1,
        max_size=30,
        unique_by=lambda p: tuple(sorted(p.items())),
    )
)
def test_sweeps_differ_in_their_parameters_alone(params: list[dict[str, Any]]) -> None:
    for over, chosen in swept(params):
        assert 1 <= len(over) <= 2 and len(chosen) == len(set(chosen)) > 1
        rest = {tuple(v for k, v in sorted(params[i].items()) if k not in over) for i in chosen}
        assert len(rest) == 1
        at = {tuple(params[i][name] for name in over) for i in chosen}
        assert len(at) == len(chosen)
        assert all(len({place[i] for place in at}) > 1 for i in range(len(over)))


def test_a_full_grid_of_three_parameters_is_a_heat_map_for_each_value_of_the_third() -> None:
    made = [
        {"a": a, "b": b, "c": c} for a, b, c in itertools.product((1, 2), (1, 2, 3), (1, 2, 3, 4))
    ]
    found = swept(made)
    assert [over for over, _ in found] == [("b", "c"), ("b", "c")]
    assert [{made[i]["a"] for i in chosen} for _, chosen in found] == [{1}, {2}]


# ---------------------------------------------------------------------------------- whole runs


def test_a_run_of_a_suite(tmp_path: Path) -> None:
    suite = tmp_path / "sweep.yaml"
    suite.write_text(
        'iibench: "1"\nname: sweep\nseed: 1\ndataset: {name: toy}\n'
        "models: [{name: toynet, layers: [mixed]}]\n"
        "finders:\n  - neurons\n  - {name: pick, k: [1, 2, 3, 99]}\n"
        "  - {name: sae, z: [4, 8], l1: [0.1, 4], epochs: 3}\n"
        "metrics: [toycolour]\nevaluations: [ii]\n"
    )
    out = tmp_path / "out"
    run_program(["run", str(suite), "-o", str(out), "-q", "--plugins-dir", str(TOYS)])
    run = load_run(out)
    (place,) = places(run, run.leaderboard())
    by_name = {sweep.finder: sweep for sweep in find_sweeps(run, place)}
    assert list(by_name) == ["pick", "sae[epochs=3]"]
    units = run.units()
    for sweep in by_name.values():
        for cell in sweep.scored:
            mean = units[units["finder"] == cell.row.finder]["score"].mean()
            assert cell.row.mean == pytest.approx(mean)
    assert by_name["pick"].cells[-1].at == (99,)
    text, figures = drawn(run)
    assert "error: k=99 is more than the" in text
    assert by_name["sae[epochs=3]"].no_sparsity == ""
    assert len(figures) == (1 if by_name["pick"].no_sparsity else 3) + 3


@pytest.mark.browser
@pytest.mark.slow
def test_the_heat_map_is_drawn_and_its_data_saved(
    browser: Any, grid: SyntheticRun, tmp_path: Path
) -> None:
    address = pages.write_page(grid, tmp_path / "page").as_uri()
    page, wrong = open_page(browser, address, accept_downloads=True)
    until(page, lambda: page.locator("html[data-tables=ready]").count() == 1)
    (view,) = [
        v
        for v in page.locator(".sweeps details").all()
        if "sae over" in v.locator("summary").inner_text()
    ]
    if view.get_attribute("open") is None:
        view.locator("summary").click()
    plot = view.locator(".plot").first
    plot.scroll_into_view_if_needed()
    until(page, lambda: plot.get_attribute("data-drawn") == "yes")
    assert plot.locator(".heatmaplayer image").count() == 1
    shown = [text for text in plot.locator("g.textpoint text").all_text_contents() if text]
    assert len(shown) == len(Z) * len(L1) - len(LOST) - 1
    with page.expect_download() as download:
        view.locator("button.csv").first.click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8"))))
    assert len(rows) == len(Z) * len(L1)
    (row,) = [row for row in rows if (row["z"], row["l1"]) == ("32", "4")]
    assert row["mean"] == "" and row["why missing"] == "error: did not converge"
    assert wrong == []
