"""The mean-colour and the label metric against plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iibench.contract.base import NoParams
from iibench.contract.errors import CaseError
from iibench_plugins.metrics import color, label

COLOR = color.load(NoParams(), None)
LABEL = label.load(NoParams(), None)


@given(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_mean_colour_equals_a_plain_loop(n, h, w, seed):
    x = torch.rand(n, 3, h, w, generator=torch.Generator().manual_seed(seed))
    expected = [
        [math.fsum(x[i, c].flatten().tolist()) / (h * w) for c in range(3)] for i in range(n)
    ]
    torch.testing.assert_close(COLOR.embed(x), torch.tensor(expected), rtol=1e-6, atol=1e-7)


def test_mean_colour_does_not_depend_on_the_batch():
    x = torch.rand(9, 3, 32, 32)
    together = COLOR.embed(x)
    alone = torch.cat([COLOR.embed(x[i : i + 1]) for i in range(9)])
    torch.testing.assert_close(together, alone, rtol=0, atol=0)
    assert together.dtype == torch.float32


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.rand(2, 1, 8, 8), r"expects floating RGB images .* shape \(2, 1, 8, 8\)"),
        (torch.rand(3, 8, 8), r"shape \(3, 8, 8\)"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "got uint8"),
        (torch.rand(2, 3, 8, 8) * 255, r"expects RGB in \[0, 1\], got values from"),
        (torch.rand(2, 3, 8, 8) - 0.5, r"expects RGB in \[0, 1\], got values from -0"),
        (torch.full((2, 3, 8, 8), torch.nan), "got values from nan to nan"),
    ],
)
def test_other_images_are_refused(x, message):
    with pytest.raises(CaseError, match=message):
        COLOR.embed(x)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_labels_are_equal_exactly_where_their_embeddings_are(labels):
    e = LABEL.embed(torch.tensor(labels))
    assert e.shape == (len(labels), 1)
    assert ((e == e.T) == torch.tensor([[a == b for a in labels] for b in labels])).all()


@pytest.mark.parametrize(
    "x",
    [
        torch.tensor([0, -1]),
        torch.tensor([2**24 + 1]),
        torch.tensor([0.5]),
        torch.zeros(2, 2, dtype=torch.int64),
    ],
)
def test_labels_that_are_no_class_indices_are_refused(x):
    with pytest.raises(CaseError, match="metric label expects"):
        LABEL.embed(x)


def test_what_the_specs_declare():
    (c,), (la,) = color.iibench_register_metrics(), label.iibench_register_metrics()
    assert (c.name, c.distance, c.input, c.level) == ("color", "euclidean", "images", "low")
    assert (la.name, la.distance, la.input, la.level) == ("label", "equal", "labels", "high")
    assert c.parts(NoParams()) == la.parts(NoParams()) == ()
    assert c.size(NoParams()) is None
