"""Scores under LPIPS, from images on, against the `lpips` package loop by loop.

The backbone is random (seeded), so that the test needs no download; the learned weights are real.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from iibench.cache.entries import Cache
from iibench.compute.ranking import order_by_response
from iibench.compute.similarity.embeddings import EmbeddingTable
from iibench.compute.similarity.lookups import EmbeddingSimilarity
from iibench.contract.evaluations import EvaluationInputs
from iibench_plugins.evaluations import ii, insilico, mis, synergy
from iibench_plugins.metrics import lpips as lpips_plugin
from iibench_plugins.metrics.color import MeanColor
from iibench_plugins.metrics.lpips.embedding import LpipsEmbedding, build
from tests.benchmarks import peers
from tests.toys._backbone import random_alexnet
from tests.toys.toy import ToyImages

SEED = 11


@pytest.fixture(scope="module")
def trunk() -> dict[str, torch.Tensor]:
    return random_alexnet()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (90, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return np.clip(small + rng.integers(-30, 30, small.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def responses() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(90, 5)).astype(np.float32)


@pytest.fixture(params=[False, True], ids=["gathered", "all pairs"])
def inputs(
    request: pytest.FixtureRequest,
    trunk: dict[str, torch.Tensor],
    images: np.ndarray,
    responses: np.ndarray,
    tmp_path: Path,
) -> EvaluationInputs:
    metric: LpipsEmbedding = build("alex", trunk)
    (spec,) = lpips_plugin.iibench_register_metrics()
    data = ToyImages(images, None, (), (32, 32))
    table = EmbeddingTable(
        metric, spec, None, data, Cache(tmp_path), "k" * 64, {}, "cpu", lambda done, total: None
    )
    lookup = EmbeddingSimilarity(table.rows, 90, "squared_euclidean", dense=request.param)
    return EvaluationInputs(responses, order_by_response(responses), lookup, None, SEED)


def test_ii(
    inputs: EvaluationInputs,
    trunk: dict[str, torch.Tensor],
    images: np.ndarray,
    responses: np.ndarray,
) -> None:
    expected = peers.ii_by_pairs(peers.lpips_network("alex", trunk), images, responses)
    np.testing.assert_allclose(ii.evaluate(ii.Params(), inputs).values, expected, atol=1e-5)
    assert np.ptp(expected) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("difficulty", [0.0, 0.05])
def test_insilico(
    inputs: EvaluationInputs,
    trunk: dict[str, torch.Tensor],
    images: np.ndarray,
    responses: np.ndarray,
    difficulty: float,
) -> None:
    params = insilico.Params(difficulty=difficulty, observer="two_sided", trials=4, references=9)
    expected = peers.insilico_by_trials(
        peers.lpips_network("alex", trunk), images, responses, difficulty, 4, 9, SEED
    )
    np.testing.assert_array_equal(insilico.evaluate(params, inputs).values, expected["lpips"])
    assert len(set(expected["lpips"].tolist())) > 1


@pytest.mark.slow
def test_insilico_of_taps_and_color(
    trunk: dict[str, torch.Tensor], images: np.ndarray, responses: np.ndarray
) -> None:
    params = insilico.Params(observer="two_sided", trials=4, references=9)
    network = peers.lpips_network("alex", trunk)
    expected = peers.insilico_by_trials(network, images, responses, 0.0, 4, 9, SEED, units=4)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    metric = build("alex", trunk)
    rows = {"color": MeanColor().embed(pixels).numpy(), "lpips": metric.embed(pixels).numpy()}
    taps = {f"lpips[{tap}]": columns for tap, columns in metric.slices(32, 32).items()}
    order = order_by_response(responses)
    found = {}
    for name, columns in {"color": None, "lpips": None, **taps}.items():
        distance = "euclidean" if name == "color" else "squared_euclidean"
        table = rows[name.partition("[")[0]]
        lookup = EmbeddingSimilarity(lambda _, t=table: t, len(table), distance, columns=columns)
        inputs = EvaluationInputs(responses, order, lookup, None, SEED)
        found[name] = insilico.evaluate(params, inputs).values[:4]
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert len({tuple(values) for values in expected.values()}) > 2


@pytest.mark.slow
def test_mis(
    inputs: EvaluationInputs,
    trunk: dict[str, torch.Tensor],
    images: np.ndarray,
    responses: np.ndarray,
) -> None:
    params = mis.Params(tasks=3, references=9, quantile=0.25, temperature=0.16)
    network = peers.lpips_network("alex", trunk)
    expected = peers.mis_by_tasks(network, images, responses, 3, 9, 0.25, 0.16, SEED, units=4)
    np.testing.assert_allclose(mis.evaluate(params, inputs).values[:4], expected, atol=1e-4)
    assert np.ptp(expected) > 1e-3


@pytest.mark.slow
def test_index_of_the_sums_of_pairs(
    inputs: EvaluationInputs,
    trunk: dict[str, torch.Tensor],
    images: np.ndarray,
    responses: np.ndarray,
) -> None:
    pairs = np.stack(np.triu_indices(5, 1), axis=1)
    network = peers.lpips_network("alex", trunk)
    expected = peers.ii_of_pair_sums(network, images, responses, pairs)
    found = synergy.synergies(synergy.Params(), inputs, np.arange(5))
    np.testing.assert_allclose(found.pair_ii, expected, atol=1e-5)
