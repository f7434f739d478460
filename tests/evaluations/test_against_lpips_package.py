"""II and psychophysics under LPIPS, from images to scores, against the `lpips` package loop by loop.

The backbone is random (seeded), so that the test needs no download; the learned weights are real.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from iibench.cache import Cache
from iibench.embeddings import EmbeddingTable
from iibench.exemplars import order_by_response
from iibench.similarity import EmbeddingSimilarity
from iibench.specs import EvaluationInputs
from iibench_plugins.evaluations import ii, insilico
from iibench_plugins.metrics import lpips as lpips_plugin
from iibench_plugins.metrics._lpips_embedding import LpipsEmbedding, build
from tests.benchmarks import peers
from tests.toys.toy import ToyImages

SEED = 11
CONVOLUTIONS = {
    0: (64, 3, 11),
    3: (192, 64, 5),
    6: (384, 192, 3),
    8: (256, 384, 3),
    10: (256, 256, 3),
}


@pytest.fixture(scope="module")
def trunk() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for place, (out, into, side) in CONVOLUTIONS.items():
        spread = (2 / (into * side * side)) ** 0.5
        weights[f"features.{place}.weight"] = (
            torch.randn(out, into, side, side, generator=generator) * spread
        )
        weights[f"features.{place}.bias"] = torch.randn(out, generator=generator) * 0.1
    return weights


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
    np.testing.assert_array_equal(insilico.evaluate(params, inputs).values, expected)
    assert len(set(expected.tolist())) > 1
