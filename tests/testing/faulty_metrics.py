"""Metrics with one mistake each, and without: LPIPS by the `lpips` package, and a small network.

LPIPS has the package's learned weights and a random trunk from a fixed seed, so that nothing is
downloaded; its mistakes do not depend on what the trunk has learned.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import lpips
import numpy as np
import torch

from iibench import MetricSpec, check_rgb
from iibench.compute.images import to_unit_range
from iibench.contract.specs import Golden
from iibench.testing.pictures import pictures
from iibench.testing.toys import small_network

SIDE = 32
CIFAR_MEAN = torch.tensor([0.4914, 0.4822, 0.4465])[:, None, None]
CIFAR_STD = torch.tensor([0.2471, 0.2435, 0.2616])[:, None, None]


def sha256(*modules):
    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


# -------------------------------------------------------------------------------------- LPIPS


@functools.cache
def _lpips(net, version):
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model = lpips.LPIPS(net=net, version=version, pnet_rand=True, verbose=False)
        for module in model.net.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
                torch.nn.init.normal_(module.bias, std=0.1)
    return model.eval().requires_grad_(False)


def lpips_model(net="alex", version="0.1"):
    """A fresh copy of the package's model on the fixed random trunk."""
    return copy.deepcopy(_lpips(net, version))


class Lpips:
    """Minus LPIPS of every pair; what a mistake changes is a method of its own."""

    def __init__(self, model=None):
        self.model = lpips_model() if model is None else model
        self.fingerprint = sha256(self.model)

    def check(self, x):
        check_rgb("planted", x)

    def prepare(self, x):
        return 2 * x.float() - 1

    def distances(self, x, y):
        """(p,) of x[i] and y[i]."""
        return self.model(x, y).flatten()

    def pairwise(self, a, b):
        self.check(a)
        self.check(b)
        a, b = self.prepare(a), self.prepare(b)
        n, m = len(a), len(b)
        if n * m == 0:
            return torch.zeros(n, m)
        pairs = self.distances(a.repeat_interleave(m, 0), b.repeat(n, 1, 1, 1))
        return -pairs.reshape(n, m)


class Unchecked(Lpips):
    """As lpips itself: nothing is checked."""

    def check(self, x):
        """Whatever comes."""


class ZeroOneUnchecked(Unchecked):
    """Images in [0, 1] go straight to lpips, which wants [-1, 1]."""

    def prepare(self, x):
        return x


class ZeroOne(Lpips):
    """The same behind a check that its own images pass."""

    def prepare(self, x):
        return x.float()


class AsPyiqa(Unchecked):
    """Wants [0, 1] like pyiqa, and takes images in [-1, 1] that were made for lpips."""


class NotBelowMinusOne(Lpips):
    """torchmetrics' check: nothing below -1."""

    def check(self, x):
        if x.min() < -1:
            raise ValueError("expected values in [-1, 1]")


class NormalisedTwice(Lpips):
    """CIFAR-10's mean and deviation first, then lpips's own scaling (the paper's released code)."""

    def prepare(self, x):
        return 2 * (x.float() - CIFAR_MEAN) / CIFAR_STD - 1


class ElementWise(Lpips):
    """lpips(x, y): image i with image i."""

    def pairwise(self, a, b):
        self.check(a)
        return -self.model(self.prepare(a), self.prepare(b)).flatten()


class BatchMean(Lpips):
    """One number for the batch, as torchmetrics' default reduction."""

    def pairwise(self, a, b):
        return -self.model(self.prepare(a[:1]), self.prepare(b)).mean()


class OneAgainstAll(Lpips):
    """Only the first of a; the rest is broadcast."""

    def pairwise(self, a, b):
        row = -self.model(self.prepare(a[:1]), self.prepare(b)).flatten()
        return row.expand(len(a), len(b))


class ConsecutiveTable(Lpips):
    """A table in which only consecutive pairs are computed."""

    def pairwise(self, a, b):
        table = super().pairwise(a, b)
        i, j = torch.arange(len(a))[:, None], torch.arange(len(b))[None]
        return torch.where((j == i + 1) | (i == j), table, torch.zeros(()))


class Consecutive(Lpips):
    """lpips_1dir_allpairs.py without --all-pairs: a list of consecutive pairs."""

    def pairwise(self, a, b):
        return -self.distances(self.prepare(a[:-1]), self.prepare(b[1:]))


class Distance(Lpips):
    """LPIPS itself: larger = less alike."""

    def pairwise(self, a, b):
        return -super().pairwise(a, b)


class Dropout(Lpips):
    """A parent module's .train() switches the linear layers' dropout on."""

    def __init__(self):
        super().__init__()
        torch.nn.ModuleDict({"metric": self.model}).train()


class RandomLinear(Lpips):
    """The linear layers are made at random; load_state_dict(strict=False) with other keys changes none."""

    def __init__(self):
        model = lpips_model()
        for k, channels in enumerate(model.chns):
            fresh = lpips.NetLinLayer(channels, use_dropout=True)
            with torch.no_grad():
                fresh.model[-1].weight.abs_()
            getattr(model, f"lin{k}").load_state_dict(fresh.state_dict())
        model.load_state_dict({"features.0.weight": torch.zeros(1)}, strict=False)
        super().__init__(model.eval().requires_grad_(False))


class RandomTrunk(Lpips):
    """pnet_rand=True, or a copy of the code that forgets the weights."""

    def __init__(self):
        model = lpips_model()
        for module in model.net.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
        super().__init__(model)


