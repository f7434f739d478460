"""What holds for every finder: shapes, types, seeds, purity, awkward activations."""

from __future__ import annotations

import importlib.util
import random as python_random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.contract.errors import CaseError
from iibench.contract.specs import FinderSpec, FitContext
from iibench_plugins.finders import (
    dictionary,
    file,
    ica,
    kmeans,
    neurons,
    nmf,
    pca,
    random,
    sae,
    sparse_pca,
    topk_sae,
)
from iibench_plugins.finders import overcomplete as overcomplete_finders

MODULES = (
    neurons,
    random,
    file,
    pca,
    ica,
    sparse_pca,
    nmf,
    kmeans,
    dictionary,
    sae,
    topk_sae,
    overcomplete_finders,
)
PARAMS = {
    "neurons": neurons.Params(),
    "random": random.Params(k=7),
    "pca": pca.Params(k=5),
    "ica": ica.Params(k=5),
    "nmf": nmf.Params(k=5),
    "kmeans": kmeans.Params(k=5),
    "sae": sae.Params(z=16, epochs=4, batch_size=64),
    "file": file.Params(path="written by a fixture"),
    "sparse_pca": sparse_pca.Params(k=5),
    "dictionary": dictionary.Params(k=5),
    "topk_sae": topk_sae.Params(z=16, k=4, epochs=4, batch_size=64),
    "overcomplete": overcomplete_finders.Params(k=16, active=4, epochs=4, batch_size=64),
}
WIDTH = {"neurons": 12, "random": 7, "file": 6, "sae": 16, "topk_sae": 16, "overcomplete": 16}
AUTOENCODERS = {"sae", "topk_sae", "overcomplete"}
INSTALLED = {name for name in PARAMS if name != "overcomplete"} | (
    {"overcomplete"} if importlib.util.find_spec("overcomplete") else set()
)
ALL = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            name not in INSTALLED, reason="the package overcomplete is not installed"
        ),
    )
    for name in PARAMS
]
LEARNING = [param for param in ALL if param.values[0] not in {"neurons", "random", "file"}]
# all neurons here fit into one step of sparse_pca, so there is nothing to draw
SEEDED = [param for param in ALL if param.values[0] not in {"neurons", "file", "pca", "sparse_pca"}]


@pytest.fixture(autouse=True, scope="module")
def _directions_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("directions") / "directions.npy"
    np.save(path, np.random.default_rng(4).normal(size=(6, 12)))
    PARAMS["file"] = file.Params(path=str(path))


def spec_of(name) -> FinderSpec:
    specs = [spec for module in MODULES for spec in module.iibench_register_finders()]
    assert {spec.name for spec in specs} == set(PARAMS)
    return next(spec for spec in specs if spec.name == name)


def fit(name, A, seed=0, params=None):
    return spec_of(name).fit(params or PARAMS[name], A, FitContext(seed))


def encode(name, directions, A):
    return spec_of(name).encode(PARAMS[name], directions, A)


@pytest.mark.parametrize("name", ALL)
def test_shapes_and_types(name, activations):
    found = fit(name, activations)
    k = WIDTH.get(name, 5)
    assert found.vectors.shape == (k, 12)
    assert found.vectors.dtype == np.float32
    R = encode(name, found, activations[:40])
    assert R.shape == (40, k)
    assert R.dtype == np.float32
    assert R.flags.c_contiguous
    assert np.isfinite(R).all()
    assert np.isfinite(found.vectors).all()
    assert np.isfinite(
        np.concatenate([np.ravel(part) for part in found.state.values()] or [[0]])
    ).all()


@pytest.mark.parametrize("name", ALL)
def test_the_same_seed_gives_the_same_arrays_and_no_global_state_changes(name, activations):
    before = activations.copy()
    np.random.seed(3)
    torch.manual_seed(3)
    python_random.seed(3)
    states = np.random.get_state()[1].copy(), torch.get_rng_state(), python_random.getstate()
    threads, grad = torch.get_num_threads(), torch.is_grad_enabled()
    first, second = fit(name, activations, 11), fit(name, activations, 11)
    assert np.array_equal(first.vectors, second.vectors)
    assert first.state.keys() == second.state.keys()
    for key in first.state:
        assert np.array_equal(first.state[key], second.state[key])
    R = encode(name, first, activations)
    assert np.array_equal(R, encode(name, second, activations))
    assert np.array_equal(activations, before)
    assert np.array_equal(np.random.get_state()[1], states[0])
    assert torch.equal(torch.get_rng_state(), states[1])
    assert python_random.getstate() == states[2]
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == (threads, grad)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDED)
def test_another_seed_gives_other_directions(name, activations):
    assert not np.array_equal(fit(name, activations, 1).vectors, fit(name, activations, 2).vectors)


