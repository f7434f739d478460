"""The finder planted: its directions are the network's, as far off as asked, and it knows when not."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from iibench.assets.local import LocalResources
from iibench.compute.activations import iter_activations
from iibench.contract.errors import CaseError
from iibench.contract.specs import Directions, FitContext
from iibench_plugins.datasets import planted as dataset
from iibench_plugins.finders.planted import Params, encode, fit
from iibench_plugins.models import planted as model

RESOURCES = LocalResources(Path("none"), Path("none"), offline=True)


@cache
def activations(
    layer: str, net: model.Params, data: dataset.Params | None = None, present: float = 0.03
) -> np.ndarray:
    """Of a network for the images of a dataset, by default one of the same shape."""
    if data is None:
        data = dataset.Params(n=800, features=net.features, size=net.size, present=present)
    shown = dataset.load(data, "evaluate", RESOURCES)
    loaded = model.load(net, layer, RESOURCES)
    batches = iter_activations(loaded, layer, "mean", shown.images, np.arange(len(shown)))
    return np.concatenate([rows for _, rows in batches])


def weights(layer: str, net: model.Params) -> np.ndarray:
    """(neurons, features): how strongly each feature drives each neuron, read off the loaded network."""
    module = model.load(net, layer, RESOURCES).module
    if layer == "monosemantic":
        return np.eye(net.features)
    return module.get_submodule("superposed").weight.numpy()


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["superposed", "monosemantic"])
@pytest.mark.parametrize(
    "shape", [(64, 32, 0), (20, 8, 3)], ids=lambda shape: "-".join(map(str, shape))
)
def test_directions_are_the_networks(layer, shape, context) -> None:
    features, neurons, seed = shape
    net = model.Params(features, neurons, 64, seed)
    params = Params(features, neurons, seed)
    A = activations(layer, net)
    found = fit(params, A, context)
    np.testing.assert_allclose(found.vectors, weights(layer, net).T, atol=1e-6)
    assert found.vectors.dtype == np.float32
    assert found.notes == ()
    # at the feature's own direction, an image of it alone responds with its strength
    R = encode(params, found, A)
    shown = dataset.load(dataset.Params(n=800, features=features), "evaluate", RESOURCES)
    alone = (shown.values > 0).sum(axis=1) == 1
    which = shown.labels[alone]
    np.testing.assert_allclose(
        R[alone, which], shown.values[alone, which], atol=1.5 / 255, err_msg="of one feature alone"
    )


@pytest.mark.slow
@settings(deadline=None)
@given(
    angle=st.floats(0, 90),
    layer=st.sampled_from(["superposed", "monosemantic"]),
    seed=st.integers(0, 2**63),
)
def test_the_angle_is_exactly_that(angle, layer, seed) -> None:
    net = model.Params(20, 8, 64)
    A = activations(layer, net)
    found = fit(Params(20, 8, angle=angle), A, FitContext(seed)).vectors.astype(float)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    true = weights(layer, net).T
    # by the half angle, exact near 0 as well
    found_angle = 2 * np.arcsin(np.linalg.norm(found - true, axis=1) / 2)
    np.testing.assert_allclose(np.rad2deg(found_angle), angle, atol=1e-4)


def test_directions_turn_to_random_sides() -> None:
    A = activations("superposed", model.Params())
    true = fit(Params(), A, FitContext(1)).vectors
    one, two = (fit(Params(angle=60), A, FitContext(seed)).vectors for seed in (1, 2))
    sides = one - 0.5 * true
    assert not np.allclose(one, two)
    np.testing.assert_array_equal(one, fit(Params(angle=60), A, FitContext(1)).vectors)
    cosines = sides @ sides.T / np.outer(*[np.linalg.norm(sides, axis=1)] * 2)
    assert abs(cosines[~np.eye(64, dtype=bool)]).mean() < 0.25


@settings(deadline=None)
@given(
    A=arrays(np.float32, (6, 3), elements=st.floats(-4, 4, width=32)),
    angle=st.sampled_from([0, 30, 90]),
)
def test_responses_equal_naive_ones(A, angle) -> None:
    V = fit(Params(5, 3, angle=angle), A, FitContext(0)).vectors
    naive = np.array([[sum(float(x) * float(y) for x, y in zip(a, v)) for v in V] for a in A])  # noqa: B905
    lengths = np.array([sum(float(x) ** 2 for x in a) ** 0.5 for a in A])
    expected = {
        "projection": naive,
        "rectified": np.where(naive > 0, naive, 0),
        "cosine": [r / d if d > 0 else r * 0 for r, d in zip(naive, lengths, strict=True)],
    }
    for response, value in expected.items():
        params = Params(5, 3, angle=angle, response=response)
        try:
            R = encode(params, Directions(V), A)
        except CaseError:  # by chance, activations as of other features
            return
        assert R.dtype == np.float32
        np.testing.assert_allclose(R, value, atol=1e-5)


NET = model.Params(20, 8, 60)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "data", "finder"),
    [
        (NET, {"features": 20, "size": 60}, {"seed": 1}),
        (model.Params(20, 8, 60, 1), {"features": 20, "size": 60}, {}),
        (model.Params(16, 8, 60), {"features": 20, "size": 60}, {}),
        (model.Params(16, 8, 60), {"features": 20, "size": 60}, {"features": 16}),
        (NET, {"features": 16, "size": 60}, {}),
        (NET, {"features": 18, "size": 60}, {}),
        (model.Params(18, 8, 60), {"features": 20, "size": 60}, {"features": 18}),
        (NET, {"features": 20, "size": 48}, {}),
        (NET, {"features": 20, "size": 80}, {}),
    ],
    ids=[
        *("other seed of the finder", "other seed of the model", "other features of the model"),
        *("more features in the images", "fewer features in the images"),
        *("fewer on the same grid", "more on the same grid", "smaller images", "larger images"),
    ],
)
def test_directions_that_are_not_the_networks_are_told(net, data, finder, context) -> None:
    params = Params(**{"features": 20, "neurons": 8, **finder})
    A = activations("superposed", net, dataset.Params(n=2000, **data))
    found = fit(params, A, context)
    with pytest.raises(CaseError, match="must be those of the model planted"):
        encode(params, found, A)


@pytest.mark.slow
@pytest.mark.parametrize("features", [6, 20, 64])
@pytest.mark.parametrize("present", [0.001, 0.01, 0.1, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("n", [5, 50, 800])
def test_the_networks_own_directions_are_never_doubted(features, present, n, context) -> None:
    net = model.Params(features, 4 if features == 6 else features // 2, 64)
    params = Params(features, net.neurons)
    for layer in ("superposed", "monosemantic"):
        A = activations(layer, net, present=present)[:n]
        assert np.isfinite(encode(params, fit(params, A, context), A)).all()


def test_it_says_where_features_are_too_common_to_tell(context) -> None:
    A = activations("superposed", NET, present=0.9)
    (note,) = fit(Params(20, 8), A, context).notes
    assert note.startswith("too few images show one feature alone")


def test_a_layer_of_another_width_is_refused(context) -> None:
    A = activations("superposed", NET)
    expected = r"the layer has 8 neurons; expected 7 \(layer superposed .* or 20 \(layer monosem"
    with pytest.raises(CaseError, match=expected):
        fit(Params(20, 7), A, context)
    with pytest.raises(ValueError, match="expected fewer neurons than features"):
        Params(8, 8)
