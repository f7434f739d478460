"""What every image metric must hold, and the values that metrics are known to give.

The networks have random weights where only invariants are tested; the known values need the real
ones and are skipped where those are not on disk.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from iibench.assets.local import LocalResources, default_cache_dir, default_data_dir
from iibench.contract.base import NoParams
from iibench.contract.errors import AssetError, CaseError
from iibench.contract.specs import ComparingMetric
from iibench.suite.labels import read_label
from iibench.suite.params import label_values, parse_params
from iibench_plugins.metrics import color, color_lab, dists, lpips, pixel, shuffled, ssim, stlpips
from iibench_plugins.metrics.dists import network as _dists
from iibench_plugins.metrics.stlpips import network as _stlpips

MODULES = (color, color_lab, dists, lpips, pixel, shuffled, ssim, stlpips)
SPECS = {spec.name: spec for module in MODULES for spec in module.iibench_register_metrics()}


def random_dists():
    generator = torch.Generator().manual_seed(0)
    trunk, inputs = {}, 3
    for outputs, places in zip(_dists.CHANNELS[1:], _dists.STAGES, strict=True):
        for place in places:
            scale = (2 / (9 * inputs)) ** 0.5
            kernel = torch.randn(outputs, inputs, 3, 3, generator=generator) * scale
            trunk[f"features.{place}.weight"] = kernel
            trunk[f"features.{place}.bias"] = torch.randn(outputs, generator=generator) * 0.1
            inputs = outputs
    learned = {
        name: torch.rand(1, sum(_dists.CHANNELS), 1, 1, generator=generator)
        for name in ("alpha", "beta")
    }
    return _dists.build(trunk, learned)


def random_stlpips():
    """Kernels of a useful scale, everything else in [0, 1): learned weights must not be negative."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in _stlpips._shapes("alex").items():
        state[name] = torch.rand(shape, generator=generator)
        if len(shape) == 4 and shape[2] > 1 and not name.endswith("filt"):
            state[name] = (
                torch.randn(shape, generator=generator) * (2 / state[name][0].numel()) ** 0.5
            )
    return _stlpips.build("alex", state)


#: name of the case -> name of its spec, and what loads the metric
CASES = {
    "color_lab": ("color_lab", lambda: color_lab.load(NoParams(), None)),
    "dists": ("dists", random_dists),
    "pixel": ("pixel", lambda: pixel.load(pixel.Params(), None)),
    "shuffled": ("shuffled", lambda: shuffled.load(shuffled.Params(), None)),
    "ssim": ("ssim", lambda: ssim.load(ssim.Params(), None)),
    "ssim gaussian": ("ssim", lambda: ssim.load(ssim.Params(window="gaussian"), None)),
    "stlpips": ("stlpips", random_stlpips),
}
#: How exactly similarities of one pair agree; DISTS multiplies maps in float32.
EXACT = {name: 1e-6 if name == "dists" else 1e-9 for name in CASES}
each = pytest.mark.parametrize("name", CASES)


@cache
def loaded(name):
    """(spec, loaded metric) of a case."""
    spec, load = CASES[name]
    return SPECS[spec], load()


def images(n, height=32, width=32, seed=0):
    """8-bit images as floats, neither noise alone nor flat."""
    rng = np.random.default_rng(seed)
    colour = rng.integers(0, 200, (n, 3, 1, 1))
    noise = rng.integers(0, 56, (n, 3, height, width))
    return torch.from_numpy(((colour + noise) / 255).astype(np.float32))


def similarity(spec, metric, a, b):
    """Rows of embeddings -> float64 similarities, as `MetricSpec.distance` defines them."""
    if spec.distance == "own":
        return metric.compare(a, b)
    difference = a.double()[:, None] - b.double()[None]
    squared = difference.square().sum(dim=2)
    return {"squared_euclidean": -squared, "euclidean": -squared.sqrt()}[spec.distance]


@each
def test_no_image_is_more_alike_than_the_image_itself(name):
    spec, metric = loaded(name)
    rows = metric.embed(images(6))
    found = similarity(spec, metric, rows, rows)
    best = found.diagonal()
    torch.testing.assert_close(
        best, torch.full_like(best, best[0].item()), rtol=0, atol=EXACT[name]
    )
    assert best[0].item() == pytest.approx(1 if spec.name == "ssim" else 0, abs=EXACT[name])
    others = found[~torch.eye(6, dtype=torch.bool)]
    assert (others < best.min() - 1e-4).all()


