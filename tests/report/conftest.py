"""Runs made of random numbers, with everything a page shows, and no model behind them."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup
from PIL import Image

from iibench.compute.response_facts import response_facts
from iibench.contract.measures import Section
from iibench.contract.reports import CaseReport, Exemplars, Named, ResponseFacts, Verdict
from iibench.report.shared.script_json import script_json
from iibench.report.trials.page import render_trials
from iibench.results.run import Run
from iibench.results.unit_tables import Stem, directions_frame, exemplars_frame
from iibench.statistics.scores import summarise
from tests.report.trials import runs as trial_runs

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FINDERS = {
    "random[k=256]": 256,
    "neurons": 256,
    "pca": 256,
    "ica": 256,
    "nmf": 256,
    "kmeans[k=128]": 128,
    "kmeans[k=256]": 256,
    "kmeans[k=512]": 512,
    "sae[z=512]": 512,
}
METRICS = (
    "color",
    "lpips",
    *(f"lpips[{tap}]" for tap in range(5)),
    "lpips[input=paper2310]",
    "label",
)
#: Markup that would set `window.hacked` wherever it were read as such.
EVIL_LABEL = "<img src=x onerror=window.hacked=1>"
DIFFICULTIES = tuple(round(0.05 * step, 2) for step in range(10))


@dataclass(frozen=True)
class SyntheticRun(Run):
    """A run whose tables are in memory."""

    tops: pd.DataFrame = field(default_factory=lambda: exemplars_frame(()))
    facts: pd.DataFrame = field(default_factory=lambda: directions_frame({}))
    pngs: dict[tuple[str, int], bytes] = field(default_factory=dict)

    def exemplars(self) -> pd.DataFrame:
        return self.tops

    def directions(self) -> pd.DataFrame:
        return self.facts

    def images(self) -> dict[tuple[str, int], bytes]:
        return self.pngs


@dataclass
class Kept:
    """An output that keeps in memory what a page's views load."""

    values: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def data(self, name: str, value: Any) -> bool:
        self.values[name] = json.loads(script_json(value))
        return True

    def image(self, name: str, content: bytes) -> str:
        self.files[name] = content
        return f"sprites/{name}"

    def lies_in(self, folder: Path) -> bool:
        return True

    def embedded(self) -> Markup:
        return Markup('<script type="application/json" id="places">{}</script>')

    @property
    def plots(self) -> dict[str, Any]:
        """What plotly draws, by the names of the figures."""
        return {
            name: figure
            for key, figures in self.values.items()
            if key.startswith("plots")
            for name, figure in figures.items()
        }


def metric_of(label: str) -> Named:
    name, _, rest = label.partition("[")
    if name == "lpips":
        part = rest[:-1] if rest[:-1].isdigit() else None
        used = "paper2310" if "paper2310" in label else "correct"
        return Named(name, label, {"net": "alex", "input": used, "resize": None}, part)
    return Named(name, label)


def make_case(
    finder: str,
    metric: str | None,
    scores: Sequence[float | None],
    evaluation: str = "ii",
    dataset: str = "toy",
    layer: str = "layer1",
    **changes: Any,
) -> CaseReport:
    """A passed case; `evaluation` is a label, `changes` are further fields."""
    values = np.array([np.nan if s is None else s for s in scores], float)
    name = evaluation.partition("[")[0]
    params: dict[str, Any] = {"m": 5, "mean": "all"}
    if name == "insilico":
        items = dict(item.split("=") for item in evaluation[9:-1].split(","))
        params = {
            "difficulty": float(items["difficulty"]),
            "observer": items.get("observer", "eq2"),
            "trials": 20,
            "references": 9,
        }
    fields: dict[str, Any] = {
        "id": f"{dataset}/net/{layer}/{finder}/{metric or ''}/{evaluation}",
        "dataset": dataset,
        "model": Named("net", "net"),
        "layer": layer,
        "finder": Named(finder.partition("[")[0], finder),
        "metric": metric_of(metric) if metric else None,
        "evaluation": Named(name, evaluation, params),
        "status": "passed",
        "seed": 0,
        "seconds": {"evaluation": 0.25},
        "summary": summarise(values),
        "scores": tuple(None if np.isnan(v) else float(v) for v in values),
        "reasons": tuple("dead: no response" if np.isnan(v) else None for v in values),
        "role": ROLES.get(finder.partition("[")[0], ("method", ""))[0],
    }
    return CaseReport(**{**fields, **changes})


