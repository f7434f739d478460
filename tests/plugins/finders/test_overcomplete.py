"""Overcomplete's methods: pure, seeded, written from the stored arrays, and what is refused."""

from __future__ import annotations

import builtins
import importlib.metadata
import importlib.util
import sys

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from iibench.contract.errors import AssetError, CaseError
from iibench.contract.specs import FitContext
from iibench.suite.params import ParamError, label, parse_params
from iibench_plugins.finders.overcomplete import Params, encode, fit, iibench_register_finders
from iibench_plugins.finders.overcomplete import shared as _overcomplete

if importlib.util.find_spec("overcomplete") is None:
    pytest.skip("the package overcomplete is not installed", allow_module_level=True)
cm = pytest.importorskip("matplotlib.cm", reason="comes with the package overcomplete")

FACTORS = ("nmf", "semi_nmf", "convex_nmf")
TOP_K = ("topk_sae", "batch_topk_sae", "ra_sae")
CODES = ("sae", "jump_sae", *TOP_K)


def small(method, **changes):
    values = {
        "k": 6 if method in FACTORS else 20,
        "active": 3,
        "epochs": 10,
        "batch_size": 50,
        "lr": 3e-3,
        "candidates": 60,
        "l1": 0.3,
    }
    return Params(method=method, **values | changes)


@pytest.mark.slow
@pytest.mark.parametrize("method", FACTORS + CODES)
def test_fits_are_seeded_and_encoding_is_row_by_row(method, activations):
    params = small(method)
    torch.manual_seed(1)
    np.random.seed(1)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, second = (fit(params, activations, FitContext(2**62 + 5)) for _ in range(2))
    assert first.vectors.shape == (params.k, 12)
    assert first.vectors.dtype == np.float32
    assert np.array_equal(first.vectors, second.vectors)
    assert first.state.keys() == second.state.keys()
    assert all(np.array_equal(first.state[key], second.state[key]) for key in first.state)
    R = encode(params, first, activations)
    assert R.dtype == np.float32
    assert (R >= 0).all()
    assert R.any()
    assert np.array_equal(R, encode(params, second, activations))
    alone = np.concatenate(
        [encode(params, first, activations[i : i + 1]) for i in range(0, 300, 30)]
    )
    np.testing.assert_allclose(alone, R[::30], atol=1e-5 * R.max())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    norms = np.linalg.norm(first.vectors, axis=1)
    assert np.all((np.abs(norms - 1) < 1e-5) | (norms == 0))


@pytest.mark.parametrize("method", FACTORS)
def test_weights_equal_scipys_nonnegative_least_squares(method, activations, context):
    params = small(method)
    found = fit(params, activations, context)
    V = found.vectors.T.astype(float)
    expected = [nnls(V, a.astype(float))[0] for a in activations[:40]]
    np.testing.assert_allclose(encode(params, found, activations[:40]), expected, atol=1e-3)


@pytest.mark.parametrize("method", FACTORS)
def test_factorisations_explain_the_activations(method, activations, context):
    found = fit(small(method), activations, context)
    R = encode(small(method), found, activations).astype(float)
    centred = activations - activations.mean(axis=0)
    share = 1 - ((activations - R @ found.vectors) ** 2).sum() / (centred**2).sum()
    assert share > {"nmf": 0.85, "semi_nmf": 0.85, "convex_nmf": 0.5}[method]
    assert found.notes[0] == f"explains {100 * share:.1f} % of the variance"


@pytest.mark.slow
def test_signs_of_the_factorisations(activations, context):
    assert (fit(small("nmf"), activations, context).vectors >= 0).all()
    # weighted means of activations that are not negative
    assert (fit(small("convex_nmf"), activations, context).vectors >= 0).all()
    signed = activations - 1
    for method in ("semi_nmf", "convex_nmf"):
        assert (encode(small(method), fit(small(method), signed, context), signed) >= 0).all()
    with pytest.raises(CaseError, match=r"overcomplete\[method=nmf\]: .* neuron"):
        fit(small("nmf"), signed, context)