@pytest.mark.parametrize("name", ALL)
def test_a_row_is_encoded_alike_whatever_stands_beside_it(name, activations):
    found = fit(name, activations[:200])
    together = encode(name, found, activations)
    scale = np.abs(together).max()
    for rows in (slice(0, 1), slice(250, 300), slice(None, None, -1)):
        np.testing.assert_allclose(
            encode(name, found, activations[rows]), together[rows], rtol=0, atol=1e-5 * scale
        )


@pytest.mark.parametrize("name", LEARNING)
def test_an_offset_of_the_evaluated_split_does_not_vanish(name, activations):
    # encode must use what fit has seen: were the evaluated split centred on its own mean, a constant
    # added to all of it would leave no trace
    found = fit(name, activations)
    shifted = encode(name, found, activations + np.float32(0.5))
    assert np.abs(shifted - encode(name, found, activations)).max() > 1e-3


@pytest.mark.parametrize("name", LEARNING)
def test_dead_neurons_do_no_harm(name, activations):
    A = activations.copy()
    A[:, [2, 7, 11]] = 0
    found = fit(name, A)
    assert np.isfinite(found.vectors).all()
    assert np.isfinite(encode(name, found, activations)).all()
    if (
        name not in AUTOENCODERS
    ):  # a decoder's entries for neurons without activation shrink but do not vanish
        np.testing.assert_allclose(found.vectors[:, [2, 7, 11]], 0, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("value", [0.0, 1.5])
def test_constant_activations_are_an_error_or_finite(name, value):
    A = np.full((30, 12), value, np.float32)
    try:
        found = fit(name, A)
    except CaseError as error:
        assert name in str(error)
        assert "different" in str(error) or "the same" in str(error) or "not zero" in str(error)
        return
    assert name in {"neurons", "random", "file", "nmf"}
    assert np.isfinite(encode(name, found, A)).all()


@pytest.mark.parametrize("name", ALL)
def test_fewer_images_than_neurons(name, activations):
    found = fit(name, activations[:8])
    assert np.isfinite(found.vectors).all()
    assert np.isfinite(encode(name, found, activations)).all()


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("pca", pca.Params(k=13)),
        ("ica", ica.Params(k=13)),
        ("kmeans", kmeans.Params(k=301)),
        ("nmf", nmf.Params(k=301)),
        ("sparse_pca", sparse_pca.Params(k=13)),
        ("dictionary", dictionary.Params(k=301)),
    ],
)
def test_too_many_directions_are_an_error_that_says_how_many_there_may_be(
    name, params, activations
):
    with pytest.raises(CaseError, match=rf"{name}: k = {params.k} .*(300|12)"):
        fit(name, activations, params=params)


@pytest.mark.parametrize("name", ["pca", "ica", "nmf"])
def test_all_directions_by_default(name, activations):
    params = type(PARAMS[name])()
    assert fit(name, activations, params=params).vectors.shape == (12, 12)
    few = fit(name, activations[:8], params=params).vectors
    assert few.shape == ((8, 12) if name == "nmf" else (7, 12))


@given(st.sampled_from(sorted(INSTALLED)), st.integers(0, 2**63 - 1))
@settings(max_examples=30, deadline=None)
def test_any_seed_is_accepted_and_order_of_rows_moves_with_them(name, seed):
    A = np.random.default_rng(seed).gamma(0.7, size=(40, 12)).astype(np.float32)
    found = fit(name, A, seed)
    order = np.random.default_rng(seed + 1).permutation(40)
    R = encode(name, found, A)
    np.testing.assert_allclose(
        encode(name, found, A[order]), R[order], rtol=0, atol=1e-5 * np.abs(R).max()
    )


@pytest.mark.parametrize("name", ALL)
def test_progress_ends_at_its_total(name, activations):
    seen = []
    context = FitContext(0, progress=lambda done, total, note: seen.append((done, total, note)))
    spec_of(name).fit(PARAMS[name], activations, context)
    assert all(0 < done <= total and note for done, total, note in seen)
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    if name in {"kmeans", *AUTOENCODERS}:
        assert seen[-1][0] == seen[-1][1]


@pytest.mark.slow
def test_what_does_not_look_at_the_activations_says_so(activations):
    other = np.ascontiguousarray(activations[:, ::-1] ** 2)
    for name in INSTALLED:
        same = np.array_equal(fit(name, activations).vectors, fit(name, other).vectors)
        assert same != spec_of(name).trains_on, name