#: name of a finder -> its role, and its directions in a sentence
ROLES = {
    "neurons": ("baseline", "neurons"),
    "random": ("control", "random directions"),
    "kmeans": ("main", ""),
}


def make_meta(cases: Sequence[CaseReport], **changes: Any) -> dict[str, Any]:
    evaluations = {
        case.evaluation.label: {
            "name": case.evaluation.name,
            "summary": f"What {case.evaluation.name} measures",
            "unit": "share of trials answered correctly"
            if case.evaluation.name == "insilico"
            else "similarity",
            "chance": 0.5 if case.evaluation.name == "insilico" else None,
            "plot": "line" if case.evaluation.name == "insilico" else "box",
            "plot_over": "difficulty" if case.evaluation.name == "insilico" else None,
            "params": case.evaluation.params,
            "leads": case.evaluation.name == "ii",
            "sentence": f"How {case.evaluation.label} is measured.",
        }
        for case in cases
    }
    metrics = {
        case.metric.label: {
            "name": case.metric.name,
            "summary": f"minus the distance {case.metric.name}",
            "level": {"lpips": "mid", "color": "low"}.get(case.metric.name, "high"),
            "part": case.metric.part,
            "params": case.metric.params,
            "size": None,
            "range": "(-inf, 0]",
            "fingerprint": "f" * 64,
            "citation": "",
        }
        for case in cases
        if case.metric
    }
    datasets = {
        case.dataset: {
            "n": 2000,
            "image_size": [32, 32],
            "fingerprint": "d" * 64,
            "splits": {"evaluate": {"split": "test", "n": 2000, "fingerprint": "d" * 64}},
        }
        for case in cases
    }
    meta = {
        "schema_version": "1",
        "name": "synthetic",
        "started": "2026-11-23T14:05:00+00:00",
        "finished": "2026-11-23T14:17:00+00:00",
        "seconds": 725.3,
        "interrupted": False,
        "suite": {
            "name": "synthetic",
            "description": "Random numbers in the shape of a run.",
            "path": "synthetic.yaml",
            "sha256": "a" * 64,
            "text": 'iibench: "1"\nname: synthetic\n',
        },
        "seed": 0,
        "device": "cpu",
        "dtype": "float32",
        "command": "iibench run synthetic.yaml",
        "versions": {"iibench": "0.1.0", "python": "3.11.9", "torch": "2.14"},
        "plugins": [
            {"name": "ii", "distribution": "iibench", "version": "0.1.0", "sha256": "b" * 64}
        ],
        "datasets": datasets,
        "models": {"net": {"provenance": "random, seed 0", "weights_sha256": "c" * 64}},
        "finders": {
            case.finder.label: {
                "name": case.finder.name,
                "summary": "",
                "params": {},
                "role": case.role,
                "called": ROLES.get(case.finder.name, ("", ""))[1],
            }
            for case in cases
        },
        "metrics": metrics,
        "evaluations": evaluations,
        "assets": {"lpips_alex": {"filename": "alexnet.ckpt", "sha256": "e" * 64}},
        "notes": [],
    }
    return {**meta, **changes}


def make_images(
    dataset: str, indices: Sequence[int], size: int = 32
) -> dict[tuple[str, int], bytes]:
    """A smooth random picture for each index."""
    found = {}
    for index in indices:
        rng = np.random.default_rng(index)
        small = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC).save(buffer, "PNG")
        found[dataset, index] = buffer.getvalue()
    return found