class Bilinear(Lpips):
    """Resizes on its own, without antialiasing, to another size."""

    def prepare(self, x):
        small = torch.nn.functional.interpolate(x.float(), size=(48, 48), mode="bilinear")
        return 2 * small - 1


class Grey(Unchecked):
    """The scaling layer broadcasts one channel to three."""

    def check(self, x):
        if not (x.is_floating_point() and x.min() >= 0 and x.max() <= 1):
            raise ValueError("expected values in [0, 1]")


class Graph(Lpips):
    """Gradients are on: memory fills with graphs."""

    def __init__(self):
        super().__init__()
        self.model.requires_grad_(True)


class TooSmall(Lpips):
    """Works at any size, it says; the network's kernels need more."""

    def prepare(self, x):
        small = torch.nn.functional.avg_pool2d(x.float(), 2)
        return 2 * small - 1


# ------------------------------------------------------------------------------ small network


@dataclass
class Embedding:
    """Features of a small network, less their mean over positions and channels, to be compared by cosine."""

    network: torch.nn.Module
    mark: str = ""

    @property
    def fingerprint(self):
        return self.mark or sha256(self.network)

    def check(self, x):
        check_rgb("planted", x)

    def prepare(self, x):
        return (x.float() - 0.5) / 0.25

    def finish(self, rows):
        return rows - rows.mean(dim=1, keepdim=True)

    def embed(self, x):
        self.check(x)
        return self.finish(self.network(self.prepare(x)).flatten(1))


class DoublyNormalised(Embedding):
    """The model normalises inside, and so does its caller."""

    def prepare(self, x):
        return (super().prepare(x) - 0.5) / 0.25


class Uncentred(Embedding):
    """normalize_embeds=False: the mean stays."""

    def finish(self, rows):
        return rows


class Unresized(Embedding):
    """Tensors bypass the preprocessing that resizes pictures."""

    def embed(self, x):
        return super().embed(x[:, :, ::2, ::2])


class BatchCentred(Embedding):
    """The mean is taken over the batch."""

    def finish(self, rows):
        return rows - rows.mean(dim=0, keepdim=True)


class Unscaled(Embedding):
    """Features are scaled by their deviation, which is zero for a constant image."""

    def finish(self, rows):
        return rows / (rows.std(dim=1, keepdim=True) if rows.numel() else 1)

    def prepare(self, x):
        spread = x.flatten(1).std(dim=1)[:, None, None, None] if x.numel() else 1
        return (x.float() - 0.5) / spread


class Asymmetric(Embedding):
    """The reference image is compared at full contrast, the other at half."""

    def compare(self, a, b):
        return -torch.cdist(a, 0.5 * b)


class WrongParts(Embedding):
    """Columns of the parts are those of images of another size."""

    def slices(self, height, width):
        return {"a": slice(0, 100), "b": slice(100, 10**6)}


class Adapted(torch.nn.Module):
    """A network with a low-rank adapter that has not been loaded: its second factor is zero."""

    def __init__(self):
        super().__init__()
        self.network = small_network()
        self.down = torch.nn.Parameter(torch.randn(4, 3), requires_grad=False)
        self.up = torch.nn.Parameter(torch.zeros(3, 4), requires_grad=False)

    def forward(self, x):
        return self.network(x + torch.einsum("oc,cr,nrhw->nohw", self.up, self.down, x))


def batch_norm():
    """The small network with a batch norm that is left in train mode."""
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3), small_network()).requires_grad_(False)
    network[0].train()
    return network


def seeded():
    """Seeds the whole process to make its weights."""
    torch.manual_seed(0)
    return small_network()


def hub_moved():
    """As dreamsim's loading does."""
    torch.hub.set_dir("./models")
    return small_network()


def writes():
    """A cache beside whatever is the working folder."""
    Path("models").mkdir(exist_ok=True)
    Path("models/weights.pth").write_bytes(b"x")
    return small_network()


def talks():
    print("Setting up [LPIPS] perceptual loss: trunk [alex], v[0.1], spatial [off]")
    return small_network()


def double_default():
    torch.set_default_dtype(torch.float64)
    return small_network().float()


# --------------------------------------------------------------------------------------- specs


@functools.cache
def _golden(kind):
    """The value of the metric without a mistake, of two pictures."""
    first, second = pictures(2, SIDE, seed=77)[0]
    a, b = (to_unit_range(image[None]) for image in (first, second))
    if kind == "lpips":
        value = Lpips().pairwise(a, b)
    else:
        metric = Embedding(small_network())
        value = torch.cosine_similarity(metric.embed(a), metric.embed(b))
    return Golden(
        "planted", "two pictures", lambda resources: (first, second), float(value), 1e-4, "itself"
    )


def lpips_spec(load, **more):
    """A spec of a metric that claims to be LPIPS on AlexNet, v0.1."""
    given = {"size": lambda params: SIDE, "golden": (_golden("lpips"),), "range": "(-inf, 0]"}
    return MetricSpec(
        name="planted", summary="", load=lambda params, harness: load(), **{**given, **more}
    )


def network_spec(load, **more):
    """A spec of a metric that claims to be the small network's."""
    given = {
        "size": lambda params: SIDE,
        "golden": (_golden("network"),),
        "range": "[-1, 1]",
        "distance": "cosine",
    }
    return MetricSpec(
        name="planted", summary="", load=lambda params, harness: load(), **{**given, **more}
    )


class Chance:
    """Random numbers from a global generator."""

    fingerprint = ""

    def embed(self, x):
        check_rgb("planted", x)
        return torch.from_numpy(np.random.standard_normal((len(x), 4)).astype(np.float32))
