"""What tests of networks share: resources without a network, and a plain forward pass to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from iibench.assets.local import LocalResources
from iibench.compute.activations import iter_activations
from iibench.contract.specs import LoadedModel


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small operations on two images: threads cost more than they bring."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def offline(tmp_path: Path) -> LocalResources:
    """An empty data folder and cache; nothing is downloaded; the suite lies in `tmp_path`."""
    (tmp_path / "data").mkdir()
    return LocalResources(tmp_path / "data", tmp_path / "cache", base_dir=tmp_path, offline=True)


@pytest.fixture
def online(offline: LocalResources) -> LocalResources:
    """The same, allowed to download; tests replace what would connect."""
    return LocalResources(offline.data_dir, offline.cache_dir, base_dir=offline.base_dir)


@pytest.fixture
def pictures() -> Callable[..., np.ndarray]:
    """(n, size, size, 3) uint8 noise."""

    def make(size: int, n: int = 2, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)

    return make


@pytest.fixture
def tapped() -> Callable[..., np.ndarray]:
    """Activations (n, N) of a model's layer, as iibench computes them."""

    def read(model: LoadedModel, layer: str, images: np.ndarray, pool: str = "mean") -> np.ndarray:
        batches = iter_activations(model, layer, pool, lambda i: images[i], np.arange(len(images)))
        return np.concatenate([rows for _, rows in batches])

    return read


@pytest.fixture
def hooked() -> Callable[..., np.ndarray]:
    """What a module of a network gives in the network's own forward pass, as float64."""

    def read(
        network: torch.nn.Module,
        layer: str,
        images: np.ndarray,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> np.ndarray:
        x = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 255
        x = (x - torch.tensor(mean).double()[:, None, None]) / torch.tensor(std)[:, None, None]
        seen: list[np.ndarray] = []

        def hook(_module: torch.nn.Module, _arguments: object, output: torch.Tensor) -> None:
            seen.append(output.clone().double().numpy())

        handle = network.get_submodule(layer).register_forward_hook(hook)
        with torch.no_grad():
            network.eval()(x.float())
        handle.remove()
        assert len(seen) == 1
        return seen[0]

    return read


@pytest.fixture
def is_frozen() -> Callable[[torch.nn.Module], bool]:
    """Whether a network is in eval mode everywhere, and without gradients."""

    def ask(module: torch.nn.Module) -> bool:
        training = any(m.training for m in module.modules())
        return not (training or any(p.requires_grad for p in module.parameters()))

    return ask


@pytest.fixture
def generator_kept() -> Iterator[None]:
    """Fails where the test's code moves torch's generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)