def written_out(params, found, a):
    """The code of one activation, from the stored arrays and the methods' definitions."""
    state = {key: part.astype(float) for key, part in found.state.items()}
    x = (a - state["mean"]) / state["scale"]
    (weight,) = (part for key, part in state.items() if key.endswith(".weight"))
    (bias,) = (part for key, part in state.items() if key.endswith(".bias"))
    z = np.maximum(weight @ x + bias, 0)
    if params.method in {"topk_sae", "ra_sae"}:
        z[np.argsort(-z)[params.active :]] = 0
    elif params.method == "batch_topk_sae":
        z[z < state["threshold"]] = 0
    elif params.method == "jump_sae":
        z[z < np.exp(state["thresholds"])] = 0
    return z * state["norms"]


@pytest.mark.parametrize("method", CODES)
def test_codes_are_those_of_the_definition(method, activations, context):
    params = small(method)
    found = fit(params, activations, context)
    R = encode(params, found, activations[:40])
    for a, r in zip(activations[:40].astype(float), R, strict=True):
        np.testing.assert_allclose(r, written_out(params, found, a), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("method", CODES)
def test_directions_and_codes_describe_the_activations_as_noted(method, activations, context):
    params = small(method, epochs=40)
    found = fit(params, activations, context)
    R = encode(params, found, activations).astype(float)
    x = (activations - found.state["mean"]) / found.state["scale"]
    share = 1 - ((x - R @ found.vectors) ** 2).sum() / (x**2).sum()
    assert share > 0.6
    noted = found.notes[0].split()
    assert float(noted[1]) == pytest.approx(100 * share, abs=0.11)
    assert float(noted[7]) == pytest.approx((R > 0).sum(1).mean(), abs=0.11)
    if method in {"topk_sae", "ra_sae"}:
        assert ((R > 0).sum(axis=1) <= 3).all()
    if method == "batch_topk_sae":
        assert 1.5 < (R > 0).sum(axis=1).mean() < 4.5


def test_archetypal_directions_stay_near_means_of_activations(activations, context):
    params = small("ra_sae", delta=1e-6)
    found = fit(params, activations, context)
    x = (activations - found.state["mean"]) / found.state["scale"]
    # the decoder's rows are means times one number for all, so in the cone of the standardised images
    for v in found.vectors.astype(float):
        assert nnls(x.T.astype(float), v)[1] < 1e-3


def test_what_cannot_be_fitted(activations, context):
    with pytest.raises(CaseError, match="k = 20 .* 10 candidates"):
        fit(small("ra_sae", candidates=10), activations, context)
    with pytest.raises(CaseError, match="k = 301 .* n = 300"):
        fit(small("semi_nmf", k=301), activations, context)
    for method in ("semi_nmf", "topk_sae"):
        with pytest.raises(CaseError, match="all the same"):
            fit(small(method), np.ones((30, 12), np.float32), context)
    (spec,) = iibench_register_finders()
    with pytest.raises(ParamError, match="active = 32 directions of k = 8; expected active <= k"):
        parse_params(spec, {"k": 8})
    parse_params(spec, {"k": 8, "method": "sae"})
    with pytest.raises(ParamError, match="nearest: topk_sae"):
        parse_params(spec, {"method": "topksae"})


def test_the_label_names_the_method():
    (spec,) = iibench_register_finders()
    assert label(spec, Params(method="ra_sae", k=64)) == "overcomplete[method=ra_sae,k=64]"


def test_a_missing_or_broken_package_is_one_sentence(activations, context, monkeypatch):
    (spec,) = iibench_register_finders()
    known = spec.inputs(Params(), "")
    assert len(known) == 64
    with monkeypatch.context() as patch:
        patch.setattr(importlib.metadata, "version", lambda name: "9.9")
        assert spec.inputs(Params(), "") != known

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    with monkeypatch.context() as patch:
        patch.setattr(importlib.metadata, "version", missing)
        for call in (
            lambda: spec.inputs(Params(), ""),
            lambda: fit(Params(), activations, context),
        ):
            with pytest.raises(AssetError, match=r"pip install 'iibench\[overcomplete\]'"):
                call()

    imported = builtins.__import__

    def broken(name, *args, **kwargs):
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file")
        return imported(name, *args, **kwargs)

    for name in [n for n in sys.modules if n.partition(".")[0] in {"overcomplete", "cv2"}]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(AssetError, match=r"cannot be imported \(ImportError: libGL"):
        _overcomplete.submodule("sae")


def test_importing_the_package_leaves_matplotlib_as_it_was():
    before = hasattr(cm, "get_cmap")
    _overcomplete.submodule("sae")
    assert hasattr(cm, "get_cmap") == before