@each
def test_the_order_of_two_images_does_not_matter(name):
    spec, metric = loaded(name)
    a, b = metric.embed(images(4)), metric.embed(images(3, seed=1))
    there, back = similarity(spec, metric, a, b), similarity(spec, metric, b, a)
    assert there.shape == (4, 3)
    torch.testing.assert_close(there, back.T, rtol=0, atol=EXACT[name])
    assert spec.symmetric


@each
def test_neither_the_batch_nor_the_order_matters(name):
    _, metric = loaded(name)
    x, order = images(5), [3, 0, 4, 1, 2]
    whole = metric.embed(x)
    assert whole.dtype == torch.float32
    assert not whole.requires_grad
    torch.testing.assert_close(metric.embed(x[order]), whole[order], rtol=1e-5, atol=1e-6)
    alone = torch.cat([metric.embed(x[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(alone, whole, rtol=1e-5, atol=2e-5)
    assert metric.embed(x[:0]).shape == (0, whole.shape[1])


@each
def test_comparisons_do_not_depend_on_what_else_is_compared(name):
    spec, metric = loaded(name)
    a, b = metric.embed(images(3)), metric.embed(images(4, seed=1))
    whole = similarity(spec, metric, a, b)
    for i in range(3):
        for j in range(4):
            alone = similarity(spec, metric, a[i : i + 1], b[j : j + 1])
            assert alone.item() == pytest.approx(whole[i, j].item(), abs=EXACT[name])
    assert similarity(spec, metric, a[:0], b).shape == (0, 4)
    assert similarity(spec, metric, a, b[:0]).shape == (3, 0)


@each
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (2 * images(2) - 1, r"expects RGB in \[0, 1\], got values from -"),
        (255 * images(2), r"expects RGB in \[0, 1\], got values from"),
        (images(2)[:, :1], r"expects floating RGB images .* shape \(2, 1, 32, 32\)"),
        ((255 * images(2)).to(torch.uint8), "expects floating RGB images .* got uint8"),
    ],
)
def test_other_inputs_are_refused(name, x, message):
    spec, metric = loaded(name)
    with pytest.raises(CaseError, match=f"metric {spec.name}.*{message}"):
        metric.embed(x)


@pytest.mark.parametrize("name", ["color_lab", "dists", "ssim"])
def test_own_comparisons_follow_the_protocol(name):
    spec, metric = loaded(name)
    assert spec.distance == "own"
    assert isinstance(metric, ComparingMetric)


@pytest.mark.parametrize("name", ["dists", "ssim"])
def test_maps_of_unequal_images_are_not_compared(name):
    """40 x 20 and 20 x 40 pixels give rows of one length: they know their size nevertheless."""
    _, metric = loaded(name)
    a, b = metric.embed(images(2, 40, 20)), metric.embed(images(2, 20, 40))
    with pytest.raises(CaseError, match=f"{name} compares images of one size, got 20 x 40 and 40"):
        metric.compare(a, b)


# --------------------------------------------------------------------------------- known values


@pytest.fixture(scope="module")
def resources():
    """The user's data and cache folders, as they were before each test got its own."""
    return LocalResources(default_data_dir(), default_cache_dir(), offline=True)


@pytest.mark.parametrize(
    ("spec", "golden"),
    [
        pytest.param(spec, golden, id=f"{golden.label} {number}")
        for spec in SPECS.values()
        for number, golden in enumerate(spec.golden)
    ],
)
def test_a_metric_gives_the_values_it_is_known_to_give(resources, spec, golden):
    written = read_label(golden.label)
    assert written.name == spec.name
    params = parse_params(spec, label_values(spec, written.params))
    try:
        pair = np.stack(golden.images(resources))
        metric = spec.load(params, resources)
    except AssetError as error:
        pytest.skip(str(error).splitlines()[0])
    assert pair.dtype == np.uint8
    rows = metric.embed(torch.from_numpy(pair).permute(0, 3, 1, 2) / 255)
    if written.part is not None:
        rows = rows[:, metric.slices(*pair.shape[1:3])[written.part]]
    found = similarity(spec, metric, rows[:1], rows[1:]).item()
    assert found == pytest.approx(golden.similarity, abs=golden.tolerance)


def test_every_metric_of_images_has_known_values():
    for spec in SPECS.values():
        assert len(spec.golden) >= 2, spec.name
        assert all(golden.source and golden.pair for golden in spec.golden)
