"""Metrics that compare in a way of their own, look at names, or are made of networks; `--metric`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iibench.results.run import load_run
from tests.conftest import run_json

OTHERS = ("  - toybright\n  - toylabel\n", "  - toyown\n  - toynames\n")
LIMITED = ("metrics: [toycolour, toylabel]}", "metrics: [toycolour, toyown, toynames]}")


def means(folder: Path, metric: str, evaluation: str) -> list[float]:
    cases = run_json(folder)["cases"]
    chosen = [c for c in cases if f"/{metric}/{evaluation}" in c["id"]]
    assert chosen
    return [c["summary"]["mean"] for c in chosen]


def test_a_comparison_of_its_own_equals_the_distance_it_computes(iibench, suite) -> None:
    done = iibench("run", suite(OTHERS, LIMITED), "-o", "out", "-k", "ii or insilico")
    assert done.code == 0, done.err + done.out
    for evaluation in ("ii", "insilico"):
        own, known = (means(Path("out"), m, evaluation) for m in ("toyown", "toycolour"))
        np.testing.assert_allclose(own, known, atol=1e-6)


@pytest.mark.slow
def test_names_are_asked_of_the_dataset(iibench, suite) -> None:
    """Skipped with the dataset's reason where nobody was asked; scored, and cached, where they were."""
    path = suite(OTHERS, LIMITED)
    assert iibench("run", path, "-o", "none", "-k", "toynames").code == 5
    reasons = {c["reason"] for c in run_json(Path("none"))["cases"]}
    assert reasons == {"nobody was asked"}
    set_people = ("--set", "dataset.people=20")
    assert iibench("run", path, "-o", "some", "-k", "toynames", *set_people).code == 0
    first = means(Path("some"), "toynames", "ii")
    assert iibench("run", path, "-o", "again", "-k", "toynames", *set_people).code == 0
    assert means(Path("again"), "toynames", "ii") == first
    assert all(c["cached"] for c in run_json(Path("again"))["cases"])
    # other answers of the people are other numbers, though the images are the same
    assert (
        iibench("run", path, "-o", "more", "-k", "toynames", "--set", "dataset.people=21").code == 0
    )
    assert means(Path("more"), "toynames", "ii") != first


def test_names_follow_a_limited_dataset(iibench, suite) -> None:
    path = suite(OTHERS, LIMITED)
    done = iibench(
        *("run", path, "-o", "out", "-k", "toynames and ii", "--limit", "50"),
        *("--set", "dataset.people=20"),
    )
    assert done.code == 0, done.out
    assert all(-1 <= mean <= 1 for mean in means(Path("out"), "toynames", "ii"))


@pytest.mark.slow
@pytest.mark.parametrize("center", ["false", "true"])
def test_embedding_is_the_cosine_of_a_layers_activations(iibench, suite, center: str) -> None:
    label = f"embedding[model=toynet,layer=mixed,center={center}]"
    done = iibench(
        "run", suite(), "-o", "out", "-k", "embedding and ii and neurons", "--metric", label
    )
    assert done.code == 0, done.out + done.err
    (case,) = run_json(Path("out"))["cases"]
    from tests.toys.toy import ToyParams, load_images

    pixels = load_images(ToyParams(), "test", None).array.astype(np.float64) / 255
    mix = _mix()
    # rectified at every position, then averaged
    rows = np.maximum(np.einsum("kc,nhwc->nkhw", mix, pixels - 0.1), 0).mean(axis=(2, 3))
    if center == "true":
        rows = rows - rows.mean(axis=1, keepdims=True)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scores = load_run(Path("out")).units().query("unit == 0")["score"]
    order = np.argsort(-np.maximum(pixels[..., 0] - 0.1, 0).mean(axis=(1, 2)), kind="stable")[:5]
    expected = (unit[order] @ unit[order].T).mean()
    assert scores.iloc[0] == pytest.approx(expected, abs=1e-5)
    assert case["metric"]["label"].startswith("embedding[model=toynet,layer=mixed")


def _mix() -> np.ndarray:
    import torch

    generator = torch.Generator().manual_seed(0)
    return torch.cat([torch.eye(3), torch.rand(3, 3, generator=generator) - 0.3]).double().numpy()


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("embedding[model=toynot,layer=mixed]", "unknown model 'toynot'; nearest: toynet"),
        ("embedding[model=toynet,layer=mixd]", "unknown layer 'mixd'"),
    ],
)
def test_embedding_of_an_unknown_network_is_told_before_anything_runs(
    iibench, suite, label: str, message: str
) -> None:
    done = iibench("run", suite(), "-o", "out", "-k", "embedding and ii", "--metric", label)
    assert (done.code, done.out) == (4, "")
    assert f"metric {label}: {message}" in done.err
    assert not Path("out").exists()


# ---------------------------------------------------------------------------------- --metric


def test_metric_adds_to_every_evaluation_of_any_suite(iibench, suite) -> None:
    done = iibench("run", suite(), "-o", "out", "-k", "neurons", "--metric", "toyown")
    assert done.code == 0, done.out
    run = run_json(Path("out"))
    assert run["added_metrics"] == ["toyown"]
    assert means(Path("out"), "toyown", "insilico")  # limited to two metrics in the suite
    shown = iibench("show", suite(), "--metric", "toyown")
    assert "metrics: toycolour, toycolour[r], toybright, toylabel, toyown" in shown.out


def test_metric_that_the_suite_has_is_not_added_again(iibench, suite) -> None:
    done = iibench("run", suite(), "--collect-only", "--metric", "toycolour[r]")
    assert done.code == 0
    plain = iibench("run", suite(), "--collect-only")
    assert done.out.splitlines()[0] == plain.out.splitlines()[0]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("toyow", "--metric toyow: added metrics[0]: unknown metric 'toyow'; nearest: toyown"),
        ("toycolour[q]", "--metric toycolour[q]: added metrics[0].parts: found"),
        ("toyown[a=1]", "unknown parameter of toyown 'a'"),
        ("toy[", "--metric toy["),
    ],
)
def test_a_wrong_metric_is_told_before_anything_runs(iibench, suite, label, message) -> None:
    done = iibench("run", suite(), "-o", "out", "--metric", label)
    assert done.code == 4
    assert message in done.err
    assert not Path("out").exists()


@pytest.mark.slow
def test_metric_on_trials(iibench, tmp_path: Path) -> None:
    """The three ways of comparing agree on trials too; names are not known there."""
    (tmp_path / "trials.yaml").write_text(
        "iibench: '1'\nname: t\ndataset: toytrials\nmetrics: [toycolour]\nevaluations: [human]\n"
    )
    added = [word for label in ("toyown", "toynames") for word in ("--metric", label)]
    done = iibench("run", "trials.yaml", "-o", "out", *added)
    assert done.code == 0, done.out
    run = load_run(Path("out"))
    skipped = next(case for case in run.trial_cases if "toynames" in case.id)
    assert skipped.status == "skipped"
    assert skipped.reason == "this dataset does not know what people call its images"
    board = run.leaderboard().set_index("metric")["value"]
    assert board["toycolour"] == pytest.approx(board["toyown"], abs=1e-6)
