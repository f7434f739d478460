"""The sparse autoencoder: its gradient against autograd, its units, its sparsity, what it recovers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from iibench.contract.errors import CaseError
from iibench.contract.specs import FitContext
from iibench_plugins.finders._autoencoder import Weights, initial_weights
from iibench_plugins.finders.sae import Params, encode, fit, gradients

SMALL = Params(z=24, l1=1.0, epochs=30, batch_size=64, lr=3e-3)


def describe(found, A):
    """Mean number of active units, explained variance of A, by hand from what encode gives."""
    R = encode(SMALL, found, A).astype(float)
    x = (A - found.state["mean"]) / found.state["scale"]
    y = R @ found.vectors + found.state["decoder_bias"]
    return (R > 0).sum(1).mean(), 1 - ((x - y) ** 2).sum() / (x**2).sum()


def test_gradients_are_those_of_autograd_on_the_sphere():
    generator = torch.Generator().manual_seed(0)
    start = initial_weights(9, 5, generator, "cpu")
    start.encoder_bias.add_(0.1)
    x = torch.randn((17, 5), generator=generator)
    leaves = [part.clone().requires_grad_() for part in start.all()]
    E, b_e, D, b_d = leaves
    h = torch.relu(x @ E.T + b_e)
    unit = D / D.norm(dim=1, keepdim=True)
    loss = ((h @ unit + b_d - x) ** 2).sum(1).mean() + 0.3 * h.sum(1).mean()
    loss.backward()
    for found, leaf in zip(gradients(x, start, 0.3), leaves, strict=True):
        torch.testing.assert_close(found, leaf.grad, rtol=1e-4, atol=1e-5)


def test_gradients_leave_the_weights_alone():
    start = initial_weights(4, 3, torch.Generator().manual_seed(0), "cpu")
    before = [part.clone() for part in start.all()]
    gradients(torch.ones(2, 3), start, 1.0)
    for old, new in zip(before, Weights(*start.all()).all(), strict=True):
        assert torch.equal(old, new)


def test_directions_have_unit_norm_and_responses_are_not_negative(activations, context):
    found = fit(SMALL, activations, context)
    assert found.vectors.shape == (24, 12)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)
    assert (encode(SMALL, found, activations) >= 0).all()


def test_response_is_the_hidden_activation(activations, context):
    found = fit(SMALL, activations, context)
    state = found.state
    for a, r in zip(
        activations[:10].astype(float), encode(SMALL, found, activations), strict=False
    ):
        x = (a - state["mean"]) / state["scale"]
        expected = [
            max(0.0, float(e @ x + b))
            for e, b in zip(state["encoder"], state["encoder_bias"], strict=True)
        ]
        np.testing.assert_allclose(r, expected, atol=1e-4)


def test_the_scale_makes_the_mean_squared_norm_the_number_of_neurons(activations, context):
    found = fit(SMALL, activations, context)
    x = (activations - found.state["mean"]) / found.state["scale"]
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
    assert (x**2).sum(1).mean() == pytest.approx(12, rel=1e-5)


def test_the_unit_of_the_activations_does_not_matter(activations, context):
    # powers of two scale without rounding
    found, scaled = fit(SMALL, activations, context), fit(SMALL, activations * 64, context)
    np.testing.assert_allclose(scaled.vectors, found.vectors, atol=1e-5)


def test_notes_say_what_the_fit_split_shows(activations, context):
    found = fit(SMALL, activations, context)
    active, explained = describe(found, activations)
    dead = int((encode(SMALL, found, activations).max(0) == 0).sum())
    assert found.notes == (
        f"explains {100 * explained:.1f} % of the variance with {active:.1f} active hidden units "
        f"an image; {dead} of 24 are dead on the fit split",
    )


def test_a_larger_penalty_is_sparser_and_explains_less(activations, context):
    results = [
        describe(fit(dataclasses.replace(SMALL, l1=l1), activations, context), activations)
        for l1 in (0.1, 1.0, 4.0)
    ]
    active, explained = zip(*results, strict=True)
    assert list(active) == sorted(active, reverse=True)
    assert list(explained) == sorted(explained, reverse=True)
    assert explained[0] > 0.8


def test_planted_directions_are_recovered(planted, recovered):
    V, A = planted
    params = Params(z=24, l1=1.0, epochs=60, batch_size=64, lr=3e-3)
    found = fit(params, A, FitContext(1))
    assert (recovered(V, found.vectors) > 0.9).sum() >= 7


def test_constant_activations_are_an_error(context):
    with pytest.raises(CaseError, match="all the same"):
        fit(SMALL, np.ones((10, 4), np.float32), context)
