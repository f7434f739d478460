"""Every stage that is arithmetic on a CUDA device, against the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from iibench.compute.activations import iter_activations
from iibench.compute.precision import mixed
from iibench.compute.ranking import order_by_response
from iibench.compute.similarity.lookups import EmbeddingSimilarity, cross_together
from iibench.contract.specs import FitContext, LoadedModel, Preprocess
from iibench_plugins.finders import kmeans, sae

#: The device that is compared with the CPU.
DEVICE = "cuda"

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (300, 32, 32, 3)).astype(np.uint8)
PREPROCESS = Preprocess((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def network(device: str) -> LoadedModel:
    import torchvision

    torch.manual_seed(0)
    module = torchvision.models.resnet18(weights=None).eval().to(device)
    return LoadedModel(module.requires_grad_(False), PREPROCESS)


def activations(device: str, precision: str = "float32") -> np.ndarray:
    found = iter_activations(
        network(device),
        "layer2",
        "mean",
        IMAGES.__getitem__,
        np.arange(len(IMAGES)),
        device=device,
        batch_size=64,
        precision=precision,
    )
    return np.concatenate([values for _, values in found])


def test_activations() -> None:
    np.testing.assert_allclose(activations(DEVICE), activations("cpu"), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_keeps_ranks(precision: str) -> None:
    from scipy.stats import spearmanr

    exact, found = activations(DEVICE), activations(DEVICE, precision)
    ranks = [spearmanr(exact[:, k], found[:, k])[0] for k in range(exact.shape[1])]
    assert np.median(ranks) > 0.98


def test_orders_are_the_same_to_the_last_tie() -> None:
    responses = np.maximum(RNG.integers(-3, 4, (1000, 30)), 0).astype(np.float32)
    responses[:, :10] = RNG.standard_normal((1000, 10))
    np.testing.assert_array_equal(
        order_by_response(responses, device=DEVICE), order_by_response(responses)
    )


@pytest.mark.parametrize("distance", ["squared_euclidean", "euclidean", "cosine", "equal"])
@pytest.mark.parametrize("dense", [False, True])
def test_similarities(distance: str, dense: bool) -> None:
    rows = RNG.standard_normal((200, 64)).astype(np.float32)
    left, right = RNG.integers(0, 200, (40, 2)), RNG.integers(0, 200, (40, 9))
    cpu, gpu = (
        EmbeddingSimilarity(lambda indices: rows, 200, distance, dense=dense, device=device)
        for device in ("cpu", DEVICE)
    )
    np.testing.assert_allclose(gpu.cross(left, right), cpu.cross(left, right), atol=1e-4)
    np.testing.assert_allclose(gpu.within(right), cpu.within(right), atol=1e-5)
    if distance != "equal":
        together = cross_together({"": gpu}, left, right)[""]
        np.testing.assert_allclose(together, cpu.cross(left, right), atol=1e-4)


def test_kmeans() -> None:
    X = kmeans.unit_rows(np.abs(RNG.standard_normal((2000, 32))).astype(np.float32))
    found = {}
    for device in ("cpu", DEVICE):
        rows = torch.from_numpy(X).to(device)
        found[device] = kmeans.lloyd(rows, kmeans.seed_centroids(rows, 16, 1), 300, 1e-4)
    assert found[DEVICE].inertia == pytest.approx(found["cpu"].inertia, rel=1e-3)
    again = kmeans.lloyd(rows, kmeans.seed_centroids(rows, 16, 1), 300, 1e-4)
    assert torch.equal(again.centroids, found[DEVICE].centroids)


def test_sae_trains() -> None:
    A = np.abs(RNG.standard_normal((2000, 32))).astype(np.float32)
    context = FitContext(0, DEVICE, lambda done, total, note: None)
    found = sae.fit(sae.Params(z=48, epochs=3), A, context)
    assert found.vectors.shape == (48, 32)
    assert np.isfinite(found.vectors).all()


def test_lpips_embeddings(backbone: dict[str, torch.Tensor]) -> None:
    from iibench.compute.images import to_unit_range
    from iibench_plugins.metrics.lpips.embedding import build

    rows = {
        device: build("alex", backbone, device=device).embed(to_unit_range(IMAGES[:64], device))
        for device in ("cpu", DEVICE)
    }
    np.testing.assert_allclose(rows[DEVICE].cpu(), rows["cpu"], atol=1e-4)
    with mixed(DEVICE, "bfloat16"):
        half = build("alex", backbone, device=DEVICE).embed(to_unit_range(IMAGES[:64], DEVICE))
    assert float((half.float().cpu() - rows["cpu"]).abs().max()) < 0.1


@pytest.fixture
def backbone() -> dict[str, torch.Tensor]:
    """AlexNet's features with random weights: the arithmetic is the same."""
    import torchvision

    torch.manual_seed(0)
    state = torchvision.models.alexnet(weights=None).features.state_dict()
    return {f"features.{name}": tensor for name, tensor in state.items()}
