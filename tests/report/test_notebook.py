"""What runs show in notebooks; the tutorial is executed as a reader would."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from iibench.contract.errors import UsageError
from iibench.report.figures import PALETTE, figure
from iibench.report.notebook import run_html, unit_exemplars
from iibench.results.run import Run, load_run
from tests.conftest import ROOT
from tests.report.conftest import EVIL_LABEL, full_cases, make_case, make_run
from tests.report.trials import runs as trial_runs

REPORTS = ROOT / "reports"
VOID = {"img"}


class Page(HTMLParser):
    """Tags that were opened, in order; every one must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def run() -> Run:
    return make_run(full_cases(0.1))


@pytest.fixture(scope="module")
def sample() -> Run:
    return load_run(REPORTS / "sample")


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trial_runs.full_run(tmp_path_factory.mktemp("trials"), trial_runs.make_data())


# -------------------------------------------------------------------------------- the display


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["run", "sample", "trials"])
def test_display_is_whole_and_without_scripts(kind: str, request: pytest.FixtureRequest) -> None:
    found: Run = request.getfixturevalue(kind)
    page = Page(run_html(found))
    assert str(found.meta["name"]) in page.words
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "style", "link", "iframe", "img"}
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    labels = found.leaderboard()["metric" if found.trial_cases else "finder"].dropna()
    assert all(label in page.words for label in labels)


def test_display_names_no_colour_of_its_own(run: Run) -> None:
    styles = " ".join(attrs.get("style") or "" for _, attrs in Page(run_html(run)).tags)
    assert not re.search(
        r"(?<![-\w])color:(?!inherit)|background:(?!transparent)|#[0-9a-f]{3}", styles
    )


def test_long_tables_and_many_tables_are_folded() -> None:
    scores = list(np.linspace(0, 1, 12))
    cases = [
        make_case(f"f{i}", metric, scores)
        for metric in ("a", "b", "c", "d", "e")
        for i in range(13)
    ]
    page = Page(run_html(make_run(cases)))
    assert page.words.count("3 more") == 5 and "1 more tables" in page.words


def test_display_escapes_all_text() -> None:
    cases = [
        make_case(EVIL_LABEL, EVIL_LABEL, [0.1, 0.2], dataset=EVIL_LABEL, layer=EVIL_LABEL),
        make_case(
            "x",
            EVIL_LABEL,
            [],
            dataset=EVIL_LABEL,
            layer=EVIL_LABEL,
            status="error",
            reason=EVIL_LABEL,
        ),
    ]
    run = make_run(cases, name=EVIL_LABEL, device=EVIL_LABEL)
    page = Page(run_html(run))
    assert "img" not in {tag for tag, _ in page.tags} and EVIL_LABEL in page.words
    unit = Page(unit_exemplars(run, 0, EVIL_LABEL)._repr_html_())
    assert all(
        (attrs.get("src") or "").startswith("data:") for tag, attrs in unit.tags if tag == "img"
    )
    drawn = figure(run, "ii").to_json()
    assert EVIL_LABEL not in drawn and "<img" not in drawn


# ------------------------------------------------------------------------------------ figures


def test_figure_has_title_axes_and_n(run: Run) -> None:
    drawn = figure(run, "ii")
    assert isinstance(drawn, go.Figure)
    assert drawn.layout.title.text == "ii under lpips: toy, net, layer1"
    assert drawn.layout.xaxis.title.text == "ii, lpips (similarity)"
    assert any("(n = 25)" in text for text in drawn.layout.yaxis.ticktext)
    assert not re.search(r'"@\w', drawn.to_json()), "a colour token is left"
    assert PALETTE["fg"] in drawn.to_json()


def test_box_figure_shows_the_scores(run: Run) -> None:
    case = next(
        c
        for c in run.cases
        if (c.finder.name, c.evaluation.label) == ("pca", "ii")
        and c.metric
        and c.metric.label == "color"
    )
    drawn = figure(run, "ii", metric="color")
    box = next(t for t in drawn.data if t.type == "box" and t.name == "pca")
    assert box.median[0] == pytest.approx(np.median(case.scores), rel=1e-4)


def test_name_gives_lines_and_label_gives_boxes(run: Run) -> None:
    lines = figure(run, "insilico", metric="lpips")
    assert {trace.type for trace in lines.data} == {"scatter"}
    curve = next(t for t in lines.data if t.name and t.name.startswith("neurons"))
    assert len(curve.x) == 10 and "K = 25" in curve.name
    boxes = figure(run, "insilico[difficulty=0.25]", metric="label")
    assert any(trace.type == "box" for trace in boxes.data)
    assert boxes.layout.title.text.startswith("insilico[difficulty=0.25] under label")


def test_figure_of_another_place() -> None:
    cases = [make_case("pca", "color", [0.1, 0.2], layer=layer) for layer in ("l1", "l2")]
    run = make_run(cases)
    for place in (1, "l2", "toy/net/l2"):
        assert figure(run, "ii", place=place).layout.title.text.endswith("toy, net, l2")
    with pytest.raises(UsageError, match="which are 2"):
        figure(run, "ii", place="toy")
    with pytest.raises(UsageError, match="unknown place 'l3'; known: toy"):
        figure(run, "ii", place="l3")
    with pytest.raises(UsageError, match="expected 0 to 1"):
        figure(run, "ii", place=2)