def make_run(
    cases: Sequence[CaseReport], verdicts: Sequence[Verdict] = (), **meta: Any
) -> SyntheticRun:
    """A run of these cases: five random images of either side for every unit, and its responses."""
    sides: list[Exemplars] = []
    facts: dict[Stem, ResponseFacts] = {}
    shown: dict[str, set[int]] = {case.dataset: set() for case in cases}
    for case in cases:
        key = (case.dataset, case.model.label, case.layer, case.finder.label)
        if key in facts or not case.scores:
            continue
        k = len(case.scores)
        rng = np.random.default_rng(len(facts))
        images = np.argsort(rng.random((k, 60)), axis=1)[:, :10].astype(np.int64)
        shown[case.dataset].update(images.ravel().tolist())
        one = np.ones((k, 5), np.float32)
        sides.append(Exemplars(*key, images[:, :5], one, images[:, 5:], -one))
        facts[key] = response_facts(rng.normal(size=(60, k)).astype(np.float32))
    pngs: dict[tuple[str, int], bytes] = {}
    for dataset, indices in shown.items():
        pngs |= make_images(dataset, sorted(indices))
    return SyntheticRun(
        Path("unused"),
        make_meta(cases, **meta),
        tuple(cases),
        tuple(verdicts),
        tops=exemplars_frame(sides),
        facts=directions_frame(facts),
        pngs=pngs,
    )


def full_cases(per_unit: float = 1.0) -> list[CaseReport]:
    """The size of the paper's suite: 9 finders, 9 metrics with parts, 10 difficulties; 378 cases."""
    rng = np.random.default_rng(0)
    cases = []
    for i, (finder, units) in enumerate(FINDERS.items()):
        k = max(2, int(units * per_unit))
        lift = 0.03 * i if i < 7 else 0.03 * 6
        for j, metric in enumerate(METRICS):
            scores = -np.abs(rng.normal(0.35 + 0.02 * j - lift, 0.06, k))
            values: list[float | None] = list(scores)
            if finder == "nmf":
                values[0] = None
            cases.append(make_case(finder, metric, values))
        for metric in ("color", "lpips", "label"):
            for d in DIFFICULTIES:
                accuracy = 0.5 + (0.2 + lift) * (1 - d / 0.5)
                scores = rng.binomial(20, accuracy, k) / 20
                label = f"insilico[difficulty={d:g}]"
                cases.append(make_case(finder, metric, list(scores), label))
            label = "insilico[difficulty=0,observer=two_sided]"
            cases.append(make_case(finder, metric, list(rng.binomial(20, 0.8, k) / 20), label))
    return cases


@pytest.fixture(scope="session")
def small_run() -> SyntheticRun:
    """Every kind of thing a page shows, at a tenth of the units."""
    cases = full_cases(0.1)
    cases.append(
        make_case("pca", "dreams", [], status="skipped", reason="no weights", summary=None)
    )
    cases.append(
        make_case("sae[z=64]", "color", [], status="error", reason="did not converge", summary=None)
    )
    verdicts = [
        Verdict("K-Means above neurons", "passed", "p = 0.001"),
        Verdict("PCA above K-Means", "failed", "p = 0.9"),
        Verdict("On another dataset", "skipped", "it is about cifar10"),
    ]
    notes = [
        {"level": "warning", "text": "CIFAR-10 was not found; photo_patches was used instead"},
        {"level": "info", "text": "3 cases were deselected"},
    ]
    return make_run(cases, verdicts, notes=notes)


@pytest.fixture(scope="session")
def trial_data() -> trial_runs.Data:
    """Made-up trials with answers."""
    return trial_runs.make_data()


@pytest.fixture(scope="session")
def trial_run(trial_data: trial_runs.Data, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on them, read back from its folder."""
    return trial_runs.full_run(tmp_path_factory.mktemp("trials"), trial_data)


@pytest.fixture(scope="session")
def trial_kept() -> Kept:
    """What the page of `trial_html` loads."""
    return Kept()


@pytest.fixture(scope="session")
def trial_html(trial_run: Run, trial_kept: Kept) -> str:
    """Its page."""
    return render_trials(trial_run, trial_kept, [Section("Extra", ("From a plugin.",), ())])


@pytest.fixture(scope="session")
def trial_plots(trial_html: str, trial_kept: Kept) -> dict[str, Any]:
    """The figures of that page."""
    return trial_kept.plots


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium; skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if chromium is None:
        pytest.skip("no Chromium browser is installed")
    with api.sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield instance
        instance.close()
