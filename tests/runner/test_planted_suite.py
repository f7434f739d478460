"""The ground truth: a network of known features, and whether the suite planted ranks directions by them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iibench.assets.local import LocalResources
from iibench.contract.specs import FitContext
from iibench.hooks.loading import load_plugins
from iibench.suite.load import shipped_paths
from iibench.suite.yaml_lines import parse
from iibench_plugins._shared.planted.frame import frame
from iibench_plugins.datasets import planted as dataset
from tests.conftest import Done, run_json

RESOURCES = LocalResources(Path("none"), Path("none"), offline=True)
KNOWS = "embedding[model=planted,layer=monosemantic]"
FINDERS = [
    {"name": "planted", "angle": [0, 45, 90]},
    "neurons",
    {"name": "random", "k": 64},
    {"name": "kmeans", "k": 64},
]


def small(**changes: Any) -> dict[str, Any]:
    """The shipped suite with fewer images, finders and metrics, and the statements that are left."""
    suite: dict[str, Any] = parse(shipped_paths()["planted"].read_text(), "planted").value
    metrics = [m for m in suite["metrics"] if m == "label" or isinstance(m, dict)]
    labels = {"planted", "planted[angle=45]", "planted[angle=90]", "neurons", "random"}
    labels |= {"kmeans[k=64]"}
    left = [
        statement
        for statement in suite["expect"]
        if statement["on"] in ("ii/label", f"ii/{KNOWS}", "insilico[observer=eq2]/label")
        and {statement["finder"], statement.get("above", "neurons")} <= labels
    ]
    assert len(left) >= 12
    suite["dataset"]["n"] = 1500
    insilico = {**suite["evaluations"][1], "metrics": ["label"]}
    return {
        **suite,
        "finders": FINDERS,
        "metrics": metrics,
        "evaluations": ["ii", insilico],
        "expect": left,
        **changes,
    }


def run(iibench: Callable[..., Done], suite: dict[str, Any], *options: str) -> Done:
    Path("small.yaml").write_text(json.dumps(suite))
    return iibench("run", "small.yaml", "-q", "-o", "out", "--offline", *options, toys=False)


def means(metric: str, layer: str = "superposed") -> dict[str, float]:
    """Finder's label -> mean II."""
    return {
        case["finder"]["label"]: case["summary"]["mean"]
        for case in run_json(Path("out"))["cases"]
        if (case["metric"]["label"], case["layer"]) == (metric, layer)
        and case["evaluation"]["name"] == "ii"
    }


@pytest.mark.slow
def test_the_index_ranks_directions_by_their_distance_from_the_truth(iibench) -> None:
    suite = small()
    done = run(iibench, suite)
    assert done.code == 0, done.out + done.err
    verdicts = run_json(Path("out"))["verdicts"]
    assert [v["text"] for v in verdicts] == [s["text"] for s in suite["expect"]]
    assert {v["status"] for v in verdicts} == {"passed"}
    for metric in ("label", KNOWS):
        found = means(metric)
        ladder = [found[f"planted{turned}"] for turned in ("", "[angle=45]", "[angle=90]")]
        assert ladder[0] > ladder[1] > ladder[2]
        # neurons and random directions are no nearer the truth than directions at a right angle to it
        for finder in ("neurons", "random[k=64]"):
            assert abs(found[finder] - ladder[2]) < 0.25 * (ladder[0] - ladder[2])
        # where each feature has a neuron, the neurons are the truth
        alone = means(metric, "monosemantic")
        assert alone["neurons"] == pytest.approx(alone["planted"], abs=1e-6)
        assert alone["neurons"] > found["planted"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kmeans", "sae", "topk_sae"])
def test_these_finders_recover_the_directions(name) -> None:
    """What the suite's statements about them rest on; random directions come to 0.4."""
    spec = load_plugins(environ="", entry_points=False).registry.finders[name].spec
    suite = parse(shipped_paths()["planted"].read_text(), "planted").value
    (entry,) = [f for f in suite["finders"] if isinstance(f, dict) and f["name"] == name]
    given = {k: v for k, v in entry.items() if k not in ("name", "response")}
    f = dataset.load(dataset.Params(), "fit", RESOURCES).values
    W = frame(64, 32, 0)
    found = spec.fit(spec.params(**given), (f @ W.T).astype(np.float32), FitContext(0)).vectors
    norms = np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    best = (W.T @ (found / norms).T).max(axis=1)
    assert best.mean() > 0.95
    assert np.median(best) > 0.99


@pytest.mark.slow
def test_few_images_end_in_statements_not_in_errors(iibench) -> None:
    done = run(iibench, small(), "--limit", "300")
    assert done.code in (0, 1), done.err
    assert "Traceback" not in done.out + done.err
    statuses = {case["status"] for case in run_json(Path("out"))["cases"]}
    assert "error" not in statuses


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "changes", "expected"),
    [
        ("finders", {"neurons": 16}, "the layer has 32 neurons; expected 16 (layer superposed"),
        ("finders", {"seed": 3}, "of the images that seem to show one feature alone"),
        ("models", {"features": 49}, "of the images that seem to show one feature alone"),
        ("dataset", {"features": 49}, "of the images that seem to show one feature alone"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(iibench, part, changes, expected) -> None:
    suite = small(finders=["neurons", {"name": "planted"}], metrics=["label"], evaluations=["ii"])
    del suite["expect"]
    suite["dataset"]["n"] = 600
    suite["models"][0]["layers"] = ["superposed"]
    (suite[part] if part == "dataset" else suite[part][-1]).update(changes)
    done = run(iibench, suite)
    assert done.code == 1
    assert "Traceback" not in done.out + done.err
    cases = run_json(Path("out"))["cases"]
    found = {case["finder"]["name"]: case["status"] for case in cases}
    assert found == {"planted": "error", "neurons": "passed"}
    (reason,) = [c["reason"] for c in cases if c["status"] == "error"]
    assert expected in reason
    assert "must be those of the model planted" in reason


@pytest.mark.slow
def test_the_whole_suite_holds(iibench) -> None:
    done = iibench("run", "planted", "-q", "-o", "out", "--offline", toys=False)
    assert done.code == 0, done.out + done.err
    verdicts = run_json(Path("out"))["verdicts"]
    assert 20 <= len(verdicts) <= 25
    assert {v["status"] for v in verdicts} == {"passed"}
    assert all(v["text"] for v in verdicts)