@pytest.mark.parametrize(
    ("what", "metric", "message"),
    [
        ("iii", None, "unknown evaluation of this run 'iii'; nearest: ii"),
        ("insilico[difficulty=2]", None, "nearest: insilico"),
        ("ii", "lpip", "unknown metric of ii 'lpip'; nearest: lpips"),
    ],
)
def test_figure_of_unknown_names(run: Run, what: str, metric: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        figure(run, what, metric=metric)


def test_figure_of_nothing_scored() -> None:
    run = make_run([make_case("pca", "color", [], status="skipped", reason="no", summary=None)])
    with pytest.raises(UsageError, match="no figure of ii"):
        figure(run, "ii")


@pytest.mark.slow
def test_figure_of_trials(trials: Run) -> None:
    drawn = figure(trials, "human")
    names = set(drawn.layout.yaxis.ticktext)
    assert {"colour", "blue"} <= names and drawn.layout.title.text.endswith(": toy")
    assert figure(trials, trial_runs.OBSERVERS[1]).layout.title.text.count("eq2") == 1
    with pytest.raises(UsageError, match="nearest: human"):
        figure(trials, "humn")
    with pytest.raises(UsageError, match="every metric"):
        figure(trials, "human", metric="blue")


# -------------------------------------------------------------------------------------- units


def test_unit_has_its_images_and_scores(sample: Run) -> None:
    unit = unit_exemplars(sample, 12, "kmeans[k=64]")
    frame = sample.exemplars()
    mine = frame[(frame["finder"] == "kmeans[k=64]") & (frame["unit"] == 12)]
    if "side" in mine:
        mine = mine[mine["side"] == "top"]
    mine = mine.sort_values("rank")
    assert unit.top == tuple(mine["image"]) and unit.top_responses == tuple(mine["response"])
    assert list(unit.top_responses) == sorted(unit.top_responses, reverse=True)
    scores = sample.units()
    scores = scores[(scores["finder"] == "kmeans[k=64]") & (scores["unit"] == 12)]
    assert sorted(unit.scores.values()) == pytest.approx(sorted(scores["score"]))
    assert set(unit.images) <= {*unit.top, *unit.bottom}
    kept = sample.images()
    assert all(kept[unit.place[0], index] == content for index, content in unit.images.items())


def test_unit_table(run: Run) -> None:
    table = unit_exemplars(run, 0, "nmf").table
    assert isinstance(table, pd.DataFrame) and len(table) == len(
        {c.id for c in run.cases if c.finder.label == "nmf"}
    )
    dead = table[table["evaluation"] == "ii"]
    assert dead["score"].isna().all() and (dead["reason"] == "dead: no response").all()
    alive = unit_exemplars(run, 1, "nmf").table
    case = next(c for c in run.cases if c.finder.label == "nmf" and c.evaluation.label == "ii")
    scored = np.array([s for s in case.scores if s is not None])
    assert alive["at_or_below"][0] == pytest.approx(np.mean(scored <= case.scores[1]))


def test_ways_to_name_a_unit(run: Run) -> None:
    by_text = unit_exemplars(run, "kmeans[k=256]/3")
    assert (
        by_text
        == unit_exemplars(run, 3, "kmeans[k=256]")
        == unit_exemplars(run, "3", "kmeans[k=256]")
    )
    assert unit_exemplars(run, 3).finder == "neurons"
    alone = make_run([make_case("pca", "color", [0.1, 0.2])])
    assert unit_exemplars(alone, 1).finder == "pca"


@pytest.mark.parametrize(
    ("unit", "finder", "message"),
    [
        (0, "kmeans[k=257]", "unknown finder 'kmeans[k=257]'; nearest: kmeans[k=256]"),
        (25, "neurons", "found unit 25 of neurons; expected 0 to 24"),
        (-1, "neurons", "expected 0 to 24"),
        ("neurons/x", None, "expected a number, or FINDER/NUMBER"),
        ("pca/1", "neurons", "expected one finder"),
    ],
)
def test_units_that_are_not_there(
    run: Run, unit: int | str, finder: str | None, message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        unit_exemplars(run, unit, finder)


def test_trials_have_no_units(trials: Run) -> None:
    with pytest.raises(UsageError, match="no directions"):
        unit_exemplars(trials, 0)


def test_unit_display_shows_images_and_says_which_are_missing(sample: Run) -> None:
    unit = unit_exemplars(sample, "kmeans[k=64]/12")
    page = Page(unit._repr_html_())
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    for attrs in images:
        kind, data = (attrs["src"] or "").split(";base64,")
        content = base64.b64decode(data)
        assert content in unit.images.values()
        assert kind == ("data:image/png" if content[:4] == b"\x89PNG" else "data:image/jpeg")
        assert attrs["alt"]
    shown = [*unit.top, *unit.bottom]
    assert len(images) == sum(index in unit.images for index in shown)
    assert page.words.count("not kept") == len(shown) - len(images)
    assert all(name in page.words for name in unit.scores)


# ----------------------------------------------------------------------------------- tutorial


def test_tutorial_is_clean() -> None:
    text = (REPORTS / "tutorial.ipynb").read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = notebook["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        assert cell.get("outputs", []) == [] and cell.get("execution_count") is None
    assert not re.search(
        r'[ "\'(](/[a-z]+/|~/|C:)', " ".join(line for c in cells for line in c["source"])
    )


@pytest.mark.slow
def test_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbclient
    import nbformat

    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    before = {path.name for path in REPORTS.iterdir()}
    notebook = nbformat.read(REPORTS / "tutorial.ipynb", as_version=4)
    nbformat.validate(notebook)
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(REPORTS)}}
    )
    client.execute()
    shown = [
        output.get("data", {})
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output["output_type"] in {"execute_result", "display_data"}
    ]
    html = " ".join(str(data.get("text/html", "")) for data in shown)
    assert 'class="iibench-run"' in html and 'class="iibench-unit"' in html
    assert any("application/vnd.plotly.v1+json" in data for data in shown)
    assert {path.name for path in REPORTS.iterdir()} == before, "the tutorial leaves files behind"
