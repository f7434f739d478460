"""Rows about activations of `layer1`, from decoded images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.benchmarks import peers
from tests.benchmarks.processes import Arrays, Clock, Prepared
from tests.benchmarks.row import Row
from tests.benchmarks.setting import Setting
from tests.benchmarks.sizes import Sizes

if TYPE_CHECKING:
    import torch


def ours(sizes: Sizes) -> Prepared:
    """The network up to `layer1`, as a run computes it."""
    setting = Setting(sizes)
    images = setting.images
    return Prepared(lambda clock: {"layer1": setting.layer1(images)}, note=setting.note)


def whole_network(sizes: Sizes) -> Prepared:
    """A hook, and the whole network; images are normalised float32 beforehand."""
    import torch

    from iibench_plugins.models.resnet50_cifar10 import MEAN, STD

    setting = Setting(sizes)
    network = _network(setting)
    x = torch.from_numpy(setting.images).permute(0, 3, 1, 2).float().div_(255)
    x = ((x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]).contiguous()

    def run(clock: Clock) -> Arrays:
        return {"layer1": peers.whole_network_activations(network, "layer1", x, 64)}

    return Prepared(run, note=setting.note)


def limit(sizes: Sizes) -> Prepared:
    """One product of two square float32 matrices, scaled to the operations up to `layer1`."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    setting = Setting(sizes)
    network, images = _network(setting), setting.images
    height, width = images.shape[1:3]
    parts = [network.get_submodule(name) for name in ("conv1", "bn1", "relu", "maxpool", "layer1")]
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        torch.nn.Sequential(*parts)(torch.zeros(1, 3, height, width))
    operations = counter.get_total_flops() * len(images)
    a, b = (torch.randn(sizes.product, sizes.product) for _ in range(2))

    def run(clock: Clock) -> Arrays:
        return {"corner": (a @ b)[:1, :1].numpy()}

    note = f"{operations:.3g} floating-point operations"
    return Prepared(run, operations / (2 * sizes.product**3), note)


def _network(setting: Setting) -> torch.nn.Module:
    """The architecture; up to `layer1` with the weights of ours, past it with random ones."""
    import torch
    from torchvision.models import resnet50

    from iibench_plugins.models._state import read_state
    from iibench_plugins.models.resnet50_cifar10 import LAYER1

    network = resnet50(weights=None, num_classes=10)
    network.conv1 = torch.nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    network.load_state_dict(read_state(setting.resources.asset(LAYER1)[1]), strict=False)
    return network.eval()


def _work(sizes: Sizes) -> str:
    return f"activations of ResNet50's layer1, {sizes.images:,} images, decode excluded"


def _same(found: Arrays, expected: Arrays) -> None:
    np.testing.assert_allclose(found["layer1"], expected["layer1"], rtol=1e-3, atol=1e-4)


ROWS = (
    Row(
        "activations",
        _work,
        lambda sizes: "forward hook, whole ResNet50 (random weights past layer1), batch 64",
        ours,
        whole_network,
        _same,
        5,
    ),
    Row(
        "activations_limit",
        _work,
        lambda sizes: (
            "the same number of floating-point operations (multiply-adds x 2, of convolutions, "
            "counted by torch.utils.flop_counter) at the speed of one product of two float32 "
            f"matrices of {sizes.product} x {sizes.product}"
        ),
        ours,
        limit,
        None,
        2,
        peer_is_limit=True,
    ),
)
