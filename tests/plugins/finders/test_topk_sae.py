"""The TopK autoencoder: its gradient against autograd, its sparsity, dead units, what it recovers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from iibench.contract.specs import FitContext
from iibench_plugins.finders import topk_sae
from iibench_plugins.finders._autoencoder import initial_weights
from iibench_plugins.finders.topk_sae import Params, encode, fit, gradients, hidden

SMALL = Params(z=24, k=4, epochs=30, batch_size=64, lr=3e-3)


@pytest.mark.parametrize("dead", [[], [1, 4, 8]])
def test_gradients_are_those_of_autograd_on_the_sphere(dead):
    generator = torch.Generator().manual_seed(0)
    start = initial_weights(9, 6, generator, "cpu")
    start.encoder_bias.add_(0.1)
    x = torch.randn((17, 6), generator=generator)
    leaves = [part.clone().requires_grad_() for part in start.all()]
    E, b_e, D, b_d = leaves
    unit = D / D.norm(dim=1, keepdim=True)

    def largest(values, k):
        kept = values >= values.sort(dim=1, descending=True).values[:, k - 1 : k]
        return torch.relu(values) * kept

    before = x @ E.T + b_e
    y = largest(before, 3) @ unit + b_d
    loss = ((y - x) ** 2).sum(1).mean()
    if dead:
        error = (x - y).detach()
        loss = loss + 0.3 * ((largest(before[:, dead], 3) @ unit[dead] - error) ** 2).sum(1).mean()
    loss.backward()
    found = gradients(x, hidden(x, start, 3), start, torch.tensor(dead, dtype=torch.int64), 0.3)
    for gradient, leaf in zip(found, leaves, strict=True):
        torch.testing.assert_close(gradient, leaf.grad, rtol=1e-4, atol=1e-5)


def test_response_is_the_code_written_from_its_definition(activations, context):
    found = fit(SMALL, activations, context)
    state = found.state
    for a, r in zip(
        activations[:20].astype(float), encode(SMALL, found, activations), strict=False
    ):
        x = (a - state["mean"]) / state["scale"]
        before = state["encoder"].astype(float) @ x + state["encoder_bias"]
        expected = np.zeros(24)
        for unit in np.argsort(-before)[:4]:
            expected[unit] = max(0.0, before[unit])
        np.testing.assert_allclose(r, expected, atol=1e-4)


@pytest.mark.parametrize("k", [1, 4, 24])
def test_no_image_activates_more_units_than_asked(k, activations, context):
    params = dataclasses.replace(SMALL, k=k)
    R = encode(params, fit(params, activations, context), activations)
    assert ((R > 0).sum(axis=1) <= k).all()
    assert (R >= 0).all()


def test_directions_have_unit_norm_and_the_note_says_what_the_fit_split_shows(activations, context):
    found = fit(SMALL, activations, context)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)
    R = encode(SMALL, found, activations).astype(float)
    x = (activations - found.state["mean"]) / found.state["scale"]
    y = R @ found.vectors + found.state["decoder_bias"]
    explained = 1 - ((x - y) ** 2).sum() / (x**2).sum()
    assert found.notes == (
        f"explains {100 * explained:.1f} % of the variance with {(R > 0).sum(1).mean():.1f} active "
        f"hidden units an image; {(R.max(0) == 0).sum()} of 24 are dead on the fit split",
    )


def test_units_are_revived_that_no_image_of_the_last_epoch_activated(planted, monkeypatch):
    _, A = planted
    calls = []

    def watched(x, h, weights, dead, revive):
        calls.append(((h > 0).any(dim=0).numpy(), dead.tolist(), revive))
        return gradients(x, h, weights, dead, revive)

    monkeypatch.setattr(topk_sae, "gradients", watched)
    params = Params(z=64, k=2, epochs=4, batch_size=500)
    fit(params, A, FitContext(0))
    expected: list[int] = []
    for epoch in range(4):
        batches = calls[3 * epoch : 3 * epoch + 3]
        assert all(dead == expected and revive == params.revive for _, dead, revive in batches)
        expected = np.flatnonzero(~np.any([seen for seen, _, _ in batches], axis=0)).tolist()
        assert expected


def test_more_active_units_explain_more(activations, context):
    shares = [
        float(fit(dataclasses.replace(SMALL, k=k), activations, context).notes[0].split()[1])
        for k in (1, 3, 8)
    ]
    assert shares == sorted(shares)
    assert shares[-1] > 90


@pytest.mark.slow
def test_planted_directions_are_recovered(planted, recovered):
    V, A = planted
    params = Params(z=24, k=3, epochs=60, batch_size=64, lr=3e-3)
    found = fit(params, A, FitContext(1))
    assert (recovered(V, found.vectors) > 0.9).sum() >= 7


def test_more_active_units_than_there_are():
    with pytest.raises(ValueError, match="k = 9 active units of z = 8"):
        Params(z=8, k=9)
