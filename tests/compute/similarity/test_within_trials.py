"""Similarities within trials against loops over pairs, for every distance, part and memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from iibench import MetricSpec
from iibench.compute.similarity.within_trials import (
    TrialMetric,
    iter_rows,
    split_rows,
    trial_similarities,
)
from iibench.contract.errors import CaseError, PluginError, Skip
from tests.toys.toy_trials import Params, ToyTrials, make


class Embedding:
    """Pixels through a fixed random map; parts are two halves of it."""

    fingerprint = ""

    def __init__(self, width: int = 40) -> None:
        generator = torch.Generator().manual_seed(1)
        self.weights = torch.rand(3 * 8 * 8, width, generator=generator) - 0.4
        self.seen = 0

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += len(x)
        # float64 inside, so that rows do not depend on the batch
        return (x.flatten(1).double() @ self.weights.double()).float()

    def slices(self, height: int, width: int) -> dict[str, slice]:
        return {"a": slice(0, 15), "b": slice(15, 40)}


class Pairs:
    fingerprint = ""

    def pairwise(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return -(a[:, None] - b[None]).abs().flatten(2).mean(dim=2)


def spec(distance: str | None = "squared_euclidean", **more: object) -> MetricSpec:
    return MetricSpec(name="toy", summary="", load=lambda p, r: None, distance=distance, **more)


def naive(dataset: ToyTrials, similarity) -> list[np.ndarray]:
    trials = dataset.trials
    found = []
    for images in (trials.references, trials.opposite):
        found.append(
            np.array(
                [
                    [[similarity(q, r) for r in images[s]] for q in trials.queries[s]]
                    for s in range(len(trials))
                ]
            ).reshape(len(trials), 2, images.shape[1])
        )
    among = [np.mean([[similarity(a, b) for a in row] for b in row]) for row in trials.references]
    return [*found, np.array(among)]


@pytest.fixture(scope="module")
def dataset() -> ToyTrials:
    return make(Params(units=5, batches=4))


def distance_of(kind: str, a: np.ndarray, b: np.ndarray) -> float:
    if kind == "cosine":
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    if kind == "equal":
        return float((a == b).all())
    squared = float(((a - b) ** 2).sum())
    return -squared if kind == "squared_euclidean" else -(squared**0.5)


@pytest.mark.parametrize("kind", ["squared_euclidean", "euclidean", "cosine", "equal"])
@pytest.mark.parametrize("part", ["", "a", "b"])
def test_against_a_loop(dataset: ToyTrials, kind: str, part: str) -> None:
    metric = Embedding()
    parts = ("", "a", "b")
    found = trial_similarities(TrialMetric(spec(kind), metric, None, parts), dataset)
    x = torch.from_numpy(dataset.array).permute(0, 3, 1, 2).float() / 255
    rows = metric.embed(x).double().numpy()
    columns = {"": slice(None), **metric.slices(8, 8)}[part]
    if kind == "equal":
        rows = metric.embed(x).numpy()
    expected = naive(dataset, lambda i, j: distance_of(kind, rows[i, columns], rows[j, columns]))
    got = found[parts.index(part)]
    for ours, theirs in zip((got.references, got.opposite, got.among), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)


def test_memory_does_not_change_values_and_images_are_embedded_once(dataset: ToyTrials) -> None:
    trials = dataset.trials
    results = []
    for memory in (1, 40 * 4 * 20, 1 << 30):
        metric = Embedding()
        seen: list[tuple[int, int]] = []
        rows = np.full((len(trials), 13), np.nan, np.float32)
        for stimuli, values in iter_rows(
            TrialMetric(spec(), metric, None, ("",)),
            dataset,
            np.arange(len(trials)),
            memory=memory,
            passes=lambda forward, distinct, seen=seen: seen.append((forward, distinct)),
        ):
            rows[stimuli] = values
        assert seen == [(len(dataset), len(dataset))]
        assert metric.seen == len(dataset) + 1  # one image more tells the width
        results.append(rows)
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], rtol=1e-5, atol=1e-5)


def test_pairwise_metrics_and_stimuli_without_opposite_references() -> None:
    dataset = make(Params(units=3, batches=2), references=1, opposite=0)
    (found,) = trial_similarities(TrialMetric(spec(None), Pairs(), None), dataset)
    pixels = dataset.array.astype(np.float64) / 255
    expected = naive(dataset, lambda i, j: -np.abs(pixels[i] - pixels[j]).mean())
    np.testing.assert_allclose(found.references, expected[0], atol=1e-6)
    assert found.opposite.shape == (6, 2, 0)
    np.testing.assert_allclose(found.among, 0, atol=1e-12)  # an image and itself


def test_stimuli_without_images_are_nan(dataset: ToyTrials) -> None:
    import dataclasses

    queries = dataset.trials.queries.copy()
    queries[3, 1] = -1
    fewer = dataclasses.replace(
        dataset, trials=dataclasses.replace(dataset.trials, queries=queries)
    )
    (found,) = trial_similarities(TrialMetric(spec(), Embedding(), None), fewer)
    assert np.isnan(found.references[3]).all()
    assert np.isnan(found.among[3])
    assert not np.isnan(np.delete(found.references, 3, axis=0)).any()


def test_labels(dataset: ToyTrials) -> None:
    import dataclasses

    class Labels:
        fingerprint = ""

        def embed(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, None]

    metric = TrialMetric(spec("equal", input="labels"), Labels(), None)
    with pytest.raises(Skip, match="needs labels"):
        trial_similarities(metric, dataset)
    labels = np.arange(len(dataset)) % 4
    (found,) = trial_similarities(metric, dataclasses.replace(dataset, labels=labels))
    expected = naive(dataset, lambda i, j: float(labels[i] == labels[j]))
    np.testing.assert_array_equal(found.references, expected[0])
    np.testing.assert_allclose(found.among, expected[2], atol=1e-7)


def test_wrong_metrics_are_named(dataset: ToyTrials) -> None:
    class Flat(Embedding):
        def embed(self, x: torch.Tensor) -> torch.Tensor:
            return super().embed(x)[:, 0]

    class Infinite(Embedding):
        def embed(self, x: torch.Tensor) -> torch.Tensor:
            return super().embed(x) * torch.inf

    with pytest.raises(PluginError, match=r"expected \(1, d\)"):
        trial_similarities(TrialMetric(spec(), Flat(), None), dataset)
    with pytest.raises(CaseError, match="not finite"):
        trial_similarities(TrialMetric(spec(), Infinite(), None), dataset)
    with pytest.raises(PluginError, match="has no embed"):
        trial_similarities(TrialMetric(spec(), Pairs(), None), dataset)


def test_split_rows_takes_apart_what_was_put_together(dataset: ToyTrials) -> None:
    trials = dataset.trials
    rows = np.arange(len(trials) * 2 * 13, dtype=np.float32).reshape(len(trials), 26)
    first, second = split_rows(rows, trials, ("", "a"))
    np.testing.assert_array_equal(first.references[0].ravel(), rows[0, :6])
    np.testing.assert_array_equal(first.opposite[0].ravel(), rows[0, 6:12])
    assert first.among[0] == rows[0, 12]
    assert second.references[0, 0, 0] == rows[0, 13]
